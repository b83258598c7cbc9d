/* SPDX-License-Identifier: 0BSD */
/* msa_run_team.c - the cores of a build for several, as threads. */
#include "msa_run.h"

#include "msa_model.h"
#include "msa_threads.h"

#include <string.h>

static msa_threads team;

int msa_run_team_start(msa_session *session)
{
    const int error = msa_threads_start(&team, MSA_MODEL_CORES);
    if (error != 0) {
        return msa_run_fail("%d threads: cannot be started: %s", MSA_MODEL_CORES, strerror(error));
    }
    (void)msa_set_team(session, &team);
    return 0;
}

void msa_run_team_end(void)
{
    msa_threads_end(&team);
}
