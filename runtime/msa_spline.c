/* SPDX-License-Identifier: 0BSD */
/* msa_spline.c - images to the model's size as scikit-image resizes them for MedSAM: a Gaussian where an axis shrinks,
 * a cubic B-spline with its exact prefilter, borders mirrored about the edge pixel, truncated to bytes; rows streamed.
 */
#include "msa_runtime.h"

typedef msa_spline_place place;

/* The prefilter's pole, sqrt(3) - 2. */
#define POLE (-0.26794919243112270)
/* The prefilter's response ends where 255 * sqrt(3) * |POLE|^REACH is below 1e-11. */
#define REACH MSA_SPLINE_REACH

/* e^-x for 0 <= x < 700, to the last bit or two. */
static double falling(double x)
{
    const double halves = x * 1.4426950408889634 + 0.5;
    const int32_t n = (int32_t)halves;
    const double r = (x - (double)n * 0.693147180369123816490) - (double)n * 1.90821492927058770002e-10;
    double sum = 1.0, power = 1.0;
    for (int32_t k = 14; k >= 1; --k) {
        sum = 1.0 - r * sum / (double)k;
    }
    for (int32_t k = 0; k < n; ++k) {
        power *= 0.5;
    }
    return sum * power;
}

/* The index that a place beyond the border mirrors. */
static uint32_t mirrored(int32_t at, uint32_t count)
{
    const int32_t last = (int32_t)count - 1;
    if (last == 0) {
        return 0;
    }
    while (at < 0 || at > last) {
        at = at < 0 ? -at : 2 * last - at;
    }
    return (uint32_t)at;
}

/* Half of a Gaussian's weights, which sum to 1 with their mirror image. Returns its radius; 0 where nothing shrinks. */
static uint32_t gaussian(uint32_t in, uint32_t out, double *half)
{
    const double sigma = ((double)in / (double)out - 1.0) / 2.0;
    const double wide = 4.0 * sigma + 0.5;
    const uint32_t radius = sigma > 0.0 ? (uint32_t)wide : 0u;
    double sum = 1.0;
    half[0] = 1.0;
    for (uint32_t k = 1; k <= radius; ++k) {
        half[k] = falling(0.5 / (sigma * sigma) * (double)k * (double)k);
        sum += 2.0 * half[k];
    }
    for (uint32_t k = 0; k <= radius; ++k) {
        half[k] /= sum;
    }
    return radius;
}

static place place_at(uint32_t in, uint32_t out, uint32_t at)
{
    place p;
    const double x = ((double)at + 0.5) * ((double)in / (double)out) - 0.5;
    int32_t low = (int32_t)x;
    if ((double)low > x) {
        low -= 1;
    }
    const double t = x - (double)low, rest = 1.0 - t;
    p.first = low - 1;
    p.weight[0] = rest * rest * rest / 6.0;
    p.weight[1] = (4.0 - 6.0 * t * t + 3.0 * t * t * t) / 6.0;
    p.weight[2] = (4.0 - 6.0 * rest * rest + 3.0 * rest * rest * rest) / 6.0;
    p.weight[3] = t * t * t / 6.0;
    return p;
}

/* Half of the Gaussian followed by the prefilter, whose response is sqrt(3) * POLE^|k|. */
static void prefiltered(const double *half, uint32_t radius, double *kernel)
{
    double response[REACH + 1];
    response[0] = 1.7320508075688772;
    for (uint32_t k = 1; k <= (uint32_t)REACH; ++k) {
        response[k] = response[k - 1u] * POLE;
    }
    for (int32_t at = 0; at <= (int32_t)radius + REACH; ++at) {
        double sum = 0.0;
        for (int32_t k = -(int32_t)radius; k <= (int32_t)radius; ++k) {
            const int32_t distance = at > k ? at - k : k - at;
            if (distance <= REACH) {
                sum += half[k < 0 ? -k : k] * response[distance];
            }
        }
        kernel[at] = sum;
    }
}

/* The smallest and the largest byte of the image. */
static void bounds(msa_spline *s)
{
    s->low = 255;
    s->high = 0;
    for (uint32_t y = 0; y < s->height; ++y) {
        const uint8_t *const in = msa_image_row(s->image, s->slice, y, 0);
        for (size_t i = 0; i < (size_t)s->width * 3u; ++i) {
            s->low = in[i] < s->low ? in[i] : s->low;
            s->high = in[i] > s->high ? in[i] : s->high;
        }
    }
}

msa_status msa_spline_init(msa_spline *s, const msa_image *image, uint32_t slice,
                           uint32_t out_width, uint32_t out_height, void *work, size_t work_bytes)
{
    if (out_width == 0u || out_width > MSA_MAX_SIDE || out_height == 0u || out_height > MSA_MAX_SIDE) {
        return MSA_E_IMAGE_SIZE;
    }
    const size_t across = MSA_SPLINE_RADIUS(image->width, out_width) + 1u;
    const size_t down = MSA_SPLINE_RADIUS(image->height, out_height) + 1u, row = 3u * (size_t)out_width;
    const size_t rows = MSA_SPLINE_SLOTS * row < down ? down : MSA_SPLINE_SLOTS * row;
    const size_t doubles = image->width + across + row + down + (size_t)REACH + rows;
    if (work_bytes < sizeof(place) * out_width + sizeof(double) * doubles) {
        return MSA_E_ARENA;
    }
    s->image = image;
    s->slice = slice;
    s->width = image->width;
    s->height = image->height;
    s->out_width = out_width;
    s->out_height = out_height;
    s->next = 0;
    place *const places = (place *)work;
    s->places = places;
    s->line = (double *)(void *)(places + out_width);
    s->half = s->line + image->width;
    s->sums = s->half + across;
    s->kernel = s->sums + row;
    s->rows = s->kernel + down + (size_t)REACH;
    s->reach = gaussian(s->height, out_height, s->rows); /* no row is there yet */
    prefiltered(s->rows, s->reach, s->kernel);
    s->reach += (uint32_t)REACH;
    s->radius = gaussian(s->width, out_width, s->half);
    for (uint32_t x = 0; x < out_width; ++x) {
        places[x] = place_at(s->width, out_width, x);
    }
    for (uint32_t i = 0; i < MSA_SPLINE_SLOTS; ++i) {
        s->held[i] = 0;
    }
    bounds(s);
    return MSA_OK;
}

/* A colour of a source row, after the Gaussian, to `line`. */
static void blurred(const msa_spline *s, const uint8_t *in, double *line)
{
    const int32_t radius = (int32_t)s->radius, width = (int32_t)s->width;
    for (int32_t x = 0; x < width; ++x) {
        double sum = s->half[0] * (double)in[3 * x];
        const bool inside = x >= radius && x + radius < width;
        for (int32_t k = 1; k <= radius; ++k) {
            const int32_t before = x - k, after = x + k;
            const uint32_t left = inside ? (uint32_t)before : mirrored(before, s->width);
            const uint32_t right = inside ? (uint32_t)after : mirrored(after, s->width);
            sum += s->half[k] * ((double)in[3u * left] + (double)in[3u * right]);
        }
        line[x] = sum;
    }
}

/* A row's values to its spline's coefficients (Unser, Aldroubi and Eden 1993): a filter each way. */
static void prefilter(double *line, uint32_t count)
{
    if (count == 1u) {
        return;
    }
    double first = 0.0, power = 1.0;
    for (int32_t k = 0; k <= REACH; ++k) {
        first += power * line[mirrored(k, count)];
        power *= POLE;
    }
    line[0] = first;
    for (uint32_t x = 1; x < count; ++x) {
        line[x] += POLE * line[x - 1u];
    }
    line[count - 1u] = POLE / (POLE * POLE - 1.0) * (line[count - 1u] + POLE * line[count - 2u]);
    for (uint32_t x = count - 1u; x > 0u; --x) {
        line[x - 1u] = POLE * (line[x] - line[x - 1u]);
    }
    for (uint32_t x = 0; x < count; ++x) {
        line[x] *= 6.0;
    }
}

/* Source row y at the output's width. */
static const double *horizontal(msa_spline *s, uint32_t y)
{
    const uint32_t slot = y % MSA_SPLINE_SLOTS;
    double *const out = s->rows + (size_t)slot * s->out_width * 3u;
    if (s->held[slot] == y + 1u) {
        return out;
    }
    s->held[slot] = y + 1u;
    const uint8_t *const in = msa_image_row(s->image, s->slice, y, 0);
    for (uint32_t c = 0; c < 3u; ++c) {
        blurred(s, in + c, s->line);
        prefilter(s->line, s->width);
        for (uint32_t x = 0; x < s->out_width; ++x) {
            const place *const p = &s->places[x];
            double sum = 0.0;
            for (int32_t k = 0; k < 4; ++k) {
                sum += p->weight[k] * s->line[mirrored(p->first + k, s->width)];
            }
            out[3u * x + c] = sum;
        }
    }
    return out;
}

void msa_spline_row(msa_spline *s, uint8_t *row)
{
    const size_t length = 3u * (size_t)s->out_width;
    const place p = place_at(s->height, s->out_height, s->next);
    const int32_t reach = (int32_t)s->reach;
    s->next += 1u;
    for (size_t i = 0; i < length; ++i) {
        s->sums[i] = 0.0;
    }
    for (int32_t at = -reach; at <= 3 + reach; ++at) {
        double weight = 0.0;
        for (int32_t k = 0; k < 4; ++k) {
            const int32_t distance = at > k ? at - k : k - at;
            weight += distance <= reach ? p.weight[k] * s->kernel[distance] : 0.0;
        }
        const double *const in = horizontal(s, mirrored(p.first + at, s->height));
        for (size_t i = 0; i < length; ++i) {
            s->sums[i] += weight * in[i];
        }
    }
    for (size_t i = 0; i < length; ++i) {
        const double value = s->sums[i] < (double)s->low ? (double)s->low : s->sums[i];
        row[i] = (uint8_t)(value > (double)s->high ? (double)s->high : value);
    }
}

bool msa_spline_as_written(float one, float many, float zero)
{
    return msa_as_written(one, many, zero);
}
