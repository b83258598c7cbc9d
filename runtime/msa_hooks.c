/* SPDX-License-Identifier: 0BSD */
/* msa_hooks.c - the hooks of a product that defines none; alone in its object, so that the product's own are linked
 * instead. */
#include "msa.h"

int msa_progress(const msa_session *session, msa_phase phase, uint32_t layer)
{
    (void)session;
    (void)phase;
    (void)layer;
    return 0;
}
