/* SPDX-License-Identifier: Apache-2.0 */
/* The weights blob: writes tensors in the order and layout that generated kernels read. */
#define _GNU_SOURCE
#include "blob.h"

#include "outfile.h"
#include "quantise.h"
#include "sha256.h"

#include "msa_runtime.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Floats converted at a time: small enough for the second-level cache. */
enum { BATCH = 16384 };

/* The largest float that rounds to a finite number of 8 significant bits. */
static const float BF16_MOST = 0x1.fefffep127f;

/* Parts stay far below this, so that offsets never wrap. */
static const uint64_t PART_MAX = UINT64_C(1) << 48;

struct msagen_blob {
    char *path;
    struct msagen_outfile *file;
    struct sha256_ctx hash;
    uint32_t room, count;
    uint32_t part_crc; /* of the part that is being written */
    struct msagen_blob_segment *segments;
    char arith[MSAGEN_BLOB_ARITH];
    float batch[BATCH];
};

static int refuse(char *error, size_t error_bytes, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error, error_bytes, format, args);
    va_end(args);
    return -1;
}

void msagen_blob_free(struct msagen_blob *b)
{
    if (!b)
        return;
    msagen_outfile_abort(b->file);
    for (uint32_t i = 0; i < b->count; ++i)
        free(b->segments[i].name);
    free(b->segments);
    free(b->path);
    free(b);
}

struct msagen_blob *msagen_blob_create(const char *path, const char *arith, uint32_t room, char *error,
    size_t error_bytes)
{
    if (strlen(arith) >= MSAGEN_BLOB_ARITH || room > MSAGEN_BLOB_SEGMENTS_MAX) {
        refuse(error, error_bytes, "%s: arithmetic class %s or %u segments: at most %d characters, %d segments", path,
            arith,
               (unsigned)room, MSAGEN_BLOB_ARITH - 1, MSAGEN_BLOB_SEGMENTS_MAX);
        return NULL;
    }
    struct msagen_blob *b = calloc(1, sizeof *b);
    if (b) {
        b->room = room;
        b->path = strdup(path);
        b->segments = calloc(room ? room : 1, sizeof *b->segments);
    }
    if (!b || !b->path || !b->segments) {
        msagen_blob_free(b);
        refuse(error, error_bytes, "%s: out of memory", path);
        return NULL;
    }
    memcpy(b->arith, arith, strlen(arith));
    sha256_init(&b->hash);
    b->file = msagen_outfile_open(path, error, error_bytes);
    if (!b->file) {
        msagen_blob_free(b);
        return NULL;
    }
    const size_t head = (MSAGEN_BLOB_HEADER + (size_t)room * MSAGEN_BLOB_ENTRY + MSAGEN_BLOB_ALIGN
        - 1) / MSAGEN_BLOB_ALIGN;
    static const unsigned char zeros[MSAGEN_BLOB_ALIGN];
    for (size_t i = 0; i < head; ++i)
        msagen_outfile_write(b->file, zeros, sizeof zeros);
    return b;
}

/* Bytes of the segment that are no part's. */
static void append_padding(struct msagen_blob *b, const void *data, size_t bytes)
{
    struct msagen_blob_segment *s = &b->segments[b->count - 1];
    s->crc = msa_crc32c(s->crc, data, bytes);
    s->bytes += bytes;
    sha256_update(&b->hash, bytes, data);
    msagen_outfile_write(b->file, data, bytes);
}

static void append(struct msagen_blob *b, const void *data, size_t bytes)
{
    b->part_crc = msa_crc32c(b->part_crc, data, bytes);
    append_padding(b, data, bytes);
}

static void align(struct msagen_blob *b)
{
    static const unsigned char zeros[MSAGEN_BLOB_ALIGN];
    const uint64_t past = msagen_outfile_size(b->file) % MSAGEN_BLOB_ALIGN;
    append_padding(b, zeros, (size_t)((MSAGEN_BLOB_ALIGN - past) % MSAGEN_BLOB_ALIGN));
}

int msagen_blob_segment(struct msagen_blob *b, const char *name, char *error, size_t error_bytes)
{
    if (!b->file)
        return refuse(error, error_bytes, "%s: closed already", b->path);
    if (b->count == b->room)
        return refuse(error, error_bytes, "%s: segment %s: room for %u segments only", b->path, name,
            (unsigned)b->room);
    char *copy = strdup(name);
    if (!copy)
        return refuse(error, error_bytes, "%s: out of memory", b->path);
    b->segments[b->count++] = (struct msagen_blob_segment){.name = copy, .offset = msagen_outfile_size(b->file)};
    return 0;
}

/* Checks that a part of rows x stride floats can be written here, and says where. */
static int part_begin(struct msagen_blob *b, const char *what, uint64_t rows, uint64_t stride,
    struct msagen_blob_part *part,
                      char *error, size_t error_bytes)
{
    if (!b->file)
        return refuse(error, error_bytes, "%s: closed already", b->path);
    if (b->count == 0)
        return refuse(error, error_bytes, "%s: %s: no segment begun", b->path, what);
    if (stride > PART_MAX / 4 || (stride > 0 && rows > PART_MAX / 4 / stride))
        return refuse(error, error_bytes, "%s: %s: too large for a blob", b->path, what);
    part->offset = msagen_outfile_size(b->file);
    part->bytes = rows * stride * 4;
    b->part_crc = 0;
    return 0;
}

static int part_end(struct msagen_blob *b, const struct msagen_tensor *t, struct msagen_blob_part *part, char *error,
                    size_t error_bytes)
{
    part->crc = b->part_crc;
    align(b);
    if (t)
        msagen_tensor_forget(t);
    if (!msagen_outfile_failed(b->file))
        return 0;
    msagen_outfile_finish(b->file, error, error_bytes);
    b->file = NULL;
    return -1;
}

/* Zeroes what would become subnormal in a product; returns 1 if a value is no finite float. */
static int settle(float *values, size_t n)
{
    unsigned bad = 0;
    for (size_t i = 0; i < n; ++i) {
        const float magnitude = fabsf(values[i]);
        bad |= !(magnitude <= 0x1.fffffep127f);
        values[i] = magnitude < 0x1p-60f ? 0.0f : values[i];
    }
    return bad != 0;
}

/* Names the first value above the largest that a type holds, or that is no number; out of the fast path. */
static int refuse_value_above(const struct msagen_tensor *t, float largest, const char *type, char *error,
    size_t error_bytes)
{
    const int64_t numel = msagen_tensor_numel(t);
    for (int64_t flat = 0; flat < numel; ++flat) {
        const double value = msagen_tensor_at_flat(t, flat);
        if (fabsf((float)value) <= largest)
            continue;
        char text[MSAGEN_MAX_DIMS * 21 + 1] = "";
        int64_t block = numel;
        size_t used = 0;
        for (int i = 0; i < t->dims; ++i) {
            block /= t->shape[i];
            used += (size_t)snprintf(text + used, sizeof text - used, i ? ",%lld" : "%lld",
                                     (long long)(flat / block % t->shape[i]));
        }
        if (isfinite(value))
            return refuse(error, error_bytes, "%s: element [%s] is %g; a weight must fit into a %s", t->name, text,
                value, type);
        return refuse(error, error_bytes, "%s: element [%s] is %s; a weight must be a finite number", t->name, text,
                      isnan(value) ? "NaN" : "infinite");
    }
    return refuse(error, error_bytes, "%s: changed while it was read", t->name);
}

static int refuse_value(const struct msagen_tensor *t, char *error, size_t error_bytes)
{
    return refuse_value_above(t, FLT_MAX, "float", error, error_bytes);
}

static int need_matrix(const struct msagen_tensor *t, char *error, size_t error_bytes)
{
    return t->dims == 2 ? 0 : refuse(error, error_bytes, "%s: a matrix expected, found %d dimensions", t->name,
        t->dims);
}

int msagen_blob_panels(struct msagen_blob *b, const struct msagen_tensor *m, struct msagen_blob_part *part, char *error,
                       size_t error_bytes)
{
    if (need_matrix(m, error, error_bytes) != 0)
        return -1;
    const int64_t inner = m->shape[0], columns = m->shape[1];
    const uint64_t panels = (uint64_t)columns / MSAGEN_PANEL + (columns % MSAGEN_PANEL != 0);
    if (panels > PART_MAX / (4 * MSAGEN_PANEL) ||
        part_begin(b, m->name, (uint64_t)inner, panels * MSAGEN_PANEL, part, error, error_bytes) != 0)
        return panels > PART_MAX / (4 * MSAGEN_PANEL) ? refuse(error, error_bytes, "%s: too large for a blob", m->name)
            : -1;
    const int64_t step = BATCH / MSAGEN_PANEL;
    for (int64_t column = 0; inner > 0 && column < columns; column += MSAGEN_PANEL) {
        const int64_t width = columns - column < MSAGEN_PANEL ? columns - column : MSAGEN_PANEL;
        if (width < MSAGEN_PANEL)
            memset(b->batch, 0, sizeof b->batch);
        for (int64_t k = 0; k < inner; k += step) {
            const int64_t rows = inner - k < step ? inner - k : step;
            const size_t n = (size_t)rows * MSAGEN_PANEL;
            msagen_tensor_read_f32_block(m, k, rows, column, width, b->batch, MSAGEN_PANEL);
            if (settle(b->batch, n))
                return refuse_value(m, error, error_bytes);
            append(b, b->batch, n * sizeof(float));
        }
    }
    return part_end(b, m, part, error, error_bytes);
}

static void append_zeros(struct msagen_blob *b, uint64_t floats)
{
    memset(b->batch, 0, sizeof b->batch);
    while (floats) {
        const size_t n = floats < BATCH ? (size_t)floats : BATCH;
        append(b, b->batch, n * sizeof(float));
        floats -= n;
    }
}

/* count elements of t from `first` in C order */
static int append_values(struct msagen_blob *b, const struct msagen_tensor *t, int64_t first, int64_t count,
    char *error,
                         size_t error_bytes)
{
    while (count > 0) {
        const int64_t n = count < BATCH ? count : BATCH;
        msagen_tensor_read_f32_range(t, first, n, b->batch);
        if (settle(b->batch, (size_t)n))
            return refuse_value(t, error, error_bytes);
        append(b, b->batch, (size_t)n * sizeof(float));
        first += n;
        count -= n;
    }
    return 0;
}

/* Rows of a panel, of which there are two at least, as pairs. @return whether any is no finite number */
static int append_pairs(struct msagen_blob *b, int64_t rows)
{
    uint32_t pairs[BATCH / 2];
    int bad = 0;
    for (int64_t i = 0; i < rows / 2 * MSAGEN_PANEL; ++i) {
        uint32_t pair[2];
        for (int64_t half = 0; half < 2; ++half) {
            const float value = msagen_bf16(b->batch[(i / MSAGEN_PANEL * 2 + half) * MSAGEN_PANEL + i % MSAGEN_PANEL]);
            bad |= !isfinite(value);
            memcpy(&pair[half], &value, sizeof value);
        }
        pairs[i] = pair[0] >> 16 | pair[1];
    }
    append(b, pairs, (size_t)(rows / 2 * MSAGEN_PANEL) * sizeof *pairs);
    return bad;
}

int msagen_blob_panels_bf16(struct msagen_blob *b, const struct msagen_tensor *m, struct msagen_blob_part *part,
    char *error, size_t error_bytes)
{
    if (need_matrix(m, error, error_bytes) != 0)
        return -1;
    const int64_t inner = m->shape[0], columns = m->shape[1], step = BATCH / MSAGEN_PANEL / 2 * 2;
    const uint64_t panels = (uint64_t)columns / MSAGEN_PANEL + (columns % MSAGEN_PANEL != 0);
    if (panels > PART_MAX / (4 * MSAGEN_PANEL))
        return refuse(error, error_bytes, "%s: too large for a blob", m->name);
    if (part_begin(b, m->name, ((uint64_t)inner + 1) / 2, panels * MSAGEN_PANEL, part, error, error_bytes) != 0)
        return -1;
    for (int64_t column = 0; inner > 0 && column < columns; column += MSAGEN_PANEL) {
        const int64_t width = columns - column < MSAGEN_PANEL ? columns - column : MSAGEN_PANEL;
        for (int64_t k = 0; k < inner; k += step) {
            const int64_t rows = inner - k < step ? inner - k : step;
            memset(b->batch, 0, sizeof b->batch);
            msagen_tensor_read_f32_block(m, k, rows, column, width, b->batch, MSAGEN_PANEL);
            if (append_pairs(b, (rows + 1) / 2 * 2))
                return refuse_value_above(m, BF16_MOST, "bf16", error, error_bytes);
        }
    }
    return part_end(b, m, part, error, error_bytes);
}

int msagen_blob_rows(struct msagen_blob *b, const struct msagen_tensor *m, int64_t stride,
    struct msagen_blob_part *part,
                     char *error, size_t error_bytes)
{
    if (need_matrix(m, error, error_bytes) != 0)
        return -1;
    const int64_t rows = m->shape[0], columns = m->shape[1];
    if (stride < columns)
        return refuse(error, error_bytes, "%s: rows of %lld floats do not fit into a stride of %lld", m->name,
                      (long long)columns, (long long)stride);
    if (part_begin(b, m->name, (uint64_t)rows, (uint64_t)stride, part, error, error_bytes) != 0)
        return -1;
    if (stride > BATCH) {
        for (int64_t r = 0; r < rows; ++r) {
            if (append_values(b, m, r * columns, columns, error, error_bytes) != 0)
                return -1;
            append_zeros(b, (uint64_t)(stride - columns));
        }
        return part_end(b, m, part, error, error_bytes);
    }
    const int64_t step = stride ? BATCH / stride : 0;
    memset(b->batch, 0, sizeof b->batch);
    for (int64_t r = 0; step > 0 && r < rows; r += step) {
        const int64_t height = rows - r < step ? rows - r : step;
        const size_t n = (size_t)(height * stride);
        msagen_tensor_read_f32_block(m, r, height, 0, columns, b->batch, (size_t)stride);
        if (settle(b->batch, n))
            return refuse_value(m, error, error_bytes);
        append(b, b->batch, n * sizeof(float));
    }
    return part_end(b, m, part, error, error_bytes);
}

int msagen_blob_vector(struct msagen_blob *b, const struct msagen_tensor *t, int64_t pad_to,
    struct msagen_blob_part *part,
                       char *error, size_t error_bytes)
{
    const int64_t numel = msagen_tensor_numel(t);
    if (pad_to != 0 && pad_to < numel)
        return refuse(error, error_bytes, "%s: %lld values do not fit into %lld", t->name, (long long)numel,
            (long long)pad_to);
    if (part_begin(b, t->name, 1, (uint64_t)(pad_to ? pad_to : numel), part, error, error_bytes) != 0 ||
        append_values(b, t, 0, numel, error, error_bytes) != 0)
        return -1;
    if (pad_to > numel)
        append_zeros(b, (uint64_t)(pad_to - numel));
    return part_end(b, t, part, error, error_bytes);
}

/* Rows `row` to row + count - 1 of a matrix, every number finite. */
static int read_rows(const struct msagen_tensor *m, int64_t row, int64_t count, float *to, char *error,
    size_t error_bytes)
{
    const int64_t columns = m->shape[1];
    msagen_tensor_read_f32_block(m, row, count, 0, columns, to, (size_t)columns);
    int bad = 0;
    for (int64_t i = 0; i < count * columns; ++i)
        bad |= !isfinite(to[i]);
    return bad != 0 ? refuse_value(m, error, error_bytes) : 0;
}

/* Columns `first` to first + count - 1 of 16 rows of whole numbers, as a panel of [steps / 4][16][4]. */
static void append_panel_int8(struct msagen_blob *b, const int8_t *q, int64_t columns, int64_t first, int64_t count)
{
    for (int64_t k = 0; k < count; k += 4) {
        int8_t step[MSAGEN_PANEL][4] = {{0}};
        for (int64_t n = 0; n < MSAGEN_PANEL; ++n)
            for (int64_t i = 0; i < 4 && k + i < count; ++i)
                step[n][i] = q[n * columns + first + k + i];
        append(b, step, sizeof step);
    }
}

static int32_t sum_of(const int8_t *q, int64_t count)
{
    int32_t sum = 0;
    for (int64_t i = 0; i < count; ++i)
        sum += q[i];
    return sum;
}

/* Buffers of a matrix as panels. */
struct panels_int8 {
    float *rows, *scales;
    int32_t *sums;
    int8_t *q;
};

static int write_panels_int8(struct msagen_blob *b, const struct msagen_tensor *m, int64_t first, int64_t count,
    const struct panels_int8 *room, char *error, size_t error_bytes)
{
    const int64_t rows = m->shape[0], columns = m->shape[1];
    for (int64_t row = 0; row < rows; row += MSAGEN_PANEL) {
        const int64_t here = rows - row < MSAGEN_PANEL ? rows - row : MSAGEN_PANEL;
        if (read_rows(m, row, here, room->rows, error, error_bytes) != 0)
            return -1;
        memset(room->q, 0, (size_t)(MSAGEN_PANEL * columns));
        for (int64_t n = 0; n < here; ++n) {
            int8_t *const q = room->q + n * columns;
            room->scales[row + n] = msagen_quantise_channel(room->rows + n * columns, (size_t)columns, q);
            room->sums[row + n] = -128 * sum_of(q + first, count);
        }
        append_panel_int8(b, room->q, columns, first, count);
    }
    const size_t padded = ((size_t)rows + MSAGEN_PANEL - 1) / MSAGEN_PANEL * MSAGEN_PANEL;
    append(b, room->scales, padded * sizeof *room->scales);
    append(b, room->sums, padded * sizeof *room->sums);
    return 0;
}

int msagen_blob_panels_int8(struct msagen_blob *b, const struct msagen_tensor *m, int64_t first, int64_t count,
    struct msagen_blob_part *part, char *error, size_t error_bytes)
{
    if (need_matrix(m, error, error_bytes) != 0)
        return -1;
    const int64_t columns = m->shape[1];
    const uint64_t padded = ((uint64_t)m->shape[0] + MSAGEN_PANEL - 1) / MSAGEN_PANEL * MSAGEN_PANEL;
    if (first < 0 || count < 1 || first > columns - count || count > INT32_MAX / (127 * 127))
        return refuse(error, error_bytes, "%s: columns %lld to %lld of %lld expected", m->name, (long long)first,
            (long long)(first + count), (long long)columns);
    if (part_begin(b, m->name, padded, ((uint64_t)count + 3) / 4 + 2, part, error, error_bytes) != 0)
        return -1;
    struct panels_int8 room = {malloc((size_t)columns * MSAGEN_PANEL * sizeof(float)), calloc(padded, sizeof(float)),
        calloc(padded, sizeof(int32_t)), malloc((size_t)columns * MSAGEN_PANEL)};
    const int good = room.rows && room.scales && room.sums && room.q;
    const int status = good ? write_panels_int8(b, m, first, count, &room, error, error_bytes)
        : refuse(error, error_bytes, "%s: out of memory", m->name);
    free(room.rows);
    free(room.scales);
    free(room.sums);
    free(room.q);
    return status != 0 ? -1 : part_end(b, m, part, error, error_bytes);
}

int msagen_blob_rows_int8(struct msagen_blob *b, const struct msagen_tensor *m, int64_t stride,
    struct msagen_blob_part *part, char *error, size_t error_bytes)
{
    if (need_matrix(m, error, error_bytes) != 0)
        return -1;
    const int64_t columns = m->shape[1];
    if (stride % 4 != 0 || stride < columns + 4 || stride > BATCH)
        return refuse(error, error_bytes, "%s: rows of %lld bytes do not fit into a stride of %lld", m->name,
            (long long)columns + 4, (long long)stride);
    if (part_begin(b, m->name, (uint64_t)m->shape[0], (uint64_t)stride / 4, part, error, error_bytes) != 0)
        return -1;
    for (int64_t row = 0; row < m->shape[0]; ++row) {
        int8_t q[BATCH] = {0};
        if (read_rows(m, row, 1, b->batch, error, error_bytes) != 0)
            return -1;
        const float scale = msagen_quantise_row(b->batch, (size_t)columns, q);
        memcpy(q + stride - 4, &scale, sizeof scale);
        append(b, q, (size_t)stride);
    }
    return part_end(b, m, part, error, error_bytes);
}

int msagen_blob_bytes(struct msagen_blob *b, const void *data, size_t bytes, struct msagen_blob_part *part, char *error,
                      size_t error_bytes)
{
    if (part_begin(b, "bytes", 1, 0, part, error, error_bytes) != 0)
        return -1;
    part->bytes = bytes;
    append(b, data, bytes);
    return part_end(b, NULL, part, error, error_bytes);
}

static unsigned char *put(unsigned char *p, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; ++i)
        *p++ = (unsigned char)(value >> (8 * i));
    return p;
}

int msagen_blob_close(struct msagen_blob *b, const unsigned char *model_hash, unsigned char hash[32],
    unsigned char file_hash[32],
                      uint64_t *bytes, char *error, size_t error_bytes)
{
    if (!b->file)
        return refuse(error, error_bytes, "%s: closed already", b->path);
    sha256_digest(&b->hash, SHA256_DIGEST_SIZE, hash);
    if (model_hash)
        memcpy(hash, model_hash, 32);
    *bytes = msagen_outfile_size(b->file);

    uint32_t table_crc = 0;
    for (uint32_t i = 0; i < b->count; ++i) {
        unsigned char entry[MSAGEN_BLOB_ENTRY];
        unsigned char *p = put(entry, b->segments[i].offset, 8);
        p = put(p, b->segments[i].bytes, 8);
        p = put(p, b->segments[i].crc, 4);
        put(p, 0, 4);
        table_crc = msa_crc32c(table_crc, entry, sizeof entry);
        msagen_outfile_patch(b->file, MSAGEN_BLOB_HEADER + (uint64_t)i * MSAGEN_BLOB_ENTRY, entry, sizeof entry);
    }
    unsigned char header[MSAGEN_BLOB_HEADER] = "MSAGENW";
    unsigned char *p = put(header + 8, MSAGEN_BLOB_VERSION, 4);
    p = put(p, MSAGEN_BLOB_HEADER, 4);
    p = put(p, *bytes, 8);
    p = put(p, b->count, 4);
    p = put(p, table_crc, 4);
    memcpy(p, b->arith, MSAGEN_BLOB_ARITH / 2);
    memcpy(p + MSAGEN_BLOB_ARITH / 2, hash, 32);
    memcpy(p + MSAGEN_BLOB_ARITH / 2 + 32, b->arith + MSAGEN_BLOB_ARITH / 2, MSAGEN_BLOB_ARITH / 2);
    msagen_outfile_patch(b->file, 0, header, sizeof header);
    msagen_outfile_hash(b->file, file_hash);
    struct msagen_outfile *file = b->file;
    b->file = NULL;
    return msagen_outfile_finish(file, error, error_bytes);
}

const struct msagen_blob_segment *msagen_blob_segments(const struct msagen_blob *b, uint32_t *count)
{
    *count = b->count;
    return b->segments;
}
