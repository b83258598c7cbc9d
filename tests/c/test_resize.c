/* SPDX-License-Identifier: Apache-2.0 */
/* Image resize against Pillow (9.4): real images whole, and noise of awkward sizes by checksum. */
#include "../../runtime/msa_image.c"
#include "../../runtime/msa_resize.c"

#include "image.h"
#include "noise.h"
#include "npy.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char error[512];

/* image resized to out_width x out_height, in a work area with a guard behind it. */
static uint8_t *resized(const msa_image *image, uint32_t slice, uint32_t side, uint32_t out_width, uint32_t out_height,
    size_t work_bytes)
{
    enum { GUARD = 64 };
    unsigned char *work = malloc(work_bytes + GUARD);
    uint8_t *out = malloc((size_t)3 * out_width * out_height);
    msa_resizer r;
    memset(work, 0xA5, work_bytes + GUARD);
    cr_assert_eq(msa_resize_init(&r, image, slice, out_width, out_height, work, work_bytes), MSA_OK, "side %u", side);
    for (uint32_t y = 0; y < out_height; ++y)
        msa_resize_row(&r, out + (size_t)3 * out_width * y);
    for (size_t i = 0; i < GUARD; ++i)
        cr_assert_eq(work[work_bytes + i], 0xA5, "written behind the work area");
    free(work);
    return out;
}

static void compare_golden(const char *name, bool longest)
{
    char path[128];
    snprintf(path, sizeof path, "tests/golden/preprocess/%s.png", name);
    struct msagen_tensor *picture = msagen_image_read(path, 0, NULL, error, sizeof error);
    cr_assert_not_null(picture, "%s", error);
    snprintf(path, sizeof path, "tests/golden/preprocess/%s.%s_256.npy", name, longest ? "longest" : "squash");
    struct msagen_tensor *expected = msagen_npy_read(path, error, sizeof error);
    cr_assert_not_null(expected, "%s", error);

    const uint32_t height = (uint32_t)picture->shape[0], width = (uint32_t)picture->shape[1];
    const msa_image image = {.pixels = picture->storage->data + picture->offset, .width = width,
                             .height = height, .stride = (size_t)3 * width};
    uint32_t out_width, out_height;
    cr_assert_eq(msa_image_check(&image, 1), MSA_OK);
    msa_resized_size(width, height, 256, longest, &out_width, &out_height);
    const int first = expected->dims - 3;
    cr_assert_eq(expected->shape[first], out_height);
    cr_assert_eq(expected->shape[first + 1], out_width);
    uint8_t *out = resized(&image, 0, 256, out_width, out_height, MSA_RESIZE_WORK_BYTES(256));
    cr_assert_eq(memcmp(out, expected->storage->data + expected->offset, (size_t)3 * out_width * out_height), 0,
        "%s differs from Pillow's", path);
    free(out);
    msagen_tensor_free(expected);
    msagen_tensor_free(picture);
}

Test(resize, real_images_squashed)
{
    compare_golden("carotid", false);
    compare_golden("fundus", false);
    compare_golden("derm", false);
}

Test(resize, real_images_by_their_longest_side)
{
    compare_golden("carotid", true);
    compare_golden("fundus", true);
    compare_golden("derm", true);
}

/* CRC-32C of what Pillow makes of the noise, squashed to side x side and with the longest side fitted. */
static const struct {
    uint32_t width, height, side, fitted_width, fitted_height, squashed_crc, fitted_crc;
} known[] = {
    {1, 1, 64, 64, 64, 0x4cc8d756u, 0x4cc8d756u},
    {2, 3, 32, 21, 32, 0xa7f050fcu, 0x4233f4c1u},
    {16384, 1, 64, 64, 1, 0x9b7d5616u, 0xdbadc9bfu},
    {1, 16384, 48, 1, 48, 0x5f8143bcu, 0xb2a65172u},
    {16384, 20, 16, 16, 1, 0xa9079c90u, 0xe348e8c5u},
    {100, 5000, 112, 2, 112, 0x09b52947u, 0xf2c06ab2u},
    {333, 127, 64, 64, 24, 0xc1878e80u, 0x944d782bu},
    {63, 65, 64, 62, 64, 0xa3cbeca3u, 0xcab49632u},
    {129, 640, 224, 45, 224, 0x25e2d0d2u, 0xa2007de9u},
    {640, 480, 256, 256, 192, 0x380f38d2u, 0x00b40cd5u},
};

Test(resize, noise_of_awkward_sizes)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; ++i) {
        uint8_t *pixels = noise(known[i].width, known[i].height);
        const msa_image image = {.pixels = pixels, .width = known[i].width, .height = known[i].height,
                                 .stride = (size_t)3 * known[i].width};
        for (int longest = 0; longest < 2; ++longest) {
            uint32_t width, height;
            msa_resized_size(image.width, image.height, known[i].side, longest, &width, &height);
            cr_assert_eq(width, longest ? known[i].fitted_width : known[i].side);
            cr_assert_eq(height, longest ? known[i].fitted_height : known[i].side);
            uint8_t *out = resized(&image, 0, known[i].side, width, height, MSA_RESIZE_WORK_BYTES(known[i].side));
            cr_assert_eq(msa_crc32c(0, out, (size_t)3 * width * height),
                longest ? known[i].fitted_crc : known[i].squashed_crc,
                         "%u x %u to %u", image.width, image.height, known[i].side);
            free(out);
        }
        free(pixels);
    }
}

/* With room for one row only, every row is resized anew, and nothing else changes. */
Test(resize, the_least_work_area_gives_the_same)
{
    uint8_t *pixels = noise(333, 127);
    const msa_image image = {.pixels = pixels, .width = 333, .height = 127, .stride = 999};
    const size_t least = 4u * 64u * 13u + 16u * 64u + 3u * 64u;
    uint8_t *out = resized(&image, 0, 64, 64, 64, least);
    cr_assert_eq(msa_crc32c(0, out, (size_t)3 * 64 * 64), 0xc1878e80u);
    free(out);
    msa_resizer r;
    unsigned char *work = malloc(least);
    cr_assert_eq(msa_resize_init(&r, &image, 0, 64, 64, work, least - 1), MSA_E_ARENA);
    cr_assert_eq(msa_resize_init(&r, &image, 0, 0, 64, work, least), MSA_E_IMAGE_SIZE);
    cr_assert_eq(msa_resize_init(&r, &image, 0, 64, MSA_MAX_SIDE + 1, work, least), MSA_E_IMAGE_SIZE);
    free(work);
    free(pixels);
}

Test(resize, strides_and_slices)
{
    uint8_t *pixels = noise(333, 127), *wide = malloc((size_t)2 * 1100 * 127);
    for (size_t y = 0; y < 127; ++y) {
        memset(wide + y * 1100, 9, 1100);
        memcpy(wide + (127 + y) * 1100, pixels + y * 999, 999);
    }
    const msa_image image = {.pixels = wide, .width = 333, .height = 127, .stride = 1100,
                             .slice_stride = (size_t)127 * 1100};
    cr_assert_eq(msa_image_check(&image, 2), MSA_OK);
    uint8_t *out = resized(&image, 1, 64, 64, 64, MSA_RESIZE_WORK_BYTES(64));
    cr_assert_eq(msa_crc32c(0, out, (size_t)3 * 64 * 64), 0xc1878e80u);
    free(out);
    out = resized(&image, 0, 64, 64, 64, MSA_RESIZE_WORK_BYTES(64));
    for (size_t i = 0; i < (size_t)3 * 64 * 64; ++i)
        cr_assert_eq(out[i], 9);
    free(out);
    free(wide);
    free(pixels);
}

Test(resize, images_that_are_refused)
{
    static const uint8_t pixels[12];
    msa_image image = {.pixels = pixels, .width = 2, .height = 2, .stride = 6, .slice_stride = 12};
    cr_assert_eq(msa_image_check(&image, 1), MSA_OK);
    cr_assert_eq(msa_image_check(&image, 3), MSA_OK);
    cr_assert_eq(msa_image_check(NULL, 1), MSA_E_ARGUMENT);
    image.pixels = NULL;
    cr_assert_eq(msa_image_check(&image, 1), MSA_E_ARGUMENT);
    image = (msa_image){.pixels = pixels, .width = 0, .height = 2, .stride = 6, .slice_stride = 12};
    cr_assert_eq(msa_image_check(&image, 1), MSA_E_IMAGE_SIZE);
    image = (msa_image){.pixels = pixels, .width = 2, .height = MSA_MAX_SIDE + 1, .stride = 6, .slice_stride = 12};
    cr_assert_eq(msa_image_check(&image, 1), MSA_E_IMAGE_SIZE);
    image = (msa_image){.pixels = pixels, .width = 2, .height = 2, .stride = 5, .slice_stride = 12};
    cr_assert_eq(msa_image_check(&image, 1), MSA_E_IMAGE_STRIDE);
    image = (msa_image){.pixels = pixels, .width = 2, .height = 2, .stride = SIZE_MAX / 2, .slice_stride = 12};
    cr_assert_eq(msa_image_check(&image, 1), MSA_E_IMAGE_STRIDE);
    image = (msa_image){.pixels = pixels, .width = 2, .height = 2, .stride = 6, .slice_stride = 11};
    cr_assert_eq(msa_image_check(&image, 1), MSA_OK, "one slice has no next");
    cr_assert_eq(msa_image_check(&image, 2), MSA_E_IMAGE_STRIDE);
    image.slice_stride = SIZE_MAX / 2;
    cr_assert_eq(msa_image_check(&image, 3), MSA_E_IMAGE_STRIDE);
    image.slice_stride = 0;
    cr_assert_eq(msa_image_check(&image, 3), MSA_OK, "the same slice each time");
}
