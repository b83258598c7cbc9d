/* SPDX-License-Identifier: 0BSD */
/* msa_kernels.h - the kernels that the layers share. $(made_by) */
#ifndef MSA_KERNELS_H
#define MSA_KERNELS_H

#include <stddef.h>
#include <stdint.h>
@ if isa.flushes then
#include <stdbool.h>

/* Whether the float unit's flags say that vectors flush subnormals; if not, no result is right. */
bool msa_flushing_tells(void);
@ end

@ for _, p in ipairs(kernels.prototypes) do
$(p)
@ end

#endif
