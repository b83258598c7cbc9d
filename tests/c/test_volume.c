/* SPDX-License-Identifier: Apache-2.0 */
/* The session of a volume of three slices with two classes, around the fake layers: own prompts, and all slices or
 * nothing. */
#define MSA_MODEL_DEPTH 3
#define MSA_MODEL_FIRST_CLASSES 2
#define MSA_MODEL_RESIZE_LONGEST 1
#include "fake/session.h"

#include <criterion/criterion.h>

enum { SIDE = MSA_MODEL_MASK_SIDE, DEPTH = MSA_MODEL_DEPTH, CLASSES = MSA_MODEL_FIRST_CLASSES };

static unsigned char *arena, *weights;
static msa_session s;
static uint8_t pixels[DEPTH][32][64][3];
static const msa_image image = {.pixels = pixels[0][0][0], .width = 64, .height = 32, .stride = 192,
                                .slice_stride = sizeof pixels[0]};
static const float points[DEPTH][2] = {{3.0f, 4.0f}, {5.0f, 6.0f}, {7.0f, 32.0f}};
static const int8_t labels[DEPTH] = {1, 0, -1};
static float logits[DEPTH * MSA_MODEL_MASKS * SIDE * SIDE], iou[DEPTH * MSA_MODEL_MASKS];
static msa_mask mask;

static void setup(void)
{
    arena = aligned_memory(MSA_MODEL_ARENA_BYTES);
    weights = fake_weights();
    for (int d = 0; d < DEPTH; ++d)
        memset(pixels[d], 64 * d, sizeof pixels[d]);
    mask = (msa_mask){logits, iou, 99};
    cr_assert_eq(msa_open(&s, arena, MSA_MODEL_ARENA_BYTES, weights, MSA_MODEL_WEIGHTS_BYTES), MSA_OK);
}

static void teardown(void)
{
    free(arena);
    free(weights);
}

TestSuite(volume, .init = setup, .fini = teardown);

/* A wide image fills the upper half of the square; each slice has its own logits, classes beside each other. */
static void assert_logits(const float *given)
{
    for (int d = 0; d < DEPTH; ++d)
        for (int m = 0; m < CLASSES; ++m) {
            cr_assert_float_eq(iou[d * CLASSES + m], 0.5f + (float)m / 10.0f, 1e-6);
            for (int i = 0; i < SIDE * SIDE; ++i) {
                const float red = i < SIDE * SIDE / 2 ? 64.0f * (float)d : 0.0f;
                const float own = given ? given[d * SIDE * SIDE + i] : 0.0f;
                cr_assert_float_eq(logits[(d * CLASSES + m) * SIDE * SIDE + i], red - 0.5f - (float)m / 10.0f + own,
                    1e-3, "slice %d, class %d, %d", d, m, i);
            }
        }
}

Test(volume, one_prompt_for_all_slices)
{
    const msa_prompt prompt = {points, labels, 1, NULL, NULL, true, 1, false, 0};
    cr_assert_eq(msa_encode(&s, &image), MSA_OK);
    cr_assert_eq(msa_segment(&s, &prompt, &mask), MSA_OK);
    cr_assert_eq(mask.masks, CLASSES, "classes come whatever multimask says");
    assert_logits(NULL);
}

Test(volume, a_prompt_a_slice)
{
    static float given[DEPTH * SIDE * SIDE];
    for (int i = 0; i < DEPTH * SIDE * SIDE; ++i)
        given[i] = (float)(i % 1000);
    const msa_prompt prompt = {points, labels, 1, NULL, given, false, DEPTH, false, 0};
    cr_assert_eq(msa_encode(&s, &image), MSA_OK);
    cr_assert_eq(msa_segment(&s, &prompt, &mask), MSA_OK);
    assert_logits(given);
    const msa_prompt two = {points, labels, 1, NULL, given, false, 2, false, 0};
    cr_assert_eq(msa_segment(&s, &two, &mask), MSA_E_SLICES);
}

Test(volume, the_last_slice_fails_and_nothing_is_written)
{
    memset(pixels[2], 0, sizeof pixels[2]);
    pixels[2][0][0][0] = 1;
    const msa_prompt prompt = {points, labels, 1, NULL, NULL, false, 1, false, 0};
    cr_assert_eq(msa_encode(&s, &image), MSA_OK);
    memset(logits, 0x11, sizeof logits);
    memset(iou, 0x11, sizeof iou);
    cr_assert_eq(msa_segment(&s, &prompt, &mask), MSA_E_NAN);
    for (size_t i = 0; i < sizeof logits; ++i)
        cr_assert_eq(((unsigned char *)logits)[i], 0x11);
    for (size_t i = 0; i < sizeof iou; ++i)
        cr_assert_eq(((unsigned char *)iou)[i], 0x11);
    cr_assert_eq(mask.masks, 99);
}

Test(volume, one_slice_for_all)
{
    msa_image flat = image;
    float embedding[DEPTH][MSA_MODEL_OUT][16];
    flat.slice_stride = 0;
    flat.pixels = pixels[1][0][0];
    cr_assert_eq(msa_encode(&s, &flat), MSA_OK);
    cr_assert_eq(msa_get_embedding(&s, embedding[0][0]), MSA_OK);
    for (int d = 0; d < DEPTH; ++d) {
        cr_assert_eq(embedding[d][0][0], 64.0f);
        cr_assert_eq(embedding[d][5][0], (float)d);
        cr_assert_eq(embedding[d][0][15], 0.0f, "below the image");
    }
    flat.slice_stride = 192 * 32 - 1;
    cr_assert_eq(msa_encode(&s, &flat), MSA_E_IMAGE_STRIDE);
}
