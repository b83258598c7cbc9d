/* SPDX-License-Identifier: Apache-2.0 */
/* A matrix product, CALLS times, for an emulator that counts instructions. count_shape.h is written by count.lua: the
 * kernels' text, the operands' sizes and call(). */
#include "count_shape.h"

static float a[A_FLOATS], b[B_FLOATS], c[C_FLOATS];

int main(void)
{
    for (int i = 0; i < CALLS; ++i)
        call(a, b, c);
#ifdef BARE /* semihosting: the emulator ends with status 0 */
    __asm__ volatile("movs r0, #0x18\n\tldr r1, =0x20026\n\tbkpt 0xab" ::: "r0", "r1", "memory");
#endif
    return 0;
}
