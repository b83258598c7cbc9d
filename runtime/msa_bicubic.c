/* SPDX-License-Identifier: 0BSD */
/* msa_bicubic.c - logits to the image's size by cubic convolution as PyTorch has it, in the place of msa_upsample.c in
 * builds whose model wants it. Keys 1981, a = -0.75. */
#include "msa_runtime.h"

#define A (-0.75)

/* Four neighbours and their shares. */
typedef struct four {
    uint32_t place[4];
    float share[4];
} four;

static double near_share(double x)
{
    return ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
}

static double far_share(double x)
{
    return ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
}

/* The scale is rounded to float32, the place is not; how far it is from its neighbour is. */
static four four_at(uint32_t in, uint32_t out, uint32_t at)
{
    four f;
    const float scale = (float)in / (float)out;
    const double source = (double)scale * ((double)at + 0.5) - 0.5;
    int32_t low = (int32_t)source;
    if ((double)low > source) {
        --low;
    }
    const double t = (double)(float)(source - (double)low);
    for (int32_t i = 0; i < 4; ++i) {
        const int32_t place = low + i - 1;
        f.place[i] = place < 0 ? 0u : (uint32_t)place > in - 1u ? in - 1u : (uint32_t)place;
    }
    f.share[0] = (float)far_share(t + 1.0);
    f.share[1] = (float)near_share(t);
    f.share[2] = (float)near_share(1.0 - t);
    f.share[3] = (float)far_share(2.0 - t);
    return f;
}

static float sum_of(const float value[4], const float share[4])
{
    float sum = value[0] * share[0];
    for (uint32_t i = 1; i < 4u; ++i) {
        sum = sum + value[i] * share[i];
    }
    return sum;
}

void msa_upsample_init(msa_upsampler *u, const float *logits, uint32_t side, uint32_t square,
                       uint32_t width, uint32_t height, float *rows)
{
    (void)square;
    u->logits = logits;
    u->rows = rows;
    u->side = side;
    u->square = 0;
    u->width = width;
    u->height = height;
    u->inner_width = side;
    u->inner_height = side;
    u->held[0] = 0;
    u->held[1] = 0;
    u->probabilities = false;
}

void msa_upsample_row(msa_upsampler *u, uint32_t y, float *row)
{
    const four down = four_at(u->side, u->height, y);
    for (uint32_t x = 0; x < u->width; ++x) {
        const four across = four_at(u->side, u->width, x);
        float line[4];
        for (uint32_t j = 0; j < 4u; ++j) {
            const float *const from = u->logits + (size_t)down.place[j] * u->side;
            const float value[4] = {from[across.place[0]], from[across.place[1]], from[across.place[2]],
                                    from[across.place[3]]};
            line[j] = sum_of(value, across.share);
        }
        row[x] = sum_of(line, down.share);
    }
}

bool msa_upsample_as_written(float one, float many, float zero)
{
    return msa_as_written(one, many, zero);
}
