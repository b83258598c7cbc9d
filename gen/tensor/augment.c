/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of pictures and masks for training, with the same bytes everywhere. */
#include "augment.h"

#include "elementary.h"

#include <math.h>
#include <string.h>

enum { ONE = 65536 };

/* A place along an axis: a pixel, and how far to the next in 1/65536. */
struct place {
    int64_t pixel;
    uint32_t beyond;
};

static struct place place_of(double at)
{
    const double whole = floor(at * ONE + 0.5), pixel = floor(whole / ONE);
    return (struct place){(int64_t)pixel, (uint32_t)(whole - pixel * ONE)};
}

static struct place across(const struct msagen_augment_map *map, size_t x, size_t y)
{
    return place_of((map->m[0] * (double)x + map->m[1] * (double)y) + map->m[2]);
}

static struct place down(const struct msagen_augment_map *map, size_t x, size_t y)
{
    return place_of((map->m[3] * (double)x + map->m[4] * (double)y) + map->m[5]);
}

static int within(int64_t at, size_t side)
{
    return at >= 0 && at < (int64_t)side;
}

void msagen_augment_warp(const uint8_t *in, size_t height, size_t width, size_t channels,
                         const struct msagen_augment_map *map, uint8_t *out)
{
    for (size_t y = 0; y < height; ++y)
        for (size_t x = 0; x < width; ++x, out += channels) {
            const struct place u = across(map, x, y), v = down(map, x, y);
            const uint64_t weights[4] = {(uint64_t)(ONE - v.beyond) * (ONE - u.beyond),
                                         (uint64_t)(ONE - v.beyond) * u.beyond, (uint64_t)v.beyond * (ONE - u.beyond),
                                         (uint64_t)v.beyond * u.beyond};
            for (size_t c = 0; c < channels; ++c) {
                uint64_t sum = UINT64_C(1) << 31;
                for (int k = 0; k < 4; ++k) {
                    const int64_t row = v.pixel + k / 2, column = u.pixel + k % 2;
                    if (within(row, height) && within(column, width))
                        sum += weights[k] * in[((size_t)row * width + (size_t)column) * channels + c];
                }
                out[c] = (uint8_t)(sum >> 32);
            }
        }
}

void msagen_augment_nearest(const uint8_t *in, size_t height, size_t width, size_t bytes,
                            const struct msagen_augment_map *map, uint8_t *out)
{
    for (size_t y = 0; y < height; ++y)
        for (size_t x = 0; x < width; ++x, out += bytes) {
            const struct place u = across(map, x, y), v = down(map, x, y);
            const int64_t row = v.pixel + (v.beyond >= ONE / 2), column = u.pixel + (u.beyond >= ONE / 2);
            if (within(row, height) && within(column, width))
                memcpy(out, in + ((size_t)row * width + (size_t)column) * bytes, bytes);
            else
                memset(out, 0, bytes);
        }
}

void msagen_augment_curve(double gamma, double gain, double shift, uint8_t curve[256])
{
    for (int level = 0; level < 256; ++level) {
        double v = (double)level / 255.0;
        if (gamma != 1.0 && level > 0)
            v = msagen_exp(gamma * msagen_log(v));
        v = v * gain + shift;
        v = v < 0.0 ? 0.0 : v > 1.0 ? 1.0 : v;
        curve[level] = (uint8_t)floor(v * 255.0 + 0.5);
    }
}
