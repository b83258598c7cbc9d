/* SPDX-License-Identifier: 0BSD */
/* msa_cycles.c - the hook of a product that defines none; alone in its object, so that the product's own is linked
 * instead. */
#include "msa.h"

uint64_t msa_cycles(void)
{
    return 0;
}
