/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors: elements as float, double or bits, questions about them, and arithmetic in double. */
#include "tensor_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TILE = 16, CHUNK = 4096 };

/* ---- reading ---- */

static float from_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Exact for normal and subnormal halves: the bits shifted into place are 2^-112 times the value. */
static inline float half_to_float(uint16_t h)
{
    const float magnitude = from_bits((uint32_t)(h & 0x7fff) << 13) * 0x1p112f;
    uint32_t bits;
    memcpy(&bits, &magnitude, sizeof bits);
    bits |= (h & 0x7c00) == 0x7c00 ? UINT32_C(0x7f800000) | (uint32_t)(h & 0x3ff) << 13 : 0;
    return from_bits(bits | (uint32_t)(h & 0x8000) << 16);
}

/* Data in files need not be aligned. */
#define DEFINE_LOAD(type)                                  \
    static inline type load_##type(const unsigned char *p) \
    {                                                      \
        type value;                                        \
        memcpy(&value, p, sizeof value);                   \
        return value;                                      \
    }
DEFINE_LOAD(float)
DEFINE_LOAD(double)
DEFINE_LOAD(int64_t)
DEFINE_LOAD(int32_t)
DEFINE_LOAD(int16_t)
DEFINE_LOAD(uint16_t)
DEFINE_LOAD(int8_t)
DEFINE_LOAD(uint8_t)

/* n elements, `stride` apart, starting at p. The first loop of each case is the one the compiler can vectorise. */
#define RUN(out_type, in_type, convert)                                        \
    do {                                                                       \
        if (stride == 1)                                                       \
            for (size_t i = 0; i < n; ++i)                                     \
                out[i] = (out_type)convert(load_##in_type(p + i * sizeof(in_type))); \
        else                                                                   \
            for (size_t i = 0; i < n; ++i)                                     \
                out[i] = (out_type)convert(load_##in_type(p + i * (size_t)stride * sizeof(in_type))); \
    } while (0)
#define SAME(x) (x)
#define BFLOAT(x) from_bits((uint32_t)(x) << 16)
#define TRUTH(x) ((x) != 0)

static void run_f32(enum msagen_dtype dtype, const unsigned char *p, int64_t stride, size_t n, float *out)
{
    switch (dtype) {
    case MSAGEN_F32:
        if (stride == 1)
            memcpy(out, p, n * sizeof *out);
        else
            RUN(float, float, SAME);
        break;
    case MSAGEN_F64: RUN(float, double, SAME); break;
    case MSAGEN_F16: RUN(float, uint16_t, half_to_float); break;
    case MSAGEN_BF16: RUN(float, uint16_t, BFLOAT); break;
    case MSAGEN_I64: RUN(float, int64_t, SAME); break;
    case MSAGEN_I32: RUN(float, int32_t, SAME); break;
    case MSAGEN_I16: RUN(float, int16_t, SAME); break;
    case MSAGEN_I8: RUN(float, int8_t, SAME); break;
    case MSAGEN_U16: RUN(float, uint16_t, SAME); break;
    case MSAGEN_U8: RUN(float, uint8_t, SAME); break;
    case MSAGEN_BOOL: RUN(float, uint8_t, TRUTH); break;
    }
}

static void run_f64(enum msagen_dtype dtype, const unsigned char *p, int64_t stride, size_t n, double *out)
{
    switch (dtype) {
    case MSAGEN_F32: RUN(double, float, SAME); break;
    case MSAGEN_F64: RUN(double, double, SAME); break;
    case MSAGEN_F16: RUN(double, uint16_t, half_to_float); break;
    case MSAGEN_BF16: RUN(double, uint16_t, BFLOAT); break;
    case MSAGEN_I64: RUN(double, int64_t, SAME); break;
    case MSAGEN_I32: RUN(double, int32_t, SAME); break;
    case MSAGEN_I16: RUN(double, int16_t, SAME); break;
    case MSAGEN_I8: RUN(double, int8_t, SAME); break;
    case MSAGEN_U16: RUN(double, uint16_t, SAME); break;
    case MSAGEN_U8: RUN(double, uint8_t, SAME); break;
    case MSAGEN_BOOL: RUN(double, uint8_t, TRUTH); break;
    }
}

static void run_raw(enum msagen_dtype dtype, const unsigned char *p, int64_t stride, size_t n, unsigned char *out)
{
    const size_t bytes = msagen_dtype_bytes(dtype);
    if (stride == 1) {
        memcpy(out, p, n * bytes);
        return;
    }
    switch (bytes) {
    case 1:
        for (size_t i = 0; i < n; ++i)
            out[i] = p[i * (size_t)stride];
        break;
    case 2:
        for (size_t i = 0; i < n; ++i)
            memcpy(out + 2 * i, p + 2 * i * (size_t)stride, 2);
        break;
    case 4:
        for (size_t i = 0; i < n; ++i)
            memcpy(out + 4 * i, p + 4 * i * (size_t)stride, 4);
        break;
    default:
        for (size_t i = 0; i < n; ++i)
            memcpy(out + 8 * i, p + 8 * i * (size_t)stride, 8);
        break;
    }
}

/* To the next index of the first `dims` dimensions; 0 at the end. */
static int walk_next(struct msagen_walk *w, int dims)
{
    for (int i = dims - 1; i >= 0; --i) {
        w->at += w->stride[i];
        if (++w->index[i] < w->shape[i])
            return 1;
        w->at -= w->shape[i] * w->stride[i];
        w->index[i] = 0;
    }
    return 0;
}

static void walk_seek(struct msagen_walk *w, int64_t flat)
{
    w->at = 0;
    for (int i = w->dims - 1; i >= 0; --i) {
        w->index[i] = flat % w->shape[i];
        flat /= w->shape[i];
        w->at += w->index[i] * w->stride[i];
    }
}

double msagen_tensor_at_place(const struct msagen_tensor *t, int64_t index)
{
    double value;
    run_f64(t->dtype, msagen_tensor_element(t, index), 1, 1, &value);
    return value;
}

double msagen_tensor_at(const struct msagen_tensor *t, const int64_t *index)
{
    int64_t at = 0;
    for (int i = 0; i < t->dims; ++i)
        at += index[i] * t->stride[i];
    return msagen_tensor_at_place(t, at);
}

double msagen_tensor_at_flat(const struct msagen_tensor *t, int64_t flat)
{
    double value;
    msagen_tensor_read_f64_range(t, flat, 1, &value);
    return value;
}

/* A rows x columns block whose rows are contiguous in `down` direction: read down, stored across. */
static void block_f32(const struct msagen_tensor *t, int64_t at, int64_t rows, int64_t row_stride, int64_t columns,
                      int64_t column_stride, float *out, size_t ld)
{
    if (column_stride == 1 || row_stride != 1 || rows == 1) {
        for (int64_t r = 0; r < rows; ++r)
            run_f32(t->dtype, msagen_tensor_element(t, at + r * row_stride), column_stride, (size_t)columns,
                out + (size_t)r * ld);
        return;
    }
    for (int64_t r = 0; r < rows; r += TILE) {
        const size_t height = (size_t)(rows - r < TILE ? rows - r : TILE);
        for (int64_t c = 0; c < columns; c += TILE) {
            const size_t width = (size_t)(columns - c < TILE ? columns - c : TILE);
            float tile[TILE][TILE] = {{0}};
            for (size_t j = 0; j < width; ++j)
                run_f32(t->dtype, msagen_tensor_element(t, at + r + (c + (int64_t)j) * column_stride), 1, height,
                    tile[j]);
            float *corner = out + (size_t)r * ld + (size_t)c;
            if (width == TILE)
                for (size_t i = 0; i < height; ++i)
                    for (size_t j = 0; j < TILE; ++j)
                        corner[i * ld + j] = tile[j][i];
            else
                for (size_t i = 0; i < height; ++i)
                    for (size_t j = 0; j < width; ++j)
                        corner[i * ld + j] = tile[j][i];
        }
    }
}

void msagen_tensor_read_f32_block(const struct msagen_tensor *t, int64_t row, int64_t rows, int64_t column,
                                  int64_t columns, float *out, size_t ld)
{
    if (rows > 0 && columns > 0)
        block_f32(t, row * t->stride[0] + column * t->stride[1], rows, t->stride[0], columns, t->stride[1], out, ld);
}

void msagen_tensor_read_f32(const struct msagen_tensor *t, float *out)
{
    if (msagen_tensor_numel(t) == 0)
        return;
    struct msagen_walk w;
    msagen_tensor_walk(&w, t);
    if (w.dims == 1) {
        run_f32(t->dtype, msagen_tensor_element(t, 0), w.stride[0], (size_t)w.shape[0], out);
        return;
    }
    /* The contiguous dimension, if it is not the last, is read along tiles together with the last one. */
    const int last = w.dims - 1;
    int down = last - 1;
    if (w.stride[last] != 1)
        for (int i = 0; i < last; ++i)
            if (w.stride[i] == 1)
                down = i;
    const int64_t rows = w.shape[down];
    size_t ld = 1;
    for (int i = last; i > down; --i)
        ld *= (size_t)w.shape[i];
    if (down == last - 1) {
        do {
            block_f32(t, w.at, rows, w.stride[down], w.shape[last], w.stride[last], out, ld);
            out += (size_t)rows * ld;
        } while (walk_next(&w, down));
        return;
    }
    /* Some dimensions lie between the two: walk those before `down`, then those between. */
    do {
        struct msagen_walk between = {.dims = last - down - 1};
        for (int i = 0; i < between.dims; ++i) {
            between.shape[i] = w.shape[down + 1 + i];
            between.stride[i] = w.stride[down + 1 + i];
        }
        float *to = out;
        do {
            block_f32(t, w.at + between.at, rows, w.stride[down], w.shape[last], w.stride[last], to, ld);
            to += w.shape[last];
        } while (walk_next(&between, between.dims));
        out += (size_t)rows * ld;
    } while (walk_next(&w, down));
}

#define READ_RANGE(run, out_step)                                                                       \
    do {                                                                                                \
        if (count <= 0)                                                                                 \
            return;                                                                                     \
        struct msagen_walk w;                                                                           \
        msagen_tensor_walk(&w, t);                                                                      \
        walk_seek(&w, first);                                                                           \
        const int last = w.dims - 1;                                                                    \
        for (;;) {                                                                                      \
            int64_t n = w.shape[last] - w.index[last];                                                  \
            if (n > count)                                                                              \
                n = count;                                                                              \
            run(t->dtype, msagen_tensor_element(t, w.at), w.stride[last], (size_t)n, out);              \
            out += (size_t)n * (out_step);                                                              \
            count -= n;                                                                                 \
            if (count == 0)                                                                             \
                return;                                                                                 \
            w.at -= w.index[last] * w.stride[last];                                                     \
            w.index[last] = 0;                                                                          \
            walk_next(&w, last);                                                                        \
        }                                                                                               \
    } while (0)

void msagen_tensor_read_f32_range(const struct msagen_tensor *t, int64_t first, int64_t count, float *out)
{
    READ_RANGE(run_f32, 1);
}

void msagen_tensor_read_f64_range(const struct msagen_tensor *t, int64_t first, int64_t count, double *out)
{
    READ_RANGE(run_f64, 1);
}

void msagen_tensor_read_raw(const struct msagen_tensor *t, int64_t first, int64_t count, void *to)
{
    unsigned char *out = to;
    READ_RANGE(run_raw, msagen_dtype_bytes(t->dtype));
}

/* ---- questions ---- */

static int is_integer(enum msagen_dtype dtype)
{
    return dtype != MSAGEN_F32 && dtype != MSAGEN_F64 && dtype != MSAGEN_F16 && dtype != MSAGEN_BF16;
}

int64_t msagen_tensor_first_nonfinite(const struct msagen_tensor *t)
{
    const int64_t numel = msagen_tensor_numel(t);
    if (is_integer(t->dtype))
        return -1;
    double wide[CHUNK];
    float narrow[CHUNK];
    for (int64_t first = 0; first < numel; first += CHUNK) {
        const int64_t n = numel - first < CHUNK ? numel - first : CHUNK;
        if (t->dtype == MSAGEN_F64) {
            msagen_tensor_read_f64_range(t, first, n, wide);
            for (int64_t i = 0; i < n; ++i)
                if (!isfinite(wide[i]))
                    return first + i;
            continue;
        }
        msagen_tensor_read_f32_range(t, first, n, narrow);
        unsigned bad = 0;
        for (int64_t i = 0; i < n; ++i) {
            uint32_t bits;
            memcpy(&bits, &narrow[i], sizeof bits);
            bad |= (bits & UINT32_C(0x7fffffff)) >= UINT32_C(0x7f800000);
        }
        if (bad)
            for (int64_t i = 0; i < n; ++i)
                if (!isfinite(narrow[i]))
                    return first + i;
    }
    return -1;
}

int msagen_tensor_is_zero(const struct msagen_tensor *t)
{
    const int64_t numel = msagen_tensor_numel(t);
    double values[CHUNK];
    for (int64_t first = 0; first < numel; first += CHUNK) {
        const int64_t n = numel - first < CHUNK ? numel - first : CHUNK;
        msagen_tensor_read_f64_range(t, first, n, values);
        for (int64_t i = 0; i < n; ++i)
            if (values[i] != 0) /* true of a NaN, too */
                return 0;
    }
    return 1;
}

int msagen_tensor_equal(const struct msagen_tensor *a, const struct msagen_tensor *b)
{
    if (a->dtype != b->dtype || a->dims != b->dims)
        return 0;
    for (int i = 0; i < a->dims; ++i)
        if (a->shape[i] != b->shape[i])
            return 0;
    unsigned char left[CHUNK * 8], right[CHUNK * 8];
    const int64_t numel = msagen_tensor_numel(a);
    for (int64_t first = 0; first < numel; first += CHUNK) {
        const int64_t n = numel - first < CHUNK ? numel - first : CHUNK;
        msagen_tensor_read_raw(a, first, n, left);
        msagen_tensor_read_raw(b, first, n, right);
        if (memcmp(left, right, (size_t)n * msagen_dtype_bytes(a->dtype)) != 0)
            return 0;
    }
    return 1;
}

double msagen_tensor_relative_rms(const struct msagen_tensor *a, const struct msagen_tensor *b)
{
    const int64_t numel = msagen_tensor_numel(a);
    double left[CHUNK], right[CHUNK], difference = 0, size = 0;
    for (int64_t first = 0; first < numel; first += CHUNK) {
        const int64_t n = numel - first < CHUNK ? numel - first : CHUNK;
        msagen_tensor_read_f64_range(a, first, n, left);
        msagen_tensor_read_f64_range(b, first, n, right);
        for (int64_t i = 0; i < n; ++i) {
            difference += (right[i] - left[i]) * (right[i] - left[i]);
            size += left[i] * left[i];
        }
    }
    return difference > 0 || isnan(difference) ? sqrt(difference / size) : 0;
}

/* ---- arithmetic ---- */

/* What computed tensors are of: f32, or f64 while msagen.tensor's in_double runs. */
static enum msagen_dtype computed = MSAGEN_F32;

enum msagen_dtype msagen_tensor_computed(void)
{
    return computed;
}

enum msagen_dtype msagen_tensor_compute(enum msagen_dtype dtype)
{
    const enum msagen_dtype before = computed;
    computed = dtype;
    return before;
}

void msagen_tensor_store(struct msagen_tensor *t, int64_t first, int64_t n, const double *values)
{
    if (t->dtype == MSAGEN_F64) {
        memcpy((double *)msagen_tensor_writable(t) + first, values, (size_t)n * sizeof *values);
        return;
    }
    float *out = (float *)msagen_tensor_writable(t) + first;
    for (int64_t i = 0; i < n; ++i)
        out[i] = (float)values[i];
}

static struct msagen_tensor *result(const struct msagen_tensor *like, int dims, const int64_t *shape, char *error,
                                    size_t error_bytes)
{
    struct msagen_tensor *r = msagen_tensor_zeros(like->name, computed, dims, shape);
    return r ? r : msagen_tensor_refuse(error, error_bytes, "%s: out of memory", like->name);
}

struct msagen_tensor *msagen_tensor_add(const struct msagen_tensor *a, const struct msagen_tensor *b, double scale_b,
                                        char *error, size_t error_bytes)
{
    char left_text[MSAGEN_SHAPE_TEXT], right_text[MSAGEN_SHAPE_TEXT];
    int same = a->dims == b->dims;
    for (int i = 0; same && i < a->dims; ++i)
        same = a->shape[i] == b->shape[i];
    if (!same)
        return msagen_tensor_refuse(error, error_bytes, "%s: %s and %s of %s cannot be added", a->name,
                                    msagen_tensor_shape_text(a, left_text, sizeof left_text),
                                    msagen_tensor_shape_text(b, right_text, sizeof right_text), b->name);
    struct msagen_tensor *r = result(a, a->dims, a->shape, error, error_bytes);
    if (!r)
        return NULL;
    double left[CHUNK], right[CHUNK];
    const int64_t numel = msagen_tensor_numel(a);
    for (int64_t first = 0; first < numel; first += CHUNK) {
        const int64_t n = numel - first < CHUNK ? numel - first : CHUNK;
        msagen_tensor_read_f64_range(a, first, n, left);
        msagen_tensor_read_f64_range(b, first, n, right);
        for (int64_t i = 0; i < n; ++i)
            left[i] += scale_b * right[i];
        msagen_tensor_store(r, first, n, left);
    }
    return r;
}

struct msagen_tensor *msagen_tensor_scale(const struct msagen_tensor *a, double s, char *error, size_t error_bytes)
{
    struct msagen_tensor *r = result(a, a->dims, a->shape, error, error_bytes);
    if (!r)
        return NULL;
    double values[CHUNK];
    const int64_t numel = msagen_tensor_numel(a);
    for (int64_t first = 0; first < numel; first += CHUNK) {
        const int64_t n = numel - first < CHUNK ? numel - first : CHUNK;
        msagen_tensor_read_f64_range(a, first, n, values);
        for (int64_t i = 0; i < n; ++i)
            values[i] *= s;
        msagen_tensor_store(r, first, n, values);
    }
    return r;
}

struct msagen_tensor *msagen_tensor_matmul(const struct msagen_tensor *a, const struct msagen_tensor *b, char *error,
                                           size_t error_bytes)
{
    char left_text[MSAGEN_SHAPE_TEXT], right_text[MSAGEN_SHAPE_TEXT];
    if (a->dims != 2 || b->dims != 2 || a->shape[1] != b->shape[0])
        return msagen_tensor_refuse(error, error_bytes, "%s: %s and %s of %s cannot be multiplied", a->name,
                                    msagen_tensor_shape_text(a, left_text, sizeof left_text),
                                    msagen_tensor_shape_text(b, right_text, sizeof right_text), b->name);
    const int64_t rows = a->shape[0], inner = a->shape[1], columns = b->shape[1];
    struct msagen_tensor *r = result(a, 2, (int64_t[]){rows, columns}, error, error_bytes);
    if (!r || rows == 0 || columns == 0 || inner == 0)
        return r;
    /* Both operands exist, so their sizes fit; the products below are at most 8 times a size that was allocated or
     * mapped. */
    const int64_t numel_b = msagen_tensor_numel(b);
    double *right = (uint64_t)numel_b <= SIZE_MAX / sizeof(double) ? malloc((size_t)numel_b * sizeof(double)) : NULL;
    double *left = malloc((size_t)inner * sizeof(double)), *sum = malloc((size_t)columns * sizeof(double));
    if (!right || !left || !sum) {
        free(right);
        free(left);
        free(sum);
        msagen_tensor_free(r);
        return msagen_tensor_refuse(error, error_bytes, "%s: out of memory", a->name);
    }
    msagen_tensor_read_f64_range(b, 0, numel_b, right);
    for (int64_t i = 0; i < rows; ++i) {
        msagen_tensor_read_f64_range(a, i * inner, inner, left);
        for (int64_t j = 0; j < columns; ++j)
            sum[j] = 0;
        for (int64_t k = 0; k < inner; ++k) {
            const double *row = right + k * columns;
            for (int64_t j = 0; j < columns; ++j)
                sum[j] += left[k] * row[j];
        }
        msagen_tensor_store(r, i * columns, columns, sum);
    }
    free(right);
    free(left);
    free(sum);
    return r;
}
