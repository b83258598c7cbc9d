/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime of training as products have it: its logarithm against the C library's, what its calls refuse and leave
 * as it was, and that it stays within the memory that it names. Values and gradients are tested by tests/lua. */
#include "../../runtime/msa_image.c"
#include "../../runtime/train/msa_gradient.c"
#include "../../runtime/train/msa_loss.c"
#include "../../runtime/train/msa_optimiser.c"

#include <criterion/criterion.h>
#include <fenv.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

Test(training, logarithm)
{
    cr_assert_eq(msa_log1p(0.0f), 0.0f);
    cr_assert_eq(msa_log1p(1.0f), (float)0.69314718055994530942);
    for (uint32_t u = 1; u <= 0x3f800000u; u += 211u) {
        const float e = msa_from_bits(u);
        const double expected = log1p((double)e), place = ldexp(1.0, ilogb(expected) - 23);
        cr_assert_leq(fabs((double)msa_log1p(e) - expected), 1.05 * fmax(place, 0x1p-149), "ln(1 + %a)", (double)e);
    }
}

enum { SIDE = 5, TARGET = 13, MASKS = 3 };

struct fixture {
    float logits[MASKS * SIDE * SIDE], iou[MASKS], dlogits[MASKS * SIDE * SIDE], diou[MASKS];
    uint8_t target[TARGET * TARGET];
    msa_loss_input in;
    msa_loss loss;
    unsigned char *work;
    size_t bytes;
};

static struct fixture *fixture(void)
{
    struct fixture *f = calloc(1, sizeof *f);
    for (int i = 0; i < MASKS * SIDE * SIDE; ++i) {
        f->logits[i] = (float)(i * 37 % 19) * 0.5f - 4.0f;
        f->dlogits[i] = -7.0f;
    }
    for (int i = 0; i < TARGET * TARGET; ++i)
        f->target[i] = i * 29 % 7 < 3;
    for (int i = 0; i < MASKS; ++i) {
        f->iou[i] = 0.25f * (float)i;
        f->diou[i] = -7.0f;
    }
    const msa_loss_rule rule = {MSA_LOSS_SAM, 2.0, false, 20.0, 1.0, 1.0};
    const msa_target target = {f->target, NULL, 1, TARGET};
    f->in = (msa_loss_input){rule, target, MASKS, SIDE, 0, MASKS, 1.0};
    f->loss.value = -7.0;
    f->bytes = MSA_LOSS_WORK_BYTES(SIDE, TARGET, MASKS);
    f->work = malloc(f->bytes); /* a byte more would be seen by the sanitizer */
    return f;
}

static msa_status run(struct fixture *f)
{
    return msa_loss_of(&f->in, f->logits, f->iou, f->work, f->bytes, f->dlogits, f->diou, &f->loss);
}

static void refused(struct fixture *f, msa_status expected, const char *what)
{
    cr_assert_eq(run(f), expected, "%s", what);
    cr_assert_eq(f->loss.value, -7.0, "%s", what);
    for (int i = 0; i < MASKS * SIDE * SIDE; ++i)
        cr_assert_eq(f->dlogits[i], -7.0f, "%s", what);
    for (int i = 0; i < MASKS; ++i)
        cr_assert_eq(f->diou[i], -7.0f, "%s", what);
    free(f->work);
    free(f);
}

#define REFUSED(status, statement) \
    do { \
        struct fixture *const f = fixture(); \
        statement; \
        refused(f, status, #statement); \
    } while (0)

Test(training, a_loss_refuses_what_it_cannot_be_of)
{
    REFUSED(MSA_E_ARGUMENT, f->in.masks = 0);
    REFUSED(MSA_E_ARGUMENT, f->in.masks = 65);
    REFUSED(MSA_E_ARGUMENT, f->in.side = 0);
    REFUSED(MSA_E_ARGUMENT, f->in.side = MSA_MAX_SIDE + 1);
    REFUSED(MSA_E_ARGUMENT, f->in.count = 0);
    REFUSED(MSA_E_ARGUMENT, f->in.count = MASKS + 1);
    REFUSED(MSA_E_ARGUMENT, f->in.first = 1);
    REFUSED(MSA_E_ARGUMENT, f->in.first = UINT32_MAX);
    REFUSED(MSA_E_ARGUMENT, f->in.weight = -1.0);
    REFUSED(MSA_E_ARGUMENT, f->in.weight = (double)NAN);
    REFUSED(MSA_E_ARGUMENT, f->in.target.side = 0);
    REFUSED(MSA_E_ARGUMENT, f->in.target.masks = 2);
    REFUSED(MSA_E_ARGUMENT, f->in.target.bytes = NULL);
    REFUSED(MSA_E_ARGUMENT, f->in.target.shares = f->logits);
    REFUSED(MSA_E_ARGUMENT, f->in.rule.kind = (msa_loss_kind)3);
    REFUSED(MSA_E_ARGUMENT, f->in.rule.focal = (double)INFINITY);
    REFUSED(MSA_E_ARGUMENT, (f->in.rule.kind = MSA_LOSS_BCE, f->in.rule.pos_weight = 0.0));
    REFUSED(MSA_E_ARENA, f->bytes -= 1);
    REFUSED(MSA_E_TARGET, f->target[TARGET * TARGET - 1] = 2);
    REFUSED(MSA_E_NAN, f->logits[MASKS * SIDE * SIDE - 1] = NAN);
    REFUSED(MSA_E_NAN, f->logits[0] = -INFINITY);
    REFUSED(MSA_E_NAN, f->iou[2] = NAN);
    REFUSED(MSA_E_NAN, f->logits[7] = -0x1p60f);
}

Test(training, a_loss_needs_all_its_pointers)
{
    struct fixture *const f = fixture();
    cr_assert_eq(msa_loss_of(NULL, f->logits, f->iou, f->work, f->bytes, f->dlogits, f->diou, &f->loss),
        MSA_E_ARGUMENT);
    cr_assert_eq(msa_loss_of(&f->in, NULL, f->iou, f->work, f->bytes, f->dlogits, f->diou, &f->loss), MSA_E_ARGUMENT);
    cr_assert_eq(msa_loss_of(&f->in, f->logits, NULL, f->work, f->bytes, f->dlogits, f->diou, &f->loss),
        MSA_E_ARGUMENT);
    cr_assert_eq(msa_loss_of(&f->in, f->logits, f->iou, NULL, f->bytes, f->dlogits, f->diou, &f->loss), MSA_E_ARGUMENT);
    cr_assert_eq(msa_loss_of(&f->in, f->logits, f->iou, f->work, f->bytes, NULL, f->diou, &f->loss), MSA_E_ARGUMENT);
    cr_assert_eq(msa_loss_of(&f->in, f->logits, f->iou, f->work, f->bytes, f->dlogits, f->diou, NULL), MSA_E_ARGUMENT);
    cr_assert_eq(msa_loss_of(&f->in, f->logits, f->iou, f->work, f->bytes, f->dlogits, NULL, &f->loss), MSA_OK);
    free(f->work);
    free(f);
}

Test(training, masks_that_take_no_part_may_hold_anything)
{
    struct fixture *const f = fixture();
    f->in.first = 1;
    f->in.count = 1;
    f->logits[0] = NAN;
    f->logits[MASKS * SIDE * SIDE - 1] = INFINITY;
    f->iou[0] = NAN;
    cr_assert_eq(run(f), MSA_OK);
    cr_assert_eq(f->loss.chosen, 1);
    for (int i = 0; i < MASKS * SIDE * SIDE; ++i)
        cr_assert(i / (SIDE * SIDE) == 1 ? f->dlogits[i] != -7.0f : f->dlogits[i] == 0.0f, "%d", i);
    free(f->work);
    free(f);
}

Test(training, bytes_and_shares_of_0_and_1_are_the_same_target)
{
    struct fixture *const f = fixture(), *const g = fixture();
    float shares[TARGET * TARGET];
    for (int i = 0; i < TARGET * TARGET; ++i)
        shares[i] = (float)g->target[i];
    g->in.target.bytes = NULL;
    g->in.target.shares = shares;
    cr_assert_eq(run(f), MSA_OK);
    cr_assert_eq(run(g), MSA_OK);
    cr_assert_eq(f->loss.value, g->loss.value);
    cr_assert_eq(memcmp(f->dlogits, g->dlogits, sizeof f->dlogits), 0);
    free(f->work);
    free(g->work);
    free(f);
    free(g);
}

enum { ELEMENTS = 197 };

struct tensors {
    float value[ELEMENTS], gradient[ELEMENTS], first[ELEMENTS], second[ELEMENTS];
};

static msa_trained of(struct tensors *t)
{
    return (msa_trained){t->value, t->gradient, t->first, t->second, ELEMENTS, true};
}

static struct tensors tensors(void)
{
    struct tensors t;
    memset(&t, 0, sizeof t);
    for (int i = 0; i < ELEMENTS; ++i) {
        t.value[i] = (float)(i % 13) - 6.0f;
        t.gradient[i] = (float)(i * 31 % 17 - 8) * 0.125f;
    }
    return t;
}

static const msa_optimiser adamw = {MSA_ADAMW, 1e-3, 0.9, 0.999, 1e-8, 0.1, 1.0};

Test(training, a_refused_step_changes_nothing)
{
    const float none[] = {NAN, INFINITY, -INFINITY, 0x1p60f};
    for (size_t k = 0; k < sizeof none / sizeof *none; ++k) {
        struct tensors t = tensors();
        t.gradient[ELEMENTS - 1 - 64 * k % ELEMENTS] = none[k];
        const struct tensors before = t;
        const msa_trained list[] = {of(&t)};
        msa_steps steps;
        msa_steps_at(&steps, &adamw, 7);
        const msa_steps counted = steps;
        float norm = -7.0f;
        cr_assert_eq(msa_optimise(&adamw, &steps, list, 1, 1.0, &norm), MSA_E_NAN);
        cr_assert_eq(memcmp(&t, &before, sizeof t), 0);
        cr_assert(steps.done == counted.done && steps.power1 == counted.power1 && steps.power2 == counted.power2);
        cr_assert_eq(norm, -7.0f);
    }
}

Test(training, parts_of_a_tensor_make_the_same_step)
{
    struct tensors whole = tensors(), cut = tensors();
    const msa_trained one[] = {of(&whole)}, all = of(&cut);
    msa_trained parts[3] = {all, all, all};
    const size_t starts[] = {0, 5, 133, ELEMENTS};
    for (int k = 0; k < 3; ++k) {
        parts[k].value += starts[k];
        parts[k].gradient += starts[k];
        parts[k].first += starts[k];
        parts[k].second += starts[k];
        parts[k].count = starts[k + 1] - starts[k];
    }
    msa_steps steps, same;
    msa_steps_at(&steps, &adamw, 0);
    msa_steps_at(&same, &adamw, 0);
    for (int t = 0; t < 3; ++t) {
        float a, b;
        cr_assert_eq(msa_optimise(&adamw, &steps, one, 1, 0.5, &a), MSA_OK);
        cr_assert_eq(msa_optimise(&adamw, &same, parts, 3, 0.5, &b), MSA_OK);
        cr_assert_eq(a, b);
    }
    cr_assert_eq(memcmp(&whole, &cut, sizeof whole), 0);
}

/* More squares than 64 bits hold, were they not in two words; the norm is that of the textbook. */
Test(training, the_norm_of_many_elements)
{
    enum { MANY = 3000017 };
    float *const g = malloc(MANY * sizeof *g);
    double sum = 0.0;
    for (int i = 0; i < MANY; ++i) {
        g[i] = (float)((uint32_t)i * 2654435761u >> 8) * 0x1p-24f * (i % 5 == 0 ? 1e3f : 1e-3f);
        sum += (double)g[i] * (double)g[i];
    }
    msa_squares squares = {0};
    msa_squares_largest(&squares, g, MANY);
    msa_squares_add(&squares, g, MANY);
    cr_assert_float_eq((double)msa_squares_norm(&squares), sqrt(sum), 2e-7 * sqrt(sum));
    free(g);
}

Test(training, steps_resumed_are_steps_made)
{
    msa_steps made, resumed;
    msa_steps_at(&made, &adamw, 0);
    struct tensors t = tensors();
    const msa_trained list[] = {of(&t)};
    for (int i = 0; i < 800; ++i)
        cr_assert_eq(msa_optimise(&adamw, &made, list, 1, 1.0, NULL), MSA_OK);
    msa_steps_at(&resumed, &adamw, 800);
    cr_assert(made.done == resumed.done && made.power1 == resumed.power1 && made.power2 == resumed.power2);
    cr_assert(made.power1 == 0.0 && made.power2 > 0.4);
}

Test(training, gradients_of_a_batch_are_joined_where_they_lie)
{
    float sums[4][3];
    float *const slots[] = {sums[0], sums[1], sums[2], sums[3]};
    for (uint32_t images = 1; images <= 15; ++images) {
        uint32_t depth = 0, expected = images * (images + 1) / 2;
        for (uint32_t i = 0; i < images; ++i) {
            cr_assert_lt(depth, msa_tree_depth(0, images));
            for (int k = 0; k < 3; ++k)
                sums[depth][k] = (float)(i + 1) * (float)(k + 1);
            const msa_tree_block block = {i, 0};
            depth = msa_gradient_join(slots, depth + 1, 3, 0, block);
        }
        msa_gradient_finish(slots, depth, 3);
        for (int k = 0; k < 3; ++k)
            cr_assert_eq(sums[0][k], (float)(expected * (uint32_t)(k + 1)));
    }
}

/* Products may trap them. */
Test(training, no_call_raises_an_exception_of_the_float_unit)
{
    struct fixture *const f = fixture();
    struct tensors t = tensors();
    const msa_trained list[] = {of(&t)};
    msa_steps steps;
    msa_steps_at(&steps, &adamw, 0);
    f->logits[0] = 0x1.fffffep59f;
    f->logits[1] = -0x1.fffffep59f;
    t.gradient[0] = 0x1.fffffep59f;
    t.gradient[1] = 0x1p-149f;
    const msa_loss_kind kinds[] = {MSA_LOSS_BCE, MSA_LOSS_DICECE, MSA_LOSS_SAM};
    feclearexcept(FE_ALL_EXCEPT);
    for (int k = 0; k < 3; ++k) {
        f->in.rule.kind = kinds[k];
        cr_assert_eq(run(f), MSA_OK);
    }
    cr_assert_eq(msa_optimise(&adamw, &steps, list, 1, 1.0, NULL), MSA_OK);
    f->logits[2] = NAN;
    cr_assert_eq(run(f), MSA_E_NAN);
    t.gradient[2] = NAN;
    cr_assert_eq(msa_optimise(&adamw, &steps, list, 1, 1.0, NULL), MSA_E_NAN);
    cr_assert_eq(fetestexcept(FE_INVALID | FE_OVERFLOW | FE_DIVBYZERO), 0);
    free(f->work);
    free(f);
}

Test(training, files_are_compiled_as_written)
{
    volatile float one = 1.0f + 0x1p-12f, many = 0x1p24f, zero = -0.0f;
    cr_assert(msa_loss_as_written(one, many, zero));
    cr_assert(msa_optimiser_as_written(one, many, zero));
}
