/* SPDX-License-Identifier: Apache-2.0 */
/* model.c - a generated model as a program of its own would use it: weights mapped, opened, encoded, one click decoded,
 * again and again.
 *
 * model WEIGHTS [REPETITIONS]   prints of each take in order `encode_ms`, `first_ms`, the first click after it (three
 * masks), and `click_ms`, each of four more; each with `..._cpu_ms`, the processor time of all its threads;
 * `answer_ms`, from main's first line to the first result;
 * `peak_bytes`, VmHWM. */
#define _POSIX_C_SOURCE 200809L
#include "msa_model.h"
#if MSA_MODEL_CORES > 1
#include "msa_threads.h"
#endif

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SIDE = MSA_MODEL_INPUT_SIZE, CLICKS = 5 };

static double ms(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

struct watch {
    double wall, busy;
};

static struct watch started(void)
{
    return (struct watch){ms(CLOCK_MONOTONIC), ms(CLOCK_PROCESS_CPUTIME_ID)};
}

static void report(const char *what, struct watch since)
{
    const struct watch now = started();
    printf("%s_ms %.3f\n%s_cpu_ms %.3f\n", what, now.wall - since.wall, what, now.busy - since.busy);
}

static void check(msa_status status, const char *what)
{
    if (status != MSA_OK) {
        fprintf(stderr, "model: %s: %s\n", what, msa_status_text(status));
        exit(EXIT_FAILURE);
    }
}

static void *aligned(size_t bytes)
{
    void *p = NULL;
    if (posix_memalign(&p, MSA_ALIGNMENT, bytes) != 0) {
        fputs("model: out of memory\n", stderr);
        exit(EXIT_FAILURE);
    }
    return p;
}

/* Most memory that was resident at once, code and mapped weights included; 0 where the kernel does not tell. */
static unsigned long peak_kib(void)
{
    char line[128];
    unsigned long kib = 0;
    FILE *const file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "VmHWM: %lu", &kib) == 1)
            break;
    }
    if (file != NULL)
        fclose(file);
    return kib;
}

static const void *mapped(const char *path, size_t *bytes)
{
    struct stat info;
    const int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &info) != 0) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    *bytes = (size_t)info.st_size;
    const void *const weights = mmap(NULL, *bytes, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    if (weights == MAP_FAILED) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    return weights;
}

/* An image of noise, the same each time. */
static uint8_t *noise(void)
{
    uint8_t *const pixels = aligned((size_t)SIDE * SIDE * 3u);
    uint32_t state = 1;
    for (size_t i = 0; i < (size_t)SIDE * SIDE * 3u; ++i) {
        state = state * 1664525u + 1013904223u;
        pixels[i] = (uint8_t)(state >> 24);
    }
    return pixels;
}

int main(int argc, char **argv)
{
    const double began = ms(CLOCK_MONOTONIC);
    const int repetitions = argc > 2 ? atoi(argv[2]) : 5;
    if (argc < 2 || argc > 3 || repetitions < 1) {
        fputs("usage: model WEIGHTS [REPETITIONS]\n", stderr);
        return 2;
    }
    size_t weights_bytes;
    const void *const weights = mapped(argv[1], &weights_bytes);
    void *const arena = aligned(MSA_MODEL_ARENA_BYTES);
    uint8_t *const pixels = noise();
    const size_t pixels_of_a_mask = (size_t)MSA_MODEL_MASK_SIDE * MSA_MODEL_MASK_SIDE;
    msa_mask mask = {aligned(sizeof(float) * MSA_MODEL_DEPTH * MSA_MODEL_MASKS * pixels_of_a_mask),
                     aligned(sizeof(float) * MSA_MODEL_DEPTH * MSA_MODEL_MASKS), 0};
    const msa_image image = {pixels, SIDE, SIDE, (size_t)SIDE * 3u, 0};
    const float click[1][2] = {{SIDE * 0.5f, SIDE * 0.5f}};
    const int8_t label[1] = {1};
    const msa_prompt prompt = {.points = click, .labels = label, .point_count = 1, .multimask = true, .slices = 1};

    msa_session session;
    check(msa_open(&session, arena, MSA_MODEL_ARENA_BYTES, weights, weights_bytes), "opening");
#if MSA_MODEL_CORES > 1
    static msa_threads team;
    if (msa_threads_start(&team, MSA_MODEL_CORES) != 0) {
        fputs("model: threads cannot be started\n", stderr);
        return EXIT_FAILURE;
    }
    check(msa_set_team(&session, &team), "giving the team");
#endif
    for (int i = 0; i < repetitions; ++i) {
        struct watch watch = started();
        check(msa_encode(&session, &image), "encoding");
        report("encode", watch);
        for (int k = 0; k < CLICKS; ++k) {
            watch = started();
            check(msa_segment(&session, &prompt, &mask), "decoding");
            report(k == 0 ? "first" : "click", watch);
            if (i == 0 && k == 0)
                printf("answer_ms %.3f\n", ms(CLOCK_MONOTONIC) - began);
        }
    }
    printf("peak_bytes %lu\n", 1024ul * peak_kib());
#if MSA_MODEL_CORES > 1
    msa_threads_end(&team);
#endif
    return 0;
}
