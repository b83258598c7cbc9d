/* SPDX-License-Identifier: Apache-2.0 */
/* Masks as bits, and their outlines: against the polygons that msagen traces, and by hand. */
#include "../../runtime/msa_mask.c"
#include "contour.h"
#include "noise.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { W = 43, H = 29, ROW = (W + 7) / 8 };
static uint8_t bits[H][ROW], work[H][ROW];
static unsigned char pixels[H][W];
static msa_corner corners[4 * W * H];

static void pack(void)
{
    memset(bits, 0, sizeof bits);
    for (int y = 0; y < H; ++y)
        for (int x = 0; x < W; ++x)
            bits[y][x / 8] = (uint8_t)(bits[y][x / 8] | (pixels[y][x] != 0) << x % 8);
}

/* Twice the area within a polygon. */
static int64_t within(const int32_t (*p)[2], size_t count)
{
    int64_t sum = 0;
    for (size_t i = 0; i < count; ++i) {
        const size_t next = (i + 1) % count;
        sum += (int64_t)p[i][0] * p[next][1] - (int64_t)p[next][0] * p[i][1];
    }
    return sum;
}

/* The outline is the outer polygon of msagen's that encloses most, from whichever corner on. */
static void same_as_traced(void)
{
    struct msagen_contours all;
    msa_outline outline;
    cr_assert_eq(msagen_contours_trace(pixels[0], H, W, &all), 0);
    const struct msagen_polygon *most = NULL;
    int64_t area = 0;
    for (size_t i = 0; i < all.polygon_count; ++i) {
        const struct msagen_polygon *one = &all.polygons[i];
        const int64_t twice = one->hole ? 0 : within((const int32_t (*)[2])all.points + one->first, one->count);
        if (twice > area) {
            area = twice;
            most = one;
        }
    }
    cr_assert_eq(msa_contour(bits[0], W, H, work[0], corners, sizeof corners / sizeof *corners, &outline), MSA_OK);
    cr_assert_eq(2 * outline.area, area);
    cr_assert_eq(outline.count, most ? most->count : 0);
    size_t shift = 0;
    for (; most && shift < most->count; ++shift) {
        size_t same = 0;
        while (same < most->count
               && (uint32_t)all.points[most->first + (shift + same) % most->count][0] == corners[same].x
               && (uint32_t)all.points[most->first + (shift + same) % most->count][1] == corners[same].y)
            ++same;
        if (same == most->count)
            break;
    }
    cr_assert(!most || shift < most->count, "another outline");
    msagen_contours_free(&all);
}

Test(outlines, are_those_of_noise_of_any_density)
{
    uint32_t state = 5;
    for (uint32_t density = 0; density <= 16; ++density)
        for (int round = 0; round < 8; ++round) {
            for (size_t i = 0; i < sizeof pixels; ++i) {
                state = state * 1664525u + 1013904223u;
                pixels[i / W][i % W] = (state >> 28) < density;
            }
            pack();
            same_as_traced();
        }
}

Test(outlines, of_a_rectangle_with_a_hole_and_of_pixels_that_touch_at_a_corner)
{
    memset(pixels, 0, sizeof pixels);
    for (int y = 4; y < 20; ++y)
        for (int x = 3; x < 40; ++x)
            pixels[y][x] = !(y > 7 && y < 12 && x > 8 && x < 30);
    pixels[20][40] = 1;
    pack();
    same_as_traced();
    msa_outline outline;
    msa_corner two[2];
    cr_assert_eq(msa_contour(bits[0], W, H, work[0], two, 2, &outline), MSA_E_CAPACITY);
    cr_assert_eq(outline.count, 4);
    cr_assert_eq(outline.area, 16 * 37);
    cr_assert_eq(msa_contour(bits[0], W, H, work[0], NULL, 0, &outline), MSA_E_CAPACITY);
    memset(bits, 0, sizeof bits);
    cr_assert_eq(msa_contour(bits[0], W, H, work[0], NULL, 0, &outline), MSA_OK);
    cr_assert_eq(outline.count, 0);
    cr_assert_eq(msa_contour(bits[0], 0, H, work[0], NULL, 0, &outline), MSA_E_IMAGE_SIZE);
    cr_assert_eq(msa_contour(NULL, W, H, work[0], NULL, 0, &outline), MSA_E_ARGUMENT);
}

Test(bits, are_where_the_enlarged_logits_say)
{
    enum { SIDE = 8 };
    float logits[SIDE * SIDE], rows[2 * SIDE], row[W];
    uint32_t state = 9;
    for (int i = 0; i < SIDE * SIDE; ++i) {
        state = state * 1664525u + 1013904223u;
        logits[i] = (float)((int32_t)state >> 28);
    }
    for (int kind = 0; kind < 3; ++kind) {
        msa_upsampler u;
        msa_upsample_init(&u, logits, SIDE, 0, W, H, rows);
        if (kind == 2)
            msa_upsample_probabilities(&u);
        const uint32_t area = msa_mask_bits(&u, kind == 1, row, bits[0]);
        uint32_t counted = 0;
        for (uint32_t y = 0; y < H; ++y) {
            msa_upsample_row(&u, y, row);
            for (uint32_t x = 0; x < W; ++x) {
                const int inside = kind == 2 ? row[x] > 0.5f : kind == 1 ? row[x] >= 0.0f : row[x] > 0.0f;
                cr_assert_eq(bits[y][x / 8] >> x % 8 & 1, inside);
                counted += (uint32_t)inside;
            }
        }
        cr_assert_eq(area, counted);
        cr_assert_gt(area, 0);
        cr_assert_lt(area, W * H);
    }
}
