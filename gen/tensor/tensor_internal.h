/* SPDX-License-Identifier: Apache-2.0 */
/* What the tensors' own files share. */
#ifndef MSAGEN_TENSOR_INTERNAL_H
#define MSAGEN_TENSOR_INTERNAL_H

#include "tensor.h"

/* The same elements in the same order with as few dimensions as strides allow, at least one; ones are dropped. */
struct msagen_walk {
    int dims;
    int64_t shape[MSAGEN_MAX_DIMS], stride[MSAGEN_MAX_DIMS], index[MSAGEN_MAX_DIMS];
    int64_t at; /* distance of the current element from the view's first */
};

/* What a view, or a view of views, is a view of. */
const struct msagen_buffer *msagen_buffer_root(const struct msagen_buffer *buffer);

/* To the first element. */
void msagen_tensor_walk(struct msagen_walk *w, const struct msagen_tensor *t);

/* The element `index` elements from the view's first. */
static inline const unsigned char *msagen_tensor_element(const struct msagen_tensor *t, int64_t index)
{
    return t->storage->data + (size_t)(t->offset + index) * msagen_dtype_bytes(t->dtype);
}

/* Its value. */
double msagen_tensor_at_place(const struct msagen_tensor *t, int64_t index);

/* A new tensor's elements, to write. */
static inline void *msagen_tensor_writable(const struct msagen_tensor *t)
{
    return (void *)(uintptr_t)t->storage->data;
}

/* Elements [first, first + n) of a new tensor of f32, each rounded once, or of f64. */
void msagen_tensor_store(struct msagen_tensor *t, int64_t first, int64_t n, const double *values);

/* Writes the error's text, where there is room for one; returns NULL. */
void *msagen_tensor_refuse(char *error, size_t error_bytes, const char *format,
    ...) __attribute__((format(printf, 3, 4)));

enum { MSAGEN_SHAPE_TEXT = MSAGEN_MAX_DIMS * 21 + 3 };

/* "[3,14,14]" */
const char *msagen_tensor_shape_text(const struct msagen_tensor *t, char *text, size_t bytes);

#endif
