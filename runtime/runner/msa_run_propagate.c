/* SPDX-License-Identifier: 0BSD */
/* msa_run_propagate.c - a prompt on one slice of a volume, and from there on clicks in the middle of the mask found in
 * the neighbour before. */
#include "msa_run.h"
#include "msa_run_clicks.h"

#include <string.h>

/* What the next piece goes on with: the click in its nearest slice, while there is one. */
struct carried {
    bool open;
    float at[2];
};

static struct {
    struct carried up, down; /* to slices of larger numbers, of smaller ones */
    uint32_t pixels;         /* of the mask under the prompt itself */
} msa_run_carried;

struct propagation {
    uint32_t least; /* a mask of fewer thousandths of the first one's pixels ends it; over 1000: not carried on */
    msa_prompt prompt;
    uint8_t *inside;
    void *work;
    float *logits, *iou; /* of the piece, as far as it is found */
};

/* The mask of highest predicted IoU of a slice: how many pixels are inside, and its inmost one. -1: out of memory. */
static int measure(const struct propagation *p, uint32_t s, uint32_t *pixels, struct carried *next)
{
    struct msa_run_block *const before = msa_run.blocks;
    const uint32_t width = msa_run.image.width, height = msa_run.image.height;
    float *const rows = msa_run_allocate(sizeof(float) * ENLARGER_FLOATS);
    float *const row = msa_run_allocate(sizeof(float) * width);
    if (rows == NULL || row == NULL) {
        return -1;
    }
    msa_upsampler enlarge;
    msa_run_enlarge(&enlarge, s, msa_run_best_mask(s), rows);
    *pixels = 0;
    for (uint32_t y = 0; y < height; ++y) {
        msa_upsample_row(&enlarge, y, row);
        for (uint32_t x = 0; x < width; ++x) {
            const bool is = IN_MASK(row[x]);
            p->inside[(size_t)y * width + x] = is ? MSA_RUN_MISSED : MSA_RUN_RIGHT;
            *pixels += is;
        }
    }
    msa_run_release(before);
    msa_run_click click;
    next->open = msa_run_next_click(p->inside, width, height, p->work, &click);
    if (next->open) {
        next->at[0] = (float)click.x + 0.5f;
        next->at[1] = (float)click.y + 0.5f;
    }
    return 0;
}

/* The latest result of a slice is what was found there. */
static void take(struct propagation *p, uint32_t s)
{
    const size_t floats = (size_t)msa_run.mask.masks * SIDE * SIDE, scores = msa_run.mask.masks;
    memcpy(p->logits + s * floats, msa_run.logits + s * floats, sizeof(float) * floats);
    memcpy(p->iou + s * scores, msa_run.iou + s * scores, sizeof(float) * scores);
}

static int ask_for(const msa_prompt *prompt)
{
    if (msa_run_need_embedding() != 0) {
        return -1;
    }
    const msa_status status = msa_run_model.segment(&msa_run.session, prompt, &msa_run.mask);
    msa_run_progress_done();
    return status != MSA_OK ? msa_run_fail("prompt %lu: %s", (unsigned long)msa_run.prompts, msa_status_text(status))
                            : 0;
}

/* The slice that the prompt is of. */
static int begin(struct propagation *p, uint32_t s)
{
    if (ask_for(&p->prompt) != 0) {
        return -1;
    }
    take(p, s);
    if (p->least > 1000) {
        return 0;
    }
    if (measure(p, s, &msa_run_carried.pixels, &msa_run_carried.up) != 0) {
        return -1;
    }
    msa_run_carried.down = msa_run_carried.up;
    return 0;
}

/* One more slice. */
static int carry(struct propagation *p, uint32_t s, struct carried *from)
{
    const int8_t inside = 1;
    const msa_prompt prompt = {
        (const float (*)[2])&from->at, &inside, 1, NULL, NULL, p->prompt.multimask, 1, p->prompt.with_text,
        p->prompt.text,
    };
    struct carried next;
    uint32_t pixels;
    if (ask_for(&prompt) != 0 || measure(p, s, &pixels, &next) != 0) {
        return -1;
    }
    if (!next.open || (uint64_t)pixels * 1000u < (uint64_t)p->least * msa_run_carried.pixels) {
        from->open = false;
        return 0;
    }
    take(p, s);
    fprintf(msa_run.response, "carried %lu %lu %lu\n", (unsigned long)(msa_run.first_slice + s),
        (unsigned long)from->at[0], (unsigned long)from->at[1]);
    *from = next;
    return 0;
}

/* Those of the piece's slices that the prompt or what it led to reaches. */
static int propagate(struct propagation *p, uint32_t slice)
{
    const uint32_t first = msa_run.first_slice, end = first + msa_run.kept;
    int failed = 0;
    if (slice >= first && slice < end) {
        msa_run_carried.up.open = msa_run_carried.down.open = false;
        failed = begin(p, slice - first);
    }
    for (uint32_t s = slice < first ? first : slice + 1u; s < end && failed == 0 && msa_run_carried.up.open; ++s) {
        failed = carry(p, s - first, &msa_run_carried.up);
    }
    for (uint32_t s = slice < end ? slice : end; s > first && failed == 0 && msa_run_carried.down.open; --s) {
        failed = carry(p, s - 1u - first, &msa_run_carried.down);
    }
    return failed;
}

int msa_run_propagate(const unsigned char *bytes, size_t count)
{
    uint32_t head[2];
    if (count < sizeof head) {
        return msa_run_fail("request: short propagation");
    }
    memcpy(head, bytes, sizeof head);
    struct propagation p = {.least = head[1]};
    if (msa_run_need_image() != 0 || msa_run_read_prompt(bytes + sizeof head, count - sizeof head, &p.prompt) != 0) {
        return -1;
    }
    if (head[0] >= msa_run.slices || p.prompt.slices != 1) {
        return msa_run_fail("request: a prompt of slice %lu of %lu", (unsigned long)head[0],
            (unsigned long)msa_run.slices);
    }
    msa_run.mask.masks = msa_run_masks_of(p.prompt.multimask);
    const size_t floats = (size_t)D * msa_run.mask.masks * SIDE * SIDE, scores = (size_t)D * msa_run.mask.masks;
    p.inside = msa_run_allocate((size_t)msa_run.image.width * msa_run.image.height);
    p.work = msa_run_allocate(msa_run_clicks_bytes(msa_run.image.width, msa_run.image.height));
    p.logits = msa_run_allocate(sizeof(float) * floats);
    p.iou = msa_run_allocate(sizeof(float) * scores);
    if (p.inside == NULL || p.work == NULL || p.logits == NULL || p.iou == NULL) {
        return -1;
    }
    for (size_t i = 0; i < floats; ++i) {
        p.logits[i] = NOTHING;
    }
    for (size_t i = 0; i < scores; ++i) {
        p.iou[i] = 0.0f;
    }
    if (propagate(&p, head[0]) != 0) {
        return -1;
    }
    memcpy(msa_run.logits, p.logits, sizeof(float) * floats);
    memcpy(msa_run.iou, p.iou, sizeof(float) * scores);
    return msa_run_report_prompt();
}
