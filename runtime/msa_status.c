/* SPDX-License-Identifier: 0BSD */
/* msa_status.c - statuses in words; linked only where they are asked for. */
#include "msa.h"

const char *msa_status_text(msa_status status)
{
    switch (status) {
    case MSA_OK: return "done";
    case MSA_E_ARGUMENT: return "a null pointer, or a session that is not open";
    case MSA_E_ORDER: return "no image is encoded";
    case MSA_E_ENVIRONMENT: return "the processor is big-endian, does not round to nearest, flushes subnormals"
        " or sums bf16 otherwise than --precision bf16 is defined";
    case MSA_E_ARENA: return "the arena is too small";
    case MSA_E_ALIGNMENT: return "the arena or the weights are not aligned to 64 bytes";
    case MSA_E_FORMAT: return "the weights are not in this format";
    case MSA_E_SIZE: return "the weights have another size than this build's";
    case MSA_E_ARITHMETIC: return "the weights are for another class of arithmetic";
    case MSA_E_BUILD: return "the weights belong to another build";
    case MSA_E_CRC: return "the weights are damaged";
    case MSA_E_IMAGE_SIZE: return "a side of the image is 0 or above 16384";
    case MSA_E_IMAGE_STRIDE: return "rows or slices of the image overlap";
    case MSA_E_SLICES: return "a prompt is for neither one nor all slices";
    case MSA_E_POINTS: return "too many points";
    case MSA_E_POINT: return "a point is NaN or outside the image";
    case MSA_E_LABEL: return "a label is not 1, 0 or -1";
    case MSA_E_BOX: return "a box is outside the image or has its corners swapped";
    case MSA_E_MASK: return "a mask prompt has NaN or infinity";
    case MSA_E_NAN: return "the network's output has NaN or infinity";
    case MSA_E_CANCELLED: return "cancelled";
    case MSA_E_SELF_TEST: return "the self-test's known answer came out differently";
    case MSA_E_TEXT: return "no such text prompt";
    case MSA_E_BANK: return "no such bank";
    case MSA_E_CORES: return "the build is for several cores, and there are no others, or not so many";
    case MSA_E_FLAGS:
        return "a file was compiled with flags that change float arithmetic: compile as the Makefile does";
    case MSA_E_FETCH: return "weights could not be fetched";
    case MSA_E_BUSY: return "a call of this session is under way";
    case MSA_E_ARENA_CHANGED: return "the arena no longer holds the encoded image";
    case MSA_E_OVERLAP: return "arena, weights, session or the caller's memory overlap";
    case MSA_E_SESSION: return "the session's memory was changed between two calls";
    case MSA_E_TARGET: return "a target has values that are not from 0 to 1";
    case MSA_E_LINES: return "more lines than the frame still lacks";
    case MSA_E_FIELD: return "no round field of view in the picture";
    case MSA_E_CAPACITY: return "more corners than there is room for";
    case MSA_E_BATCH: return "more images than a batch of this build may have";
    }
    return "unknown status";
}
