/* SPDX-License-Identifier: 0BSD */
/* msa_crc32c.c - CRC-32C (Castagnoli): tells damaged weights from whole ones, about as fast as memory is read.
 *
 * The CRC is a remainder modulo a polynomial P over GF(2), bits reflected: bit 31 of a register is x^0. One step takes
 * a word in and waits for the step before; so three streams, neighbours in memory, go side by side, and their
 * remainders are joined:
 * (first * x^(16 L) + second * x^(8 L) + third) mod P for streams of L bytes. */
#include "msa_runtime.h"

#if defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

#if defined(__SSE4_2__) && defined(__x86_64__)

typedef uint64_t crc_word;
typedef uint64_t crc_state;

static inline crc_word load_word(const unsigned char *p)
{
    crc_word w;
    (void)memcpy(&w, p, sizeof w);
    return w;
}

static inline crc_state add_word(crc_state r, crc_word w)
{
    return __builtin_ia32_crc32di(r, w);
}

static inline crc_state add_byte(crc_state r, unsigned char byte)
{
    return __builtin_ia32_crc32qi((uint32_t)r, byte);
}

#elif defined(__ARM_FEATURE_CRC32)

#if defined(__aarch64__)
typedef uint64_t crc_word;
#else
typedef uint32_t crc_word;
#endif
typedef uint32_t crc_state;

static inline crc_word load_word(const unsigned char *p)
{
    crc_word w;
    (void)memcpy(&w, p, sizeof w);
    return w;
}

static inline crc_state add_word(crc_state r, crc_word w)
{
#if defined(__aarch64__)
    return __crc32cd(r, w);
#else
    return __crc32cw(r, w);
#endif
}

static inline crc_state add_byte(crc_state r, unsigned char byte)
{
    return __crc32cb(r, byte);
}

#else

typedef uint32_t crc_word;
typedef uint32_t crc_state;

/* Each byte's remainder with 0 to 3 bytes behind it: the sum of its bits', which are x^(32 + 8 * bytes behind + 7 -
 * bit) mod P. */
#define BITS(n, b7, b6, b5, b4, b3, b2, b1, b0)                                                               \
    ((((n) & 128u) != 0u ? (b7) : 0u) ^ (((n) & 64u) != 0u ? (b6) : 0u) ^ (((n) & 32u) != 0u ? (b5) : 0u) ^   \
     (((n) & 16u) != 0u ? (b4) : 0u) ^ (((n) & 8u) != 0u ? (b3) : 0u) ^ (((n) & 4u) != 0u ? (b2) : 0u) ^      \
     (((n) & 2u) != 0u ? (b1) : 0u) ^ (((n) & 1u) != 0u ? (b0) : 0u))
#define BEHIND_0(n) \
    BITS(n, 0x82f63b78u, 0x417b1dbcu, 0x20bd8edeu, 0x105ec76fu, 0x8ad958cfu, 0xc79a971fu, 0xe13b70f7u, 0xf26b8303u)
#define BEHIND_1(n) \
    BITS(n, 0xfbc3faf9u, 0xff17c604u, 0x7f8be302u, 0x3fc5f181u, 0x9d14c3b8u, 0x4e8a61dcu, 0x274530eeu, 0x13a29877u)
#define BEHIND_2(n) \
    BITS(n, 0x8b277743u, 0xc76580d9u, 0xe144fb14u, 0x70a27d8au, 0x38513ec5u, 0x9edea41au, 0x4f6f520du, 0xa541927eu)
#define BEHIND_3(n) \
    BITS(n, 0x52a0c93fu, 0xaba65fe7u, 0xd725148bu, 0xe964b13du, 0xf64463e6u, 0x7b2231f3u, 0xbf672381u, 0xdd45aab8u)
#define FOUR(of, n) of(n), of((n) + 1u), of((n) + 2u), of((n) + 3u)
#define SIXTEEN(of, n) FOUR(of, n), FOUR(of, (n) + 4u), FOUR(of, (n) + 8u), FOUR(of, (n) + 12u)
#define SIXTY_FOUR(of, n) SIXTEEN(of, n), SIXTEEN(of, (n) + 16u), SIXTEEN(of, (n) + 32u), SIXTEEN(of, (n) + 48u)
#define EVERY_BYTE(of) {SIXTY_FOUR(of, 0u), SIXTY_FOUR(of, 64u), SIXTY_FOUR(of, 128u), SIXTY_FOUR(of, 192u)}

static const uint32_t table[4][256] = {EVERY_BYTE(BEHIND_0), EVERY_BYTE(BEHIND_1), EVERY_BYTE(BEHIND_2),
    EVERY_BYTE(BEHIND_3)};

static inline crc_word load_word(const unsigned char *p)
{
    return (crc_word)p[0] | ((crc_word)p[1] << 8) | ((crc_word)p[2] << 16) | ((crc_word)p[3] << 24);
}

static inline crc_state add_word(crc_state r, crc_word w)
{
    const crc_state x = r ^ w;
    return table[3][x & 255u] ^ table[2][(x >> 8) & 255u] ^ table[1][(x >> 16) & 255u] ^ table[0][x >> 24];
}

static inline crc_state add_byte(crc_state r, unsigned char byte)
{
    return (r >> 8) ^ table[0][(r ^ byte) & 255u];
}

#endif

/* 1: three streams. A 32-bit machine without the instruction is a small one, which its tables keep busy with one stream
 * and whose flash memory is read faster in order. */
#ifndef MSA_CRC32C_STREAMS
#if UINTPTR_MAX > 0xffffffffu || defined(__ARM_FEATURE_CRC32)
#define MSA_CRC32C_STREAMS 1
#else
#define MSA_CRC32C_STREAMS 0
#endif
#endif

#if MSA_CRC32C_STREAMS

/* Streams are of 2^k bytes, k from STREAM_LEAST to STREAM_MOST. Shorter ones cost more to join than they gain; where a
 * stream starts, the machine must find out again what it should fetch ahead: short ones are read slowly, too. */
enum { STREAM_LEAST = 9, STREAM_MOST = 20 };

/* first * x^(16 L) + second * x^(8 L) mod P, L = 2^k */
static uint32_t join(uint32_t first, uint32_t second, uint32_t k)
{
    /* x^(8 * 2^k) mod P for k from STREAM_LEAST to STREAM_MOST + 1. */
    static const uint32_t powers[STREAM_MOST + 2 - STREAM_LEAST] = {
        0x74c360a4u, 0xe4172b16u, 0x0d65762au, 0x35d73a62u, 0x28461564u, 0xbf455269u, 0xe2ea32dcu, 0xfe7740e6u,
        0xf946610bu, 0x3c204f8fu, 0x538586e3u, 0x59726915u, 0x734d5309u,
    };
    uint32_t twice = powers[k + 1u - STREAM_LEAST];
    uint32_t once = powers[k - STREAM_LEAST];
    uint32_t sum = 0;
    for (uint32_t i = 32; i > 0u; --i) {
        sum ^= twice & (0u - ((first >> (i - 1u)) & 1u));
        sum ^= once & (0u - ((second >> (i - 1u)) & 1u));
        twice = (twice >> 1) ^ (0x82f63b78u & (0u - (twice & 1u)));
        once = (once >> 1) ^ (0x82f63b78u & (0u - (once & 1u)));
    }
    return sum;
}

#endif

uint32_t msa_crc32c(uint32_t crc, const void *data, size_t bytes)
{
    const unsigned char *p = (const unsigned char *)data;
    const uint32_t start = ~crc;
    crc_state r = start;
#if MSA_CRC32C_STREAMS
    for (uint32_t k = STREAM_MOST; k >= STREAM_LEAST; --k) {
        const size_t length = (size_t)1 << k;
        for (; bytes >= 3u * length; bytes -= 3u * length) {
            crc_state second = 0;
            crc_state third = 0;
            for (const unsigned char *const end = p + length; p != end; p += sizeof(crc_word)) {
                r = add_word(r, load_word(p));
                second = add_word(second, load_word(p + length));
                third = add_word(third, load_word(p + 2u * length));
            }
            r = join((uint32_t)r, (uint32_t)second, k) ^ third;
            p += 2u * length;
        }
    }
#endif
    for (; bytes >= sizeof(crc_word); bytes -= sizeof(crc_word)) {
        r = add_word(r, load_word(p));
        p += sizeof(crc_word);
    }
    for (; bytes > 0u; --bytes) {
        r = add_byte(r, *p++);
    }
    return ~(uint32_t)r;
}
