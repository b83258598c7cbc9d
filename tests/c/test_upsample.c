/* SPDX-License-Identifier: Apache-2.0 */
/* Enlarging logits against PyTorch 1.13's interpolate (bilinear, align_corners = false, float32): real results and
 * single values. */
#include "../../runtime/msa_image.c"
#include "../../runtime/msa_upsample.c"

#include "image.h"
#include "npy.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char error[512];

static float *enlarged(const float *logits, uint32_t side, uint32_t square, uint32_t width, uint32_t height,
    bool upwards)
{
    float *out = malloc(sizeof *out * width * height), *rows = malloc(sizeof *rows * (2 * square + 1));
    msa_upsampler u;
    rows[2 * square] = 123.0f;
    msa_upsample_init(&u, logits, side, square, width, height, square ? rows : NULL);
    for (uint32_t i = 0; i < height; ++i) {
        const uint32_t y = upwards ? height - 1 - i : i;
        msa_upsample_row(&u, y, out + (size_t)y * width);
    }
    cr_assert_eq(rows[2 * square], 123.0f, "written behind the rows");
    free(rows);
    return out;
}

static struct msagen_tensor *golden(const char *name, const char *what)
{
    char path[128];
    snprintf(path, sizeof path, "tests/golden/preprocess/%s.%s", name, what);
    struct msagen_tensor *t = strstr(what, "png") ? msagen_image_read(path, 0, NULL, error, sizeof error)
        : msagen_npy_read(path, error, sizeof error);
    cr_assert_not_null(t, "%s", error);
    return t;
}

static void compare_golden(const char *name)
{
    struct msagen_tensor *picture = golden(name, "png"), *low = golden(name, "lowres_logits.npy");
    struct msagen_tensor *squash = golden(name, "up_rows_squash.npy"), *longest = golden(name, "up_rows_longest.npy");
    struct msagen_tensor *mask = golden(name, "mask_longest.npy");
    const uint32_t height = (uint32_t)picture->shape[0], width = (uint32_t)picture->shape[1];
    float *logits = malloc(sizeof *logits * 64 * 64);
    cr_assert_eq(msagen_tensor_numel(low), 64 * 64);
    msagen_tensor_read_f32(low, logits);
    for (int fitted = 0; fitted < 2; ++fitted) {
        const struct msagen_tensor *rows = fitted ? longest : squash;
        float *out = enlarged(logits, 64, fitted ? 256 : 0, width, height, false);
        const uint32_t count = (height + 36) / 37;
        cr_assert_eq(msagen_tensor_numel(rows), (int64_t)count * width);
        for (uint32_t i = 0; i < count * width; ++i)
            cr_assert_float_eq(out[(size_t)(i / width) * 37 * width + i % width], msagen_tensor_at_flat(rows, i), 1e-5,
                "%s, value %u", name, i);
        if (fitted) {
            const uint32_t bytes = (width + 7) / 8;
            cr_assert_eq(msagen_tensor_numel(mask), (int64_t)bytes * height);
            for (uint32_t y = 0; y < height; ++y)
                for (uint32_t x = 0; x < width; ++x) {
                    const int bit = (int)msagen_tensor_at_flat(mask, (int64_t)y * bytes + x / 8) >> (7 - x % 8) & 1;
                    cr_assert_eq(out[(size_t)y * width + x] > 0.0f, bit, "%s, mask at %u,%u", name, x, y);
                }
        }
        free(out);
    }
    free(logits);
    msagen_tensor_free(picture);
    msagen_tensor_free(low);
    msagen_tensor_free(squash);
    msagen_tensor_free(longest);
    msagen_tensor_free(mask);
}

Test(upsample, real_images)
{
    compare_golden("carotid");
    compare_golden("fundus");
    compare_golden("derm");
}

static void fill(float *logits, size_t count)
{
    uint32_t x = 7;
    for (size_t i = 0; i < count; ++i) {
        x = x * 1664525u + 1013904223u;
        logits[i] = (float)((int32_t)(x >> 24) - 128) / 16.0f;
    }
}

/* Values at (0,0), the middle, the last pixel, (width/3, last row), (last column, height/5). */
static const struct {
    uint32_t side, width, height;
    float direct[5], by_square[5];
} known[] = {
    {4, 1, 1, {4.671875f, 4.671875f, 4.671875f, 4.671875f, 4.671875f},
        {4.671875f, 4.671875f, 4.671875f, 4.671875f, 4.671875f}},
    {12, 7, 50, {-0.348214209f, 1.87625015f, 4.99553633f, -7.07589293f, -2.63562655f},
        {-4.1875f, 4.78328133f, 0.5625f, 2.140625f, -1.8945899f}},
    {16, 100, 37, {-4.1875f, -5.31312513f, 3.375f, 5.16749954f, 1.0244931f},
        {-4.1875f, -1.93562388f, 3.91406226f, -3.10124946f, -3.26182389f}},
    {56, 354, 374, {-4.1875f, -3.23947597f, 7.0f, 0.730395615f, -0.828209043f},
        {-4.1875f, 5.08045673f, -0.0859375f, -2.26059389f, -1.10162508f}},
    {28, 28, 28, {-4.1875f, -4.875f, 4.9375f, 5.125f, -2.5625f},
        {-3.65405273f, -3.6784668f, 4.39526367f, 4.20800781f, -1.69384766f}},
};

Test(upsample, noise_of_awkward_sizes)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; ++i) {
        const uint32_t side = known[i].side, width = known[i].width, height = known[i].height;
        float *logits = malloc(sizeof *logits * side * side);
        fill(logits, (size_t)side * side);
        const uint32_t at[5][2] = {{0, 0}, {width / 2, height / 2}, {width - 1, height - 1}, {width / 3, height - 1},
            {width - 1, height / 5}};
        for (int square = 0; square < 2; ++square) {
            float *out = enlarged(logits, side, square ? 4 * side : 0, width, height, false);
            for (int k = 0; k < 5; ++k)
                cr_assert_float_eq(out[(size_t)at[k][1] * width + at[k][0]],
                    square ? known[i].by_square[k] : known[i].direct[k], 1e-5,
                                   "%u to %u x %u, square %d, value %d", side, width, height, square, k);
            float *again = enlarged(logits, side, square ? 4 * side : 0, width, height, true);
            cr_assert_eq(memcmp(out, again, sizeof *out * width * height), 0, "rows from the bottom up differ");
            free(again);
            free(out);
        }
        free(logits);
    }
}

Test(upsample, the_widest_image)
{
    float logits[64], row[MSA_MAX_SIDE], rows[64];
    msa_upsampler u;
    fill(logits, 64);
    msa_upsample_init(&u, logits, 8, 32, MSA_MAX_SIDE, 1, rows);
    msa_upsample_row(&u, 0, row);
    cr_assert_float_eq(row[0], logits[0], 1e-5);
    cr_assert_float_eq(row[MSA_MAX_SIDE - 1], logits[7], 1e-5);
    for (size_t x = 1; x < MSA_MAX_SIDE; ++x)
        cr_assert_lt(fabsf(row[x] - row[x - 1]), 0.02f, "a step at %d", (int)x);
}
