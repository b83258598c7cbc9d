/* SPDX-License-Identifier: 0BSD */
@ local what = network and "a compiled Medical SAM Adapter" or "a compiled front end"
/* msa_model.h - $(what): its sizes and its functions. $(made_by)
$(origin) */
#ifndef MSA_MODEL_H
#define MSA_MODEL_H

#include "msa.h"
@ local m = network and model or {}
@ local chances = m.mask_from == "probabilities" and 1 or 0
@ local longest, rc = m.resize == "longest" and 1 or 0, m.click_order == "rc" and 1 or 0

#ifdef __cplusplus
extern "C" {
#endif

@ if network then
#define MSA_MODEL_INPUT_SIZE $(model.image_size)        /* pixels a side of the square that an image is resized to */
#define MSA_MODEL_DEPTH $(model.depth)               /* slices of a volume */
#define MSA_MODEL_GRID $(model.grid)               /* tokens a side */
#define MSA_MODEL_OUT $(model.out)               /* channels of the embedding */
#define MSA_MODEL_MASK_SIDE $(4 * model.grid)          /* pixels a side of the logits */
#define MSA_MODEL_MASKS $(model.decoder.masks)              /* mask tokens: room for so many masks a slice is enough */
#define MSA_MODEL_FIRST_CLASSES $(classes)   /* masks of every call; 0: one, or all but the first with multimask */
#define MSA_MODEL_BEST_OF_SEVERAL $(model.best_of_several and 1 or 0) /* 1: its program takes the best of multimask */
#define MSA_MODEL_MAX_POINTS $(max_points)        /* points of a prompt; a box comes on top */
@ if model.places then
#define MSA_MODEL_PLACES $(model.places)             /* of every prompt, points before corners; prompt.mask is NULL */
@ end
#define MSA_MODEL_TOKENS $(token_rows)            /* rows of the decoder's token matrix */
#define MSA_MODEL_RESIZE_LONGEST $(longest)    /* 1: the longest side is fitted, the rest padded; 0: squashed */
#define MSA_MODEL_MASK_PROBABILITIES $(chances) /* 1: masks are of msa_upsample_probabilities; 0: of logits */
#define MSA_MODEL_MASK_BICUBIC $(model.upsample == "bicubic" and 1 or 0)
#define MSA_MODEL_MASK_ZERO_INSIDE $(model.zero_inside and 1 or 0) /* 1: the mask is where logits are at least 0 */
#define MSA_MODEL_MASK_SQUARE $(model.mask_square and 1 or 0) /* 1: msa_upsample_squashed */
#define MSA_MODEL_CLICK_RC $(rc)           /* 1: the weights were trained on clicks as (row, column) */
@ end
#define MSA_MODEL_ARENA_BYTES $(memory.bytes)
@ if guards then
#define MSA_MODEL_GUARDS 1               /* any bit that changes of what msa_encode leaves is noticed */
@ end
#define MSA_MODEL_WEIGHTS_BYTES $(blob.bytes)
#define MSA_MODEL_SEGMENTS $(#blob.segments)             /* of the weights: msa_weights_check; named in manifest.json */
@ local longest_segment = 0
@ for _, one in ipairs(blob.segments) do longest_segment = math.max(longest_segment, one.bytes) end
#define MSA_MODEL_LARGEST_SEGMENT $(longest_segment)     /* bytes */
#define MSA_MODEL_STREAMED $(streamed and 1 or 0)            /* 1: layers fetch their weights by the hooks of msa.h */
@ if network then
#define MSA_MODEL_MACS_ENCODE $(info.macs_encode)
#define MSA_MODEL_MACS_DECODE $(info.macs_decode)       /* one prompt, one slice */
#define MSA_MODEL_LAYERS_ENCODE $(#encode)      /* calls of msa_progress */
#define MSA_MODEL_LAYERS_DECODE $(#decode)
@ end
#define MSA_MODEL_CORES $(cores)               /* that share every call's work; msa.h, msa_set_team */
@ if network then
#define MSA_MODEL_BANKS $(#banks)               /* targets that share the backbone; msa_select_bank chooses */
@ if banks[1].name then
@   for i, bank in ipairs(banks) do
#define MSA_BANK_$(bank_macros[i]) $(i - 1)u
@   end
@ end
@ local texts = model.texts and #model.texts.names or 0
#define MSA_MODEL_TEXTS $(texts)               /* text prompts: values of msa_prompt.text */
@ for i, text in ipairs(text_macros) do
#define MSA_TEXT_$(text) $(i - 1)u
@ end
@ end
#define MSA_MODEL_ARITHMETIC "$(arithmetic)"
#define MSA_MODEL_BOARD "$(board.name)"
/* What this build was made of, for a log or an about page. */
#define MSA_MODEL_BUILD \
@ local before = front and ", " .. front.facts or ""
@ if network then
    "msagen $(version), checkpoint $(model.source.sha256), $(model.dialect), " \
    "$(board.name), resolution $(model.image_size), depth $(model.depth), $(arithmetic)$(before)"
@ else
    "msagen $(version), $(front.facts), $(board.name), $(arithmetic)"
@ end

/* The same at run time, part by part. */
const msa_build *msa_build_info(void);

/* What a session is after a call. It is closed, open, or open with the embedding of one image. Memory that msa_open
 * never saw is closed.
 *   msa_open           open after MSA_OK; closed after anything else, whatever it was before
@ if front then
 *   msa_lines_push     as before, with the lines taken after MSA_OK, without them after what is refused; after anything
 *                      else the frame begins anew
@   if front.picture then
 *   msa_bmode          as before
@   end
 *   $(front.grey and "msa_grey" or "msa_frame")           as before
@ end
@ if network then
 *   msa_encode         has this image's embedding after MSA_OK; open without any after anything else
 *   msa_segment        as before; open without the embedding after MSA_E_CANCELLED, _FETCH and _ARENA_CHANGED
 *   msa_get_embedding  as before
 *   msa_select_bank    open without the embedding after MSA_OK; as before, the bank too, after anything else
@ if cores > 1 then
 *   msa_set_team       as before
@ end
@ end
@ if streamed then
 *   msa_weights_check  open without the embedding, whatever it returns but MSA_E_ARGUMENT and _OVERLAP: as before
@ else
 *   msa_weights_check  as before
@ end
 *   msa_check_slice    as before
 *   msa_self_test      open without the embedding, whatever it returns
 * Three statuses of any call change nothing: MSA_E_ARGUMENT of a session that is closed, MSA_E_BUSY of one whose call
 * is under way (this call comes from a hook), MSA_E_SESSION of one whose own memory was changed since its last call:
 * open it again.
 * Calls that compute check the floating-point environment before and after their work: MSA_E_ENVIRONMENT.
 * What the caller gives to read or to write must have no byte in common with the arena, nor what is written with the
 * session or the weights: MSA_E_OVERLAP. */

/* Open a session.
 *   s         the caller's; no part of arena or weights. One whose call was cut off for ever (a reset, longjmp out of a
 *             hook) stays busy: clear its memory first
 *   arena     MSA_MODEL_ARENA_BYTES at least, 64-byte aligned; the caller's, outlives the session. Between
@ if guards then
 *             calls nobody else writes there; any change of what msa_encode left is noticed, and of a line at each end
 *             of the arena (MSA_E_ARENA_CHANGED)
@ else
 *             calls nobody else writes there; most writes of another session or the product are noticed
 *             (MSA_E_ARENA_CHANGED)
@ end
@ if streamed then
 *   weights   NULL: msa_weights.bin is read by msa_weights_fetch_begin alone (msa.h)
 *   weights_bytes   its size where it is stored, (size_t)MSA_MODEL_WEIGHTS_BYTES: it may be more than a size_t counts
@ else
 *   weights   msa_weights.bin, MSA_MODEL_WEIGHTS_BYTES, 64-byte aligned; the caller's, only read, outlives the session
@ end
 * Checks the environment (little-endian, rounding to nearest, subnormals kept) and the blob's header, not its CRCs:
 * msa_self_test does.
 * Returns MSA_OK or why not: MSA_E_ARGUMENT, _ALIGNMENT, _ARENA, _OVERLAP, _ENVIRONMENT, _FLAGS, _FORMAT, _SIZE,
 * _ARITHMETIC, _BUILD, _CRC (the segment table's)$(streamed and ", _FETCH" or ""), _BUSY. */
msa_status msa_open(msa_session *s, void *arena, size_t arena_bytes, const void *weights, size_t weights_bytes);

@ if front then
$(front_header)
@ end
@ if network then
/* Resize, normalise and encode an image (SAM, Kirillov et al. 2023, appendix A). One encode serves many prompts.
 * Returns MSA_OK, MSA_E_ARGUMENT, _IMAGE_SIZE, _IMAGE_STRIDE, _OVERLAP, _ENVIRONMENT, _NAN,
 * _ARENA_CHANGED (a hook wrote there)$(streamed and ", _FETCH" or "")$(cores > 1 and ", _CORES" or "") or _CANCELLED;
 * on error there is no embedding, of an image before neither. */
msa_status msa_encode(msa_session *s, const msa_image *image);

/* Segment the encoded image under one prompt.
 *   prompt  at most MSA_MODEL_MAX_POINTS points, in pixels of the encoded image, x right, y down
 *   mask    logits hold MSA_MODEL_DEPTH * MSA_MODEL_MASKS * MSA_MODEL_MASK_SIDE^2 floats, iou MSA_MODEL_DEPTH *
 *           MSA_MODEL_MASKS; caller's memory
 * Returns MSA_OK, or the reason; on error mask is untouched. Takes no memory, keeps no pointer. MSA_E_ORDER where there
 * is no embedding, MSA_E_ARENA_CHANGED where the arena no longer holds it. */
msa_status msa_segment(msa_session *s, const msa_prompt *prompt, msa_mask *mask);

/* Copy the embedding to out, MSA_MODEL_DEPTH * MSA_MODEL_OUT * MSA_MODEL_GRID^2 floats, [depth][channel][row][column].
 * MSA_OK, MSA_E_ARGUMENT, _ORDER, _ARENA_CHANGED, _OVERLAP. */
msa_status msa_get_embedding(const msa_session *s, float *out);

/* Choose a bank, 0 to MSA_MODEL_BANKS - 1: its adapters and its decoder on the common backbone. Opening chooses 0.
 * Forgets the embedding. MSA_OK, MSA_E_ARGUMENT, _BANK. */
msa_status msa_select_bank(msa_session *s, uint32_t bank);

@ if cores > 1 then
/* The team of $(cores) cores that shares the work of this session from here on: what the hooks of msa.h are given, such
 * as an msa_threads. Opening sets none. MSA_OK, MSA_E_ARGUMENT. Without a team that msa_cores_start accepts, msa_encode
 * and msa_segment return MSA_E_CORES. */
msa_status msa_set_team(msa_session *s, void *team);

@ end
@ end
/* Check the CRC-32C of one segment of the weights: which of them is damaged, or all of them little by little between
 * calls.
 *   segment  0 to MSA_MODEL_SEGMENTS - 1
 *   sum      gets what was read, or NULL
@ if streamed then
 * Forgets the embedding, for it reads into the arena. MSA_OK, MSA_E_ARGUMENT, _CRC, _FETCH, or what msa_open says of
 * the header. */
@ else
 * The embedding stays. MSA_OK, MSA_E_ARGUMENT, _CRC, or what msa_open says of the header. */
@ end
msa_status msa_weights_check(msa_session *s, uint32_t segment, msa_segment_sum *sum);

/* Slices of max_bytes that so many bytes of the weights make; of msa_check_slice the calls of a whole round at most,
 * and those within which it finds any bit, whenever that changes. */
#define MSA_SLICES(bytes, max_bytes) (((bytes) + (max_bytes) / 64u * 64u - 1u) / ((max_bytes) / 64u * 64u))
#define MSA_ROUND_SLICES(max_bytes) MSA_SLICES(MSA_MODEL_WEIGHTS_BYTES, max_bytes)
#define MSA_FINDING_SLICES(max_bytes) (MSA_ROUND_SLICES(max_bytes) + MSA_SLICES(MSA_MODEL_LARGEST_SEGMENT, max_bytes))

/* Check the CRC-32C of the weights little by little, in rounds: the header, then max_bytes from where the call before
 * ended, at most to the round's end. To be called between frames, between msa_encode and msa_segment, too.
 *   max_bytes  64 at least; rounded down to a multiple of that
 *   slice      gets what was read, or NULL
@ if streamed then
 * Fetches the header and these bytes to where layers' weights go.
@ end
 * The embedding stays, whatever it returns. A bit that is wrong when a round begins is found in that round, any other
 * one at the latest in the next: MSA_FINDING_SLICES(max_bytes) calls. After MSA_E_CRC the next call begins the
 * damaged segment again: no round is complete while one is damaged. Opening begins a round; no other call changes how
 * far it has come.
 * MSA_OK, MSA_E_ARGUMENT, _OVERLAP, _CRC$(streamed and ", _FETCH (the round is where it was)" or ""),
 * or what msa_open says of the header. */
msa_status msa_check_slice(msa_session *s, uint32_t max_bytes, msa_slice *slice);

@ local lost = front and " and the picture" or ""
/* Check the CRC-32C of all weights, then run the model's functions on fixed patterns and compare with the known answer;
 * forgets the embedding$(lost). MSA_OK, MSA_E_ARGUMENT, _ENVIRONMENT, _CRC, _SELF_TEST$(streamed and ", _FETCH" or ""),
 * or what msa_open says of the header. A product goes on only after MSA_OK. */
msa_status msa_self_test(msa_session *s);

#ifdef __cplusplus
}
#endif

#endif
