/* SPDX-License-Identifier: 0BSD */
/* msa_weights.b - included by msa_weights.S, so that the blob is found beside it whatever folder the assembler works
 * in: the preprocessor knows where this text lies, an assembler does not; and this text's path with two letters more is
 * that of msa_weights.bin. */
    .macro msa_blob_beside path
    .incbin "\path\()in"
    .endm
    msa_blob_beside __FILE__
