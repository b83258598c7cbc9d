/* SPDX-License-Identifier: Apache-2.0 */
/* The device's CRC-32C as this compiler's usual flags make it: on x86-64, from tables, in three streams. */
#include <criterion/criterion.h>

#include "../../runtime/msa_crc32c.c"
#include "crc.h"

Test(crc, rfc_3720) { check_rfc_3720(); }
Test(crc, in_pieces_and_as_the_packer_computes_it) { check_pieces(); }
Test(crc, short_ones_at_every_alignment) { check_short(); }
Test(crc, long_ones) { check_long(); }
