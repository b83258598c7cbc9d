/* SPDX-License-Identifier: 0BSD */
/* msa_coverage_parts.c - of msa_coverage.c: losses, optimiser and sums of gradients of a training step by themselves,
 * and rows of prompts: each by one thing that is wrong, and right. */
#include "msa_coverage.h"

#if COVER_TRAINING
enum { SIDE = 4, LARGE = 6, MASKS = 3, MANY = 70000 };

static const msa_loss_rule bce = {MSA_LOSS_BCE, 2.0, false, 0.0, 0.0, 0.0};
static const msa_loss_rule dice = {MSA_LOSS_DICECE, 0.0, false, 0.0, 0.0, 0.0};
static const msa_loss_rule sam = {MSA_LOSS_SAM, 0.0, false, 20.0, 1.0, 1.0};
static const msa_optimiser adam = {MSA_ADAM, 1e-3, 0.9, 0.999, 1e-8, 0.0, 0.0};

static float logits[MASKS * SIDE * SIDE], iou[MASKS], dlogits[MASKS * SIDE * SIDE], diou[MASKS];
static uint8_t marks[MASKS * LARGE * LARGE];
static float shares[MASKS * LARGE * LARGE];
static double work[256];
static msa_loss_input input;
static msa_loss loss;

static msa_status of(const msa_loss_input *in)
{
    return msa_loss_of(in, logits, iou, work, sizeof work, dlogits, diou, &loss);
}

static void prepare(const msa_loss_rule *rule)
{
    const msa_loss_input in = {*rule, {marks, NULL, 1, LARGE}, MASKS, SIDE, 0, MASKS, 1.0};
    input = in;
    for (uint32_t i = 0; i < MASKS * SIDE * SIDE; ++i) {
        logits[i] = ((float)(i * 7u % 13u) - 6.0f) * (i % 5u == 0u ? 30.0f : 0.25f);
    }
    for (uint32_t i = 0; i < MASKS * LARGE * LARGE; ++i) {
        marks[i] = i % 3u == 0u ? 1u : 0u;
        shares[i] = (float)(i % 5u) * 0.25f;
    }
}

/* A number of the input is another one, which is refused. */
#define WRONG(field, value) \
    do { \
        prepare(&sam); \
        input.field = (value); \
        COVER(of(&input), MSA_E_ARGUMENT); \
    } while (0)

static void wrong_numbers(void)
{
    WRONG(masks, 0);
    WRONG(masks, 65);
    WRONG(side, 0);
    WRONG(side, MSA_MAX_SIDE + 1u);
    WRONG(target.side, 0);
    WRONG(target.side, MSA_MAX_SIDE + 1u);
    WRONG(count, 0);
    WRONG(count, MASKS + 1);
    WRONG(first, 1);
    WRONG(target.masks, 2);
    WRONG(target.shares, shares);
    WRONG(target.bytes, NULL);
    WRONG(weight, -1.0);
    WRONG(weight, 2097152.0);
    WRONG(rule.focal, -1.0);
    WRONG(rule.dice, 2097152.0);
    WRONG(rule.iou, -1.0);
    WRONG(rule.kind, (msa_loss_kind)7);
    static const double weights[3] = {-1.0, 0.0, 2097152.0};
    for (uint32_t i = 0; i < 3u; ++i) {
        prepare(&bce);
        input.rule.pos_weight = weights[i];
        COVER(of(&input), MSA_E_ARGUMENT);
    }
}

static void wrong_memory(void)
{
    prepare(&sam);
    COVER(of(NULL), MSA_E_ARGUMENT);
    COVER(msa_loss_of(&input, NULL, iou, work, sizeof work, dlogits, diou, &loss), MSA_E_ARGUMENT);
    COVER(msa_loss_of(&input, logits, NULL, work, sizeof work, dlogits, diou, &loss), MSA_E_ARGUMENT);
    COVER(msa_loss_of(&input, logits, iou, NULL, sizeof work, dlogits, diou, &loss), MSA_E_ARGUMENT);
    COVER(msa_loss_of(&input, logits, iou, work, sizeof work, NULL, diou, &loss), MSA_E_ARGUMENT);
    COVER(msa_loss_of(&input, logits, iou, work, sizeof work, dlogits, diou, NULL), MSA_E_ARGUMENT);
    COVER(msa_loss_of(&input, logits, iou, work, MSA_LOSS_WORK_BYTES(SIDE, LARGE, MASKS) - 1u, dlogits, diou, &loss),
          MSA_E_ARENA);
    COVER(msa_loss_of(&input, logits, iou, work, MSA_LOSS_WORK_BYTES(SIDE, LARGE, MASKS), dlogits, NULL, &loss),
          MSA_OK);
    iou[1] = cover_nan();
    COVER(of(&input), MSA_E_NAN);
    iou[1] = 0.5f;
    logits[3] = 0x1p60f;
    COVER(of(&input), MSA_E_NAN);
    prepare(&sam);
    marks[3] = 2;
    COVER(of(&input), MSA_E_TARGET);
    prepare(&dice);
    input.target.bytes = NULL;
    input.target.shares = shares;
    static const float no_shares[3] = {1.5f, -0.5f, 0x1p-149f};
    for (uint32_t i = 0; i < 3u; ++i) {
        shares[3] = no_shares[i];
        COVER(of(&input), i < 2u ? MSA_E_TARGET : MSA_OK);
    }
    shares[3] = -0.0f;
    COVER(of(&input), MSA_OK);
}

/* Each rule, of one target and of one for each mask, of all masks and of some; and where nothing is. */
static void losses(void)
{
    msa_loss_rule binary = dice;
    binary.binary = true;
    const msa_loss_rule *const rules[4] = {&bce, &dice, &binary, &sam};
    for (uint32_t i = 0; i < 16u; ++i) {
        prepare(rules[i % 4u]);
        input.target.masks = i < 8u ? 1u : MASKS;
        if (i / 4u % 2u == 1u) {
            input.first = 1;
            input.count = 2;
            input.target.masks = i < 8u ? 1u : 2u;
            input.target.bytes = NULL;
            input.target.shares = shares;
        }
        COVER(of(&input), MSA_OK);
        COVER(loss.value > 0.0 && loss.value < 1e6 && loss.chosen < (uint32_t)MASKS, true);
        COVER(loss.chosen >= input.first, true);
    }
    prepare(&sam);
    for (uint32_t i = 0; i < MASKS * SIDE * SIDE; ++i) {
        logits[i] = (float)i - 60.0f; /* the first mask is the least wrong */
    }
    (void)memset(marks, 0, sizeof marks);
    COVER(of(&input), MSA_OK);
    COVER(loss.chosen, 0);
    COVER(loss.masks[0].iou > 0.0, false);
    for (uint32_t i = 0; i < MASKS * SIDE * SIDE; ++i) {
        logits[i] = -(float)i; /* the last one */
    }
    COVER(of(&input), MSA_OK);
    COVER(loss.chosen, MASKS - 1);
}

/* ---- optimiser ---- */

static msa_steps steps;
static msa_squares squares;
static msa_update update;

static msa_status begun(const msa_optimiser *rule, double scale)
{
    const msa_status status = msa_update_begin(rule, &steps, scale, &squares, &update, NULL);
    if (status != MSA_OK) {
        COVER(steps.done, 0);
    }
    msa_steps_at(&steps, &adam, 0);
    return status;
}

/* A number of the rule that is out of its range. */
#define OUTSIDE(field, value) \
    do { \
        msa_optimiser rule = adam; \
        rule.field = (value); \
        COVER(begun(&rule, 1.0), MSA_E_ARGUMENT); \
    } while (0)

static void wrong_rules(void)
{
    msa_steps_at(&steps, &adam, 0);
    OUTSIDE(kind, (msa_optimiser_kind)7);
    OUTSIDE(lr, -1.0);
    OUTSIDE(lr, 2048.0);
    OUTSIDE(beta1, 1.0);
    OUTSIDE(beta2, -0.5);
    OUTSIDE(eps, 0.0);
    OUTSIDE(decay, 2048.0);
    OUTSIDE(clip, -1.0);
    OUTSIDE(clip, 1e-31);
    OUTSIDE(clip, 1e31);
    COVER(begun(NULL, 1.0), MSA_E_ARGUMENT);
    COVER(begun(&adam, 0.0), MSA_E_ARGUMENT);
    COVER(begun(&adam, 2.0), MSA_E_ARGUMENT);
    COVER(msa_update_begin(&adam, NULL, 1.0, &squares, &update, NULL), MSA_E_ARGUMENT);
    COVER(msa_update_begin(&adam, &steps, 1.0, NULL, &update, NULL), MSA_E_ARGUMENT);
    COVER(msa_update_begin(&adam, &steps, 1.0, &squares, NULL, NULL), MSA_E_ARGUMENT);
    COVER(begun(&adam, 1.0), MSA_OK);
    squares.largest = 0x1p60f;
    COVER(begun(&adam, 1.0), MSA_E_NAN);
    COVER(msa_squares_norm(&squares) == 0x1p60f, true);
    squares.largest = 0.0f;
}

/* Powers of betas that end before the steps do, both or one of them, or do not. */
static void powers(void)
{
    msa_optimiser rule = adam;
    msa_steps_at(&steps, &rule, 3);
    COVER(steps.done == 3u && steps.power1 > 0.0 && steps.power2 > 0.0, true);
    rule.beta1 = 0.0;
    msa_steps_at(&steps, &rule, 3);
    COVER(steps.power1 > 0.0, false);
    COVER(steps.power2 > 0.0, true);
    rule.beta2 = 0.5;
    msa_steps_at(&steps, &rule, UINT64_MAX);
    COVER(steps.done == UINT64_MAX && !(steps.power2 > 0.0), true);
    rule.beta1 = 0.5;
    rule.beta2 = 0.0;
    msa_steps_at(&steps, &rule, 3);
    COVER(steps.power1 > 0.0 && !(steps.power2 > 0.0), true);
    msa_steps_at(&steps, &adam, 0);
}

/* Sums of squares of more elements than one sum takes, of few, of none that counts, of what is no number. */
static void norms(void)
{
    static float gradient[MANY];
    msa_squares one = {0};
    for (uint32_t i = 0; i < MANY; ++i) {
        gradient[i] = i % 2u == 0u ? 0.5f : -0.5f;
    }
    msa_squares_largest(&one, gradient, MANY);
    msa_squares_add(&one, gradient, MANY);
    const float norm = msa_squares_norm(&one);
    COVER(norm > 132.28f && norm < 132.29f, true); /* 0.5 sqrt(70000) is 132.2876 */
    gradient[7] = cover_nan();
    msa_squares_largest(&one, gradient, 9);
    msa_squares_add(&one, gradient, 9);
    COVER(msa_squares_norm(&one) == 0x1p126f, true);
    msa_squares none = {0};
    gradient[0] = 0x1p-101f;
    msa_squares_largest(&none, gradient, 1);
    msa_squares_add(&none, gradient, 1);
    COVER(msa_squares_norm(&none) == 0.0f, true);
}

/* Steps of either kind, with decay and clipping or without; what becomes too small is 0. */
static void updates(void)
{
    enum { COUNT = 70 };
    static float value[COUNT], gradient[COUNT], first[COUNT], second[COUNT];
    const msa_trained tensors[2] = {{value, gradient, first, second, COUNT, true},
        {value, gradient, first, second, 5, false}};
    static const msa_optimiser rules[4] = {{MSA_ADAM, 1e-3, 0.9, 0.999, 1e-8, 0.0, 0.0},
        {MSA_ADAMW, 1e-3, 0.9, 0.999, 1e-8, 0.1, 1.0}, {MSA_ADAM, 1e-3, 0.9, 0.999, 1e-8, 0.1, 1e-3},
        {MSA_ADAMW, 1e-3, 0.9, 0.999, 1e-8, 0.0, 1e9}};
    for (uint32_t i = 0; i < COUNT; ++i) {
        value[i] = i % 4u == 0u ? 0.0f : 1.0f;
        gradient[i] = i % 4u == 0u ? 0.0f : i % 4u == 1u ? -0.25f : 0.25f;
    }
    float norm = 0.0f;
    for (uint32_t i = 0; i < 4u; ++i) {
        COVER(msa_optimise(&rules[i], &steps, tensors, 2, 0.5, &norm), MSA_OK);
        COVER(steps.done, i + 1u);
    }
    COVER(norm > 0.92f && norm < 0.95f, true); /* 0.25 sqrt(52 + 3) / 2 is 0.9270 */
    COVER(value[0] == 0.0f && value[1] > 1.0f - 1e-2f && value[2] < 1.0f, true);
    COVER(msa_optimise(&adam, &steps, NULL, 1, 1.0, NULL), MSA_E_ARGUMENT);
    COVER(msa_optimise(&adam, &steps, NULL, 0, 1.0, NULL), MSA_OK);
    gradient[3] = cover_nan();
    COVER(msa_optimise(&adam, &steps, tensors, 2, 1.0, NULL), MSA_E_NAN);
}

/* ---- sums of gradients ---- */

static void trees(void)
{
    enum { COUNT = 70 };
    static float parts[4][COUNT];
    msa_tree_block blocks[MSA_TREE_BLOCKS];
    float *const slots[4] = {parts[0], parts[1], parts[2], parts[3]};
    const msa_tree_block last = {0x7fffffffu, 0}, third = {3, 0}, top = {0, 31};
    COVER(msa_tree_merges(0, last), 31);
    COVER(msa_tree_merges(2, third), 1);
    COVER(msa_tree_merges(0, top), 0);
    COVER(msa_tree_blocks(0, MSA_TREE_IMAGES, blocks), 1);
    COVER(blocks[0].level, 31);
    COVER(msa_tree_blocks(0, MSA_TREE_IMAGES + 1u, blocks), 0);
    COVER(msa_tree_blocks(3, 3, blocks), 0);
    COVER(msa_tree_blocks(1, 7, blocks), 4);
    COVER(blocks[2].first == 4u && blocks[2].level == 1u, true);
    COVER(msa_tree_blocks(1, MSA_TREE_IMAGES - 1u, blocks), 60);
    COVER(msa_tree_depth(0, 5), 3);
    COVER(msa_tree_depth(1, 2), 1);
    COVER(msa_tree_depth(3, 8), 4);
    for (uint32_t i = 0; i < 4u * COUNT; ++i) {
        parts[i / COUNT][i % COUNT] = (float)(1u << (i / COUNT));
    }
    COVER(msa_gradient_join(slots, 1, COUNT, 0, third), 1);
    COVER(msa_gradient_join(slots, 4, COUNT, 2, third), 3);
    COVER(parts[2][COUNT - 1] == 12.0f && parts[1][0] == 2.0f, true);
    msa_gradient_finish(slots, 3, COUNT);
    COVER(parts[0][0] == 15.0f && parts[0][COUNT - 1] == 15.0f, true);
}

/* Which rows tokens are made of: points of each label, corners, texts, places that stay invalid. */
static void prompt_rows(void)
{
    static const float points[3][2] = {{1, 2}, {3, 4}, {5, 6}}, box[1][4] = {{1, 2, 3, 4}};
    static const int8_t labels[3] = {1, 0, -1};
    static const uint8_t with_points[6] = {5, 6, 1, 0, 4, 4}, at_places[8] = {4, 5, 1, MSA_NO_ROW, 0, 2, 3, 0};
    uint8_t rows[16];
    msa_prompt prompt = {points, labels, 3, NULL, NULL, false, 1, false, 0};
    COVER(msa_prompt_rows(&prompt, 2, rows), 6);
    COVER(memcmp(rows, with_points, sizeof with_points), 0);
    prompt.box = box;
    prompt.with_text = true;
    COVER(msa_prompt_rows(&prompt, 2, rows), 8);
    COVER(rows[5] == 2u && rows[6] == 3u && rows[7] == 7u, true);
    COVER(msa_place_rows(&prompt, 6, 2, rows), 8);
    COVER(memcmp(rows, at_places, sizeof at_places), 0);
    prompt.box = NULL;
    prompt.point_count = 0;
    prompt.with_text = false;
    COVER(msa_prompt_rows(&prompt, 2, rows), 2);
    COVER(msa_place_rows(&prompt, 1, 2, rows), 3);
    COVER(rows[2], 0);
}

void cover_parts(void)
{
    wrong_numbers();
    wrong_memory();
    losses();
    wrong_rules();
    powers();
    norms();
    updates();
    trees();
    prompt_rows();
    msa_segment_sum sum;
    COVER(msa_check_segment(cover.weights, 0, &sum), MSA_OK);
    cover.weights[sum.offset] ^= 1u;
    COVER(msa_check_segment(cover.weights, 0, &sum), MSA_E_CRC);
    cover.weights[sum.offset] ^= 1u;
}
#endif
