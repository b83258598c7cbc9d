/* SPDX-License-Identifier: 0BSD */
/* msa_front_run.c - test bench of a front end alone, no part of a product: msa_front_run REQUEST RESPONSE WEIGHTS.
 * Without an operating system the weights are those linked, and no file is read.
 * REQUEST, little-endian: u32 frames, u32 lines at a time (0: whole frames), u32 repetitions, u32 0; the frames' lines,
 * MSA_FRONT_LINE_BYTES each.
 * RESPONSE: u32 status, u32 0; what msa_run_put_frame writes; for each repetition the seconds of a frame (double), and
 * of all of them the seconds of each step. */
#if defined(__unix__)
#define _POSIX_C_SOURCE 200112L
#endif
#include "msa_internal.h"
#include "msa_run_front.h"
#include "msa_run_small.h"

/* Seconds of each step in all repetitions; since when the present one has worked, or 0: no repetition. */
static double step_seconds[MSA_FRONT_STEPS], since;

int msa_progress(const msa_session *session, msa_phase phase, uint32_t layer)
{
    if (since > 0.0) {
        const double now = seconds();
        step_seconds[layer] += now - since;
        since = now;
    } else {
        msa_run_front_step(session, phase, layer);
    }
    return 0;
}

static int perform(msa_session *s, const uint32_t head[4])
{
    unsigned char *const lines = (unsigned char *)room(MSA_RUN_FRAME_BYTES);
    if (lines == NULL) {
        return fail("no memory for a frame");
    }
    msa_status status = MSA_OK;
    for (uint32_t f = 0; f < head[0] && status == MSA_OK; ++f) {
        if (fread(lines, 1, MSA_RUN_FRAME_BYTES, request) != MSA_RUN_FRAME_BYTES) {
            return fail("the request ends early");
        }
        status = msa_run_frame(s, lines, head[1]);
    }
    const uint32_t said[2] = {(uint32_t)status, 0};
    bool well = put(said, sizeof said) && (status != MSA_OK || msa_run_put_frame(s, response));
    for (uint32_t i = 0; status == MSA_OK && well && i < head[2]; ++i) {
        const double before = seconds();
        since = before;
        (void)msa_run_frame(s, lines, head[1]);
        const double taken = seconds() - before;
        well = put(&taken, sizeof taken);
    }
    well = well && (head[2] == 0 || put(step_seconds, sizeof step_seconds));
    return well ? EXIT_SUCCESS : fail("the answer cannot be written");
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        return fail("usage: msa_front_run REQUEST RESPONSE WEIGHTS");
    }
    static msa_session session;
    const void *const weights = weights_of(argv[3], MSA_MODEL_WEIGHTS_BYTES);
    void *const arena = room(MSA_MODEL_ARENA_BYTES);
    uint32_t head[4];
    request = fopen(argv[1], "rb");
    response = fopen(argv[2], "wb");
    if (weights == NULL || arena == NULL || request == NULL || response == NULL) {
        return fail(weights == NULL ? "the weights cannot be read" : "no files, or no memory for the arena");
    }
    if (fread(head, sizeof head, 1, request) != 1) {
        return fail("the request ends early");
    }
    const msa_status opened = msa_open(&session, arena, MSA_MODEL_ARENA_BYTES, weights, MSA_MODEL_WEIGHTS_BYTES);
    if (opened != MSA_OK) {
        return fail(msa_status_text(opened));
    }
    const int status = perform(&session, head);
    free_rooms();
    return fclose(response) == 0 ? status : fail("the answer cannot be written");
}
