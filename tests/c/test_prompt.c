/* SPDX-License-Identifier: Apache-2.0 */
/* Prompts: what is refused, and tokens against PyTorch's float32 (the literals; SAM's prompt encoder by DIALECTS.md
 * section 1). */
#include "../../runtime/msa_image.c"
#include "../../runtime/msa_prompt.c"
#include "../../runtime/msa_check.c"
#include "../../runtime/msa_crc32c.c"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { OUT = 6, MASKS = 2, TEXTS = 2, ROWS = 12, STRIDE = 8 };

/* Row 0 the gaussian matrix; then embeddings row r of which is 10 r. */
static float rows[1 + 5 + 1 + MASKS + TEXTS][OUT] = {{0.5f, -1.25f, 2.0f, 0.75f, 1.5f, -0.25f}};
static const msa_prompt_table tokens_table = {rows[0], OUT, 1 + MASKS, TEXTS};
static float tokens[ROWS][STRIDE];

static void fill_table(void)
{
    for (int r = 1; r < 6 + 1 + MASKS + TEXTS; ++r)
        for (int i = 0; i < OUT; ++i)
            rows[r][i] = 10.0f * (float)r;
}

enum { AT_OUTSIDE = 10, AT_INSIDE = 20, AT_FIRST = 30, AT_SECOND = 40, AT_NO_POINT = 50, AT_IOU = 60, AT_TEXT = 90 };

static uint32_t encode(const msa_prompt *prompt, uint32_t slice, bool longest, bool rc)
{
    msa_prompt_space space = {100, 50, 0, 0, 64, rc};
    msa_resized_size(100, 50, 64, longest, &space.inner_width, &space.inner_height);
    fill_table();
    memset(tokens, 0xff, sizeof tokens);
    return msa_prompt_tokens(prompt, slice, &space, &tokens_table, tokens[0], ROWS, STRIDE);
}

/* Token `at` is the embedding's constant, plus features where there is a place. */
static void assert_token(int at, float embedding, const float *features)
{
    for (int i = 0; i < OUT; ++i)
        cr_assert_float_eq(tokens[at][i], embedding + (features ? features[i] : 0.0f), 5e-6, "token %d, channel %d", at,
            i);
    for (int i = OUT; i < STRIDE; ++i)
        cr_assert_eq(tokens[at][i], 0.0f, "token %d: padding", at);
}

static void assert_zero_from(uint32_t count)
{
    for (uint32_t r = count; r < ROWS; ++r)
        for (int i = 0; i < STRIDE; ++i)
            cr_assert_eq(tokens[r][i], 0.0f);
}

/* (30, 45.5) of a 100 x 50 image on a square of 64, by torch. */
static const float squashed[OUT] = {0.399848759f, -0.994891763f, 0.139929041f, -0.916581154f, -0.100947097f,
    0.990161538f};
static const float by_longest[OUT] = {-0.99991858f, 0.733655691f, 0.999999523f, 0.0127625139f, -0.679521382f,
    0.000981819467f};
static const float squashed_rc[OUT] = {0.726949513f, 0.689540744f, -0.994068086f, 0.686690927f, -0.724246919f,
    0.10875956f};
/* (100, 50), the far corner. */
static const float corner[OUT] = {0.992479503f, 0.999698818f, -0.985277593f, -0.122410886f, -0.0245412234f,
    0.17096208f};

static const float point[1][2] = {{30.0f, 45.5f}};
static const int8_t in = 1, out = 0, none = -1;

Test(prompt, a_point_gets_a_padding_token)
{
    const msa_prompt prompt = {point, &in, 1, NULL, NULL, false, 1, false, 0};
    const uint32_t count = encode(&prompt, 0, false, false);
    cr_assert_eq(count, 3 + 2);
    assert_token(0, AT_IOU, NULL);
    assert_token(1, AT_IOU + 10, NULL);
    assert_token(2, AT_IOU + 20, NULL);
    assert_token(3, AT_INSIDE, squashed);
    assert_token(4, AT_NO_POINT, NULL);
    assert_zero_from(count);
}

Test(prompt, longest_side_and_click_order)
{
    const msa_prompt prompt = {point, &out, 1, NULL, NULL, false, 1, false, 0};
    encode(&prompt, 0, true, false);
    assert_token(3, AT_OUTSIDE, by_longest);
    encode(&prompt, 0, false, true);
    assert_token(3, AT_OUTSIDE, squashed_rc);
}

Test(prompt, a_box_follows_the_points_and_is_never_swapped)
{
    const float points[2][2] = {{30.0f, 45.5f}, {1.0f, 2.0f}};
    const int8_t labels[2] = {1, -1};
    const float box[1][4] = {{30.0f, 45.5f, 100.0f, 50.0f}};
    const msa_prompt prompt = {points, labels, 2, box, NULL, true, 1, false, 0};
    const uint32_t count = encode(&prompt, 0, false, true);
    cr_assert_eq(count, 3 + 2 + 2);
    assert_token(3, AT_INSIDE, squashed_rc);
    assert_token(4, AT_NO_POINT, NULL);
    assert_token(5, AT_FIRST, squashed);
    assert_token(6, AT_SECOND, corner);
    assert_zero_from(count);
}

Test(prompt, a_mask_alone_has_no_sparse_tokens)
{
    static const float mask[16];
    const msa_prompt prompt = {NULL, NULL, 0, NULL, mask, false, 1, false, 0};
    cr_assert_eq(encode(&prompt, 0, false, false), 3);
    assert_zero_from(3);
    const msa_prompt lone = {point, &none, 1, NULL, NULL, false, 1, false, 0};
    cr_assert_eq(encode(&lone, 0, false, false), 5);
    assert_token(3, AT_NO_POINT, NULL);
    assert_token(4, AT_NO_POINT, NULL);
}

Test(prompt, one_entry_a_slice_or_one_for_all)
{
    const float points[2][2] = {{1.0f, 2.0f}, {30.0f, 45.5f}};
    const int8_t labels[2] = {0, 1};
    const float boxes[2][4] = {{0.0f, 0.0f, 1.0f, 1.0f}, {30.0f, 45.5f, 100.0f, 50.0f}};
    msa_prompt prompt = {points, labels, 1, boxes, NULL, false, 2, false, 0};
    cr_assert_eq(msa_prompt_check(&prompt, 100, 50, 2, 4, 4, TEXTS), MSA_OK);
    cr_assert_eq(encode(&prompt, 1, false, false), 6);
    assert_token(3, AT_INSIDE, squashed);
    assert_token(4, AT_FIRST, squashed);
    assert_token(5, AT_SECOND, corner);
    prompt = (msa_prompt){point, &in, 1, NULL, NULL, false, 1, false, 0};
    encode(&prompt, 1, false, false);
    assert_token(3, AT_INSIDE, squashed);
}

static msa_status check(const msa_prompt *prompt)
{
    return msa_prompt_check(prompt, 100, 50, 3, 4, 4, TEXTS);
}

Test(prompt, a_text_comes_last_and_changes_no_padding)
{
    const float box[1][4] = {{30.0f, 45.5f, 100.0f, 50.0f}};
    msa_prompt prompt = {NULL, NULL, 0, NULL, NULL, false, 1, true, 1};
    cr_assert_eq(check(&prompt), MSA_OK);
    cr_assert_eq(encode(&prompt, 0, false, false), 3 + 1, "alone: one token");
    assert_token(3, AT_TEXT + 10, NULL);
    assert_zero_from(4);
    prompt.text = 0;
    prompt.points = point;
    prompt.labels = &in;
    prompt.point_count = 1;
    cr_assert_eq(encode(&prompt, 0, false, false), 3 + 2 + 1);
    assert_token(3, AT_INSIDE, squashed);
    assert_token(4, AT_NO_POINT, NULL);
    assert_token(5, AT_TEXT, NULL);
    assert_zero_from(6);
    prompt.box = box;
    cr_assert_eq(encode(&prompt, 2, false, false), 3 + 1 + 2 + 1);
    assert_token(5, AT_SECOND, corner);
    assert_token(6, AT_TEXT, NULL);
    prompt.text = TEXTS;
    cr_assert_eq(check(&prompt), MSA_E_TEXT);
    prompt.with_text = false;
    cr_assert_eq(check(&prompt), MSA_OK, "text is read only with with_text");
    cr_assert_eq(encode(&prompt, 0, false, false), 6);
}

Test(prompt, what_is_refused)
{
    float points[6][2] = {{0.0f, 0.0f}, {100.0f, 50.0f}};
    int8_t labels[6] = {1, 0};
    msa_prompt prompt = {(const float(*)[2])points, labels, 2, NULL, NULL, false, 1, false, 0};
    cr_assert_eq(check(&prompt), MSA_OK, "edges are inside");
    cr_assert_eq(check(NULL), MSA_E_ARGUMENT);
    prompt.slices = 3;
    cr_assert_eq(check(&prompt), MSA_OK);
    prompt.slices = 2;
    cr_assert_eq(check(&prompt), MSA_E_SLICES);
    prompt.slices = 0;
    cr_assert_eq(check(&prompt), MSA_E_SLICES);
    prompt.slices = 1;
    prompt.point_count = 5;
    cr_assert_eq(check(&prompt), MSA_E_POINTS);
    prompt.point_count = 2;
    prompt.labels = NULL;
    cr_assert_eq(check(&prompt), MSA_E_ARGUMENT);
    prompt.labels = labels;
    prompt.points = NULL;
    cr_assert_eq(check(&prompt), MSA_E_ARGUMENT);
    prompt.points = (const float(*)[2])points;
    const float bad_x[] = {-0.001f, 100.001f, NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 5; ++i) {
        points[1][0] = bad_x[i];
        cr_assert_eq(check(&prompt), MSA_E_POINT);
    }
    points[1][0] = 3.0f;
    points[1][1] = 50.001f;
    cr_assert_eq(check(&prompt), MSA_E_POINT);
    points[1][1] = 3.0f;
    labels[1] = 2;
    cr_assert_eq(check(&prompt), MSA_E_LABEL);
    labels[1] = -2;
    cr_assert_eq(check(&prompt), MSA_E_LABEL);
    labels[1] = -1;
    cr_assert_eq(check(&prompt), MSA_OK);
    /* The third slice counts too. */
    prompt.slices = 3;
    points[5][0] = NAN;
    cr_assert_eq(check(&prompt), MSA_E_POINT);
}

Test(prompt, boxes_and_masks_that_are_refused)
{
    const float boxes[][4] = {{5, 5, 4, 6}, {5, 5, 6, 4}, {-1, 5, 6, 6}, {5, 5, 101, 6}, {5, 5, 6, 51}, {NAN, 5, 6, 6},
        {5, 5, 6, NAN}};
    for (size_t i = 0; i < sizeof boxes / sizeof *boxes; ++i) {
        const msa_prompt prompt = {NULL, NULL, 0, boxes + i, NULL, false, 1, false, 0};
        cr_assert_eq(check(&prompt), MSA_E_BOX, "box %d", (int)i);
    }
    const float whole[1][4] = {{0, 0, 100, 50}}, empty[1][4] = {{7, 7, 7, 7}};
    msa_prompt prompt = {NULL, NULL, 0, whole, NULL, false, 1, false, 0};
    cr_assert_eq(check(&prompt), MSA_OK);
    prompt.box = empty;
    cr_assert_eq(check(&prompt), MSA_OK);
    float mask[16] = {0};
    prompt.mask = mask;
    cr_assert_eq(check(&prompt), MSA_OK);
    mask[15] = NAN;
    cr_assert_eq(check(&prompt), MSA_E_MASK);
    mask[15] = -INFINITY;
    cr_assert_eq(check(&prompt), MSA_E_MASK);
}
