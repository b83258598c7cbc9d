/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors: strided views of reference-counted storage, and the arithmetic the importer needs. */
#ifndef MSAGEN_TENSOR_H
#define MSAGEN_TENSOR_H

#include <stddef.h>
#include <stdint.h>

struct lua_State;

/* Element types; all little-endian. BOOL is one byte, non-zero means 1. */
enum msagen_dtype {
    MSAGEN_F32, MSAGEN_F64, MSAGEN_F16, MSAGEN_BF16,
    MSAGEN_I64, MSAGEN_I32, MSAGEN_I16, MSAGEN_I8, MSAGEN_U16, MSAGEN_U8, MSAGEN_BOOL
};

#define MSAGEN_MAX_DIMS 8

/* Storage: a view of a map, or owned memory. `release` is called once, when the last reference goes,
 * and frees `data` (or gives back `owner`) and the structure itself. */
struct msagen_buffer {
    size_t refs;
    const unsigned char *data;
    size_t bytes;
    void (*release)(struct msagen_buffer *);
    void *owner;
};

/* Element (i0, i1, ..) lies at storage->data + (offset + sum i*stride) * msagen_dtype_bytes(dtype).
 * Strides and offset count elements; dims 0 is a scalar. Data need not be aligned to the element. */
struct msagen_tensor {
    char *name;
    enum msagen_dtype dtype;
    int dims;
    int64_t shape[MSAGEN_MAX_DIMS];
    int64_t stride[MSAGEN_MAX_DIMS];
    int64_t offset;
    struct msagen_buffer *storage;
};

size_t msagen_dtype_bytes(enum msagen_dtype dtype);

/* "f32", "bf16", ... */
const char *msagen_dtype_name(enum msagen_dtype dtype);

/* Zeroed memory of our own (64-byte aligned), one reference; NULL when out of memory. `data` may be written through. */
struct msagen_buffer *msagen_buffer_alloc(size_t bytes);

/* Takes one more reference; returns its argument. */
struct msagen_buffer *msagen_buffer_ref(struct msagen_buffer *buffer);

/* Drops one reference; NULL is allowed. */
void msagen_buffer_unref(struct msagen_buffer *buffer);

/* 1 if every element of such a view lies within storage_bytes, 0 if not, or if dims, a shape, a stride,
 * the offset or the number of elements is out of range. Strides must not be negative. A view without
 * elements is inside when its offset is. A view that repeats elements (stride 0, overlapping rows) may
 * hold more of them than the storage, up to 2^24: a few bytes cannot claim terabytes. */
int msagen_tensor_inside(enum msagen_dtype dtype, int dims, const int64_t *shape, const int64_t *stride,
                         int64_t offset, size_t storage_bytes);

/* A view; takes a reference of `storage` and a copy of `name`. NULL when out of memory.
 * The caller has checked the bounds with msagen_tensor_inside(). */
struct msagen_tensor *msagen_tensor_new(const char *name, enum msagen_dtype dtype, int dims, const int64_t *shape,
                                        const int64_t *stride, int64_t offset, struct msagen_buffer *storage);

/* A new zeroed tensor in C order with memory of its own; NULL when out of memory or the size overflows. */
struct msagen_tensor *msagen_tensor_zeros(const char *name, enum msagen_dtype dtype, int dims, const int64_t *shape);

void msagen_tensor_free(struct msagen_tensor *t);

int64_t msagen_tensor_numel(const struct msagen_tensor *t);

/* 1 when the elements lie in C order without gaps. */
int msagen_tensor_contiguous(const struct msagen_tensor *t);

/* One element as double (i64 beyond 2^53 is rounded). */
double msagen_tensor_at(const struct msagen_tensor *t, const int64_t *index);

/* The element at flat C-order position `flat`. */
double msagen_tensor_at_flat(const struct msagen_tensor *t, int64_t flat);

/* The whole tensor in C order, numel floats; wider types are rounded once, to nearest even. */
void msagen_tensor_read_f32(const struct msagen_tensor *t, float *out);

/* Rows [row, row + rows), columns [column, column + columns) of a 2-D tensor: out[r * ld + c]. Blocked, so that
 * transposed views cost no more than straight ones. */
void msagen_tensor_read_f32_block(const struct msagen_tensor *t, int64_t row, int64_t rows, int64_t column,
                                  int64_t columns, float *out, size_t ld);

/* Elements [first, first + count) of the C order, within numel. */
void msagen_tensor_read_f32_range(const struct msagen_tensor *t, int64_t first, int64_t count, float *out);
void msagen_tensor_read_f64_range(const struct msagen_tensor *t, int64_t first, int64_t count, double *out);

/* The same in the tensor's own dtype, raw. */
void msagen_tensor_read_raw(const struct msagen_tensor *t, int64_t first, int64_t count, void *out);

/* Flat C-order index of the first NaN or infinity, or -1. */
int64_t msagen_tensor_first_nonfinite(const struct msagen_tensor *t);

/* 1 when all elements are +0 or -0. */
int msagen_tensor_is_zero(const struct msagen_tensor *t);

/* Same dtype, shape and bits of every element. */
int msagen_tensor_equal(const struct msagen_tensor *a, const struct msagen_tensor *b);

/* How far b is from a: the root of the sum of their differences' squares over that of a's squares; 0 where both are
 * zero. They have as many elements. */
double msagen_tensor_relative_rms(const struct msagen_tensor *a, const struct msagen_tensor *b);

/* Views of t, its name kept. NULL and a text in `error` when the arguments do not fit (or out of memory).
 * slice: dimension dim (0-based) to [start, start + len). permute: order[i] is the old dimension that becomes i.
 * reshape: a view where strides allow it, else a copy; -1 for one dimension means the rest. */
struct msagen_tensor *msagen_tensor_slice(const struct msagen_tensor *t, int dim, int64_t start, int64_t len,
                                          char *error, size_t error_bytes);
struct msagen_tensor *msagen_tensor_permute(const struct msagen_tensor *t, const int *order,
                                            char *error, size_t error_bytes);
struct msagen_tensor *msagen_tensor_reshape(const struct msagen_tensor *t, int dims, const int64_t *shape,
                                            char *error, size_t error_bytes);

/* A copy with dimension dim (0-based) in the opposite order. NULL and a text as above. */
struct msagen_tensor *msagen_tensor_flip(const struct msagen_tensor *t, int dim, char *error, size_t error_bytes);

/* What computed tensors are of: f32, unless msagen_tensor_compute() said f64. That returns what was said before. */
enum msagen_dtype msagen_tensor_computed(void);
enum msagen_dtype msagen_tensor_compute(enum msagen_dtype dtype);

/* New tensors of that type, computed in double and, for f32, rounded once; errors as above.
 * add: same shapes, a + scale_b * b. scale: a * s. matmul: a [M,K] . b [K,N] -> [M,N]. */
struct msagen_tensor *msagen_tensor_add(const struct msagen_tensor *a, const struct msagen_tensor *b, double scale_b,
                                        char *error, size_t error_bytes);
struct msagen_tensor *msagen_tensor_scale(const struct msagen_tensor *a, double s, char *error, size_t error_bytes);
struct msagen_tensor *msagen_tensor_matmul(const struct msagen_tensor *a, const struct msagen_tensor *b,
                                           char *error, size_t error_bytes);

/* Bytes [at, at + bytes) of another buffer, which it holds a reference of; the caller has checked the bounds. NULL: out
 * of memory. */
struct msagen_buffer *msagen_buffer_view(struct msagen_buffer *whole, size_t at, size_t bytes);

/* Lets go of the memory pages that hold t, where its storage is msagen_buffer_map()'s (infile.h; or a view of it): they
 * come back from the file when read again. Else nothing happens. */
void msagen_tensor_forget(const struct msagen_tensor *t);

/* Lua: userdata with metatable "msagen.tensor". push takes ownership; check raises on another kind. */
void msagen_tensor_push(struct lua_State *L, struct msagen_tensor *t);
struct msagen_tensor *msagen_tensor_check(struct lua_State *L, int arg);

#endif
