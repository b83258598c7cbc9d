/* SPDX-License-Identifier: 0BSD */
/* msa_run.c - test bench of a generated model, no part of the product: performs a request file's commands, writes NPY files.
 *
 * msa_run REQUEST RESPONSE WEIGHTS
 * REQUEST, little-endian: the 8 bytes "MSARUN3\n", then commands: u32 what, u32 bytes of the rest, the rest, zeros to a multiple of 4.
 * Commands are performed in order; one that writes a file takes its path as the rest. The first failure ends the run.
 * A volume of N slices, more than the model's D, is run in pieces of D, N below; else N is D.
 * RESPONSE, text, a line each: `prompt K masks M` and `best M IOU` a slice kept; `click X Y LABEL BOTH SUM`, of truth and mask the
 * pixels in both and those of the one and of the other added up; `encode_ms X`, `decode_ms X`; at a failure `error TEXT`. */
#if defined(__unix__) || defined(__linux__)
#define _POSIX_C_SOURCE 200809L
#define ON_POSIX 1
#else
#define ON_POSIX 0
#endif

#ifndef MSA_MODEL_H
#include "msa_model.h"
#endif
#include "msa_runtime.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if ON_POSIX
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

enum command {
    IMAGE = 1,     /* u32 width, height, slices; u64 offset of the pixels; path. At least D slices, or 1: the same for all */
    SYNTHETIC = 2, /* nothing: an image of the model's size, made here */
    EMBEDDING = 3, /* path: float32 [N,E,g,g] */
    PROMPT = 4,    /* u32 flags, slices, points, text; f32 points; i8 labels, zeros to a multiple of 4; f32 box; f32 mask */
    LOGITS = 5,    /* path: float32 [N,M,4g,4g] of the latest prompt */
    IOU = 6,       /* path: float32 [N,M] */
    MASK = 7,      /* path: uint8 [N,H,W], 0 or 255: where the logits of the mask of highest IoU, enlarged, are positive */
    UPSAMPLED = 8, /* path: float32 [N,M,H,W] */
    RESIZED = 9,   /* path: uint8 [N,S,S,3] */
    BENCH = 10,    /* u32 repetitions */
    PROGRESS = 11, /* u32 layers of the encoder, or 0: show progress of encoding on standard error from here on */
    SELF_TEST = 12, /* nothing */
    PIECE = 13,    /* u32 first, keep: go on with the D slices from `first`; from here on files get the first `keep` of them, which
                      follow those of the pieces before */
    REFINE = 14,   /* u32 flags, clicks, text; u64 seed, offset of the truth's bytes [H,W], over 127 inside; path: PROMPTs of clicks where the
                      mask and the truth differ, each with the logits before; counts as one prompt, the last. One slice only */
    BANK = 15      /* u32 bank: from here on that one */
};

enum prompt_flags { WITH_BOX = 1, WITH_MASK = 2, MULTIMASK = 4, WITH_TEXT = 8 };

#define S MSA_MODEL_INPUT_SIZE
#define D MSA_MODEL_DEPTH
#define SIDE MSA_MODEL_MASK_SIDE
#define SQUARE (MSA_MODEL_RESIZE_LONGEST ? S : 0u)

static FILE *response;
static msa_session session;
static msa_image image; /* the piece */
static const uint8_t *volume;
static uint32_t slices, first_slice, kept = D;
static bool encoded;
static uint32_t prompts;
static float *logits, *iou;
static msa_mask mask;
static bool progress;
static bool encoding;
static uint32_t layers;

static int fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("error ", response);
    vfprintf(response, format, args);
    fputc('\n', response);
    va_end(args);
    return -1;
}

int msa_progress(uint32_t layer)
{
    if (progress && encoding) {
        fputc('\r', stderr);
        if (slices > D) {
            fprintf(stderr, "slice %lu of %lu, ", (unsigned long)first_slice + 1, (unsigned long)slices);
        }
        fprintf(stderr, "layer %lu", (unsigned long)layer + 1);
        if (layers > 0) {
            fprintf(stderr, " of %lu", (unsigned long)layers);
        }
        fflush(stderr);
    }
    return 0;
}

static void progress_done(void)
{
    if (progress) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
}

/* Memory in use, the latest first. */
struct block {
    struct block *next;
};

static struct block *blocks;

static void *allocate(size_t bytes)
{
    struct block *const block = malloc(sizeof *block + bytes + MSA_ALIGNMENT);
    if (block == NULL) {
        fail("%lu bytes of memory: not to be had", (unsigned long)bytes);
        return NULL;
    }
    block->next = blocks;
    blocks = block;
    unsigned char *const p = (unsigned char *)(block + 1);
    return p + (MSA_ALIGNMENT - (uintptr_t)p % MSA_ALIGNMENT);
}

/* Free what was allocated since `mark` was the latest. */
static void release(struct block *mark)
{
    while (blocks != mark) {
        struct block *const block = blocks;
        blocks = block->next;
        free(block);
    }
}

/* A whole file, mapped where that is possible; kept to the end. */
static const unsigned char *load(const char *path, size_t *bytes)
{
#if ON_POSIX
    struct stat info;
    const int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &info) != 0 || info.st_size <= 0) {
        fail("%s: cannot be read: %s", path, file < 0 ? strerror(errno) : "empty");
        return NULL;
    }
    *bytes = (size_t)info.st_size;
    void *const p = mmap(NULL, *bytes, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    if (p == MAP_FAILED) {
        fail("%s: cannot be mapped: %s", path, strerror(errno));
        return NULL;
    }
    return p;
#else
    FILE *const file = fopen(path, "rb");
    long size = -1;
    if (file != NULL && fseek(file, 0, SEEK_END) == 0) {
        size = ftell(file);
    }
    if (size <= 0 || fseek(file, 0, SEEK_SET) != 0) {
        fail("%s: cannot be read", path);
        return NULL;
    }
    *bytes = (size_t)size;
    unsigned char *const p = allocate(*bytes);
    if (p == NULL || fread(p, 1, *bytes, file) != *bytes) {
        fail("%s: cannot be read", path);
        return NULL;
    }
    fclose(file);
    return p;
#endif
}

static double now_ms(void)
{
#if ON_POSIX
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
#else
    return (double)clock() * (1e3 / (double)CLOCKS_PER_SEC);
#endif
}

/* ---- NPY files ---- */

/* The file of all slices, begun by the first piece. */
static FILE *npy_open(const char *path, const char *type, int dimensions, const uint32_t *shape)
{
    char header[192];
    int n = snprintf(header + 10, 118, "{'descr': '%s', 'fortran_order': False, 'shape': (", type);
    for (int i = 0; i < dimensions; ++i) {
        n += snprintf(header + 10 + n, 16, i == 0 ? "%lu" : ", %lu", (unsigned long)shape[i]);
    }
    n += snprintf(header + 10 + n, 8, "), }");
    memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10);
    memset(header + 10 + n, ' ', (size_t)(118 - n));
    header[127] = '\n';
    FILE *const file = fopen(path, first_slice > 0 ? "ab" : "wb");
    if (file == NULL) {
        fail("%s: cannot be written: %s", path, strerror(errno));
    } else if (first_slice == 0) {
        fwrite(header, 1, 128, file); /* npy_close asks */
    }
    return file;
}

static int npy_close(FILE *file, const char *path)
{
    const bool failed = ferror(file) != 0;
    if (fclose(file) != 0 || failed) {
        return fail("%s: cannot be written: %s", path, strerror(errno));
    }
    return 0;
}

/* Of `values` [D,...] the slices that are kept. */
static int npy_write(const char *path, int dimensions, const uint32_t *shape, const float *values)
{
    size_t count = kept;
    for (int i = 1; i < dimensions; ++i) {
        count *= shape[i];
    }
    FILE *const file = npy_open(path, "<f4", dimensions, shape);
    if (file == NULL) {
        return -1;
    }
    fwrite(values, sizeof *values, count, file);
    return npy_close(file, path);
}

/* ---- commands ---- */

static msa_status encode(void)
{
    encoding = true;
    const msa_status status = msa_encode(&session, &image);
    encoding = false;
    return status;
}

static int need_image(void)
{
    return image.pixels == NULL ? fail("request: no image before this command") : 0;
}

static int need_embedding(void)
{
    if (encoded) {
        return 0;
    }
    if (need_image() != 0) {
        return -1;
    }
    const msa_status status = encode();
    progress_done();
    if (status != MSA_OK) {
        return fail("encoding: %s", msa_status_text(status));
    }
    encoded = true;
    return 0;
}

static int need_result(void)
{
    return prompts == 0 ? fail("request: no prompt before this command") : 0;
}

static int do_image(const unsigned char *p, size_t bytes, char *path)
{
    uint32_t size[3];
    uint64_t offset;
    if (bytes < 20) {
        return fail("request: short image");
    }
    memcpy(size, p, sizeof size);
    memcpy(&offset, p + 12, sizeof offset);
    size_t length;
    const unsigned char *const file = load(path + 20, &length);
    if (file == NULL) {
        return -1;
    }
    if (size[2] != 1 && size[2] < D) {
        return fail("request: an image of %lu slices", (unsigned long)size[2]);
    }
    const uint64_t slice = 3u * (uint64_t)size[0] * size[1];
    if (size[0] > MSA_MAX_SIDE || size[1] > MSA_MAX_SIDE || offset > length || slice * size[2] > length - offset) {
        return fail("%s: shorter than its image", path + 20);
    }
    volume = file + offset;
    slices = size[2] < D ? D : size[2];
    first_slice = 0;
    kept = D;
    image.pixels = volume;
    image.width = size[0];
    image.height = size[1];
    image.stride = 3u * (size_t)size[0];
    image.slice_stride = size[2] == 1 ? 0u : (size_t)slice;
    encoded = false;
    return 0;
}

static int do_piece(const unsigned char *p, size_t bytes)
{
    uint32_t range[2];
    if (bytes != sizeof range || volume == NULL) {
        return fail("request: a piece of no image");
    }
    memcpy(range, p, sizeof range);
    if (range[0] > slices - D || range[1] < 1 || range[1] > D) {
        return fail("request: %lu slices from %lu of %lu", (unsigned long)range[1], (unsigned long)range[0], (unsigned long)slices);
    }
    first_slice = range[0];
    kept = range[1];
    image.pixels = volume + image.slice_stride * first_slice;
    encoded = false;
    prompts = 0;
    return 0;
}

/* Smooth shapes and noise, so that no arithmetic is spared. */
static int do_synthetic(void)
{
    uint8_t *const pixels = allocate((size_t)3 * S * S);
    uint32_t noise = 1;
    if (pixels == NULL) {
        return -1;
    }
    for (size_t y = 0; y < S; ++y) {
        for (size_t x = 0; x < S; ++x) {
            for (size_t c = 0; c < 3; ++c) {
                noise = noise * 1664525u + 1013904223u;
                pixels[(y * S + x) * 3 + c] = (uint8_t)((x * y / S + x * (c + 1) + (noise >> 26)) & 255u);
            }
        }
    }
    volume = pixels;
    slices = D;
    first_slice = 0;
    kept = D;
    image.pixels = pixels;
    image.width = S;
    image.height = S;
    image.stride = (size_t)3 * S;
    image.slice_stride = 0;
    encoded = false;
    return 0;
}

static int do_embedding(const char *path)
{
    const uint32_t shape[4] = {slices, MSA_MODEL_OUT, MSA_MODEL_GRID, MSA_MODEL_GRID};
    if (need_embedding() != 0) {
        return -1;
    }
    float *const embedding = allocate(sizeof(float) * D * MSA_MODEL_OUT * MSA_MODEL_GRID * MSA_MODEL_GRID);
    if (embedding == NULL) {
        return -1;
    }
    const msa_status status = msa_get_embedding(&session, embedding);
    if (status != MSA_OK) {
        return fail("embedding: %s", msa_status_text(status));
    }
    return npy_write(path, 4, shape, embedding);
}

static uint32_t best_mask(uint32_t slice)
{
    const float *const values = iou + (size_t)slice * mask.masks;
    uint32_t best = 0;
    for (uint32_t m = 1; m < mask.masks; ++m) {
        if (values[m] > values[best]) {
            best = m;
        }
    }
    return best;
}

static const float *logits_of(uint32_t slice, uint32_t m)
{
    return logits + ((size_t)slice * mask.masks + m) * SIDE * SIDE;
}

static int report_prompt(void)
{
    fprintf(response, "prompt %lu masks %lu\n", (unsigned long)prompts, (unsigned long)mask.masks);
    for (uint32_t slice = 0; slice < kept; ++slice) {
        const uint32_t best = best_mask(slice);
        fprintf(response, "best %lu %.9g\n", (unsigned long)best, (double)iou[(size_t)slice * mask.masks + best]);
    }
    ++prompts;
    return 0;
}

static int do_prompt(const unsigned char *p, size_t bytes)
{
    uint32_t head[4];
    if (bytes < sizeof head) {
        return fail("request: short prompt");
    }
    memcpy(head, p, sizeof head);
    const size_t entries = head[1];
    const size_t points = entries * head[2];
    const size_t label_bytes = (points + 3u) / 4u * 4u;
    const size_t box_bytes = (head[0] & WITH_BOX) != 0 ? entries * 16u : 0u;
    const size_t mask_bytes = (head[0] & WITH_MASK) != 0 ? entries * SIDE * SIDE * sizeof(float) : 0u;
    if (entries > D || head[2] > 1024 || bytes != sizeof head + points * 8u + label_bytes + box_bytes + mask_bytes) {
        return fail("request: a prompt of %lu bytes", (unsigned long)bytes);
    }
    const unsigned char *const labels = p + sizeof head + points * 8u;
    const unsigned char *const box = labels + label_bytes;
    const msa_prompt prompt = {
        (const float (*)[2])(const void *)(p + sizeof head),
        (const int8_t *)labels,
        head[2],
        box_bytes > 0 ? (const float (*)[4])(const void *)box : NULL,
        mask_bytes > 0 ? (const float *)(const void *)(box + box_bytes) : NULL,
        (head[0] & MULTIMASK) != 0,
        (uint32_t)entries,
        (head[0] & WITH_TEXT) != 0,
        head[3],
    };
    if (need_embedding() != 0) {
        return -1;
    }
    const msa_status status = msa_segment(&session, &prompt, &mask);
    progress_done();
    if (status != MSA_OK) {
        return fail("prompt %lu: %s", (unsigned long)prompts, msa_status_text(status));
    }
    return report_prompt();
}

static int do_logits(const char *path)
{
    const uint32_t shape[4] = {slices, mask.masks, SIDE, SIDE};
    return need_result() != 0 ? -1 : npy_write(path, 4, shape, logits);
}

static int do_iou(const char *path)
{
    const uint32_t shape[2] = {slices, mask.masks};
    return need_result() != 0 ? -1 : npy_write(path, 2, shape, iou);
}

/* The latest result at the image's size: the best masks as bytes, or all logits. */
static int do_enlarged(const char *path, bool bytes)
{
    const uint32_t mask_shape[3] = {slices, image.height, image.width};
    const uint32_t logits_shape[4] = {slices, mask.masks, image.height, image.width};
    if (need_result() != 0) {
        return -1;
    }
    float *const rows = allocate(sizeof(float) * 2u * S);
    float *const row = allocate(sizeof(float) * image.width);
    uint8_t *const row_bytes = allocate(image.width);
    FILE *file = NULL;
    if (rows != NULL && row != NULL && row_bytes != NULL) {
        file = bytes ? npy_open(path, "|u1", 3, mask_shape) : npy_open(path, "<f4", 4, logits_shape);
    }
    if (file == NULL) {
        return -1;
    }
    for (uint32_t slice = 0; slice < kept; ++slice) {
        const uint32_t first = bytes ? best_mask(slice) : 0u;
        const uint32_t end = bytes ? first + 1u : mask.masks;
        for (uint32_t m = first; m < end; ++m) {
            msa_upsampler enlarge;
            msa_upsample_init(&enlarge, logits_of(slice, m), SIDE, SQUARE, image.width, image.height, rows);
            for (uint32_t y = 0; y < image.height && ferror(file) == 0; ++y) {
                msa_upsample_row(&enlarge, y, row);
                if (!bytes) {
                    fwrite(row, sizeof *row, image.width, file);
                    continue;
                }
                for (uint32_t x = 0; x < image.width; ++x) {
                    row_bytes[x] = row[x] > 0.0f ? 255u : 0u;
                }
                fwrite(row_bytes, 1, image.width, file);
            }
        }
    }
    return npy_close(file, path);
}

static int do_resized(const char *path)
{
    const uint32_t shape[4] = {slices, S, S, 3};
    uint32_t width, height;
    if (need_image() != 0) {
        return -1;
    }
    const msa_status checked = msa_image_check(&image, D);
    if (checked != MSA_OK) {
        return fail("image: %s", msa_status_text(checked));
    }
    void *const work = allocate(MSA_RESIZE_WORK_BYTES(S));
    uint8_t *const row = allocate((size_t)3 * S);
    FILE *const file = work != NULL && row != NULL ? npy_open(path, "|u1", 4, shape) : NULL;
    if (file == NULL) {
        return -1;
    }
    msa_resized_size(image.width, image.height, S, MSA_MODEL_RESIZE_LONGEST != 0, &width, &height);
    msa_status status = MSA_OK;
    for (uint32_t slice = 0; slice < kept && status == MSA_OK; ++slice) {
        msa_resizer resize;
        status = msa_resize_init(&resize, &image, slice, width, height, work, MSA_RESIZE_WORK_BYTES(S));
        memset(row, 0, (size_t)3 * S);
        for (uint32_t y = 0; y < S && status == MSA_OK; ++y) {
            if (y < height) {
                msa_resize_row(&resize, row);
            } else if (y == height) {
                memset(row, 0, (size_t)3 * S);
            }
            fwrite(row, 3, S, file);
        }
    }
    const int written = npy_close(file, path);
    return status != MSA_OK ? fail("image: %s", msa_status_text(status)) : written;
}

/* ---- clicks where mask and truth differ ---- */

/* What is wrong with a pixel; VISITED and LARGEST are added in the search. */
enum error { NONE = 0, MISSED = 1, EXCESS = 2, VISITED = 4, LARGEST = 8 };

/* Mark the pixels of one error that hang together with pixel `from` over their sides. queue: room for all. Returns their number. */
static size_t flood(uint8_t *errors, uint32_t width, uint32_t height, uint32_t from, uint8_t from_marks, uint8_t mark, uint32_t *queue)
{
    size_t count = 1;
    errors[from] |= mark;
    queue[0] = from;
    for (size_t at = 0; at < count; ++at) {
        const uint32_t i = queue[at];
        const uint32_t x = i % width, y = i / width;
        const uint32_t beside[4] = {y > 0 ? i - width : i, x > 0 ? i - 1 : i, x + 1 < width ? i + 1 : i, y + 1 < height ? i + width : i};
        for (int k = 0; k < 4; ++k) {
            if (errors[beside[k]] == from_marks) {
                errors[beside[k]] |= mark;
                queue[count++] = beside[k];
            }
        }
    }
    return count;
}

static bool mark_largest(uint8_t *errors, uint32_t width, uint32_t height, uint32_t *queue)
{
    const uint32_t pixels = width * height;
    size_t most = 0;
    uint32_t largest = 0;
    for (uint32_t i = 0; i < pixels; ++i) {
        if (errors[i] == MISSED || errors[i] == EXCESS) {
            const size_t count = flood(errors, width, height, i, errors[i], VISITED, queue);
            if (count > most) {
                most = count;
                largest = i;
            }
        }
    }
    if (most > 0) {
        flood(errors, width, height, largest, errors[largest], LARGEST, queue);
    }
    return most > 0;
}

/* The lower envelope of the parabolas (x - i)^2 + down[i]^2, i from 0 to count - 1, gives the squared distances of a row
 * (Meijster, Roerdink, Hesselink 2000). starts, owners: room for `count`. Returns the first x of the largest. */
static uint32_t deepest_of_row(const uint32_t *down, uint32_t count, int64_t *starts, uint32_t *owners, int64_t *depth)
{
    size_t top = 0;
    starts[0] = 0;
    owners[0] = 0;
    for (uint32_t u = 1; u < count; ++u) {
        const int64_t height = (int64_t)u * u + (int64_t)down[u] * down[u];
        for (;;) {
            const uint32_t i = owners[top];
            /* From which x on u is nearer than i. */
            const int64_t gain = height - (int64_t)i * i - (int64_t)down[i] * down[i];
            const int64_t from = gain < 0 ? 0 : gain / (2 * ((int64_t)u - i)) + 1;
            if (from <= starts[top] && top > 0) {
                --top;
                continue;
            }
            if (from <= starts[top]) {
                owners[top] = u;
            } else if (from < count) {
                ++top;
                starts[top] = from;
                owners[top] = u;
            }
            break;
        }
    }
    uint32_t best = 0;
    *depth = -1;
    size_t piece = 0;
    for (uint32_t x = 0; x < count; ++x) {
        while (piece < top && starts[piece + 1] <= x) {
            ++piece;
        }
        const int64_t across = (int64_t)x - owners[piece], along = down[owners[piece]];
        if (across * across + along * along > *depth) {
            *depth = across * across + along * along;
            best = x;
        }
    }
    return best;
}

/* The pixel of the largest error region that is farthest from everything outside of it, the image's surroundings included; the
 * first of several. errors [height][width] of MISSED, EXCESS or NONE is used up. 1, 0 if nothing is wrong, -1 out of memory. */
static int deepest_error(uint8_t *errors, uint32_t width, uint32_t height, uint32_t *x, uint32_t *y, enum error *what)
{
    const size_t pixels = (size_t)width * height;
    struct block *const before = blocks;
    uint32_t *const queue = allocate(sizeof *queue * pixels);
    uint32_t *const down = allocate(sizeof *down * (width + 2u));
    int64_t *const starts = allocate(sizeof *starts * (width + 2u));
    uint32_t *const owners = allocate(sizeof *owners * (width + 2u));
    int found = -1;
    if (queue != NULL && down != NULL && starts != NULL && owners != NULL) {
        found = mark_largest(errors, width, height, queue) ? 1 : 0;
    }
    if (found == 1) {
        /* Distances within the columns, then across them; a column of surroundings on both sides. */
        uint32_t *const column = queue;
        for (size_t i = 0; i < pixels; ++i) {
            column[i] = (errors[i] & LARGEST) == 0 ? 0u : i < width ? 1u : column[i - width] + 1u;
        }
        for (size_t i = pixels; i-- > 0;) {
            const uint32_t below = i + width < pixels ? column[i + width] + 1u : 1u;
            column[i] = column[i] < below ? column[i] : below;
        }
        int64_t most = 0;
        down[0] = down[width + 1u] = 0;
        for (uint32_t row = 0; row < height; ++row) {
            int64_t depth;
            memcpy(down + 1, column + (size_t)row * width, width * sizeof *down);
            const uint32_t at = deepest_of_row(down, width + 2u, starts, owners, &depth);
            if (depth > most) {
                most = depth;
                *x = at - 1u;
                *y = row;
            }
        }
        *what = (errors[(size_t)*y * width + *x] & MISSED) != 0 ? MISSED : EXCESS;
    }
    release(before);
    return found;
}

/* A number below `count` that the seed decides. */
static uint32_t random_below(uint64_t seed, uint32_t count)
{
    uint64_t z = seed + 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)(((z ^ z >> 31) >> 32) * count >> 32);
}

/* What is wrong with the latest best mask; -1 out of memory. both, sum: as in the response. */
static int compare(const uint8_t *truth, uint8_t *errors, uint32_t *both, uint32_t *sum)
{
    struct block *const before = blocks;
    float *const rows = allocate(sizeof(float) * 2u * S);
    float *const row = allocate(sizeof(float) * image.width);
    if (rows == NULL || row == NULL) {
        return -1;
    }
    msa_upsampler enlarge;
    msa_upsample_init(&enlarge, logits_of(0, best_mask(0)), SIDE, SQUARE, image.width, image.height, rows);
    *both = *sum = 0;
    for (uint32_t y = 0; y < image.height; ++y) {
        msa_upsample_row(&enlarge, y, row);
        for (uint32_t x = 0; x < image.width; ++x) {
            const bool is = truth[(size_t)y * image.width + x] > 127u, found = row[x] > 0.0f;
            errors[(size_t)y * image.width + x] = is == found ? NONE : is ? MISSED : EXCESS;
            *both += is && found;
            *sum += (uint32_t)is + (uint32_t)found;
        }
    }
    release(before);
    return 0;
}

static int do_refine(const unsigned char *p, size_t bytes, const char *path)
{
    uint32_t head[3];
    uint64_t numbers[2];
    if (bytes < 28) {
        return fail("request: short refinement");
    }
    memcpy(head, p, sizeof head);
    memcpy(numbers, p + sizeof head, sizeof numbers);
    if (D != 1 || slices != 1 || head[1] < 1 || head[1] > MSA_MODEL_MAX_POINTS) {
        return fail("request: %lu clicks in %lu slices", (unsigned long)head[1], (unsigned long)slices);
    }
    size_t length;
    const uint8_t *const file = load(path, &length);
    if (file == NULL || need_embedding() != 0) {
        return -1;
    }
    const uint32_t pixels = image.width * image.height;
    if (numbers[1] > length || pixels > length - numbers[1]) {
        return fail("%s: shorter than the image", path);
    }
    const uint8_t *const truth = file + numbers[1];
    uint32_t inside = 0;
    for (uint32_t i = 0; i < pixels; ++i) {
        inside += truth[i] > 127u;
    }
    uint8_t *const errors = allocate(pixels);
    if (errors == NULL || inside == 0) {
        return errors == NULL ? -1 : fail("%s: nothing is inside", path);
    }
    uint32_t at = 0;
    for (uint32_t rank = random_below(numbers[0], inside); rank > 0 || truth[at] <= 127u; ++at) {
        rank -= truth[at] > 127u;
    }
    float points[MSA_MODEL_MAX_POINTS][2] = {{(float)(at % image.width), (float)(at / image.width)}};
    int8_t labels[MSA_MODEL_MAX_POINTS] = {1};
    for (uint32_t count = 1;; ++count) {
        const msa_prompt prompt = {
            (const float (*)[2])points, labels, count, NULL, count > 1 ? logits_of(0, best_mask(0)) : NULL, (head[0] & MULTIMASK) != 0, 1,
            (head[0] & WITH_TEXT) != 0, head[2],
        };
        const msa_status status = msa_segment(&session, &prompt, &mask);
        if (status != MSA_OK) {
            return fail("click %lu: %s", (unsigned long)count, msa_status_text(status));
        }
        uint32_t both, sum, x = 0, y = 0;
        enum error what = NONE;
        if (compare(truth, errors, &both, &sum) != 0) {
            return -1;
        }
        fprintf(response, "click %lu %lu %d %lu %lu\n", (unsigned long)points[count - 1][0], (unsigned long)points[count - 1][1],
                labels[count - 1], (unsigned long)both, (unsigned long)sum);
        const int more = count < head[1] ? deepest_error(errors, image.width, image.height, &x, &y, &what) : 0;
        if (more <= 0) {
            return more < 0 ? -1 : report_prompt();
        }
        points[count][0] = (float)x;
        points[count][1] = (float)y;
        labels[count] = what == MISSED ? 1 : 0;
    }
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, uint32_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return (values[(count - 1u) / 2u] + values[count / 2u]) / 2.0;
}

static int do_bench(const unsigned char *p, size_t bytes)
{
    uint32_t count;
    if (bytes != sizeof count) {
        return fail("request: short bench");
    }
    memcpy(&count, p, sizeof count);
    if (count == 0 || count > 1000000 || need_image() != 0) {
        return fail("request: a bench of %lu", (unsigned long)count);
    }
    double *const encode_ms = allocate(sizeof(double) * count);
    double *const decode_ms = allocate(sizeof(double) * count);
    if (encode_ms == NULL || decode_ms == NULL) {
        return -1;
    }
    const float click[1][2] = {{(float)image.width * 0.5f, (float)image.height * 0.5f}};
    const int8_t label[1] = {1};
    const msa_prompt prompt = {click, label, 1, NULL, NULL, true, 1, false, 0};
    msa_mask result = {logits, iou, 0};
    msa_status status = MSA_OK;
    for (uint32_t i = 0; i < count && status == MSA_OK; ++i) {
        const double start = now_ms();
        status = encode();
        encode_ms[i] = now_ms() - start;
    }
    for (uint32_t i = 0; i < count && status == MSA_OK; ++i) {
        const double start = now_ms();
        status = msa_segment(&session, &prompt, &result);
        decode_ms[i] = now_ms() - start;
    }
    progress_done();
    prompts = 0; /* the latest prompt's result is gone */
    encoded = status == MSA_OK;
    if (status != MSA_OK) {
        return fail("bench: %s", msa_status_text(status));
    }
    fprintf(response, "encode_ms %.3f\n", median(encode_ms, count));
    fprintf(response, "decode_ms %.3f\n", median(decode_ms, count));
    return 0;
}

static int do_self_test(void)
{
    const msa_status status = msa_self_test(&session);
    encoded = false;
    return status != MSA_OK ? fail("self-test: %s", msa_status_text(status)) : 0;
}

static int do_bank(const unsigned char *p, size_t bytes)
{
    uint32_t bank;
    if (bytes != sizeof bank) {
        return fail("request: short bank");
    }
    memcpy(&bank, p, sizeof bank);
    const msa_status status = msa_select_bank(&session, bank);
    encoded = false;
    prompts = 0;
    return status != MSA_OK ? fail("bank %lu: %s", (unsigned long)bank, msa_status_text(status)) : 0;
}

static int perform(uint32_t what, unsigned char *rest, size_t bytes)
{
    char *const path = (char *)rest;
    switch (what) {
    case IMAGE: return do_image(rest, bytes, path);
    case SYNTHETIC: return do_synthetic();
    case EMBEDDING: return do_embedding(path);
    case PROMPT: return do_prompt(rest, bytes);
    case LOGITS: return do_logits(path);
    case IOU: return do_iou(path);
    case MASK: return do_enlarged(path, true);
    case UPSAMPLED: return do_enlarged(path, false);
    case RESIZED: return do_resized(path);
    case BENCH: return do_bench(rest, bytes);
    case PROGRESS:
        if (bytes != sizeof layers) {
            return fail("request: short progress");
        }
        memcpy(&layers, rest, sizeof layers);
        progress = true;
        return 0;
    case SELF_TEST: return do_self_test();
    case PIECE: return do_piece(rest, bytes);
    case BANK: return do_bank(rest, bytes);
    case REFINE: return do_refine(rest, bytes, path + 28);
    default: return fail("request: no command %lu", (unsigned long)what);
    }
}

/* A command's rest is followed by a zero byte here, so that a path in it is a string. */
static int perform_all(const unsigned char *request, size_t bytes)
{
    static const char magic[8] = {'M', 'S', 'A', 'R', 'U', 'N', '3', '\n'};
    if (bytes < 8 || memcmp(request, magic, 8) != 0) {
        return fail("request: of another version");
    }
    size_t at = 8;
    while (at < bytes) {
        uint32_t head[2];
        if (bytes - at < sizeof head) {
            return fail("request: cut short");
        }
        memcpy(head, request + at, sizeof head);
        at += sizeof head;
        if (bytes - at < head[1]) {
            return fail("request: cut short");
        }
        struct block *const mark = blocks;
        unsigned char *const rest = allocate((size_t)head[1] + 1u);
        if (rest == NULL) {
            return -1;
        }
        memcpy(rest, request + at, head[1]);
        rest[head[1]] = 0;
        if (perform(head[0], rest, head[1]) != 0) {
            return -1;
        }
        if (head[0] != IMAGE && head[0] != SYNTHETIC) {
            release(mark);
        }
        at += ((size_t)head[1] + 3u) / 4u * 4u;
    }
    return 0;
}

static int run(const char *request_path, const char *weights_path)
{
    size_t request_bytes, weights_bytes;
    const unsigned char *const weights = load(weights_path, &weights_bytes);
    const unsigned char *const request = weights != NULL ? load(request_path, &request_bytes) : NULL;
    if (request == NULL) {
        return -1;
    }
    void *const arena = allocate(MSA_MODEL_ARENA_BYTES);
    logits = allocate(sizeof(float) * D * MSA_MODEL_MASKS * SIDE * SIDE);
    iou = allocate(sizeof(float) * D * MSA_MODEL_MASKS);
    if (arena == NULL || logits == NULL || iou == NULL) {
        return -1;
    }
    mask.logits = logits;
    mask.iou = iou;
    const msa_status status = msa_open(&session, arena, MSA_MODEL_ARENA_BYTES, weights, weights_bytes);
    if (status != MSA_OK) {
        return fail("%s: %s", weights_path, msa_status_text(status));
    }
    return perform_all(request, request_bytes);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fputs("usage: run REQUEST RESPONSE WEIGHTS\n", stderr);
        return 2;
    }
    response = fopen(argv[2], "w");
    if (response == NULL) {
        fprintf(stderr, "%s: cannot be written: %s\n", argv[2], strerror(errno));
        return 1;
    }
    const int failed = run(argv[1], argv[3]);
    release(NULL);
    return fclose(response) != 0 || failed != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
