/* SPDX-License-Identifier: Apache-2.0 */
/* product.c - a camera's work with a generated front end and network: the same source on bare metal, under an RTOS and
 * on a workstation. Nothing is allocated; every status is looked at. */
#include "product.h"

enum { CORNERS = 512 };

MSA_IN(".bss.msa_arena") MSA_ALIGNED static unsigned char arena[MSA_MODEL_ARENA_BYTES];
static msa_session session;
static float logits[MSA_MODEL_MASKS * MSA_MODEL_MASK_SIDE * MSA_MODEL_MASK_SIDE], iou[MSA_MODEL_MASKS];
static float row[MSA_FRONT_WIDTH], rows[2 * MSA_MODEL_INPUT_SIZE];
static uint8_t bits[MSA_FRONT_HEIGHT * MSA_MASK_ROW_BYTES(MSA_FRONT_WIDTH)], work[sizeof bits];
static uint8_t picture[MSA_FRONT_HEIGHT * MSA_FRONT_WIDTH];
static msa_corner corners[CORNERS];

int msa_progress(const msa_session *s, msa_phase phase, uint32_t layer)
{
    (void)s;
    (void)phase;
    (void)layer;
    machine_alive();
    return 0;
}

msa_status product_start(const void *weights, size_t weights_bytes)
{
    const msa_status status = msa_open(&session, arena, sizeof arena, weights, weights_bytes);
    return status == MSA_OK ? msa_self_test(&session) : status;
}

msa_status product_lines(const void *lines, uint32_t count)
{
    const msa_samples samples = {lines, MSA_FRONT_LINE_BYTES};
    return msa_lines_push(&session, &samples, count);
}

msa_status product_find(float x, float y, finding *found)
{
    const float click[1][2] = {{x, y}};
    const int8_t inside[1] = {1};
    msa_prompt prompt = {0};
    prompt.points = click;
    prompt.labels = inside;
    prompt.point_count = 1;
    prompt.slices = 1;
    msa_mask mask = {logits, iou, 0};
    msa_status status = msa_encode_samples(&session, NULL);
    if (status == MSA_OK) {
        status = msa_segment(&session, &prompt, &mask);
    }
    if (status == MSA_OK) {
        status = msa_bmode(&session, picture);
    }
    if (status != MSA_OK) {
        return status;
    }
    msa_upsampler enlarge;
    msa_upsample_init(&enlarge, logits, MSA_MODEL_MASK_SIDE, MSA_MODEL_RESIZE_LONGEST ? MSA_MODEL_INPUT_SIZE : 0,
                      MSA_FRONT_WIDTH, MSA_FRONT_HEIGHT, rows);
    found->area = msa_mask_bits(&enlarge, MSA_MODEL_MASK_ZERO_INSIDE != 0, row, bits);
    found->corners = corners;
    found->picture = picture;
    return msa_contour(bits, MSA_FRONT_WIDTH, MSA_FRONT_HEIGHT, work, corners, CORNERS, &found->outline);
}

msa_status product_check(void)
{
    return msa_check_slice(&session, 65536, NULL);
}

msa_status product_take(const void *lines, bool *whole, finding *found)
{
    static uint32_t taken;
    const uint32_t left = MSA_FRONT_LINES - taken, count = left < LINES_AT_A_TIME ? left : LINES_AT_A_TIME;
    msa_status status = product_lines(lines, count);
    *whole = status == MSA_OK && count == left;
    taken = status != MSA_OK || *whole ? 0 : taken + count;
    if (*whole) {
        status = product_find(MSA_FRONT_WIDTH / 2.0f, MSA_FRONT_HEIGHT / 2.0f, found);
        const msa_status checked = product_check();
        status = checked != MSA_OK ? checked : status;
    }
    return status;
}
