/* SPDX-License-Identifier: 0BSD */
/* msa_kernels.h - the kernels that the layers share. $(made_by) */
#ifndef MSA_KERNELS_H
#define MSA_KERNELS_H

#include <stddef.h>
#include <stdint.h>
@ if isa.flushes or kernels:multiplies_pairs() then
#include <stdbool.h>
@ end
@ if isa.flushes then

/* Whether the float unit's flags say that vectors flush subnormals; if not, no result is right. */
bool msa_flushing_tells(void);
@ end
@ if kernels:multiplies_pairs() then

/* Whether the instruction that multiplies pairs in bf16 sums as it is defined; if not, no result is right. */
bool msa_pairs_in_order(void);
@ end

@ for _, p in ipairs(kernels.prototypes) do
$(p)
@ end

#endif
