/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4), streamed. */
#include "sha256.h"

#include <string.h>
#if defined __x86_64__
#include <cpuid.h>
#include <immintrin.h>
#endif

/* Section 4.2.2: fractions of the cube roots of the first 64 primes. */
static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

void msagen_sha256_init(struct msagen_sha256 *h)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    *h = (struct msagen_sha256){.bytes = 0};
    memcpy(h->state, start, sizeof start);
}

static uint32_t rotate(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static void blocks_plain(uint32_t state[8], const unsigned char *p, size_t count)
{
    for (; count; --count, p += 64) {
        uint32_t w[64], s[8];
        for (int i = 0; i < 16; ++i)
            w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
        for (int i = 16; i < 64; ++i) {
            const uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
            const uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
            w[i] = w[i - 16] + s0 + w[i - 7] + s1;
        }
        memcpy(s, state, sizeof s);
        for (int i = 0; i < 64; ++i) {
            const uint32_t choose = (s[4] & s[5]) ^ (~s[4] & s[6]);
            const uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
            const uint32_t t1 = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) + choose + constants[i] + w[i];
            const uint32_t t2 = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) + majority;
            s[7] = s[6];
            s[6] = s[5];
            s[5] = s[4];
            s[4] = s[3] + t1;
            s[3] = s[2];
            s[2] = s[1];
            s[1] = s[0];
            s[0] = t1 + t2;
        }
        for (int i = 0; i < 8; ++i)
            state[i] += s[i];
    }
}

#if defined __x86_64__
/* Asked once: under a hypervisor cpuid costs as much as hashing 100 KB. */
static int has_sha(void)
{
    static int known = -1;
    if (known < 0) {
        unsigned a, b, c, d;
        known = __builtin_cpu_supports("sse4.1") && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1);
    }
    return known;
}

__attribute__((target("sha,sse4.1"))) static void blocks_sha(uint32_t state[8], const unsigned char *p, size_t count)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    /* The instructions want the halves as ABEF and CDGH, most significant first. */
    __m128i abcd = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)state), 0xb1);
    __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)(state + 4)), 0x1b);
    __m128i abef = _mm_alignr_epi8(abcd, efgh, 8), cdgh = _mm_blend_epi16(efgh, abcd, 0xf0);
    for (; count; --count, p += 64) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i w[4];
        for (int i = 0; i < 4; ++i)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i)), big_endian);
        for (int i = 0; i < 16; ++i) {
            const __m128i now = w[i & 3];
            __m128i sum = _mm_add_epi32(now, _mm_loadu_si128((const __m128i *)(const void *)(constants + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
            /* w[i & 3] becomes the words 16 further on. */
            const __m128i next = w[(i + 1) & 3], before = w[(i + 3) & 3];
            sum = _mm_add_epi32(_mm_sha256msg1_epu32(now, next), _mm_alignr_epi8(before, w[(i + 2) & 3], 4));
            w[i & 3] = _mm_sha256msg2_epu32(sum, before);
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    abcd = _mm_shuffle_epi32(abef, 0x1b);
    efgh = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)(void *)state, _mm_blend_epi16(abcd, efgh, 0xf0));
    _mm_storeu_si128((__m128i *)(void *)(state + 4), _mm_alignr_epi8(efgh, abcd, 8));
}
#endif

int msagen_sha256_accelerated(void)
{
#if defined __x86_64__
    return has_sha();
#else
    return 0;
#endif
}

static void blocks(struct msagen_sha256 *h, const unsigned char *p, size_t count)
{
#if defined __x86_64__
    if (!h->plain && has_sha()) {
        blocks_sha(h->state, p, count);
        return;
    }
#endif
    blocks_plain(h->state, p, count);
}

void msagen_sha256_update(struct msagen_sha256 *h, const void *data, size_t bytes)
{
    const unsigned char *p = data;
    const size_t held = (size_t)(h->bytes % 64);
    if (bytes == 0)
        return;
    h->bytes += bytes;
    if (held) {
        const size_t n = bytes < 64 - held ? bytes : 64 - held;
        memcpy(h->block + held, p, n);
        p += n;
        bytes -= n;
        if (held + n < 64)
            return;
        blocks(h, h->block, 1);
    }
    if (bytes >= 64)
        blocks(h, p, bytes / 64);
    memcpy(h->block, p + bytes / 64 * 64, bytes % 64);
}

void msagen_sha256_final(struct msagen_sha256 *h, unsigned char digest[32])
{
    static const unsigned char padding[64] = {0x80};
    const uint64_t bits = h->bytes * 8;
    unsigned char length[8];
    for (int i = 0; i < 8; ++i)
        length[i] = (unsigned char)(bits >> (56 - 8 * i));
    msagen_sha256_update(h, padding, (size_t)((119 - h->bytes % 64) % 64 + 1));
    msagen_sha256_update(h, length, sizeof length);
    for (int i = 0; i < 32; ++i)
        digest[i] = (unsigned char)(h->state[i / 4] >> (24 - 8 * (i % 4)));
}

void msagen_hex(const unsigned char digest[32], char text[65])
{
    for (int i = 0; i < 32; ++i) {
        text[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    text[64] = '\0';
}
