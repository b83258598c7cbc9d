/* SPDX-License-Identifier: Apache-2.0 */
/* The device's CRC-32C with the instruction of SSE4.2, where this machine has it. */
#include <criterion/criterion.h>

#if defined __x86_64__
#if defined __clang__
#pragma clang attribute push(__attribute__((target("sse4.2"))), apply_to = function)
#ifndef __SSE4_2__
#define __SSE4_2__ 1
#endif
#else
#pragma GCC push_options
#pragma GCC target("sse4.2")
#endif
#include "../../runtime/msa_crc32c.c"
#if defined __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#define PRESENT __builtin_cpu_supports("sse4.2")
#else
#include "../../runtime/msa_crc32c.c"
#define PRESENT 0
#endif
#include "crc.h"

static void need(void)
{
    if (!PRESENT)
        cr_skip_test("no SSE4.2");
}

Test(crc_sse42, rfc_3720, .init = need) { check_rfc_3720(); }
Test(crc_sse42, in_pieces, .init = need) { check_pieces(); }
Test(crc_sse42, short_ones_at_every_alignment, .init = need) { check_short(); }
Test(crc_sse42, long_ones, .init = need) { check_long(); }
