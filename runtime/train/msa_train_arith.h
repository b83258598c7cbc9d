/* SPDX-License-Identifier: 0BSD */
/* The scalar arithmetic that training has beyond msa_arith.h, defined to the bit in both classes. */
#ifndef MSA_TRAIN_ARITH_H
#define MSA_TRAIN_ARITH_H

#include "msa_arith.h"

/* ln(1 + e) for 0 <= e <= 1: y + y^2 * (y Q(y) - 1/2), of y = e up to one half and of y = (e - 1) / 2, with ln 2 added,
 * above: both are exact, and y is from -1/4 to 1/2. Relative error 4.9e-9 before rounding. */
static inline float msa_log1p(float e)
{
    const bool upper = e > 0.5f;
    const float y = upper ? (e - 1.0f) * 0.5f : e;
    float q = -0.045074813067913055f;
    q = msa_fma(q, y, 0.10463022440671921f);
    q = msa_fma(q, y, -0.1316119283437729f);
    q = msa_fma(q, y, 0.14478394389152527f);
    q = msa_fma(q, y, -0.1664731204509735f);
    q = msa_fma(q, y, 0.19990861415863037f);
    q = msa_fma(q, y, -0.2500009536743164f);
    q = msa_fma(q, y, 0.3333345055580139f);
    const float small = (y * y) * msa_fma(q, y, -0.5f);
    return ((small + (upper ? MSA_EXP_LN2_LOW : 0.0f)) + y) + (upper ? MSA_EXP_LN2_HIGH : 0.0f);
}

/* Both without an exception, whatever x is: products may trap these. */
static inline bool msa_is_bounded(float x) /* below 2^60 in magnitude */
{
    return (msa_bits(x) & 0x7fffffffu) < 0x5d800000u;
}

static inline bool msa_is_share(float x) /* from 0 to 1 */
{
    return msa_bits(x) <= 0x3f800000u || msa_bits(x) == 0x80000000u;
}

#endif
