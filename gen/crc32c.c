/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli, reflected, as iSCSI and the weights blob use it). */
#include "crc32c.h"

#include <string.h>
#if defined __x86_64__
#include <nmmintrin.h>
#endif

/* Remainders of the 256 bytes for the reflected polynomial 0x82F63B78, each shifted on by 0..7 further zero bytes. */
static void make_table(uint32_t table[8][256])
{
    for (uint32_t byte = 0; byte < 256; ++byte) {
        uint32_t r = byte;
        for (int bit = 0; bit < 8; ++bit)
            r = r >> 1 ^ (r & 1 ? UINT32_C(0x82F63B78) : 0);
        table[0][byte] = r;
    }
    for (int zeros = 1; zeros < 8; ++zeros)
        for (int byte = 0; byte < 256; ++byte) {
            const uint32_t r = table[zeros - 1][byte];
            table[zeros][byte] = r >> 8 ^ table[0][r & 0xff];
        }
}

uint32_t msagen_crc32c_plain(uint32_t crc, const void *data, size_t bytes)
{
    static uint32_t table[8][256];
    static int made;
    if (!made) {
        make_table(table);
        made = 1;
    }
    const unsigned char *p = data;
    uint32_t r = ~crc;
    for (; bytes >= 8; bytes -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, sizeof word);
        word ^= r;
        r = 0;
        for (int i = 0; i < 8; ++i)
            r ^= table[7 - i][word >> (8 * i) & 0xff];
    }
    for (; bytes; --bytes)
        r = r >> 8 ^ table[0][(r ^ *p++) & 0xff];
    return ~r;
}

#if defined __x86_64__
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const unsigned char *p, size_t bytes)
{
    uint64_t r = (uint32_t)~crc;
    for (; bytes >= 8; bytes -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, sizeof word);
        r = _mm_crc32_u64(r, word);
    }
    for (; bytes; --bytes)
        r = _mm_crc32_u8((uint32_t)r, *p++);
    return ~(uint32_t)r;
}
#endif

uint32_t msagen_crc32c(uint32_t crc, const void *data, size_t bytes)
{
#if defined __x86_64__
    if (__builtin_cpu_supports("sse4.2"))
        return crc32c_sse42(crc, data, bytes);
#endif
    return msagen_crc32c_plain(crc, data, bytes);
}
