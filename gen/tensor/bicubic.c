/* SPDX-License-Identifier: Apache-2.0 */
/* Pillow's bicubic resize, bit for bit. */
#include "bicubic.h"

#include <stdlib.h>

enum { BITS = 22 }; /* of a weight's fraction */

/* What an output place reads: `count` inputs from `first` on. */
struct window {
    size_t first, count;
    const int32_t *weights;
};

struct axis {
    struct window *windows;
    int32_t *weights;
};

static double cubic(double x)
{
    const double a = -0.5;
    x = x < 0.0 ? -x : x;
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    return x < 2.0 ? (((x - 5.0) * x + 8.0) * x - 4.0) * a : 0.0;
}

/* The weights' last bits depend on the order of operations, which is Pillow's. values: room for a window. */
static void fill_window(struct window *w, int32_t *weights, size_t in, double scale, size_t at, double *values)
{
    const double wide = scale < 1.0 ? 1.0 : scale, support = 2.0 * wide, inverse = 1.0 / wide;
    const double centre = ((double)at + 0.5) * scale;
    const int64_t first = (int64_t)(centre - support + 0.5), end = (int64_t)(centre + support + 0.5);
    w->first = first < 0 ? 0 : (size_t)first;
    w->count = ((size_t)end > in ? in : (size_t)end) - w->first;
    w->weights = weights;
    double sum = 0.0;
    for (size_t k = 0; k < w->count; ++k) {
        values[k] = cubic(((double)(k + w->first) - centre + 0.5) * inverse);
        sum += values[k];
    }
    for (size_t k = 0; k < w->count; ++k) {
        const double value = sum != 0.0 ? values[k] / sum : values[k];
        weights[k] = (int32_t)((value < 0.0 ? -0.5 : 0.5) + value * (double)(1 << BITS));
    }
}

static void free_axis(struct axis *a)
{
    free(a->windows);
    free(a->weights);
}

/* 0, or -1: out of memory; to be freed either way. */
static int make_axis(struct axis *a, size_t in, size_t out)
{
    const double scale = (double)in / (double)out;
    const size_t taps = 4 * (in / out + 1) + 3; /* at most */
    double *values = malloc(taps * sizeof *values);
    a->windows = malloc(out * sizeof *a->windows);
    a->weights = malloc(out * taps * sizeof *a->weights);
    const int made = values && a->windows && a->weights;
    for (size_t at = 0; at < out && made; ++at)
        fill_window(&a->windows[at], a->weights + at * taps, in, scale, at, values);
    free(values);
    return made ? 0 : -1;
}

/* The weighted sum of bytes `step` apart, the window's first being *in. */
static uint8_t weighed(const struct window *w, const uint8_t *in, size_t step)
{
    int64_t sum = 1 << (BITS - 1);
    for (size_t k = 0; k < w->count; ++k)
        sum += (int64_t)w->weights[k] * in[k * step];
    if (sum < 0)
        return 0;
    sum >>= BITS;
    return sum > 255 ? 255 : (uint8_t)sum;
}

int msagen_bicubic(const uint8_t *in, size_t height, size_t width, size_t channels, size_t out_height, size_t out_width,
                   uint8_t *out)
{
    struct axis across = {NULL, NULL}, down = {NULL, NULL};
    const size_t row = out_width * channels;
    uint8_t *wide = malloc(height * row);
    const int made = make_axis(&across, width, out_width) == 0 && make_axis(&down, height, out_height) == 0 && wide;
    for (size_t y = 0; y < height && made; ++y)
        for (size_t i = 0; i < row; ++i) {
            const struct window *const w = &across.windows[i / channels];
            wide[y * row + i] = weighed(w, in + (y * width + w->first) * channels + i % channels, channels);
        }
    for (size_t y = 0; y < out_height && made; ++y)
        for (size_t i = 0; i < row; ++i)
            out[y * row + i] = weighed(&down.windows[y], wide + down.windows[y].first * row + i, row);
    free_axis(&across);
    free_axis(&down);
    free(wide);
    return made ? 0 : -1;
}
