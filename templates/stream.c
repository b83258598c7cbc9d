/* SPDX-License-Identifier: 0BSD */
/* msa_stream.c - weights that are fetched a layer ahead, through the product's hooks.
 * $(made_by) */
#include "msa_internal.h"

/* Values of msa_session.fetch. */
#define IDLE 0u
#define UNDER_WAY 1u

static void begin(msa_session *s, uint64_t offset, size_t bytes, void *to)
{
    s->fetch = msa_weights_fetch_begin(s, offset, bytes, to) == 0 ? UNDER_WAY : IDLE;
}

/* Whether a fetch was under way and has come to a good end. */
static bool done(msa_session *s)
{
    const bool under_way = s->fetch == UNDER_WAY;
    s->fetch = IDLE;
    return under_way && msa_weights_fetch_wait(s) == 0;
}

void msa_stream_end(msa_session *s)
{
    (void)done(s);
}

static void begin_piece(msa_session *s, const msa_piece *piece)
{
    begin(s, piece->offset, piece->bytes, s->arena + piece->to);
}

const float *msa_stream_fetch(msa_session *s, const msa_piece *piece)
{
    begin_piece(s, piece);
    return done(s) ? (const float *)(const void *)(s->arena + piece->to) : NULL;
}

const float *msa_stream_next(msa_stream *stream)
{
    msa_session *const s = stream->session;
    const msa_piece *const piece = stream->pieces + stream->next;
@ if cores > 1 then
    /* Two in turn: core 0 may be a piece ahead of a core that still looks at this one's. */
    uint8_t *const lost = s->lost + (stream->next & 1u);
    const bool first = stream->core == 0 || stream->core == MSA_ALONE;
    if (first) {
        if (stream->next == 0) {
            begin_piece(s, piece);
        }
        *lost = !done(s);
    }
    if (stream->core != MSA_ALONE) {
        msa_cores_wait(s->team, s, stream->core);
    }
    if (*lost != 0) {
        return NULL;
    }
    ++stream->next;
    /* No core looks at the piece before any more. */
    if (first && stream->next < stream->count) {
        begin_piece(s, piece + 1);
    }
@ else
    if (stream->next == 0) {
        begin_piece(s, piece);
    }
    if (!done(s)) {
        return NULL;
    }
    ++stream->next;
    if (stream->next < stream->count) {
        begin_piece(s, piece + 1);
    }
@ end
    return (const float *)(const void *)(s->arena + piece->to);
}

/* Header and segment table, in the first buffer. */
static const unsigned char *header(msa_session *s)
{
    unsigned char *const to = s->arena + MSA_STREAM_OFFSET;
    begin(s, 0, MSA_STREAM_HEADER_BYTES, to);
    return done(s) ? to : NULL;
}

msa_status msa_stream_check(msa_session *s, uint64_t bytes, const char arithmetic[32], const unsigned char hash[32])
{
    /* Nothing is asked for that is not there. */
    if (bytes < MSA_STREAM_HEADER_BYTES) {
        return MSA_E_SIZE;
    }
    const unsigned char *const start = header(s);
    return start == NULL ? MSA_E_FETCH
        : msa_check_header(start, MSA_STREAM_HEADER_BYTES, bytes, MSA_MODEL_WEIGHTS_BYTES, arithmetic, hash);
}

msa_segment_entry msa_stream_segment(const msa_session *s, uint32_t i)
{
    return msa_blob_segment(s->arena + MSA_STREAM_OFFSET, i);
}

/* In pieces: one half of the second buffer is filled while the other is read. */
msa_status msa_stream_sum(msa_session *s, uint64_t offset, uint64_t bytes, uint32_t *crc)
{
    static const uint64_t most = MSA_STREAM_SECOND_BYTES / 2 / MSA_ALIGNMENT * MSA_ALIGNMENT;
    unsigned char *const half[2] = {s->arena + MSA_STREAM_SECOND_OFFSET, s->arena + MSA_STREAM_SECOND_OFFSET + most};
    if ((offset | bytes) % MSA_ALIGNMENT != 0) {
        return MSA_E_FORMAT;
    }
    size_t piece = (size_t)(bytes < most ? bytes : most);
    if (piece > 0) {
        begin(s, offset, piece, half[0]);
    }
    for (uint64_t at = 0, count = 0; at < bytes; ++count) {
        if (!done(s)) {
            return MSA_E_FETCH;
        }
        const uint64_t next = at + piece, left = bytes - next;
        const size_t next_piece = (size_t)(left < most ? left : most);
        if (next_piece > 0) {
            begin(s, offset + next, next_piece, half[(count + 1u) & 1u]);
        }
        *crc = msa_crc32c(*crc, half[count & 1u], piece);
        at = next;
        piece = next_piece;
    }
    return MSA_OK;
}

msa_status msa_stream_check_segment(msa_session *s, uint32_t i, msa_segment_sum *sum)
{
    const msa_segment_entry entry = msa_stream_segment(s, i);
    sum->offset = entry.offset;
    sum->bytes = entry.bytes;
    sum->expected = entry.crc;
    sum->found = 0;
    const msa_status status = msa_stream_sum(s, entry.offset, entry.bytes, &sum->found);
    return status == MSA_OK && sum->found != sum->expected ? MSA_E_CRC : status;
}
