/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors: storage, shapes, views. */
#define _GNU_SOURCE
#include "tensor_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Elements that a view of a smaller storage may have. */
static const int64_t REPEATED_MAX = INT64_C(1) << 24;

static const struct {
    size_t bytes;
    const char *name;
} dtypes[] = {
    [MSAGEN_F32] = {4, "f32"},  [MSAGEN_F64] = {8, "f64"}, [MSAGEN_F16] = {2, "f16"}, [MSAGEN_BF16] = {2, "bf16"},
    [MSAGEN_I64] = {8, "i64"},  [MSAGEN_I32] = {4, "i32"}, [MSAGEN_I16] = {2, "i16"}, [MSAGEN_I8] = {1, "i8"},
    [MSAGEN_U16] = {2, "u16"},  [MSAGEN_U8] = {1, "u8"},   [MSAGEN_BOOL] = {1, "bool"},
};

size_t msagen_dtype_bytes(enum msagen_dtype dtype)
{
    return dtypes[dtype].bytes;
}

const char *msagen_dtype_name(enum msagen_dtype dtype)
{
    return dtypes[dtype].name;
}

void *msagen_tensor_refuse(char *error, size_t error_bytes, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (error && error_bytes)
        vsnprintf(error, error_bytes, format, args);
    va_end(args);
    return NULL;
}

/* ---- storage ---- */

static void release_owned(struct msagen_buffer *b)
{
    free(b->owner);
    free(b);
}

static void release_view(struct msagen_buffer *b)
{
    msagen_buffer_unref(b->owner);
    free(b);
}

static struct msagen_buffer *buffer_new(void *data, size_t bytes, void *owner, void (*release)(struct msagen_buffer *))
{
    struct msagen_buffer *b = malloc(sizeof *b);
    if (b)
        *b = (struct msagen_buffer){.refs = 1, .data = data, .bytes = bytes, .release = release, .owner = owner};
    return b;
}

struct msagen_buffer *msagen_buffer_alloc(size_t bytes)
{
    if (bytes > SIZE_MAX - 64)
        return NULL;
    const size_t rounded = bytes ? (bytes + 63) / 64 * 64 : 64;
    /* calloc leaves fresh pages untouched; aligned_alloc would make us write them. */
    unsigned char *raw = calloc(1, rounded + 64);
    if (!raw)
        return NULL;
    unsigned char *data = raw + (64 - (uintptr_t)raw % 64) % 64;
    struct msagen_buffer *b = buffer_new(data, bytes, raw, release_owned);
    if (!b)
        free(raw);
    return b;
}

struct msagen_buffer *msagen_buffer_view(struct msagen_buffer *whole, size_t at, size_t bytes)
{
    struct msagen_buffer *b = buffer_new(NULL, bytes, whole, release_view);
    if (b) {
        b->data = whole->data + at;
        msagen_buffer_ref(whole);
    }
    return b;
}

const struct msagen_buffer *msagen_buffer_root(const struct msagen_buffer *buffer)
{
    while (buffer->release == release_view)
        buffer = buffer->owner;
    return buffer;
}

struct msagen_buffer *msagen_buffer_ref(struct msagen_buffer *buffer)
{
    ++buffer->refs;
    return buffer;
}

void msagen_buffer_unref(struct msagen_buffer *buffer)
{
    if (buffer && --buffer->refs == 0)
        buffer->release(buffer);
}

/* ---- shapes ---- */

/* Elements of a shape, or -1 when it is out of range. */
static int64_t shape_numel(int dims, const int64_t *shape)
{
    if (dims < 0 || dims > MSAGEN_MAX_DIMS)
        return -1;
    int64_t n = 1;
    int empty = 0;
    for (int i = 0; i < dims; ++i) {
        if (shape[i] < 0 || shape[i] > INT64_MAX / 16)
            return -1;
        if (shape[i] == 0)
            empty = 1;
    }
    if (empty)
        return 0;
    for (int i = 0; i < dims; ++i) {
        if (shape[i] > INT64_MAX / 16 / n)
            return -1;
        n *= shape[i];
    }
    return n;
}

int msagen_tensor_inside(enum msagen_dtype dtype, int dims, const int64_t *shape, const int64_t *stride,
                         int64_t offset, size_t storage_bytes)
{
    const int64_t numel = shape_numel(dims, shape);
    if (numel < 0 || offset < 0)
        return 0;
    const uint64_t elements = storage_bytes / msagen_dtype_bytes(dtype);
    for (int i = 0; i < dims; ++i)
        if (stride[i] < 0)
            return 0;
    if ((uint64_t)offset > elements)
        return 0;
    if (numel == 0)
        return 1;
    if ((uint64_t)numel > elements && numel > REPEATED_MAX)
        return 0;
    /* The last element's distance must stay below what is left; each step is checked before it is added. */
    uint64_t left = elements - (uint64_t)offset;
    if (left == 0)
        return 0;
    --left;
    for (int i = 0; i < dims; ++i) {
        const uint64_t steps = (uint64_t)shape[i] - 1;
        if (steps == 0)
            continue;
        if ((uint64_t)stride[i] > left / steps)
            return 0;
        left -= (uint64_t)stride[i] * steps;
    }
    return 1;
}

struct msagen_tensor *msagen_tensor_new(const char *name, enum msagen_dtype dtype, int dims, const int64_t *shape,
                                        const int64_t *stride, int64_t offset, struct msagen_buffer *storage)
{
    struct msagen_tensor *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->name = strdup(name ? name : "");
    if (!t->name) {
        free(t);
        return NULL;
    }
    t->dtype = dtype;
    t->dims = dims;
    for (int i = 0; i < dims; ++i) {
        t->shape[i] = shape[i];
        t->stride[i] = stride[i];
    }
    t->offset = offset;
    t->storage = msagen_buffer_ref(storage);
    return t;
}

struct msagen_tensor *msagen_tensor_zeros(const char *name, enum msagen_dtype dtype, int dims, const int64_t *shape)
{
    const int64_t numel = shape_numel(dims, shape);
    if (numel < 0 || (uint64_t)numel > SIZE_MAX / 16)
        return NULL;
    struct msagen_buffer *b = msagen_buffer_alloc((size_t)numel * msagen_dtype_bytes(dtype));
    if (!b)
        return NULL;
    int64_t stride[MSAGEN_MAX_DIMS], step = 1;
    for (int i = dims - 1; i >= 0; --i) {
        stride[i] = step;
        step *= shape[i] > 0 && numel > 0 ? shape[i] : 1;
    }
    struct msagen_tensor *t = msagen_tensor_new(name, dtype, dims, shape, stride, 0, b);
    msagen_buffer_unref(b);
    return t;
}

void msagen_tensor_free(struct msagen_tensor *t)
{
    if (!t)
        return;
    msagen_buffer_unref(t->storage);
    free(t->name);
    free(t);
}

int64_t msagen_tensor_numel(const struct msagen_tensor *t)
{
    return shape_numel(t->dims, t->shape);
}

int msagen_tensor_contiguous(const struct msagen_tensor *t)
{
    int64_t step = 1;
    for (int i = t->dims - 1; i >= 0; --i) {
        if (t->shape[i] == 0)
            return 1;
        if (t->shape[i] != 1 && t->stride[i] != step)
            return 0;
        step *= t->shape[i];
    }
    return 1;
}

void msagen_tensor_walk(struct msagen_walk *w, const struct msagen_tensor *t)
{
    *w = (struct msagen_walk){.dims = 0};
    for (int i = 0; i < t->dims; ++i) {
        if (t->shape[i] == 1)
            continue;
        if (w->dims && w->stride[w->dims - 1] == t->shape[i] * t->stride[i]) {
            w->shape[w->dims - 1] *= t->shape[i];
            w->stride[w->dims - 1] = t->stride[i];
        } else {
            w->shape[w->dims] = t->shape[i];
            w->stride[w->dims] = t->stride[i];
            ++w->dims;
        }
    }
    if (w->dims == 0) {
        w->shape[0] = 1;
        w->stride[0] = 1;
        w->dims = 1;
    }
}

/* ---- views ---- */

const char *msagen_tensor_shape_text(const struct msagen_tensor *t, char *text, size_t bytes)
{
    size_t used = (size_t)snprintf(text, bytes, "[");
    for (int i = 0; i < t->dims && used < bytes; ++i)
        used += (size_t)snprintf(text + used, bytes - used, i ? ",%lld" : "%lld", (long long)t->shape[i]);
    if (used < bytes)
        snprintf(text + used, bytes - used, "]");
    return text;
}

static struct msagen_tensor *view(const struct msagen_tensor *t, int dims, const int64_t *shape, const int64_t *stride,
                                  int64_t offset, char *error, size_t error_bytes)
{
    struct msagen_tensor *v = msagen_tensor_new(t->name, t->dtype, dims, shape, stride, offset, t->storage);
    return v ? v : msagen_tensor_refuse(error, error_bytes, "%s: out of memory", t->name);
}

struct msagen_tensor *msagen_tensor_slice(const struct msagen_tensor *t, int dim, int64_t start, int64_t len,
                                          char *error, size_t error_bytes)
{
    char text[MSAGEN_SHAPE_TEXT];
    if (dim < 0 || dim >= t->dims || start < 0 || len < 0 || start > t->shape[dim] || len > t->shape[dim] - start)
        return msagen_tensor_refuse(error, error_bytes, "%s: no slice of %lld from %lld along dimension %d of %s",
            t->name,
                                    (long long)len, (long long)start, dim + 1,
                                        msagen_tensor_shape_text(t, text, sizeof text));
    int64_t shape[MSAGEN_MAX_DIMS];
    memcpy(shape, t->shape, sizeof shape);
    shape[dim] = len;
    /* An empty slice may start at the end, where no element is. */
    const int64_t offset = len ? t->offset + start * t->stride[dim] : t->offset;
    return view(t, t->dims, shape, t->stride, offset, error, error_bytes);
}

struct msagen_tensor *msagen_tensor_permute(const struct msagen_tensor *t, const int *order, char *error,
                                            size_t error_bytes)
{
    int64_t shape[MSAGEN_MAX_DIMS] = {0}, stride[MSAGEN_MAX_DIMS] = {0};
    unsigned seen = 0;
    for (int i = 0; i < t->dims; ++i) {
        if (order[i] < 0 || order[i] >= t->dims || (seen >> order[i] & 1))
            return msagen_tensor_refuse(error, error_bytes, "%s: no permutation of %d dimensions", t->name, t->dims);
        seen |= 1u << order[i];
        shape[i] = t->shape[order[i]];
        stride[i] = t->stride[order[i]];
    }
    return view(t, t->dims, shape, stride, t->offset, error, error_bytes);
}

static void reverse(unsigned char *row, int64_t count, size_t bytes)
{
    unsigned char kept[8];
    for (int64_t i = 0, j = count - 1; i < j; ++i, --j) {
        memcpy(kept, row + (size_t)i * bytes, bytes);
        memcpy(row + (size_t)i * bytes, row + (size_t)j * bytes, bytes);
        memcpy(row + (size_t)j * bytes, kept, bytes);
    }
}

struct msagen_tensor *msagen_tensor_flip(const struct msagen_tensor *t, int dim, char *error, size_t error_bytes)
{
    if (dim < 0 || dim >= t->dims)
        return msagen_tensor_refuse(error, error_bytes, "%s: no dimension %d to flip", t->name, dim + 1);
    struct msagen_tensor *made = msagen_tensor_zeros(t->name, t->dtype, t->dims, t->shape);
    if (!made)
        return msagen_tensor_refuse(error, error_bytes, "%s: out of memory", t->name);
    const size_t bytes = msagen_dtype_bytes(t->dtype);
    const int64_t count = t->shape[dim], numel = msagen_tensor_numel(t);
    int64_t inner = 1;
    for (int i = dim + 1; i < t->dims; ++i)
        inner *= t->shape[i];
    unsigned char *out = msagen_tensor_writable(made);
    if (numel > 0 && inner == 1)
        for (int64_t first = 0; first < numel; first += count) {
            msagen_tensor_read_raw(t, first, count, out + (size_t)first * bytes);
            reverse(out + (size_t)first * bytes, count, bytes);
        }
    else if (numel > 0)
        for (int64_t block = 0; block < numel / inner; ++block) {
            const int64_t whole = block / count * count, from = whole + count - 1 - (block - whole);
            msagen_tensor_read_raw(t, from * inner, inner, out + (size_t)(block * inner) * bytes);
        }
    return made;
}

/* Strides of `shape` over t's elements without moving them, or 0 if there are none. */
static int restride(const struct msagen_tensor *t, int dims, const int64_t *shape, int64_t *stride)
{
    struct msagen_walk w;
    msagen_tensor_walk(&w, t);
    int from = w.dims - 1, to = dims - 1;
    while (to >= 0 && from >= 0) {
        /* One merged run of the old dimensions must be split evenly into new ones. */
        int64_t left = w.shape[from], step = w.stride[from];
        for (; to >= 0 && left % shape[to] == 0 && (left > 1 || shape[to] == 1); --to) {
            stride[to] = step;
            step *= shape[to];
            left /= shape[to];
        }
        if (left != 1)
            return 0;
        --from;
    }
    for (; to >= 0; --to) {
        if (shape[to] != 1)
            return 0;
        stride[to] = 1;
    }
    return from < 0;
}

struct msagen_tensor *msagen_tensor_reshape(const struct msagen_tensor *t, int dims, const int64_t *wanted, char *error,
                                            size_t error_bytes)
{
    char text[MSAGEN_SHAPE_TEXT];
    const int64_t numel = msagen_tensor_numel(t);
    int64_t shape[MSAGEN_MAX_DIMS] = {0};
    int rest = -1;
    if (dims < 0 || dims > MSAGEN_MAX_DIMS)
        return msagen_tensor_refuse(error, error_bytes, "%s: at most %d dimensions, found %d", t->name, MSAGEN_MAX_DIMS,
            dims);
    for (int i = 0; i < dims; ++i) {
        shape[i] = wanted[i];
        if (shape[i] == -1 && rest < 0) {
            rest = i;
            shape[i] = 1;
        }
    }
    const int64_t known = shape_numel(dims, shape);
    if (rest >= 0 && known > 0 && numel % known == 0)
        shape[rest] = numel / known;
    if (shape_numel(dims, shape) != numel)
        return msagen_tensor_refuse(error, error_bytes, "%s: %s does not have the elements of the shape asked for",
            t->name,
                                    msagen_tensor_shape_text(t, text, sizeof text));
    int64_t stride[MSAGEN_MAX_DIMS] = {0};
    if (numel > 0 && restride(t, dims, shape, stride))
        return view(t, dims, shape, stride, t->offset, error, error_bytes);
    struct msagen_tensor *copy = msagen_tensor_zeros(t->name, t->dtype, dims, shape);
    if (!copy)
        return msagen_tensor_refuse(error, error_bytes, "%s: out of memory", t->name);
    msagen_tensor_read_raw(t, 0, numel, msagen_tensor_writable(copy));
    return copy;
}
