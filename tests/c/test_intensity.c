/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics of volumes, held against a sorted list and against numpy's figures; rules for a voxel. */
#include "intensity.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct msagen_tensor *of_doubles(const double *values, int64_t n)
{
    struct msagen_tensor *t = msagen_tensor_zeros("volume", MSAGEN_F64, 3, (int64_t[]){1, 1, n});
    memcpy((void *)(uintptr_t)t->storage->data, values, (size_t)n * sizeof *values);
    return t;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* numpy.percentile of a sorted list. */
static double expected_percentile(const double *sorted, int64_t n, double percent)
{
    const double at = (double)(n - 1) * (percent / 100), low = floor(at), t = at - low;
    const double a = sorted[(int64_t)low], b = sorted[(int64_t)low + (low < (double)(n - 1))];
    return t >= 0.5 ? b - (b - a) * (1 - t) : a + (b - a) * t;
}

Test(intensity, percentiles_are_those_of_the_sorted_list)
{
    enum { N = 10007 }; /* more than two chunks */
    static double values[N], sorted[N];
    uint32_t state = 1;
    for (int i = 0; i < N; ++i) {
        state = state * UINT32_C(1664525) + UINT32_C(1013904223);
        values[i] = ldexp((double)(int32_t)state, -20 - (int)(state >> 20 & 31));
    }
    memcpy(sorted, values, sizeof sorted);
    qsort(sorted, N, sizeof *sorted, ascending);
    struct msagen_tensor *t = of_doubles(values, N);
    const struct msagen_volume volume = {t, 1, 0};
    for (int i = 0; i < 5; ++i) {
        static const double percents[5][2] = {{0, 100}, {0.5, 99.5}, {1, 99}, {25, 75}, {33.3, 50}};
        double out[2];
        cr_assert_eq(msagen_intensity_percentiles(&volume, MSAGEN_VOXELS_ALL, percents[i], out), N);
        cr_assert_eq(out[0], expected_percentile(sorted, N, percents[i][0]));
        cr_assert_eq(out[1], expected_percentile(sorted, N, percents[i][1]));
    }
    int below = 0;
    while (sorted[below] <= 0)
        ++below;
    double out[2];
    const double percent[2] = {0.5, 99.5};
    cr_assert_eq(msagen_intensity_percentiles(&volume, MSAGEN_VOXELS_POSITIVE, percent, out), N - below);
    cr_assert_eq(out[0], expected_percentile(sorted + below, N - below, 0.5));
    cr_assert_eq(out[1], expected_percentile(sorted + below, N - below, 99.5));
    msagen_tensor_free(t);
}

Test(intensity, percentiles_of_one_voxel_and_of_none)
{
    const double values[3] = {NAN, -2.5, INFINITY}, percent[2] = {10, 90};
    struct msagen_tensor *t = of_doubles(values, 3);
    const struct msagen_volume volume = {t, 1, 0};
    double out[2] = {7, 7};
    cr_assert_eq(msagen_intensity_percentiles(&volume, MSAGEN_VOXELS_POSITIVE, percent, out), 0);
    cr_assert(out[0] == 7 && out[1] == 7);
    cr_assert_eq(msagen_intensity_percentiles(&volume, MSAGEN_VOXELS_ALL, percent, out), 1);
    cr_assert(out[0] == -2.5 && out[1] == -2.5);
    msagen_tensor_free(t);
}

Test(intensity, range_counts_what_is_finite)
{
    const double values[7] = {3, NAN, -1, INFINITY, -INFINITY, NAN, 7};
    struct msagen_tensor *t = of_doubles(values, 7);
    const struct msagen_volume volume = {t, 2, 1};
    struct msagen_range r = msagen_intensity_range(&volume, MSAGEN_VOXELS_ALL);
    cr_assert(r.counted == 3 && r.nans == 2 && r.infinite == 2);
    cr_assert(r.low == -1 && r.high == 15 && fabs(r.mean - 7) < 1e-15);
    cr_assert_float_eq(msagen_intensity_deviation(&volume, r.mean), sqrt(128.0 / 3), 1e-14);
    r = msagen_intensity_range(&volume, MSAGEN_VOXELS_POSITIVE);
    cr_assert(r.counted == 2 && r.low == 7 && r.high == 15);
    msagen_tensor_free(t);
}

/* A plain sum would lose every one of the small values. */
Test(intensity, mean_keeps_what_a_plain_sum_loses)
{
    enum { N = 10001 };
    static double values[N];
    values[0] = 0x1p60;
    for (int i = 1; i < N; ++i)
        values[i] = 1;
    struct msagen_tensor *t = of_doubles(values, N);
    const struct msagen_volume volume = {t, 1, 0};
    cr_assert_eq(msagen_intensity_range(&volume, MSAGEN_VOXELS_ALL).mean, (0x1p60 + (N - 1)) / N);
    msagen_tensor_free(t);
}

Test(intensity, box_holds_what_lies_above_as_float)
{
    struct msagen_tensor *t = msagen_tensor_zeros("volume", MSAGEN_F64, 3, (int64_t[]){4, 5, 6});
    double *values = (void *)(uintptr_t)t->storage->data;
    const struct msagen_volume volume = {t, 1, 0};
    int64_t first[3], size[3];
    cr_assert_not(msagen_intensity_box(&volume, 0, first, size));
    values[2 * 30 + 1 * 6 + 3] = 1e-3;
    values[1 * 30 + 4 * 6 + 3] = 5;
    cr_assert(msagen_intensity_box(&volume, 0, first, size));
    cr_assert(first[0] == 1 && first[1] == 1 && first[2] == 3 && size[0] == 2 && size[1] == 4 && size[2] == 1);
    values[2 * 30 + 1 * 6 + 3] = 1e-60; /* 0 as a float */
    cr_assert(msagen_intensity_box(&volume, 0, first, size));
    cr_assert(first[0] == 1 && first[1] == 4 && size[0] == 1 && size[1] == 1);
    msagen_tensor_free(t);
}

Test(intensity, rules_clip_truncate_and_keep_zero)
{
    const struct msagen_scaling scaling = {.low = -10, .high = 10, .from = -10, .over = 20, .times = 255, .whole = 1};
    cr_assert_eq(msagen_scaled(&scaling, -1e9), 0);
    cr_assert_eq(msagen_scaled(&scaling, INFINITY), 255);
    cr_assert_eq(msagen_scaled(&scaling, 0), 127);
    cr_assert_eq(msagen_scaled(&scaling, NAN), 0);
    struct msagen_scaling zero = scaling;
    zero.keep_zero = 1;
    cr_assert(msagen_scaled(&zero, 0) == 0 && msagen_scaled(&zero, -0.0) == 0 && msagen_scaled(&zero, 1) == 140);
}

Test(intensity, bytes_are_rounded_and_stay_within)
{
    cr_assert_eq(msagen_scaled_byte(0.5, 255), 128);
    cr_assert_eq(msagen_scaled_byte(1 / 510.0 - 1e-9, 255), 0);
    cr_assert_eq(msagen_scaled_byte(1 / 510.0 + 1e-9, 255), 1);
    cr_assert_eq(msagen_scaled_byte(1, 255), 255);
    cr_assert(msagen_scaled_byte(-3, 255) == 0 && msagen_scaled_byte(1e300, 255) == 255);
    cr_assert(msagen_scaled_byte(NAN, 255) == 0 && msagen_scaled_byte(-INFINITY, 1) == 0);
}
