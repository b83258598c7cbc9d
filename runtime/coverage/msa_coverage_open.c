/* SPDX-License-Identifier: 0BSD */
/* msa_coverage_open.c - of msa_coverage.c: statuses, opening, the blob's header, the float unit, slices, the self-test.
 */
#include "msa_coverage.h"

#include <fenv.h>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#define ALL_WEIGHTS MSA_MODEL_WEIGHTS_BYTES

enum { AT_VERSION = 8, AT_HEADER_BYTES = 12, AT_TOTAL = 16, AT_SEGMENTS = 24, AT_TABLE_CRC = 28, AT_ARITHMETIC = 32,
    AT_HASH = 48, AT_ARITHMETIC_REST = 80, AT_ZEROS = 96, TABLE = 128, ENTRY = 24, ENTRY_BYTES = 8, ENTRY_CRC = 16 };

void cover_statuses(void)
{
    for (uint32_t i = 0; i <= (uint32_t)MSA_E_CAPACITY + 1u; ++i) {
        COVER(msa_status_text((msa_status)i) != NULL && msa_status_text((msa_status)i)[0] != '\0', true);
    }
#if !COVER_TRAINING
    const msa_build *const build = msa_build_info();
    COVER(strcmp(build->arithmetic, MSA_MODEL_ARITHMETIC), 0);
#if COVER_NETWORK
    COVER(build->input_size, MSA_MODEL_INPUT_SIZE);
#else
    COVER(build->input_size, 0);
#endif
#endif
    (void)msa_cycles();
}

/* Sums in one piece and in two, of bytes that no word divides, and a known one; floats with NaN, infinity and none. */
void cover_sums(void)
{
    static unsigned char bytes[3 * 4096 + 5];
    static const uint32_t bits[3] = {0x3f800000u, 0x7f800000u, 0x7fc00000u};
    float floats[3];
    (void)memcpy(floats, bits, sizeof floats);
    for (size_t i = 0; i < sizeof bytes; ++i) {
        bytes[i] = (unsigned char)((i * 2654435761u) >> 7);
    }
    COVER(msa_crc32c(0, "123456789", 9), 0xe3069283u);
    COVER(msa_crc32c(msa_crc32c(0, bytes, 11), bytes + 11, sizeof bytes - 11u), msa_crc32c(0, bytes, sizeof bytes));
    COVER(msa_finite(floats, 1), true);
    COVER(msa_finite(floats, 2), false);
    COVER(msa_finite(floats + 2, 1), false);
}

static void put_u32(unsigned char *p, uint32_t value)
{
    for (uint32_t i = 0; i < 4u; ++i) {
        p[i] = (unsigned char)(value >> (8u * i));
    }
}

static void put_u64(unsigned char *p, uint64_t value)
{
    put_u32(p, (uint32_t)value);
    put_u32(p + 4, (uint32_t)(value >> 32));
}

void cover_seal_table(void)
{
    unsigned char *const w = cover.weights;
    put_u32(w + AT_TABLE_CRC, msa_crc32c(0, w + TABLE, (size_t)msa_blob_segments(w) * ENTRY));
}

void cover_seal_segment(uint32_t segment)
{
    unsigned char *const w = cover.weights;
    const msa_segment_entry entry = msa_blob_segment(w, segment);
    put_u32(w + TABLE + (size_t)segment * ENTRY + ENTRY_CRC,
            msa_crc32c(0, w + (size_t)entry.offset, (size_t)entry.bytes));
    cover_seal_table();
}

#if !COVER_TRAINING
#if !MSA_MODEL_STREAMED
/* Weights that begin elsewhere, or share bytes with the arena or the session. */
static void weights_in_the_way(void)
{
    unsigned char *const a = cover.arena, *const w = cover.weights;
    const size_t bytes = MSA_MODEL_ARENA_BYTES;
    unsigned char kept[sizeof(msa_session)];
    COVER(msa_open(&cover.s, a, bytes, w + 4, ALL_WEIGHTS), MSA_E_ALIGNMENT);
    COVER(msa_open(&cover.s, a, bytes, a, ALL_WEIGHTS), MSA_E_OVERLAP);
    COVER(msa_open(&cover.s, w, bytes, w + MSA_ALIGNMENT, ALL_WEIGHTS), MSA_E_OVERLAP);
    msa_session *const within = (msa_session *)(void *)(w + ALL_WEIGHTS / 128u * 64u);
    (void)memcpy(kept, within, sizeof kept);
    (void)memset(within, 0, sizeof *within);
    COVER(msa_open(within, a, bytes, w, ALL_WEIGHTS), MSA_E_OVERLAP);
    (void)memcpy(within, kept, sizeof kept);
}
#endif

/* A session that is not open, whose calls are refused; then what msa_open refuses. */
void cover_open(void)
{
    msa_session *const s = &cover.s;
    unsigned char *const a = cover.arena;
    const void *const w = cover_given(), *const other = MSA_MODEL_STREAMED ? cover.weights : NULL;
    const size_t bytes = MSA_MODEL_ARENA_BYTES;
    COVER(cover_compute(NULL), MSA_E_ARGUMENT);
    cover_refused(s, MSA_E_ARGUMENT);
    COVER(msa_open(NULL, a, bytes, w, ALL_WEIGHTS), MSA_E_ARGUMENT);
    COVER(msa_open(s, NULL, bytes, w, ALL_WEIGHTS), MSA_E_ARGUMENT);
    COVER(cover_compute(s), MSA_E_ARGUMENT); /* this build's, and closed */
    COVER(msa_open(s, a, bytes, other, ALL_WEIGHTS), MSA_E_ARGUMENT);
    COVER(msa_open(s, a + 4, bytes, w, ALL_WEIGHTS), MSA_E_ALIGNMENT);
    COVER(msa_open(s, a, bytes - 1u, w, ALL_WEIGHTS), MSA_E_ARENA);
    COVER(msa_open(s, a, bytes, w, ALL_WEIGHTS - 64u), MSA_E_SIZE);
    COVER(msa_open(s, a, bytes, w, 16), MSA_E_SIZE);
    /* A session within the arena. */
    msa_session *const inside = (msa_session *)(void *)(a + MSA_ALIGNMENT);
    (void)memset(inside, 0, sizeof *inside);
    COVER(msa_open(inside, a, bytes, w, ALL_WEIGHTS), MSA_E_OVERLAP);
    COVER(msa_apart(a, 0, a, 1) && msa_apart(a, 1, a, 0) && !msa_apart(a, 1, a, 1), true);
#if !MSA_MODEL_STREAMED
    weights_in_the_way();
#endif
}
#endif

/* A bit of the header flipped: refused at opening, by all that checks, and the session that was open stays. */
static void flipped(size_t at, msa_status want)
{
    cover.weights[at] ^= 1u;
#if COVER_TRAINING
    COVER(cover_open_anew(), want);
#else
    msa_session other;
    (void)memset(&other, 0, sizeof other);
    COVER(msa_open(&other, cover.arena, MSA_MODEL_ARENA_BYTES, cover_given(), ALL_WEIGHTS), want);
    COVER(msa_weights_check(&cover.s, 0, NULL), want);
    COVER(msa_check_slice(&cover.s, 4096, NULL), want);
    COVER(msa_self_test(&cover.s), want);
#endif
    cover.weights[at] ^= 1u;
}

/* The header's check by itself: MSA_OK is `want` only where nothing was changed. */
static void header(size_t readable, uint64_t bytes, uint64_t expected, msa_status want)
{
    static const char arithmetic[32] = MSA_MODEL_ARITHMETIC;
    static const unsigned char hash[32] = MSA_MODEL_HASH;
    COVER(msa_check_header(cover.weights, readable, bytes, expected, arithmetic, hash), want);
}

void cover_header(void)
{
    unsigned char *const w = cover.weights, *const last = w + TABLE + (size_t)(MSA_MODEL_SEGMENTS - 1u) * ENTRY;
    const uint64_t all = ALL_WEIGHTS;
    cover_opened();
    flipped(0, MSA_E_FORMAT);
    flipped(AT_VERSION, MSA_E_FORMAT);
    flipped(AT_HEADER_BYTES, MSA_E_FORMAT);
    flipped(AT_ARITHMETIC, MSA_E_ARITHMETIC);
    flipped(AT_ARITHMETIC_REST, MSA_E_ARITHMETIC);
    flipped(AT_HASH, MSA_E_BUILD);
    flipped(AT_TOTAL, MSA_E_SIZE);
    flipped(AT_SEGMENTS + 3, MSA_E_FORMAT);
    flipped(AT_TABLE_CRC, MSA_E_CRC);
    flipped(AT_ZEROS, MSA_E_FORMAT);
    flipped(TABLE + (size_t)MSA_MODEL_SEGMENTS * ENTRY, MSA_E_FORMAT);
    header((size_t)all, all, all, MSA_OK);
    COVER(msa_check_weights(w, 64, all, MSA_MODEL_ARITHMETIC, w), MSA_E_SIZE);
    header(64, all, all, MSA_E_SIZE);
    header((size_t)all, 64, all, MSA_E_SIZE);
    header((size_t)all, all, all - 64u, MSA_E_SIZE);
    header(TABLE, all, all, MSA_E_FORMAT);
    header(TABLE + (size_t)MSA_MODEL_SEGMENTS * ENTRY, all, all, MSA_OK);
    /* Entries that reach beyond the blob, and a table without any. */
    const msa_segment_entry entry = msa_blob_segment(w, MSA_MODEL_SEGMENTS - 1u);
    put_u64(last, all + 1u);
    cover_seal_table();
    header((size_t)all, all, all, MSA_E_FORMAT);
    put_u64(last, entry.offset);
    put_u64(last + ENTRY_BYTES, entry.bytes + 1u);
    cover_seal_table();
    header((size_t)all, all, all, MSA_E_FORMAT);
    put_u64(last + ENTRY_BYTES, entry.bytes);
    put_u32(w + AT_SEGMENTS, 0);
    cover_seal_table();
    header((size_t)all, all, all, MSA_E_FORMAT); /* what then lies behind the table is not 0 */
    put_u32(w + AT_SEGMENTS, MSA_MODEL_SEGMENTS);
    cover_seal_table();
#if COVER_TRAINING
    cover_opened();
#else
    COVER(msa_self_test(&cover.s), MSA_OK);
#endif
}

#if !COVER_TRAINING
/* Of an open session whose image is encoded, under another rounding, or without subnormals. */
static void other_environment(void)
{
    COVER(cover_compute(&cover.s), MSA_E_ENVIRONMENT);
#ifdef MSA_FRONT_LINES
    COVER(msa_lines_push(&cover.s, &cover.samples, 1), MSA_E_ENVIRONMENT);
#endif
    COVER(msa_self_test(&cover.s), MSA_E_ENVIRONMENT);
    COVER(msa_open(&cover.s, cover.arena, MSA_MODEL_ARENA_BYTES, cover_given(), ALL_WEIGHTS), MSA_E_ENVIRONMENT);
}

void cover_environment(void)
{
    static const int modes[3] = {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    for (uint32_t i = 0; i < 3u; ++i) {
        cover_encoded();
        (void)fesetround(modes[i]);
#if COVER_NETWORK
        COVER(msa_segment(&cover.s, &cover.prompt, &cover.mask), MSA_E_ENVIRONMENT);
#endif
        other_environment();
        (void)fesetround(FE_TONEAREST);
    }
#if defined(__SSE__)
    static const unsigned flushing[2] = {0x8000u, 0x0040u}; /* results that are subnormal become 0, and operands */
    for (uint32_t i = 0; i < 2u; ++i) {
        cover_encoded();
        const unsigned control = _mm_getcsr();
        _mm_setcsr(control | flushing[i]);
        other_environment();
        _mm_setcsr(control);
    }
#endif
    cover_opened();
}

/* Whole rounds, at sizes that divide segments and that do not. */
static void rounds(uint32_t max_bytes)
{
    msa_slice slice = {0, false, {0, 0, 0, 0}};
    uint32_t calls = 0;
    while (!slice.complete && calls < MSA_ROUND_SLICES(max_bytes)) {
        COVER(msa_check_slice(&cover.s, max_bytes, &slice), MSA_OK);
        calls += 1u;
    }
    COVER(slice.complete, true);
}

/* A slice that is damaged is found, and again, until it is not. */
static void damaged(void)
{
    const msa_segment_entry entry = msa_blob_segment(cover.weights, 0);
    unsigned char *const at = cover.weights + (size_t)(entry.offset + entry.bytes - 1u);
    msa_slice slice;
    *at ^= 1u;
    COVER(msa_check_slice(&cover.s, UINT32_MAX, &slice), MSA_E_CRC);
    COVER(slice.segment, 0);
    COVER(msa_check_slice(&cover.s, UINT32_MAX, NULL), MSA_E_CRC);
    COVER(msa_weights_check(&cover.s, 0, NULL), MSA_E_CRC);
    COVER(msa_self_test(&cover.s), MSA_E_CRC);
    *at ^= 1u;
    /* A table that has become another, with a sum that holds: the segment ends before where the round has come to. */
    const uint32_t read = MSA_MODEL_STREAMED ? 128 : MSA_ALIGNMENT;
    COVER(msa_check_slice(&cover.s, read, NULL), MSA_OK);
    put_u64(cover.weights + TABLE + ENTRY_BYTES, read - MSA_ALIGNMENT);
    cover_seal_table();
    COVER(msa_check_slice(&cover.s, 4096, NULL), MSA_E_CRC);
#if MSA_MODEL_STREAMED
    put_u64(cover.weights + TABLE + ENTRY_BYTES, entry.bytes - 1u); /* no fetch is of so many bytes */
    cover_seal_table();
    COVER(msa_weights_check(&cover.s, 0, NULL), MSA_E_FORMAT);
#endif
    put_u64(cover.weights + TABLE + ENTRY_BYTES, entry.bytes);
    cover_seal_table();
    msa_segment_sum sum;
    COVER(msa_check_segment(cover.weights, 0, &sum), MSA_OK);
    *at ^= 1u;
    COVER(msa_check_segment(cover.weights, 0, &sum), MSA_E_CRC);
    *at ^= 1u;
}

/* A session that is another one when the weights were read is closed. */
static void changed_within(void)
{
    cover.change_in_sum = true;
    COVER(msa_weights_check(&cover.s, 0, NULL), MSA_E_SESSION);
    COVER(msa_weights_check(&cover.s, 0, NULL), MSA_E_ARGUMENT);
    cover_opened();
    cover.change_in_sum = true;
    COVER(msa_check_slice(&cover.s, 4096, NULL), MSA_E_SESSION);
    cover_opened();
}

void cover_slices(void)
{
    cover_opened();
    COVER(msa_check_slice(&cover.s, MSA_ALIGNMENT - 1u, NULL), MSA_E_ARGUMENT);
    rounds(1u << 30);
    rounds(8u * MSA_MODEL_LARGEST_SEGMENT / 3u);
    rounds(MSA_MODEL_LARGEST_SEGMENT / 7u + 64u);
    damaged();
    COVER(msa_weights_check(&cover.s, MSA_MODEL_SEGMENTS, NULL), MSA_E_ARGUMENT);
    changed_within();
    for (uint32_t i = 0; i < MSA_MODEL_SEGMENTS; ++i) {
        msa_segment_sum sum;
        COVER(msa_weights_check(&cover.s, i, &sum), MSA_OK);
        COVER(sum.found, sum.expected);
    }
}

#endif

#if COVER_NETWORK
/* A weight of each segment is another one, with a sum that holds: where the self-test looks, it finds it. */
void cover_answers(void)
{
    uint32_t found = 0;
    cover_opened();
    COVER(msa_self_test(&cover.s), MSA_OK);
    for (uint32_t i = 0; i < MSA_MODEL_SEGMENTS; ++i) {
        const msa_segment_entry entry = msa_blob_segment(cover.weights, i);
        unsigned char *const at = cover.weights + (size_t)entry.offset + 3;
        *at ^= 0x40u;
        cover_seal_segment(i);
        const msa_status status = msa_self_test(&cover.s);
        COVER(status == MSA_OK || status == MSA_E_SELF_TEST, true);
        found += status == MSA_E_SELF_TEST ? 1u : 0u;
        *at ^= 0x40u;
        cover_seal_segment(i);
    }
    COVER(found > 0u, true);
    COVER(msa_self_test(&cover.s), MSA_OK);
}
#endif
