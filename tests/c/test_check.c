/* SPDX-License-Identifier: Apache-2.0 */
/* The checks at opening: the float environment as it is and as it must not be, and a weights header damaged in every
 * byte. */
#include "../../runtime/msa_check.c"
#include "../../runtime/msa_crc32c.c"

#include <criterion/criterion.h>
#include <fenv.h>
#include <math.h>
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

Test(check, the_environment)
{
    cr_assert_eq(msa_check_environment(), MSA_OK);
    const int modes[] = {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    for (int i = 0; i < 3; ++i) {
        cr_assert_eq(fesetround(modes[i]), 0);
        const msa_status status = msa_check_environment();
        fesetround(FE_TONEAREST);
        cr_assert_eq(status, MSA_E_ENVIRONMENT, "mode %d", i);
    }
#if defined(__SSE2__)
    const unsigned before = _mm_getcsr(), flags[] = {0x8000u /* flush results */, 0x40u /* read as zero */};
    for (int i = 0; i < 2; ++i) {
        _mm_setcsr(before | flags[i]);
        const msa_status status = msa_check_environment();
        _mm_setcsr(before);
        cr_assert_eq(status, MSA_E_ENVIRONMENT, "flag %d", i);
    }
#endif
    cr_assert_eq(msa_check_environment(), MSA_OK);
}

enum { BYTES = 320 };

static unsigned char blob[BYTES];
static unsigned char hash[32];
static const char class[32] = "int8-dyn-muladd-1";

static void put(size_t at, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; ++i)
        blob[at + i] = (unsigned char)(value >> 8 * i);
}

static void seal(void)
{
    put(28, msa_crc32c(0, blob + 128, 48), 4);
}

/* A header and two segments of 64 bytes. */
static void make(void)
{
    memset(blob, 0, sizeof blob);
    memcpy(blob, "MSAGENW", 8);
    put(8, 1, 4);
    put(12, 128, 4);
    put(16, BYTES, 8);
    put(24, 2, 4);
    memcpy(blob + 32, class, 16);
    memcpy(blob + 80, class + 16, 16);
    for (size_t i = 0; i < 32; ++i)
        blob[48 + i] = hash[i] = (unsigned char)(i + 1);
    for (size_t i = 192; i < BYTES; ++i)
        blob[i] = (unsigned char)i;
    for (size_t s = 0; s < 2; ++s) {
        put(128 + 24 * s, 192 + 64 * s, 8);
        put(136 + 24 * s, 64, 8);
        put(144 + 24 * s, msa_crc32c(0, blob + 192 + 64 * s, 64), 4);
    }
    seal();
}

static msa_status check(size_t bytes)
{
    /* A copy of just that many bytes, so that a sanitizer sees a read past them. */
    unsigned char *copy = malloc(bytes ? bytes : 1);
    memcpy(copy, blob, bytes);
    const msa_status status = msa_check_weights(copy, bytes, BYTES, class, hash);
    free(copy);
    return status;
}

Test(check, a_whole_blob)
{
    make();
    cr_assert_eq(check(BYTES), MSA_OK);
    cr_assert_eq(msa_blob_segments(blob), 2);
    for (uint32_t i = 0; i < 2; ++i) {
        msa_segment_sum sum;
        cr_assert_eq(msa_check_segment(blob, i, &sum), MSA_OK);
        cr_assert(sum.offset == 192 + 64 * i && sum.bytes == 64 && sum.found == sum.expected);
    }
}

Test(check, every_length)
{
    make();
    for (size_t bytes = 0; bytes < BYTES; ++bytes)
        cr_assert_eq(check(bytes), MSA_E_SIZE, "%d bytes", (int)bytes);
    cr_assert_eq(msa_check_weights(blob, BYTES, BYTES + 64, class, hash), MSA_E_SIZE);
}

Test(check, every_byte_before_the_segments)
{
    for (size_t i = 0; i < 192; ++i) {
        make();
        blob[i] ^= 0x10;
        const msa_status got = check(BYTES);
        const msa_status expected = i < 16 ? MSA_E_FORMAT : i < 24 ? MSA_E_SIZE : i < 28 ? MSA_E_FORMAT : i < 32
            ? MSA_E_CRC
            : i < 48 ? MSA_E_ARITHMETIC : i < 80 ? MSA_E_BUILD : i < 96 ? MSA_E_ARITHMETIC : i < 128 ? MSA_E_FORMAT
            : i < 128 + 48 ? MSA_E_CRC
                : MSA_E_FORMAT;
        /* Sixteen more segments than there are still fit the file; their table's sum is wrong. */
        const bool fits = i == 24 && got == MSA_E_CRC;
        cr_assert(got == expected || fits, "byte %d: %d, expected %d", (int)i, (int)got, (int)expected);
    }
}

Test(check, segments_outside_the_blob)
{
    const uint64_t wrong[][2] = {{BYTES + 1, 0}, {192, BYTES}, {UINT64_MAX, 64}, {64, UINT64_MAX},
        {UINT64_MAX - 63, 64}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; ++i) {
        make();
        put(152, wrong[i][0], 8);
        put(160, wrong[i][1], 8);
        seal();
        cr_assert_eq(check(BYTES), MSA_E_FORMAT, "segment %d", (int)i);
    }
    make();
    put(24, UINT32_MAX, 4);
    cr_assert_eq(check(BYTES), MSA_E_FORMAT);
}

Test(check, every_bit_of_the_weights)
{
    make();
    for (size_t i = 192; i < BYTES; ++i)
        for (int bit = 0; bit < 8; ++bit) {
            blob[i] ^= (unsigned char)(1u << bit);
            const uint32_t damaged = i < 256 ? 0 : 1;
            msa_segment_sum sum;
            cr_assert_eq(msa_check_segment(blob, damaged, &sum), MSA_E_CRC);
            cr_assert(sum.offset == 192 + 64 * damaged && sum.bytes == 64 && sum.found != sum.expected);
            cr_assert_eq(msa_check_segment(blob, 1 - damaged, &sum), MSA_OK);
            blob[i] ^= (unsigned char)(1u << bit);
        }
}

Test(check, finite)
{
    float x[3] = {FLT_MAX, -0.0f, -FLT_MAX};
    cr_assert(msa_finite(x, 3));
    x[2] = INFINITY;
    cr_assert_not(msa_finite(x, 3));
    cr_assert(msa_finite(x, 2));
    x[0] = NAN;
    cr_assert_not(msa_finite(x, 1));
}
