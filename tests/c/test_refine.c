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
#include "../../runtime/runner/msa_run_clicks.c"
#include "../../runtime/runner/msa_run_map.c"
#include "../../runtime/runner/msa_run_model.c"
#include "../../runtime/runner/msa_run_npy.c"
#include "../../runtime/runner/msa_run_profile.c"
#include "../../runtime/runner/msa_run_propagate.c"
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

/* Number regions by spreading the smallest number until nothing changes: that of the first pixel, from 1. */
static void number_regions(const uint8_t *errors, int width, int height, int *region)
{
    for (int i = 0; i < width * height; ++i)
        region[i] = errors[i] ? i + 1 : 0;
    for (bool changed = true; changed;) {
        changed = false;
        for (int y = 0; y < height; ++y)
            for (int x = 0; x < width; ++x)
                for (int k = 0; k < 9 && region[y * width + x]; ++k) {
                    const int nx = x + k % 3 - 1, ny = y + k / 3 - 1;
                    if (same_region(errors, width, height, nx, ny, errors[y * width + x])
                        && region[ny * width + nx] < region[y * width + x]) {
                        region[y * width + x] = region[ny * width + nx];
                        changed = true;
                    }
                }
    }
}

/* The region that counts, or 0. */
static int largest_region(const uint8_t *errors, int pixels, const int *region, int *pixels_of)
{
    int sizes[MOST * MOST + 1] = {0}, best[3] = {0, 0, 0};
    for (int i = 0; i < pixels; ++i)
        ++sizes[region[i]];
    sizes[0] = 0;
    for (int r = 1; r <= pixels; ++r)
        if (sizes[r] > sizes[best[errors[r - 1]]])
            best[errors[r - 1]] = r;
    const int found = sizes[best[1]] >= sizes[best[2]] ? best[1] : best[2];
    *pixels_of = sizes[found];
    return found;
}

static void assert_deepest(const uint8_t *errors, int width, int height)
{
    static uint64_t work[MOST * MOST + 2 * MOST + 4];
    int region[MOST * MOST], in_region;
    number_regions(errors, width, height, region);
    const int largest = largest_region(errors, width * height, region, &in_region);
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
    msa_run_click click;
    memcpy(copy, errors, (size_t)(width * height));
    cr_assert_leq(msa_run_clicks_bytes((uint32_t)width, (uint32_t)height), sizeof work);
    const bool found = msa_run_next_click(copy, (uint32_t)width, (uint32_t)height, work, &click);
    cr_assert_eq(found, largest != 0);
    if (largest) {
        cr_assert(click.x == (uint32_t)best_x && click.y == (uint32_t)best_y, "(%u, %u), not (%d, %d)", click.x,
            click.y, best_x, best_y);
        cr_assert_eq(click.depth, (uint32_t)best);
        cr_assert_eq(click.pixels, (uint32_t)in_region);
        cr_assert_eq(click.inside, errors[best_y * width + best_x] == MSA_RUN_MISSED);
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

/* A picture of '.', of '-' missed and '+' in excess: where the click is. */
static msa_run_click click_in(const char *picture, uint32_t width, uint32_t height)
{
    static uint64_t work[64];
    uint8_t errors[64];
    msa_run_click click = {99, 99, false, 0, 0};
    for (uint32_t i = 0; i < width * height; ++i)
        errors[i] = picture[i] == '-' ? MSA_RUN_MISSED : picture[i] == '+' ? MSA_RUN_EXCESS : MSA_RUN_RIGHT;
    cr_assert_leq(msa_run_clicks_bytes(width, height), sizeof work);
    cr_assert(msa_run_next_click(errors, width, height, work, &click));
    return click;
}

Test(refine, regions_of_different_errors_do_not_join)
{
    /* Four missed beside six in excess. */
    const msa_run_click click = click_in("---++++"
                                         "-...+++"
                                         ".....+.",
        7, 3);
    cr_assert(click.x == 5 && click.y == 1 && !click.inside && click.pixels == 8, "(%u, %u)", click.x, click.y);
}

Test(refine, regions_join_over_corners)
{
    const msa_run_click click = click_in("++.-..."
                                         "....-.."
                                         ".....-.",
        7, 3);
    cr_assert(click.x == 3 && click.y == 0 && click.inside && click.pixels == 3, "(%u, %u)", click.x, click.y);
}

Test(refine, of_equal_regions_the_missed_comes_first_then_the_earlier)
{
    const msa_run_click click = click_in("++.--..--", 9, 1);
    cr_assert(click.x == 3 && click.inside, "%u", click.x);
}

Test(refine, the_first_click_at_random_is_spread_over_the_truth)
{
    uint32_t counts[10] = {0};
    cr_assert_eq(random_below(0, 0, 1), 0);
    for (uint64_t seed = 0; seed < 1000; ++seed)
        ++counts[random_below(seed, 0, 10)];
    for (uint32_t slice = 0; slice < 1000; ++slice)
        ++counts[random_below(7, slice, 10)];
    for (int i = 0; i < 10; ++i)
        cr_assert(counts[i] > 140 && counts[i] < 260, "%u of 2000 numbers are %d", counts[i], i);
}

/* The request's rest, and how long it is. */
static size_t request(unsigned char *rest, uint32_t flags, uint32_t clicks, uint64_t seed, const uint32_t *steps,
    uint32_t step_count, const char *paths, size_t path_bytes)
{
    const uint32_t head[6] = {flags, clicks, 0, 1, step_count, 0};
    const uint64_t numbers[2] = {seed, 3};
    memcpy(rest, head, sizeof head);
    memcpy(rest + 24, numbers, sizeof numbers);
    if (step_count > 0)
        memcpy(rest + 40, steps, step_count * sizeof *steps);
    memcpy(rest + 40 + step_count * sizeof *steps, paths, path_bytes);
    return 40 + step_count * sizeof *steps + path_bytes;
}

/* Ask the bench to refine; what it answers. */
static void answer_with(uint32_t flags, const uint8_t *pixels, const uint8_t *truth, uint32_t clicks, uint64_t seed,
    char *text, size_t bytes)
{
    char path[] = "/tmp/msagen-refine-XXXXXX";
    const int made = mkstemp(path);
    unsigned char rest[64 + sizeof path];
    cr_assert(made >= 0 && write(made, "abc", 3) == 3 && write(made, truth, 64 * 64) == 64 * 64);
    close(made);
    const size_t rest_bytes = request(rest, flags, clicks, seed, NULL, 0, path, sizeof path);
    msa_run.volume = pixels;
    msa_run.image = msa_rgb(pixels, 64, 64);
    msa_run.slices = 1;
    msa_run.kept = 1;
    msa_run.encoded = false;
    msa_run.prompts = 0;
    memset(text, 0, bytes);
    msa_run.response = fmemopen(text, bytes, "w");
    const int done = perform(REFINE, rest, rest_bytes);
    fflush(msa_run.response);
    cr_assert_eq(done, 0, "%s", text);
    fclose(msa_run.response);
    unlink(path);
}

static void answer(const uint8_t *pixels, const uint8_t *truth, uint32_t clicks, char *text, size_t bytes)
{
    answer_with(0, pixels, truth, clicks, 0, text, bytes);
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
    answer(pixels[0][0], truth[0], 3, text, sizeof text);
    unsigned long x, y, label, both, sum, found = 0;
    const char *line = text;
    for (int click = 0; click < 3; ++click, line = strchr(line, '\n') + 1) {
        cr_assert_eq(sscanf(line, "click 0 %lu %lu %lu %lu %lu\n", &x, &y, &label, &both, &sum), 5, "%s", line);
        cr_assert_eq(label, 1);
        cr_assert_eq(sum, 64 * 64 + both, "all that is found is inside");
        found = found ? found : both;
        cr_assert_eq(both, found, "logits grow, their signs stay");
        if (click == 0) {
            cr_assert(x == 31 && y == 31, "(%lu, %lu), not the middle", x, y);
        } else {
            const unsigned long width = 64 - found / 64;
            cr_assert(x == (width - 1) / 2 && y == (width - 1) / 2, "(%lu, %lu) of a column of %lu", x, y, width);
        }
    }
    cr_assert_str_eq(line, "kept 0 1\nprompt 0 masks 1\nbest 0 0.5\n");
    cr_assert_eq(msa_run.logits[0], -0.5f, "nothing was fed back");
}

Test(refine, logits_are_fed_back_on_demand, .init = open_fake, .fini = close_bench)
{
    msa_run.mask.masks = 3;
    msa_run.iou[0] = msa_run.iou[2] = 0.1f;
    msa_run.iou[1] = 0.9f;
    struct refinement r = {.flags = MULTIMASK};
    cr_assert_null(masks_before(&r, 2));
    r.flags = FEEDBACK;
    cr_assert_null(masks_before(&r, 1), "there is nothing before");
    cr_assert_eq(masks_before(&r, 2), msa_run.logits + SIDE * SIDE, "the mask of highest predicted IoU");

    /* Red is found: with each click's logits the next one's mask, what the fake layers answer grows, and is the same
     * mask. */
    static uint8_t pixels[64][64][3], truth[64][64];
    char text[1024];
    for (int y = 0; y < 64; ++y)
        for (int x = 0; x < 64; ++x)
            pixels[y][x][0] = x < 32 ? 0 : 200;
    memset(truth, 255, sizeof truth);
    answer_with(FEEDBACK, pixels[0][0], truth[0], 3, 7, text, sizeof text);
    cr_assert_not_null(strstr(text, "\nkept 0 1\n"), "the first of equals");
    cr_assert_eq(msa_run.logits[0], -0.5f);
}

/* Of results with Dice 0.5, 0.8, 0.8, 0.7 the second is kept, with its logits; with steps the latest. */
static void keep_of_four(bool stepwise, uint32_t kept)
{
    static const uint32_t both[4] = {1, 4, 8, 7}, sum[4] = {4, 10, 20, 20};
    struct refinement r = {.clicks = 4, .stepwise = stepwise, .pixels = 1};
    char text[256] = "", expected[64];
    msa_run.image.width = msa_run.image.height = 1;
    msa_run.mask.masks = 1;
    msa_run.kept = 1;
    cr_assert(make_room(&r));
    for (uint32_t k = 0; k < 4; ++k) {
        msa_run.logits[0] = msa_run.logits[SIDE * SIDE - 1] = (float)k;
        msa_run.iou[0] = (float)k;
        r.slices[0].count = k + 1;
        keep(&r, 0, both[k], sum[k]);
    }
    msa_run.response = fmemopen(text, sizeof text, "w");
    cr_assert_eq(end(&r), 0);
    fclose(msa_run.response);
    snprintf(expected, sizeof expected, "kept 0 %u\n", kept);
    cr_assert_eq(strncmp(text, expected, strlen(expected)), 0, "%s", text);
    const float number = (float)kept - 1.0f;
    cr_assert(msa_run.logits[0] == number && msa_run.logits[SIDE * SIDE - 1] == number && msa_run.iou[0] == number);
}

Test(refine, the_best_step_is_kept, .init = open_fake, .fini = close_bench)
{
    keep_of_four(false, 2);
}

Test(refine, with_steps_the_latest_is_kept, .init = open_fake, .fini = close_bench)
{
    keep_of_four(true, 4);
}

Test(refine, requests_that_do_not_fit_are_refused, .init = open_fake, .fini = close_bench)
{
    static const uint8_t pixels[3];
    const uint32_t steps[2] = {1, 2};
    unsigned char rest[256];
    char text[2048] = "";
    msa_run.volume = pixels;
    msa_run.image = msa_rgb(pixels, 1, 1);
    msa_run.slices = msa_run.kept = 1;
    msa_run.response = fmemopen(text, sizeof text, "w");
    cr_assert_eq(perform(REFINE, rest, 39), -1);
    cr_assert_eq(perform(REFINE, rest, request(rest, 0, 0, 0, steps, 0, "t", 2)), -1, "no click");
    cr_assert_eq(perform(REFINE, rest, request(rest, 0, 17, 0, steps, 0, "t", 2)), -1, "too many clicks");
    cr_assert_eq(perform(REFINE, rest, request(rest, 0, 1, 0, steps, 2, "t\0a\0\0\0b", 8)), -1, "too many steps");
    cr_assert_eq(perform(REFINE, rest, request(rest, 0, 2, 0, steps, 2, "t\0a\0\0b", 6)), -1, "a path is missing");
    cr_assert_eq(perform(REFINE, rest, request(rest, 0, 2, 0, steps, 2, "t", 0)), -1, "no path");
    cr_assert_eq(perform(REFINE, rest, request(rest, 0, 2, 0, steps, 2, "/absent\0a\0\0\0b", 14)), -1, "no truth");
    fclose(msa_run.response);
    int lines = 0;
    for (const char *c = text; *c; ++c)
        lines += *c == '\n';
    cr_assert_eq(lines, 7, "%s", text);
    cr_assert_not_null(strstr(text, "error /absent: cannot be read"), "%s", text);
}

Test(refine, it_ends_where_nothing_differs, .init = open_fake, .fini = close_bench)
{
    static uint8_t pixels[64][64][3], truth[64][64];
    char text[1024];
    memset(pixels, 200, sizeof pixels);
    memset(truth, 128, sizeof truth);
    answer(pixels[0][0], truth[0], 16, text, sizeof text);
    cr_assert_eq(strncmp(text, "click ", 6), 0);
    cr_assert_not_null(strstr(text, " 4096 8192\nkept 0 1\nprompt 0 masks 1\n"), "%s", text);
}

/* What is marked in excess gets a click outside. */
Test(refine, an_excess_gets_a_negative_click, .init = open_fake, .fini = close_bench)
{
    static uint8_t pixels[64][64][3], truth[64][64];
    char text[1024];
    memset(pixels, 200, sizeof pixels);
    truth[0][5] = 255;
    answer(pixels[0][0], truth[0], 2, text, sizeof text);
    cr_assert_str_eq(text, "click 0 5 0 1 1 4097\nclick 0 31 31 0 1 4097\nkept 0 1\nprompt 0 masks 1\nbest 0 0.5\n");
}
