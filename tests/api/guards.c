/* SPDX-License-Identifier: Apache-2.0 */
/* Single bits flipped in what msa_encode leaves in the arena, and in the lines at its ends that nothing may write. A
 * build with --guards full finds each of them.
 * usage: guards WEIGHTS FLIPS, for each buffer so many. A line a buffer and moment: NAME MOMENT FLIPS FOUND. */
#include "msa_internal.h"
#include "memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOGITS = MSA_MODEL_DEPTH * MSA_MODEL_MASKS * MSA_MODEL_MASK_SIDE * MSA_MODEL_MASK_SIDE,
    IOUS = MSA_MODEL_DEPTH * MSA_MODEL_MASKS,
    EMBEDDING = MSA_MODEL_DEPTH * MSA_MODEL_OUT * MSA_MODEL_GRID * MSA_MODEL_GRID,
    WIDTH = 40,
    HEIGHT = 30
};

static unsigned char *arena, *before;
static msa_session s, encoded;
static uint8_t pixels[WIDTH * HEIGHT * 3];
static float logits[LOGITS], iou[IOUS], right[LOGITS], embedding[EMBEDDING];
static uint32_t state = 1;

static size_t below(size_t n)
{
    state = state * 1664525u + 1013904223u;
    const uint64_t high = state >> 8;
    state = state * 1664525u + 1013904223u;
    return (size_t)((high << 24 | state >> 8) % n);
}

/* The bit that msa_progress flips after a layer of the call that comes; none: no layer is LAYERS. */
static size_t flip_at;
static uint32_t flip_layer = UINT32_MAX, layers;

static void flip(size_t bit)
{
    arena[bit / 8u] ^= (unsigned char)(1u << bit % 8u);
}

int msa_progress(const msa_session *session, msa_phase phase, uint32_t layer)
{
    (void)session;
    (void)phase;
    (void)layer;
    if (layers++ == flip_layer) {
        flip(flip_at);
    }
    return 0;
}

static msa_status encode(void)
{
    const msa_image image = msa_rgb(pixels, WIDTH, HEIGHT);
    layers = 0;
    return msa_encode(&s, &image);
}

static msa_status segment(void)
{
    const float click[1][2] = {{17.0f, 12.0f}};
    const int8_t label[1] = {1};
    const msa_prompt prompt = {click, label, 1, NULL, NULL, false, 1, false, 0};
    msa_mask mask = {logits, iou, 77};
    memset(logits, 0x55, sizeof logits);
    layers = 0;
    const msa_status status = msa_segment(&s, &prompt, &mask);
    bool untouched = mask.masks == 77;
    for (size_t i = 0; i < sizeof logits; ++i) {
        untouched = untouched && ((const unsigned char *)logits)[i] == 0x55;
    }
    must(status == MSA_OK || untouched, "a refused call leaves the mask as it was");
    return status;
}

/* As right after the encode. */
static void as_encoded(void)
{
    s = encoded;
    memcpy(arena, before, MSA_MODEL_ARENA_BYTES);
}

/* Whether a click, its end, and the embedding's copy find a bit. */
static bool found_between(size_t bit)
{
    as_encoded();
    flip(bit);
    const bool copied = msa_get_embedding(&s, embedding) == MSA_E_ARENA_CHANGED;
    const msa_status got = segment();
    must(got != MSA_E_ARENA_CHANGED || segment() == MSA_E_ORDER, "the embedding is forgotten");
    return copied && got == MSA_E_ARENA_CHANGED;
}

static bool found_during(size_t bit)
{
    as_encoded();
    flip_at = bit;
    flip_layer = (uint32_t)below(MSA_MODEL_DEPTH * MSA_MODEL_LAYERS_DECODE);
    const msa_status got = segment();
    flip_layer = UINT32_MAX;
    return got == MSA_E_ARENA_CHANGED;
}

#ifdef MSA_MODEL_GUARDS
/* In a line that no layer writes. Said once: the next encode is whole. */
static bool found_encoding(size_t bit)
{
    flip_at = bit;
    flip_layer = (uint32_t)below(MSA_MODEL_LAYERS_ENCODE);
    const msa_status got = encode();
    flip_layer = UINT32_MAX;
    must(got != MSA_E_ARENA_CHANGED || segment() == MSA_E_ORDER, "there is no image");
    must(encode() == MSA_OK, "the next encode is whole");
    return got == MSA_E_ARENA_CHANGED;
}
#endif

static void count(const char *name, const char *moment, bool (*found)(size_t bit), size_t first_byte, size_t bytes,
                  unsigned flips)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < flips; ++i) {
        const size_t bit = i == 0 ? 0 : i == 1 ? 8u * bytes - 1u : below(8u * bytes);
        sum += found(8u * first_byte + bit) ? 1u : 0u;
    }
    printf("%s %s %u %u\n", name, moment, flips, sum);
}

static void all_flips(unsigned flips)
{
    static const size_t kept[MSA_KEPT_COUNT][2] = MSA_KEPT;
    for (int i = 0; i < MSA_KEPT_COUNT; ++i) {
        count("kept", "between", found_between, kept[i][0] * sizeof(float), kept[i][1] * sizeof(float), flips);
        count("kept", "segment", found_during, kept[i][0] * sizeof(float), kept[i][1] * sizeof(float), flips / 4u);
    }
#ifdef MSA_MODEL_GUARDS
    static const size_t canaries[MSA_CANARY_COUNT] = MSA_CANARIES;
    must(canaries[0] == 0 && canaries[MSA_CANARY_COUNT - 1] + MSA_ALIGNMENT == MSA_MODEL_ARENA_BYTES,
         "the arena's first and last line are guards");
    for (int i = 0; i < MSA_CANARY_COUNT; ++i) {
        count("line", "between", found_between, canaries[i], MSA_ALIGNMENT, flips);
        count("line", "segment", found_during, canaries[i], MSA_ALIGNMENT, flips / 4u);
        count("line", "encode", found_encoding, canaries[i], MSA_ALIGNMENT, flips / 16u);
    }
#endif
}

int main(int argc, char **argv)
{
    must(argc == 3, "usage: guards WEIGHTS FLIPS");
    unsigned char *const weights = weights_of(argv[1]);
    arena = aligned(MSA_MODEL_ARENA_BYTES);
    before = aligned(MSA_MODEL_ARENA_BYTES);
    memset(arena, 0xff, MSA_MODEL_ARENA_BYTES);
    for (size_t i = 0; i < sizeof pixels; ++i) {
        pixels[i] = (uint8_t)(i * 7u % 251u);
    }
    must(msa_open(&s, arena, MSA_MODEL_ARENA_BYTES, weights, MSA_MODEL_WEIGHTS_BYTES) == MSA_OK, "it opens");
    memset(arena, 0xff, MSA_MODEL_ARENA_BYTES); /* what lay there before an encode does not matter */
    must(encode() == MSA_OK, "it encodes");
    encoded = s;
    memcpy(before, arena, MSA_MODEL_ARENA_BYTES);
    must(segment() == MSA_OK, "it segments");
    memcpy(right, logits, sizeof right);
    all_flips((unsigned)strtoul(argv[2], NULL, 10));
    as_encoded();
    must(segment() == MSA_OK && memcmp(right, logits, sizeof right) == 0, "without a flip it answers as before");
    must(msa_self_test(&s) == MSA_OK, "the self-test passes");
    free(before);
    free(arena);
    free(weights);
    return 0;
}
