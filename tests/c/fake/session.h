/* SPDX-License-Identifier: 0BSD */
/* session.h - the generated model.c and the runtime around the fake layers, in one piece, with weights, an arena and a
 * hook. */
#ifndef FAKE_SESSION_H
#define FAKE_SESSION_H

#include "msa_internal.h"

#if MSA_MODEL_CORES > 1
#include "model_cores.inc"
#elif MSA_MODEL_DEPTH > 1
#include "model_slices.inc"
#else
#include "model_plain.inc"
#endif

#include "../../../runtime/msa_image.c"
#include "../../../runtime/msa_upsample.c"
#include "../../../runtime/msa_resize.c"
#include "../../../runtime/msa_prompt.c"
#include "../../../runtime/msa_check.c"
#include "../../../runtime/msa_crc32c.c"
#include "layers.h"

#include <stdlib.h>
#include <string.h>

#ifndef OWN_PROGRESS
/* Of the thread that calls, as is the hook. */
static _Thread_local uint32_t calls, cancel_at;

int msa_progress(const msa_session *session, msa_phase phase, uint32_t layer)
{
    (void)session;
    (void)phase;
    (void)layer;
    ++calls;
    return calls == cancel_at;
}
#endif

static void *aligned_memory(size_t bytes)
{
    return aligned_alloc(MSA_ALIGNMENT, (bytes + MSA_ALIGNMENT - 1) / MSA_ALIGNMENT * MSA_ALIGNMENT);
}

static void put_number(unsigned char *p, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; ++i)
        p[i] = (unsigned char)(value >> 8 * i);
}

/* Sums over the only segment and over the table. */
static void seal_weights(unsigned char *w)
{
    put_number(w + 144, msa_crc32c(0, w + MSA_PROMPT_TABLE_OFFSET, MSA_MODEL_WEIGHTS_BYTES - MSA_PROMPT_TABLE_OFFSET),
        4);
    put_number(w + 28, msa_crc32c(0, w + 128, 24), 4);
}

/* Header, table and one segment: the prompt tables, row r of which is r, and 100 more in the second bank. */
static unsigned char *fake_weights(void)
{
    unsigned char *w = aligned_memory(MSA_MODEL_WEIGHTS_BYTES);
    memset(w, 0, MSA_MODEL_WEIGHTS_BYTES);
    memcpy(w, "MSAGENW", 8);
    put_number(w + 8, 1, 4);
    put_number(w + 12, 128, 4);
    put_number(w + 16, MSA_MODEL_WEIGHTS_BYTES, 8);
    put_number(w + 24, 1, 4);
    memcpy(w + 32, MSA_MODEL_ARITHMETIC, sizeof MSA_MODEL_ARITHMETIC);
    for (size_t i = 0; i < 32; ++i)
        w[48 + i] = (unsigned char)(i + 1);
    float *rows = (float *)(void *)(w + MSA_PROMPT_TABLE_OFFSET);
    for (size_t bank = 0; bank < MSA_MODEL_BANKS; ++bank)
        for (size_t r = 0; r < 7 + MSA_MODEL_MASKS + MSA_MODEL_TEXTS; ++r)
            for (size_t i = 0; i < MSA_MODEL_OUT; ++i)
                rows[bank * MSA_PROMPT_BANK_STRIDE / sizeof(float) + r * MSA_MODEL_OUT + i] = (float)(r + 100 * bank);
    put_number(w + 128, MSA_PROMPT_TABLE_OFFSET, 8);
    put_number(w + 136, MSA_MODEL_WEIGHTS_BYTES - MSA_PROMPT_TABLE_OFFSET, 8);
    seal_weights(w);
    return w;
}

#endif
