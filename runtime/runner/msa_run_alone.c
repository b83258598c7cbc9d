/* SPDX-License-Identifier: 0BSD */
/* msa_run_alone.c - a build for one core has no others. */
#include "msa_run.h"

int msa_run_team_start(msa_session *session)
{
    (void)session;
    return 0;
}

void msa_run_team_end(void)
{
}
