/* SPDX-License-Identifier: Apache-2.0 */
/* A product whose weights are streamed: its hooks keep the contract of msa.h, deliver late, fail in turn, and hold the
 * library to its side of it.
 * usage: stream WEIGHTS PIXELS(raw RGB) WIDTH HEIGHT X Y LOGITS(raw floats, as a mapped build has them) EVERY(1: each
 * call fails once; n: every n-th) */
#define _POSIX_C_SOURCE 200809L
#include "msa_model.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#if MSA_MODEL_CORES > 1
#include "msa_threads.h"
#endif

enum { SIDE = MSA_MODEL_MASK_SIDE, LOGITS = MSA_MODEL_DEPTH * MSA_MODEL_MASKS * SIDE * SIDE };

static int file, failures;
static msa_session s;
static unsigned char *arena;
static float logits[LOGITS], expected[LOGITS], iou[MSA_MODEL_DEPTH * MSA_MODEL_MASKS];

/* The storage: what is asked for, how many calls there were, which one fails, whether the bytes come from a thread, and
 * late. */
static struct {
    uint64_t offset, total;
    size_t bytes;
    void *to;
    int under_way, late;
    unsigned calls, fail_at;
    uint64_t damaged; /* a byte of the file that reads wrong; 0: none */
    pthread_t thread;
} storage;

#define CHECK(holds) check((holds), #holds, __LINE__)

static void check(int holds, const char *what, int line)
{
    if (!holds) {
        printf("line %d: does not hold: %s\n", line, what);
        if (++failures > 20) {
            exit(1);
        }
    }
}

static void read_all(void)
{
    for (size_t at = 0; at < storage.bytes;) {
        const ssize_t n = pread(file, (char *)storage.to + at, storage.bytes - at, (off_t)(storage.offset + at));
        if (n <= 0) {
            fputs("the weights are short\n", stderr);
            exit(2);
        }
        at += (size_t)n;
    }
    if (storage.damaged >= storage.offset && storage.damaged < storage.offset + storage.bytes && storage.damaged != 0) {
        ((unsigned char *)storage.to)[storage.damaged - storage.offset] ^= 1u;
    }
}

static void *deliver(void *unused)
{
    const struct timespec pause = {0, 300000};
    (void)unused;
    nanosleep(&pause, NULL);
    read_all();
    return NULL;
}

int msa_weights_fetch_begin(msa_session *session, uint64_t offset, size_t bytes, void *dst)
{
    unsigned char *const to = dst;
    CHECK(session == &s);
    CHECK(!storage.under_way);
    CHECK(bytes > 0 && offset % MSA_ALIGNMENT == 0 && bytes % MSA_ALIGNMENT == 0
        && (uintptr_t)dst % MSA_ALIGNMENT == 0);
    CHECK(offset <= storage.total && bytes <= storage.total - offset);
    CHECK(to >= arena && bytes <= MSA_MODEL_ARENA_BYTES && (size_t)(to - arena) <= MSA_MODEL_ARENA_BYTES - bytes);
    if (++storage.calls == storage.fail_at) {
        return -1;
    }
    storage.offset = offset;
    storage.bytes = bytes;
    storage.to = dst;
    storage.under_way = 1;
    memset(dst, 0xff, bytes); /* NaN: whoever still reads what lay here, or reads too early, does not go unseen */
    if (storage.late && pthread_create(&storage.thread, NULL, deliver, NULL) != 0) {
        exit(2);
    }
    return 0;
}

int msa_weights_fetch_wait(msa_session *session)
{
    CHECK(session == &s);
    CHECK(storage.under_way);
    if (storage.late) {
        pthread_join(storage.thread, NULL);
    } else {
        read_all();
    }
    storage.under_way = 0;
    return ++storage.calls == storage.fail_at ? -1 : 0;
}

static void *aligned(size_t bytes)
{
    void *p = aligned_alloc(MSA_ALIGNMENT, (bytes + MSA_ALIGNMENT - 1) / MSA_ALIGNMENT * MSA_ALIGNMENT);
    if (!p) {
        exit(2);
    }
    return p;
}

static void load(const char *path, void *to, size_t bytes)
{
    FILE *f = fopen(path, "rb");
    if (!f || fread(to, 1, bytes, f) != bytes) {
        fprintf(stderr, "%s: is not %lu bytes\n", path, (unsigned long)bytes);
        exit(2);
    }
    fclose(f);
}

/* The product's progress hook: ends the call after so many layers, of all calls, as stop_at says; 0: none. Counts those
 * behind whose work a fetch was under way. */
static unsigned layers, stop_at, hiding;

int msa_progress(const msa_session *session, msa_phase phase, uint32_t layer)
{
    CHECK(session == &s && layer < (phase == MSA_PHASE_ENCODE ? MSA_MODEL_LAYERS_ENCODE : MSA_MODEL_LAYERS_DECODE));
    hiding += storage.under_way != 0;
    return ++layers == stop_at;
}

static msa_image image;
static msa_prompt prompt;
static size_t count;
#if MSA_MODEL_CORES > 1
static msa_threads team;
#endif

/* From opening to a mask; with the self-test, if that is wanted. */
static msa_status everything(int self_test)
{
    msa_mask mask = {logits, iou, 0};
    msa_status status = msa_open(&s, arena, MSA_MODEL_ARENA_BYTES, NULL, (size_t)storage.total);
#if MSA_MODEL_CORES > 1
    if (status == MSA_OK) (void)msa_set_team(&s, &team);
#endif
    if (status == MSA_OK && self_test) status = msa_self_test(&s);
    if (status == MSA_OK) status = msa_encode(&s, &image);
    if (status == MSA_OK) status = msa_segment(&s, &prompt, &mask);
    CHECK(!storage.under_way);
    return status;
}

static int right(void)
{
    return memcmp(logits, expected, sizeof(float) * count) == 0;
}

/* The most that was resident so far. */
static void report_memory(void)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    long kilobytes;
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "VmHWM: %ld", &kilobytes) == 1) {
            printf("resident %ld\n", kilobytes * 1024L);
        }
    }
    if (f) {
        fclose(f);
    }
}

/* Bytes that come at once, with the memory that takes; then bytes that come late. */
static void late(void)
{
    CHECK(everything(1) == MSA_OK && right());
    report_memory();
    storage.late = 1;
    memset(logits, 0, sizeof logits);
    layers = hiding = 0;
    CHECK(everything(1) == MSA_OK && right());
    /* all but a call's last */
    CHECK(layers == MSA_MODEL_LAYERS_ENCODE + MSA_MODEL_DEPTH * MSA_MODEL_LAYERS_DECODE
        && hiding >= layers - 1u - MSA_MODEL_DEPTH);
    storage.late = 0;
}

/* Each call of a hook fails in turn. The session is as after opening: it encodes and segments again. */
static void failing_hooks(unsigned every)
{
    unsigned failed = 0;
    for (unsigned at = 1;; at += every) {
        storage.calls = 0;
        storage.fail_at = at;
        const msa_status status = everything(1);
        if (storage.calls < at) {
            CHECK(status == MSA_OK);
            break;
        }
        CHECK(status == MSA_E_FETCH);
        ++failed;
        storage.fail_at = 0;
        msa_mask mask = {logits, iou, 0};
        if (msa_self_test(&s) == MSA_E_ARGUMENT) { /* opening failed */
            CHECK(everything(0) == MSA_OK && right());
            continue;
        }
        CHECK(msa_segment(&s, &prompt, &mask) == MSA_E_ORDER);
        memset(logits, 0, sizeof logits);
        CHECK(msa_encode(&s, &image) == MSA_OK && msa_segment(&s, &prompt, &mask) == MSA_OK && right());
    }
    printf("failed %u\n", failed);
    storage.fail_at = 0;
}

/* Cancelled after each layer in turn, with a fetch on its way: it has come to its end, and the session is as after
 * opening. */
static void cancelled(unsigned every)
{
    storage.late = 1;
    for (unsigned at = 1;; at += every) {
        layers = 0;
        stop_at = at;
        const msa_status status = everything(0);
        if (layers < at) {
            CHECK(status == MSA_OK && at > 1);
            break;
        }
        CHECK(status == MSA_E_CANCELLED);
        msa_mask mask = {logits, iou, 0};
        CHECK(msa_segment(&s, &prompt, &mask) == MSA_E_ORDER);
        stop_at = 0;
        memset(logits, 0, sizeof logits);
        CHECK(msa_encode(&s, &image) == MSA_OK && msa_segment(&s, &prompt, &mask) == MSA_OK && right());
    }
    storage.late = 0;
    stop_at = 0;
}

/* A failing click forgets the image, as a cancelled one does, and leaves the caller's mask alone. */
static void failing_click(void)
{
    CHECK(everything(0) == MSA_OK);
    storage.calls = 0;
    storage.fail_at = 5;
    msa_mask mask = {logits, iou, 77};
    CHECK(msa_segment(&s, &prompt, &mask) == MSA_E_FETCH && mask.masks == 77 && right());
    storage.fail_at = 0;
    CHECK(msa_segment(&s, &prompt, &mask) == MSA_E_ORDER);
}

/* Weights that are damaged, of another build, or no weights at all. */
static void wrong_weights(void)
{
    CHECK(msa_open(&s, arena, MSA_MODEL_ARENA_BYTES, arena, (size_t)storage.total) == MSA_E_ARGUMENT);
    CHECK(msa_open(&s, arena, MSA_MODEL_ARENA_BYTES - 64, NULL, (size_t)storage.total) == MSA_E_ARENA);
    CHECK(msa_open(&s, arena, MSA_MODEL_ARENA_BYTES, NULL, (size_t)storage.total - 64) == MSA_E_SIZE);
    storage.calls = 0;
    /* no header's worth */
    CHECK(msa_open(&s, arena, MSA_MODEL_ARENA_BYTES, NULL, 4032) == MSA_E_SIZE && storage.calls == 0);
    static const struct {
        uint64_t at;
        msa_status status;
    } places[] = {{1, MSA_E_FORMAT}, {17, MSA_E_SIZE}, {33, MSA_E_ARITHMETIC}, {50, MSA_E_BUILD}, {130, MSA_E_CRC}};
    for (size_t i = 0; i < sizeof places / sizeof *places; ++i) {
        storage.damaged = places[i].at;
        CHECK(msa_open(&s, arena, MSA_MODEL_ARENA_BYTES, NULL, (size_t)storage.total) == places[i].status);
        CHECK(msa_encode(&s, &image) == MSA_E_ARGUMENT);
    }
    for (uint64_t at = 5000; at < storage.total; at += storage.total / 7) {
        storage.damaged = 0;
        CHECK(msa_open(&s, arena, MSA_MODEL_ARENA_BYTES, NULL, (size_t)storage.total) == MSA_OK);
        storage.damaged = at;
        CHECK(msa_self_test(&s) == MSA_E_CRC);
    }
    storage.damaged = 0;
    CHECK(everything(1) == MSA_OK && right());
}

int main(int argc, char **argv)
{
    if (argc != 9 || (file = open(argv[1], O_RDONLY)) < 0) {
        return 2;
    }
    const float point[1][2] = {{(float)atof(argv[5]), (float)atof(argv[6])}};
    const int8_t label[1] = {1};
    const unsigned every = (unsigned)atoi(argv[8]);
    image.width = (uint32_t)atoi(argv[3]);
    image.height = (uint32_t)atoi(argv[4]);
    image.stride = 3u * image.width;
    uint8_t *const pixels = aligned(image.stride * image.height);
    load(argv[2], pixels, image.stride * image.height);
    image.pixels = pixels;
    prompt = (msa_prompt){point, label, 1, NULL, NULL, false, 1, false, 0};
    count = (size_t)MSA_MODEL_DEPTH * (MSA_MODEL_FIRST_CLASSES == 0 ? 1u : MSA_MODEL_FIRST_CLASSES) * SIDE * SIDE;
    load(argv[7], expected, sizeof(float) * count);
    storage.total = MSA_MODEL_WEIGHTS_BYTES;
    arena = aligned(MSA_MODEL_ARENA_BYTES);
    memset(arena, 0xff, MSA_MODEL_ARENA_BYTES);
#if MSA_MODEL_CORES > 1
    if (msa_threads_start(&team, MSA_MODEL_CORES) != 0) return 2;
#endif

    late();
    failing_hooks(every);
    cancelled(every);
    failing_click();
    wrong_weights();
#if MSA_MODEL_CORES > 1
    msa_threads_end(&team);
#endif
    return failures != 0;
}
