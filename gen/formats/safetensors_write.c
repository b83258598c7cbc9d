/* SPDX-License-Identifier: Apache-2.0 */
/* .safetensors files: the header of some tensors, and whole files of tensors in memory. */
#include "json.h"
#include "safetensors.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 16 };

static const char *code_of(enum msagen_dtype dtype)
{
    static const char *const codes[] = {
        [MSAGEN_F32] = "F32", [MSAGEN_F64] = "F64", [MSAGEN_F16] = "F16", [MSAGEN_BF16] = "BF16",
        [MSAGEN_I64] = "I64", [MSAGEN_I32] = "I32", [MSAGEN_I16] = "I16", [MSAGEN_I8] = "I8",
        [MSAGEN_U16] = "U16", [MSAGEN_U8] = "U8",   [MSAGEN_BOOL] = "BOOL",
    };
    return codes[dtype];
}

static uint64_t bytes_of(const struct msagen_safetensors_item *item)
{
    uint64_t n = msagen_dtype_bytes(item->dtype);
    for (int i = 0; i < item->dims; ++i)
        n *= (uint64_t)item->shape[i];
    return n;
}

/* Add a tensor, whose values lie from byte `at` on; false where memory is short. */
static bool add_entry(json_t *header, const struct msagen_safetensors_item *item, uint64_t at)
{
    json_t *shape = json_array();
    bool ok = shape != NULL;
    for (int i = 0; ok && i < item->dims; ++i)
        ok = json_array_append_new(shape, json_integer(item->shape[i])) == 0;
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", code_of(item->dtype), "shape", shape, "data_offsets",
                              (json_int_t)at, (json_int_t)(at + bytes_of(item)));
    return json_object_set_new(header, item->name, entry) == 0 && ok;
}

/* The header's text, to be freed; NULL where memory is short. */
static char *header_text(const struct msagen_safetensors_item *items, size_t count, const char *const *metadata)
{
    json_t *header = json_object(), *pairs = json_object();
    bool ok = header && pairs;
    for (size_t i = 0; ok && metadata[i]; i += 2)
        ok = json_object_set_new(pairs, metadata[i], json_string(metadata[i + 1])) == 0;
    ok = json_object_set_new(header, "__metadata__", pairs) == 0 && ok;
    uint64_t at = 0;
    for (size_t i = 0; ok && i < count; ++i) {
        ok = add_entry(header, &items[i], at);
        at += bytes_of(&items[i]);
    }
    char *text = ok ? json_dumps(header, JSON_COMPACT) : NULL;
    json_decref(header);
    return text;
}

int msagen_safetensors_header(struct msagen_outfile *f, const struct msagen_safetensors_item *items, size_t count,
                              const char *const *metadata)
{
    char *text = header_text(items, count, metadata);
    if (!text)
        return -1;
    const uint64_t length = strlen(text), padded = (length + 7) / 8 * 8;
    unsigned char prefix[8];
    for (int i = 0; i < 8; ++i)
        prefix[i] = (unsigned char)(padded >> (8 * i));
    msagen_outfile_write(f, prefix, sizeof prefix);
    msagen_outfile_write(f, text, length);
    msagen_outfile_write(f, "       ", (size_t)(padded - length));
    free(text);
    return 0;
}

static void write_values(struct msagen_outfile *f, const struct msagen_tensor *t, unsigned char *chunk)
{
    const int64_t n = msagen_tensor_numel(t);
    for (int64_t first = 0; first < n && !msagen_outfile_failed(f); first += CHUNK) {
        const int64_t step = n - first < CHUNK ? n - first : CHUNK;
        msagen_tensor_read_raw(t, first, step, chunk);
        msagen_outfile_write(f, chunk, (size_t)step * msagen_dtype_bytes(t->dtype));
    }
}

int msagen_safetensors_write(const char *path, const char *const *names, const struct msagen_tensor *const *tensors,
                             size_t count, const char *const *metadata, char *error, size_t error_bytes)
{
    struct msagen_safetensors_item *items = calloc(count + 1, sizeof *items);
    unsigned char *chunk = malloc((size_t)CHUNK * sizeof(double));
    struct msagen_outfile *f = NULL;
    for (size_t i = 0; items && i < count; ++i)
        items[i] = (struct msagen_safetensors_item){names[i], tensors[i]->dtype, tensors[i]->dims, tensors[i]->shape};
    int short_of_memory = !items || !chunk;
    if (!short_of_memory)
        f = msagen_outfile_open(path, error, error_bytes);
    if (f && msagen_safetensors_header(f, items, count, metadata) != 0) {
        msagen_outfile_abort(f);
        f = NULL;
        short_of_memory = 1;
    }
    for (size_t i = 0; f && i < count; ++i)
        write_values(f, tensors[i], chunk);
    if (short_of_memory)
        snprintf(error, error_bytes, "%s: out of memory", path);
    free(items);
    free(chunk);
    return f ? msagen_outfile_finish(f, error, error_bytes) : -1;
}
