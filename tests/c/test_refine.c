/* SPDX-License-Identifier: Apache-2.0 */
/* The test bench's clicks: the deepest point of the largest error against brute force, and a refinement around the fake
 * layers. */
#define _POSIX_C_SOURCE 200809L
#include "fake/msa_internal.h"

#include "model_plain.inc"

#include "../../runtime/msa_image.c"
#include "../../runtime/msa_upsample.c"
#include "../../runtime/msa_resize.c"
#include "../../runtime/msa_prompt.c"
#include "../../runtime/msa_check.c"
#include "../../runtime/msa_crc32c.c"
#include "../../runtime/msa_status.c"
#include "fake/layers.h"

#define main bench_main
#include "../../runtime/runner/msa_run.c"
#include "../../runtime/runner/msa_run_alone.c"
#include "../../runtime/runner/msa_run_bench.c"
#include "../../runtime/runner/msa_run_map.c"
#include "../../runtime/runner/msa_run_model.c"
#include "../../runtime/runner/msa_run_npy.c"
#include "../../runtime/runner/msa_run_profile.c"
#include "../../runtime/runner/msa_run_refine.c"
#include "../../runtime/runner/msa_run_weights.c"
#undef main

#include <criterion/criterion.h>

/* Stand for msa_run_peak.c, which is for a board's instructions. */
double msa_run_fma_gmacs(void) { return 1.0; }
double msa_run_read_gbytes(const void *memory, size_t bytes) { return memory != NULL ? (double)bytes : 0.0; }

enum { MOST = 24 };

static uint32_t noise = 1;

static uint32_t noise_below(uint32_t count)
{
    noise = noise * 1664525u + 1013904223u;
    return (noise >> 8) % count;
}

static bool same_region(const uint8_t *a, int width, int height, int x, int y, uint8_t what)
{
    return x >= 0 && y >= 0 && x < width && y < height && a[y * width + x] == what;
}

/* Number regions by spreading the smallest number until nothing changes. */
static void number_regions(const uint8_t *errors, int width, int height, int *region)
{
    for (int i = 0; i < width * height; ++i)
        region[i] = errors[i] ? i + 1 : 0;
    for (bool changed = true; changed;) {
        changed = false;
        for (int y = 0; y < height; ++y)
            for (int x = 0; x < width; ++x)
                for (int k = 0; k < 4 && region[y * width + x]; ++k) {
                    const int nx = x + (k == 0) - (k == 1), ny = y + (k == 2) - (k == 3);
                    if (same_region(errors, width, height, nx, ny, errors[y * width + x])
                        && region[ny * width + nx] < region[y * width + x]) {
                        region[y * width + x] = region[ny * width + nx];
                        changed = true;
                    }
                }
    }
}

static void assert_deepest(const uint8_t *errors, int width, int height)
{
    int region[MOST * MOST], sizes[MOST * MOST + 1] = {0}, largest = 0;
    number_regions(errors, width, height, region);
    for (int i = 0; i < width * height; ++i)
        ++sizes[region[i]];
    for (int r = 1; r <= width * height; ++r)
        if (sizes[r] > (largest ? sizes[largest] : 0))
            largest = r;
    int best = 0, best_x = 0, best_y = 0;
    for (int y = 0; y < height && largest; ++y)
        for (int x = 0; x < width; ++x) {
            int nearest = 1 << 30;
            for (int v = -1; v <= height; ++v)
                for (int u = -1; u <= width; ++u) {
                    const bool inside = u >= 0 && v >= 0 && u < width && v < height && region[v * width + u] == largest;
                    const int distance = (u - x) * (u - x) + (v - y) * (v - y);
                    if (!inside && distance < nearest)
                        nearest = distance;
                }
            if (nearest > best) {
                best = nearest;
                best_x = x;
                best_y = y;
            }
        }
    uint8_t copy[MOST * MOST];
    uint32_t x = 99, y = 99;
    enum error what = NONE;
    memcpy(copy, errors, (size_t)(width * height));
    const int found = deepest_error(copy, (uint32_t)width, (uint32_t)height, &x, &y, &what);
    cr_assert_eq(found, largest != 0);
    if (largest) {
        cr_assert(x == (uint32_t)best_x && y == (uint32_t)best_y, "(%u, %u), not (%d, %d)", x, y, best_x, best_y);
        cr_assert_eq(what, (enum error)errors[best_y * width + best_x]);
    }
}

Test(refine, the_deepest_point_is_that_of_brute_force)
{
    uint8_t errors[MOST * MOST];
    for (int round = 0; round < 400; ++round) {
        const int width = 1 + (int)noise_below(MOST), height = 1 + (int)noise_below(MOST);
        memset(errors, 0, sizeof errors);
        /* Rectangles on top of each other, and specks. */
        for (uint32_t k = noise_below(6); k > 0; --k) {
            const int left = (int)noise_below((uint32_t)width), top = (int)noise_below((uint32_t)height);
            const int right = left + (int)noise_below((uint32_t)(width - left) + 1),
                bottom = top + (int)noise_below((uint32_t)(height - top) + 1);
            const uint8_t what = (uint8_t)noise_below(3);
            for (int y = top; y < bottom; ++y)
                memset(errors + y * width + left, what, (size_t)(right - left));
        }
        for (uint32_t k = noise_below(30); k > 0; --k)
            errors[noise_below((uint32_t)(width * height))] = (uint8_t)noise_below(3);
        assert_deepest(errors, width, height);
    }
}

Test(refine, regions_of_different_errors_do_not_join)
{
    /* Three missed beside four in excess: the four are the region, their second is the deepest. */
    const uint8_t row[3][7] = {{1, 1, 1, 2, 2, 2, 2}, {1, 0, 0, 0, 2, 2, 2}, {0, 0, 0, 0, 2, 2, 2}};
    uint8_t copy[3][7];
    uint32_t x, y;
    enum error what;
    memcpy(copy, row, sizeof row);
    cr_assert_eq(deepest_error(copy[0], 7, 3, &x, &y, &what), 1);
    cr_assert(x == 5 && y == 1 && what == EXCESS, "(%u, %u)", x, y);
}

Test(refine, the_first_click_is_spread_over_the_truth)
{
    uint32_t counts[10] = {0};
    cr_assert_eq(random_below(0, 1), 0);
    for (uint64_t seed = 0; seed < 1000; ++seed)
        ++counts[random_below(seed, 10)];
    for (int i = 0; i < 10; ++i)
        cr_assert(counts[i] > 60 && counts[i] < 140, "%u of 1000 seeds give %d", counts[i], i);
}

/* Ask the bench to refine; what it answers. */
static void answer_with(uint32_t flags, const uint8_t *pixels, const uint8_t *truth, uint32_t clicks, uint64_t seed,
    char *text, size_t bytes)
{
    char path[] = "/tmp/msagen-refine-XXXXXX";
    const int made = mkstemp(path);
    unsigned char rest[28 + sizeof path];
    const uint32_t head[3] = {flags, clicks, 0};
    const uint64_t numbers[2] = {seed, 3};
    cr_assert(made >= 0 && write(made, "abc", 3) == 3 && write(made, truth, 64 * 64) == 64 * 64);
    close(made);
    msa_run.volume = pixels;
    msa_run.image = (msa_image){pixels, 64, 64, 192, 0};
    msa_run.slices = 1;
    msa_run.kept = 1;
    msa_run.encoded = false;
    msa_run.prompts = 0;
    memcpy(rest, head, sizeof head);
    memcpy(rest + 12, numbers, sizeof numbers);
    memcpy(rest + 28, path, sizeof path);
    memset(text, 0, bytes);
    msa_run.response = fmemopen(text, bytes, "w");
    const int done = perform(REFINE, rest, sizeof rest);
    fflush(msa_run.response);
    cr_assert_eq(done, 0, "%s", text);
    fclose(msa_run.response);
    unlink(path);
}

static void answer(const uint8_t *pixels, const uint8_t *truth, uint32_t clicks, uint64_t seed, char *text,
    size_t bytes)
{
    answer_with(0, pixels, truth, clicks, seed, text, bytes);
}

static void open_fake(void)
{
    void *const arena = msa_run_allocate(MSA_MODEL_ARENA_BYTES);
    float *const rows = msa_run_allocate(4096);
    memset(rows, 0, 4096);
    msa_run.logits = msa_run_allocate(sizeof(float) * MSA_MODEL_MASKS * SIDE * SIDE);
    msa_run.iou = msa_run_allocate(sizeof(float) * MSA_MODEL_MASKS);
    msa_run.mask = (msa_mask){msa_run.logits, msa_run.iou, 0};
    msa_run.session.build = build_name();
    msa_run.session.cores = MSA_MODEL_CORES;
    msa_run.session.arena = arena;
    msa_run.session.weights = (const unsigned char *)rows;
    settle(&msa_run.session, OPENED);
}

static void close_bench(void)
{
    msa_run_release(NULL);
}

Test(refine, clicks_follow_the_errors, .init = open_fake, .fini = close_bench)
{
    /* The right half red: found. Truth: all of the image. What is left of it is the left half, deepest at its middle.
     * */
    static uint8_t pixels[64][64][3], truth[64][64];
    char text[1024];
    for (int y = 0; y < 64; ++y)
        for (int x = 0; x < 64; ++x)
            pixels[y][x][0] = x < 32 ? 0 : 200;
    memset(truth, 255, sizeof truth);
    answer(pixels[0][0], truth[0], 3, 7, text, sizeof text);
    unsigned long x, y, label, both, sum, found = 0;
    const char *line = text;
    for (int click = 0; click < 3; ++click, line = strchr(line, '\n') + 1) {
        cr_assert_eq(sscanf(line, "click %lu %lu %lu %lu %lu\n", &x, &y, &label, &both, &sum), 5, "%s", line);
        cr_assert_eq(label, 1);
        cr_assert_eq(sum, 64 * 64 + both, "all that is found is inside");
        found = found ? found : both;
        cr_assert_eq(both, found, "logits grow, their signs stay");
        if (click > 0) {
            const unsigned long width = 64 - found / 64;
            cr_assert(x == (width - 1) / 2 && y == (width - 1) / 2, "(%lu, %lu) of a column of %lu", x, y, width);
        }
    }
    cr_assert_str_eq(line, "kept 1\nprompt 0 masks 1\nbest 0 0.5\n");
    cr_assert_eq(msa_run.logits[0], -0.5f, "nothing was fed back");
}

Test(refine, logits_are_fed_back_on_demand, .init = open_fake, .fini = close_bench)
{
    msa_run.mask.masks = 3;
    msa_run.iou[0] = msa_run.iou[2] = 0.1f;
    msa_run.iou[1] = 0.9f;
    cr_assert_null(mask_before(MULTIMASK, 2));
    cr_assert_null(mask_before(FEEDBACK, 1), "there is nothing before");
    cr_assert_eq(mask_before(FEEDBACK, 2), msa_run.logits + SIDE * SIDE, "the mask of highest predicted IoU");

    /* Red is found: with each click's logits the next one's mask, what the fake layers answer grows, and is the same
     * mask. */
    static uint8_t pixels[64][64][3], truth[64][64];
    char text[1024];
    for (int y = 0; y < 64; ++y)
        for (int x = 0; x < 64; ++x)
            pixels[y][x][0] = x < 32 ? 0 : 200;
    memset(truth, 255, sizeof truth);
    answer_with(FEEDBACK, pixels[0][0], truth[0], 3, 7, text, sizeof text);
    cr_assert_not_null(strstr(text, "\nkept 1\n"), "the first of equals");
    cr_assert_eq(msa_run.logits[0], -0.5f);
}

/* Of steps with Dice 0.5, 0.8, 0.8, 0.7 the second is kept, with its logits. */
Test(refine, the_best_step_is_kept, .init = open_fake, .fini = close_bench)
{
    static const uint32_t both[4] = {1, 4, 8, 7}, sum[4] = {4, 10, 20, 20};
    struct step best;
    char text[256] = "";
    cr_assert(make_step(&best));
    msa_run.mask.masks = 1;
    for (uint32_t k = 0; k < 4; ++k) {
        msa_run.logits[0] = msa_run.logits[SIDE * SIDE - 1] = (float)k;
        msa_run.iou[0] = (float)k;
        keep_if_best(&best, k + 1, both[k], sum[k]);
    }
    msa_run.response = fmemopen(text, sizeof text, "w");
    cr_assert_eq(end_with(&best), 0);
    fclose(msa_run.response);
    cr_assert_eq(strncmp(text, "kept 2\n", 7), 0, "%s", text);
    cr_assert(msa_run.logits[0] == 1.0f && msa_run.logits[SIDE * SIDE - 1] == 1.0f && msa_run.iou[0] == 1.0f);
}

Test(refine, it_ends_where_nothing_differs, .init = open_fake, .fini = close_bench)
{
    static uint8_t pixels[64][64][3], truth[64][64];
    char text[1024];
    memset(pixels, 200, sizeof pixels);
    memset(truth, 128, sizeof truth);
    answer(pixels[0][0], truth[0], 16, 0, text, sizeof text);
    cr_assert_eq(strncmp(text, "click ", 6), 0);
    cr_assert_not_null(strstr(text, " 4096 8192\nkept 1\nprompt 0 masks 1\n"), "%s", text);
}

/* What is marked in excess gets a click outside. */
Test(refine, an_excess_gets_a_negative_click, .init = open_fake, .fini = close_bench)
{
    static uint8_t pixels[64][64][3], truth[64][64];
    char text[1024];
    memset(pixels, 200, sizeof pixels);
    truth[0][5] = 255;
    answer(pixels[0][0], truth[0], 2, 0, text, sizeof text);
    cr_assert_str_eq(text, "click 5 0 1 1 4097\nclick 31 31 0 1 4097\nkept 1\nprompt 0 masks 1\nbest 0 0.5\n");
}
