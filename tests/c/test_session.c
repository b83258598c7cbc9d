/* SPDX-License-Identifier: Apache-2.0 */
/* The session of a generated model, around layers whose answers are known (fake/layers.h): statuses, states, what is
 * left untouched. */
#include "fake/session.h"

#include <criterion/criterion.h>
#include <math.h>

enum { SIDE = MSA_MODEL_MASK_SIDE, LOGITS = MSA_MODEL_MASKS * SIDE * SIDE };

static unsigned char *arena, *weights;
static msa_session s;
static uint8_t pixels[64 * 64 * 3];
static const msa_image image = {.pixels = pixels, .width = 64, .height = 64, .stride = 192};
static const float point[1][2] = {{3.0f, 4.0f}};
static const int8_t label[1] = {1};
static msa_prompt prompt;
static float logits[LOGITS], iou[MSA_MODEL_MASKS];
static msa_mask mask;

static void setup(void)
{
    arena = aligned_memory(MSA_MODEL_ARENA_BYTES);
    weights = fake_weights();
    memset(arena, 0xff, MSA_MODEL_ARENA_BYTES);
    memset(&s, 0xee, sizeof s);
    /* Patches of red rising along x, constant along y; green 128. */
    for (size_t i = 0; i < 64 * 64; ++i) {
        pixels[3 * i] = (uint8_t)(i % 64 / 16 * 64);
        pixels[3 * i + 1] = 128;
        pixels[3 * i + 2] = 0;
    }
    prompt = (msa_prompt){point, label, 1, NULL, NULL, false, 1, false, 0};
    mask = (msa_mask){logits, iou, 99};
    calls = cancel_at = 0;
}

static void teardown(void)
{
    free(arena);
    free(weights);
}

TestSuite(session, .init = setup, .fini = teardown);

static msa_status open_session(void)
{
    return msa_open(&s, arena, MSA_MODEL_ARENA_BYTES, weights, MSA_MODEL_WEIGHTS_BYTES);
}

Test(session, an_encode_and_a_prompt)
{
    cr_assert_eq(open_session(), MSA_OK);
    cr_assert_eq(msa_encode(&s, &image), MSA_OK);
    float embedding[MSA_MODEL_OUT][4][4];
    cr_assert_eq(msa_get_embedding(&s, embedding[0][0]), MSA_OK);
    for (int y = 0; y < 4; ++y)
        for (int x = 0; x < 4; ++x) {
            cr_assert_eq(embedding[0][y][x], (float)(x * 64) , "red");
            cr_assert_eq(embedding[1][y][x], 128.0f, "green");
            cr_assert_eq(embedding[3][y][x], (float)x);
            cr_assert_eq(embedding[4][y][x], (float)y);
        }
    cr_assert_eq(msa_segment(&s, &prompt, &mask), MSA_OK);
    cr_assert_eq(mask.masks, 1);
    cr_assert_eq(iou[0], 0.5f, "points reached the decoder");
    for (int i = 0; i < SIDE * SIDE; ++i)
        cr_assert_eq(logits[i], (float)(i % 16 / 4 * 64) - 0.5f);
}

Test(session, several_masks_and_a_mask_prompt)
{
    float given[SIDE * SIDE];
    for (int i = 0; i < SIDE * SIDE; ++i)
        given[i] = (float)i;
    cr_assert_eq(open_session(), MSA_OK);
    cr_assert_eq(msa_encode(&s, &image), MSA_OK);
    prompt = (msa_prompt){NULL, NULL, 0, NULL, given, true, 1, false, 0};
    cr_assert_eq(msa_segment(&s, &prompt, &mask), MSA_OK);
    cr_assert_eq(mask.masks, MSA_MODEL_MASKS - 1, "masks 1..3");
    for (int m = 0; m < MSA_MODEL_MASKS - 1; ++m) {
        cr_assert_eq(iou[m], (float)(m + 1) / 10.0f, "a mask alone has no sparse tokens");
        for (int i = 0; i < SIDE * SIDE; ++i)
            cr_assert_float_eq(logits[m * SIDE * SIDE + i],
                (float)(i % 16 / 4 * 64) - 0.5f - (float)(m + 1) / 10.0f + (float)i, 1e-4);
    }
}

/* As interactive use does it: each call's logits are the next one's mask, in the same memory. */
Test(session, logits_are_the_next_mask_prompt)
{
    cr_assert_eq(open_session(), MSA_OK);
    cr_assert_eq(msa_encode(&s, &image), MSA_OK);
    for (int call = 1; call <= 3; ++call) {
        cr_assert_eq(msa_segment(&s, &prompt, &mask), MSA_OK);
        for (int i = 0; i < SIDE * SIDE; ++i)
            cr_assert_float_eq(logits[i], (float)call * ((float)(i % 16 / 4 * 64) - 0.5f), 1e-4);
        prompt.mask = logits;
    }
}

Test(session, a_text_is_the_last_token)
{
    const float *const tokens = (const float *)(const void *)(arena + MSA_TOKENS_OFFSET);
    cr_assert_eq(open_session(), MSA_OK);
    cr_assert_eq(msa_encode(&s, &image), MSA_OK);
    prompt = (msa_prompt){NULL, NULL, 0, NULL, NULL, false, 1, true, 1};
    cr_assert_eq(msa_segment(&s, &prompt, &mask), MSA_OK);
    cr_assert_eq(iou[0], 0.5f, "a text alone is a prompt");
    cr_assert_eq(tokens[(1 + MSA_MODEL_MASKS) * MSA_TOKEN_STRIDE], 7.0f + MSA_MODEL_MASKS + 1.0f,
        "the table's last row");
    prompt.text = MSA_MODEL_TEXTS;
    cr_assert_eq(msa_segment(&s, &prompt, &mask), MSA_E_TEXT);
}

Test(session, a_bank_has_its_own_decoder_and_tokens)
{
    const float *const tokens = (const float *)(const void *)(arena + MSA_TOKENS_OFFSET);
    cr_assert_eq(msa_select_bank(&s, 0), MSA_E_ARGUMENT, "never opened");
    cr_assert_eq(open_session(), MSA_OK);
    cr_assert_eq(msa_encode(&s, &image), MSA_OK);
    cr_assert_eq(msa_segment(&s, &prompt, &mask), MSA_OK);
    cr_assert_eq(iou[0], 0.5f, "opening selects the first");
    cr_assert_eq(tokens[0], 7.0f - 1.0f);
    cr_assert_eq(msa_select_bank(&s, MSA_MODEL_BANKS), MSA_E_BANK);
    cr_assert_eq(msa_segment(&s, &prompt, &mask), MSA_OK, "a refused bank changes nothing");
    cr_assert_eq(msa_select_bank(&s, 1), MSA_OK);
    cr_assert_eq(msa_segment(&s, &prompt, &mask), MSA_E_ORDER, "the embedding is forgotten");
    cr_assert_eq(msa_encode(&s, &image), MSA_OK);
    cr_assert_eq(msa_segment(&s, &prompt, &mask), MSA_OK);
    cr_assert_eq(iou[0], 1.5f);
    cr_assert_eq(tokens[0], 106.0f);
    cr_assert_eq(open_session(), MSA_OK);
    cr_assert_eq(msa_encode(&s, &image), MSA_OK);
    cr_assert_eq(msa_segment(&s, &prompt, &mask), MSA_OK);
    cr_assert_eq(iou[0], 0.5f);
}

Test(session, opening_is_refused)
{
    cr_assert_eq(msa_open(NULL, arena, MSA_MODEL_ARENA_BYTES, weights, MSA_MODEL_WEIGHTS_BYTES), MSA_E_ARGUMENT);
    cr_assert_eq(msa_open(&s, NULL, MSA_MODEL_ARENA_BYTES, weights, MSA_MODEL_WEIGHTS_BYTES), MSA_E_ARGUMENT);
    cr_assert_eq(msa_open(&s, arena, MSA_MODEL_ARENA_BYTES, NULL, MSA_MODEL_WEIGHTS_BYTES), MSA_E_ARGUMENT);
    cr_assert_eq(msa_open(&s, arena, MSA_MODEL_ARENA_BYTES - 1, weights, MSA_MODEL_WEIGHTS_BYTES), MSA_E_ARENA);
    cr_assert_eq(msa_open(&s, arena + 32, MSA_MODEL_ARENA_BYTES, weights, MSA_MODEL_WEIGHTS_BYTES), MSA_E_ALIGNMENT);
    cr_assert_eq(msa_open(&s, arena, MSA_MODEL_ARENA_BYTES, weights + 4, MSA_MODEL_WEIGHTS_BYTES), MSA_E_ALIGNMENT);
    cr_assert_eq(msa_open(&s, arena, MSA_MODEL_ARENA_BYTES, weights, MSA_MODEL_WEIGHTS_BYTES - 1), MSA_E_SIZE);
    weights[50] ^= 1;
    cr_assert_eq(open_session(), MSA_E_BUILD);
    /* What could not be opened is not open, even if it was before. */
    cr_assert_eq(msa_encode(&s, &image), MSA_E_ARGUMENT);
    weights[50] ^= 1;
    cr_assert_eq(open_session(), MSA_OK);
    weights[33] ^= 1;
    cr_assert_eq(open_session(), MSA_E_ARITHMETIC);
    cr_assert_eq(msa_encode(&s, &image), MSA_E_ARGUMENT);
}

Test(session, calls_in_the_wrong_order)
{
    float embedding[MSA_MODEL_OUT * 16];
    cr_assert_eq(msa_encode(&s, &image), MSA_E_ARGUMENT, "never opened");
    cr_assert_eq(msa_segment(&s, &prompt, &mask), MSA_E_ARGUMENT);
    cr_assert_eq(msa_self_test(&s), MSA_E_ARGUMENT);
    cr_assert_eq(msa_encode(NULL, &image), MSA_E_ARGUMENT);
    cr_assert_eq(open_session(), MSA_OK);
    cr_assert_eq(msa_segment(&s, &prompt, &mask), MSA_E_ORDER);
    cr_assert_eq(msa_get_embedding(&s, embedding), MSA_E_ORDER);
    cr_assert_eq(msa_encode(&s, &image), MSA_OK);
    cr_assert_eq(msa_get_embedding(&s, NULL), MSA_E_ARGUMENT);
    cr_assert_eq(msa_segment(&s, &prompt, NULL), MSA_E_ARGUMENT);
    mask.iou = NULL;
    cr_assert_eq(msa_segment(&s, &prompt, &mask), MSA_E_ARGUMENT);
    s.build ^= 1;
    cr_assert_eq(msa_encode(&s, &image), MSA_E_ARGUMENT, "another model's session");
}

Test(session, a_refused_image_leaves_no_embedding)
{
    msa_image wrong = image;
    cr_assert_eq(open_session(), MSA_OK);
    cr_assert_eq(msa_encode(&s, &image), MSA_OK);
    wrong.width = 0;
    cr_assert_eq(msa_encode(&s, &wrong), MSA_E_IMAGE_SIZE);
    cr_assert_eq(msa_segment(&s, &prompt, &mask), MSA_E_ORDER);
    cr_assert_eq(msa_encode(&s, &image), MSA_OK);
    cr_assert_eq(msa_encode(&s, NULL), MSA_E_ARGUMENT);
    cr_assert_eq(msa_segment(&s, &prompt, &mask), MSA_E_ORDER);
}

Test(session, a_refused_prompt_leaves_the_mask)
{
    const float outside[1][2] = {{65.0f, 4.0f}};
    cr_assert_eq(open_session(), MSA_OK);
    cr_assert_eq(msa_encode(&s, &image), MSA_OK);
    logits[0] = iou[0] = 7.0f;
    prompt.points = outside;
    cr_assert_eq(msa_segment(&s, &prompt, &mask), MSA_E_POINT);
    cr_assert(logits[0] == 7.0f && iou[0] == 7.0f && mask.masks == 99);
    prompt.points = point;
    cr_assert_eq(msa_segment(&s, &prompt, &mask), MSA_OK);
}

/* The fake's logits are infinite where a patch's red is exactly 1/256: here, where one of its pixels is 1. */
Test(session, results_that_are_not_finite)
{
    pixels[3 * 5] = 1;
    cr_assert_eq(open_session(), MSA_OK);
    cr_assert_eq(msa_encode(&s, &image), MSA_OK);
    logits[0] = iou[0] = 7.0f;
    cr_assert_eq(msa_segment(&s, &prompt, &mask), MSA_E_NAN);
    cr_assert(logits[0] == 7.0f && iou[0] == 7.0f && mask.masks == 99);
    const float token = INFINITY;
    memcpy(arena + MSA_EMBEDDING_OFFSET, &token, sizeof token);
    cr_assert_not(embedding_finite(&s));
}

Test(session, cancelled_calls_leave_it_as_after_opening)
{
    cr_assert_eq(open_session(), MSA_OK);
    cancel_at = 1;
    cr_assert_eq(msa_encode(&s, &image), MSA_E_CANCELLED);
    cr_assert_eq(msa_segment(&s, &prompt, &mask), MSA_E_ORDER);
    cr_assert_eq(msa_encode(&s, &image), MSA_OK);
    logits[0] = 7.0f;
    cancel_at = calls + 1;
    cr_assert_eq(msa_segment(&s, &prompt, &mask), MSA_E_CANCELLED);
    cr_assert_eq(logits[0], 7.0f);
    cr_assert_eq(msa_segment(&s, &prompt, &mask), MSA_E_ORDER);
}

Test(session, self_test)
{
    cr_assert_eq(open_session(), MSA_OK);
    cr_assert_eq(msa_encode(&s, &image), MSA_OK);
    cr_assert_eq(msa_self_test(&s), MSA_OK);
    cr_assert_eq(msa_segment(&s, &prompt, &mask), MSA_E_ORDER, "the embedding is forgotten");
    weights[MSA_MODEL_WEIGHTS_BYTES - 1] ^= 1;
    cr_assert_eq(open_session(), MSA_OK, "opening reads the header alone");
    cr_assert_eq(msa_self_test(&s), MSA_E_CRC);
    const float negative = -1.0f;
    memcpy(weights + MSA_PROMPT_TABLE_OFFSET, &negative, sizeof negative);
    seal_weights(weights);
    cr_assert_eq(open_session(), MSA_OK);
    cr_assert_eq(msa_self_test(&s), MSA_E_SELF_TEST, "whole weights, but another answer");
    const float positive = 1.0f;
    memcpy(weights + MSA_PROMPT_TABLE_OFFSET, &positive, sizeof positive);
    seal_weights(weights);
    cr_assert_eq(open_session(), MSA_OK);
    cr_assert_eq(msa_self_test(&s), MSA_OK);
    memcpy(weights + MSA_PROMPT_TABLE_OFFSET + MSA_PROMPT_BANK_STRIDE, &negative, sizeof negative);
    seal_weights(weights);
    cr_assert_eq(open_session(), MSA_OK);
    cr_assert_eq(msa_self_test(&s), MSA_E_SELF_TEST, "the second bank's is another answer");
}
