/* SPDX-License-Identifier: 0BSD */
/* msa_start.c - from reset to main() on a Cortex-M with a floating-point unit: vector table, unit, caches, data.
 * A product may take it, or do the same in its own start-up code. Armv8-M stays in the secure state. */
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);

int main(void);
void msa_reset(void);

/* The product's own, or stopping here: faults, and main() returning. */
void msa_fault(void);

/* msa_board.ld's. */
extern unsigned char msa_stack[], msa_stack_top[], msa_data[], msa_data_end[], msa_bss[], msa_bss_end[];
extern const unsigned char msa_data_load[];

#ifndef REGISTER
#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))
#endif
#define CCR REGISTER(0xe000ed14u)     /* configuration and control */
#define VTOR REGISTER(0xe000ed08u)    /* address of the vector table */
#define CCSIDR REGISTER(0xe000ed80u)  /* geometry of the cache that CSSELR names */
#define CSSELR REGISTER(0xe000ed84u)
#define CPACR REGISTER(0xe000ed88u)   /* access to coprocessors */
#define ICIALLU REGISTER(0xe000ef50u) /* all of the instruction cache is invalid */
#define DCISW REGISTER(0xe000ef60u)   /* a line of the data cache is, by set and way */

#define FPU (0xfu << 20)
#define DATA_CACHE (1u << 16)
#define INSTRUCTION_CACHE (1u << 17)
#define LOOP_CACHE (1u << 19)         /* Armv8.1-M: where low-overhead loops branch */

__attribute__((weak)) void msa_fault(void)
{
    for (;;) {
    }
}

/* Processor's exceptions only; a product's interrupts, in .vectors.interrupts, follow them. */
__attribute__((section(".vectors"), used)) static const struct {
    void *stack;
    void (*reset)(void);
    void (*exceptions[14])(void);
} vectors = {
    msa_stack_top,
    msa_reset,
    {msa_fault, msa_fault, msa_fault, msa_fault, msa_fault, msa_fault, msa_fault, msa_fault, msa_fault, msa_fault,
     msa_fault, msa_fault, msa_fault, msa_fault},
};

static inline void synchronise(void)
{
#ifdef __arm__
    __asm__ volatile("dsb\n\tisb" ::: "memory");
#endif
}

/* After reset the caches hold anything, so they are emptied first; of the data cache, 32-byte lines. But one that a
 * boot ROM has switched on stays as it is: it holds what memory does not have yet. */
static void enable_caches(void)
{
    synchronise();
    ICIALLU = 0u;
    synchronise();
    CCR |= INSTRUCTION_CACHE;
    synchronise();
    if ((CCR & DATA_CACHE) != 0) {
        return;
    }
    CSSELR = 0u;
    synchronise();
    const uint32_t sets = ((CCSIDR >> 13) & 0x7fffu) + 1u, ways = ((CCSIDR >> 3) & 0x3ffu) + 1u;
    uint32_t way_bits = 0;
    while (1u << way_bits < ways) {
        ++way_bits;
    }
    for (uint32_t set = 0; set < sets; ++set) {
        for (uint32_t way = 0; way < ways; ++way) {
            DCISW = set << 5 | (way_bits > 0 ? way << (32u - way_bits) : 0u);
        }
    }
    synchronise();
    CCR |= DATA_CACHE;
    synchronise();
}

/* Never inlined: the floating-point unit is on when it begins. */
__attribute__((noinline)) static void start(void)
{
    enable_caches();
    memcpy(msa_data, msa_data_load, (size_t)(msa_data_end - msa_data));
    memset(msa_bss, 0, (size_t)(msa_bss_end - msa_bss));
    (void)main();
    msa_fault();
}

/* Rounding is to nearest and subnormals are kept: so the unit comes out of reset. Vectors of floats are part of it. */
void msa_reset(void)
{
#if __ARM_ARCH >= 8
    __asm__ volatile("msr msplim, %0" : : "r"(msa_stack));
#endif
#ifdef __ARM_FEATURE_MVE
    CCR |= LOOP_CACHE;
#endif
    CPACR |= FPU;
    VTOR = (uint32_t)(uintptr_t)&vectors;
    synchronise();
    start();
}
