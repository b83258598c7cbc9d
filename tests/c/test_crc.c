/* SPDX-License-Identifier: Apache-2.0 */
/* The device's CRC-32C: vectors of RFC 3720 appendix B.4, and agreement with the packer's. */
#include "../../runtime/msa_crc32c.c"

#include "crc32c.h"

#include <criterion/criterion.h>
#include <string.h>

Test(crc, rfc_3720)
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

Test(crc, in_pieces_and_as_the_packer_computes_it)
{
    unsigned char data[257];
    for (unsigned i = 0; i < sizeof data; ++i)
        data[i] = (unsigned char)(i * i + 7 * i);
    const uint32_t whole = msagen_crc32c(0, data, sizeof data);
    for (size_t cut = 0; cut <= sizeof data; ++cut)
        cr_assert_eq(msa_crc32c(msa_crc32c(0, data, cut), data + cut, sizeof data - cut), whole, "cut at %d", (int)cut);
}
