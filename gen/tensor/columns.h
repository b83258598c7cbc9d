/* SPDX-License-Identifier: Apache-2.0 */
/* Columns of a tensor: the members of its last dimension, over all others. */
#ifndef MSAGEN_COLUMNS_H
#define MSAGEN_COLUMNS_H

#include "tensor.h"

/* most[c] is the largest magnitude in column c, of which there are as many as the last dimension has members.
 * 0, or -1: out of memory. */
int msagen_columns_most(const struct msagen_tensor *t, double *most);

/* A new tensor, float32: column c times 2^exponents[c]. NULL: out of memory. */
struct msagen_tensor *msagen_columns_scaled(const struct msagen_tensor *t, const int *exponents);

#endif
