/* SPDX-License-Identifier: 0BSD */
/* msa_loss.c - losses and their gradients, row by row of the target: logits are enlarged as they are needed, once for
 * the value and once for the gradient. */
#ifndef MSA_TRAIN_FLOAT64 /* which brings its own arithmetic */
#include "msa_runtime.h"
#include "msa_train_arith.h"
#endif
#include "msa_loss.h"

#define MOST_MASKS 64u
#define MOST_WEIGHT 1048576.0
#define LANES 16u

/* Sums over pixels: cross-entropy or focal loss; p t; p or its square; t or its square. */
enum { CROSS, BOTH, MASK, TRUTH, SUMS };

typedef struct loss_pixel {
    msa_real p, q;         /* sigmoid of x and of -x */
    msa_real on, off;      /* -ln p, -ln q */
} loss_pixel;

typedef struct loss_rows {
    msa_loss_mask *masks;  /* [count] */
    msa_between *columns;  /* [target side] */
    msa_real *x;           /* [target side] logits, then their gradients */
    msa_real *gathered;    /* [side] gradients of a row of the target, brought to the columns of the logits */
} loss_rows;

static bool in_range(double x, double most)
{
    return x >= 0.0 && x <= most;
}

static msa_status check_input(const msa_loss_input *in)
{
    const msa_loss_rule *const rule = &in->rule;
    const bool ranges = in->masks >= 1u && in->masks <= MOST_MASKS && in->side >= 1u && in->side <= MSA_MAX_SIDE
        && in->target.side >= 1u && in->target.side <= MSA_MAX_SIDE && in->count >= 1u && in->count <= in->masks
        && in->first <= in->masks - in->count && (in->target.masks == 1u || in->target.masks == in->count);
    if (!ranges || (in->target.bytes == NULL) == (in->target.shares == NULL) || !in_range(in->weight, MOST_WEIGHT)) {
        return MSA_E_ARGUMENT;
    }
    switch (rule->kind) {
    case MSA_LOSS_BCE:
        return in_range(rule->pos_weight, MOST_WEIGHT) && rule->pos_weight > 0.0 ? MSA_OK : MSA_E_ARGUMENT;
    case MSA_LOSS_DICECE:
        return MSA_OK;
    case MSA_LOSS_SAM:
        return in_range(rule->focal, MOST_WEIGHT) && in_range(rule->dice, MOST_WEIGHT)
            && in_range(rule->iou, MOST_WEIGHT) ? MSA_OK : MSA_E_ARGUMENT;
    }
    return MSA_E_ARGUMENT;
}

static msa_status check_target(const msa_target *target)
{
    const size_t pixels = (size_t)target->masks * target->side * target->side;
    for (size_t i = 0; i < pixels; ++i) {
        const bool good = target->bytes != NULL ? target->bytes[i] <= 1u
            : msa_is_share(target->shares[i]);
        if (!good) {
            return MSA_E_TARGET;
        }
    }
    return MSA_OK;
}

static bool all_bounded(const msa_real *x, size_t count)
{
    for (size_t i = 0; i < count; ++i) {
        if (!msa_is_bounded(x[i])) {
            return false;
        }
    }
    return true;
}

static bool lay_out(const msa_loss_input *in, void *work, size_t work_bytes, loss_rows *rows)
{
    const uint32_t side = in->target.side;
    if (work_bytes < MSA_LOSS_WORK_BYTES(in->side, side, in->count)) {
        return false;
    }
    rows->masks = work;
    rows->columns = (msa_between *)(void *)(rows->masks + in->count);
    rows->x = (msa_real *)(void *)(rows->columns + side);
    rows->gathered = rows->x + side;
    for (uint32_t i = 0; i < side; ++i) {
        rows->columns[i] = msa_between_at(in->side, side, i);
    }
    return true;
}

static loss_pixel pixel_of(msa_real x)
{
    const msa_real e = msa_exp(x < 0 ? x : -x), whole = 1 + e, ln = msa_log1p(e);
    loss_pixel v;
    v.p = (x < 0 ? e : 1) / whole;
    v.q = (x < 0 ? 1 : e) / whole;
    v.on = ln + msa_max(-x, 0);
    v.off = ln + msa_max(x, 0);
    return v;
}

/* Row y of a mask at the target's size. */
static void enlarge(const msa_loss_input *in, const msa_real *mask, uint32_t y, const loss_rows *rows)
{
    const msa_between down = msa_between_at(in->side, in->target.side, y);
    const msa_real *const low = mask + (size_t)down.low * in->side, *const high = mask + (size_t)down.high * in->side;
    for (uint32_t x = 0; x < in->target.side; ++x) {
        const msa_between b = rows->columns[x];
        const msa_real above = msa_blended(low[b.low], low[b.high], b.share);
        const msa_real below = msa_blended(high[b.low], high[b.high], b.share);
        rows->x[x] = msa_blended(above, below, down.share);
    }
}

/* The adjoint of `enlarge`: the gradients of row y, in rows->x, join those of the mask. Each is a chain over the
 * target's rows, in order, of chains over its columns, in order; the lower neighbour's share comes before the higher
 * one's. */
static void gather(const msa_loss_input *in, uint32_t y, const loss_rows *rows, msa_real *mask)
{
    const msa_between down = msa_between_at(in->side, in->target.side, y);
    msa_real *const low = mask + (size_t)down.low * in->side, *const high = mask + (size_t)down.high * in->side;
    msa_real *const sum = rows->gathered;
    for (uint32_t i = 0; i < in->side; ++i) {
        sum[i] = 0;
    }
    for (uint32_t x = 0; x < in->target.side; ++x) {
        const msa_between b = rows->columns[x];
        sum[b.low] = msa_fma(1 - b.share, rows->x[x], sum[b.low]);
        sum[b.high] = msa_fma(b.share, rows->x[x], sum[b.high]);
    }
    for (uint32_t i = 0; i < in->side; ++i) {
        low[i] = msa_fma(1 - down.share, sum[i], low[i]);
    }
    for (uint32_t i = 0; i < in->side; ++i) {
        high[i] = msa_fma(down.share, sum[i], high[i]);
    }
}

/* Of row y of the target of mask k, which takes part as number k; one of the two is NULL. */
typedef struct loss_truth {
    const uint8_t *bytes;
    const float *shares;
} loss_truth;

static loss_truth truth_of(const msa_target *target, uint32_t k, uint32_t y)
{
    const size_t at = ((size_t)(target->masks == 1u ? 0u : k) * target->side + y) * target->side;
    loss_truth t = {NULL, NULL};
    if (target->bytes != NULL) {
        t.bytes = target->bytes + at;
    } else {
        t.shares = target->shares + at;
    }
    return t;
}

static msa_real truth_at(loss_truth t, uint32_t x)
{
    return t.bytes != NULL ? (msa_real)t.bytes[x] : (msa_real)t.shares[x];
}

static msa_real cross_entropy(loss_pixel v, msa_real t, msa_real pos_weight)
{
    return msa_fma(pos_weight * t, v.on, (1 - t) * v.off);
}

/* alpha_t (1 - p_t)^2 times the cross-entropy, alpha = 1/4. */
static msa_real focal(loss_pixel v, msa_real t)
{
    const msa_real miss = msa_fma(t, v.q, (1 - t) * v.p); /* 1 - p_t */
    const msa_real alpha = msa_fma((msa_real)-0.5, t, (msa_real)0.75);
    return (alpha * (miss * miss)) * cross_entropy(v, t, 1);
}

/* The gradients of these two by x. */
static msa_real cross_entropy_dx(loss_pixel v, msa_real t, msa_real pos_weight)
{
    return msa_fma(-(pos_weight * t), v.q, (1 - t) * v.p);
}

static msa_real focal_dx(loss_pixel v, msa_real t)
{
    const msa_real miss = msa_fma(t, v.q, (1 - t) * v.p);
    const msa_real alpha = msa_fma((msa_real)-0.5, t, (msa_real)0.75);
    const msa_real miss_dx = (1 - (t + t)) * (v.p * v.q);
    const msa_real sum = msa_fma(cross_entropy(v, t, 1), miss_dx + miss_dx, miss * cross_entropy_dx(v, t, 1));
    return (alpha * miss) * sum;
}

static msa_real tree_sum(msa_real part[LANES])
{
    for (uint32_t half = LANES / 2u; half > 0u; half /= 2u) {
        for (uint32_t i = 0; i < half; ++i) {
            part[i] = part[i] + part[i + half];
        }
    }
    return part[0];
}

/* Sums of a row, whose logits are in rows->x, by sixteen partial sums each. */
static void add_row(const msa_loss_input *in, loss_truth truth, const msa_real *row, double sums[SUMS],
                    uint32_t counts[2])
{
    const bool sam = in->rule.kind == MSA_LOSS_SAM;
    const msa_real pos_weight = in->rule.kind == MSA_LOSS_BCE ? (msa_real)in->rule.pos_weight : 1;
    msa_real part[SUMS][LANES] = {{0}};
    for (uint32_t x = 0; x < in->target.side; ++x) {
        const uint32_t j = x % LANES;
        const msa_real t = truth_at(truth, x);
        const loss_pixel v = pixel_of(row[x]);
        part[CROSS][j] = part[CROSS][j] + (sam ? focal(v, t) : cross_entropy(v, t, pos_weight));
        part[BOTH][j] = msa_fma(v.p, t, part[BOTH][j]);
        part[MASK][j] = msa_fma(v.p, sam ? 1 : v.p, part[MASK][j]);
        part[TRUTH][j] = msa_fma(t, sam ? 1 : t, part[TRUTH][j]);
        counts[0] += row[x] > 0 && t > 0 ? 1u : 0u;
        counts[1] += row[x] > 0 || t > 0 ? 1u : 0u;
    }
    for (uint32_t s = 0; s < (uint32_t)SUMS; ++s) {
        sums[s] = sums[s] + (double)tree_sum(part[s]);
    }
}

/* What mask k, of those that take part, comes to. */
static void value_of(const msa_loss_input *in, const msa_real *mask, uint32_t k, const loss_rows *rows)
{
    double sums[SUMS] = {0.0};
    uint32_t counts[2] = {0u, 0u};
    for (uint32_t y = 0; y < in->target.side; ++y) {
        enlarge(in, mask, y, rows);
        add_row(in, truth_of(&in->target, k, y), rows->x, sums, counts);
    }
    const double smooth = in->rule.kind == MSA_LOSS_SAM ? 1.0 : 1e-5;
    msa_loss_mask *const result = &rows->masks[k];
    result->cross = sums[CROSS] / ((double)in->target.side * (double)in->target.side);
    result->iou = (double)counts[0] / (double)(counts[1] > 0u ? counts[1] : 1u);
    result->overlap = 2.0 * sums[BOTH] + smooth;
    result->total = (sums[MASK] + sums[TRUTH]) + smooth;
    result->dice = in->rule.kind == MSA_LOSS_BCE ? 0.0 : 1.0 - result->overlap / result->total;
}

/* The value of all, and which mask the rule chooses. */
static void join_masks(const msa_loss_input *in, const msa_real *iou, const msa_loss_mask *masks, msa_loss *loss)
{
    const msa_loss_rule *const rule = &in->rule;
    double cross = 0.0, dice = 0.0, least = 0.0;
    loss->masks = masks;
    loss->chosen = in->first;
    for (uint32_t k = 0; k < in->count; ++k) {
        cross = cross + masks[k].cross;
        dice = dice + masks[k].dice;
    }
    for (uint32_t k = 0; rule->kind == MSA_LOSS_SAM && k < in->count; ++k) {
        const double of_mask = rule->focal * masks[k].cross + rule->dice * masks[k].dice;
        if (k == 0u || of_mask < least) {
            least = of_mask;
            loss->chosen = in->first + k;
        }
    }
    if (rule->kind == MSA_LOSS_BCE) {
        loss->value = cross / (double)in->count;
    } else if (rule->kind == MSA_LOSS_DICECE) {
        loss->value = (rule->binary ? dice + cross : dice) / (double)in->count;
    } else {
        const double apart = (double)iou[loss->chosen] - masks[loss->chosen - in->first].iou;
        loss->value = least + rule->iou * (apart * apart);
    }
}

/* Factors of a mask's gradient, each rounded once: of cross-entropy or focal loss; of the Dice loss by p, which is
 * level + slope p - lift t. */
typedef struct loss_factors {
    msa_real cross, level, slope, lift;
} loss_factors;

static loss_factors factors_of(const msa_loss_input *in, const msa_loss_mask *mask)
{
    const double pixels = (double)in->target.side * (double)in->target.side;
    const double ratio = mask->overlap / mask->total / mask->total;
    const bool sam = in->rule.kind == MSA_LOSS_SAM;
    const double share = in->weight / (double)(sam ? 1u : in->count);
    loss_factors f = {0, 0, 0, 0};
    if (sam) {
        f.cross = (msa_real)(share * in->rule.focal / pixels);
        f.level = (msa_real)(share * in->rule.dice * ratio);
        f.lift = (msa_real)(share * in->rule.dice * 2.0 / mask->total);
    } else {
        f.cross = (msa_real)(in->rule.kind == MSA_LOSS_BCE || in->rule.binary ? share / pixels : 0.0);
    }
    if (in->rule.kind == MSA_LOSS_DICECE) {
        f.slope = (msa_real)(share * 2.0 * ratio);
        f.lift = (msa_real)(share * 2.0 / mask->total);
    }
    return f;
}

/* The gradient by the logits of mask k, of those that take part. */
static void gradient_of(const msa_loss_input *in, const msa_real *mask, uint32_t k, const loss_rows *rows,
                        msa_real *gradient)
{
    const loss_factors f = factors_of(in, &rows->masks[k]);
    const bool sam = in->rule.kind == MSA_LOSS_SAM;
    const msa_real pos_weight = in->rule.kind == MSA_LOSS_BCE ? (msa_real)in->rule.pos_weight : 1;
    for (uint32_t y = 0; y < in->target.side; ++y) {
        const loss_truth truth = truth_of(&in->target, k, y);
        enlarge(in, mask, y, rows);
        for (uint32_t x = 0; x < in->target.side; ++x) {
            const msa_real t = truth_at(truth, x);
            const loss_pixel v = pixel_of(rows->x[x]);
            const msa_real cross = sam ? focal_dx(v, t) : cross_entropy_dx(v, t, pos_weight);
            const msa_real dice = msa_fma(-t, f.lift, msa_fma(v.p, f.slope, f.level));
            rows->x[x] = msa_fma(cross, f.cross, dice * (v.p * v.q));
        }
        gather(in, y, rows, gradient);
    }
}

static void gradients(const msa_loss_input *in, const msa_real *logits, const msa_real *iou, const loss_rows *rows,
                      const msa_loss *loss, msa_real *dlogits, msa_real *diou)
{
    const size_t plane = (size_t)in->side * in->side;
    const bool sam = in->rule.kind == MSA_LOSS_SAM;
    for (size_t i = 0; i < plane * in->masks; ++i) {
        dlogits[i] = 0;
    }
    for (uint32_t k = 0; k < in->count; ++k) {
        const uint32_t mask = in->first + k;
        if (!sam || mask == loss->chosen) {
            gradient_of(in, logits + plane * mask, k, rows, dlogits + plane * mask);
        }
    }
    for (uint32_t i = 0; diou != NULL && i < in->masks; ++i) {
        diou[i] = 0;
        if (sam && i == loss->chosen) {
            const double apart = (double)iou[i] - rows->masks[i - in->first].iou;
            diou[i] = (msa_real)(in->weight * in->rule.iou * 2.0 * apart);
        }
    }
}

msa_status msa_loss_of(const msa_loss_input *in, const msa_real *logits, const msa_real *iou,
                       void *work, size_t work_bytes, msa_real *dlogits, msa_real *diou, msa_loss *loss)
{
    if (in == NULL || logits == NULL || work == NULL || dlogits == NULL || loss == NULL) {
        return MSA_E_ARGUMENT;
    }
    msa_status status = check_input(in);
    if (status == MSA_OK && in->rule.kind == MSA_LOSS_SAM && iou == NULL) {
        status = MSA_E_ARGUMENT;
    }
    if (status == MSA_OK) {
        status = check_target(&in->target);
    }
    if (status != MSA_OK) {
        return status;
    }
    loss_rows rows;
    if (!lay_out(in, work, work_bytes, &rows)) {
        return MSA_E_ARENA;
    }
    const size_t plane = (size_t)in->side * in->side;
    if (!all_bounded(logits + plane * in->first, plane * in->count)
        || (in->rule.kind == MSA_LOSS_SAM && !all_bounded(iou + in->first, in->count))) {
        return MSA_E_NAN;
    }
    for (uint32_t k = 0; k < in->count; ++k) {
        value_of(in, logits + plane * (in->first + k), k, &rows);
    }
    join_masks(in, iou, rows.masks, loss);
    gradients(in, logits, iou, &rows, loss, dlogits, diou);
    return MSA_OK;
}

#ifndef MSA_TRAIN_FLOAT64
bool msa_loss_as_written(float one, float many, float zero)
{
    return msa_as_written(one, many, zero);
}
#endif
