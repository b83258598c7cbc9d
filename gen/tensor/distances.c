/* SPDX-License-Identifier: Apache-2.0 */
/* Exact Euclidean distances: whole numbers of pixels along the first axis; then in each plane across it a search around
 * each pixel, and where that takes long, since the sets lie apart, the lower envelope of parabolas (Felzenszwalb,
 * Huttenlocher 2012) along the second axis and the third. Squares are added in the order of the axes, so that both ways
 * give the same bits. */
#include "distances.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Along the first axis there is nothing. */
#define NONE UINT16_MAX

enum {
    COLUMNS = 8, /* that are worked on together: a line of the cache */
    PATIENCE = 1, /* places looked at in a search, for each pixel of the plane */
    FEW = 12      /* pixels of a row, for which an envelope does not pay */
};

/* The parabolas that are lowest somewhere: whose they are, and from which place on. */
struct envelope {
    size_t *owner;
    double *start;
    size_t count;
};

struct work {
    uint16_t *along;   /* of each pixel, to the nearest along the first axis */
    double *plane;     /* squared, within the first two axes */
    double *line;      /* of the longer side, COLUMNS times */
    double *result;    /* of the longer side */
    struct envelope envelope;
};

/* squared[i] + (spacing (x - i))^2 */
static void raise_envelope(struct envelope *e, const double *squared, size_t count, double spacing)
{
    e->count = 0;
    for (size_t u = 0; u < count; ++u) {
        if (isinf(squared[u]))
            continue;
        double from = -INFINITY;
        while (e->count > 0) {
            const size_t i = e->owner[e->count - 1];
            from = 0.5 * (double)(u + i) + (squared[u] - squared[i]) / (2.0 * spacing * spacing * (double)(u - i));
            if (from > e->start[e->count - 1])
                break;
            --e->count;
            from = -INFINITY;
        }
        e->owner[e->count] = u;
        e->start[e->count] = from;
        ++e->count;
    }
}

/* The envelope's value at x; part: where that of a smaller x was found, 0 at first. */
static double lowest(const struct envelope *e, const double *squared, double spacing, size_t x, size_t *part)
{
    if (e->count == 0)
        return INFINITY;
    while (*part + 1 < e->count && e->start[*part + 1] < (double)x)
        ++*part;
    const size_t owner = e->owner[*part];
    const double across = (x > owner ? (double)(x - owner) : (double)(owner - x)) * spacing;
    return squared[owner] + across * across;
}

/* One farther than a neighbour. */
static uint16_t farther(uint16_t than)
{
    return (uint16_t)(than + (than != NONE));
}

static void measure_along(const struct msagen_grid *g, uint8_t to, uint16_t *along)
{
    const size_t plane = g->side[1] * g->side[2], all = plane * g->side[0];
    for (size_t i = 0; i < all; ++i) {
        const uint16_t before = i < plane ? NONE : farther(along[i - plane]);
        along[i] = g->bits[i] & to ? 0 : before;
    }
    for (size_t i = all - plane; i-- > 0;) {
        const uint16_t behind = farther(along[i + plane]);
        along[i] = behind < along[i] ? behind : along[i];
    }
}

static double squared_along(const struct msagen_grid *g, uint16_t pixels)
{
    const double along = (double)pixels * g->spacing[0];
    return pixels == NONE ? INFINITY : along * along;
}

/* What a line has becomes the envelope's values. room: for a line. */
static void measure_line(struct envelope *e, double *line, size_t count, double spacing, double *room)
{
    size_t part = 0;
    raise_envelope(e, line, count, spacing);
    for (size_t y = 0; y < count; ++y)
        room[y] = lowest(e, line, spacing, y, &part);
    memcpy(line, room, count * sizeof *line);
}

/* Squared distances within the first two axes, of the plane's pixels. */
static void measure_plane(const struct msagen_grid *g, const uint16_t *along, struct work *w)
{
    const size_t height = g->side[1], width = g->side[2];
    if (height == 1) {
        for (size_t x = 0; x < width; ++x)
            w->plane[x] = squared_along(g, along[x]);
        return;
    }
    for (size_t x = 0; x < width; x += COLUMNS) {
        const size_t columns = width - x < COLUMNS ? width - x : COLUMNS;
        for (size_t y = 0; y < height; ++y)
            for (size_t c = 0; c < columns; ++c)
                w->line[c * height + y] = squared_along(g, along[y * width + x + c]);
        for (size_t c = 0; c < columns; ++c)
            measure_line(&w->envelope, w->line + c * height, height, g->spacing[1], w->result);
        for (size_t y = 0; y < height; ++y)
            for (size_t c = 0; c < columns; ++c)
                w->plane[y * width + x + c] = w->line[c * height + y];
    }
}

static size_t count_in(const uint8_t *bits, size_t count, uint8_t which)
{
    size_t found = 0;
    for (size_t i = 0; i < count; ++i)
        found += (bits[i] & which) != 0;
    return found;
}

/* The lowest value at x of the parabolas of a line, from x on to both sides. */
static double lowest_around(const double *squared, size_t count, double spacing, size_t x)
{
    double best = squared[x];
    for (size_t dx = 1; dx <= x || x + dx < count; ++dx) {
        const double across = (double)dx * spacing * ((double)dx * spacing);
        if (across >= best)
            break;
        if (dx <= x && squared[x - dx] + across < best)
            best = squared[x - dx] + across;
        if (x + dx < count && squared[x + dx] + across < best)
            best = squared[x + dx] + across;
    }
    return best;
}

/* Distances of the plane's pixels in `from`; returns behind them. */
static double *measure_rows(const struct msagen_grid *g, const uint8_t *bits, uint8_t from, struct work *w, double *out)
{
    const size_t width = g->side[2];
    for (size_t y = 0; y < g->side[1]; ++y, bits += width) {
        const double *const squared = w->plane + y * width;
        const size_t asked = count_in(bits, width, from);
        size_t part = 0;
        if (asked > FEW)
            raise_envelope(&w->envelope, squared, width, g->spacing[2]);
        for (size_t x = 0; x < width && asked > 0; ++x)
            if (bits[x] & from)
                *out++ = sqrt(asked > FEW ? lowest(&w->envelope, squared, g->spacing[2], x, &part)
                                          : lowest_around(squared, width, g->spacing[2], x));
    }
    return out;
}

/* Look at pixel (y, x) of the plane as one that may be the nearest to a pixel beside it. */
static double nearer(const struct msagen_grid *g, const uint16_t *along, size_t y, size_t x, double down, double across,
                     double best)
{
    const double squared = squared_along(g, along[y * g->side[2] + x]) + down + across;
    return squared < best ? squared : best;
}

/* Squared distance of pixel (y, x), looking around it as far as a nearer one may be. Takes from *patience; less than 0
 * is not enough. */
static double look_around(const struct msagen_grid *g, const uint16_t *along, size_t y, size_t x, int64_t *patience)
{
    const size_t height = g->side[1], width = g->side[2];
    double best = INFINITY;
    for (size_t dy = 0; (dy <= y || y + dy < height) && *patience >= 0; ++dy) {
        const double down = (double)dy * g->spacing[1] * ((double)dy * g->spacing[1]);
        if (down >= best)
            break;
        for (size_t dx = 0; dx <= x || x + dx < width; ++dx) {
            const double across = (double)dx * g->spacing[2] * ((double)dx * g->spacing[2]);
            if (down + across >= best || --*patience < 0)
                break;
            for (int way = 0; way < 4; ++way) {
                const size_t v = way & 1 ? y + dy : y - dy, u = way & 2 ? x + dx : x - dx; /* below 0: huge */
                if (v < height && u < width)
                    best = nearer(g, along, v, u, down, across, best);
            }
        }
    }
    return best;
}

/* Distances of the plane's pixels in `from` by looking around each; NULL where that takes too long. */
static double *search_plane(const struct msagen_grid *g, const uint8_t *bits, uint8_t from, const uint16_t *along,
                            double *out)
{
    int64_t patience = PATIENCE * (int64_t)(g->side[1] * g->side[2]);
    for (size_t y = 0, i = 0; y < g->side[1]; ++y)
        for (size_t x = 0; x < g->side[2]; ++x, ++i)
            if (bits[i] & from) {
                *out++ = sqrt(look_around(g, along, y, x, &patience));
                if (patience < 0)
                    return NULL;
            }
    return out;
}

int msagen_distances(const struct msagen_grid *g, uint8_t from, uint8_t to, double *out)
{
    const size_t plane = g->side[1] * g->side[2], longer = g->side[1] > g->side[2] ? g->side[1] : g->side[2];
    struct work w = {malloc(g->side[0] * plane * sizeof *w.along), malloc(plane * sizeof *w.plane),
                     malloc(COLUMNS * longer * sizeof *w.line), malloc(longer * sizeof *w.result),
                     {malloc(longer * sizeof(size_t)), malloc(longer * sizeof(double)), 0}};
    const int got = w.along && w.plane && w.line && w.result && w.envelope.owner && w.envelope.start;
    if (got)
        measure_along(g, to, w.along);
    for (size_t z = 0; z < g->side[0] && got; ++z) {
        const uint8_t *const bits = g->bits + z * plane;
        if (count_in(bits, plane, from) == 0)
            continue;
        double *const end = search_plane(g, bits, from, w.along + z * plane, out);
        if (!end)
            measure_plane(g, w.along + z * plane, &w);
        out = end ? end : measure_rows(g, bits, from, &w, out);
    }
    free(w.along);
    free(w.plane);
    free(w.line);
    free(w.result);
    free(w.envelope.owner);
    free(w.envelope.start);
    return got ? 0 : -1;
}
