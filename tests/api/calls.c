/* SPDX-License-Identifier: Apache-2.0 */
/* Pairs and triples of calls of a generated model's API, held against a model of its session (calls.h).
 * usage: calls WEIGHTS EVERY(1: all pairs; n: every n-th) TRIPLES FLIPS(of the weights) */
#include "calls.h"

static void *aligned(size_t bytes)
{
    void *const p = aligned_alloc(MSA_ALIGNMENT, (bytes + MSA_ALIGNMENT - 1) / MSA_ALIGNMENT * MSA_ALIGNMENT);
    if (p == NULL) {
        exit(2);
    }
    return p;
}

int main(int argc, char **argv)
{
    FILE *const f = argc == 5 ? fopen(argv[1], "rb") : NULL;
    unsigned char *const blob = aligned(MSA_MODEL_WEIGHTS_BYTES);
    if (f == NULL || fread(blob, 1, MSA_MODEL_WEIGHTS_BYTES, f) != MSA_MODEL_WEIGHTS_BYTES) {
        fputs("usage: calls WEIGHTS EVERY TRIPLES FLIPS\n", stderr);
        return 2;
    }
    fclose(f);
    arena = aligned(MSA_MODEL_ARENA_BYTES);
#if MSA_MODEL_STREAMED
    stored = blob;
#else
    weights = blob;
#endif
    const unsigned count =
        all_sequences((unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]), (unsigned)atoi(argv[4]));
    printf("%u sequences, %u wrong\n", count, wrong);
    free(blob);
    free(arena);
    return wrong != 0 || count == 0;
}
