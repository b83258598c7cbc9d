/* SPDX-License-Identifier: Apache-2.0 */
/* The start of Cortex-M boards, on registers that are played: the caches are emptied before they are on, one that was
 * on before is left alone; unit, vectors. */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { VTOR_AT = 0x08, CCR_AT = 0x14, CCSIDR_AT = 0x80, CSSELR_AT = 0x84, CPACR_AT = 0x88, ICIALLU_AT = 0x250,
    DCISW_AT = 0x260 };
enum { WAYS = 4, SETS = 128, NONE = 0x5a5a5a5a, STARTED = 7 };

static uint32_t registers[0x260 / 4 + 1];
static unsigned char invalidated[SETS * WAYS];
static int lines, instructions_invalidated;
static uint32_t ccr_when_invalidated;

/* What was written last to a register that only takes is seen at the next access. */
static void take(void)
{
    uint32_t *const line = &registers[DCISW_AT / 4], *const all = &registers[ICIALLU_AT / 4];
    if (*line != NONE) {
        const uint32_t set = *line >> 5 & (SETS - 1u), way = *line >> 30;
        cr_assert_eq(*line, way << 30 | set << 5, "written %lx", (unsigned long)*line);
        cr_assert_eq(registers[CSSELR_AT / 4], 0);
        ccr_when_invalidated |= registers[CCR_AT / 4];
        invalidated[set * WAYS + way] = 1;
        ++lines;
    }
    if (*all != NONE) {
        cr_assert_eq(*all, 0);
        ++instructions_invalidated;
    }
    *line = *all = NONE;
}

static volatile uint32_t *played(uint32_t address)
{
    const uint32_t at = address - 0xe000ed00u;
    cr_assert(at % 4 == 0 && at / 4 < sizeof registers / sizeof *registers, "register %lx", (unsigned long)address);
    take();
    return &registers[at / 4];
}

#define REGISTER(address) (*played(address))
#define main product_main
#include "../../boards/cortex-m/msa_start.c"
#undef main

unsigned char msa_stack[8], msa_stack_top[8], msa_data[8], msa_bss[8];
extern unsigned char msa_data_end[8] __attribute__((alias("msa_data"))),
    msa_bss_end[8] __attribute__((alias("msa_bss")));
const unsigned char msa_data_load[8];

int product_main(void)
{
    cr_assert_eq(registers[CPACR_AT / 4], 0xf00000u);
    cr_assert_eq(registers[VTOR_AT / 4], (uint32_t)(uintptr_t)&vectors);
    cr_assert_eq(registers[CCR_AT / 4] & 0x30000u, 0x30000u);
    exit(STARTED);
}

static void after_reset(uint32_t ccr)
{
    memset(registers, 0, sizeof registers);
    registers[CCR_AT / 4] = ccr;
    registers[CSSELR_AT / 4] = 1u;
    registers[CCSIDR_AT / 4] = 0xf0000000u | (SETS - 1u) << 13 | (WAYS - 1u) << 3 | 1u;
    registers[DCISW_AT / 4] = registers[ICIALLU_AT / 4] = NONE;
}

static void begin(uint32_t ccr)
{
    after_reset(ccr);
    enable_caches();
    take();
}

Test(bare_start, empties_every_line_of_a_cache_before_it_is_on)
{
    begin(0x200u);
    cr_assert_eq(instructions_invalidated, 1);
    cr_assert_eq(lines, SETS * WAYS);
    for (int i = 0; i < SETS * WAYS; ++i) {
        cr_assert(invalidated[i], "line %d", i);
    }
    cr_assert_eq(ccr_when_invalidated & 0x10000u, 0);
    cr_assert_eq(registers[CCR_AT / 4], 0x30200u, "both are on, other bits are kept");
}

Test(bare_start, keeps_what_a_cache_holds_that_is_on)
{
    begin(0x10000u);
    cr_assert_eq(lines, 0);
    cr_assert_eq(instructions_invalidated, 1);
    cr_assert_eq(registers[CCR_AT / 4], 0x30000u);
}

Test(bare_start, vectors_are_stack_reset_and_faults)
{
    cr_assert(vectors.stack == msa_stack_top && vectors.reset == msa_reset);
    for (size_t i = 0; i < sizeof vectors.exceptions / sizeof *vectors.exceptions; ++i) {
        cr_assert(vectors.exceptions[i] == msa_fault);
    }
    cr_assert_eq(sizeof vectors, 16 * sizeof(void *));
}

Test(bare_start, reaches_main_with_the_unit_on_and_the_vectors_told, .exit_code = STARTED)
{
    after_reset(0x200u);
    msa_reset();
}
