/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C, whichever of its ways the includer had it compiled: vectors of RFC 3720 appendix B.4, and the definition, a
 * bit at a time. Relies on: Criterion, and runtime/msa_crc32c.c or its declaration, are included. */
#ifndef TESTS_CRC_H
#define TESTS_CRC_H

#include <stdlib.h>
#include <string.h>

/* A register after one more byte. */
static uint32_t defined_step(uint32_t r, unsigned char byte)
{
    r ^= byte;
    for (int bit = 0; bit < 8; ++bit)
        r = r & 1 ? r >> 1 ^ 0x82f63b78u : r >> 1;
    return r;
}

static uint32_t defined(const unsigned char *data, size_t bytes)
{
    uint32_t r = ~0u;
    for (size_t i = 0; i < bytes; ++i)
        r = defined_step(r, data[i]);
    return ~r;
}

static void fill(unsigned char *data, size_t bytes)
{
    uint32_t noise = 1;
    for (size_t i = 0; i < bytes; ++i) {
        noise = noise * 1664525u + 1013904223u;
        data[i] = (unsigned char)(noise >> 24);
    }
}

static void check_rfc_3720(void)
{
    unsigned char data[32];
    memset(data, 0, sizeof data);
    cr_assert_eq(msa_crc32c(0, data, 32), 0x8a9136aau);
    memset(data, 0xff, sizeof data);
    cr_assert_eq(msa_crc32c(0, data, 32), 0x62a8ab43u);
    for (unsigned i = 0; i < 32; ++i)
        data[i] = (unsigned char)i;
    cr_assert_eq(msa_crc32c(0, data, 32), 0x46dd794eu);
    for (unsigned i = 0; i < 32; ++i)
        data[i] = (unsigned char)(31 - i);
    cr_assert_eq(msa_crc32c(0, data, 32), 0x113fdb5cu);
    cr_assert_eq(msa_crc32c(0, "123456789", 9), 0xe3069283u);
    cr_assert_eq(msa_crc32c(0, data, 0), 0u);
}

static void check_pieces(void)
{
    unsigned char data[4099];
    fill(data, sizeof data);
    const uint32_t whole = defined(data, sizeof data);
    cr_assert_eq(msa_crc32c(0, data, sizeof data), whole);
    for (size_t cut = 0; cut <= sizeof data; ++cut)
        cr_assert_eq(msa_crc32c(msa_crc32c(0, data, cut), data + cut, sizeof data - cut), whole, "cut at %zu", cut);
}

/* Every short length at every alignment, in memory that ends with it: a sanitizer sees a read past the end. */
static void check_short(void)
{
    for (size_t offset = 0; offset < 16; ++offset)
        for (size_t bytes = 0; bytes <= 300; ++bytes) {
            unsigned char *const data = malloc(offset + bytes ? offset + bytes : 1), *const p = data + offset;
            fill(p, bytes);
            cr_assert_eq(msa_crc32c(0, p, bytes), defined(p, bytes), "%zu bytes at %zu", bytes, offset);
            free(data);
        }
}

/* Where streams begin to be used, and around each of their lengths. */
static void check_long(void)
{
    const size_t most = (13u << 19) + 77;
    unsigned char *const data = malloc(most);
    uint32_t *const expected = malloc((most + 1) * sizeof *expected); /* of each length */
    cr_assert(data && expected);
    fill(data, most);
    uint32_t r = ~0u;
    for (size_t i = 0; i < most; ++i) {
        expected[i] = ~r;
        r = defined_step(r, data[i]);
    }
    expected[most] = ~r;
    for (size_t bytes = 1400; bytes < 5000; ++bytes)
        cr_assert_eq(msa_crc32c(0, data, bytes), expected[bytes], "%zu bytes", bytes);
    for (int k = 10; k <= 21; ++k)
        for (size_t times = 1; times <= 4; ++times)
            for (size_t around = 0; around < 18; ++around) {
                const size_t bytes = times * ((size_t)3 << k) / 2 + around - 9;
                if (bytes <= most)
                    cr_assert_eq(msa_crc32c(0, data, bytes), expected[bytes], "%zu bytes", bytes);
            }
    for (size_t bytes = most; bytes > most - 40; --bytes)
        cr_assert_eq(msa_crc32c(0, data, bytes), expected[bytes], "%zu bytes", bytes);
    /* From an odd address, continuing. */
    for (size_t at = 1; at < 16; ++at)
        cr_assert_eq(msa_crc32c(expected[at], data + at, most - at), expected[most], "from %zu", at);
    free(data);
    free(expected);
}

#endif
