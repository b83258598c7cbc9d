/* SPDX-License-Identifier: 0BSD */
/* msa_dwt.c - the hook msa_cycles on a Cortex-M: the cycle counter of its Data Watchpoint and Trace unit, switched on
 * when first asked. A product with a counter of its own defines msa_cycles itself, and that one is linked. */
#include "msa.h"

#ifndef REGISTER
#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))
#endif
#define DEMCR REGISTER(0xe000edfcu)      /* debug exception and monitor control */
#define DWT_CTRL REGISTER(0xe0001000u)
#define DWT_CYCCNT REGISTER(0xe0001004u) /* cycles, 32 bits */
#define DWT_LAR REGISTER(0xe0001fb0u)    /* lock of the unit; Armv8-M has none */

#define TRACE (1u << 24)  /* the unit has its clock */
#define COUNTING (1u << 0)
#define UNLOCK 0xc5acce55u

/* No interrupt between reading the counter and noting what it was: a handler may ask, too. */
static uint32_t interrupts_off(void)
{
    uint32_t mask = 0;
#ifdef __arm__
    __asm__ volatile("mrs %0, primask\n\tcpsid i" : "=r"(mask) : : "memory");
#endif
    return mask;
}

static void interrupts_as(uint32_t mask)
{
#ifdef __arm__
    __asm__ volatile("msr primask, %0" : : "r"(mask) : "memory");
#else
    (void)mask;
#endif
}

/* Right where it is called at least once in 2^32 cycles, 9 s at 480 MHz: from a periodic interrupt where a layer takes
 * longer. Always 0 where the core has no such counter. */
__attribute__((weak)) uint64_t msa_cycles(void)
{
    static uint32_t last, wraps;
    const uint32_t mask = interrupts_off();
    if ((DWT_CTRL & COUNTING) == 0) {
        DEMCR |= TRACE;
        DWT_LAR = UNLOCK;
        DWT_CTRL |= COUNTING;
    }
    const uint32_t now = DWT_CYCCNT;
    wraps += now < last ? 1u : 0u;
    last = now;
    const uint64_t cycles = (uint64_t)wraps << 32 | now;
    interrupts_as(mask);
    return cycles;
}
