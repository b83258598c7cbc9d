@ -- SPDX-License-Identifier: 0BSD
@ -- The front end's part of msa_internal.h.
@ for _, file in ipairs(front.extras) do
#include "$(file).h"
@ end

/* The front end. Bytes from the arena's start; strides in floats. */
#define MSA_FRONT_LANES $(front.lanes)                /* lines at a time */
#define MSA_FRONT_ALIGNMENT $(front.align)            /* of samples, bytes */
@ if front.frame_at then
/* [MSA_FRONT_DEPTH][MSA_FRONT_FRAME_STRIDE] floats, a line a column; and the frame that is shown: this one, or what
 * persistence made of it. */
#define MSA_FRONT_FRAME_OFFSET $(front.frame_at)
#define MSA_FRONT_FRAME_STRIDE $(front.frame_stride)
#define MSA_FRONT_SHOWN_OFFSET $(front.shown_at)
@ end
@ if front.picture then
#define MSA_FRONT_PICTURE_OFFSET $(front.picture_at)
@   if front.row_at then
#define MSA_FRONT_ROW_OFFSET $(front.row_at)          /* rows of the picture as red, green, blue */
@   end
@ end
@ if front.envelope then
/* Behind a batch's step MSA_FRONT_ENVELOPE_STEP its signal: point i of lane l is at i * MSA_FRONT_ENVELOPE_STRIDE + l.
 */
#define MSA_FRONT_ENVELOPE_STEP $(front.envelope.step)
#define MSA_FRONT_ENVELOPE_OFFSET $(front.envelope.at)
#define MSA_FRONT_ENVELOPE_STRIDE $(front.envelope.apart)
@ local complex = front.envelope.from == "complex" and 1 or 0
#define MSA_FRONT_ENVELOPE_COMPLEX $(complex) /* 1: im is MSA_FRONT_LANES behind re */
@ end

/* Steps of lines first to first + lines - 1 of a frame, at most MSA_FRONT_LANES, and of a whole frame, whose picture's
 * size and place they tell. */
msa_status msa_front_batch(msa_session *s, const unsigned char *samples, size_t stride, uint32_t first,
                           uint32_t lines);
@ if front.per_frame then
msa_status msa_front_complete(msa_session *s, msa_picture *picture);
@ end
