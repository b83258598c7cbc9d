/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C against published vectors, and the CPU's instructions against plain C. */
#include "crc32c.h"

#include <criterion/criterion.h>
#include <string.h>

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
