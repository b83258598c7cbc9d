/* SPDX-License-Identifier: Apache-2.0 */
#include "columns.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

static size_t width_of(const struct msagen_tensor *t)
{
    return t->dims > 0 ? (size_t)t->shape[t->dims - 1] : 1;
}

int msagen_columns_most(const struct msagen_tensor *t, double *most)
{
    const size_t width = width_of(t), rows = width > 0 ? (size_t)msagen_tensor_numel(t) / width : 0;
    float *row = malloc((width > 0 ? width : 1) * sizeof *row);
    if (!row)
        return -1;
    for (size_t c = 0; c < width; ++c)
        most[c] = 0;
    for (size_t r = 0; r < rows; ++r) {
        msagen_tensor_read_f32_range(t, (int64_t)(r * width), (int64_t)width, row);
        for (size_t c = 0; c < width; ++c)
            most[c] = fmax(most[c], fabs((double)row[c]));
    }
    free(row);
    return 0;
}

struct msagen_tensor *msagen_columns_scaled(const struct msagen_tensor *t, const int *exponents)
{
    const size_t width = width_of(t), n = (size_t)msagen_tensor_numel(t);
    struct msagen_tensor *y = msagen_tensor_zeros(t->name, MSAGEN_F32, t->dims, t->shape);
    if (!y)
        return NULL;
    float *to = (float *)(uintptr_t)y->storage->data;
    msagen_tensor_read_f32(t, to);
    for (size_t i = 0; i < n; ++i)
        to[i] = ldexpf(to[i], exponents[i % width]);
    return y;
}
