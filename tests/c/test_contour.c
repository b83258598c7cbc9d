/* SPDX-License-Identifier: Apache-2.0 */
/* Outlines of masks, by brute force: areas are numbers of pixels, a pixel's middle is inside an odd number of polygons
 * exactly where the mask is, no corner is straight, and regions are what pixels that share sides are. */
#include "contour.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 40 };

static unsigned char mask[SIDE * SIDE];

/* Twice the area, positive where the polygon runs clockwise as seen. */
static int64_t doubled_area(const struct msagen_contours *c, const struct msagen_polygon *p)
{
    int64_t sum = 0;
    for (size_t i = 0; i < p->count; ++i) {
        const int32_t *a = c->points[p->first + i], *b = c->points[p->first + (i + 1) % p->count];
        sum += (int64_t)a[0] * b[1] - (int64_t)b[0] * a[1];
    }
    return sum;
}

/* How often a ray to the right from the middle of a pixel crosses a polygon. */
static int crossings(const struct msagen_contours *c, const struct msagen_polygon *p, int32_t x, int32_t y)
{
    int count = 0;
    for (size_t i = 0; i < p->count; ++i) {
        const int32_t *a = c->points[p->first + i], *b = c->points[p->first + (i + 1) % p->count];
        const int32_t low = a[1] < b[1] ? a[1] : b[1], high = a[1] < b[1] ? b[1] : a[1];
        count += a[0] == b[0] && a[0] > x && low <= y && y < high;
    }
    return count;
}

static void check_corners(const struct msagen_contours *c, const struct msagen_polygon *p)
{
    cr_assert(p->count >= 4 && p->count % 2 == 0);
    for (size_t i = 0; i < p->count; ++i) {
        const int32_t *a = c->points[p->first + i], *b = c->points[p->first + (i + 1) % p->count],
                      *d = c->points[p->first + (i + 2) % p->count];
        cr_assert((a[0] == b[0]) != (a[1] == b[1]), "along one axis");
        cr_assert((a[0] == b[0]) != (b[0] == d[0]), "and it turns");
    }
}

/* Pixels that share a side, by spreading the smallest number until nothing changes. */
static int count_regions(size_t height, size_t width)
{
    static int number[SIDE * SIDE];
    int count = 0;
    for (size_t i = 0; i < height * width; ++i)
        number[i] = mask[i] ? (int)i : -1;
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = 0; i < height * width; ++i) {
            const size_t right = i % width + 1 < width ? i + 1 : i, below = i + width < height * width ? i + width : i;
            const size_t beside[2] = {right, below};
            for (int k = 0; k < 2; ++k) {
                int *a = &number[i], *b = &number[beside[k]];
                if (*a < 0 || *b < 0 || *a == *b)
                    continue;
                *a = *b = *a < *b ? *a : *b;
                changed = true;
            }
        }
    }
    for (size_t i = 0; i < height * width; ++i)
        count += number[i] == (int)i;
    return count;
}

static void check(size_t height, size_t width)
{
    struct msagen_contours c;
    cr_assert_eq(msagen_contours_trace(mask, height, width, &c), 0);
    int64_t area = 0, pixels = 0;
    int regions = 0;
    for (size_t i = 0; i < c.polygon_count; ++i) {
        const struct msagen_polygon *p = &c.polygons[i];
        check_corners(&c, p);
        const int64_t own = doubled_area(&c, p);
        cr_assert(p->hole ? own < 0 : own > 0, "holes run the other way");
        area += own;
        regions += !p->hole;
        cr_assert_eq(p->region, regions - 1);
    }
    for (size_t y = 0; y < height; ++y)
        for (size_t x = 0; x < width; ++x) {
            int count = 0;
            for (size_t i = 0; i < c.polygon_count; ++i)
                count += crossings(&c, &c.polygons[i], (int32_t)x, (int32_t)y);
            cr_assert_eq(count % 2, mask[y * width + x] != 0, "pixel %zu,%zu", x, y);
            pixels += mask[y * width + x] != 0;
        }
    cr_assert_eq(area, 2 * pixels);
    cr_assert_eq(regions, count_regions(height, width));
    msagen_contours_free(&c);
}

Test(contour, masks_of_noise)
{
    uint32_t noise = 1;
    for (int turn = 0; turn < 60; ++turn) {
        const size_t height = 1 + (size_t)(turn * 7) % SIDE, width = 1 + (size_t)(turn * 11) % SIDE;
        for (size_t i = 0; i < height * width; ++i) {
            noise = noise * 1664525u + 1013904223u;
            mask[i] = (noise >> 24) < 32u + 32u * (unsigned)(turn % 7) ? 255 : 0;
        }
        check(height, width);
    }
}

Test(contour, rings_and_corners_that_touch)
{
    memset(mask, 0, sizeof mask);
    for (size_t y = 2; y < 30; ++y)
        for (size_t x = 3; x < 33; ++x) {
            const size_t to_edge = y - 2 < 29 - y ? y - 2 : 29 - y, to_side = x - 3 < 32 - x ? x - 3 : 32 - x;
            mask[y * SIDE + x] = (to_edge < to_side ? to_edge : to_side) % 4 < 2;
        }
    check(SIDE, SIDE);
    for (size_t i = 0; i < sizeof mask; ++i)
        mask[i] = (i / SIDE + i % SIDE) % 2 == 0;
    check(SIDE, SIDE);
    memset(mask, 1, sizeof mask);
    check(SIDE, SIDE);
}

Test(contour, a_frame_is_an_outer_polygon_and_a_hole)
{
    static const unsigned char frame[] = {1, 1, 1, 1, 0, 1, 1, 1, 1};
    static const int32_t expected[8][2] = {{0, 0}, {3, 0}, {3, 3}, {0, 3}, {1, 2}, {2, 2}, {2, 1}, {1, 1}};
    struct msagen_contours c;
    cr_assert_eq(msagen_contours_trace(frame, 3, 3, &c), 0);
    cr_assert_eq(c.polygon_count, 2u);
    cr_assert(!c.polygons[0].hole && c.polygons[1].hole);
    cr_assert_eq(c.point_count, 8u);
    for (size_t i = 0; i < 8; ++i)
        cr_assert(c.points[i][0] == expected[i][0] && c.points[i][1] == expected[i][1], "corner %zu: %d,%d", i,
                  c.points[i][0], c.points[i][1]);
    msagen_contours_free(&c);
}

Test(contour, nothing_inside)
{
    struct msagen_contours c;
    struct msagen_extent e;
    memset(mask, 0, sizeof mask);
    cr_assert_eq(msagen_contours_trace(mask, SIDE, SIDE, &c), 0);
    cr_assert(c.polygon_count == 0 && c.point_count == 0);
    msagen_contours_free(&c);
    msagen_extent_of(mask, 1, SIDE, SIDE, &e);
    cr_assert(e.pixels == 0 && e.end[2] == 0);
}

Test(contour, extent_of_a_volume)
{
    struct msagen_extent e;
    memset(mask, 0, sizeof mask);
    mask[(1 * 5 + 2) * 7 + 3] = mask[(2 * 5 + 4) * 7 + 3] = 1;
    msagen_extent_of(mask, 4, 5, 7, &e);
    cr_assert_eq(e.pixels, 2);
    static const int64_t first[3] = {1, 2, 3}, end[3] = {3, 5, 4};
    static const double centre[3] = {2.0, 3.5, 3.5};
    for (int i = 0; i < 3; ++i) {
        cr_assert(e.first[i] == first[i] && e.end[i] == end[i]);
        cr_assert(e.centre[i] == centre[i]);
    }
}
