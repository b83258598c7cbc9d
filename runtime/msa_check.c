/* SPDX-License-Identifier: 0BSD */
/* msa_check.c - what must hold before the arithmetic means anything: the machine's float unit, and the weights' header.
 * */
#include "msa_arith.h"
#include "msa_runtime.h"

#include <float.h>
#include <limits.h>

#if CHAR_BIT != 8 || FLT_RADIX != 2 || FLT_MANT_DIG != 24 || DBL_MANT_DIG != 53
#error "msa needs IEEE float and double"
#endif
/* The blob: offsets in its header and in an entry of its segment table. */
enum {
    BLOB_VERSION = 1,
    AT_VERSION = 8,
    AT_HEADER_BYTES = 12,
    AT_TOTAL_BYTES = 16,
    AT_SEGMENTS = 24,
    AT_TABLE_CRC = 28,
    AT_ARITHMETIC = 32,
    AT_HASH = 48,
    AT_ARITHMETIC_REST = 80,
    AT_ZEROS = 96,
    HEADER_BYTES = 128,
    SEGMENT_BYTES = 24,
    AT_SEGMENT_BYTES = 8,
    AT_SEGMENT_CRC = 16
};

static uint32_t read_u32(const unsigned char *p)
{
    return (uint32_t)p[0] | ((uint32_t)p[1] << 8) | ((uint32_t)p[2] << 16) | ((uint32_t)p[3] << 24);
}

static uint64_t read_u64(const unsigned char *p)
{
    return (uint64_t)read_u32(p) | ((uint64_t)read_u32(p + 4) << 32);
}

uint32_t msa_blob_segments(const unsigned char *weights)
{
    return read_u32(weights + AT_SEGMENTS);
}

msa_segment_entry msa_blob_segment(const unsigned char *weights, uint32_t i)
{
    const unsigned char *const entry = weights + HEADER_BYTES + (size_t)i * SEGMENT_BYTES;
    const msa_segment_entry out = {read_u64(entry), read_u64(entry + AT_SEGMENT_BYTES),
        read_u32(entry + AT_SEGMENT_CRC)};
    return out;
}

/* A loop that a compiler may make one of vectors; on some machines those flush what scalars keep, and the plain loops
 * here and in the layers must not become such ones (on Helium: -fno-tree-vectorize -fno-tree-slp-vectorize). */
static bool loop_flushes(void)
{
    float halves[16];
    volatile float least = FLT_MIN;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < 16u; ++i) {
        halves[i] = least;
    }
    for (uint32_t i = 0; i < 16u; ++i) {
        halves[i] = halves[i] * 0.5f;
    }
    for (uint32_t i = 0; i < 16u; ++i) {
        kept += msa_bits(halves[i]) != 0u ? 1u : 0u;
    }
    return kept != 16u;
}

msa_status msa_check_environment(void)
{
    const uint32_t one = 1;
    if (*(const unsigned char *)&one != 1) { /* the low byte first */
        return MSA_E_ENVIRONMENT;
    }
    /* Volatile: the machine is asked, not the compiler. Halves of the last place go to even: down from 1, up from its
     * successor. */
    volatile float half = FLT_EPSILON / 2.0f;
    volatile float even = 1.0f;
    volatile float odd = 1.0f + FLT_EPSILON;
    volatile float down = even + half;
    volatile float up = odd + half;
    if (down != 1.0f || up != 1.0f + 2.0f * FLT_EPSILON) {
        return MSA_E_ENVIRONMENT;
    }
    volatile float least = FLT_MIN;
    volatile float subnormal = least * 0.5f;
    volatile float again = subnormal * 2.0f;
    if (loop_flushes() || again != FLT_MIN) {
        return MSA_E_ENVIRONMENT;
    }
    return MSA_OK;
}

static bool all_zero(const unsigned char *p, size_t from, size_t to)
{
    unsigned char any = 0;
    for (size_t i = from; i < to; ++i) {
        any |= p[i];
    }
    return any == 0u;
}

msa_status msa_check_header(const unsigned char *weights, size_t readable, uint64_t bytes, uint64_t expected_bytes,
                            const char arithmetic[32], const unsigned char hash[32])
{
    static const char magic[8] = "MSAGENW";
    if (readable < HEADER_BYTES || bytes < HEADER_BYTES) {
        return MSA_E_SIZE;
    }
    if (memcmp(weights, magic, sizeof magic) != 0 || read_u32(weights + AT_VERSION) != BLOB_VERSION
        || read_u32(weights + AT_HEADER_BYTES) != HEADER_BYTES) {
        return MSA_E_FORMAT;
    }
    if (memcmp(weights + AT_ARITHMETIC, arithmetic, 16) != 0
        || memcmp(weights + AT_ARITHMETIC_REST, arithmetic + 16, 16) != 0) {
        return MSA_E_ARITHMETIC;
    }
    if (memcmp(weights + AT_HASH, hash, 32) != 0) {
        return MSA_E_BUILD;
    }
    const uint64_t total = read_u64(weights + AT_TOTAL_BYTES);
    if (total != bytes || total != expected_bytes) {
        return MSA_E_SIZE;
    }
    const uint64_t segments = read_u32(weights + AT_SEGMENTS);
    if (segments > (total - HEADER_BYTES) / SEGMENT_BYTES || segments > (readable - HEADER_BYTES) / SEGMENT_BYTES) {
        return MSA_E_FORMAT;
    }
    if (msa_crc32c(0, weights + HEADER_BYTES, (size_t)(segments * SEGMENT_BYTES)) != read_u32(weights + AT_TABLE_CRC)) {
        return MSA_E_CRC;
    }
    for (uint64_t i = 0; i < segments; ++i) {
        const msa_segment_entry entry = msa_blob_segment(weights, (uint32_t)i);
        if (entry.offset > total || entry.bytes > total - entry.offset) {
            return MSA_E_FORMAT;
        }
    }
    /* What has no sum of its own: the header's last bytes, and those between the table and the first segment. */
    const uint64_t first = segments > 0u ? msa_blob_segment(weights, 0).offset : total;
    const size_t padded = first < readable ? (size_t)first : readable;
    if (!all_zero(weights, AT_ZEROS, HEADER_BYTES)
        || !all_zero(weights, HEADER_BYTES + (size_t)(segments * SEGMENT_BYTES), padded)) {
        return MSA_E_FORMAT;
    }
    return MSA_OK;
}

msa_status msa_check_weights(const unsigned char *weights, size_t bytes, uint64_t expected_bytes,
                             const char arithmetic[32], const unsigned char hash[32])
{
    return msa_check_header(weights, bytes, bytes, expected_bytes, arithmetic, hash);
}

msa_status msa_check_segment(const unsigned char *weights, uint32_t i, msa_segment_sum *sum)
{
    const msa_segment_entry entry = msa_blob_segment(weights, i);
    sum->offset = entry.offset;
    sum->bytes = entry.bytes;
    sum->expected = entry.crc;
    sum->found = msa_crc32c(0, weights + (size_t)entry.offset, (size_t)entry.bytes);
    return sum->found == sum->expected ? MSA_OK : MSA_E_CRC;
}

bool msa_apart(const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
    const uintptr_t first = (uintptr_t)a, second = (uintptr_t)b;
    if (a_bytes == 0u || b_bytes == 0u) {
        return true;
    }
    return first < second ? second - first >= a_bytes : first - second >= b_bytes;
}

bool msa_finite(const float *x, size_t count)
{
    for (size_t i = 0; i < count; ++i) {
        if ((msa_bits(x[i]) & 0x7f800000u) == 0x7f800000u) {
            return false;
        }
    }
    return true;
}
