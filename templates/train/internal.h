/* SPDX-License-Identifier: 0BSD */
/* msa_train_internal.h - places in the arena and in the weights, and the functions of the layers.
 * $(made_by) */
#ifndef MSA_TRAIN_INTERNAL_H
#define MSA_TRAIN_INTERNAL_H

#include "msa_train.h"
#include "msa_runtime.h"

void *memset(void *to, int value, size_t bytes);
void *memcpy(void *to, const void *from, size_t bytes);

@ if cores > 1 then
#define MSA_FIRST(core) ((core) == 0u)
#define MSA_SLOT(core) ((size_t)(core))

static inline void msa_meet(msa_session *session, uint32_t core)
{
    msa_cores_wait(session->team, session, core);
}

@ end
/* Floats from the arena's start. */
@ for _, one in ipairs(places) do
#define MSA_AT_$(one[1]) $(one[2])
@ end
$(macro("#define MSA_TRAIN_HASH {" .. hash .. "}"))

/* Floats from the weights' start: parameters as they begin; Fourier features' matrix. */
#define MSA_INITIAL $(initial_at)
@ if gaussian_at then
#define MSA_GAUSSIAN $(gaussian_at)
@ end

@ for _, phase in ipairs(phases) do
msa_status msa_layers_of_$(phase.name)(msa_train *s$(core_parameter));
@ end

@ for _, p in ipairs(prototypes) do
$(p)
@ end

/* The end of a layer: msa_progress is asked. True if the call is to end. */
bool msa_train_layer_end(msa_train *s, msa_phase phase, uint32_t layer$(core_parameter));

#endif
