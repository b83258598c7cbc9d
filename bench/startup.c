/* SPDX-License-Identifier: Apache-2.0 */
/* startup.c - a product from its first instruction on: map the weights, open, encode, decode; startup.lua compiles it
 * with a model and runs it.
 *
 * startup WEIGHTS WAY TIMES
 *   WAY    plain: map and go; populate: MAP_POPULATE; check: populate and self-test before the first image
 *   TIMES  encodes, each with a decode after it
 * Prints a line for each step, `map`, `open`, `crc` and `self_test` (check only), `encode`, `decode`: milliseconds on
 * the clock, of this process, and page faults. */
#define _DEFAULT_SOURCE
#include "msa_model.h"
#include "msa_runtime.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#define S MSA_MODEL_INPUT_SIZE
#define D MSA_MODEL_DEPTH
#define PIXELS ((size_t)D * MSA_MODEL_MASKS * MSA_MODEL_MASK_SIDE * MSA_MODEL_MASK_SIDE)

static double milliseconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static double last, last_busy;
static long last_faults;

static long faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

static void begin(void)
{
    last_faults = faults();
    last_busy = milliseconds(CLOCK_PROCESS_CPUTIME_ID);
    last = milliseconds(CLOCK_MONOTONIC);
}

/* What passed since the latest begin(). */
static void report(const char *what)
{
    const double now = milliseconds(CLOCK_MONOTONIC), busy = milliseconds(CLOCK_PROCESS_CPUTIME_ID);
    printf("%s %.3f %.3f %ld\n", what, now - last, busy - last_busy, faults() - last_faults);
    begin();
}

static void *memory(size_t bytes)
{
    void *p = NULL;
    if (posix_memalign(&p, MSA_ALIGNMENT, bytes) != 0)
        exit(1);
    return p;
}

static void need(msa_status status)
{
    if (status != MSA_OK) {
        fprintf(stderr, "startup: %s\n", msa_status_text(status));
        exit(1);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fputs("usage: startup WEIGHTS plain|populate|check TIMES\n", stderr);
        return 2;
    }
    const int times = atoi(argv[3]);
    /* The camera's: there before the model is. */
    uint8_t *const pixels = memory((size_t)3 * S * S);
    uint32_t noise = 1;
    for (size_t i = 0; i < (size_t)3 * S * S; ++i) {
        noise = noise * 1664525u + 1013904223u;
        pixels[i] = (uint8_t)(noise >> 24);
    }
    begin();
    const int file = open(argv[1], O_RDONLY);
    struct stat info;
    if (file < 0 || fstat(file, &info) != 0) {
        perror(argv[1]);
        return 1;
    }
    const size_t bytes = (size_t)info.st_size;
    const int populate = strcmp(argv[2], "plain") == 0 ? 0 : MAP_POPULATE;
    const unsigned char *const weights = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE | populate, file, 0);
    if (weights == MAP_FAILED) {
        perror(argv[1]);
        return 1;
    }
    report("map");
    static msa_session session;
    void *const arena = memory(MSA_MODEL_ARENA_BYTES);
    need(msa_open(&session, arena, MSA_MODEL_ARENA_BYTES, weights, bytes));
    report("open");
    if (strcmp(argv[2], "check") == 0) {
        need(msa_check_segments(weights));
        report("crc");
        need(msa_self_test(&session)); /* the CRCs once more, and the known answer */
        report("self_test");
    }
    msa_mask mask = {.logits = memory(PIXELS * sizeof(float)), .iou = memory(sizeof(float) * D * MSA_MODEL_MASKS)};
    const msa_image image = {.pixels = pixels, .width = S, .height = S, .stride = (size_t)3 * S, .slice_stride = 0};
    const float point[1][2] = {{S / 2.0f, S / 2.0f}};
    const int8_t label[1] = {1};
    const msa_prompt prompt = {.points = point, .labels = label, .point_count = 1, .slices = 1};
    begin();
    for (int i = 0; i < times; ++i) {
        need(msa_encode(&session, &image));
        report("encode");
        need(msa_segment(&session, &prompt, &mask));
        report("decode");
    }
    return 0;
}
