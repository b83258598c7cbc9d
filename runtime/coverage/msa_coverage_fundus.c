/* SPDX-License-Identifier: 0BSD */
/* msa_coverage_fundus.c - of msa_coverage.c: pictures of the eye's ground that a build's own sizes do not have. */
#include "msa_coverage.h"

#ifdef MSA_FUNDUS_H
enum { SIDE = 120, CORNER = 30, TILES = 2, LEVELS = 256 };

/* What is bright: nothing, a disc, two pixels (of no column enough), a frame; a square, of whose first or last row or
 * column only the begin or the end is. */
enum { BLACK, DISC, DOTS, FRAME, SQUARE, SIDES };

static bool lit(uint32_t kind, int32_t x, int32_t y)
{
    const int32_t dx = 2 * x + 1 - SIDE, dy = 2 * y + 1 - SIDE;
    const bool at_end = x == 0 || y == 0 || x == SIDE - 1 || y == SIDE - 1;
    if (kind < SQUARE) {
        return kind == DISC ? dx * dx + dy * dy < SIDE * SIDE : kind == DOTS ? y == 7 && x < 2
            : kind == FRAME && at_end;
    }
    const uint32_t side = (kind - SIDES) / 2u;
    const int32_t across = side == 0u ? y : side == 1u ? SIDE - 1 - y : side == 2u ? x : SIDE - 1 - x;
    const int32_t along = side < 2u ? x : y;
    return kind == SQUARE || across > 0 || (kind % 2u == 0u ? along < CORNER : along >= SIDE - CORNER);
}

static void fields(void)
{
    static uint8_t pixels[3 * SIDE * SIDE];
    static uint32_t work[4 * SIDE];
    for (uint32_t kind = 0; kind < SIDES + 8u; ++kind) {
        msa_box box = {0, 0, 0, 0};
        for (int32_t i = 0; i < 3 * SIDE * SIDE; ++i) {
            pixels[i] = lit(kind, i / 3 % SIDE, i / 3 / SIDE) ? 200 : 0;
        }
        COVER(msa_field_of_view(pixels, SIDE, SIDE, 100, work, &box), kind == DISC || kind == SQUARE ? MSA_OK
              : MSA_E_FIELD);
    }
}

/* Cut out, and in a square of either longer side: each pixel to its place, black about it. */
static void cuts(void)
{
    enum { W = 6, H = 5 };
    static const msa_box boxes[2] = {{1, 1, 6, 4}, {2, 0, 4, 5}};
    for (uint32_t i = 0; i < 4u; ++i) {
        const msa_box box = boxes[i / 2u];
        const bool square = i % 2u != 0u;
        uint8_t pixels[W * W];
        msa_picture shown;
        for (uint32_t k = 0; k < sizeof pixels; ++k) {
            pixels[k] = (uint8_t)(k + 1u);
        }
        msa_cut(pixels, W, 1, &box, square, &shown);
        COVER(shown.width == shown.height, square);
        for (uint32_t k = 0; k < shown.width * shown.height; ++k) {
            const int32_t x = (int32_t)(k % shown.width) + shown.x, y = (int32_t)(k / shown.width) + shown.y;
            const bool within = x >= (int32_t)box.x0 && x < (int32_t)box.x1 && y >= (int32_t)box.y0
                && y < (int32_t)box.y1;
            COVER(pixels[k], within ? y * W + x + 1 : 0);
        }
    }
}

/* Flat pictures at each limit: what a level has too much is spread without a rest, with one, and with more; sides of
 * one, and those that no tile divides. A flat picture stays flat. */
static void equalised(void)
{
    static const uint32_t sides[3][2] = {{64, 64}, {1, 1}, {35, 33}}, limits[4] = {512, 1024, 1023, 1};
    static uint8_t pixels[64 * 64], out[64 * 64], tables[TILES * TILES * LEVELS];
    (void)memset(pixels, 77, sizeof pixels);
    for (uint32_t i = 0; i < 12u; ++i) {
        const uint32_t width = sides[i % 3u][0], height = sides[i % 3u][1];
        msa_clahe_tables(pixels, width, height, 1, TILES, limits[i / 3u], tables);
        msa_clahe_apply(pixels, width, height, 1, TILES, tables, out, 1);
        for (uint32_t k = 0; k < width * height; ++k) {
            COVER(out[k], out[0]);
        }
    }
}

void cover_fundus(void)
{
    fields();
    cuts();
    equalised();
    COVER(msa_fundus_as_written(1.0f + 0x1p-12f, 16777216.0f, -0.0f), true);
    COVER(msa_fundus_as_written(1.5f, 16777216.0f, -0.0f), false);
    COVER(msa_fundus_as_written(1.0f + 0x1p-12f, 1.0f, -0.0f), false);
    COVER(msa_fundus_as_written(1.0f + 0x1p-12f, 16777216.0f, 1.0f), false);
}
#endif
