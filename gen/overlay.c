/* SPDX-License-Identifier: Apache-2.0 */
/* Draws masks and prompts into images; edges are smoothed by how much of a pixel they cover, sizes follow the image's. */
#include "overlay.h"

#include <math.h>
#include <stdlib.h>

struct colour {
    double red, green, blue;
};

static const struct colour tint = {40, 200, 255}, contour = {90, 235, 255}, halo = {8, 20, 32}, white = {255, 255, 255};
static const struct colour inside = {38, 190, 90}, outside = {235, 60, 60}, box_line = {255, 214, 64};

#define TINT_OPACITY 0.30
#define HALO_OPACITY 0.55

static double clamp(double x)
{
    return x < 0.0 ? 0.0 : x > 1.0 ? 1.0 : x;
}

static unsigned char mixed(unsigned char below, double above, double opacity)
{
    return (unsigned char)(below + (above - below) * opacity + 0.5);
}

static void blend(unsigned char *pixel, struct colour c, double opacity)
{
    pixel[0] = mixed(pixel[0], c.red, opacity);
    pixel[1] = mixed(pixel[1], c.green, opacity);
    pixel[2] = mixed(pixel[2], c.blue, opacity);
}

/* Lines are this wide: two pixels in a picture of 512, never less than one and a half. */
static double line_width(const struct msagen_canvas *canvas)
{
    const double shorter = (double)(canvas->width < canvas->height ? canvas->width : canvas->height);
    return fmax(1.5, shorter / 256.0);
}

/* The distance to the mask's edge, positive inside, is read off a box blur: across a straight edge it rises linearly over the
 * box. Sums of the box's columns slide down the image. */
int msagen_overlay_mask(struct msagen_canvas *canvas, const unsigned char *mask)
{
    const size_t width = canvas->width, height = canvas->height;
    const double line = line_width(canvas) / 2.0;
    const size_t radius = (size_t)ceil(line) + 2;
    unsigned *columns = calloc(width, sizeof *columns);
    if (!columns)
        return -1;
    for (size_t y = 0; y < radius && y < height; ++y)
        for (size_t x = 0; x < width; ++x)
            columns[x] += mask[y * width + x] != 0;
    for (size_t y = 0; y < height; ++y) {
        const size_t top = y < radius ? 0 : y - radius, bottom = y + radius < height ? y + radius : height - 1;
        if (y + radius < height)
            for (size_t x = 0; x < width; ++x)
                columns[x] += mask[(y + radius) * width + x] != 0;
        if (y > radius)
            for (size_t x = 0; x < width; ++x)
                columns[x] -= mask[(y - radius - 1) * width + x] != 0;
        unsigned long sum = 0;
        for (size_t x = 0; x < radius && x < width; ++x)
            sum += columns[x];
        unsigned char *pixel = canvas->pixels + y * canvas->stride;
        for (size_t x = 0; x < width; ++x, pixel += 3) {
            const size_t left = x < radius ? 0 : x - radius, right = x + radius < width ? x + radius : width - 1;
            if (x + radius < width)
                sum += columns[x + radius];
            if (x > radius)
                sum -= columns[x - radius - 1];
            if (sum == 0)
                continue;
            const double share = (double)sum / ((double)(bottom - top + 1) * (double)(right - left + 1));
            const double distance = (share - 0.5) * (double)(2 * radius + 1);
            blend(pixel, tint, TINT_OPACITY * clamp(distance + 0.5));
            blend(pixel, halo, HALO_OPACITY * clamp(line + 1.5 - fabs(distance)));
            blend(pixel, contour, clamp(line + 0.5 - fabs(distance)));
        }
    }
    free(columns);
    return 0;
}

/* Whole pixels from `from` to `to`, within 0..limit. */
static void clip(double from, double to, size_t limit, size_t *first, size_t *end)
{
    from = floor(from);
    to = ceil(to);
    *first = from < 0.0 ? 0 : from > (double)limit ? limit : (size_t)from;
    *end = to < 0.0 ? 0 : to > (double)limit ? limit : (size_t)to;
}

void msagen_overlay_point(struct msagen_canvas *canvas, double x, double y, int label)
{
    const double disc = 3.2 * line_width(canvas), ring = disc * 0.28, bar = disc * 0.17, arm = disc * 0.58;
    const double reach = disc + ring + 2.0;
    size_t left, right, top, bottom;
    clip(x - reach, x + reach, canvas->width, &left, &right);
    clip(y - reach, y + reach, canvas->height, &top, &bottom);
    for (size_t row = top; row < bottom; ++row)
        for (size_t column = left; column < right; ++column) {
            unsigned char *pixel = canvas->pixels + row * canvas->stride + 3 * column;
            const double dx = fabs((double)column + 0.5 - x), dy = fabs((double)row + 0.5 - y);
            const double distance = sqrt(dx * dx + dy * dy);
            blend(pixel, halo, HALO_OPACITY * clamp(disc + ring + 1.5 - distance));
            blend(pixel, white, clamp(disc + ring + 0.5 - distance));
            blend(pixel, label ? inside : outside, clamp(disc + 0.5 - distance));
            double sign = clamp(bar + 0.5 - dy) * clamp(arm + 0.5 - dx);
            if (label)
                sign = fmax(sign, clamp(bar + 0.5 - dx) * clamp(arm + 0.5 - dy));
            blend(pixel, white, sign);
        }
}

void msagen_overlay_box(struct msagen_canvas *canvas, double x0, double y0, double x1, double y1)
{
    const double line = line_width(canvas) / 2.0, reach = line + 2.0;
    const double middle_x = (x0 + x1) / 2.0, middle_y = (y0 + y1) / 2.0, half_x = (x1 - x0) / 2.0, half_y = (y1 - y0) / 2.0;
    size_t left, right, top, bottom;
    clip(x0 - reach, x1 + reach, canvas->width, &left, &right);
    clip(y0 - reach, y1 + reach, canvas->height, &top, &bottom);
    for (size_t row = top; row < bottom; ++row)
        for (size_t column = left; column < right; ++column) {
            unsigned char *pixel = canvas->pixels + row * canvas->stride + 3 * column;
            const double distance = fabs(fmax(fabs((double)column + 0.5 - middle_x) - half_x, fabs((double)row + 0.5 - middle_y) - half_y));
            if (distance >= reach)
                continue;
            blend(pixel, halo, HALO_OPACITY * clamp(line + 1.5 - distance));
            blend(pixel, box_line, clamp(line + 0.5 - distance));
        }
}
