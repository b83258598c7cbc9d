/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes on other grids: a linear function is reproduced by trilinear interpolation wherever it is read. */
#include "regrid.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static const struct msagen_scaling as_it_is = {.low = -INFINITY, .high = INFINITY, .over = 1, .times = 1};

/* f32 [4,5,6]: 100 n + 10 h + w. */
static struct msagen_tensor *ramp(void)
{
    struct msagen_tensor *t = msagen_tensor_zeros("ramp", MSAGEN_F32, 3, (int64_t[]){4, 5, 6});
    float *out = (void *)(uintptr_t)t->storage->data;
    for (int n = 0; n < 4; ++n)
        for (int h = 0; h < 5; ++h)
            for (int w = 0; w < 6; ++w)
                *out++ = (float)(100 * n + 10 * h + w);
    return t;
}

/* The box n 1..3 backwards, w 0..5, h 1..3; places half a voxel apart along its first axis. */
static const struct msagen_grid halves = {
    .shape = {5, 2, 3},
    .box = {{0, 3, 3, 1}, {2, 0, 6, 0}, {1, 1, 3, 0}},
    .place = {{0.5, 0, 0, 0}, {0, 2.25, 0, 0.5}, {0, 0, 1, 0}},
    .inside_size = {5, 2, 3},
};

Test(regrid, a_linear_function_is_reproduced_in_a_turned_box)
{
    struct msagen_tensor *t = ramp();
    const struct msagen_volume volume = {t, 2, 1};
    struct msagen_tensor *r = msagen_regrid(&volume, &as_it_is, &halves, MSAGEN_REGRID_NUMBERS, 1);
    for (int64_t a = 0; a < 5; ++a)
        for (int64_t b = 0; b < 2; ++b)
            for (int64_t c = 0; c < 3; ++c) {
                const double n = 3 - 0.5 * (double)a, w = 2.25 * (double)b + 0.5, h = 1 + (double)c;
                cr_assert_float_eq(msagen_tensor_at(r, (int64_t[]){a, b, c}), 2 * (100 * n + 10 * h + w) + 1, 1e-11);
            }
    msagen_tensor_free(r);
    msagen_tensor_free(t);
}

/* Also in a view whose strides are not in order. */
Test(regrid, a_permuted_view_is_read_as_it_is)
{
    struct msagen_tensor *t = ramp();
    char error[256];
    struct msagen_tensor *view = msagen_tensor_permute(t, (int[]){2, 0, 1}, error, sizeof error); /* w, n, h */
    struct msagen_grid grid = halves;
    grid.box[0].axis = 1;
    grid.box[1].axis = 0;
    grid.box[2].axis = 2;
    const struct msagen_volume straight = {t, 1, 0}, permuted = {view, 1, 0};
    struct msagen_tensor *a = msagen_regrid(&straight, &as_it_is, &halves, MSAGEN_REGRID_NUMBERS, 1);
    struct msagen_tensor *b = msagen_regrid(&permuted, &as_it_is, &grid, MSAGEN_REGRID_NUMBERS, 1);
    cr_assert(msagen_tensor_equal(a, b));
    msagen_tensor_free(a);
    msagen_tensor_free(b);
    msagen_tensor_free(view);
    msagen_tensor_free(t);
}

Test(regrid, what_lies_beyond_the_border_is_the_border)
{
    struct msagen_tensor *t = ramp();
    const struct msagen_volume volume = {t, 1, 0};
    const struct msagen_grid far = {
        .shape = {1, 1, 3},
        .box = {{0, 0, 4, 0}, {1, 0, 5, 0}, {2, 0, 6, 0}},
        .place = {{0, 0, 1e18, -5}, {0, 0, 0, 2}, {0, 0, 0, 3}},
        .inside_size = {1, 1, 3},
    };
    struct msagen_tensor *r = msagen_regrid(&volume, &as_it_is, &far, MSAGEN_REGRID_NUMBERS, 1);
    cr_assert_eq(msagen_tensor_at_flat(r, 0), 23);
    cr_assert_eq(msagen_tensor_at_flat(r, 1), 323);
    cr_assert_eq(msagen_tensor_at_flat(r, 2), 323);
    msagen_tensor_free(r);
    r = msagen_regrid_nearest(t, &far);
    cr_assert_eq(r->dtype, MSAGEN_F32);
    cr_assert_eq(msagen_tensor_at_flat(r, 0), 23);
    cr_assert_eq(msagen_tensor_at_flat(r, 2), 323);
    msagen_tensor_free(r);
    msagen_tensor_free(t);
}

Test(regrid, nearest_takes_the_even_one_of_two_and_nothing_outside)
{
    struct msagen_tensor *t = ramp();
    struct msagen_grid grid = {
        .shape = {1, 1, 10},
        .box = {{0, 0, 4, 0}, {1, 0, 5, 0}, {2, 0, 6, 0}},
        .place = {{0, 0, 0, 0}, {0, 0, 0, 0}, {0, 0, 0.5, 0}},
        .inside_first = {0, 0, 1},
        .inside_size = {1, 1, 8},
    };
    static const double expected[10] = {0, 0, 1, 2, 2, 2, 3, 4, 4, 0};
    struct msagen_tensor *r = msagen_regrid_nearest(t, &grid);
    for (int64_t i = 0; i < 10; ++i)
        cr_assert_eq(msagen_tensor_at_flat(r, i), expected[i], "voxel %d", (int)i);
    msagen_tensor_free(r);
    msagen_tensor_free(t);
}

Test(regrid, pictures_have_three_equal_channels)
{
    struct msagen_tensor *t = ramp();
    const struct msagen_volume volume = {t, 1, 0};
    const struct msagen_scaling scaling = {.low = 0, .high = 300, .over = 300, .times = 1};
    struct msagen_tensor *r = msagen_regrid(&volume, &scaling, NULL, MSAGEN_REGRID_PICTURE, 255);
    cr_assert(r->dims == 4 && r->shape[0] == 4 && r->shape[3] == 3 && r->dtype == MSAGEN_U8);
    for (int64_t c = 0; c < 3; ++c) {
        cr_assert_eq(msagen_tensor_at(r, (int64_t[]){1, 2, 3, c}), floor(123.0 / 300 * 255 + 0.5));
        cr_assert_eq(msagen_tensor_at(r, (int64_t[]){3, 4, 5, c}), 255);
    }
    msagen_tensor_free(r);
    msagen_tensor_free(t);
}
