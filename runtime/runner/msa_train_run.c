/* SPDX-License-Identifier: 0BSD */
/* msa_train_run.c - test bench of a training build: commands from standard input, or from a file, answers to standard
 * output, or to another one. All numbers are little-endian; a command is a word and what it takes, in this order:
 *   E  width, height, slices; pixels                                         -> status
 *   V  width, height; embedding                                              -> status
 *   O                                                                        -> status; embedding
 *   D  slice, points, box?, mask?, multimask; points (x, y), labels (u32),   -> status; masks, then their logits and
 *      box, mask                                                               scores
 *   B  loss kind, binary; pos_weight, focal, dice, iou, weight (double);     -> status; value (double), chosen, masks,
 *      floats?, masks, side; target                                            five doubles of each
 * of pre-training, in place of E, D and B:
 *   C  share, other (float); width, height, 1; pixels; where there are pairs  -> status; prediction
 *      the partner's; numbers of rows: index, back
 *   L  of pairs: gradient; else: marks, a byte each                          -> status; of no pairs: value (double)
 * of both:
 *   I                                                                        -> status
 *   U  kind, matrices, images; lr, betas, eps, decay, clip (double)          -> status, norm (float)
 *   G  kind                                                                  -> status; values
 *   S  kind, given?; values                                                  -> status
 *   T  steps, kind; lr, betas, eps, decay, clip (double)                     -> status
 *   P  first float of the arena, count                                       -> these floats
 *   Q                                                                        the end
 * Words are u32. */
#if defined(__unix__)
#define _DEFAULT_SOURCE /* madvise */
#endif
#include "msa_train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of weights from which on memory is worth the time to read them again. */
#define MUCH 67108864u

/* Where there is no operating system the program has the weights in it. */
#define BARE (!__STDC_HOSTED__)

#if defined(__unix__) && !BARE
#define ON_POSIX 1
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#else
#define ON_POSIX 0
#endif
#if MSA_TRAIN_CORES > 1
#include "msa_threads.h"
static msa_threads team;
#endif

#define EMBEDDING ((size_t)MSA_TRAIN_DEPTH * MSA_TRAIN_OUT * MSA_TRAIN_GRID * MSA_TRAIN_GRID)

static FILE *request, *response;
static msa_train session;

static int fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    return -1;
}

static int get(void *to, size_t bytes)
{
    return bytes == 0 || fread(to, 1, bytes, request) == bytes ? 0 : fail("the request ends early");
}

static int put(const void *from, size_t bytes)
{
    return bytes == 0 || fwrite(from, 1, bytes, response) == bytes ? 0 : fail("the answer cannot be written");
}

static int put_status(msa_status status)
{
    const uint32_t word = (uint32_t)status;
    return put(&word, sizeof word);
}

/* Memory that is as large as it was needed so far. */
typedef struct room {
    void *memory;
    size_t bytes;
} room;

static void *make_room(room *r, size_t bytes)
{
    if (bytes > r->bytes) {
        free(r->memory);
        r->memory = malloc(bytes);
        r->bytes = r->memory != NULL ? bytes : 0;
    }
    return r->memory;
}

static void *aligned_room(size_t bytes)
{
    unsigned char *const p = malloc(bytes + 2u * MSA_ALIGNMENT);
    return p != NULL ? p + (MSA_ALIGNMENT - (uintptr_t)p % MSA_ALIGNMENT) : NULL;
}

#if defined(MSA_PRETRAIN_ROWS) || MSA_TRAIN_IMAGES
/* An image. @return 0, or -1 */
static int get_image(room *pixels, msa_image *image)
{
    uint32_t head[3];
    if (get(head, sizeof head) != 0) {
        return -1;
    }
    if (head[0] == 0 || head[0] > MSA_MAX_SIDE || head[1] == 0 || head[1] > MSA_MAX_SIDE
        || head[2] != MSA_TRAIN_DEPTH) {
        return fail("an image of another size");
    }
    const size_t slice = (size_t)head[0] * head[1] * 3u, bytes = slice * head[2];
    uint8_t *const to = make_room(pixels, bytes);
    if (to == NULL || get(to, bytes) != 0) {
        return fail("no image");
    }
    *image = (msa_image){.pixels = to, .width = head[0], .height = head[1], .stride = (size_t)head[0] * 3u,
                         .slice_stride = slice};
    return 0;
}

#endif
#ifdef MSA_PRETRAIN_ROWS
#define PREDICTED ((size_t)MSA_PRETRAIN_ROWS * MSA_PRETRAIN_WIDTH)

static int encode_chosen(void)
{
    static room pixels, partners;
    static uint32_t index[MSA_PRETRAIN_INDEX + 1], back[MSA_PRETRAIN_BACK + 1];
    static float prediction[PREDICTED];
    msa_image image, partner;
    float shares[2];
    if (get(shares, sizeof shares) != 0 || get_image(&pixels, &image) != 0
        || (MSA_PRETRAIN_PAIRS != 0 && get_image(&partners, &partner) != 0)
        || get(index, MSA_PRETRAIN_INDEX * sizeof *index) != 0 || get(back, MSA_PRETRAIN_BACK * sizeof *back) != 0) {
        return -1;
    }
    const msa_choice choice = {index, back, MSA_PRETRAIN_PAIRS != 0 ? &partner : NULL, shares[0], shares[1]};
    const msa_status status = msa_pretrain_encode(&session, &image, &choice, prediction);
    return put_status(status) != 0 ? -1 : status != MSA_OK ? 0 : put(prediction, sizeof prediction);
}

static int loss_of_chosen(void)
{
#if MSA_PRETRAIN_PAIRS
    static float gradient[PREDICTED];
    return get(gradient, sizeof gradient) != 0 ? -1 : put_status(msa_pretrain_gradient(&session, gradient));
#else
    static uint8_t marked[MSA_PRETRAIN_ROWS];
    double value = 0.0;
    if (get(marked, sizeof marked) != 0) {
        return -1;
    }
    const msa_status status = msa_pretrain_loss(&session, marked, &value);
    return put_status(status) != 0 ? -1 : status != MSA_OK ? 0 : put(&value, sizeof value);
#endif
}

#else
#if MSA_TRAIN_IMAGES
static int encode(void)
{
    static room pixels;
    msa_image image;
    return get_image(&pixels, &image) != 0 ? -1 : put_status(msa_train_encode(&session, &image));
}

#endif
#if MSA_TRAIN_EMBEDDINGS
static float *embedding_room(void)
{
    static float *all;
    if (all == NULL) {
        all = malloc(EMBEDDING * sizeof(float));
    }
    return all;
}

static int set_embedding(void)
{
    uint32_t size[2];
    float *const all = embedding_room();
    if (all == NULL || get(size, sizeof size) != 0 || get(all, EMBEDDING * sizeof(float)) != 0) {
        return fail("no embedding");
    }
    return put_status(msa_train_set_embedding(&session, all, size[0], size[1]));
}

static int get_embedding(void)
{
    float *const all = embedding_room();
    if (all == NULL) {
        return fail("no room for the embedding");
    }
    const msa_status status = msa_train_get_embedding(&session, all);
    if (put_status(status) != 0) {
        return -1;
    }
    return status == MSA_OK ? put(all, EMBEDDING * sizeof(float)) : 0;
}

#endif
#define SIDE2 ((size_t)MSA_TRAIN_MASK_SIDE * MSA_TRAIN_MASK_SIDE)

static int decode(void)
{
    static float points[MSA_TRAIN_MAX_POINTS][2], box[1][4], scores[MSA_TRAIN_MASKS];
    static uint32_t words[MSA_TRAIN_MAX_POINTS];
    static int8_t labels[MSA_TRAIN_MAX_POINTS];
    static float *given, *logits;
    uint32_t head[6];
    if (get(head, sizeof head) != 0) {
        return -1;
    }
    if (head[1] > MSA_TRAIN_MAX_POINTS || (head[5] != 0 && MSA_TRAIN_TEXT == 0)) {
        return fail("too many points, or a text");
    }
    if (given == NULL) {
        given = malloc(SIDE2 * sizeof(float));
        logits = malloc(MSA_TRAIN_MASKS * SIDE2 * sizeof(float));
    }
    if (given == NULL || logits == NULL || get(points, head[1] * sizeof points[0]) != 0
        || get(words, head[1] * sizeof words[0]) != 0 || get(box, head[2] != 0 ? sizeof box : 0) != 0
        || get(given, head[3] != 0 ? SIDE2 * sizeof(float) : 0) != 0) {
        return fail("no prompt");
    }
    for (uint32_t i = 0; i < head[1]; ++i) {
        labels[i] = (int8_t)(int32_t)words[i];
    }
#if MSA_TRAIN_TEXT > 0
    static float text[MSA_TRAIN_TEXT];
    if (get(text, head[5] != 0 ? sizeof text : 0) != 0 || msa_train_text(&session, text) != MSA_OK) {
        return fail("no text");
    }
#endif
    const msa_prompt prompt = {.points = (const float (*)[2])points, .labels = labels, .point_count = head[1],
        .box = head[2] != 0 ? (const float (*)[4])box : NULL, .mask = head[3] != 0 ? given : NULL,
        .multimask = head[4] != 0, .with_text = head[5] != 0,
        .slices = 1};
    msa_mask mask = {.logits = logits, .iou = scores};
    const msa_status status = msa_train_decode(&session, &prompt, head[0], &mask);
    if (put_status(status) != 0 || status != MSA_OK) {
        return status != MSA_OK ? 0 : -1;
    }
    const uint32_t masks = mask.masks;
    return put(&masks, sizeof masks) != 0 || put(logits, masks * SIDE2 * sizeof(float)) != 0
        ? -1 : put(scores, masks * sizeof(float));
}

static int put_loss(const msa_loss *loss, uint32_t masks)
{
    if (put(&loss->value, sizeof loss->value) != 0 || put(&loss->chosen, sizeof loss->chosen) != 0
        || put(&masks, sizeof masks) != 0) {
        return -1;
    }
    for (uint32_t i = 0; i < masks; ++i) {
        const msa_loss_mask *const m = &loss->masks[i];
        const double all[5] = {m->cross, m->dice, m->iou, m->overlap, m->total};
        if (put(all, sizeof all) != 0) {
            return -1;
        }
    }
    return 0;
}

static int backward(void)
{
    static room target;
    uint32_t kind[2], head[3];
    double numbers[5];
    if (get(kind, sizeof kind) != 0 || get(numbers, sizeof numbers) != 0 || get(head, sizeof head) != 0) {
        return -1;
    }
    if (head[1] > 64u || head[2] == 0 || head[2] > MSA_MAX_SIDE) {
        return fail("a target of another size");
    }
    const size_t bytes = (size_t)head[1] * head[2] * head[2] * (head[0] != 0 ? sizeof(float) : 1u);
    void *const to = make_room(&target, bytes);
    if (to == NULL || get(to, bytes) != 0) {
        return fail("no target");
    }
    const msa_target of = {head[0] != 0 ? NULL : to, head[0] != 0 ? to : NULL, head[1], head[2]};
    const msa_loss_rule rule = {.kind = (msa_loss_kind)kind[0], .binary = kind[1] != 0, .pos_weight = numbers[0],
        .focal = numbers[1], .dice = numbers[2], .iou = numbers[3]};
    msa_loss loss = {0.0, 0, NULL};
    const uint32_t masks = session.count;
    const msa_status status = msa_train_backward(&session, &of, &rule, numbers[4], &loss);
    if (put_status(status) != 0) {
        return -1;
    }
    return status == MSA_OK ? put_loss(&loss, masks) : 0;
}

#endif

static int get_optimiser(msa_optimiser *rule, uint32_t kind)
{
    double numbers[6];
    if (get(numbers, sizeof numbers) != 0) {
        return -1;
    }
    rule->kind = (msa_optimiser_kind)kind;
    rule->lr = numbers[0];
    rule->beta1 = numbers[1];
    rule->beta2 = numbers[2];
    rule->eps = numbers[3];
    rule->decay = numbers[4];
    rule->clip = numbers[5];
    return 0;
}

static int update(void)
{
    uint32_t head[3];
    msa_optimiser rule;
    float norm = 0.0f;
    if (get(head, sizeof head) != 0 || get_optimiser(&rule, head[0]) != 0) {
        return -1;
    }
    const msa_status status = msa_train_update(&session, &rule, head[1] != 0, head[2], &norm);
    return put_status(status) != 0 ? -1 : put(&norm, sizeof norm);
}

static int steps(void)
{
    uint32_t head[2];
    msa_optimiser rule;
    if (get(head, sizeof head) != 0 || get_optimiser(&rule, head[1]) != 0) {
        return -1;
    }
    return put_status(msa_train_set_steps(&session, &rule, head[0]));
}

static float *values_room(void)
{
    static float *all;
    if (all == NULL) {
        all = malloc((size_t)MSA_TRAIN_ELEMENTS * sizeof(float));
    }
    return all;
}

static int get_values(void)
{
    uint32_t kind;
    float *const all = values_room();
    if (all == NULL || get(&kind, sizeof kind) != 0) {
        return fail("no room for values");
    }
    const msa_status status = msa_train_get(&session, (msa_values)kind, all);
    if (put_status(status) != 0) {
        return -1;
    }
    return status == MSA_OK ? put(all, (size_t)MSA_TRAIN_ELEMENTS * sizeof(float)) : 0;
}

static int set_values(void)
{
    uint32_t head[2];
    float *const all = values_room();
    if (all == NULL || get(head, sizeof head) != 0
        || get(all, head[1] != 0 ? (size_t)MSA_TRAIN_ELEMENTS * sizeof(float) : 0) != 0) {
        return fail("no values");
    }
    return put_status(msa_train_set(&session, (msa_values)head[0], head[1] != 0 ? all : NULL));
}

static int peek(void)
{
    uint32_t head[2];
    if (get(head, sizeof head) != 0) {
        return -1;
    }
    if (head[0] > MSA_TRAIN_ARENA_BYTES / sizeof(float) || head[1] > MSA_TRAIN_ARENA_BYTES / sizeof(float) - head[0]) {
        return fail("no such place in the arena");
    }
    return put((const float *)(const void *)session.session.arena + head[0], head[1] * sizeof(float));
}

/* @return 1 at the end, -1 where it went wrong */
static int command(uint32_t word)
{
    switch (word) {
#ifdef MSA_PRETRAIN_ROWS
    case 'C': return encode_chosen();
    case 'L': return loss_of_chosen();
#else
#if MSA_TRAIN_IMAGES
    case 'E': return encode();
#endif
#if MSA_TRAIN_EMBEDDINGS
    case 'V': return set_embedding();
    case 'O': return get_embedding();
#endif
    case 'D': return decode();
    case 'B': return backward();
#endif
    case 'I': return put_status(msa_train_image_end(&session));
    case 'U': return update();
    case 'G': return get_values();
    case 'S': return set_values();
    case 'T': return steps();
    case 'P': return peek();
    case 'Q': return 1;
    default: return fail("no such command");
    }
}

#if ON_POSIX
static void *mapped; /* the weights, where they are large: what a layer has read of them need not stay */

int msa_progress(const msa_session *at, msa_phase phase, uint32_t layer)
{
    (void)at;
    (void)phase;
    (void)layer;
    if (mapped != NULL) {
        (void)madvise(mapped, MSA_TRAIN_WEIGHTS_BYTES, MADV_DONTNEED);
    }
    return 0;
}
#endif

#if BARE
extern const unsigned char msa_weights[], msa_weights_end[];
#endif

static const void *weights_at(const char *path)
{
#if BARE
    (void)path;
    return msa_weights_end - msa_weights == MSA_TRAIN_WEIGHTS_BYTES ? msa_weights : NULL;
#elif ON_POSIX
    struct stat file;
    const int descriptor = open(path, O_RDONLY);
    if (descriptor < 0 || fstat(descriptor, &file) != 0 || (uint64_t)file.st_size < MSA_TRAIN_WEIGHTS_BYTES) {
        return NULL;
    }
    void *const p = mmap(NULL, MSA_TRAIN_WEIGHTS_BYTES, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (p == MAP_FAILED) {
        return NULL;
    }
    mapped = MSA_TRAIN_WEIGHTS_BYTES > MUCH ? p : NULL;
    return p;
#else
    FILE *const file = fopen(path, "rb");
    void *const p = file != NULL ? aligned_room(MSA_TRAIN_WEIGHTS_BYTES) : NULL;
    return p != NULL && fread(p, 1, MSA_TRAIN_WEIGHTS_BYTES, file) == MSA_TRAIN_WEIGHTS_BYTES ? p : NULL;
#endif
}

int main(int argc, char **argv)
{
    if (argc != 2 && argc != 4) {
        fputs("usage: msa_train_run WEIGHTS [REQUEST ANSWER]\n", stderr);
        return 2;
    }
    request = argc == 4 ? fopen(argv[2], "rb") : stdin;
    response = argc == 4 ? fopen(argv[3], "wb") : stdout;
    const void *const weights = weights_at(argv[1]);
    void *const arena = aligned_room(MSA_TRAIN_ARENA_BYTES);
    if (request == NULL || response == NULL || weights == NULL || arena == NULL) {
        fputs(weights == NULL ? "the weights cannot be read\n" : "no files, or no memory for the arena\n", stderr);
        return 1;
    }
    const msa_status status = msa_train_open(&session, arena, MSA_TRAIN_ARENA_BYTES, weights, MSA_TRAIN_WEIGHTS_BYTES);
    if (status != MSA_OK) {
        fprintf(stderr, "%s\n", msa_status_text(status));
        return 1;
    }
#if MSA_TRAIN_CORES > 1
    if (msa_threads_start(&team, MSA_TRAIN_CORES) != 0 || msa_train_set_team(&session, &team) != MSA_OK) {
        fputs("the threads cannot be started\n", stderr);
        return 1;
    }
#endif
    uint32_t word;
    int done = 0;
    while (done == 0 && fread(&word, 1, sizeof word, request) == sizeof word) {
        done = command(word);
        fflush(response);
    }
    return done < 0 ? 1 : 0;
}
