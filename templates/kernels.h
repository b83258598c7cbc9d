/* SPDX-License-Identifier: 0BSD */
/* msa_kernels.h - the kernels that the layers share, each for one shape. $(made_by) */
#ifndef MSA_KERNELS_H
#define MSA_KERNELS_H

#include <stddef.h>

@ for _, p in ipairs(kernels.prototypes) do
$(p)
@ end

#endif
