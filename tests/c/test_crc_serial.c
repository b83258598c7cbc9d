/* SPDX-License-Identifier: Apache-2.0 */
/* The device's CRC-32C as small machines have it: from tables, in one stream. */
#include <criterion/criterion.h>

#undef __SSE4_2__
#define MSA_CRC32C_STREAMS 0
#include "../../runtime/msa_crc32c.c"
#include "crc.h"

Test(crc_serial, rfc_3720) { check_rfc_3720(); }
Test(crc_serial, in_pieces) { check_pieces(); }
Test(crc_serial, short_ones_at_every_alignment) { check_short(); }
Test(crc_serial, long_ones) { check_long(); }
