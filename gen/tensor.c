/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors: storage, views, conversion to float, and arithmetic in double. */
#define _GNU_SOURCE
#include "tensor.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TILE = 16, CHUNK = 4096 };

/* Elements that a view of a smaller storage may have. */
static const int64_t REPEATED_MAX = INT64_C(1) << 24;

static const struct {
    size_t bytes;
    const char *name;
} dtypes[] = {
    [MSAGEN_F32] = {4, "f32"},  [MSAGEN_F64] = {8, "f64"}, [MSAGEN_F16] = {2, "f16"}, [MSAGEN_BF16] = {2, "bf16"},
    [MSAGEN_I64] = {8, "i64"},  [MSAGEN_I32] = {4, "i32"}, [MSAGEN_I16] = {2, "i16"}, [MSAGEN_I8] = {1, "i8"},
    [MSAGEN_U8] = {1, "u8"},    [MSAGEN_BOOL] = {1, "bool"},
};

size_t msagen_dtype_bytes(enum msagen_dtype dtype)
{
    return dtypes[dtype].bytes;
}

const char *msagen_dtype_name(enum msagen_dtype dtype)
{
    return dtypes[dtype].name;
}

static void *refuse(char *error, size_t error_bytes, const char *format, ...)
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

static void release_map(struct msagen_buffer *b)
{
    if (b->bytes)
        munmap(b->owner, b->bytes);
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

struct msagen_buffer *msagen_buffer_map(const char *path, char *error, size_t error_bytes)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return refuse(error, error_bytes, "%s: cannot be opened: %s", path, strerror(errno));
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return refuse(error, error_bytes, "%s: not a regular file", path);
    }
    const size_t bytes = (size_t)st.st_size;
    void *data = bytes ? mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    const int why = errno;
    close(fd);
    if (data == MAP_FAILED)
        return refuse(error, error_bytes, "%s: cannot be mapped: %s", path, strerror(why));
    struct msagen_buffer *b = buffer_new(data, bytes, data, release_map);
    if (!b) {
        if (bytes)
            munmap(data, bytes);
        return refuse(error, error_bytes, "%s: out of memory", path);
    }
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

static const unsigned char *element(const struct msagen_tensor *t, int64_t index)
{
    return t->storage->data + (size_t)(t->offset + index) * msagen_dtype_bytes(t->dtype);
}

/* The same elements in the same order with as few dimensions as strides allow, at least one; ones are dropped. */
struct walk {
    int dims;
    int64_t shape[MSAGEN_MAX_DIMS], stride[MSAGEN_MAX_DIMS], index[MSAGEN_MAX_DIMS];
    int64_t at; /* distance of the current element from the view's first */
};

static void walk_start(struct walk *w, const struct msagen_tensor *t)
{
    *w = (struct walk){.dims = 0};
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

/* To the next index of the first `dims` dimensions; 0 at the end. */
static int walk_next(struct walk *w, int dims)
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

static void walk_seek(struct walk *w, int64_t flat)
{
    w->at = 0;
    for (int i = w->dims - 1; i >= 0; --i) {
        w->index[i] = flat % w->shape[i];
        flat /= w->shape[i];
        w->at += w->index[i] * w->stride[i];
    }
}

double msagen_tensor_at(const struct msagen_tensor *t, const int64_t *index)
{
    int64_t at = 0;
    for (int i = 0; i < t->dims; ++i)
        at += index[i] * t->stride[i];
    double value;
    run_f64(t->dtype, element(t, at), 1, 1, &value);
    return value;
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
            run_f32(t->dtype, element(t, at + r * row_stride), column_stride, (size_t)columns, out + (size_t)r * ld);
        return;
    }
    for (int64_t r = 0; r < rows; r += TILE) {
        const size_t height = (size_t)(rows - r < TILE ? rows - r : TILE);
        for (int64_t c = 0; c < columns; c += TILE) {
            const size_t width = (size_t)(columns - c < TILE ? columns - c : TILE);
            float tile[TILE][TILE] = {{0}};
            for (size_t j = 0; j < width; ++j)
                run_f32(t->dtype, element(t, at + r + (c + (int64_t)j) * column_stride), 1, height, tile[j]);
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
    struct walk w;
    walk_start(&w, t);
    if (w.dims == 1) {
        run_f32(t->dtype, element(t, 0), w.stride[0], (size_t)w.shape[0], out);
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
        struct walk between = {.dims = last - down - 1};
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
        struct walk w;                                                                                  \
        walk_start(&w, t);                                                                              \
        walk_seek(&w, first);                                                                           \
        const int last = w.dims - 1;                                                                    \
        for (;;) {                                                                                      \
            int64_t n = w.shape[last] - w.index[last];                                                  \
            if (n > count)                                                                              \
                n = count;                                                                              \
            run(t->dtype, element(t, w.at), w.stride[last], (size_t)n, out);                            \
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

void msagen_tensor_forget(const struct msagen_tensor *t)
{
    const struct msagen_buffer *map = t->storage;
    while (map->release == release_view)
        map = map->owner;
    if (map->release != release_map || msagen_tensor_numel(t) == 0)
        return;
    int64_t reach = 0;
    for (int i = 0; i < t->dims; ++i)
        reach += (t->shape[i] - 1) * t->stride[i];
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const uintptr_t base = (uintptr_t)map->data;
    const uintptr_t from = ((uintptr_t)element(t, 0) - base) / page * page;
    uintptr_t to = ((uintptr_t)element(t, reach) - base + msagen_dtype_bytes(t->dtype) + page - 1) / page * page;
    if (to > map->bytes)
        to = map->bytes;
    madvise((char *)map->owner + from, to - from, MADV_DONTNEED);
}

/* ---- views ---- */

/* A new tensor's elements, to write. */
static void *writable(const struct msagen_tensor *t)
{
    return (void *)(uintptr_t)t->storage->data;
}

/* "[3,14,14]" */
static const char *shape_text(const struct msagen_tensor *t, char *text, size_t bytes)
{
    size_t used = (size_t)snprintf(text, bytes, "[");
    for (int i = 0; i < t->dims && used < bytes; ++i)
        used += (size_t)snprintf(text + used, bytes - used, i ? ",%lld" : "%lld", (long long)t->shape[i]);
    if (used < bytes)
        snprintf(text + used, bytes - used, "]");
    return text;
}

enum { SHAPE_TEXT = MSAGEN_MAX_DIMS * 21 + 3 };

static struct msagen_tensor *view(const struct msagen_tensor *t, int dims, const int64_t *shape, const int64_t *stride,
                                  int64_t offset, char *error, size_t error_bytes)
{
    struct msagen_tensor *v = msagen_tensor_new(t->name, t->dtype, dims, shape, stride, offset, t->storage);
    return v ? v : refuse(error, error_bytes, "%s: out of memory", t->name);
}

struct msagen_tensor *msagen_tensor_slice(const struct msagen_tensor *t, int dim, int64_t start, int64_t len,
                                          char *error, size_t error_bytes)
{
    char text[SHAPE_TEXT];
    if (dim < 0 || dim >= t->dims || start < 0 || len < 0 || start > t->shape[dim] || len > t->shape[dim] - start)
        return refuse(error, error_bytes, "%s: no slice of %lld from %lld along dimension %d of %s", t->name,
                      (long long)len, (long long)start, dim + 1, shape_text(t, text, sizeof text));
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
            return refuse(error, error_bytes, "%s: no permutation of %d dimensions", t->name, t->dims);
        seen |= 1u << order[i];
        shape[i] = t->shape[order[i]];
        stride[i] = t->stride[order[i]];
    }
    return view(t, t->dims, shape, stride, t->offset, error, error_bytes);
}

/* Strides of `shape` over t's elements without moving them, or 0 if there are none. */
static int restride(const struct msagen_tensor *t, int dims, const int64_t *shape, int64_t *stride)
{
    struct walk w;
    walk_start(&w, t);
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
    char text[SHAPE_TEXT];
    const int64_t numel = msagen_tensor_numel(t);
    int64_t shape[MSAGEN_MAX_DIMS] = {0};
    int rest = -1;
    if (dims < 0 || dims > MSAGEN_MAX_DIMS)
        return refuse(error, error_bytes, "%s: at most %d dimensions, found %d", t->name, MSAGEN_MAX_DIMS, dims);
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
        return refuse(error, error_bytes, "%s: %s does not have the elements of the shape asked for", t->name,
                      shape_text(t, text, sizeof text));
    int64_t stride[MSAGEN_MAX_DIMS] = {0};
    if (numel > 0 && restride(t, dims, shape, stride))
        return view(t, dims, shape, stride, t->offset, error, error_bytes);
    struct msagen_tensor *copy = msagen_tensor_zeros(t->name, t->dtype, dims, shape);
    if (!copy)
        return refuse(error, error_bytes, "%s: out of memory", t->name);
    msagen_tensor_read_raw(t, 0, numel, writable(copy));
    return copy;
}

/* ---- arithmetic ---- */

static struct msagen_tensor *result(const struct msagen_tensor *like, int dims, const int64_t *shape, char *error,
                                    size_t error_bytes)
{
    struct msagen_tensor *r = msagen_tensor_zeros(like->name, MSAGEN_F32, dims, shape);
    return r ? r : refuse(error, error_bytes, "%s: out of memory", like->name);
}

struct msagen_tensor *msagen_tensor_add(const struct msagen_tensor *a, const struct msagen_tensor *b, double scale_b,
                                        char *error, size_t error_bytes)
{
    char left_text[SHAPE_TEXT], right_text[SHAPE_TEXT];
    int same = a->dims == b->dims;
    for (int i = 0; same && i < a->dims; ++i)
        same = a->shape[i] == b->shape[i];
    if (!same)
        return refuse(error, error_bytes, "%s: %s and %s of %s cannot be added", a->name,
                      shape_text(a, left_text, sizeof left_text), shape_text(b, right_text, sizeof right_text), b->name);
    struct msagen_tensor *r = result(a, a->dims, a->shape, error, error_bytes);
    if (!r)
        return NULL;
    double left[CHUNK], right[CHUNK];
    const int64_t numel = msagen_tensor_numel(a);
    for (int64_t first = 0; first < numel; first += CHUNK) {
        const int64_t n = numel - first < CHUNK ? numel - first : CHUNK;
        msagen_tensor_read_f64_range(a, first, n, left);
        msagen_tensor_read_f64_range(b, first, n, right);
        float *out = (float *)writable(r) + first;
        for (int64_t i = 0; i < n; ++i)
            out[i] = (float)(left[i] + scale_b * right[i]);
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
        float *out = (float *)writable(r) + first;
        for (int64_t i = 0; i < n; ++i)
            out[i] = (float)(values[i] * s);
    }
    return r;
}

struct msagen_tensor *msagen_tensor_matmul(const struct msagen_tensor *a, const struct msagen_tensor *b, char *error,
                                           size_t error_bytes)
{
    char left_text[SHAPE_TEXT], right_text[SHAPE_TEXT];
    if (a->dims != 2 || b->dims != 2 || a->shape[1] != b->shape[0])
        return refuse(error, error_bytes, "%s: %s and %s of %s cannot be multiplied", a->name,
                      shape_text(a, left_text, sizeof left_text), shape_text(b, right_text, sizeof right_text), b->name);
    const int64_t rows = a->shape[0], inner = a->shape[1], columns = b->shape[1];
    struct msagen_tensor *r = result(a, 2, (int64_t[]){rows, columns}, error, error_bytes);
    if (!r || rows == 0 || columns == 0 || inner == 0)
        return r;
    /* Both operands exist, so their sizes fit; the products below are at most 8 times a size that was allocated or mapped. */
    const int64_t numel_b = msagen_tensor_numel(b);
    double *right = (uint64_t)numel_b <= SIZE_MAX / sizeof(double) ? malloc((size_t)numel_b * sizeof(double)) : NULL;
    double *left = malloc((size_t)inner * sizeof(double)), *sum = malloc((size_t)columns * sizeof(double));
    if (!right || !left || !sum) {
        free(right);
        free(left);
        free(sum);
        msagen_tensor_free(r);
        return refuse(error, error_bytes, "%s: out of memory", a->name);
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
        float *out = (float *)writable(r) + i * columns;
        for (int64_t j = 0; j < columns; ++j)
            out[j] = (float)sum[j];
    }
    free(right);
    free(left);
    free(sum);
    return r;
}
