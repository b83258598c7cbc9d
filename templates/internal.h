/* SPDX-License-Identifier: 0BSD */
/* msa_internal.h - places in the arena and in the weights, and the layers. $(made_by) */
#ifndef MSA_INTERNAL_H
#define MSA_INTERNAL_H

#include "msa_model.h"
#include "msa_runtime.h"

void *memset(void *to, int value, size_t bytes);

/* Whether vectors take subnormals for zeros (msa_simd.h). */

@ if cores > 1 then
/* A core that meets no other and does everything, the self-test's: in tables of shares its entries follow those of the
 * team's. */
#define MSA_ALONE $(cores + 1)u
#define MSA_FIRST(core) ((core) == 0u || (core) == MSA_ALONE)
#define MSA_SLOT(core) ((core) == MSA_ALONE ? (size_t)0 : (size_t)(core))

static inline void msa_meet(msa_session *session, uint32_t core)
{
    if (core != MSA_ALONE) {
        msa_cores_wait(session->team, session, core);
    }
}

@ end
@ if network then
/* Bytes from the arena's start; strides in floats. */
#define MSA_EMBEDDING_OFFSET $(memory.by_name.embedding.offset)
#define MSA_EMBEDDING_STRIDE $(lde)
#define MSA_TOKENS_OFFSET $(memory.by_name.tokens.offset)
#define MSA_TOKEN_STRIDE $(lde)
#define MSA_LOGITS_OFFSET $(memory.by_name.logits.offset)
#define MSA_IOU_OFFSET $(memory.by_name.iou.offset)
@ if memory.by_name.stage then
#define MSA_STAGE_OFFSET $(memory.by_name.stage.offset)
@ end

@ local how = resampling
@ if how.type then
/* How the image is resized (msa_runtime.h). */
#define MSA_RESIZER $(how.type)
#define MSA_RESIZER_INIT $(how.calls)_init
#define MSA_RESIZER_ROW $(how.calls)_row
#define MSA_RESIZER_BYTES $(how.macro)(MSA_MODEL_INPUT_SIZE)
@ else
/* The image is interpolated in floats: the test bench has no bytes of it to show. */
#define MSA_RESIZER const msa_image *
#define MSA_RESIZER_INIT(resizer, image, slice, width, height, work, bytes) \
    (*(resizer) = (image), (slice) + (width) + (height) + (bytes) != 0 && (work) != NULL ? MSA_E_ARGUMENT : MSA_OK)
#define MSA_RESIZER_ROW(resizer, row) ((void)(resizer), (void)(row))
#define MSA_RESIZER_BYTES ((size_t)MSA_MODEL_INPUT_SIZE)
@ end

/* What the test bench does after msa_upsample_init. */
@ local so = model.mask_square and "msa_upsample_squashed(enlarger)"
@   or model.mask_from == "probabilities" and "msa_upsample_probabilities(enlarger)" or "((void)(enlarger))"
#define MSA_ENLARGE_SO(enlarger) $(so)

/* What msa_encode leaves in the arena for msa_segment: floats from the arena's start, and how many. */
@ local kept = {}
@ for _, name in ipairs(kept_buffers) do
@   local buffer = memory.by_name[name]
@   if buffer then kept[#kept + 1] = ("{%d, %d}"):format(types.base(buffer.offset), types.base(buffer.bytes)) end
@ end
#define MSA_KEPT_COUNT $(#kept)
#define MSA_KEPT {$(table.concat(kept, ", "))}

@ end
@ if guards then
/* Lines of the arena that nothing but the session writes: bytes from its start. */
#define MSA_CANARY_COUNT $(#memory.canaries)
#define MSA_CANARIES {$(table.concat(memory.canaries, ", "))}

@ end
@ if network and cores == 1 then
/* Floats from the arena's start that no hook writes. */
#define MSA_SAMPLE_COUNT $(#samples)
$(macro("#define MSA_SAMPLES {" .. table.concat(samples, ", ") .. "}"))

@ end
@ if network then
@ if streamed then
/* The buffers of weights, and the tables that stay: bytes from the arena's start. */
#define MSA_STREAM_OFFSET $(memory.by_name[streamed.name("encode", 0)].offset)
#define MSA_STREAM_HEADER_BYTES $(streamed.HEADER_BYTES)
#define MSA_STREAM_SECOND_OFFSET $(memory.by_name[streamed.name("encode", 1)].offset)
#define MSA_STREAM_SECOND_BYTES $(memory.by_name[streamed.name("encode", 1)].bytes)
#define MSA_PROMPT_TABLE_OFFSET $(memory.by_name.tables.offset + blob.prompt_at - blob.position_at)
@ else
/* Bytes from the weights' start. */
#define MSA_PROMPT_TABLE_OFFSET $(blob.prompt_at)
@ end
#define MSA_PROMPT_BANK_STRIDE $(blob.prompt_bank)
@ end
$(macro("#define MSA_MODEL_HASH {" .. hash .. "}"))

@ if network then
@ if streamed then
/* A piece of the weights that is fetched: bytes from their start, and where it goes: bytes from the arena's start. */
typedef struct msa_piece {
    uint64_t offset;
    size_t bytes, to;
} msa_piece;

/* A list of pieces as one core goes through it. */
typedef struct msa_stream {
    msa_session *session;
    const msa_piece *pieces;
    uint32_t count, next;
    uint32_t core;
} msa_stream;

/* In the order of their use. */
extern const msa_piece msa_encode_pieces[$(#pieces.encode)];
extern const msa_piece msa_decode_pieces[$(#pieces.decode)];

/* The next piece, and the one after it begins to come. Called when the caller is done with the piece before.
 * NULL if it did not come.
@ if cores > 1 then
 * All cores meet here.
@ end
 */
const float *msa_stream_next(msa_stream *stream);

/* A piece by itself. */
const float *msa_stream_fetch(msa_session *s, const msa_piece *piece);

/* The end of a call: none is under way any more. */
void msa_stream_end(msa_session *s);

/* msa_check_weights and msa_check_segment where the weights are elsewhere; MSA_E_FETCH, too. The second relies on the
 * first's buffer. */
msa_status msa_stream_check(msa_session *s, uint64_t bytes, const char arithmetic[32], const unsigned char hash[32]);
msa_status msa_stream_check_segment(msa_session *s, uint32_t i, msa_segment_sum *sum);

/* The segment table's i-th entry, in the first buffer as msa_stream_check left it. */
msa_segment_entry msa_stream_segment(const msa_session *s, uint32_t i);

/* CRC-32C of `bytes` bytes of the weights from `offset` on, continuing from *crc, by way of the second buffer. MSA_OK,
 * MSA_E_FETCH, or MSA_E_FORMAT where a number is no multiple of MSA_ALIGNMENT. */
msa_status msa_stream_sum(msa_session *s, uint64_t offset, uint64_t bytes, uint32_t *crc);

@ end
msa_status msa_encode_layers(msa_session *s, const msa_image *image$(core_parameter));
msa_status msa_decode_layers(msa_session *s, uint32_t slice, uint32_t token_count, const float *mask$(core_parameter));

@ end
@ if cores > 1 then
/* The end of a layer for every core: core 0 asks msa_progress, all meet. True if the call is to end. */
bool msa_layer_end(msa_session *s, msa_phase phase, uint32_t layer, uint32_t core);
@ elseif network then
/* The end of a layer: msa_progress is asked. True if the call is to end. */
bool msa_layer_end(msa_session *s, msa_phase phase, uint32_t layer);
@ end
@ if network then
/* A prompt's tokens, to the arena, for an image of width x height. @return their number */
uint32_t msa_tokens_of(const msa_session *s, const msa_prompt *prompt, uint32_t slice, uint32_t width, uint32_t height);

/* The self-test's computation, on this core alone, with the session's bank. Overwrites the arena. MSA_OK,
 * MSA_E_SELF_TEST, _FETCH. */
msa_status msa_known_answer(msa_session *s);

@ end
@ if front then
$(front_internal)
@ end
@ for _, p in ipairs(prototypes) do
$(p)
@ end

#endif
