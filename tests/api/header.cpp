// SPDX-License-Identifier: Apache-2.0
// The generated header, as a C++ program sees it.
#include "msa_model.h"

#if MSA_VERSION < 100 || MSA_API_LEVEL < 4
#error "a version that #if can compare"
#endif

static_assert(MSA_MODEL_ARENA_BYTES > 0 && MSA_MODEL_WEIGHTS_BYTES > 0, "sizes are constants");
static_assert(MSA_ROUND_SLICES(65536) > 1 && MSA_FINDING_SLICES(65536) > MSA_ROUND_SLICES(65536), "so are slices");

int opened(msa_session *s, void *arena, const void *weights)
{
    return msa_open(s, arena, MSA_MODEL_ARENA_BYTES, weights, MSA_MODEL_WEIGHTS_BYTES) == MSA_OK;
}
