/* SPDX-License-Identifier: 0BSD */
/* msa_run_refine.c - the test bench's clicks where mask and truth differ, in each slice its own. */
#include "msa_run.h"
#include "msa_run_clicks.h"

#include <string.h>

/* A slice and its clicks so far; of the result that is kept its click's number, and its Dice as `both` of `sum`. */
struct slice {
    bool open; /* the latest click is to be asked for */
    uint32_t count, kept;
    uint64_t both, sum;
};

struct refinement {
    uint32_t flags, clicks, text, truths;
    bool stepwise;
    uint32_t steps; /* that are not yet written */
    uint64_t seed;
    const unsigned char *step; /* of each its u32 */
    const char *path;          /* two of each */
    const uint8_t *truth;      /* of the subvolume */
    size_t pixels;
    uint8_t *errors;
    void *work;
    struct slice *slices;
    float (*points)[2], (*asked)[2]; /* [D][clicks]; as the prompt has them */
    int8_t *labels, *asked_labels;
    float *logits, *iou; /* what is kept of each slice */
    float *before;       /* the mask prompts of several slices */
};

/* A number below `count` that the seed decides, the nth of its row. */
static uint32_t random_below(uint64_t seed, uint32_t n, uint32_t count)
{
    uint64_t z = seed + (n + 1u) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)(((z ^ z >> 31) >> 32) * count >> 32);
}

static const uint8_t *truth_of(const struct refinement *r, uint32_t s)
{
    return r->truth + (r->truths == 1 ? 0u : s * r->pixels);
}

static void add_click(struct refinement *r, uint32_t s, uint32_t x, uint32_t y, bool inside)
{
    struct slice *const slice = &r->slices[s];
    const size_t at = (size_t)s * r->clicks + slice->count;
    r->points[at][0] = (float)x + 0.5f;
    r->points[at][1] = (float)y + 0.5f;
    r->labels[at] = inside ? 1 : 0;
    slice->open = true;
    ++slice->count;
}

/* A click on the first of what is wrong, if anything is. */
static void click_on_errors(struct refinement *r, uint32_t s)
{
    msa_run_click click;
    r->slices[s].open = false;
    if (msa_run_next_click(r->errors, msa_run.image.width, msa_run.image.height, r->work, &click)) {
        add_click(r, s, click.x, click.y, click.inside);
    }
}

/* Anywhere inside the truth; where nothing is inside, a click outside, anywhere. */
static void click_at_random(struct refinement *r, uint32_t s, uint32_t inside)
{
    const uint8_t *const truth = truth_of(r, s);
    uint32_t rank = random_below(r->seed, msa_run.first_slice + s, inside > 0 ? inside : (uint32_t)r->pixels);
    uint32_t at = 0;
    for (; rank > 0 || (inside > 0 && truth[at] <= 127u); ++at) {
        rank -= inside == 0 || truth[at] > 127u;
    }
    add_click(r, s, at % msa_run.image.width, at / msa_run.image.width, inside > 0);
}

static void click_first(struct refinement *r, uint32_t s)
{
    const uint8_t *const truth = truth_of(r, s);
    uint32_t inside = 0;
    for (size_t i = 0; i < r->pixels; ++i) {
        r->errors[i] = truth[i] > 127u ? MSA_RUN_MISSED : MSA_RUN_RIGHT;
        inside += truth[i] > 127u;
    }
    if (inside > 0 && (r->flags & FIRST_AT_RANDOM) == 0) {
        click_on_errors(r, s);
    } else if (inside > 0 || (r->flags & EMPTY_AT_RANDOM) != 0) {
        click_at_random(r, s, inside);
    }
}

/* What is wrong with the latest best mask of a slice, and how much of it is not. 0, or -1 out of memory. */
static int compare(struct refinement *r, uint32_t s, uint32_t *both, uint32_t *sum)
{
    struct msa_run_block *const before = msa_run.blocks;
    const uint32_t width = msa_run.image.width;
    float *const rows = msa_run_allocate(sizeof(float) * ENLARGER_FLOATS);
    float *const row = msa_run_allocate(sizeof(float) * width);
    if (rows == NULL || row == NULL) {
        return -1;
    }
    msa_upsampler enlarge;
    msa_run_enlarge(&enlarge, s, msa_run_best_mask(s), rows);
    *both = *sum = 0;
    for (uint32_t y = 0; y < msa_run.image.height; ++y) {
        const uint8_t *const truth = truth_of(r, s) + (size_t)y * width;
        uint8_t *const errors = r->errors + (size_t)y * width;
        msa_upsample_row(&enlarge, y, row);
        for (uint32_t x = 0; x < width; ++x) {
            const bool is = truth[x] > 127u, found = IN_MASK(row[x]);
            errors[x] = is == found ? MSA_RUN_RIGHT : is ? MSA_RUN_MISSED : MSA_RUN_EXCESS;
            *both += is && found;
            *sum += (uint32_t)is + (uint32_t)found;
        }
    }
    msa_run_release(before);
    return 0;
}

static void copy_slice(float *to, const float *from, uint32_t s, size_t floats)
{
    memcpy(to + s * floats, from + s * floats, floats * sizeof *to);
}

/* The latest result of a slice is kept: with steps always, else where Dice is larger than that of all before. */
static void keep(struct refinement *r, uint32_t s, uint32_t both, uint32_t sum)
{
    struct slice *const slice = &r->slices[s];
    const uint64_t share = sum > 0 ? both : 1u, of = sum > 0 ? sum : 2u; /* nothing of nothing is all that can be */
    if (!r->stepwise && slice->kept > 0 && share * slice->sum <= slice->both * of) {
        return;
    }
    slice->kept = slice->count;
    slice->both = share;
    slice->sum = of;
    copy_slice(r->logits, msa_run.logits, s, (size_t)msa_run.mask.masks * SIDE * SIDE);
    copy_slice(r->iou, msa_run.iou, s, msa_run.mask.masks);
}

/* The mask prompts: the logits before. */
static const float *masks_before(struct refinement *r, uint32_t count)
{
    if ((r->flags & FEEDBACK) == 0 || count == 1) {
        return NULL;
    }
    if (D == 1) {
        return msa_run_logits_of(0, msa_run_best_mask(0));
    }
    for (uint32_t s = 0; s < D; ++s) {
        memcpy(r->before + (size_t)s * SIDE * SIDE, msa_run_logits_of(s, msa_run_best_mask(s)),
            sizeof(float) * SIDE * SIDE);
    }
    return r->before;
}

/* Ask for `count` clicks in every slice. Slices know nothing of each other: one that has not so many is asked without a
 * click, and nobody looks at the answer. */
static int ask(struct refinement *r, uint32_t count)
{
    for (uint32_t s = 0; s < D; ++s) {
        for (uint32_t i = 0; i < count; ++i) {
            const size_t from = (size_t)s * r->clicks + i, to = (size_t)s * count + i;
            const bool open = r->slices[s].open;
            r->asked[to][0] = open ? r->points[from][0] : 0.0f;
            r->asked[to][1] = open ? r->points[from][1] : 0.0f;
            r->asked_labels[to] = open ? r->labels[from] : -1;
        }
    }
    const msa_prompt prompt = {
        (const float (*)[2])r->asked, r->asked_labels, count, NULL, masks_before(r, count), (r->flags & MULTIMASK) != 0,
        D, (r->flags & WITH_TEXT) != 0, r->text,
    };
    const msa_status status = msa_run_model.segment(&msa_run.session, &prompt, &msa_run.mask);
    return status != MSA_OK ? msa_run_fail("click %lu: %s", (unsigned long)count, msa_status_text(status)) : 0;
}

/* Look at the answers to `count` clicks, and find the next ones. */
static int judge(struct refinement *r, uint32_t count)
{
    for (uint32_t s = 0; s < msa_run.kept; ++s) {
        const struct slice *const slice = &r->slices[s];
        const size_t at = (size_t)s * r->clicks + count - 1u;
        uint32_t both, sum;
        if (!slice->open) {
            continue;
        }
        if (compare(r, s, &both, &sum) != 0) {
            return -1;
        }
        fprintf(msa_run.response, "click %lu %lu %lu %d %lu %lu\n", (unsigned long)(msa_run.first_slice + s),
            (unsigned long)r->points[at][0], (unsigned long)r->points[at][1], r->labels[at], (unsigned long)both,
            (unsigned long)sum);
        keep(r, s, both, sum);
        if (count < r->clicks) {
            click_on_errors(r, s);
        }
    }
    return 0;
}

static bool any_open(const struct refinement *r)
{
    bool any = false;
    for (uint32_t s = 0; s < D; ++s) {
        any = any || r->slices[s].open;
    }
    return any;
}

/* Write the steps up to `count` clicks. */
static int write_steps(struct refinement *r, uint32_t count)
{
    float *const logits = msa_run.logits, *const iou = msa_run.iou;
    int failed = 0;
    msa_run.logits = r->logits;
    msa_run.iou = r->iou;
    while (failed == 0 && r->steps > 0) {
        uint32_t step;
        memcpy(&step, r->step, sizeof step);
        if (step > count) {
            break;
        }
        const char *const for_logits = r->path + strlen(r->path) + 1;
        if (r->path[0] != '\0') {
            failed = msa_run_put_masks(r->path);
        }
        if (failed == 0 && for_logits[0] != '\0') {
            failed = msa_run_put_logits(for_logits);
        }
        r->path = for_logits + strlen(for_logits) + 1;
        r->step += sizeof step;
        --r->steps;
    }
    msa_run.logits = logits;
    msa_run.iou = iou;
    return failed;
}

/* What is kept becomes the latest result. */
static int end(const struct refinement *r)
{
    memcpy(msa_run.logits, r->logits, sizeof(float) * D * msa_run.mask.masks * SIDE * SIDE);
    memcpy(msa_run.iou, r->iou, sizeof(float) * D * msa_run.mask.masks);
    for (uint32_t s = 0; s < msa_run.kept; ++s) {
        fprintf(msa_run.response, "kept %lu %lu\n", (unsigned long)(msa_run.first_slice + s),
            (unsigned long)r->slices[s].kept);
    }
    return msa_run_report_prompt();
}

/* Click after click. */
static int refine(struct refinement *r)
{
    for (uint32_t s = 0; s < msa_run.kept; ++s) {
        click_first(r, s);
    }
    for (uint32_t count = 1; count <= r->clicks && any_open(r); ++count) {
        if (count == 1 && msa_run_need_embedding() != 0) {
            return -1;
        }
        if (ask(r, count) != 0 || judge(r, count) != 0 || write_steps(r, count) != 0) {
            return -1;
        }
    }
    return write_steps(r, r->clicks) != 0 ? -1 : end(r);
}

static bool make_room(struct refinement *r)
{
    const size_t clicks = (size_t)D * r->clicks, floats = (size_t)D * msa_run.mask.masks * SIDE * SIDE;
    const bool fed = D > 1 && (r->flags & FEEDBACK) != 0;
    r->errors = msa_run_allocate(r->pixels);
    r->work = msa_run_allocate(msa_run_clicks_bytes(msa_run.image.width, msa_run.image.height));
    r->slices = msa_run_allocate(D * sizeof *r->slices);
    r->points = msa_run_allocate(clicks * sizeof *r->points);
    r->asked = msa_run_allocate(clicks * sizeof *r->asked);
    r->labels = msa_run_allocate(clicks);
    r->asked_labels = msa_run_allocate(clicks);
    r->logits = msa_run_allocate(sizeof(float) * floats);
    r->iou = msa_run_allocate(sizeof(float) * D * msa_run.mask.masks);
    r->before = fed ? msa_run_allocate(sizeof(float) * D * SIDE * SIDE) : NULL;
    if (r->errors == NULL || r->work == NULL || r->slices == NULL || r->points == NULL || r->asked == NULL
        || r->labels == NULL || r->asked_labels == NULL || r->logits == NULL || r->iou == NULL
        || (fed && r->before == NULL)) {
        return false;
    }
    memset(r->slices, 0, D * sizeof *r->slices);
    for (size_t i = 0; i < floats; ++i) {
        r->logits[i] = NOTHING;
    }
    for (size_t i = 0; i < (size_t)D * msa_run.mask.masks; ++i) {
        r->iou[i] = 0.0f;
    }
    return true;
}

/* The request's paths: of the truth, and two a step. Returns how many there are. */
static uint64_t count_paths(const unsigned char *p, size_t bytes)
{
    uint64_t count = 1;
    for (size_t i = 0; i + 1u < bytes; ++i) {
        count += p[i] == 0;
    }
    return count;
}

int msa_run_refine(const unsigned char *p, size_t bytes)
{
    uint32_t head[6];
    uint64_t numbers[2];
    const size_t fixed = sizeof head + sizeof numbers;
    if (bytes < fixed) {
        return msa_run_fail("request: short refinement");
    }
    memcpy(head, p, sizeof head);
    memcpy(numbers, p + sizeof head, sizeof numbers);
    struct refinement r = {.flags = head[0], .clicks = head[1], .text = head[2], .truths = head[3],
        .stepwise = head[4] > 0, .steps = head[4], .seed = numbers[0], .step = p + fixed};
    if (r.clicks < 1 || r.clicks > msa_run_model.max_points) {
        return msa_run_fail("request: %lu clicks", (unsigned long)r.clicks);
    }
    const size_t steps_bytes = r.steps <= r.clicks ? r.steps * sizeof(uint32_t) : bytes;
    if (steps_bytes > bytes - fixed
        || count_paths(r.step + steps_bytes, bytes - fixed - steps_bytes) != 1u + 2u * (uint64_t)r.steps) {
        return msa_run_fail("request: a refinement of %lu steps", (unsigned long)r.steps);
    }
    if (msa_run_need_image() != 0) {
        return -1;
    }
    const char *const path = (const char *)r.step + steps_bytes;
    size_t length;
    const uint8_t *const file = msa_run_load(path, &length);
    if (file == NULL) {
        return -1;
    }
    r.path = path + strlen(path) + 1;
    r.pixels = (size_t)msa_run.image.width * msa_run.image.height;
    if ((r.truths != 1 && r.truths != msa_run.slices) || numbers[1] > length
        || (uint64_t)r.pixels * r.truths > length - numbers[1]) {
        return msa_run_fail("%s: shorter than the image", path);
    }
    r.truth = file + numbers[1] + (r.truths == 1 ? 0u : msa_run.first_slice * r.pixels);
    msa_run.mask.masks = msa_run_masks_of((r.flags & MULTIMASK) != 0);
    if (msa_run_want_mask(r.flags, msa_run.mask.masks) != 0) {
        return -1;
    }
    return make_room(&r) ? refine(&r) : -1;
}
