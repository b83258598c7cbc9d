/* SPDX-License-Identifier: 0BSD */
/* msa_run.c - test bench of a generated model, no part of the product: performs a request file's commands, writes NPY
 * files.
 *
 * msa_run REQUEST RESPONSE WEIGHTS. Without an operating system the weights are those linked, and no file is read.
 * REQUEST, little-endian: the 8 bytes "MSARUN6\n", then commands: u32 what, u32 bytes of the rest, the rest, zeros to a
 * multiple of 4.
 * Commands are performed in order; one that writes a file takes its path as the rest. The first failure ends the run.
 * A volume of N slices, more than the model's D, is run in subvolumes of D, N below; else N is D.
 * RESPONSE, text, a line each: `prompt K masks M` and, a slice kept, `best M IOU...`, of all masks;
 * `click SLICE X Y LABEL BOTH SUM`, of truth and mask the pixels in both and those of the one and the other added up;
 * `kept SLICE K`, the number of the click whose result the slice has, or 0; `carried SLICE X Y`, a click of PROPAGATE;
 * `front_ms X`, of samples, `encode_ms X`, `decode_ms X`;
 * `layer encode|decode I X LEAST` and `whole encode|decode X LEAST` in milliseconds, those of a decode a slice;
 * `clock cpu|wall|cycles`; `fma_gmacs X`, `read_gbytes X`, 10^9 a second; at a failure `error TEXT`. */
#include "msa_run.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#if ON_POSIX
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

enum command {
    /* u32 width, height, slices; u64 offset of the pixels; path. At least D slices, or 1: the same for all */
    IMAGE = 1,
    SYNTHETIC = 2, /* nothing: an image of the model's size, made here */
    EMBEDDING = 3, /* path: float32 [N,E,g,g] */
    /* u32 flags, slices, points, text; f32 points; i8 labels, zeros to a multiple of 4; f32 box; f32 mask */
    PROMPT = 4,
    LOGITS = 5,    /* path: float32 [N,M,4g,4g] of the latest prompt */
    IOU = 6,       /* path: float32 [N,M] */
    /* path: uint8 [N,H,W], 0 or 255: where the logits of the wanted mask, else of that of highest IoU, enlarged, are
     * positive */
    MASK = 7,
    UPSAMPLED = 8, /* path: float32 [N,M,H,W] */
    RESIZED = 9,   /* path: uint8 [N,S,S,3] */
    BENCH = 10,    /* u32 repetitions */
    PROGRESS = 11, /* u32 layers of the encoder, or 0: show progress of encoding on standard error from here on */
    SELF_TEST = 12, /* nothing */
    SUBVOLUME = 13, /* u32 first, keep: go on with D slices from `first`; from here on files get the first `keep` of
                      them. Of a volume every slice is kept once, in whatever order */
    /* u32 flags, most clicks, text, slices of the truth, number of steps, 0; u64 seed, offset of the truth's bytes
     * [N or 1,H,W], over 127 inside; u32 steps in rising order; paths, each with a zero byte: of the truth, and of each
     * step for MASK and for LOGITS, or empty. PROMPTs of clicks where the mask and the truth differ, in each slice its
     * own; with FEEDBACK each with the logits before. A step's files have what so many clicks gave, or fewer, where
     * nothing is wrong any more. It all counts as one prompt; a slice's result is that of its latest click, without
     * steps that of the click with its largest Dice. Where a slice has nothing inside there is no click, all logits
     * are -1000, all IoU 0 */
    REFINE = 14,
    BANK = 15,     /* u32 bank: from here on that one */
    PROFILE = 16,  /* u32 repetitions, layers of the encoder, layers of the decoder, 1: by the time of day, the core's
                      nominal kHz or 0: BENCH, and the times of the layers */
    /* u32 slice, least; PROMPT's rest with one entry: a prompt on that slice alone, in whichever subvolume. With
     * `least` up to 1000 it is carried on, slice by slice to larger numbers and to smaller ones, by a click on the
     * inmost pixel of the mask before, until a mask has less than least / 1000 of the first one's pixels. Subvolumes
     * then come as they are reached: the slice's own, those after, those before it from the last on. Other slices have
     * logits -1000 and IoU 0. It counts as one prompt */
    PROPAGATE = 17,
    /* u32 frames, lines at a time (0: whole frames); u64 offset of the first line; two paths, each with a zero byte: of
     * the frames, and where what the last one gave is written (msa_run_front.h), or empty. The picture is the image */
    SAMPLES = 18
};

struct msa_run msa_run;

int msa_run_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("error ", msa_run.response);
    vfprintf(msa_run.response, format, args);
    fputc('\n', msa_run.response);
    va_end(args);
    return -1;
}

int msa_progress(const msa_session *session, msa_phase phase, uint32_t layer)
{
    if (phase == MSA_PHASE_FRONT) {
        msa_run_model.front->step(session, phase, layer);
        return 0;
    }
    msa_run_layer_ends(phase, layer);
    if (msa_run.progress && phase == MSA_PHASE_ENCODE) {
        fputc('\r', stderr);
        if (msa_run.slices > D) {
            fprintf(stderr, "slice %lu of %lu, ", (unsigned long)msa_run.first_slice + 1,
                (unsigned long)msa_run.slices);
        }
        fprintf(stderr, "%lu", (unsigned long)layer + 1);
        if (msa_run.layers > 0) {
            fprintf(stderr, " of %lu", (unsigned long)msa_run.layers);
        }
        fputs(" layers", stderr);
        fflush(stderr);
    }
    msa_run_layer_begins();
    return 0;
}

void msa_run_progress_done(void)
{
    if (msa_run.progress) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
}

void *msa_run_allocate(size_t bytes)
{
    struct msa_run_block *const block = malloc(sizeof *block + bytes + MSA_ALIGNMENT);
    if (block == NULL) {
        msa_run_fail("%lu bytes of memory: not to be had", (unsigned long)bytes);
        return NULL;
    }
    block->next = msa_run.blocks;
    msa_run.blocks = block;
    unsigned char *const p = (unsigned char *)(block + 1);
    return p + (MSA_ALIGNMENT - (uintptr_t)p % MSA_ALIGNMENT);
}

/* Free what was allocated since `mark` was the latest. */
void msa_run_release(struct msa_run_block *mark)
{
    while (msa_run.blocks != mark) {
        struct msa_run_block *const block = msa_run.blocks;
        msa_run.blocks = block->next;
        free(block);
    }
}

const unsigned char *msa_run_load(const char *path, size_t *bytes)
{
#if ON_POSIX
    struct stat info;
    const int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &info) != 0 || info.st_size <= 0) {
        msa_run_fail("%s: cannot be read: %s", path, file < 0 ? strerror(errno) : "empty");
        return NULL;
    }
    *bytes = (size_t)info.st_size;
    if (info.st_size != (off_t)*bytes) {
        close(file);
        msa_run_fail("%s: cannot be mapped: larger than the address space", path);
        return NULL;
    }
    void *const p = mmap(NULL, *bytes, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    if (p == MAP_FAILED) {
        msa_run_fail("%s: cannot be mapped: %s", path, strerror(errno));
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
        msa_run_fail("%s: cannot be read", path);
        return NULL;
    }
    *bytes = (size_t)size;
    unsigned char *const p = msa_run_allocate(*bytes);
    const bool whole = p != NULL && fread(p, 1, *bytes, file) == *bytes;
    fclose(file);
    if (p != NULL && !whole) {
        msa_run_fail("%s: cannot be read", path);
    }
    return whole ? p : NULL;
#endif
}

msa_status msa_run_encode(void)
{
    return msa_run.from_samples ? msa_run_model.front->encode(&msa_run.session, NULL)
        : msa_run_model.encode(&msa_run.session, &msa_run.image);
}

int msa_run_need_image(void)
{
    return msa_run.image.pixels == NULL ? msa_run_fail("request: no image before this command") : 0;
}

int msa_run_need_embedding(void)
{
    if (msa_run.encoded) {
        return 0;
    }
    if (msa_run_need_image() != 0) {
        return -1;
    }
    const msa_status status = msa_run_encode();
    msa_run_progress_done();
    if (status != MSA_OK) {
        return msa_run_fail("encoding: %s", msa_status_text(status));
    }
    msa_run.encoded = true;
    return 0;
}

int msa_run_need_result(void)
{
    return msa_run.prompts == 0 ? msa_run_fail("request: no prompt before this command") : 0;
}

static int do_image(const unsigned char *p, size_t bytes, char *path)
{
    uint32_t size[3];
    uint64_t offset;
    if (bytes < 20) {
        return msa_run_fail("request: short image");
    }
    memcpy(size, p, sizeof size);
    memcpy(&offset, p + 12, sizeof offset);
    size_t length;
    const unsigned char *const file = msa_run_load(path + 20, &length);
    if (file == NULL) {
        return -1;
    }
    if (size[2] != 1 && size[2] < D) {
        return msa_run_fail("request: an image of %lu slices", (unsigned long)size[2]);
    }
    const uint64_t slice = 3u * (uint64_t)size[0] * size[1];
    if (size[0] > MSA_MAX_SIDE || size[1] > MSA_MAX_SIDE || offset > length || slice * size[2] > length - offset) {
        return msa_run_fail("%s: shorter than its image", path + 20);
    }
    msa_run.from_samples = false;
    msa_run.volume = file + offset;
    msa_run.slices = size[2] < D ? D : size[2];
    msa_run.first_slice = 0;
    msa_run.kept = D;
    msa_run.image.format = MSA_PIXELS_RGB;
    msa_run.image.pixels = msa_run.volume;
    msa_run.image.width = size[0];
    msa_run.image.height = size[1];
    msa_run.image.stride = 3u * (size_t)size[0];
    msa_run.image.slice_stride = size[2] == 1 ? 0u : (size_t)slice;
    msa_run.encoded = false;
    return 0;
}

/* The front end's picture as the image. */
static int take_picture(void)
{
    const struct msa_run_front *const front = msa_run_model.front;
    msa_picture shown = {0, 0, 0, 0};
    msa_status status = front->picture(&msa_run.session, &shown);
    const size_t pixels = (size_t)shown.width * shown.height;
    uint8_t *const picture = msa_run_allocate(pixels * front->channels + 1u);
    uint8_t *const work = msa_run_allocate(MSA_IMAGE_WORK_BYTES(shown.width, MSA_MAX_CORES) + 1u);
    if (picture == NULL || work == NULL) {
        return -1;
    }
    status = status == MSA_OK ? front->bmode(&msa_run.session, picture) : status;
    if (status != MSA_OK) {
        return msa_run_fail("picture: %s", msa_status_text(status));
    }
    msa_run.image = msa_rgb(picture, shown.width, shown.height);
    if (front->channels == 1) {
        msa_run.image.format = MSA_PIXELS_GREY;
        msa_run.image.stride = shown.width;
        msa_run.image.work = work;
    }
    msa_run.volume = picture;
    msa_run.slices = D;
    msa_run.first_slice = 0;
    msa_run.kept = D;
    msa_run.encoded = false;
    msa_run.from_samples = true;
    return 0;
}

static int do_samples(const unsigned char *p, size_t bytes, const char *path)
{
    const struct msa_run_front *const front = msa_run_model.front;
    uint32_t head[2];
    uint64_t offset;
    if (bytes < 18 || front == NULL) {
        return msa_run_fail("request: %s", front == NULL ? "samples for a model without a front end" : "short samples");
    }
    memcpy(head, p, sizeof head);
    memcpy(&offset, p + 8, sizeof offset);
    path += 16;
    const char *const to = path + strlen(path) + 1;
    size_t length;
    const unsigned char *const file = msa_run_load(path, &length);
    if (file == NULL) {
        return -1;
    }
    if (offset > length || head[0] == 0 || head[0] > (length - offset) / front->frame_bytes) {
        return msa_run_fail("%s: shorter than its frames", path);
    }
    for (uint32_t f = 0; f < head[0]; ++f) {
        const msa_status status = front->frame(&msa_run.session, file + offset + f * front->frame_bytes, head[1]);
        if (status != MSA_OK) {
            return msa_run_fail("frame %lu: %s", (unsigned long)f, msa_status_text(status));
        }
    }
    msa_run.lines = file + offset + (head[0] - 1u) * front->frame_bytes;
    FILE *const out = *to == '\0' ? NULL : fopen(to, "wb");
    if (*to != '\0' && (out == NULL || front->write_frame(out) != 0 || fclose(out) != 0)) {
        return msa_run_fail("%s: cannot be written", to);
    }
    return take_picture();
}

static int do_subvolume(const unsigned char *p, size_t bytes)
{
    uint32_t range[2];
    if (bytes != sizeof range || msa_run.volume == NULL) {
        return msa_run_fail("request: a subvolume of no image");
    }
    memcpy(range, p, sizeof range);
    if (range[0] > msa_run.slices - D || range[1] < 1 || range[1] > D) {
        return msa_run_fail("request: %lu slices from %lu of %lu", (unsigned long)range[1], (unsigned long)range[0],
            (unsigned long)msa_run.slices);
    }
    ++msa_run.subvolumes;
    msa_run.first_slice = range[0];
    msa_run.kept = range[1];
    msa_run.image.pixels = msa_run.volume + msa_run.image.slice_stride * msa_run.first_slice;
    msa_run.encoded = false;
    msa_run.prompts = 0;
    return 0;
}

/* Smooth shapes and noise, so that no arithmetic is spared. */
static int do_synthetic(void)
{
    uint8_t *const pixels = msa_run_allocate((size_t)3 * S * S);
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
    msa_run.from_samples = false;
    msa_run.volume = pixels;
    msa_run.slices = D;
    msa_run.first_slice = 0;
    msa_run.kept = D;
    msa_run.image.format = MSA_PIXELS_RGB;
    msa_run.image.pixels = pixels;
    msa_run.image.width = S;
    msa_run.image.height = S;
    msa_run.image.stride = (size_t)3 * S;
    msa_run.image.slice_stride = 0;
    msa_run.encoded = false;
    return 0;
}

int msa_run_want_mask(uint32_t flags, uint32_t masks)
{
    msa_run.wanted = flags >> WANTED_MASK;
    return msa_run.wanted > masks ? msa_run_fail("request: mask %lu", (unsigned long)msa_run.wanted) : 0;
}

uint32_t msa_run_best_mask(uint32_t slice)
{
    if (msa_run.wanted > 0) {
        return msa_run.wanted - 1u;
    }
    const float *const values = msa_run.iou + (size_t)slice * msa_run.mask.masks;
    uint32_t best = 0;
    for (uint32_t m = 1; m < msa_run.mask.masks; ++m) {
        if (values[m] > values[best]) {
            best = m;
        }
    }
    return best;
}

const float *msa_run_logits_of(uint32_t slice, uint32_t m)
{
    return msa_run.logits + ((size_t)slice * msa_run.mask.masks + m) * SIDE * SIDE;
}

void msa_run_enlarge(msa_upsampler *enlarger, uint32_t slice, uint32_t m, float *rows)
{
    msa_upsample_init(enlarger, msa_run_logits_of(slice, m), SIDE, SQUARE, msa_run.image.width, msa_run.image.height,
        rows);
    msa_run_model.enlarge_so(enlarger);
}

int msa_run_report_prompt(void)
{
    fprintf(msa_run.response, "prompt %lu masks %lu\n", (unsigned long)msa_run.prompts,
        (unsigned long)msa_run.mask.masks);
    for (uint32_t slice = 0; slice < msa_run.kept; ++slice) {
        const uint32_t best = msa_run_best_mask(slice);
        const float *const values = msa_run.iou + (size_t)slice * msa_run.mask.masks;
        fprintf(msa_run.response, "best %lu", (unsigned long)best);
        for (uint32_t m = 0; m < msa_run.mask.masks; ++m) {
            fprintf(msa_run.response, " %.9g", (double)values[m]);
        }
        fputc('\n', msa_run.response);
    }
    ++msa_run.prompts;
    return 0;
}

uint32_t msa_run_masks_of(bool multimask)
{
    if (msa_run_model.first_classes > 0) {
        return msa_run_model.first_classes;
    }
    return multimask && msa_run_model.masks > 1 ? msa_run_model.masks - 1u : 1u;
}

int msa_run_read_prompt(const unsigned char *p, size_t bytes, msa_prompt *prompt)
{
    uint32_t head[4];
    if (bytes < sizeof head) {
        return msa_run_fail("request: short prompt");
    }
    memcpy(head, p, sizeof head);
    const size_t entries = head[1];
    const size_t points = entries * head[2];
    const size_t label_bytes = (points + 3u) / 4u * 4u;
    const size_t box_bytes = (head[0] & WITH_BOX) != 0 ? entries * 16u : 0u;
    const size_t mask_bytes = (head[0] & WITH_MASK) != 0 ? entries * SIDE * SIDE * sizeof(float) : 0u;
    if (entries > D || head[2] > 1024 || bytes != sizeof head + points * 8u + label_bytes + box_bytes + mask_bytes) {
        return msa_run_fail("request: a prompt of %lu bytes", (unsigned long)bytes);
    }
    if (msa_run_want_mask(head[0], msa_run_masks_of((head[0] & MULTIMASK) != 0)) != 0) {
        return -1;
    }
    const unsigned char *const labels = p + sizeof head + points * 8u;
    const unsigned char *const box = labels + label_bytes;
    *prompt = (msa_prompt){
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
    return 0;
}

static int do_prompt(const unsigned char *p, size_t bytes)
{
    msa_prompt prompt;
    if (msa_run_read_prompt(p, bytes, &prompt) != 0 || msa_run_need_embedding() != 0) {
        return -1;
    }
    const msa_status status = msa_run_model.segment(&msa_run.session, &prompt, &msa_run.mask);
    msa_run_progress_done();
    if (status != MSA_OK) {
        return msa_run_fail("prompt %lu: %s", (unsigned long)msa_run.prompts, msa_status_text(status));
    }
    return msa_run_report_prompt();
}

static int do_self_test(void)
{
    const msa_status status = msa_run_model.self_test(&msa_run.session);
    msa_run.encoded = false;
    return status != MSA_OK ? msa_run_fail("self-test: %s", msa_status_text(status)) : 0;
}

static int do_bank(const unsigned char *p, size_t bytes)
{
    uint32_t bank;
    if (bytes != sizeof bank) {
        return msa_run_fail("request: short bank");
    }
    memcpy(&bank, p, sizeof bank);
    const msa_status status = msa_run_model.select_bank(&msa_run.session, bank);
    msa_run.encoded = false;
    msa_run.prompts = 0;
    return status != MSA_OK ? msa_run_fail("bank %lu: %s", (unsigned long)bank, msa_status_text(status)) : 0;
}

static int perform(uint32_t what, unsigned char *rest, size_t bytes)
{
    char *const path = (char *)rest;
    switch (what) {
    case IMAGE: return do_image(rest, bytes, path);
    case SYNTHETIC: return do_synthetic();
    case EMBEDDING: return msa_run_embedding(path);
    case PROMPT: return do_prompt(rest, bytes);
    case LOGITS: return msa_run_logits(path);
    case IOU: return msa_run_iou(path);
    case MASK: return msa_run_enlarged(path, true);
    case UPSAMPLED: return msa_run_enlarged(path, false);
    case RESIZED: return msa_run_resized(path);
    case BENCH: return msa_run_bench(rest, bytes);
    case PROFILE: return msa_run_profile(rest, bytes);
    case PROGRESS:
        if (bytes != sizeof msa_run.layers) {
            return msa_run_fail("request: short progress");
        }
        memcpy(&msa_run.layers, rest, sizeof msa_run.layers);
        msa_run.progress = true;
        return 0;
    case SELF_TEST: return do_self_test();
    case SUBVOLUME: return do_subvolume(rest, bytes);
    case BANK: return do_bank(rest, bytes);
    case PROPAGATE: return msa_run_propagate(rest, bytes);
    case SAMPLES: return do_samples(rest, bytes, path);
    case REFINE: return msa_run_refine(rest, bytes);
    default: return msa_run_fail("request: no command %lu", (unsigned long)what);
    }
}

/* A command's rest is followed by a zero byte here, so that a path in it is a string. */
static int perform_all(const unsigned char *request, size_t bytes)
{
    static const char magic[8] = {'M', 'S', 'A', 'R', 'U', 'N', '6', '\n'};
    if (bytes < 8 || memcmp(request, magic, 8) != 0) {
        return msa_run_fail("request: of another version");
    }
    size_t at = 8;
    while (at < bytes) {
        uint32_t head[2];
        if (bytes - at < sizeof head) {
            return msa_run_fail("request: cut short");
        }
        memcpy(head, request + at, sizeof head);
        at += sizeof head;
        if (bytes - at < head[1]) {
            return msa_run_fail("request: cut short");
        }
        struct msa_run_block *const mark = msa_run.blocks;
        unsigned char *const rest = msa_run_allocate((size_t)head[1] + 1u);
        if (rest == NULL) {
            return -1;
        }
        memcpy(rest, request + at, head[1]);
        rest[head[1]] = 0;
        if (perform(head[0], rest, head[1]) != 0) {
            return -1;
        }
        if (head[0] != IMAGE && head[0] != SYNTHETIC) {
            msa_run_release(mark);
        }
        at += ((size_t)head[1] + 3u) / 4u * 4u;
    }
    return 0;
}

static int run(const char *request_path, const char *weights_path)
{
    const unsigned char *weights;
    size_t request_bytes, weights_bytes;
    const unsigned char *const request =
        msa_run_open_weights(weights_path, &weights, &weights_bytes) == 0 ? msa_run_load(request_path, &request_bytes)
            : NULL;
    if (request == NULL) {
        return -1;
    }
    void *const arena = msa_run_allocate(msa_run_model.arena_bytes);
    msa_run.kept = D;
    msa_run.logits = msa_run_allocate(sizeof(float) * D * msa_run_model.masks * SIDE * SIDE);
    msa_run.iou = msa_run_allocate(sizeof(float) * D * msa_run_model.masks);
    if (arena == NULL || msa_run.logits == NULL || msa_run.iou == NULL) {
        return -1;
    }
    msa_run.mask.logits = msa_run.logits;
    msa_run.mask.iou = msa_run.iou;
    const msa_status status = msa_run_model.open(&msa_run.session, arena, msa_run_model.arena_bytes, weights,
        weights_bytes);
    if (status != MSA_OK) {
        return msa_run_refuse_weights(status);
    }
    /* Once a run, on the bytes that it uses. It also brings in every page: page faults are not to count as time of the
     * layers that come first. */
    if (msa_run_check_weights() != 0) {
        return -1;
    }
    if (msa_run_team_start(&msa_run.session) != 0) {
        return -1;
    }
    const int failed = perform_all(request, request_bytes);
    msa_run_team_end();
    return failed;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: run REQUEST RESPONSE WEIGHTS, of build %s\n", msa_run_model.build);
        return 2;
    }
    msa_run.response = fopen(argv[2], "w");
    if (msa_run.response == NULL) {
        fprintf(stderr, "%s: cannot be written: %s\n", argv[2], strerror(errno));
        return 1;
    }
    int failed = run(argv[1], argv[3]);
    if (failed == 0) {
        failed = msa_run_weights_stay();
    }
    msa_run_release(NULL);
    if (fclose(msa_run.response) != 0) {
        fprintf(stderr, "%s: cannot be written: %s\n", argv[2], strerror(errno));
        return EXIT_FAILURE;
    }
    return failed != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
