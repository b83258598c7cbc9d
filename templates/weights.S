/* SPDX-License-Identifier: 0BSD */
/* msa_weights.S - the weights as an object: extern const unsigned char msa_weights[], 64-byte aligned.
 * msa_weights.bin is looked for beside this file, or it is what -DMSA_WEIGHTS_FILE='"PATH"' says: where a compiler is
 * told to write other paths (-ffile-prefix-map), or the blob lies elsewhere. */
    .section .rodata.msa_weights, "a", %progbits
    .balign 64
    .global msa_weights
msa_weights:
#ifdef MSA_WEIGHTS_FILE
    .incbin MSA_WEIGHTS_FILE
#else
#include "msa_weights.b"
#endif
    .global msa_weights_end
msa_weights_end:
    .section .note.GNU-stack, "", %progbits
