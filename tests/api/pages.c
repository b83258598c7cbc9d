/* SPDX-License-Identifier: Apache-2.0 */
/* Arena, weights, session and all that a call is given lie between pages without any access, first at the end of their
 * pages, then at the start; weights, picture and prompt are read-only. What reads or writes past any of them ends the
 * program. usage: pages WEIGHTS. The answers must be those from ordinary memory. */
#define _GNU_SOURCE
#include "msa_model.h"
#include "memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    SIDE2 = MSA_MODEL_MASK_SIDE * MSA_MODEL_MASK_SIDE,
    LOGITS = MSA_MODEL_DEPTH * MSA_MODEL_MASKS * SIDE2,
    IOUS = MSA_MODEL_DEPTH * MSA_MODEL_MASKS,
    EMBEDDING = MSA_MODEL_DEPTH * MSA_MODEL_OUT * MSA_MODEL_GRID * MSA_MODEL_GRID,
    WIDTH = 43,
    HEIGHT = 31,
    SLICE = WIDTH * HEIGHT * 3,
    PIXELS = MSA_MODEL_DEPTH * SLICE,
    PAGE = 4096
};
enum place { ORDINARY, AT_END, AT_START, PLACES };

static float right_logits[LOGITS], right_iou[IOUS], right_embedding[EMBEDDING];

/* Memory of `bytes`, which are a multiple of its alignment; pages without access before and behind it. */
static void *placed(enum place place, size_t bytes, const void *contents, bool sealed)
{
    const size_t whole = (bytes + PAGE - 1) / PAGE * PAGE;
    unsigned char *const p = mmap(NULL, whole + 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(p != MAP_FAILED, "out of memory");
    unsigned char *const at = p + PAGE + (place == AT_END ? whole - bytes : 0);
    memset(p, 0xa5, whole + 2 * PAGE);
    if (contents != NULL) {
        memcpy(at, contents, bytes);
    }
    if (place != ORDINARY) {
        must(mprotect(p, PAGE, PROT_NONE) == 0 && mprotect(p + PAGE + whole, PAGE, PROT_NONE) == 0 &&
                 (!sealed || mprotect(p + PAGE, whole, PROT_READ) == 0),
             "pages cannot be protected");
    }
    return at;
}

static void answer(enum place place, const unsigned char *bytes, const uint8_t *picture)
{
    static float click[MSA_MODEL_DEPTH][2], box[MSA_MODEL_DEPTH][4];
    static int8_t label[MSA_MODEL_DEPTH];
    for (int k = 0; k < MSA_MODEL_DEPTH; ++k) {
        click[k][0] = 17.0f;
        click[k][1] = 12.0f;
        label[k] = 1;
        box[k][2] = WIDTH;
        box[k][3] = HEIGHT;
    }
    msa_session *const s = placed(place, sizeof *s, NULL, false);
    unsigned char *const arena = placed(place, MSA_MODEL_ARENA_BYTES, NULL, false);
    const void *const weights = placed(place, MSA_MODEL_WEIGHTS_BYTES, bytes, true);
    float *const logits = placed(place, LOGITS * sizeof(float), NULL, false);
    float *const iou = placed(place, IOUS * sizeof(float), NULL, false);
    float *const embedding = placed(place, EMBEDDING * sizeof(float), NULL, false);
    msa_image image = msa_rgb(placed(place, PIXELS, picture, true), WIDTH, HEIGHT);
    float *const before = placed(place, MSA_MODEL_DEPTH * SIDE2 * sizeof(float), NULL, false);
    msa_prompt prompt = {placed(place, sizeof click, click, true), placed(place, sizeof label, label, true), 1,
                         placed(place, sizeof box, box, true), NULL, false, MSA_MODEL_DEPTH, false, 0};
    msa_mask mask = {logits, iou, 0};
    memset(s, 0, sizeof *s);
    image.slice_stride = SLICE;
    must(msa_open(s, arena, MSA_MODEL_ARENA_BYTES, weights, MSA_MODEL_WEIGHTS_BYTES) == MSA_OK, "it opens");
    must(msa_encode(s, &image) == MSA_OK, "it encodes");
    must(msa_get_embedding(s, embedding) == MSA_OK, "the embedding is copied");
    must(msa_segment(s, &prompt, &mask) == MSA_OK, "it segments");
    for (size_t i = 0; i < (size_t)MSA_MODEL_DEPTH * SIDE2; ++i) {
        before[i] = logits[i]; /* whatever mask of whatever slice */
    }
    prompt.mask = before;
    prompt.multimask = MSA_MODEL_MASKS > 1;
    must(msa_segment(s, &prompt, &mask) == MSA_OK, "it segments once more");
    must(msa_check_slice(s, MSA_MODEL_WEIGHTS_BYTES, NULL) == MSA_OK, "the weights are whole");
    const size_t values = (size_t)MSA_MODEL_DEPTH * mask.masks * SIDE2;
    if (place == ORDINARY) {
        memcpy(right_logits, logits, values * sizeof(float));
        memcpy(right_iou, iou, (size_t)MSA_MODEL_DEPTH * mask.masks * sizeof(float));
        memcpy(right_embedding, embedding, sizeof right_embedding);
    }
    must(memcmp(right_logits, logits, values * sizeof(float)) == 0 &&
             memcmp(right_iou, iou, (size_t)MSA_MODEL_DEPTH * mask.masks * sizeof(float)) == 0 &&
             memcmp(right_embedding, embedding, sizeof right_embedding) == 0,
         "the answers are those from ordinary memory");
    must(msa_self_test(s) == MSA_OK, "the self-test passes");
}

int main(int argc, char **argv)
{
    must(argc == 2, "usage: pages WEIGHTS");
    unsigned char *const bytes = weights_of(argv[1]);
    uint8_t picture[PIXELS];
    for (size_t i = 0; i < sizeof picture; ++i) {
        picture[i] = (uint8_t)(i * 7u % 251u);
    }
    for (int place = 0; place < PLACES; ++place) {
        answer((enum place)place, bytes, picture);
    }
    free(bytes);
    puts("no fault");
    return 0;
}
