/* SPDX-License-Identifier: 0BSD */
/* msa_cores.c - the hooks of a build for several cores in a product that defines none: there are no other cores. Alone
 * in its object, so that msa_threads.c or the product's own are linked instead. */
#include "msa.h"

int msa_cores_start(void *team, msa_session *s)
{
    (void)team;
    (void)s;
    return -1;
}

void msa_cores_wait(void *team, msa_session *s, uint32_t core)
{
    (void)team;
    (void)s;
    (void)core;
}
