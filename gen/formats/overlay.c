/* SPDX-License-Identifier: Apache-2.0 */
/* Draws masks and prompts into images; edges are smoothed by how much of a pixel they cover, sizes follow the image's.
 */
#include "overlay.h"

#include "contour.h"

#include <math.h>
#include <stdlib.h>

struct colour {
    double red, green, blue;
};

static const struct colour halo = {8, 20, 32}, white = {255, 255, 255};
static const struct colour inside = {38, 190, 90}, outside = {235, 60, 60}, box_line = {255, 214, 64};

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

/* The distance to the mask's edge, positive inside, is read off a box blur: across a straight edge it rises linearly
 * over the box. Sums of the box's columns slide down the image. */
int msagen_overlay_mask(struct msagen_canvas *canvas, const unsigned char *mask,
                        const struct msagen_overlay_style *style)
{
    const struct colour colour = {style->colour[0], style->colour[1], style->colour[2]};
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
            blend(pixel, colour, clamp(style->opacity) * clamp(distance + 0.5));
            if (!style->contour)
                continue;
            blend(pixel, halo, HALO_OPACITY * clamp(line + 1.5 - fabs(distance)));
            blend(pixel, colour, clamp(line + 0.5 - fabs(distance)));
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

static void draw_dot(struct msagen_canvas *canvas, double x, double y, double radius, struct colour c, double opacity)
{
    size_t left, right, top, bottom;
    clip(x - radius - 1.0, x + radius + 1.0, canvas->width, &left, &right);
    clip(y - radius - 1.0, y + radius + 1.0, canvas->height, &top, &bottom);
    for (size_t row = top; row < bottom; ++row)
        for (size_t column = left; column < right; ++column) {
            const double dx = (double)column + 0.5 - x, dy = (double)row + 0.5 - y;
            blend(canvas->pixels + row * canvas->stride + 3 * column, c,
                  opacity * clamp(radius + 0.5 - sqrt(dx * dx + dy * dy)));
        }
}

/* Dots at even steps along a polygon, but not along the image's border. */
static void dot_polygon(struct msagen_canvas *canvas, const struct msagen_contours *contours,
                        const struct msagen_polygon *polygon, double radius, struct colour c, double opacity)
{
    const double line = line_width(canvas), apart = fmax(6.0, 4.0 * line);
    double travelled = 0.0;
    for (size_t i = 0; i < polygon->count; ++i) {
        const int32_t *from = contours->points[polygon->first + i],
                      *to = contours->points[polygon->first + (i + 1) % polygon->count];
        const double dx = to[0] - from[0], dy = to[1] - from[1], length = fabs(dx) + fabs(dy);
        const int border = (dx == 0.0 && (from[0] == 0 || (size_t)from[0] == canvas->width)) ||
                           (dy == 0.0 && (from[1] == 0 || (size_t)from[1] == canvas->height));
        const double end = travelled + length;
        for (double at = ceil(travelled / apart) * apart; at < end; at += apart) {
            const double share = (at - travelled) / length;
            if (!border)
                draw_dot(canvas, from[0] + dx * share, from[1] + dy * share, radius, c, opacity);
        }
        travelled = end;
    }
}

int msagen_overlay_truth(struct msagen_canvas *canvas, const unsigned char *mask)
{
    struct msagen_contours contours;
    if (msagen_contours_trace(mask, canvas->height, canvas->width, &contours) != 0)
        return -1;
    const double radius = fmax(1.0, 0.55 * line_width(canvas));
    for (int pass = 0; pass < 2; ++pass)
        for (size_t i = 0; i < contours.polygon_count; ++i)
            dot_polygon(canvas, &contours, &contours.polygons[i], pass ? radius : radius + 1.0, pass ? white : halo,
                        pass ? 1.0 : 0.8);
    msagen_contours_free(&contours);
    return 0;
}

/* A disc of that radius with a sign. */
static void draw_disc(struct msagen_canvas *canvas, double x, double y, int label, double disc)
{
    const double ring = disc * 0.28, bar = disc * 0.17, arm = disc * 0.58;
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

void msagen_overlay_point(struct msagen_canvas *canvas, double x, double y, int label)
{
    draw_disc(canvas, x, y, label, 3.2 * line_width(canvas));
}

/* Digits, 5 dots wide and 7 high; the highest of the low 5 bits is the left dot. */
enum { DOTS_ACROSS = 5, DOTS_DOWN = 7, SAMPLES = 4 };

static const unsigned char digits[10][DOTS_DOWN] = {
    {14, 17, 19, 21, 25, 17, 14}, {4, 12, 4, 4, 4, 4, 14},    {14, 17, 1, 6, 8, 16, 31},  {14, 17, 1, 6, 1, 17, 14},
    {2, 6, 10, 18, 31, 2, 2},     {31, 16, 30, 1, 1, 17, 14}, {6, 8, 16, 30, 17, 17, 14}, {31, 1, 2, 4, 8, 8, 8},
    {14, 17, 17, 14, 17, 17, 14}, {14, 17, 17, 15, 1, 2, 12},
};

/* Whether (u, v), in dots from the digit's corner, lies in a dot, or no further than `grow` from one. */
static int on_digit(const unsigned char *rows, double u, double v, double grow)
{
    for (int y = 0; y < DOTS_DOWN; ++y)
        for (int x = 0; x < DOTS_ACROSS; ++x)
            if (rows[y] >> (DOTS_ACROSS - 1 - x) & 1 && u >= x - grow && u <= x + 1 + grow && v >= y - grow &&
                v <= y + 1 + grow)
                return 1;
    return 0;
}

static void draw_digit(struct msagen_canvas *canvas, double x, double y, const unsigned char *rows, double dot,
                       double grow, struct colour c, double opacity)
{
    size_t left, right, top, bottom;
    clip(x - grow * dot, x + (DOTS_ACROSS + grow) * dot, canvas->width, &left, &right);
    clip(y - grow * dot, y + (DOTS_DOWN + grow) * dot, canvas->height, &top, &bottom);
    for (size_t row = top; row < bottom; ++row)
        for (size_t column = left; column < right; ++column) {
            int covered = 0;
            for (int i = 0; i < SAMPLES * SAMPLES; ++i) {
                const double u = (double)column + (i % SAMPLES + 0.5) / SAMPLES,
                             v = (double)row + (i / SAMPLES + 0.5) / SAMPLES;
                covered += on_digit(rows, (u - x) / dot, (v - y) / dot, grow);
            }
            blend(canvas->pixels + row * canvas->stride + 3 * column, c, opacity * covered / (SAMPLES * SAMPLES));
        }
}

/* A thin line. */
static void draw_line(struct msagen_canvas *canvas, double x0, double y0, double x1, double y1, double width)
{
    const double dx = x1 - x0, dy = y1 - y0, length = fmax(1e-9, dx * dx + dy * dy), reach = width + 1.0;
    size_t left, right, top, bottom;
    clip(fmin(x0, x1) - reach, fmax(x0, x1) + reach, canvas->width, &left, &right);
    clip(fmin(y0, y1) - reach, fmax(y0, y1) + reach, canvas->height, &top, &bottom);
    for (size_t row = top; row < bottom; ++row)
        for (size_t column = left; column < right; ++column) {
            const double px = (double)column + 0.5 - x0, py = (double)row + 0.5 - y0;
            const double along = clamp((px * dx + py * dy) / length), ax = px - along * dx, ay = py - along * dy;
            blend(canvas->pixels + row * canvas->stride + 3 * column, white,
                  clamp(width / 2.0 + 0.5 - sqrt(ax * ax + ay * ay)));
        }
}

struct label {
    double left, top, across, down;
};

static int overlap(const struct label *a, const struct label *b, double apart)
{
    return a->left < b->left + b->across + apart && b->left < a->left + a->across + apart &&
           a->top < b->top + b->down + apart && b->top < a->top + a->down + apart;
}

/* Around (x, y), further out where there is no room: right above first, then clockwise. Labels before it, and all
 * discs, stay free. */
static void place(struct label *label, const struct msagen_canvas *canvas, const double (*points)[2], size_t count,
                  size_t own, const struct label *before, double disc)
{
    enum { ANGLES = 12, RINGS = 8 };
    const double pi = 3.14159265358979, x = points[own][0], y = points[own][1];
    for (int turn = 0; turn < ANGLES * RINGS; ++turn) {
        const double angle = 2.0 * pi * (turn % ANGLES) / ANGLES - pi / 4.0,
                     out = 1.5 * disc + turn / ANGLES * label->down;
        label->left = floor(x + cos(angle) * (out + label->across / 2.0) - label->across / 2.0);
        label->top = floor(y + sin(angle) * (out + label->down / 2.0) - label->down / 2.0);
        int free = label->left >= 1.0 && label->top >= 1.0 &&
                   label->left + label->across <= (double)canvas->width - 1.0 &&
                   label->top + label->down <= (double)canvas->height - 1.0;
        for (size_t i = 0; i < own && free; ++i)
            free = !overlap(label, &before[i], 2.0);
        for (size_t i = 0; i < count && free; ++i) {
            const struct label other = {points[i][0] - disc, points[i][1] - disc, 2.0 * disc, 2.0 * disc};
            free = !overlap(label, &other, 0.0);
        }
        if (free)
            return;
    }
    label->left = x + disc;
    label->top = y - disc - label->down;
}

static void draw_number(struct msagen_canvas *canvas, const struct label *label, size_t number, double dot)
{
    const double step = (DOTS_ACROSS + 1) * dot;
    for (int pass = 0; pass < 2; ++pass) {
        double x = label->left + label->across + dot;
        size_t rest = number;
        do
            draw_digit(canvas, x -= step, label->top, digits[rest % 10], dot, pass ? 0.0 : 1.0, pass ? white : halo,
                       pass ? 1.0 : 0.8);
        while ((rest /= 10) > 0);
    }
}

/* How large a number is. */
static void measure(struct label *label, size_t number, double dot)
{
    int figures = 1;
    for (size_t rest = number / 10; rest > 0; rest /= 10)
        ++figures;
    label->across = (DOTS_ACROSS + 1) * dot * figures - dot;
    label->down = DOTS_DOWN * dot;
}

/* Half pixels, and whole ones for corners, keep small digits sharp. */
static double dot_size(const struct msagen_canvas *canvas)
{
    return fmax(1.0, floor(1.4 * line_width(canvas) + 0.5) / 2.0);
}

void msagen_overlay_number(struct msagen_canvas *canvas, size_t number)
{
    const double dot = dot_size(canvas);
    struct label label = {2.0 * dot, 2.0 * dot, 0.0, 0.0};
    measure(&label, number, dot);
    draw_number(canvas, &label, number, dot);
}

int msagen_overlay_clicks(struct msagen_canvas *canvas, const double (*points)[2], const int *signs, size_t count)
{
    const double line = line_width(canvas), disc = 2.0 * line, dot = dot_size(canvas);
    struct label *labels = calloc(count ? count : 1, sizeof *labels);
    if (!labels)
        return -1;
    for (size_t i = 0; i < count; ++i) {
        measure(&labels[i], i + 1, dot);
        place(&labels[i], canvas, points, count, i, labels, disc);
        const struct label *l = &labels[i];
        draw_line(canvas, points[i][0], points[i][1], fmin(fmax(points[i][0], l->left), l->left + l->across),
                  fmin(fmax(points[i][1], l->top), l->top + l->down), line * 0.5);
    }
    for (size_t i = count; i > 0; --i)
        draw_disc(canvas, points[i - 1][0], points[i - 1][1], signs[i - 1], disc);
    for (size_t i = 0; i < count; ++i)
        draw_number(canvas, &labels[i], i + 1, dot);
    free(labels);
    return 0;
}

void msagen_overlay_box(struct msagen_canvas *canvas, double x0, double y0, double x1, double y1)
{
    const double line = line_width(canvas) / 2.0, reach = line + 2.0;
    const double middle_x = (x0 + x1) / 2.0, middle_y = (y0 + y1) / 2.0, half_x = (x1 - x0) / 2.0,
                 half_y = (y1 - y0) / 2.0;
    size_t left, right, top, bottom;
    clip(x0 - reach, x1 + reach, canvas->width, &left, &right);
    clip(y0 - reach, y1 + reach, canvas->height, &top, &bottom);
    for (size_t row = top; row < bottom; ++row)
        for (size_t column = left; column < right; ++column) {
            unsigned char *pixel = canvas->pixels + row * canvas->stride + 3 * column;
            const double distance =
                fabs(fmax(fabs((double)column + 0.5 - middle_x) - half_x, fabs((double)row + 0.5 - middle_y) - half_y));
            if (distance >= reach)
                continue;
            blend(pixel, halo, HALO_OPACITY * clamp(line + 1.5 - distance));
            blend(pixel, box_line, clamp(line + 0.5 - distance));
        }
}
