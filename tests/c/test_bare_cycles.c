/* SPDX-License-Identifier: Apache-2.0 */
/* The cycle counter of Cortex-M boards, on registers that are played: switched on in order, carried past 32 bits, 0
 * where there is none. */
#include <criterion/criterion.h>
#include <stdint.h>

static uint32_t demcr, ctrl, cyccnt, lar, unknown, nothing;
static int has_counter = 1;

/* The unit takes no write before it has its clock, nor before it is unlocked; one that is not there reads as zero. */
static volatile uint32_t *played(uint32_t address)
{
    switch (address) {
    case 0xe000edfcu: return &demcr;
    case 0xe0001fb0u: return demcr >> 24 & 1u ? &lar : &unknown;
    case 0xe0001000u: return has_counter && demcr >> 24 & 1u && lar == 0xc5acce55u ? &ctrl : &unknown;
    case 0xe0001004u: return ctrl & 1u ? &cyccnt : &nothing;
    default: cr_assert_fail("register %lx", (unsigned long)address);
    }
    return &unknown;
}

#define REGISTER(address) (*played(address))
#define msa_cycles board_cycles
#include "../../boards/cortex-m/msa_dwt.c"

Test(bare_cycles, is_switched_on_and_never_off)
{
    ctrl = 0x40000000u;
    cyccnt = 17;
    unknown = 0;
    demcr = 0x00010000u;
    cr_assert_eq(board_cycles(), 17);
    cr_assert_eq(demcr, 0x01010000u, "other bits are kept");
    cr_assert_eq(ctrl, 0x40000001u);
    ctrl = 0x40000000u; /* a debugger took it away */
    cyccnt = 20;
    cr_assert_eq(board_cycles(), 20);
    cr_assert_eq(ctrl, 0x40000001u);
}

Test(bare_cycles, goes_on_past_32_bits)
{
    cyccnt = 0xfffffff0u;
    cr_assert_eq(board_cycles(), 0xfffffff0u);
    cyccnt = 0x10u;
    cr_assert_eq(board_cycles(), 0x100000010u);
    cyccnt = 0x10u;
    cr_assert_eq(board_cycles(), 0x100000010u);
    cyccnt = 0x0fu;
    cr_assert_eq(board_cycles(), 0x20000000fu);
}

Test(bare_cycles, is_zero_without_a_counter)
{
    has_counter = 0;
    cr_assert_eq(board_cycles(), 0);
    cr_assert_eq(board_cycles(), 0);
}

uint64_t msa_cycles_of_the_library(void);
#undef msa_cycles
#define msa_cycles msa_cycles_of_the_library
#include "../../runtime/msa_cycles.c"

Test(bare_cycles, are_zero_where_nobody_defines_the_hook)
{
    cr_assert_eq(msa_cycles_of_the_library(), 0);
}
