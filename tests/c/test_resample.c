/* SPDX-License-Identifier: Apache-2.0 */
/* Resampling against torch.nn.functional.interpolate (PyTorch 1.13, float64; its results are the literals here). */
#include "resample.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static char error[512];

static struct msagen_tensor *make(int dims, const int64_t *shape, const float *values)
{
    struct msagen_tensor *t = msagen_tensor_zeros("table", MSAGEN_F32, dims, shape);
    memcpy((void *)(uintptr_t)t->storage->data, values, t->storage->bytes);
    return t;
}

static void assert_near(const struct msagen_tensor *t, const double *expected, int64_t count)
{
    cr_assert_not_null(t, "%s", error);
    cr_assert_eq(msagen_tensor_numel(t), count);
    for (int64_t i = 0; i < count; ++i)
        cr_assert_float_eq(msagen_tensor_at_flat(t, i), expected[i], 1e-6, "element %d", (int)i);
}

static const float table[12] = {3, -1, 4, 1, 5, -9, 2, 6, -5, 3, 5, 8};

Test(resample, bicubic_up_and_down)
{
    static const double larger[15] = {2.294898148148,  2.03925,  1.123805555556, 2.999268518519,  -1.847375,
                                      2.964898148148,  2.799768518519, -5.1875,  5.616898148148, -1.259106481481,
                                      0.247375, 7.128273148148, -4.528462962963, 5.39575, 7.794944444444};
    static const double smaller[12] = {4.415717230903, -0.340698242187, -2.863367151331, 2.480798791956,
                                       3.377807617188, 1.94280327691,   -2.895317925347, -1.73046875,
                                       0.780919958044, 3.384851526331,  6.384765625,     8.024102105035};
    struct msagen_tensor *t = make(2, (int64_t[]){3, 4}, table);
    struct msagen_tensor *r = msagen_resample_bicubic(t, 5, 3, error, sizeof error);
    assert_near(r, larger, 15);
    msagen_tensor_free(r);
    r = msagen_resample_bicubic(t, 2, 6, error, sizeof error);
    assert_near(r, smaller, 12);
    msagen_tensor_free(r);
    msagen_tensor_free(t);
}

Test(resample, bicubic_to_the_same_size_changes_nothing)
{
    struct msagen_tensor *t = make(2, (int64_t[]){3, 4}, table);
    struct msagen_tensor *r = msagen_resample_bicubic(t, 3, 4, error, sizeof error);
    cr_assert(msagen_tensor_equal(t, r));
    msagen_tensor_free(r);
    msagen_tensor_free(t);
}

/* A position table is [1,h,w,C]; the planes are strided views. */
Test(resample, bicubic_of_planes)
{
    struct msagen_tensor *t = make(4, (int64_t[]){1, 2, 3, 2}, table);
    struct msagen_tensor *planes = msagen_tensor_permute(t, (int[]){0, 3, 1, 2}, error, sizeof error);
    struct msagen_tensor *r = msagen_resample_bicubic(planes, 4, 4, error, sizeof error);
    for (int c = 0; c < 2; ++c) {
        float plane[6];
        for (int i = 0; i < 6; ++i)
            plane[i] = table[2 * i + c];
        struct msagen_tensor *alone = make(2, (int64_t[]){2, 3}, plane);
        struct msagen_tensor *expected = msagen_resample_bicubic(alone, 4, 4, error, sizeof error);
        for (int i = 0; i < 16; ++i)
            cr_assert_eq(msagen_tensor_at_flat(r, c * 16 + i), msagen_tensor_at_flat(expected, i));
        msagen_tensor_free(expected);
        msagen_tensor_free(alone);
    }
    msagen_tensor_free(r);
    msagen_tensor_free(planes);
    msagen_tensor_free(t);
}

Test(resample, linear_along_rows)
{
    static const float rows[6] = {1, 10, 2, -20, 4, 40};
    static const double larger[10] = {1.0, 10.0, 1.4, -2.0, 2.0, -20.0, 3.2, 16.0, 4.0, 40.0};
    static const double smaller[4] = {1.25, 2.5, 3.5, 25.0};
    struct msagen_tensor *t = make(2, (int64_t[]){3, 2}, rows);
    struct msagen_tensor *r = msagen_resample_linear(t, 5, error, sizeof error);
    assert_near(r, larger, 10);
    msagen_tensor_free(r);
    r = msagen_resample_linear(t, 2, error, sizeof error);
    assert_near(r, smaller, 4);
    msagen_tensor_free(r);
    r = msagen_resample_linear(t, 3, error, sizeof error);
    cr_assert(msagen_tensor_equal(t, r));
    msagen_tensor_free(r);
    msagen_tensor_free(t);
}

Test(resample, sizes_without_sense_are_refused)
{
    struct msagen_tensor *t = make(2, (int64_t[]){3, 4}, table), *row = make(1, (int64_t[]){12}, table);
    cr_assert_null(msagen_resample_bicubic(t, 0, 4, error, sizeof error));
    cr_assert_str_eq(error, "table: 3 x 4 cannot be resampled to 0 x 4");
    cr_assert_null(msagen_resample_bicubic(t, INT64_MAX, 4, error, sizeof error));
    cr_assert_null(msagen_resample_bicubic(row, 2, 2, error, sizeof error));
    cr_assert_null(msagen_resample_linear(t, -1, error, sizeof error));
    cr_assert_null(msagen_resample_linear(row, 3, error, sizeof error));
    msagen_tensor_free(row);
    msagen_tensor_free(t);
}
