/* SPDX-License-Identifier: 0BSD */
/* msa_run_clicks.c - where a user would click on what is wrong with a mask. */
#include "msa_run_clicks.h"

/* Added to what is wrong with a pixel. */
enum { VISITED = 4, LARGEST = 8 };

/* Room in `work`: for a row and a pixel beside each of its ends, or for the image. */
typedef struct room {
    int64_t *starts;
    uint32_t *owners, *down;
    uint32_t *pixels;
} room;

size_t msa_run_clicks_bytes(uint32_t width, uint32_t height)
{
    return (sizeof(int64_t) + 2u * sizeof(uint32_t)) * (width + 2u) + sizeof(uint32_t) * width * (size_t)height;
}

uint32_t msa_run_flood(uint8_t *errors, uint32_t width, uint32_t height, uint32_t from, uint8_t mark, uint32_t *queue)
{
    const uint8_t before = errors[from];
    uint32_t count = 1;
    errors[from] |= mark;
    queue[0] = from;
    for (uint32_t at = 0; at < count; ++at) {
        const uint32_t x = queue[at] % width, y = queue[at] / width;
        const uint32_t left = x > 0 ? x - 1u : 0u, right = x + 1u < width ? x + 1u : x;
        const uint32_t bottom = y + 1u < height ? y + 1u : y;
        for (uint32_t v = y > 0 ? y - 1u : 0u; v <= bottom; ++v) {
            for (uint32_t i = v * width + left; i <= v * width + right; ++i) {
                if (errors[i] == before) {
                    errors[i] |= mark;
                    queue[count++] = i;
                }
            }
        }
    }
    return count;
}

/* Mark the region that counts. Returns its number of pixels; first: the first of them. */
static uint32_t mark_largest(uint8_t *errors, uint32_t width, uint32_t height, uint32_t *queue, uint32_t *first)
{
    uint32_t most[3] = {0, 0, 0}, at[3] = {0, 0, 0};
    for (uint32_t i = 0; i < width * height; ++i) {
        const uint8_t what = errors[i];
        if (what == MSA_RUN_MISSED || what == MSA_RUN_EXCESS) {
            const uint32_t count = msa_run_flood(errors, width, height, i, VISITED, queue);
            if (count > most[what]) {
                most[what] = count;
                at[what] = i;
            }
        }
    }
    const uint8_t what = most[MSA_RUN_MISSED] >= most[MSA_RUN_EXCESS] ? MSA_RUN_MISSED : MSA_RUN_EXCESS;
    *first = at[what];
    return most[what] > 0 ? msa_run_flood(errors, width, height, *first, LARGEST, queue) : 0;
}

/* The lower envelope of the parabolas (x - i)^2 + down[i]^2, i from 0 to count - 1, gives the squared distances of a
 * row (Meijster, Roerdink, Hesselink 2000). Returns the first x of the largest. */
static uint32_t deepest_of_row(uint32_t count, const room *m, int64_t *depth)
{
    const uint32_t *const down = m->down;
    uint32_t top = 0;
    m->starts[0] = 0;
    m->owners[0] = 0;
    for (uint32_t u = 1; u < count; ++u) {
        const int64_t height = (int64_t)u * u + (int64_t)down[u] * down[u];
        for (;;) {
            const uint32_t i = m->owners[top];
            /* From which x on u is nearer than i. */
            const int64_t gain = height - (int64_t)i * i - (int64_t)down[i] * down[i];
            const int64_t from = gain < 0 ? 0 : gain / (2 * ((int64_t)u - i)) + 1;
            if (from <= m->starts[top] && top > 0) {
                --top;
                continue;
            }
            if (from <= m->starts[top]) {
                m->owners[top] = u;
            } else if (from < count) {
                ++top;
                m->starts[top] = from;
                m->owners[top] = u;
            }
            break;
        }
    }
    uint32_t best = 0, parabola = 0;
    *depth = -1;
    for (uint32_t x = 0; x < count; ++x) {
        while (parabola < top && m->starts[parabola + 1u] <= x) {
            ++parabola;
        }
        const int64_t across = (int64_t)x - m->owners[parabola], along = down[m->owners[parabola]];
        if (across * across + along * along > *depth) {
            *depth = across * across + along * along;
            best = x;
        }
    }
    return best;
}

/* The pixel of the marked region that is farthest from its outside. */
static void find_deepest(const uint8_t *errors, uint32_t width, uint32_t height, const room *m, msa_run_click *click)
{
    /* Distances within the columns, then across them. */
    const size_t pixels = (size_t)width * height;
    uint32_t *const column = m->pixels;
    for (size_t i = 0; i < pixels; ++i) {
        column[i] = (errors[i] & LARGEST) == 0 ? 0u : i < width ? 1u : column[i - width] + 1u;
    }
    for (size_t i = pixels; i-- > 0;) {
        const uint32_t below = i + width < pixels ? column[i + width] + 1u : 1u;
        column[i] = column[i] < below ? column[i] : below;
    }
    click->depth = 0;
    m->down[0] = m->down[width + 1u] = 0;
    for (uint32_t y = 0; y < height; ++y) {
        uint32_t any = 0;
        for (uint32_t x = 0; x < width; ++x) {
            m->down[x + 1u] = column[(size_t)y * width + x];
            any |= m->down[x + 1u];
        }
        int64_t depth = 0;
        const uint32_t at = any != 0 ? deepest_of_row(width + 2u, m, &depth) : 0u;
        if (depth > click->depth) {
            click->depth = (uint32_t)depth;
            click->x = at - 1u;
            click->y = y;
        }
    }
}

bool msa_run_next_click(uint8_t *errors, uint32_t width, uint32_t height, void *work, msa_run_click *click)
{
    int64_t *const starts = work;
    uint32_t *const owners = (uint32_t *)(void *)(starts + width + 2u);
    const room m = {starts, owners, owners + width + 2u, owners + 2u * ((size_t)width + 2u)};
    uint32_t first;
    click->pixels = mark_largest(errors, width, height, m.pixels, &first);
    if (click->pixels == 0) {
        return false;
    }
    click->inside = (errors[first] & MSA_RUN_MISSED) != 0;
    find_deepest(errors, width, height, &m, click);
    return true;
}
