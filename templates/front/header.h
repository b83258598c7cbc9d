@ -- SPDX-License-Identifier: 0BSD
@ -- The front end's part of msa_model.h.
/* ---- front end: $(front.facts) ---- */

#define MSA_FRONT_LINES $(front.lines)              /* of a frame */
#define MSA_FRONT_LINE_BYTES $(front.line_bytes)    /* of a line: $(front.line_is) */
#define MSA_FRONT_STEPS $(#front.steps)             /* of phase MSA_PHASE_FRONT, numbered as in msa_front.c */
@ if front.depth then
#define MSA_FRONT_DEPTH $(front.depth)              /* grey levels of a line */
@ end
@ if front.picture then
@ local what = front.picture.channels == 1 and "grey" or "red, green, blue"
#define MSA_FRONT_WIDTH $(front.picture.width)      /* of the picture, pixels */
#define MSA_FRONT_HEIGHT $(front.picture.height)
#define MSA_FRONT_CHANNELS $(front.picture.channels) /* bytes of a pixel: $(what) */
@ end

/* The next lines of a frame, as they come. The frame's last line completes it; the next one begins another. A call that
 * is refused (MSA_E_ARGUMENT, _ALIGNMENT, _IMAGE_STRIDE, _LINES, _OVERLAP, _ENVIRONMENT before its work) takes no line.
 * Cut off by an error, a frame begins anew with its first line.
 *   samples  `count` lines, which nobody changes during the call
 *   count    0 to what the frame still lacks: MSA_FRONT_LINES, less those taken before
@ local field = front.boxes and ", _FIELD (no round field of view)" or ""
 * Returns MSA_OK, MSA_E_ARGUMENT, _ALIGNMENT, _IMAGE_STRIDE, _LINES, _OVERLAP, _ENVIRONMENT, _CANCELLED$(field). */
msa_status msa_lines_push(msa_session *s, const msa_samples *samples, uint32_t count);

/* A whole frame at once. As msa_lines_push of all its lines, whatever was taken before. */
msa_status msa_frame(msa_session *s, const msa_samples *samples);

@ if front.grey then
/* The latest whole frame's grey levels, 0 to 255, not rounded: out [MSA_FRONT_LINES][MSA_FRONT_DEPTH].
 * MSA_OK, MSA_E_ARGUMENT, _ORDER (there is none, or lines of the next are there), _OVERLAP. */
msa_status msa_grey(const msa_session *s, float *out);

@ end
@ if front.picture then
/* The size of the latest whole frame's picture, at most MSA_FRONT_WIDTH and MSA_FRONT_HEIGHT, and where it lies among
 * the sensor's pixels. MSA_OK, MSA_E_ARGUMENT, _ORDER (there is none), _OVERLAP. */
msa_status msa_picture_get(const msa_session *s, msa_picture *picture);

/* The picture itself, for the screen: out [height][width][MSA_FRONT_CHANNELS].
 * MSA_OK, MSA_E_ARGUMENT, _ORDER (there is none), _OVERLAP. */
msa_status msa_bmode(const msa_session *s, uint8_t *out);

@ end
@ if network then
/* msa_frame, and msa_encode of its picture; with NULL msa_encode of the latest whole frame's, which msa_lines_push
 * completed. Prompts are in the picture's pixels. Returns what these do; MSA_E_ORDER where there is no picture. */
msa_status msa_encode_samples(msa_session *s, const msa_samples *samples);

@ end
