/* SPDX-License-Identifier: Apache-2.0 */
/* Preparations but SAM's: MedSAM's inference script (scikit-image 0.19, SciPy 1.10, PyTorch 1.13), OpenCV 4.6's
 * INTER_AREA by checksums of noise, and the nearest pixel by its definition. */
#include "../../runtime/msa_area.c"
#include "../../runtime/msa_image.c"
#include "../../runtime/msa_upsample.c"
#include "../../runtime/msa_nearest.c"
#include "../../runtime/msa_range.c"
#include "../../runtime/msa_spline.c"

#include "noise.h"
#include "npy.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char error[512];

enum { CASES = 5, SIDE = 64, LOGITS = 16 };

static struct msagen_tensor *golden(int i, const char *what)
{
    char path[128];
    snprintf(path, sizeof path, "tests/golden/medsam-preparation/image_%d%s.npy", i, what);
    struct msagen_tensor *t = msagen_npy_read(path, error, sizeof error);
    cr_assert_not_null(t, "%s", error);
    return t;
}

static const void *data(const struct msagen_tensor *t)
{
    return t->storage->data + t->offset;
}

/* A case's picture, grey ones in three channels. */
static uint8_t *picture(int i, msa_image *image)
{
    struct msagen_tensor *t = golden(i, "");
    const uint32_t height = (uint32_t)t->shape[0], width = (uint32_t)t->shape[1];
    uint8_t *pixels = malloc((size_t)3 * width * height);
    for (size_t k = 0; k < (size_t)3 * width * height; ++k)
        pixels[k] = ((const uint8_t *)data(t))[t->dims == 2 ? k / 3 : k];
    *image = msa_rgb(pixels, width, height);
    msagen_tensor_free(t);
    return pixels;
}

static void spline(const msa_image *image, uint8_t *out, uint32_t first)
{
    const size_t bytes = MSA_SPLINE_WORK_BYTES(SIDE);
    void *work = malloc(bytes);
    msa_spline s;
    cr_assert_eq(msa_spline_init(&s, image, 0, SIDE, SIDE, work, bytes), MSA_OK);
    s.next = first;
    for (uint32_t y = first; y < SIDE; ++y)
        msa_spline_row(&s, out + (size_t)3 * SIDE * y);
    free(work);
}

/* Where the size does not change, truncation may drop a count: scikit-image's own noise decides there. */
Test(preparation, spline_is_scikit_images_to_the_byte)
{
    for (int i = 0; i < CASES; ++i) {
        msa_image image;
        uint8_t *pixels = picture(i, &image), out[3 * SIDE * SIDE];
        struct msagen_tensor *expected = golden(i, ".uint8");
        const bool same_size = image.width == SIDE && image.height == SIDE;
        spline(&image, out, 0);
        for (size_t k = 0; k < sizeof out; ++k) {
            const int off = (int)out[k] - (int)((const uint8_t *)data(expected))[k];
            cr_assert(off == 0 || (same_size && abs(off) == 1), "image %d, byte %zu: off by %d", i, k, off);
        }
        msagen_tensor_free(expected);
        free(pixels);
    }
}

Test(preparation, range_gives_the_networks_input)
{
    for (int i = 0; i < CASES; ++i) {
        struct msagen_tensor *bytes = golden(i, ".uint8"), *input = golden(i, ".input");
        const uint8_t *const from = data(bytes);
        msa_range range = {255, 0};
        float levels[768];
        msa_range_add(&range, from, (size_t)3 * SIDE * SIDE);
        msa_range_levels(&range, levels);
        for (size_t c = 0; c < 3; ++c)
            for (size_t k = 0; k < SIDE * SIDE; ++k)
                cr_assert_eq(levels[c * 256 + from[3 * k + c]], ((const float *)data(input))[c * SIDE * SIDE + k]);
        msagen_tensor_free(bytes);
        msagen_tensor_free(input);
    }
}

Test(preparation, range_of_one_value_is_0)
{
    static const uint8_t row[9] = {7, 7, 7, 7, 7, 7, 7, 7, 7};
    msa_range range = {255, 0};
    float levels[768];
    msa_range_add(&range, row, sizeof row);
    msa_range_levels(&range, levels);
    cr_assert_eq(levels[7], 0.0f);
}

Test(preparation, masks_are_of_enlarged_probabilities)
{
    for (int i = 0; i < CASES; ++i) {
        msa_image image;
        uint8_t *pixels = picture(i, &image);
        struct msagen_tensor *logits = golden(i, ".lowres_logits"), *expected = golden(i, ".probability");
        struct msagen_tensor *mask = golden(i, ".mask");
        float rows[2 * LOGITS], row[131];
        msa_upsampler u;
        msa_upsample_init(&u, data(logits), LOGITS, 0, image.width, image.height, rows);
        msa_upsample_probabilities(&u);
        for (uint32_t y = 0; y < image.height; ++y) {
            const uint8_t *const bits = (const uint8_t *)data(mask) + (size_t)y * ((image.width + 7) / 8);
            msa_upsample_row(&u, y, row);
            for (uint32_t x = 0; x < image.width; ++x) {
                const float p = ((const float *)data(expected))[(size_t)y * image.width + x];
                cr_assert_lt(fabsf(row[x] - p), 1e-6f, "image %d, %u,%u: %g", i, x, y, (double)row[x]);
                const bool inside = (bits[x / 8] >> (7 - x % 8) & 1) != 0;
                cr_assert(fabsf(p - 0.5f) < 1e-6f || inside == (row[x] > 0.5f), "image %d, %u,%u", i, x, y);
            }
        }
        msagen_tensor_free(logits);
        msagen_tensor_free(expected);
        msagen_tensor_free(mask);
        free(pixels);
    }
}

/* Cores begin at rows of their own. */
Test(preparation, a_row_does_not_depend_on_those_before_it)
{
    msa_image image;
    uint8_t *pixels = picture(0, &image), all[3 * SIDE * SIDE], some[3 * SIDE * SIDE];
    spline(&image, all, 0);
    spline(&image, some, 37);
    cr_assert_eq(memcmp(all + 3 * SIDE * 37, some + 3 * SIDE * 37, (size_t)3 * SIDE * (SIDE - 37)), 0);
    free(pixels);
}

/* What fits an image of any size into its work, with a guard behind it, and what one byte less does. */
Test(preparation, spline_of_awkward_sizes_stays_in_its_work)
{
    static const uint32_t sizes[][2] = {{1, 1}, {2, 3}, {1, 4000}, {4000, 2}, {64, 64}, {65, 63}, {700, 9}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
        enum { GUARD = 64 };
        const uint32_t width = sizes[i][0], height = sizes[i][1], radius_x = MSA_SPLINE_RADIUS(width, SIDE) + 1;
        const uint32_t radius_y = MSA_SPLINE_RADIUS(height, SIDE) + 1;
        uint8_t *pixels = noise(width, height), out[3 * SIDE];
        const msa_image image = {.pixels = pixels, .width = width, .height = height, .stride = (size_t)3 * width};
        const size_t doubles = width + radius_x + 3 * SIDE + radius_y + MSA_SPLINE_REACH + 3 * SIDE * MSA_SPLINE_SLOTS;
        const size_t bytes = sizeof(msa_spline_place) * SIDE + sizeof(double) * doubles;
        unsigned char *work = malloc(bytes + GUARD);
        memset(work, 0xA5, bytes + GUARD);
        msa_spline s;
        cr_assert_eq(msa_spline_init(&s, &image, 0, SIDE, SIDE, work, bytes - 1), MSA_E_ARENA);
        cr_assert_eq(msa_spline_init(&s, &image, 0, SIDE, SIDE, work, bytes), MSA_OK);
        for (uint32_t y = 0; y < SIDE; ++y)
            msa_spline_row(&s, out);
        for (size_t k = 0; k < GUARD; ++k)
            cr_assert_eq(work[bytes + k], 0xA5, "written behind the work area");
        cr_assert_leq(bytes, MSA_SPLINE_WORK_BYTES(SIDE));
        free(work);
        free(pixels);
    }
}

Test(preparation, sizes_that_are_refused)
{
    static const uint8_t pixels[12];
    static double work[1 << 16];
    const msa_image image = {.pixels = pixels, .width = 2, .height = 2, .stride = 6};
    msa_spline s;
    msa_area a;
    msa_nearest n;
    cr_assert_eq(msa_spline_init(&s, &image, 0, 0, 4, work, sizeof work), MSA_E_IMAGE_SIZE);
    cr_assert_eq(msa_area_init(&a, &image, 0, 4, MSA_MAX_SIDE + 1, work, sizeof work), MSA_E_IMAGE_SIZE);
    cr_assert_eq(msa_area_init(&a, &image, 0, 4, 4, work, 95), MSA_E_ARENA);
    cr_assert_eq(msa_nearest_init(&n, &image, 0, 4, 0, work, sizeof work), MSA_E_IMAGE_SIZE);
}

/* CRC-32C of what OpenCV 4.6 makes of the noise: means by whole numbers, two by two, and others; the stand-in. */
static const struct {
    uint32_t width, height, out_width, out_height, crc;
} areas[] = {
    {512, 384, 256, 192, 0x9bc1f3f9u},
    {640, 480, 256, 192, 0x405dce4eu},
    {768, 768, 256, 256, 0x3c62bc3cu},
    {1023, 700, 256, 175, 0xdcced7e1u},
    {131, 97, 64, 47, 0x0abfcff0u},
    {100, 60, 256, 154, 0x935fe018u},
    {33, 64, 33, 64, 0x5f507912u},
    {300, 300, 256, 256, 0xbe5a94edu},
    {1, 1, 64, 64, 0x4cc8d756u},
    {16000, 3, 256, 1, 0x282839b1u},
    {255, 300, 218, 256, 0xe718909eu},
};

Test(preparation, area_is_opencvs)
{
    for (size_t i = 0; i < sizeof areas / sizeof *areas; ++i) {
        uint8_t *pixels = noise(areas[i].width, areas[i].height);
        const msa_image image = {.pixels = pixels, .width = areas[i].width, .height = areas[i].height,
                                 .stride = (size_t)3 * areas[i].width};
        uint8_t *out = malloc((size_t)3 * areas[i].out_width * areas[i].out_height);
        float work[6 * 256];
        msa_area a;
        cr_assert_eq(msa_area_init(&a, &image, 0, areas[i].out_width, areas[i].out_height, work, sizeof work), MSA_OK);
        for (uint32_t y = 0; y < areas[i].out_height; ++y)
            msa_area_row(&a, out + (size_t)3 * areas[i].out_width * y);
        cr_assert_eq(msa_crc32c(0, out, (size_t)3 * areas[i].out_width * areas[i].out_height), areas[i].crc, "%u x %u",
            areas[i].width, areas[i].height);
        free(out);
        free(pixels);
    }
}

Test(preparation, nearest_is_the_floor_of_the_scaled_place)
{
    static const uint32_t sizes[][4] = {{5, 3, 64, 64}, {131, 97, 32, 48}, {64, 64, 64, 64}, {1, 7, 16, 16}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
        const uint32_t width = sizes[i][0], height = sizes[i][1], to_width = sizes[i][2], to_height = sizes[i][3];
        uint8_t *pixels = noise(width, 2 * height), row[3 * 64];
        const msa_image image = {.pixels = pixels, .width = width, .height = height, .stride = (size_t)3 * width,
                                 .slice_stride = (size_t)3 * width * height};
        msa_nearest n;
        cr_assert_eq(msa_nearest_init(&n, &image, 1, to_width, to_height, NULL, 0), MSA_OK);
        for (uint32_t y = 0; y < to_height; ++y) {
            msa_nearest_row(&n, row);
            for (uint32_t x = 0; x < to_width; ++x)
                cr_assert_eq(memcmp(row + 3 * x, pixels + 3 * ((height + y * height / to_height) * width
                    + x * width / to_width), 3), 0);
        }
        free(pixels);
    }
}
