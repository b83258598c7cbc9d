/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C as msagen itself has it, from its library: on x86-64, from tables, in three streams. */
#include <criterion/criterion.h>

#include "msa_runtime.h"
#include "crc.h"

Test(crc, rfc_3720) { check_rfc_3720(); }
Test(crc, in_pieces) { check_pieces(); }
Test(crc, short_ones_at_every_alignment) { check_short(); }
Test(crc, long_ones) { check_long(); }
