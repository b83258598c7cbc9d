/* SPDX-License-Identifier: Apache-2.0 */
/* Every EVERY-th bit of the weights flipped by itself: msa_open refuses it where it reads it, elsewhere
 * msa_weights_check of its segment, and of every LATER-th of them msa_self_test.
 * usage: bits WEIGHTS EVERY LATER
 * Lines: "open STATUS COUNT"; "segments COUNT" that the check finds; "silent COUNT" that it does not; "tests COUNT";
 * "passed COUNT" of these */
#include "msa_model.h"
#include "memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATUSES = 64 };

static unsigned char *arena, *weights;
static msa_session s;
static unsigned long refused[STATUSES], segments, silent, tests, passed;

static msa_status opened(void)
{
    return msa_open(&s, arena, MSA_MODEL_ARENA_BYTES, weights, MSA_MODEL_WEIGHTS_BYTES);
}

/* `segment`: the one that the byte is in, MSA_MODEL_SEGMENTS for what lies before all. */
static void flipped(uint32_t segment, bool later)
{
    const msa_status got = opened();
    if (got != MSA_OK) {
        must((int)got < STATUSES, "a status");
        ++refused[got];
        return;
    }
    if (segment < MSA_MODEL_SEGMENTS && msa_weights_check(&s, segment, NULL) == MSA_E_CRC) {
        ++segments;
    } else {
        ++silent;
    }
    if (later) {
        ++tests;
        passed += msa_self_test(&s) == MSA_OK ? 1u : 0u;
    }
}

int main(int argc, char **argv)
{
    must(argc == 4, "usage: bits WEIGHTS EVERY LATER");
    const size_t every = strtoull(argv[2], NULL, 10);
    const unsigned long rarely = strtoul(argv[3], NULL, 10);
    weights = weights_of(argv[1]);
    arena = aligned(MSA_MODEL_ARENA_BYTES);
    memset(arena, 0, MSA_MODEL_ARENA_BYTES);
    must(opened() == MSA_OK && msa_self_test(&s) == MSA_OK, "undamaged, it passes");
    msa_segment_sum sums[MSA_MODEL_SEGMENTS];
    for (uint32_t i = 0; i < MSA_MODEL_SEGMENTS; ++i) {
        must(msa_weights_check(&s, i, &sums[i]) == MSA_OK, "undamaged, each segment passes");
    }
    for (size_t bit = 0; bit < 8u * (size_t)MSA_MODEL_WEIGHTS_BYTES; bit += every) {
        const size_t at = bit / 8u;
        uint32_t segment = 0;
        while (segment < MSA_MODEL_SEGMENTS &&
               (at < sums[segment].offset || at - sums[segment].offset >= sums[segment].bytes)) {
            ++segment;
        }
        weights[at] ^= (unsigned char)(1u << bit % 8u);
        flipped(segment, bit / every % rarely == 0);
        weights[at] ^= (unsigned char)(1u << bit % 8u);
    }
    must(opened() == MSA_OK && msa_self_test(&s) == MSA_OK, "undamaged again, it passes");
    for (int i = 0; i < STATUSES; ++i) {
        if (refused[i] != 0) {
            printf("open %d %lu\n", i, refused[i]);
        }
    }
    printf("segments %lu\nsilent %lu\ntests %lu\npassed %lu\n", segments, silent, tests, passed);
    free(arena);
    free(weights);
    return 0;
}
