/* SPDX-License-Identifier: Apache-2.0 */
/* The shape of a mask. Outlines run along the sides of pixels, what is inside at their right hand; where two pixels
 * touch at a corner alone they stay apart. */
#include "contour.h"

#include <stdlib.h>
#include <string.h>

void msagen_extent_of(const unsigned char *mask, size_t slices, size_t height, size_t width,
                      struct msagen_extent *extent)
{
    *extent = (struct msagen_extent){0, {0, 0, 0}, {0, 0, 0}, {0.0, 0.0, 0.0}};
    uint64_t sums[3] = {0, 0, 0};
    for (size_t s = 0; s < slices; ++s)
        for (size_t y = 0; y < height; ++y)
            for (size_t x = 0; x < width; ++x) {
                if (!mask[(s * height + y) * width + x])
                    continue;
                const size_t at[3] = {s, y, x};
                for (int axis = 0; axis < 3; ++axis) {
                    const int64_t i = (int64_t)at[axis];
                    if (extent->pixels == 0 || i < extent->first[axis])
                        extent->first[axis] = i;
                    if (i >= extent->end[axis])
                        extent->end[axis] = i + 1;
                    sums[axis] += at[axis];
                }
                ++extent->pixels;
            }
    for (int axis = 0; axis < 3 && extent->pixels > 0; ++axis)
        extent->centre[axis] = (double)sums[axis] / (double)extent->pixels + 0.5;
}

/* ---- regions ---- */

/* Give every pixel of the region around `start` a number; `queue` has room for all pixels. */
static void flood(const unsigned char *mask, size_t height, size_t width, size_t start, int32_t number,
                  int32_t *regions, int32_t *queue)
{
    size_t first = 0, end = 0;
    queue[end++] = (int32_t)start;
    regions[start] = number;
    while (first < end) {
        const size_t at = (size_t)queue[first++], x = at % width, y = at / width;
        const size_t beside[4] = {at - 1, at + 1, at - width, at + width};
        const int there[4] = {x > 0, x + 1 < width, y > 0, y + 1 < height};
        for (int i = 0; i < 4; ++i)
            if (there[i] && mask[beside[i]] && regions[beside[i]] < 0) {
                regions[beside[i]] = number;
                queue[end++] = (int32_t)beside[i];
            }
    }
}

/* Number the regions by their first pixels, -1 outside. */
static void number_regions(const unsigned char *mask, size_t height, size_t width, int32_t *regions, int32_t *queue)
{
    int32_t count = 0;
    for (size_t i = 0; i < height * width; ++i)
        regions[i] = -1;
    for (size_t i = 0; i < height * width; ++i)
        if (mask[i] && regions[i] < 0)
            flood(mask, height, width, i, count++, regions, queue);
}

/* ---- tracing ---- */

struct tracer {
    const unsigned char *mask;
    size_t height, width;
    unsigned char *seen; /* whether the upper side of a pixel was walked along */
    struct msagen_contours *contours;
    size_t point_room, polygon_room;
};

enum direction { RIGHT, DOWN, LEFT, UP };
static const int step_x[4] = {1, 0, -1, 0}, step_y[4] = {0, 1, 0, -1};

static int is_inside(const struct tracer *t, int64_t x, int64_t y)
{
    return x >= 0 && y >= 0 && x < (int64_t)t->width && y < (int64_t)t->height &&
           t->mask[(size_t)y * t->width + (size_t)x];
}

/* Room for one more element. The list, or NULL: out of memory. */
static void *grown(void *list, size_t count, size_t *room, size_t bytes)
{
    if (count < *room)
        return list;
    const size_t more = *room ? 2 * *room : 64;
    void *larger = more > SIZE_MAX / bytes ? NULL : realloc(list, more * bytes);
    if (larger)
        *room = more;
    return larger;
}

static int add_point(struct tracer *t, int64_t x, int64_t y)
{
    struct msagen_contours *c = t->contours;
    int32_t(*points)[2] = grown(c->points, c->point_count, &t->point_room, sizeof *points);
    if (!points)
        return -1;
    c->points = points;
    points[c->point_count][0] = (int32_t)x;
    points[c->point_count++][1] = (int32_t)y;
    return 0;
}

/* Walk along the outline that has the upper side of pixel (column, row), and come back there. */
static int walk(struct tracer *t, size_t column, size_t row)
{
    /* Pixels at the left and the right hand ahead of a corner, from that corner, by direction. */
    static const int left_x[4] = {0, 0, -1, -1}, left_y[4] = {-1, 0, 0, -1};
    static const int right_x[4] = {0, -1, -1, 0}, right_y[4] = {0, 0, -1, -1};
    int64_t x = (int64_t)column, y = (int64_t)row;
    enum direction to = RIGHT;
    int around = 0;
    if (add_point(t, x, y) != 0)
        return -1;
    do {
        if (to == RIGHT)
            t->seen[(size_t)y * t->width + (size_t)x] = 1;
        x += step_x[to];
        y += step_y[to];
        const enum direction before = to;
        if (!is_inside(t, x + right_x[to], y + right_y[to]))
            to = (enum direction)((to + 1) % 4);
        else if (is_inside(t, x + left_x[to], y + left_y[to]))
            to = (enum direction)((to + 3) % 4);
        around = x == (int64_t)column && y == (int64_t)row && to == RIGHT;
        if (to != before && !around && add_point(t, x, y) != 0)
            return -1;
    } while (!around);
    return 0;
}

static int trace_from(struct tracer *t, size_t x, size_t y, int32_t region)
{
    struct msagen_contours *c = t->contours;
    struct msagen_polygon *polygons = grown(c->polygons, c->polygon_count, &t->polygon_room, sizeof *polygons);
    if (!polygons)
        return -1;
    c->polygons = polygons;
    const size_t first = c->point_count;
    if (walk(t, x, y) != 0)
        return -1;
    polygons[c->polygon_count++] = (struct msagen_polygon){first, c->point_count - first, region, 0};
    return 0;
}

/* By region, and within one in the order in which they were found: its outer one has its first pixel. */
static int by_region(const void *a, const void *b)
{
    const struct msagen_polygon *p = a, *q = b;
    if (p->region != q->region)
        return p->region < q->region ? -1 : 1;
    return p->first < q->first ? -1 : p->first > q->first;
}

static int trace_all(struct tracer *t, const int32_t *regions)
{
    for (size_t y = 0; y < t->height; ++y)
        for (size_t x = 0; x < t->width; ++x) {
            const size_t at = y * t->width + x;
            const int upper = t->mask[at] && (y == 0 || !t->mask[at - t->width]);
            if (upper && !t->seen[at] && trace_from(t, x, y, regions[at]) != 0)
                return -1;
        }
    struct msagen_contours *c = t->contours;
    if (c->polygon_count > 0)
        qsort(c->polygons, c->polygon_count, sizeof *c->polygons, by_region);
    for (size_t i = 1; i < c->polygon_count; ++i)
        c->polygons[i].hole = c->polygons[i].region == c->polygons[i - 1].region;
    return 0;
}

int msagen_contours_trace(const unsigned char *mask, size_t height, size_t width, struct msagen_contours *contours)
{
    const size_t pixels = height * width;
    memset(contours, 0, sizeof *contours);
    int32_t *const regions = malloc(pixels * sizeof *regions + 1), *const queue = malloc(pixels * sizeof *queue + 1);
    struct tracer t = {mask, height, width, calloc(pixels + 1, 1), contours, 0, 0};
    int failed = -1;
    if (regions && queue && t.seen) {
        number_regions(mask, height, width, regions, queue);
        failed = trace_all(&t, regions);
    }
    free(regions);
    free(queue);
    free(t.seen);
    if (failed)
        msagen_contours_free(contours);
    return failed;
}

void msagen_contours_free(struct msagen_contours *contours)
{
    free(contours->points);
    free(contours->polygons);
    memset(contours, 0, sizeof *contours);
}
