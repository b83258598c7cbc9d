/* SPDX-License-Identifier: Apache-2.0 */
/* Resampling of position tables as PyTorch's interpolate does it, in double. */
#include "resample.h"

#include "tensor_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Four neighbours and their weights for one output position. */
struct tap {
    int64_t from[4];
    double weight[4];
};

/* Keys' cubic for a = -0.75: weights of the neighbours at distances 1+t, t, 1-t, 2-t. */
static void cubic_weights(double t, double weight[4])
{
    const double a = -0.75;
    const double distance[4] = {1 + t, t, 1 - t, 2 - t};
    for (int i = 0; i < 4; ++i) {
        const double x = distance[i];
        weight[i] = i == 1 || i == 2 ? ((a + 2) * x - (a + 3)) * x * x + 1 : ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
    }
}

static struct tap *cubic_taps(int64_t in, int64_t out)
{
    struct tap *taps = calloc((size_t)out, sizeof *taps);
    if (!taps)
        return NULL;
    const double scale = (double)in / (double)out;
    for (int64_t o = 0; o < out; ++o) {
        const double at = ((double)o + 0.5) * scale - 0.5;
        const double base = floor(at);
        cubic_weights(at - base, taps[o].weight);
        for (int64_t k = 0; k < 4; ++k) {
            const int64_t from = (int64_t)base - 1 + k;
            taps[o].from[k] = from < 0 ? 0 : from >= in ? in - 1 : from;
        }
    }
    return taps;
}

static double weighed(const double *row, int64_t step, const struct tap *tap)
{
    double sum = 0;
    for (int k = 0; k < 4; ++k)
        sum += tap->weight[k] * row[tap->from[k] * step];
    return sum;
}

/* in [h0,w0] -> middle [h0,w] -> elements of r from `first` on, [h,w]; row (w) is for its own use */
static void bicubic_plane(const double *in, int64_t h0, int64_t w0, double *middle, double *row,
    struct msagen_tensor *r, int64_t first, int64_t h, int64_t w, const struct tap *down, const struct tap *across)
{
    for (int64_t y = 0; y < h0; ++y)
        for (int64_t x = 0; x < w; ++x)
            middle[y * w + x] = weighed(in + y * w0, 1, &across[x]);
    for (int64_t y = 0; y < h; ++y) {
        for (int64_t x = 0; x < w; ++x)
            row[x] = weighed(middle + x, w, &down[y]);
        msagen_tensor_store(r, first + y * w, w, row);
    }
}

/* A table position of more than this is no resolution anyone builds for; it also keeps every product below in range. */
static const int64_t SIDE_MAX = 1 << 20;

static int side_ok(int64_t n)
{
    return n > 0 && n <= SIDE_MAX;
}

struct msagen_tensor *msagen_resample_bicubic(const struct msagen_tensor *t, int64_t height, int64_t width, char *error,
                                              size_t error_bytes)
{
    const int64_t h0 = t->dims >= 2 ? t->shape[t->dims - 2] : 0, w0 = t->dims >= 2 ? t->shape[t->dims - 1] : 0;
    if (!side_ok(h0) || !side_ok(w0) || !side_ok(height) || !side_ok(width)) {
        snprintf(error, error_bytes, "%s: %lld x %lld cannot be resampled to %lld x %lld", t->name, (long long)h0,
                 (long long)w0, (long long)height, (long long)width);
        return NULL;
    }
    int64_t shape[MSAGEN_MAX_DIMS];
    for (int i = 0; i < t->dims; ++i)
        shape[i] = t->shape[i];
    shape[t->dims - 2] = height;
    shape[t->dims - 1] = width;
    struct msagen_tensor *r = msagen_tensor_zeros(t->name, msagen_tensor_computed(), t->dims, shape);
    double *in = calloc((size_t)(h0 * w0), sizeof *in), *middle = calloc((size_t)(h0 * width), sizeof *middle),
           *row = calloc((size_t)width, sizeof *row);
    struct tap *down = cubic_taps(h0, height), *across = cubic_taps(w0, width);
    if (r && in && middle && row && down && across) {
        const int64_t planes = msagen_tensor_numel(t) / (h0 * w0);
        for (int64_t p = 0; p < planes; ++p) {
            msagen_tensor_read_f64_range(t, p * h0 * w0, h0 * w0, in);
            bicubic_plane(in, h0, w0, middle, row, r, p * height * width, height, width, down, across);
        }
    } else {
        snprintf(error, error_bytes, "%s: out of memory", t->name);
        msagen_tensor_free(r);
        r = NULL;
    }
    free(in);
    free(middle);
    free(row);
    free(down);
    free(across);
    return r;
}

struct msagen_tensor *msagen_resample_linear(const struct msagen_tensor *t, int64_t n, char *error, size_t error_bytes)
{
    if (t->dims != 2 || !side_ok(t->shape[0]) || !side_ok(n)) {
        snprintf(error, error_bytes, "%s: a table of %lld rows in %d dimensions cannot be resampled to %lld rows",
            t->name,
                 (long long)(t->dims ? t->shape[0] : 0), t->dims, (long long)n);
        return NULL;
    }
    const int64_t length = t->shape[0], width = t->shape[1];
    struct msagen_tensor *r = msagen_tensor_zeros(t->name, msagen_tensor_computed(), 2, (int64_t[]){n, width});
    double *rows = (uint64_t)width <= SIZE_MAX / 32 ? calloc((size_t)(2 * width) + 1, sizeof *rows) : NULL;
    if (!r || !rows) {
        snprintf(error, error_bytes, "%s: out of memory", t->name);
        free(rows);
        msagen_tensor_free(r);
        return NULL;
    }
    const double scale = (double)length / (double)n;
    for (int64_t o = 0; o < n; ++o) {
        double at = ((double)o + 0.5) * scale - 0.5;
        at = at < 0 ? 0 : at;
        int64_t low = (int64_t)at;
        low = low < length ? low : length - 1;
        const int64_t high = low + 1 < length ? low + 1 : low;
        const double part = at - (double)low;
        msagen_tensor_read_f64_range(t, low * width, width, rows);
        msagen_tensor_read_f64_range(t, high * width, width, rows + width);
        for (int64_t i = 0; i < width; ++i)
            rows[i] = (1 - part) * rows[i] + part * rows[width + i];
        msagen_tensor_store(r, o * width, width, rows);
    }
    free(rows);
    return r;
}
