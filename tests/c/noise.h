/* SPDX-License-Identifier: Apache-2.0 */
/* noise.h - a picture of noise, alike each time: what checksums in the tests are of. */
#ifndef NOISE_H
#define NOISE_H

#include <stdint.h>
#include <stdlib.h>

/* [height][width][3]; the caller's to free. */
static inline uint8_t *noise(uint32_t width, uint32_t height)
{
    uint8_t *pixels = malloc((size_t)3 * width * height);
    uint32_t x = 1;
    for (size_t i = 0; i < (size_t)3 * width * height; ++i) {
        x = x * 1664525u + 1013904223u;
        pixels[i] = (uint8_t)(x >> 24);
    }
    return pixels;
}

#endif
