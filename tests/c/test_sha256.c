/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 and CRC-32C against published vectors, and the CPU's instructions against plain C. */
#include "crc32c.h"
#include "sha256.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static void hash(const void *data, size_t bytes, int plain, size_t step, char hex[65])
{
    unsigned char digest[32];
    struct msagen_sha256 h;
    msagen_sha256_init(&h);
    h.plain = plain;
    for (size_t at = 0; at < bytes; at += step)
        msagen_sha256_update(&h, (const char *)data + at, bytes - at < step ? bytes - at : step);
    msagen_sha256_final(&h, digest);
    msagen_hex(digest, hex);
}

/* FIPS 180-4 examples, and a million 'a'. */
Test(sha256, published_vectors)
{
    static const char two_blocks[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    char hex[65], *million = malloc(1000000);
    memset(million, 'a', 1000000);
    for (int plain = 0; plain < 2; ++plain) {
        hash("", 0, plain, 1, hex);
        cr_assert_str_eq(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        hash("abc", 3, plain, 3, hex);
        cr_assert_str_eq(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        hash(two_blocks, 56, plain, 56, hex);
        cr_assert_str_eq(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
        hash(million, 1000000, plain, 4096, hex);
        cr_assert_str_eq(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
    free(million);
}

Test(sha256, pieces_and_instructions_do_not_matter)
{
    unsigned char data[300];
    for (size_t i = 0; i < sizeof data; ++i)
        data[i] = (unsigned char)(i * 37 + 11);
    for (size_t n = 0; n <= sizeof data; ++n) {
        char plain[65], fast[65], pieces[65];
        hash(data, n, 1, sizeof data, plain);
        hash(data, n, 0, sizeof data, fast);
        hash(data, n, 0, 7, pieces);
        cr_assert_str_eq(plain, fast);
        cr_assert_str_eq(plain, pieces);
    }
}

/* RFC 3720, B.4, and the check value of the catalogue of CRCs. */
Test(crc32c, published_vectors)
{
    unsigned char data[32];
    cr_assert_eq(msagen_crc32c(0, "123456789", 9), UINT32_C(0xe3069283));
    cr_assert_eq(msagen_crc32c_plain(0, "123456789", 9), UINT32_C(0xe3069283));
    memset(data, 0, sizeof data);
    cr_assert_eq(msagen_crc32c(0, data, sizeof data), UINT32_C(0x8a9136aa));
    memset(data, 0xff, sizeof data);
    cr_assert_eq(msagen_crc32c(0, data, sizeof data), UINT32_C(0x62a8ab43));
    for (unsigned i = 0; i < 32; ++i)
        data[i] = (unsigned char)i;
    cr_assert_eq(msagen_crc32c(0, data, sizeof data), UINT32_C(0x46dd794e));
    cr_assert_eq(msagen_crc32c_plain(0, data, sizeof data), UINT32_C(0x46dd794e));
}

Test(crc32c, pieces_and_instructions_do_not_matter)
{
    unsigned char data[100];
    for (size_t i = 0; i < sizeof data; ++i)
        data[i] = (unsigned char)(i * 151 + 3);
    for (size_t n = 0; n <= sizeof data; ++n) {
        const uint32_t whole = msagen_crc32c(0, data, sizeof data);
        cr_assert_eq(msagen_crc32c(msagen_crc32c(0, data, n), data + n, sizeof data - n), whole);
        cr_assert_eq(msagen_crc32c(0, data, n), msagen_crc32c_plain(0, data, n));
    }
}
