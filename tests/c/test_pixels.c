/* SPDX-License-Identifier: Apache-2.0 */
/* Images whose pixels are not RGB, by every resizer: grey, 16 bits through a window, planes, rows that a function
 * gives. */
#include "msa_runtime.h"

#include <criterion/criterion.h>
#include <math.h>

enum { W = 37, H = 23 };
static uint8_t rgb_pixels[H][W][3], grey_pixels[H][W], planes[3][H][W], image_work[MSA_IMAGE_WORK_BYTES(W, 1)];
static uint16_t wide_pixels[H][W];

static unsigned calls;
static bool rows_are_there = true;

const uint8_t *msa_image_line(const msa_image *image, uint32_t slice, uint32_t y)
{
    cr_assert_eq(slice, 0);
    cr_assert_eq(image->context, &calls);
    ++calls;
    return rows_are_there ? rgb_pixels[y][0] : NULL;
}

/* Every resizer gives of `image` what it gives of the RGB image. */
static void same_as_rgb(const msa_image *image)
{
    enum { OUT = 16 };
    static unsigned char work[2][MSA_SPLINE_WORK_BYTES(OUT) + 8];
    const msa_image rgb = msa_rgb(rgb_pixels[0][0], W, H);
    cr_assert_eq(msa_image_check(image, 1), MSA_OK);
    uint8_t expected[OUT * 3], found[OUT * 3];
    unsigned char *const mine = work[0] + (8 - (uintptr_t)work[0] % 8);
    unsigned char *const other = work[1] + (8 - (uintptr_t)work[1] % 8);
#define CHECK(type, calls, bytes) do { \
        type a, b; \
        cr_assert_eq(calls##_init(&a, &rgb, 0, OUT, OUT, mine, bytes), MSA_OK); \
        cr_assert_eq(calls##_init(&b, image, 0, OUT, OUT, other, bytes), MSA_OK); \
        for (int y = 0; y < OUT; ++y) { \
            calls##_row(&a, expected); \
            calls##_row(&b, found); \
            cr_assert_arr_eq(found, expected, sizeof found, #calls ", row %d", y); \
        } \
    } while (0)
    CHECK(msa_resizer, msa_resize, MSA_RESIZE_WORK_BYTES(OUT));
    CHECK(msa_spline, msa_spline, MSA_SPLINE_WORK_BYTES(OUT));
    CHECK(msa_area, msa_area, MSA_AREA_WORK_BYTES(OUT));
    CHECK(msa_nearest, msa_nearest, MSA_NEAREST_WORK_BYTES(OUT));
#undef CHECK
}

Test(images, planes_and_rows_are_the_rgb_image)
{
    for (size_t i = 0; i < sizeof rgb_pixels; ++i)
        rgb_pixels[i / 3 / W][i / 3 % W][i % 3] = planes[i % 3][i / 3 / W][i / 3 % W] = (uint8_t)(i * 37 ^ i >> 3);
    msa_image image = msa_rgb(planes[0][0], W, H);
    image.format = MSA_PIXELS_PLANAR;
    image.stride = W;
    image.plane_stride = sizeof planes[0];
    image.work = image_work;
    same_as_rgb(&image);
    image.plane_stride = sizeof planes[0] - 1;
    cr_assert_eq(msa_image_check(&image, 1), MSA_E_IMAGE_STRIDE);
    image = msa_rgb(NULL, W, H);
    image.format = MSA_PIXELS_ROWS;
    image.context = &calls;
    same_as_rgb(&image);
    cr_assert_gt(calls, H);
    rows_are_there = false;
    cr_assert_eq(msa_image_check(&image, 1), MSA_E_ARGUMENT);
}

Test(images, grey_is_the_rgb_image_of_three_alike)
{
    for (size_t i = 0; i < sizeof grey_pixels; ++i) {
        grey_pixels[i / W][i % W] = (uint8_t)(i * 91 >> 2);
        wide_pixels[i / W][i % W] = (uint16_t)(i * 211);
    }
    msa_image image = msa_rgb(grey_pixels[0], W, H);
    image.format = MSA_PIXELS_GREY;
    image.stride = W;
    cr_assert_eq(msa_image_check(&image, 1), MSA_E_ARGUMENT, "no work");
    image.work = image_work;
    for (size_t i = 0; i < sizeof rgb_pixels; ++i)
        rgb_pixels[i / 3 / W][i / 3 % W][i % 3] = grey_pixels[i / 3 / W][i / 3 % W];
    same_as_rgb(&image);
    image.pixels = (const uint8_t *)wide_pixels;
    image.stride = sizeof wide_pixels[0];
    for (int is_signed = 0; is_signed < 2; ++is_signed)
        for (int truncate = 0; truncate < 2; ++truncate) {
            image.format = is_signed ? MSA_PIXELS_GREY16_SIGNED : MSA_PIXELS_GREY16;
            image.truncate = truncate != 0;
            image.window_low = is_signed ? -16000.5f : 1000.0f;
            image.window_high = 30000.0f;
            for (size_t i = 0; i < sizeof rgb_pixels; ++i) {
                const uint16_t bits = wide_pixels[i / 3 / W][i / 3 % W];
                double v = is_signed ? (double)(int16_t)bits : (double)bits;
                v = fmin(fmax(v, (double)image.window_low), 30000.0) - (double)image.window_low;
                v = v / (30000.0 - (double)image.window_low) * 255.0;
                rgb_pixels[i / 3 / W][i / 3 % W][i % 3] = (uint8_t)floor(truncate ? v : v + 0.5);
            }
            same_as_rgb(&image);
        }
    image.window_low = image.window_high;
    cr_assert_eq(msa_image_check(&image, 1), MSA_E_ARGUMENT);
    image.window_high = NAN;
    cr_assert_eq(msa_image_check(&image, 1), MSA_E_ARGUMENT);
    image.window_high = 40000.0f;
    image.stride += 1;
    cr_assert_eq(msa_image_check(&image, 1), MSA_E_ALIGNMENT);
}
