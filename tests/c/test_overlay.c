/* SPDX-License-Identifier: Apache-2.0 */
/* Overlay pictures: what is tinted, outlined and left alone; sizes from one pixel on; marks across the edges. */
#include "overlay.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static unsigned char pixels[256 * 256 * 3], mask[256 * 256];

static const struct msagen_overlay_style cyan = {{90, 235, 255}, 0.3, 1};

static struct msagen_canvas grey(size_t width, size_t height)
{
    memset(pixels, 100, sizeof pixels);
    memset(mask, 0, sizeof mask);
    return (struct msagen_canvas){pixels, width, height, width * 3};
}

static const unsigned char *at(const struct msagen_canvas *canvas, size_t x, size_t y)
{
    return canvas->pixels + y * canvas->stride + 3 * x;
}

static bool untouched(const unsigned char *pixel)
{
    return pixel[0] == 100 && pixel[1] == 100 && pixel[2] == 100;
}

Test(overlay, a_square_is_tinted_and_outlined)
{
    struct msagen_canvas canvas = grey(256, 256);
    for (size_t y = 64; y < 192; ++y)
        memset(mask + y * 256 + 64, 255, 128);
    cr_assert_eq(msagen_overlay_mask(&canvas, mask, &cyan), 0);
    cr_assert(untouched(at(&canvas, 10, 10)));
    cr_assert(untouched(at(&canvas, 128, 56)), "well above the mask");
    const unsigned char *middle = at(&canvas, 128, 128), *edge = at(&canvas, 128, 64);
    cr_assert(middle[2] > 120 && middle[0] < 100, "bluer");
    cr_assert(edge[1] > 180 && edge[2] > 180, "the contour is bright: %d %d %d", edge[0], edge[1], edge[2]);
    for (size_t i = 0; i < 3; ++i)
        cr_assert_eq(at(&canvas, 64, 128)[i], at(&canvas, 128, 64)[i], "the same on each side");
}

Test(overlay, contour_alone_and_fill_alone)
{
    for (int contour = 0; contour < 2; ++contour) {
        struct msagen_canvas canvas = grey(256, 256);
        for (size_t y = 64; y < 192; ++y)
            memset(mask + y * 256 + 64, 255, 128);
        const struct msagen_overlay_style style = {{200, 0, 0}, contour ? 0.0 : 1.0, contour};
        cr_assert_eq(msagen_overlay_mask(&canvas, mask, &style), 0);
        const unsigned char *middle = at(&canvas, 128, 128), *edge = at(&canvas, 128, 64),
                            *above = at(&canvas, 128, 62);
        cr_assert_eq(untouched(middle), contour);
        cr_assert(contour || (middle[0] == 200 && middle[1] == 0), "opaque");
        cr_assert(edge[0] > 150);
        cr_assert_eq(untouched(above), !contour, "a halo is the contour's");
    }
}

Test(overlay, the_truth_is_dotted)
{
    struct msagen_canvas canvas = grey(256, 256);
    for (size_t y = 64; y < 256; ++y)
        memset(mask + y * 256 + 64, 255, 128);
    cr_assert_eq(msagen_overlay_truth(&canvas, mask), 0);
    size_t white = 0, grey_ones = 0;
    for (size_t x = 70; x < 186; ++x) {
        white += at(&canvas, x, 64)[0] > 200;
        grey_ones += untouched(at(&canvas, x, 64));
    }
    cr_assert(white > 20 && grey_ones > 10, "%zu white and %zu untouched of 116", white, grey_ones);
    cr_assert(untouched(at(&canvas, 128, 128)));
    for (size_t x = 70; x < 186; ++x)
        cr_assert(untouched(at(&canvas, x, 255)), "nothing along the image's border");
}

Test(overlay, slices_have_numbers)
{
    size_t before = 0;
    for (size_t number = 0; number <= 100; number += 50) {
        struct msagen_canvas canvas = grey(256, 256);
        msagen_overlay_number(&canvas, number);
        size_t white = 0;
        for (size_t y = 0; y < 256; ++y)
            for (size_t x = 0; x < 256; ++x) {
                white += at(&canvas, x, y)[0] > 200;
                cr_assert((x < 40 && y < 20) || untouched(at(&canvas, x, y)));
            }
        cr_assert(white > before, "%zu", number);
        before = white;
    }
}

Test(overlay, no_mask_and_a_mask_everywhere)
{
    struct msagen_canvas canvas = grey(200, 150);
    cr_assert_eq(msagen_overlay_mask(&canvas, mask, &cyan), 0);
    for (size_t i = 0; i < 200 * 150 * 3; ++i)
        cr_assert_eq(pixels[i], 100);
    memset(mask, 1, sizeof mask);
    cr_assert_eq(msagen_overlay_mask(&canvas, mask, &cyan), 0);
    for (size_t i = 0; i < 200 * 150; ++i)
        cr_assert_eq(memcmp(pixels + 3 * i, pixels, 3), 0, "no contour along the image's border");
    cr_assert(pixels[2] > 120);
}

Test(overlay, tiny_images)
{
    for (size_t width = 1; width < 12; ++width)
        for (size_t height = 1; height < 12; ++height) {
            const size_t bytes = width * height * 3;
            unsigned char *own = malloc(bytes), *bits = malloc(width * height);
            memset(own, 100, bytes);
            for (size_t i = 0; i < width * height; ++i)
                bits[i] = (unsigned char)(i % 2);
            struct msagen_canvas canvas = {own, width, height, width * 3};
            cr_assert_eq(msagen_overlay_mask(&canvas, bits, &cyan), 0);
            msagen_overlay_point(&canvas, 0.0, 0.0, 1);
            msagen_overlay_point(&canvas, (double)width, (double)height, 0);
            msagen_overlay_box(&canvas, 0.0, 0.0, (double)width, (double)height);
            cr_assert_eq(msagen_overlay_truth(&canvas, bits), 0);
            msagen_overlay_number(&canvas, 120);
            free(own);
            free(bits);
        }
}

Test(overlay, points_and_boxes)
{
    struct msagen_canvas canvas = grey(256, 256);
    msagen_overlay_point(&canvas, 60.0, 60.0, 1);
    msagen_overlay_point(&canvas, 180.0, 60.0, 0);
    msagen_overlay_box(&canvas, 20.0, 120.0, 230.0, 240.0);
    const unsigned char *inside = at(&canvas, 57, 57), *outside = at(&canvas, 177, 57), *line = at(&canvas, 120, 120);
    cr_assert(inside[1] > inside[0] + 50, "green");
    cr_assert(outside[0] > outside[1] + 50, "red");
    cr_assert(line[0] > 150 && line[2] < line[0], "yellow: %d %d %d", line[0], line[1], line[2]);
    cr_assert(untouched(at(&canvas, 120, 180)), "a box is hollow");
    cr_assert(untouched(at(&canvas, 120, 60)));
}

/* Pixels that are white by the number beside a click, in a square around it without the disc. */
static size_t white_beside(const struct msagen_canvas *canvas, size_t x, size_t y)
{
    size_t count = 0;
    for (size_t row = y - 40; row < y + 40; ++row)
        for (size_t column = x - 40; column < x + 40; ++column) {
            const unsigned char *p = at(canvas, column, row);
            const double dx = (double)column + 0.5 - (double)x, dy = (double)row + 0.5 - (double)y;
            count += dx * dx + dy * dy > 6.0 * 6.0 && p[0] > 200 && p[1] > 200 && p[2] > 200;
        }
    return count;
}

Test(overlay, clicks_have_numbers)
{
    struct msagen_canvas canvas = grey(256, 256);
    const double points[3][2] = {{60.0, 60.0}, {180.0, 60.0}, {60.0, 180.0}};
    cr_assert_eq(msagen_overlay_clicks(&canvas, points, (const int[]){1, 0, 1}, 3), 0);
    const unsigned char *inside = at(&canvas, 58, 58), *outside = at(&canvas, 178, 58);
    cr_assert(inside[1] > inside[0] && outside[0] > outside[1]);
    cr_assert(white_beside(&canvas, 60, 60) > 5, "a 1");
    cr_assert(white_beside(&canvas, 180, 60) > white_beside(&canvas, 60, 60), "a 2 has more dots than a 1");
    cr_assert(untouched(at(&canvas, 120, 120)));
}

/* Where clicks crowd together their numbers do not: each covers ground of its own. */
Test(overlay, numbers_make_way_for_each_other)
{
    double points[9][2];
    int labels[9];
    size_t before = 0;
    for (size_t n = 1; n <= 9; ++n) {
        struct msagen_canvas canvas = grey(256, 256);
        for (size_t i = 0; i < n; ++i) {
            points[i][0] = 128.0 + (double)(i % 2);
            points[i][1] = 128.0;
            labels[i] = 1;
        }
        cr_assert_eq(msagen_overlay_clicks(&canvas, (const double(*)[2])points, labels, n), 0);
        size_t now = white_beside(&canvas, 128, 128);
        cr_assert(now >= before + 5, "%zu numbers: %zu white pixels, %zu before", n, now, before);
        before = now;
    }
}

Test(overlay, clicks_in_tiny_images)
{
    for (size_t side = 1; side < 12; ++side) {
        unsigned char *own = malloc(side * side * 3);
        memset(own, 100, side * side * 3);
        struct msagen_canvas canvas = {own, side, side, side * 3};
        const double points[2][2] = {{0.0, 0.0}, {(double)side, (double)side}};
        cr_assert_eq(msagen_overlay_clicks(&canvas, points, (const int[]){1, -1}, 2), 0);
        cr_assert_eq(msagen_overlay_clicks(&canvas, points, (const int[]){1, 0}, 0), 0);
        free(own);
    }
}
