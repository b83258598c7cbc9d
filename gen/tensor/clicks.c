/* SPDX-License-Identifier: Apache-2.0 */
/* Where a person might click: the rules by which training draws clicks. */
#include "clicks.h"

#include "distances.h"
#include "runner/msa_run_clicks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of the rules: clicks, and pixels. */
enum { INSIDE = 5, IN_BAND = 10, ON_EACH = 5, DEEPEST = 9, MARGIN = 5, BAND = 40, APART = 20, DEEP_APART = 40 };

/* Bits of a grid for distances. */
enum { FROM = 1, TO = 2 };

int64_t msagen_pick(const uint8_t *values, size_t count, int value, struct msagen_draws *draws)
{
    uint64_t there = 0;
    for (size_t i = 0; i < count; ++i)
        there += value < 0 ? values[i] != 0 : values[i] == value;
    if (there == 0)
        return -1;
    uint64_t left = msagen_draw_below(draws, there);
    for (size_t i = 0;; ++i)
        if ((value < 0 ? values[i] != 0 : values[i] == value) && left-- == 0)
            return (int64_t)i;
}

/* ---- random clicks ---- */

struct drawing {
    const struct msagen_clicks_truth *truth;
    struct msagen_draws *draws;
    struct msagen_click *out;
    int count, most;
    uint8_t *set;    /* pixels that may be clicked on */
    uint8_t *band;
    uint32_t *steps; /* |dx| + |dy| to the nearest pixel that is sought */
    double *depths;
};

static size_t pixels_of(const struct drawing *d)
{
    return d->truth->height * d->truth->width;
}

/* Steps over sides to the nearest pixel whose being inside is `inside`; UINT32_MAX / 2 and more where there is none. */
static void count_steps(struct drawing *d, int inside)
{
    const size_t width = d->truth->width, all = pixels_of(d);
    for (size_t i = 0; i < all; ++i) {
        const uint32_t above = i < width ? UINT32_MAX / 2 : d->steps[i - width];
        const uint32_t left = i % width == 0 ? UINT32_MAX / 2 : d->steps[i - 1];
        d->steps[i] = (d->truth->mask[i] != 0) == inside ? 0 : (above < left ? above : left) + 1;
    }
    for (size_t i = all; i-- > 0;) {
        const uint32_t below = i + width < all ? d->steps[i + width] : UINT32_MAX / 2;
        const uint32_t right = i % width + 1 < width ? d->steps[i + 1] : UINT32_MAX / 2;
        const uint32_t nearer = (below < right ? below : right) + 1;
        d->steps[i] = nearer < d->steps[i] ? nearer : d->steps[i];
    }
}

static void add(struct drawing *d, int64_t at, int label)
{
    if (d->count == d->most)
        return;
    const int64_t width = (int64_t)d->truth->width;
    d->out[d->count++] = (struct msagen_click){at % width, at / width, label};
}

/* The pixels within `apart` of pixel `at`: rows and columns from first to before end. */
struct window {
    size_t first_row, end_row, first, end;
};

static struct window around(const struct drawing *d, int64_t at, size_t apart)
{
    const size_t width = d->truth->width, height = d->truth->height;
    const size_t x = (size_t)at % width, y = (size_t)at / width;
    return (struct window){y < apart ? 0 : y - apart, y + apart < height ? y + apart + 1 : height,
                           x < apart ? 0 : x - apart, x + apart < width ? x + apart + 1 : width};
}

static void draw_from_set(struct drawing *d, uint64_t clicks, int label)
{
    for (uint64_t k = 0; k < clicks; ++k) {
        const int64_t at = msagen_pick(d->set, pixels_of(d), -1, d->draws);
        if (at < 0)
            return;
        add(d, at, label);
        const struct window w = around(d, at, APART);
        for (size_t y = w.first_row; y < w.end_row; ++y)
            memset(d->set + y * d->truth->width + w.first, 0, w.end - w.first);
    }
}

static void draw_inside(struct drawing *d)
{
    const size_t all = pixels_of(d);
    size_t left = 0;
    count_steps(d, 0);
    for (size_t i = 0; i < all; ++i)
        left += d->set[i] = d->steps[i] > MARGIN;
    for (size_t i = 0; i < all && left == 0; ++i)
        d->set[i] = d->truth->mask[i] != 0;
    draw_from_set(d, 1 + msagen_draw_below(d->draws, INSIDE), 1);
}

/* Distances of the FROM pixels of d->set to the TO ones, in d->depths in their order. 0, or -1: out of memory. */
static int measure(struct drawing *d)
{
    const struct msagen_grid grid = {d->set, {1, d->truth->height, d->truth->width}, {1.0, 1.0, 1.0}};
    return msagen_distances(&grid, FROM, TO, d->depths);
}

/* 0, or -1: out of memory. */
static int find_band(struct drawing *d)
{
    const size_t all = pixels_of(d);
    for (size_t i = 0; i < all; ++i)
        d->set[i] = d->truth->mask[i] ? TO : FROM;
    if (measure(d) != 0)
        return -1;
    count_steps(d, 1);
    for (size_t i = 0, k = 0; i < all; ++i) {
        const double distance = d->truth->mask[i] ? 0.0 : d->depths[k++];
        d->band[i] = d->steps[i] > MARGIN && distance <= BAND;
    }
    return 0;
}

static void draw_on_others(struct drawing *d)
{
    const uint64_t clicks = msagen_draw_below(d->draws, ON_EACH + 1);
    for (size_t k = 0; k < d->truth->other_count; ++k) {
        for (size_t i = 0; i < pixels_of(d); ++i)
            d->set[i] = d->truth->others[k][i] && !d->truth->mask[i];
        draw_from_set(d, clicks, 0);
    }
}

/* 0, or -1: out of memory. */
static int draw_deepest(struct drawing *d)
{
    const size_t all = pixels_of(d), width = d->truth->width;
    const int64_t first = msagen_pick(d->band, all, -1, d->draws);
    if (first < 0)
        return 0;
    add(d, first, 0);
    for (size_t i = 0; i < all; ++i)
        d->set[i] = d->band[i] && i != (size_t)first ? FROM : TO;
    if (measure(d) != 0)
        return -1;
    size_t measured = 0;
    for (size_t i = 0; i < all; ++i)
        measured += d->set[i] == FROM;
    for (size_t i = all; i-- > 0;) /* to their places, the last first */
        d->depths[i] = d->set[i] == FROM ? d->depths[--measured] : 0.0;
    for (int k = 0; k < DEEPEST; ++k) {
        size_t best = 0;
        for (size_t i = 1; i < all; ++i)
            best = d->depths[i] > d->depths[best] ? i : best;
        if (!(d->depths[best] > 0.0))
            return 0;
        add(d, (int64_t)best, 0);
        const struct window w = around(d, (int64_t)best, DEEP_APART);
        for (size_t y = w.first_row; y < w.end_row; ++y)
            for (size_t x = w.first; x < w.end; ++x)
                d->depths[y * width + x] = 0.0;
    }
    return 0;
}

/* 0, or -1: out of memory. */
static int draw_outside(struct drawing *d)
{
    const uint64_t rule = msagen_draw_below(d->draws, 3);
    if (rule == 1) {
        draw_on_others(d);
        return 0;
    }
    if (find_band(d) != 0)
        return -1;
    if (rule == 2)
        return draw_deepest(d);
    memcpy(d->set, d->band, pixels_of(d));
    draw_from_set(d, msagen_draw_below(d->draws, IN_BAND + 1), 0);
    return 0;
}

static int is_empty(const uint8_t *mask, size_t pixels)
{
    for (size_t i = 0; i < pixels; ++i)
        if (mask[i])
            return 0;
    return 1;
}

int msagen_clicks_random(const struct msagen_clicks_truth *truth, struct msagen_draws *draws, struct msagen_click *out,
                         int most)
{
    const size_t all = truth->height * truth->width;
    struct drawing d = {.truth = truth, .draws = draws, .out = out, .most = most};
    if (is_empty(truth->mask, all)) {
        add(&d, (int64_t)msagen_draw_below(draws, all), 0);
        return d.count;
    }
    d.set = malloc(all);
    d.band = malloc(all);
    d.steps = malloc(all * sizeof *d.steps);
    d.depths = malloc(all * sizeof *d.depths);
    int made = -1;
    if (d.set && d.band && d.steps && d.depths) {
        draw_inside(&d);
        made = draw_outside(&d) == 0 ? d.count : -1;
    }
    free(d.set);
    free(d.band);
    free(d.steps);
    free(d.depths);
    return made;
}

/* ---- iterative clicks ---- */

/* What is known of a pixel beside WRONG: the runner's flood adds the marks. */
enum { WRONG = 1, SEEN = 2, CHOSEN = 4 };

/* Marks the region that counts CHOSEN; 0 where there is none. clicked: 1 for pixels of earlier clicks. */
static int choose_region(uint8_t *wrong, const uint8_t *clicked, size_t height, size_t width, uint32_t *queue)
{
    uint32_t most = 0, first = 0;
    for (uint32_t i = 0; i < height * width; ++i)
        if (wrong[i] == WRONG) {
            const uint32_t count = msa_run_flood(wrong, (uint32_t)width, (uint32_t)height, i, SEEN, queue);
            uint32_t left = 0;
            for (uint32_t k = 0; k < count; ++k)
                left += !clicked[queue[k]];
            if (left > most) {
                most = left;
                first = i;
            }
        }
    if (most > 0)
        msa_run_flood(wrong, (uint32_t)width, (uint32_t)height, first, CHOSEN, queue);
    return most > 0;
}

/* The chosen region without clicks as FROM pixels, all others TO; whether there is one. */
static size_t mark_region(uint8_t *bits, const uint8_t *wrong, const uint8_t *clicked, size_t height, size_t width,
                          int with_border)
{
    size_t left = 0;
    for (size_t y = 0, i = 0; y < height; ++y)
        for (size_t x = 0; x < width; ++x, ++i) {
            const int border = y == 0 || x == 0 || y + 1 == height || x + 1 == width;
            const int of = wrong[i] & CHOSEN && !clicked[i] && (with_border || !border);
            bits[i] = of ? FROM : TO;
            left += (size_t)of;
        }
    return left;
}

/* The place of one of the FROM pixels whose depth is the largest. */
static size_t pick_deepest(const uint8_t *bits, const double *depths, size_t count, struct msagen_draws *draws)
{
    double most = 0.0;
    uint64_t there = 0;
    for (size_t k = 0; k < count; ++k) {
        there = depths[k] > most ? 1 : there + (depths[k] == most);
        most = depths[k] > most ? depths[k] : most;
    }
    uint64_t left = msagen_draw_below(draws, there);
    for (size_t i = 0, k = 0;; ++i)
        if (bits[i] == FROM && depths[k++] == most && left-- == 0)
            return i;
}

int msagen_click_iterative(const uint8_t *truth, const uint8_t *found, size_t height, size_t width,
                           const struct msagen_click *earlier, size_t count, struct msagen_draws *draws,
                           struct msagen_click *out)
{
    const size_t all = height * width;
    uint8_t *wrong = malloc(all), *clicked = calloc(all, 1);
    uint32_t *queue = malloc(all * sizeof *queue);
    double *depths = malloc(all * sizeof *depths);
    int made = -1;
    if (wrong && clicked && queue && depths) {
        for (size_t i = 0; i < all; ++i)
            wrong[i] = !truth[i] != !found[i] ? WRONG : 0;
        for (size_t k = 0; k < count; ++k)
            clicked[(size_t)earlier[k].y * width + (size_t)earlier[k].x] = 1;
        made = choose_region(wrong, clicked, height, width, queue);
    }
    if (made == 1) {
        uint8_t *const bits = (uint8_t *)queue; /* used up */
        size_t left = mark_region(bits, wrong, clicked, height, width, 0);
        if (left == 0)
            left = mark_region(bits, wrong, clicked, height, width, 1);
        const struct msagen_grid grid = {bits, {1, height, width}, {1.0, 1.0, 1.0}};
        if (msagen_distances(&grid, FROM, TO, depths) == 0) {
            const size_t at = pick_deepest(bits, depths, left, draws);
            *out = (struct msagen_click){(int64_t)(at % width), (int64_t)(at / width), truth[at] != 0};
        } else {
            made = -1;
        }
    }
    free(wrong);
    free(clicked);
    free(queue);
    free(depths);
    return made;
}

/* ---- SAM's ---- */

void msagen_click_wrong(const uint8_t *truth, const uint8_t *found, size_t height, size_t width,
                        struct msagen_draws *draws, struct msagen_click *out)
{
    const size_t all = height * width;
    uint64_t wrong = 0, background = 0;
    for (size_t i = 0; i < all; ++i) {
        wrong += !truth[i] != !found[i];
        background += !truth[i];
    }
    const int any = wrong == 0 && background == 0;
    uint64_t left = msagen_draw_below(draws, wrong > 0 ? wrong : any ? all : background);
    for (size_t i = 0;; ++i)
        if ((wrong > 0 ? !truth[i] != !found[i] : any || !truth[i]) && left-- == 0) {
            *out = (struct msagen_click){(int64_t)(i % width), (int64_t)(i / width), truth[i] != 0};
            return;
        }
}

/* Two neighbours and the second one's share. */
struct between {
    size_t low, high;
    double share;
};

static struct between between_at(size_t in, size_t out, size_t at)
{
    const double place = ((double)at + 0.5) * (double)in / (double)out - 0.5, from = place < 0.0 ? 0.0 : place;
    const size_t low = (size_t)from;
    return (struct between){low, low + 1 < in ? low + 1 : low, from - (double)low};
}

void msagen_clicks_found(const float *logits, size_t rows, size_t columns, size_t height, size_t width, uint8_t *out)
{
    for (size_t y = 0; y < height; ++y) {
        const struct between down = between_at(rows, height, y);
        const float *const above = logits + down.low * columns, *const below = logits + down.high * columns;
        for (size_t x = 0; x < width; ++x) {
            const struct between b = between_at(columns, width, x);
            const double high = (1.0 - b.share) * (double)above[b.low] + b.share * (double)above[b.high];
            const double low = (1.0 - b.share) * (double)below[b.low] + b.share * (double)below[b.high];
            out[y * width + x] = (1.0 - down.share) * high + down.share * low > 0.0 ? 255 : 0;
        }
    }
}
