/* SPDX-License-Identifier: Apache-2.0 */
#include "quantise.h"

#include <math.h>
#include <string.h>

/* What is below it counts as 0. */
static const float LEAST = 0x1p-40f;

static float magnitude(const float *x, size_t count)
{
    float most = 0.0f;
    for (size_t i = 0; i < count; ++i)
        most = fmaxf(most, fabsf(x[i]));
    return most;
}

float msagen_quantise_channel(const float *w, size_t count, int8_t *q)
{
    const float most = magnitude(w, count);
    if (most < LEAST) {
        memset(q, 0, count);
        return 0.0f;
    }
    const float scale = (float)((double)most / 127.0);
    for (size_t i = 0; i < count; ++i)
        q[i] = (int8_t)fmax(-127.0, fmin(127.0, nearbyint((double)w[i] / (double)scale)));
    return scale;
}

float msagen_quantise_row(const float *x, size_t count, int8_t *q)
{
    const float most = magnitude(x, count);
    if (most < LEAST) {
        memset(q, 0, count);
        return 0.0f;
    }
    const float inverse = 127.0f / most;
    for (size_t i = 0; i < count; ++i) {
        const float product = x[i] * inverse;
        q[i] = (int8_t)nearbyintf(product);
    }
    return most / 127.0f;
}

float msagen_bf16(float x)
{
    uint32_t bits;
    if (fabsf(x) < 0x1p-50f)
        return 0.0f;
    if (!isfinite(x))
        return NAN;
    memcpy(&bits, &x, sizeof bits);
    bits = (bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u;
    memcpy(&x, &bits, sizeof bits);
    return x;
}
