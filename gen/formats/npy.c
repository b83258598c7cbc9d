/* SPDX-License-Identifier: Apache-2.0 */
/* NPY files (versions 1 to 3), read in place and written. The header is a Python dictionary literal of three known
 * keys. */
#include "npy.h"

#include "infile.h"
#include "outfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PREFIX = 8, TEXT = 64, ALIGN = 64 };

static const struct {
    char kind[3];
    enum msagen_dtype dtype;
} kinds[] = {
    {"f4", MSAGEN_F32}, {"f8", MSAGEN_F64}, {"f2", MSAGEN_F16}, {"i8", MSAGEN_I64}, {"i4", MSAGEN_I32},
    {"i2", MSAGEN_I16}, {"i1", MSAGEN_I8},  {"u2", MSAGEN_U16}, {"u1", MSAGEN_U8},  {"b1", MSAGEN_BOOL},
};

struct header {
    const unsigned char *p, *end;
    int seen; /* bits: descr, fortran_order, shape */
    enum msagen_dtype dtype;
    int fortran, dims;
    int64_t shape[MSAGEN_MAX_DIMS];
    char wrong[160]; /* what was expected, found */
};

static void skip(struct header *h)
{
    while (h->p < h->end && (*h->p == ' ' || *h->p == '\n' || *h->p == '\t' || *h->p == '\r'))
        ++h->p;
}

static int eat(struct header *h, char c)
{
    skip(h);
    if (h->p == h->end || *h->p != (unsigned char)c)
        return 0;
    ++h->p;
    return 1;
}

/* A quoted text of printable ASCII without escapes, shorter than TEXT. */
static int parse_text(struct header *h, char text[TEXT])
{
    skip(h);
    if (h->p == h->end || (*h->p != '\'' && *h->p != '"'))
        return 0;
    const unsigned char quote = *h->p++;
    size_t n = 0;
    while (h->p < h->end && *h->p != quote) {
        if (*h->p < ' ' || *h->p > '~' || *h->p == '\\' || n == TEXT - 1)
            return 0;
        text[n++] = (char)*h->p++;
    }
    text[n] = '\0';
    if (h->p == h->end)
        return 0;
    ++h->p;
    return 1;
}

static int wrong(struct header *h, const char *expected, const char *found)
{
    snprintf(h->wrong, sizeof h->wrong, "%s%s%s", expected, *found ? ", found " : "", found);
    return 0;
}

static int parse_descr(struct header *h)
{
    char text[TEXT];
    if (!parse_text(h, text))
        return wrong(h, "descr: one element type expected", "");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; ++i) {
        if (*text == '\0' || strcmp(text + 1, kinds[i].kind) != 0)
            continue;
        const int byte = msagen_dtype_bytes(kinds[i].dtype) == 1;
        if (*text == '<' || *text == '=' || (byte && (*text == '|' || *text == '>'))) {
            h->dtype = kinds[i].dtype;
            return 1;
        }
    }
    return wrong(h, "descr: little-endian f2 f4 f8 i1 i2 i4 i8 u1 u2 or b1 expected", text);
}

static int parse_truth(struct header *h)
{
    skip(h);
    const size_t left = (size_t)(h->end - h->p);
    if (left >= 4 && memcmp(h->p, "True", 4) == 0) {
        h->fortran = 1;
        h->p += 4;
    } else if (left >= 5 && memcmp(h->p, "False", 5) == 0) {
        h->p += 5;
    } else {
        return wrong(h, "fortran_order: True or False expected", "");
    }
    return 1;
}

static int parse_size(struct header *h, int64_t *size)
{
    int64_t value = 0;
    int digits = 0;
    skip(h);
    for (; h->p < h->end && *h->p >= '0' && *h->p <= '9'; ++h->p, ++digits) {
        const int digit = *h->p - '0';
        if (value > (INT64_MAX - digit) / 10)
            return 0;
        value = value * 10 + digit;
    }
    if (h->p < h->end && *h->p == 'L') /* Python 2 wrote long integers so */
        ++h->p;
    *size = value;
    return digits > 0;
}

static int parse_shape(struct header *h)
{
    if (!eat(h, '('))
        return wrong(h, "shape: a tuple expected", "");
    for (int comma = 1; !eat(h, ')');) {
        int64_t size;
        if (!comma || !parse_size(h, &size))
            return wrong(h, "shape: a tuple of sizes expected", "");
        if (h->dims == MSAGEN_MAX_DIMS)
            return wrong(h, "shape: at most 8 dimensions expected", "more");
        h->shape[h->dims++] = size;
        comma = eat(h, ',');
    }
    return 1;
}

static int parse_dictionary(struct header *h)
{
    static const char *const keys[] = {"descr", "fortran_order", "shape"};
    static int (*const parsers[])(struct header *) = {parse_descr, parse_truth, parse_shape};
    if (!eat(h, '{'))
        return wrong(h, "a dictionary expected", "");
    for (int comma = 1; !eat(h, '}');) {
        char key[TEXT];
        if (!comma || !parse_text(h, key) || !eat(h, ':'))
            return wrong(h, "a dictionary of descr, fortran_order and shape expected", "");
        int which = 0;
        while (which < 3 && strcmp(key, keys[which]) != 0)
            ++which;
        if (which == 3 || (h->seen >> which & 1))
            return wrong(h, "descr, fortran_order and shape expected, once each", key);
        h->seen |= 1 << which;
        if (!parsers[which](h))
            return 0;
        comma = eat(h, ',');
    }
    skip(h);
    if (h->p != h->end)
        return wrong(h, "nothing after the dictionary expected", "");
    for (int which = 0; which < 3; ++which)
        if (!(h->seen >> which & 1))
            return wrong(h, "descr, fortran_order and shape expected, once each; one is missing", "");
    return 1;
}

/* Bytes of the data, or -1 when no file could hold them. */
static int64_t data_bytes(const struct header *h)
{
    uint64_t n = msagen_dtype_bytes(h->dtype);
    for (int i = 0; i < h->dims; ++i)
        if (h->shape[i] == 0)
            return 0;
    for (int i = 0; i < h->dims; ++i) {
        if ((uint64_t)h->shape[i] > INT64_MAX / 16 / n)
            return -1;
        n *= (uint64_t)h->shape[i];
    }
    return (int64_t)n;
}

struct msagen_tensor *msagen_npy_parse(struct msagen_buffer *file, const char *name, char *error, size_t error_bytes)
{
    const unsigned char *p = file->data;
    if (file->bytes < PREFIX + 2 || memcmp(p, "\x93NUMPY", 6) != 0) {
        snprintf(error, error_bytes, "%s: no NPY file", name);
        return NULL;
    }
    if (p[6] < 1 || p[6] > 3) {
        snprintf(error, error_bytes, "%s: NPY version 1 to 3 expected, found %d.%d", name, p[6], p[7]);
        return NULL;
    }
    const size_t field = p[6] == 1 ? 2 : 4;
    uint64_t length = 0;
    for (size_t i = 0; i < field && PREFIX + i < file->bytes; ++i)
        length |= (uint64_t)p[PREFIX + i] << (8 * i);
    const size_t start = PREFIX + field;
    if (file->bytes < start || length > file->bytes - start) {
        snprintf(error, error_bytes, "%s: NPY header: %llu bytes expected, but the file ends before", name,
                 (unsigned long long)length);
        return NULL;
    }
    struct header h = {.p = p + start, .end = p + start + length};
    if (!parse_dictionary(&h)) {
        snprintf(error, error_bytes, "%s: NPY header: %s", name, h.wrong);
        return NULL;
    }
    const size_t at = start + (size_t)length;
    const int64_t bytes = data_bytes(&h);
    if (bytes < 0 || (uint64_t)bytes != file->bytes - at) {
        snprintf(error, error_bytes, "%s: NPY data: %s%llu bytes expected, found %zu", name,
            bytes < 0 ? "more than " : "",
                 bytes < 0 ? (unsigned long long)INT64_MAX / 16 : (unsigned long long)bytes, file->bytes - at);
        return NULL;
    }
    int64_t stride[MSAGEN_MAX_DIMS], step = 1;
    for (int i = 0; i < h.dims; ++i) {
        const int dim = h.fortran ? i : h.dims - 1 - i;
        stride[dim] = step;
        step *= bytes ? h.shape[dim] : 1;
    }
    struct msagen_buffer *data = msagen_buffer_view(file, at, (size_t)bytes);
    struct msagen_tensor *t = NULL;
    if (data && msagen_tensor_inside(h.dtype, h.dims, h.shape, stride, 0, (size_t)bytes))
        t = msagen_tensor_new(name, h.dtype, h.dims, h.shape, stride, 0, data);
    msagen_buffer_unref(data);
    if (!t)
        snprintf(error, error_bytes, "%s: %s", name, data ? "shape out of range" : "out of memory");
    return t;
}

struct msagen_tensor *msagen_npy_read(const char *path, char *error, size_t error_bytes)
{
    struct msagen_buffer *file = msagen_infile_load(path, error, error_bytes);
    if (!file)
        return NULL;
    struct msagen_tensor *t = msagen_npy_parse(file, path, error, error_bytes);
    msagen_buffer_unref(file);
    return t;
}

static void write_header(struct msagen_outfile *f, const struct msagen_tensor *t, const char *kind)
{
    char text[128 + MSAGEN_MAX_DIMS * 22];
    const char *order = msagen_dtype_bytes(t->dtype) == 1 ? "|" : "<";
    size_t n = (size_t)snprintf(text, sizeof text, "{'descr': '%s%s', 'fortran_order': False, 'shape': (", order, kind);
    for (int i = 0; i < t->dims; ++i)
        n += (size_t)snprintf(text + n, sizeof text - n, i ? " %lld%s" : "%lld%s", (long long)t->shape[i],
                              i + 1 < t->dims || t->dims == 1 ? "," : "");
    n += (size_t)snprintf(text + n, sizeof text - n, "), }");
    const size_t padding = (ALIGN - (PREFIX + 2 + n + 1) % ALIGN) % ALIGN;
    const size_t length = n + padding + 1;
    const unsigned char prefix[PREFIX + 2] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (unsigned char)(length & 0xff),
                                              (unsigned char)(length >> 8)};
    msagen_outfile_write(f, prefix, sizeof prefix);
    msagen_outfile_write(f, text, n);
    for (size_t i = 0; i < padding; ++i)
        msagen_outfile_write(f, " ", 1);
    msagen_outfile_write(f, "\n", 1);
}

int msagen_npy_write(const char *path, const struct msagen_tensor *t, char *error, size_t error_bytes)
{
    enum { CHUNK = 4096 };
    const char *kind = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; ++i)
        if (kinds[i].dtype == t->dtype)
            kind = kinds[i].kind;
    if (!kind) {
        snprintf(error, error_bytes, "%s: NPY has no %s", path, msagen_dtype_name(t->dtype));
        return -1;
    }
    struct msagen_outfile *f = msagen_outfile_open(path, error, error_bytes);
    if (!f)
        return -1;
    write_header(f, t, kind);
    unsigned char buffer[CHUNK * 8];
    const int64_t numel = msagen_tensor_numel(t);
    for (int64_t first = 0; first < numel && !msagen_outfile_failed(f); first += CHUNK) {
        const int64_t n = numel - first < CHUNK ? numel - first : CHUNK;
        msagen_tensor_read_raw(t, first, n, buffer);
        msagen_outfile_write(f, buffer, (size_t)n * msagen_dtype_bytes(t->dtype));
    }
    return msagen_outfile_finish(f, error, error_bytes);
}
