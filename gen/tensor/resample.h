/* SPDX-License-Identifier: Apache-2.0 */
/* Resampling of position tables as PyTorch's interpolate does it, in double. */
#ifndef MSAGEN_RESAMPLE_H
#define MSAGEN_RESAMPLE_H

#include "tensor.h"

/* The last two dimensions of t [..., h0, w0] to height x width: bicubic, a = -0.75, align_corners = false, no
 * antialiasing, neighbours outside clamped to the border. A new f32 tensor; NULL and a text in `error` when t has fewer
 * than two dimensions, a size is not positive, or memory is out. */
struct msagen_tensor *msagen_resample_bicubic(const struct msagen_tensor *t, int64_t height, int64_t width, char *error,
                                              size_t error_bytes);

/* The first dimension of t [L, d] to n rows: linear, align_corners = false. Errors as above. */
struct msagen_tensor *msagen_resample_linear(const struct msagen_tensor *t, int64_t n, char *error, size_t error_bytes);

#endif
