/* SPDX-License-Identifier: Apache-2.0 */
/* Overlap, distances of borders, distances of surfaces with their areas. */
#include "metrics.h"

#include "distances.h"
#include "surface.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What a pixel is in: the masks, and their borders. */
enum { PRED = 1, TRUTH = 2, PRED_EDGE = 4, TRUTH_EDGE = 8 };

/* The part of the masks that has all of both; without axes that there are not. */
struct part {
    uint8_t *bits;
    size_t side[3];
    double spacing[3];
    int axes; /* bit k: axis k there is */
};

static size_t pixels_of(const struct part *p)
{
    return p->side[0] * p->side[1] * p->side[2];
}

/* ---- the part ---- */

struct box {
    size_t first[3], end[3];
};

/* Counts, and the box of both masks; side: of the whole. */
static void count_pixels(const uint8_t *pred, const uint8_t *truth, const size_t *side, struct msagen_metrics *m,
                         struct box *box)
{
    *box = (struct box){{side[0], side[1], side[2]}, {0, 0, 0}};
    for (size_t z = 0; z < side[0]; ++z)
        for (size_t y = 0; y < side[1]; ++y) {
            const size_t row = (z * side[1] + y) * side[2];
            size_t first = side[2], end = 0;
            for (size_t x = 0; x < side[2]; ++x) {
                const int p = pred[row + x] != 0, t = truth[row + x] != 0;
                if (!p && !t)
                    continue;
                m->pred_pixels += p;
                m->truth_pixels += t;
                m->both_pixels += p && t;
                first = x < first ? x : first;
                end = x + 1;
            }
            const size_t low[3] = {z, y, first}, high[3] = {z + 1, y + 1, end};
            for (int k = 0; k < 3 && end > 0; ++k) {
                box->first[k] = low[k] < box->first[k] ? low[k] : box->first[k];
                box->end[k] = high[k] > box->end[k] ? high[k] : box->end[k];
            }
        }
}

static int cut_out(const uint8_t *pred, const uint8_t *truth, const size_t *side, const struct box *box, struct part *p)
{
    for (int k = 0; k < 3; ++k)
        p->side[k] = box->end[k] - box->first[k];
    p->bits = malloc(pixels_of(p));
    if (!p->bits)
        return -1;
    uint8_t *out = p->bits;
    for (size_t z = box->first[0]; z < box->end[0]; ++z)
        for (size_t y = box->first[1]; y < box->end[1]; ++y)
            for (size_t x = box->first[2]; x < box->end[2]; ++x) {
                const size_t i = (z * side[1] + y) * side[2] + x;
                *out++ = (uint8_t)((pred[i] ? PRED : 0) | (truth[i] ? TRUTH : 0));
            }
    return 0;
}

/* Which masks all neighbours over the sides are in, of pixel i at (z, y, x). */
static uint8_t around(const struct part *p, size_t i, const size_t *at)
{
    const size_t step[3] = {p->side[1] * p->side[2], p->side[2], 1};
    uint8_t all = PRED | TRUTH;
    for (int k = 0; k < 3; ++k) {
        if (!(p->axes >> k & 1))
            continue;
        if (at[k] == 0 || at[k] + 1 == p->side[k])
            return 0;
        all &= p->bits[i - step[k]] & p->bits[i + step[k]];
    }
    return all;
}

/* Border: pixels of a mask with a neighbour outside of it; beyond the picture is outside. */
static void mark_borders(struct part *p, struct msagen_metrics *m)
{
    size_t i = 0, at[3];
    for (at[0] = 0; at[0] < p->side[0]; ++at[0])
        for (at[1] = 0; at[1] < p->side[1]; ++at[1])
            for (at[2] = 0; at[2] < p->side[2]; ++at[2], ++i) {
                const uint8_t inside = p->bits[i] & (PRED | TRUTH);
                const uint8_t edge = inside ? (uint8_t)(inside & ~around(p, i, at)) : 0;
                p->bits[i] |= (uint8_t)(edge * (PRED_EDGE / PRED));
                m->pred_border += (edge & PRED) != 0;
                m->truth_border += (edge & TRUTH) != 0;
            }
}

/* ---- borders ---- */

/* Of every `step`th number, in halves, as numpy adds them up. */
static double sum(const double *x, size_t n, size_t step)
{
    if (n > 128) {
        const size_t half = n / 2 - n / 2 % 8;
        return sum(x, half, step) + sum(x + half * step, n - half, step);
    }
    double eight[8] = {0}, all = 0;
    const size_t whole = n - n % 8;
    for (size_t i = 0; i < whole; ++i)
        eight[i % 8] += x[i * step];
    if (whole)
        all = ((eight[0] + eight[1]) + (eight[2] + eight[3])) + ((eight[4] + eight[5]) + (eight[6] + eight[7]));
    for (size_t i = whole; i < n; ++i)
        all += x[i * step];
    return all;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The 95th of a hundred between the sorted x: place (n - 1) 0.95, linear between neighbours. at(i): the ith of them. */
static double between(double place, double lower, double upper)
{
    return lower + (upper - lower) * (place - floor(place));
}

static double place_of(size_t n)
{
    return (double)(n - 1) * 95.0 / 100.0;
}

static double percentile(const double *x, size_t n)
{
    const double place = place_of(n);
    const size_t i = (size_t)floor(place), next = i + 1 < n ? i + 1 : i;
    return between(place, x[i], x[next]);
}

/* The same of two sorted lists together. */
static double percentile_of_both(const double *a, size_t na, const double *b, size_t nb)
{
    const double place = place_of(na + nb);
    const size_t i = (size_t)floor(place), next = i + 1 < na + nb ? i + 1 : i;
    double lower = 0, upper = 0;
    for (size_t at = 0, ia = 0, ib = 0; at <= next; ++at) {
        upper = ib == nb || (ia < na && a[ia] <= b[ib]) ? a[ia++] : b[ib++];
        if (at == i)
            lower = upper;
    }
    return between(place, lower, upper);
}

static size_t within(const double *sorted, size_t n, double tolerance)
{
    size_t count = 0;
    while (count < n && sorted[count] <= tolerance)
        ++count;
    return count;
}

/* Distances of border pixels, both ways. 0, or -1: out of memory. */
static int compare_borders(const struct part *p, double tolerance, struct msagen_metrics *m)
{
    const struct msagen_grid grid = {p->bits, {p->side[0], p->side[1], p->side[2]},
                                     {p->spacing[0], p->spacing[1], p->spacing[2]}};
    const size_t na = (size_t)m->pred_border, nb = (size_t)m->truth_border;
    double *const a = malloc((na + nb) * sizeof *a), *const b = a ? a + na : NULL;
    int failed = !a || msagen_distances(&grid, PRED_EDGE, TRUTH_EDGE, a) != 0
                 || msagen_distances(&grid, TRUTH_EDGE, PRED_EDGE, b) != 0;
    if (!failed) {
        m->assd = (sum(a, na, 1) / (double)na + sum(b, nb, 1) / (double)nb) / 2.0;
        qsort(a, na, sizeof *a, ascending);
        qsort(b, nb, sizeof *b, ascending);
        m->hd = fmax(a[na - 1], b[nb - 1]);
        m->hd95_pooled = percentile_of_both(a, na, b, nb);
        m->hd95_max = fmax(percentile(a, na), percentile(b, nb));
        m->surface_dice = (double)(within(a, na, tolerance) + within(b, nb, tolerance)) / (double)(na + nb);
    }
    free(a);
    return failed ? -1 : 0;
}

/* ---- surfaces ---- */

/* A piece of one surface: how far the other is, and how large it is. */
struct piece {
    double distance, area;
};

static int by_distance(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    const int order = ascending(&x->distance, &y->distance);
    return order ? order : ascending(&x->area, &y->area);
}

/* The pieces of one mask, the nearest first. */
struct side {
    struct piece *pieces;
    size_t count;
};

/* 0, or -1: out of memory. */
static int measure_side(const struct msagen_surface *s, uint8_t mine, uint8_t others, struct side *side)
{
    side->count = msagen_surface_count(s, mine);
    side->pieces = malloc(side->count * sizeof *side->pieces);
    double *const distances = malloc(side->count * sizeof *distances);
    const int got = side->pieces && distances && msagen_distances(&s->grid, mine, others, distances) == 0;
    for (size_t i = 0; i < side->count && got; ++i)
        side->pieces[i].distance = distances[i];
    free(distances);
    if (!got)
        return -1;
    msagen_surface_areas(s, mine, &side->pieces[0].area, sizeof *side->pieces / sizeof(double));
    qsort(side->pieces, side->count, sizeof *side->pieces, by_distance);
    return 0;
}

/* The areas of the first `count` pieces. */
static double area_of(const struct side *side, size_t count)
{
    return sum(&side->pieces[0].area, count, sizeof *side->pieces / sizeof(double));
}

/* The distance that 95 of a hundred parts of the surface do not exceed. */
static double robust(const struct side *side)
{
    const double all = area_of(side, side->count);
    double area = 0;
    size_t i = 0;
    for (; i + 1 < side->count; ++i) {
        area += side->pieces[i].area;
        if (area / all >= 0.95)
            break;
    }
    return side->pieces[i].distance;
}

static double area_within(const struct side *side, double tolerance)
{
    size_t count = 0;
    while (count < side->count && side->pieces[count].distance <= tolerance)
        ++count;
    return area_of(side, count);
}

/* As DeepMind's surface-distance. 0, or -1: out of memory. */
static int compare_surfaces(const struct part *p, double tolerance, struct msagen_metrics *m)
{
    struct msagen_surface s;
    struct side pred = {0}, truth = {0};
    const int failed = msagen_surface_begin(&s, p->bits, p->side, p->axes, p->spacing) != 0
        || measure_side(&s, PRED, TRUTH, &pred) != 0 || measure_side(&s, TRUTH, PRED, &truth) != 0;
    if (!failed) {
        m->hd95_area = fmax(robust(&pred), robust(&truth));
        m->surface_dice_area = (area_within(&pred, tolerance) + area_within(&truth, tolerance))
            / (area_of(&pred, pred.count) + area_of(&truth, truth.count));
    }
    free(pred.pieces);
    free(truth.pieces);
    msagen_surface_end(&s);
    return failed ? -1 : 0;
}

/* ---- all ---- */

static void compare_overlap(struct msagen_metrics *m)
{
    const double both = (double)m->both_pixels, sizes = (double)(m->pred_pixels + m->truth_pixels);
    m->dice = sizes > 0 ? 2.0 * both / sizes : NAN;
    m->iou = sizes > 0 ? both / (sizes - both) : NAN;
    m->dice_msa = (2.0 * both + 1e-4) / (sizes + 1e-4);
    m->iou_msa = (both + 1e-6) / (sizes - both + 1e-6);
}

int msagen_metrics_compare(const uint8_t *pred, const uint8_t *truth, int dims, const int64_t *shape,
                           const double *spacing, double tolerance, struct msagen_metrics *m)
{
    /* Of a picture the rows are the first axis, the columns the third. */
    const int second = dims == 3;
    const size_t side[3] = {(size_t)shape[0], second ? (size_t)shape[1] : 1, (size_t)shape[dims - 1]};
    struct part part = {NULL, {0, 0, 0}, {spacing[0], second ? spacing[1] : 1.0, spacing[dims - 1]}, second ? 7 : 5};
    struct box box;
    memset(m, 0, sizeof *m);
    m->hd95_pooled = m->hd95_max = m->hd95_area = m->hd = m->assd = m->surface_dice = m->surface_dice_area = NAN;
    count_pixels(pred, truth, side, m, &box);
    compare_overlap(m);
    if (m->pred_pixels + m->truth_pixels == 0)
        return 0;
    if (cut_out(pred, truth, side, &box, &part) != 0)
        return -1;
    mark_borders(&part, m);
    int failed = 0;
    if (m->pred_pixels > 0 && m->truth_pixels > 0)
        failed = compare_borders(&part, tolerance, m) != 0 || compare_surfaces(&part, tolerance, m) != 0;
    else
        m->surface_dice_area = 0.0; /* nothing is near a surface that there is not */
    free(part.bits);
    return failed ? -1 : 0;
}

/* ---- Medical SAM Adapter ---- */

static float sigmoid(float x)
{
    return (float)(1.0 / (1.0 + exp(-(double)x)));
}

void msagen_metrics_msa(const float *logits, const float *truth, size_t count, size_t pixels,
                        enum msagen_metrics_msa version, double *iou, double *dice)
{
    static const float thresholds[5] = {0.1f, 0.3f, 0.5f, 0.7f, 0.9f};
    *iou = *dice = 0.0;
    for (int k = 0; k < 5; ++k) {
        double ious = 0.0;
        float dices = 0.0f; /* that program's is of float32 */
        for (size_t n = 0; n < count; ++n) {
            size_t both = 0, found = 0, is = 0;
            for (size_t i = n * pixels; i < (n + 1) * pixels; ++i) {
                const float value = version == MSAGEN_MSA_2025 ? sigmoid(logits[i]) : logits[i];
                const int p = value > thresholds[k], t = truth[i] > thresholds[k];
                both += (size_t)(p && t);
                found += (size_t)p;
                is += (size_t)t;
            }
            ious += ((double)both + 1e-6) / ((double)(found + is - both) + 1e-6);
            dices += (2.0f * (float)both + 1e-4f) / ((float)found + (float)is + 1e-4f);
        }
        *iou += ious / (double)count;
        *dice += (double)(dices / (float)count);
    }
    *iou /= 5.0;
    *dice /= 5.0;
}
