/* SPDX-License-Identifier: 0BSD */
/* msa_weights.S - the weights as an object: extern const unsigned char msa_weights[], 64-byte aligned. */
    .section .rodata.msa_weights, "a", %progbits
    .balign 64
    .global msa_weights
msa_weights:
    .incbin "msa_weights.bin"
    .global msa_weights_end
msa_weights_end:
    .section .note.GNU-stack, "", %progbits
