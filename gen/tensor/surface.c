/* SPDX-License-Identifier: Apache-2.0 */
/* The surface between pixel centres, as marching cubes draws it through the middles of edges. Around a corner lie 8
 * pixels (4 of a picture) at the corners of a cube; that at offset (a, b, c) is bit 7 - (4 a + 2 b + c). Inside and
 * outside may be exchanged, so the pieces are those of the smaller side, and of each part of it that hangs together
 * over edges of the cube. Triangles are told by their normals in units of the cube's sides, with the area as length. */
#include "surface.h"

#include <math.h>
#include <stdlib.h>

enum { ALL = 255 };

/* The bit beside bit `at` along an axis. */
static int beside(int at, int axis)
{
    return at ^ (4 >> axis);
}

static int count_bits(int bits)
{
    int count = 0;
    for (; bits; bits &= bits - 1)
        ++count;
    return count;
}

/* Of a set of the cube's corners those that hang together with its first. */
static int first_part(int set)
{
    int part = set & -set, before = 0;
    while (part != before) {
        before = part;
        for (int at = 0; at < 8; ++at)
            for (int axis = 0; axis < 3 && before >> at & 1; ++axis)
                part |= set & 1 << beside(at, axis);
    }
    return part;
}

/* Area of `count` triangles whose normal has these components; face[k]: area of the cube's face across axis k. */
static double triangles(int count, double x, double y, double z, const double *face)
{
    const double n[3] = {x * face[0], y * face[1], z * face[2]};
    return count * sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
}

static double slanted(double share, const double *face)
{
    return triangles(1, share, share, share, face);
}

/* Two triangles along an axis, of an edge's four sides. */
static double pair_along(int axis, int count, const double *face)
{
    return triangles(count, axis == 0 ? 0.0 : 0.25, axis == 1 ? 0.0 : 0.25, axis == 2 ? 0.0 : 0.25, face);
}

/* Triangles that lie across an axis. */
static double flat_across(int axis, int count, const double *face)
{
    return triangles(count, axis == 0 ? 0.5 : 0.0, axis == 1 ? 0.5 : 0.0, axis == 2 ? 0.5 : 0.0, face);
}

/* A part of 1 to 4 corners: its edges along each axis, and the most edges that meet in one corner, tell its form. */
static double area_of_part(int part, const double *face)
{
    int edges[3] = {0, 0, 0}, most = 0, middle = 0, across = 0;
    for (int at = 0; at < 8; ++at) {
        int meet = 0;
        for (int axis = 0; axis < 3 && part >> at & 1; ++axis) {
            const int joined = part >> beside(at, axis) & 1;
            meet += joined;
            edges[axis] += joined && at < beside(at, axis);
        }
        most = meet > most ? meet : most;
    }
    for (int axis = 0; axis < 3; ++axis)
        across = edges[axis] == 0 ? axis : across;
    switch (count_bits(part)) {
    case 1: return slanted(0.125, face);
    case 2: return pair_along(edges[0] ? 0 : edges[1] ? 1 : 2, 2, face);
    case 3: return flat_across(across, 1, face) + slanted(0.25, face) + slanted(0.125, face);
    default: break;
    }
    if (most == 3)
        return 2.0 * (slanted(0.125, face) + slanted(0.25, face));
    if (edges[0] + edges[1] + edges[2] == 4)
        return flat_across(across, 2, face);
    /* A chain: its middle edge is the one whose both ends have another. */
    for (int at = 0; at < 8; ++at)
        for (int axis = 0; axis < 3; ++axis) {
            int here = 0, there = 0;
            for (int k = 0; k < 3; ++k) {
                here += part >> beside(at, k) & 1;
                there += part >> beside(beside(at, axis), k) & 1;
            }
            if (part >> at & 1 && part >> beside(at, axis) & 1 && here == 2 && there == 2)
                middle = axis;
        }
    return slanted(0.125, face) + slanted(0.375, face) + pair_along((middle + 1) % 3, 1, face)
           + pair_along((middle + 2) % 3, 1, face);
}

/* The same of a picture: lengths, of a square's corners. Its axes are the first and the third. */
static double length_of_part(int part, const double *spacing)
{
    for (int at = 0; at < 8; ++at)
        for (int axis = 0; axis < 3; axis += 2)
            if (part >> at & 1 && part >> beside(at, axis) & 1)
                return spacing[axis];
    return 0.5 * sqrt(spacing[0] * spacing[0] + spacing[2] * spacing[2]);
}

static void make_areas(struct msagen_surface *s, int corners, const double *spacing)
{
    const double face[3] = {spacing[1] * spacing[2], spacing[0] * spacing[2], spacing[0] * spacing[1]};
    const int flat = count_bits(corners) == 4;
    for (int code = 0; code <= ALL; ++code) {
        s->area[code] = 0.0;
        const int inside = code & corners, outside = corners & ~code;
        int set = count_bits(inside) <= count_bits(outside) ? inside : outside;
        while (set) {
            const int part = first_part(set);
            s->area[code] += flat ? length_of_part(part, spacing) : area_of_part(part, face);
            set &= ~part;
        }
    }
}

/* Which of the pixels around a corner are in the mask. */
static int code_at(const struct msagen_surface *s, const size_t *at, uint8_t mask)
{
    int code = 0;
    for (int bit = 0; bit < 8; ++bit) {
        size_t pixel = 0;
        int there = 1;
        for (int k = 0; k < 3; ++k) {
            const size_t behind = (7 - bit) >> (2 - k) & 1; /* offset 1 is the pixel behind the corner */
            if (!(s->axes >> k & 1)) {
                there = there && behind == 1;
                continue;
            }
            const size_t place = at[k] + behind; /* of the pixel, and 1 */
            there = there && place >= 1 && place <= s->side[k];
            pixel = pixel * s->side[k] + (place - 1);
        }
        if (there && s->masks[pixel] & mask)
            code |= 1 << bit;
    }
    return code;
}

/* Of a row of corners, which masks some of the pixels around have, and which all. */
struct row {
    uint8_t *some, *all; /* of pixels, one beside each end */
    const uint8_t *none; /* a row outside */
};

/* The pixels' row that lies before or behind the corners' row (z, y) along the first two axes. */
static const uint8_t *pixels_of(const struct msagen_surface *s, const struct row *row, size_t z, size_t y, int behind0,
                                int behind1)
{
    const size_t at[2] = {z, y};
    const int behind[2] = {behind0, behind1};
    size_t pixel = 0;
    for (int k = 0; k < 2; ++k) {
        const size_t place = at[k] + (size_t)behind[k];
        if (place < 1 || place > s->side[k])
            return row->none;
        pixel = pixel * s->side[k] + (place - 1);
    }
    return s->masks + pixel * s->side[2];
}

static void mark_row(struct msagen_surface *s, const struct row *row, size_t z, size_t y)
{
    const size_t width = s->side[2];
    uint8_t *const some = row->some + 1, *const all = row->all + 1, *const out = s->bits + (z * s->grid.side[1] + y)
        * s->grid.side[2];
    for (size_t x = 0; x < width; ++x) {
        some[x] = 0;
        all[x] = UINT8_MAX;
    }
    /* Of an axis that there is not, the one pixel is behind. */
    for (int behind0 = !(s->axes & 1); behind0 < 2; ++behind0)
        for (int behind1 = !(s->axes & 2); behind1 < 2; ++behind1) {
            const uint8_t *const pixels = pixels_of(s, row, z, y, behind0, behind1);
            for (size_t x = 0; x < width; ++x) {
                some[x] |= pixels[x];
                all[x] &= pixels[x];
            }
        }
    for (size_t x = 0; x <= width; ++x)
        out[x] = (uint8_t)((row->some[x] | row->some[x + 1]) & ~(row->all[x] & row->all[x + 1]));
}

int msagen_surface_begin(struct msagen_surface *s, const uint8_t *masks, const size_t *side, int axes,
                         const double *spacing)
{
    int corners = ALL;
    *s = (struct msagen_surface){.masks = masks, .axes = axes};
    for (int k = 0; k < 3; ++k) {
        s->side[k] = side[k];
        s->grid.side[k] = side[k] + (size_t)(axes >> k & 1);
        s->grid.spacing[k] = spacing[k];
        for (int bit = 0; bit < 8; ++bit)
            if (!(axes >> k & 1) && !((7 - bit) >> (2 - k) & 1))
                corners &= ~(1 << bit);
    }
    make_areas(s, corners, spacing);
    s->grid.bits = s->bits = malloc(s->grid.side[0] * s->grid.side[1] * s->grid.side[2]);
    uint8_t *const rows = calloc(3, side[2] + 2);
    if (s->bits && rows) {
        const struct row row = {rows, rows + side[2] + 2, rows + 2 * (side[2] + 2)};
        for (size_t z = 0; z < s->grid.side[0]; ++z)
            for (size_t y = 0; y < s->grid.side[1]; ++y)
                mark_row(s, &row, z, y);
    }
    free(rows);
    return s->bits && rows ? 0 : -1;
}

void msagen_surface_end(struct msagen_surface *s)
{
    free(s->bits);
}

size_t msagen_surface_count(const struct msagen_surface *s, uint8_t mask)
{
    size_t count = 0;
    const size_t all = s->grid.side[0] * s->grid.side[1] * s->grid.side[2];
    for (size_t i = 0; i < all; ++i)
        count += (s->bits[i] & mask) != 0;
    return count;
}

void msagen_surface_areas(const struct msagen_surface *s, uint8_t mask, double *out, size_t step)
{
    size_t i = 0, at[3];
    for (at[0] = 0; at[0] < s->grid.side[0]; ++at[0])
        for (at[1] = 0; at[1] < s->grid.side[1]; ++at[1])
            for (at[2] = 0; at[2] < s->grid.side[2]; ++at[2], ++i)
                if (s->bits[i] & mask) {
                    *out = s->area[code_at(s, at, mask)];
                    out += step;
                }
}
