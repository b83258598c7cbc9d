/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors.c - the header of a .safetensors file, every claim of it checked.
 * u64 header length; JSON {"name": {"dtype", "shape", "data_offsets": [begin, end]}, ..., "__metadata__": {text:
 * text}};
 * then the data, all little-endian; offsets count from the end of the header. */
#define _POSIX_C_SOURCE 200809L
#include "safetensors.h"

#include "explain.h"
#include "json.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FAIL(...) msagen_explain(error, error_size, __VA_ARGS__)

static bool find_dtype(const char *name, enum msagen_dtype *dtype)
{
    static const struct {
        const char *name;
        enum msagen_dtype dtype;
    } known[] = {
        {"F32", MSAGEN_F32}, {"F64", MSAGEN_F64}, {"F16", MSAGEN_F16}, {"BF16", MSAGEN_BF16}, {"I64", MSAGEN_I64},
        {"I32", MSAGEN_I32}, {"I16", MSAGEN_I16}, {"I8", MSAGEN_I8},   {"U8", MSAGEN_U8},     {"BOOL", MSAGEN_BOOL},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; ++i)
        if (strcmp(known[i].name, name) == 0) {
            *dtype = known[i].dtype;
            return true;
        }
    return false;
}

/* `data_bytes` is the size of what follows the header, `data_at` where that begins. */
static bool read_entry(struct msagen_safetensors_entry *entry, const char *name, const json_t *value, size_t data_at,
                       size_t data_bytes, char *error, size_t error_size)
{
    const json_t *dtype = json_object_get(value, "dtype"), *shape = json_object_get(value, "shape"),
                 *offsets = json_object_get(value, "data_offsets");
    if (!msagen_is_text(name, strlen(name)) || !*name)
        return FAIL("a tensor's name is empty or holds control characters: %.160s", name);
    if (!json_is_object(value) || json_object_size(value) != 3 || !json_is_string(dtype) || !json_is_array(shape) ||
        !json_is_array(offsets))
        return FAIL("%.160s: expected {dtype, shape, data_offsets} in the header", name);
    if (!find_dtype(json_string_value(dtype), &entry->dtype))
        return FAIL("%.160s: dtype %.40s; expected one of F32, F64, F16, BF16, I64, I32, I16, I8, U8, BOOL", name,
                    json_string_value(dtype));
    if (json_array_size(shape) > MSAGEN_MAX_DIMS)
        return FAIL("%.160s: %zu dimensions; expected at most %d", name, json_array_size(shape), MSAGEN_MAX_DIMS);
    entry->dims = (int)json_array_size(shape);
    bool empty = false, overflow = false;
    int64_t elements = 1;
    for (int i = 0; i < entry->dims; ++i) {
        const json_t *side = json_array_get(shape, (size_t)i);
        if (!json_is_integer(side) || json_integer_value(side) < 0)
            return FAIL("%.160s: dimension %d of its shape is no natural number", name, i);
        entry->shape[i] = json_integer_value(side);
        empty = empty || entry->shape[i] == 0;
        overflow = overflow || __builtin_mul_overflow(elements, entry->shape[i], &elements);
    }
    const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last))
        return FAIL("%.160s: data_offsets is not [begin, end]", name);
    const json_int_t begin = json_integer_value(first), end = json_integer_value(last);
    if (begin < 0 || end < begin || (uint64_t)end > data_bytes)
        return FAIL("%.160s: its data is said to lie at bytes %lld to %lld; the file holds %zu: truncated file "
                    "or false header", name, (long long)begin, (long long)end, data_bytes);
    int64_t bytes = 0;
    if (!empty && (overflow || __builtin_mul_overflow(elements, (int64_t)msagen_dtype_bytes(entry->dtype), &bytes)))
        return FAIL("%.160s: its shape says more bytes than a file can hold", name);
    if (end - begin != bytes)
        return FAIL("%.160s: its shape and dtype say %lld bytes, its data_offsets %lld", name, (long long)bytes,
                    (long long)(end - begin));
    entry->at = data_at + (size_t)begin;
    entry->bytes = (size_t)bytes;
    entry->name = strdup(name);
    return entry->name || FAIL("out of memory");
}

static bool read_metadata(struct msagen_safetensors *s, json_t *metadata, char *error, size_t error_size)
{
    if (!json_is_object(metadata))
        return FAIL("__metadata__ is no JSON object");
    s->metadata = calloc(json_object_size(metadata) + 1, sizeof *s->metadata);
    if (!s->metadata)
        return FAIL("out of memory");
    const char *key;
    json_t *value;
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value))
            return FAIL("__metadata__: the value of %.160s is no text", key);
        s->metadata[s->metadata_count].key = strdup(key);
        s->metadata[s->metadata_count].value = strdup(json_string_value(value));
        s->metadata_count += 1;
        if (!s->metadata[s->metadata_count - 1].key || !s->metadata[s->metadata_count - 1].value)
            return FAIL("out of memory");
    }
    return true;
}

static int by_place(const void *a, const void *b)
{
    const struct msagen_safetensors_entry *x = *(const struct msagen_safetensors_entry *const *)a,
                                          *y = *(const struct msagen_safetensors_entry *const *)b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* The tensors must tile the data: each byte belongs to one. */
static bool check_places(const struct msagen_safetensors *s, size_t data_at, size_t data_bytes, char *error,
    size_t error_size)
{
    const struct msagen_safetensors_entry **order = calloc(s->count + 1, sizeof *order);
    if (!order)
        return FAIL("out of memory");
    for (size_t i = 0; i < s->count; ++i)
        order[i] = &s->entries[i];
    qsort(order, s->count, sizeof *order, by_place);
    size_t covered = data_at;
    bool ok = true;
    for (size_t i = 0; ok && i < s->count; ++i) {
        if (order[i]->at < covered)
            ok = FAIL("%.160s begins at byte %zu, inside %.160s, which ends at %zu", order[i]->name,
                order[i]->at - data_at,
                      order[i - 1]->name, covered - data_at);
        else if (order[i]->at > covered)
            ok = FAIL("%zu bytes before %.160s belong to no tensor", order[i]->at - covered, order[i]->name);
        covered = order[i]->at + order[i]->bytes;
    }
    free(order);
    if (ok && covered - data_at != data_bytes)
        ok = FAIL("its tensors end at byte %zu of the data, the file at %zu", covered - data_at, data_bytes);
    return ok;
}

static bool read_all(struct msagen_safetensors *s, const unsigned char *file, size_t bytes, json_t **header,
    char *error,
                     size_t error_size)
{
    if (bytes < 8)
        return FAIL("%zu bytes; expected 8 with the header's length", bytes);
    uint64_t length = 0;
    for (int i = 7; i >= 0; --i)
        length = length << 8 | file[i];
    if (length > bytes - 8)
        return FAIL("its header is said to have %llu bytes; %zu are left: truncated file or false header",
                    (unsigned long long)length, bytes - 8);
    if (length > MSAGEN_SAFETENSORS_MAX_HEADER)
        return FAIL("its header has %llu bytes; expected at most %zu", (unsigned long long)length,
            MSAGEN_SAFETENSORS_MAX_HEADER);
    char why[MSAGEN_ERROR_BYTES];
    *header = msagen_json_parse((const char *)file + 8, (size_t)length, why, sizeof why);
    if (!*header)
        return FAIL("header: %s", why);
    if (!json_is_object(*header))
        return FAIL("its header is no JSON object");
    s->entries = calloc(json_object_size(*header) + 1, sizeof *s->entries);
    if (!s->entries)
        return FAIL("out of memory");
    const size_t data_at = 8 + (size_t)length, data_bytes = bytes - data_at;
    const char *key;
    json_t *value;
    json_object_foreach(*header, key, value) {
        if (strcmp(key, "__metadata__") == 0) {
            if (!read_metadata(s, value, error, error_size))
                return false;
            continue;
        }
        if (!read_entry(&s->entries[s->count], key, value, data_at, data_bytes, error, error_size))
            return false;
        s->count += 1;
    }
    return check_places(s, data_at, data_bytes, error, error_size);
}

struct msagen_safetensors *msagen_safetensors_read(const void *file, size_t bytes, char *error, size_t error_size)
{
    struct msagen_safetensors *s = calloc(1, sizeof *s);
    if (!s) {
        FAIL("out of memory");
        return NULL;
    }
    json_t *header = NULL;
    char why[MSAGEN_ERROR_BYTES];
    const bool ok = read_all(s, file, bytes, &header, why, sizeof why);
    json_decref(header);
    if (ok)
        return s;
    FAIL("safetensors: %s", why);
    msagen_safetensors_free(s);
    return NULL;
}

void msagen_safetensors_free(struct msagen_safetensors *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; ++i)
        free(s->entries[i].name);
    for (size_t i = 0; i < s->metadata_count; ++i) {
        free(s->metadata[i].key);
        free(s->metadata[i].value);
    }
    free(s->entries);
    free(s->metadata);
    free(s);
}
