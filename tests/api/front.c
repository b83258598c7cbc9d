/* SPDX-License-Identifier: Apache-2.0 */
/* A front end alone, without persistence, under misuse: front WEIGHTS SEED ROUNDS. Samples of any bits, lines in pieces
 * of any number, strides, tables with any bits in them; samples, arena and weights each end at a page that nobody may
 * touch. Prints the sum of what whole frames gave, which nothing of it may change. */
#define _DEFAULT_SOURCE
#include "msa_internal.h"

#include <fenv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ALIGN_UP(n, to) (((n) + (to) - 1) / (to) * (to))
#define CHECK(what) do { if (!(what)) { fprintf(stderr, "%d: %s\n", __LINE__, #what); exit(1); } } while (0)

static uint32_t state;

static uint32_t any(void)
{
    state = state * 1664525u + 1013904223u;
    return state >> 8 ^ state << 24;
}

/* Memory that ends at a page without any access, but for what an alignment leaves. */
static unsigned char *guarded(size_t bytes, size_t alignment)
{
    const size_t page = 4096, whole = ALIGN_UP(bytes, page);
    unsigned char *const p = mmap(NULL, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED && mprotect(p + whole, page, PROT_NONE) == 0);
    return p + whole - ALIGN_UP(bytes, alignment);
}

static unsigned char *frame_lines, *arena, *weights;
static msa_session s;
static uint8_t picture[MSA_FRONT_WIDTH * MSA_FRONT_HEIGHT * MSA_FRONT_CHANNELS];

static uint32_t sum_of(void)
{
    msa_picture shown;
    CHECK(msa_picture_get(&s, &shown) == MSA_OK && shown.width <= MSA_FRONT_WIDTH && shown.height <= MSA_FRONT_HEIGHT);
    CHECK(msa_bmode(&s, picture) == MSA_OK);
    return msa_crc32c(0, picture, (size_t)shown.width * shown.height * MSA_FRONT_CHANNELS);
}

/* A hook that leaves another rounding behind, once. */
static int rounds_once;

int msa_progress(const msa_session *session, msa_phase phase, uint32_t layer)
{
    CHECK(session == &s && phase == MSA_PHASE_FRONT);
    if (rounds_once != 0 && layer + 1 == MSA_FRONT_STEPS) {
        fesetround(FE_UPWARD);
        rounds_once = 0;
    }
    return 0;
}

/* What is refused takes no line of the frame that is begun; a frame that is cut off begins anew. */
static void begun(void)
{
    const msa_samples samples = {frame_lines, MSA_FRONT_LINE_BYTES};
    CHECK(msa_lines_push(&s, &samples, 1) == MSA_OK);
    CHECK(msa_lines_push(&s, &samples, MSA_FRONT_LINES) == MSA_E_LINES && s.lines == 1);
    CHECK(msa_lines_push(&s, NULL, 1) == MSA_E_ARGUMENT && s.lines == 1);
    fesetround(FE_UPWARD);
    CHECK(msa_lines_push(&s, &samples, 1) == MSA_E_ENVIRONMENT && s.lines == 1);
    fesetround(FE_TONEAREST);
    rounds_once = 1;
    const msa_status status = msa_frame(&s, &samples);
    fesetround(FE_TONEAREST);
    CHECK(status == MSA_E_ENVIRONMENT || (status == MSA_E_FIELD && rounds_once != 0));
    CHECK(s.lines == 0 && (status == MSA_E_FIELD || msa_bmode(&s, picture) == MSA_E_ORDER));
    rounds_once = 0;
}

static void misuse(void)
{
    msa_samples samples = {frame_lines, MSA_FRONT_LINE_BYTES};
    static msa_session closed;
    CHECK(msa_frame(&closed, &samples) == MSA_E_ARGUMENT && msa_frame(NULL, &samples) == MSA_E_ARGUMENT);
    CHECK(msa_bmode(&s, picture) == MSA_E_ORDER && msa_bmode(&closed, picture) == MSA_E_ARGUMENT);
    CHECK(msa_frame(&s, NULL) == MSA_E_ARGUMENT);
    CHECK(msa_lines_push(&s, &samples, MSA_FRONT_LINES + 1) == MSA_E_LINES);
    samples.stride = MSA_FRONT_LINE_BYTES - MSA_FRONT_ALIGNMENT;
    CHECK(msa_frame(&s, &samples) == MSA_E_IMAGE_STRIDE);
    samples.stride = SIZE_MAX / MSA_FRONT_ALIGNMENT * MSA_FRONT_ALIGNMENT;
    CHECK(msa_frame(&s, &samples) == MSA_E_IMAGE_STRIDE);
    samples.stride = MSA_FRONT_LINE_BYTES;
    if (MSA_FRONT_ALIGNMENT > 1) {
        samples.lines = frame_lines + 1;
        CHECK(msa_frame(&s, &samples) == MSA_E_ALIGNMENT);
    }
    samples.lines = arena;
    CHECK(msa_frame(&s, &samples) == MSA_E_OVERLAP);
    samples.lines = NULL;
    CHECK(msa_frame(&s, &samples) == MSA_E_ARGUMENT);
    samples.lines = frame_lines;
    begun();
    const msa_status black = msa_frame(&s, &samples);
    CHECK((black == MSA_OK || black == MSA_E_FIELD) && msa_bmode(&s, NULL) == MSA_E_ARGUMENT);
    CHECK(msa_bmode(&s, arena) == (black == MSA_OK ? MSA_E_OVERLAP : MSA_E_ORDER));
    CHECK(msa_self_test(&s) == MSA_OK && msa_bmode(&s, picture) == MSA_E_ORDER);
}

/* A frame in pieces. */
static msa_status pieces(void)
{
    uint32_t taken = 0;
    msa_status status = MSA_OK;
    while (taken < MSA_FRONT_LINES && status == MSA_OK) {
        const uint32_t left = MSA_FRONT_LINES - taken, most = any() % 4 == 0 ? left : 5;
        const uint32_t count = any() % most % left + 1;
        const msa_samples samples = {frame_lines + (size_t)taken * MSA_FRONT_LINE_BYTES, MSA_FRONT_LINE_BYTES};
        status = msa_lines_push(&s, &samples, count);
        taken += count;
    }
    return status;
}

static void fill(unsigned char *p, size_t bytes)
{
    const uint32_t kind = any() % 4;
    for (size_t i = 0; i < bytes; ++i) p[i] = (unsigned char)(kind == 0 ? 0 : kind == 1 ? 0xff : any());
}

int main(int argc, char **argv)
{
    const size_t frame_bytes = (size_t)MSA_FRONT_LINES * MSA_FRONT_LINE_BYTES;
    FILE *const file = argc == 4 ? fopen(argv[1], "rb") : NULL;
    weights = guarded(MSA_MODEL_WEIGHTS_BYTES, MSA_ALIGNMENT);
    arena = guarded(MSA_MODEL_ARENA_BYTES, MSA_ALIGNMENT);
    frame_lines = guarded(frame_bytes, MSA_FRONT_ALIGNMENT);
    CHECK(file != NULL && fread(weights, 1, MSA_MODEL_WEIGHTS_BYTES, file) == MSA_MODEL_WEIGHTS_BYTES);
    state = (uint32_t)strtoul(argv[2], NULL, 10);
    memset(arena, 0xff, MSA_MODEL_ARENA_BYTES); /* NaN */
    CHECK(msa_open(&s, arena, MSA_MODEL_ARENA_BYTES, weights, MSA_MODEL_WEIGHTS_BYTES) == MSA_OK);
    misuse();
    uint32_t all = 0;
    const msa_samples whole = {frame_lines, MSA_FRONT_LINE_BYTES};
    for (long round = 0; round < atol(argv[3]); ++round) {
        fill(frame_lines, frame_bytes);
        const msa_status status = msa_frame(&s, &whole), again = pieces();
        CHECK(status == again && (status == MSA_OK || status == MSA_E_FIELD));
        if (status == MSA_OK) {
            const uint32_t sum = sum_of();
            CHECK(msa_frame(&s, &whole) == MSA_OK && sum_of() == sum);
            all = all * 31u + sum;
        }
    }
    printf("%08lx\n", (unsigned long)all);
    /* Tables of any bits, behind the header: nothing but what is seen may change. */
    for (long round = 0; round < atol(argv[3]); ++round) {
        for (int i = 0; i < 64; ++i) {
            unsigned char *const at = weights + 4096 + 4 * (any() % ((MSA_MODEL_WEIGHTS_BYTES - 4096) / 4));
            const uint32_t bits = any() % 3 == 0 ? 0x7fc00000u : any() % 3 == 0 ? 0xffffffffu : any();
            memcpy(at, &bits, sizeof bits);
        }
        const msa_status status = msa_frame(&s, &whole);
        CHECK(status == MSA_OK || status == MSA_E_FIELD);
    }
    CHECK(msa_self_test(&s) == MSA_E_CRC);
    return 0;
}
