/* SPDX-License-Identifier: Apache-2.0 */
/* All pairs of calls, and many triples, on a session around layers whose answers are known: api/calls.h has the model
 * of what a session is. */
#define OWN_PROGRESS
#include "fake/session.h"

#undef SIDE2 /* model.c's own */
#include "../api/calls.h"

#include "../../runtime/msa_status.c"

#include <criterion/criterion.h>

Test(calls, all_pairs_and_many_triples, .timeout = 60)
{
    arena = aligned_memory(MSA_MODEL_ARENA_BYTES);
    weights = fake_weights();
    const unsigned count = all_sequences(1, 20000, 300);
    cr_assert_eq(wrong, 0, "%u answers or statuses are not as msa_model.h says", wrong);
    cr_assert_geq(count, 20000 + 3 * 30 * 30);
    free(weights);
    free(arena);
}
