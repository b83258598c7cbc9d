/* SPDX-License-Identifier: 0BSD */
/* msa_run_refine.c - the test bench's clicks where mask and truth differ. */
#include "msa_run.h"

#include <string.h>

/* What is wrong with a pixel; VISITED and LARGEST are added in the search. */
enum error { NONE = 0, MISSED = 1, EXCESS = 2, VISITED = 4, LARGEST = 8 };

/* Mark the pixels of one error that hang together with pixel `from` over their sides. queue: room for all. Returns
 * their number. */
static size_t flood(uint8_t *errors, uint32_t width, uint32_t height, uint32_t from, uint8_t from_marks, uint8_t mark,
    uint32_t *queue)
{
    size_t count = 1;
    errors[from] |= mark;
    queue[0] = from;
    for (size_t at = 0; at < count; ++at) {
        const uint32_t i = queue[at];
        const uint32_t x = i % width, y = i / width;
        const uint32_t beside[4] = {y > 0 ? i - width : i, x > 0 ? i - 1 : i, x + 1 < width ? i + 1 : i,
            y + 1 < height ? i + width : i};
        for (int k = 0; k < 4; ++k) {
            if (errors[beside[k]] == from_marks) {
                errors[beside[k]] |= mark;
                queue[count++] = beside[k];
            }
        }
    }
    return count;
}

static bool mark_largest(uint8_t *errors, uint32_t width, uint32_t height, uint32_t *queue)
{
    const uint32_t pixels = width * height;
    size_t most = 0;
    uint32_t largest = 0;
    for (uint32_t i = 0; i < pixels; ++i) {
        if (errors[i] == MISSED || errors[i] == EXCESS) {
            const size_t count = flood(errors, width, height, i, errors[i], VISITED, queue);
            if (count > most) {
                most = count;
                largest = i;
            }
        }
    }
    if (most > 0) {
        flood(errors, width, height, largest, errors[largest], LARGEST, queue);
    }
    return most > 0;
}

/* The lower envelope of the parabolas (x - i)^2 + down[i]^2, i from 0 to count - 1, gives the squared distances of a
 * row (Meijster, Roerdink, Hesselink 2000). starts, owners: room for `count`. Returns the first x of the largest. */
static uint32_t deepest_of_row(const uint32_t *down, uint32_t count, int64_t *starts, uint32_t *owners, int64_t *depth)
{
    size_t top = 0;
    starts[0] = 0;
    owners[0] = 0;
    for (uint32_t u = 1; u < count; ++u) {
        const int64_t height = (int64_t)u * u + (int64_t)down[u] * down[u];
        for (;;) {
            const uint32_t i = owners[top];
            /* From which x on u is nearer than i. */
            const int64_t gain = height - (int64_t)i * i - (int64_t)down[i] * down[i];
            const int64_t from = gain < 0 ? 0 : gain / (2 * ((int64_t)u - i)) + 1;
            if (from <= starts[top] && top > 0) {
                --top;
                continue;
            }
            if (from <= starts[top]) {
                owners[top] = u;
            } else if (from < count) {
                ++top;
                starts[top] = from;
                owners[top] = u;
            }
            break;
        }
    }
    uint32_t best = 0;
    *depth = -1;
    size_t parabola = 0;
    for (uint32_t x = 0; x < count; ++x) {
        while (parabola < top && starts[parabola + 1] <= x) {
            ++parabola;
        }
        const int64_t across = (int64_t)x - owners[parabola], along = down[owners[parabola]];
        if (across * across + along * along > *depth) {
            *depth = across * across + along * along;
            best = x;
        }
    }
    return best;
}

/* The pixel of the largest error region that is farthest from everything outside of it, the image's surroundings
 * included; the first of several. errors [height][width] of MISSED, EXCESS or NONE is used up. 1, 0 if nothing is
 * wrong, -1 out of memory. */
static int deepest_error(uint8_t *errors, uint32_t width, uint32_t height, uint32_t *x, uint32_t *y, enum error *what)
{
    const size_t pixels = (size_t)width * height;
    struct msa_run_block *const before = msa_run.blocks;
    uint32_t *const queue = msa_run_allocate(sizeof *queue * pixels);
    uint32_t *const down = msa_run_allocate(sizeof *down * (width + 2u));
    int64_t *const starts = msa_run_allocate(sizeof *starts * (width + 2u));
    uint32_t *const owners = msa_run_allocate(sizeof *owners * (width + 2u));
    int found = -1;
    if (queue != NULL && down != NULL && starts != NULL && owners != NULL) {
        found = mark_largest(errors, width, height, queue) ? 1 : 0;
    }
    if (found == 1) {
        /* Distances within the columns, then across them; a column of surroundings on both sides. */
        uint32_t *const column = queue;
        for (size_t i = 0; i < pixels; ++i) {
            column[i] = (errors[i] & LARGEST) == 0 ? 0u : i < width ? 1u : column[i - width] + 1u;
        }
        for (size_t i = pixels; i-- > 0;) {
            const uint32_t below = i + width < pixels ? column[i + width] + 1u : 1u;
            column[i] = column[i] < below ? column[i] : below;
        }
        int64_t most = 0;
        down[0] = down[width + 1u] = 0;
        for (uint32_t row = 0; row < height; ++row) {
            int64_t depth;
            memcpy(down + 1, column + (size_t)row * width, width * sizeof *down);
            const uint32_t at = deepest_of_row(down, width + 2u, starts, owners, &depth);
            if (depth > most) {
                most = depth;
                *x = at - 1u;
                *y = row;
            }
        }
        *what = (errors[(size_t)*y * width + *x] & MISSED) != 0 ? MISSED : EXCESS;
    }
    msa_run_release(before);
    return found;
}

/* A number below `count` that the seed decides. */
static uint32_t random_below(uint64_t seed, uint32_t count)
{
    uint64_t z = seed + 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)(((z ^ z >> 31) >> 32) * count >> 32);
}

/* What is wrong with the latest best mask; -1 out of memory. both, sum: as in the response. */
static int compare(const uint8_t *truth, uint8_t *errors, uint32_t *both, uint32_t *sum)
{
    struct msa_run_block *const before = msa_run.blocks;
    float *const rows = msa_run_allocate(sizeof(float) * ENLARGER_FLOATS);
    float *const row = msa_run_allocate(sizeof(float) * msa_run.image.width);
    if (rows == NULL || row == NULL) {
        return -1;
    }
    msa_upsampler enlarge;
    msa_run_enlarge(&enlarge, 0, msa_run_best_mask(0), rows);
    *both = *sum = 0;
    for (uint32_t y = 0; y < msa_run.image.height; ++y) {
        msa_upsample_row(&enlarge, y, row);
        for (uint32_t x = 0; x < msa_run.image.width; ++x) {
            const bool is = truth[(size_t)y * msa_run.image.width + x] > 127u, found = IN_MASK(row[x]);
            errors[(size_t)y * msa_run.image.width + x] = is == found ? NONE : is ? MISSED : EXCESS;
            *both += is && found;
            *sum += (uint32_t)is + (uint32_t)found;
        }
    }
    msa_run_release(before);
    return 0;
}

/* A step of the refinement, and the best one so far: its click's number from 1, its agreement, its result. */
struct step {
    uint32_t count, both, sum;
    float *logits, *iou;
};

static bool make_step(struct step *best)
{
    best->count = 0;
    best->logits = msa_run_allocate(sizeof(float) * msa_run_model.masks * SIDE * SIDE);
    best->iou = msa_run_allocate(sizeof(float) * msa_run_model.masks);
    return best->logits != NULL && best->iou != NULL;
}

/* Where Dice, both / sum, is larger than that of all steps before, the latest result is kept. */
static void keep_if_best(struct step *best, uint32_t count, uint32_t both, uint32_t sum)
{
    if (best->count > 0 && (uint64_t)both * best->sum <= (uint64_t)best->both * sum) {
        return;
    }
    best->count = count;
    best->both = both;
    best->sum = sum;
    memcpy(best->logits, msa_run.logits, sizeof(float) * msa_run.mask.masks * SIDE * SIDE);
    memcpy(best->iou, msa_run.iou, sizeof(float) * msa_run.mask.masks);
}

/* The best result becomes the latest one. */
static int end_with(const struct step *best)
{
    memcpy(msa_run.logits, best->logits, sizeof(float) * msa_run.mask.masks * SIDE * SIDE);
    memcpy(msa_run.iou, best->iou, sizeof(float) * msa_run.mask.masks);
    fprintf(msa_run.response, "kept %lu\n", (unsigned long)best->count);
    return msa_run_report_prompt();
}

/* A pixel inside the truth that the seed decides; -1 where none is. */
static int32_t first_click(const uint8_t *truth, uint32_t pixels, uint64_t seed)
{
    uint32_t inside = 0, at = 0;
    for (uint32_t i = 0; i < pixels; ++i) {
        inside += truth[i] > 127u;
    }
    if (inside == 0) {
        return -1;
    }
    for (uint32_t rank = random_below(seed, inside); rank > 0 || truth[at] <= 127u; ++at) {
        rank -= truth[at] > 127u;
    }
    return (int32_t)at;
}

/* The mask prompt of a click: the logits before it where they are fed back, or none. */
static const float *mask_before(uint32_t flags, uint32_t click)
{
    return (flags & FEEDBACK) != 0 && click > 1 ? msa_run_logits_of(0, msa_run_best_mask(0)) : NULL;
}

/* Click after click, `flags` and `text` as in the request. truth: of the image's size; errors: room for as much. */
static int click(const uint8_t *truth, uint8_t *errors, uint32_t first, uint32_t clicks, uint32_t flags, uint32_t text)
{
    const uint32_t width = msa_run.image.width, height = msa_run.image.height;
    float (*const points)[2] = msa_run_allocate(clicks * sizeof *points);
    int8_t *const labels = msa_run_allocate(clicks);
    struct step best;
    if (points == NULL || labels == NULL || !make_step(&best)) {
        return -1;
    }
    points[0][0] = (float)(first % width);
    points[0][1] = (float)(first / width);
    labels[0] = 1;
    for (uint32_t count = 1;; ++count) {
        const msa_prompt prompt = {
            (const float (*)[2])points, labels, count, NULL, mask_before(flags, count), (flags & MULTIMASK) != 0, 1,
            (flags & WITH_TEXT) != 0, text,
        };
        const msa_status status = msa_run_model.segment(&msa_run.session, &prompt, &msa_run.mask);
        if (status != MSA_OK) {
            return msa_run_fail("click %lu: %s", (unsigned long)count, msa_status_text(status));
        }
        uint32_t both, sum, x = 0, y = 0;
        enum error what = NONE;
        if (compare(truth, errors, &both, &sum) != 0) {
            return -1;
        }
        fprintf(msa_run.response, "click %lu %lu %d %lu %lu\n", (unsigned long)points[count - 1][0],
                (unsigned long)points[count - 1][1], labels[count - 1], (unsigned long)both, (unsigned long)sum);
        keep_if_best(&best, count, both, sum);
        const int more = count < clicks ? deepest_error(errors, width, height, &x, &y, &what) : 0;
        if (more <= 0) {
            return more < 0 ? -1 : end_with(&best);
        }
        points[count][0] = (float)x;
        points[count][1] = (float)y;
        labels[count] = what == MISSED ? 1 : 0;
    }
}

int msa_run_refine(const unsigned char *p, size_t bytes, const char *path)
{
    uint32_t head[3];
    uint64_t numbers[2];
    if (bytes < 28) {
        return msa_run_fail("request: short refinement");
    }
    memcpy(head, p, sizeof head);
    memcpy(numbers, p + sizeof head, sizeof numbers);
    if (D != 1 || msa_run.slices != 1 || head[1] < 1 || head[1] > msa_run_model.max_points) {
        return msa_run_fail("request: %lu clicks in %lu slices", (unsigned long)head[1], (unsigned long)msa_run.slices);
    }
    size_t length;
    const uint8_t *const file = msa_run_load(path, &length);
    if (file == NULL || msa_run_need_embedding() != 0) {
        return -1;
    }
    const uint32_t pixels = msa_run.image.width * msa_run.image.height;
    if (numbers[1] > length || pixels > length - numbers[1]) {
        return msa_run_fail("%s: shorter than the image", path);
    }
    const uint8_t *const truth = file + numbers[1];
    uint8_t *const errors = msa_run_allocate(pixels);
    if (errors == NULL) {
        return -1;
    }
    const int32_t first = first_click(truth, pixels, numbers[0]);
    if (first < 0) {
        return msa_run_fail("%s: nothing is inside", path);
    }
    return click(truth, errors, (uint32_t)first, head[1], head[0], head[2]);
}
