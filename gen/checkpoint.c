/* SPDX-License-Identifier: Apache-2.0 */
/* checkpoint.c - the named tensors of a checkpoint file, .pth or .safetensors. */
#define _DEFAULT_SOURCE
#include "checkpoint.h"

#include "explain.h"
#include "infile.h"
#include "pickle.h"
#include "safetensors.h"
#include "zipfile.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAX_WRAPPERS = 3, SPREAD_ELEMENTS = 1 << 24 };

struct entry {
    char *name;
    enum msagen_dtype dtype;
    int dims;
    int64_t shape[MSAGEN_MAX_DIMS], stride[MSAGEN_MAX_DIMS], offset;
    size_t record;          /* .pth: the archive's entry that is its storage */
    size_t at, bytes;       /* .safetensors: where its data lies */
};

struct msagen_checkpoint {
    char *path;
    struct msagen_buffer *file;
    bool mapped;
    struct msagen_zip *zip;                     /* .pth, else NULL */
    struct msagen_safetensors *safetensors;     /* .safetensors, else NULL */
    char container[320];
    struct entry *entries;
    size_t count;
    size_t *by_name;
};

/* What a text of an error is written to, and what it is about. */
struct report {
    const char *path;
    char *error;
    size_t error_size;
};

static bool fail(const struct report *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool fail(const struct report *r, const char *format, ...)
{
    char text[MSAGEN_ERROR_BYTES];
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(text, sizeof text, format, arguments) < 0)
        text[0] = '\0';
    va_end(arguments);
    return msagen_explain(r->error, r->error_size, "%s: %s", r->path, text);
}

/* "[3,48,48]" */
static void write_shape(char *text, size_t size, const struct msagen_value *tuple)
{
    size_t used = (size_t)snprintf(text, size, "[");
    for (size_t i = 0; i < tuple->u.list.count && used + 24 < size; ++i)
        used += (size_t)snprintf(text + used, size - used, "%s%lld", i ? "," : "",
                                 (long long)tuple->u.list.items[i]->u.integer);
    snprintf(text + used, size - used, "]");
}

/* The number of elements from the storage's begin to behind the tensor's last; false beyond 2^63. */
static bool reach(const struct entry *e, int64_t *elements)
{
    int64_t last = e->offset;
    for (int i = 0; i < e->dims; ++i) {
        int64_t step;
        if (e->shape[i] == 0) {
            *elements = e->offset;
            return true;
        }
        if (__builtin_mul_overflow(e->shape[i] - 1, e->stride[i], &step) || __builtin_add_overflow(last, step, &last))
            return false;
    }
    return !__builtin_add_overflow(last, 1, elements);
}

static bool place_tensor(struct msagen_checkpoint *c, struct entry *e, const struct msagen_value *tensor, const char *prefix,
                         size_t prefix_length, const struct report *r)
{
    const struct msagen_value *shape = tensor->u.tensor.shape, *stride = tensor->u.tensor.stride,
                              *storage = tensor->u.tensor.storage, *key = storage->u.storage.key;
    const char *type;
    const int dtype = msagen_pickle_dtype(tensor, &type);
    if (dtype < 0)
        return fail(r, "%s: its elements are %s, which no MSA checkpoint has: refused", e->name, type);
    e->dtype = (enum msagen_dtype)dtype;
    if (shape->u.list.count > MSAGEN_MAX_DIMS)
        return fail(r, "%s: %zu dimensions; expected at most %d", e->name, shape->u.list.count, MSAGEN_MAX_DIMS);
    char shape_text[224], stride_text[224];
    write_shape(shape_text, sizeof shape_text, shape);
    write_shape(stride_text, sizeof stride_text, stride);
    e->dims = (int)shape->u.list.count;
    e->offset = tensor->u.tensor.offset;
    bool negative = e->offset < 0;
    for (int i = 0; i < e->dims; ++i) {
        e->shape[i] = shape->u.list.items[i]->u.integer;
        e->stride[i] = stride->u.list.items[i]->u.integer;
        negative = negative || e->shape[i] < 0 || e->stride[i] < 0;
    }
    if (negative)
        return fail(r, "%s: shape %s, strides %s, offset %lld: none can be negative", e->name, shape_text, stride_text,
                    (long long)e->offset);

    const int key_length = msagen_clip(key->u.text.bytes);
    char *record = malloc(prefix_length + key->u.text.bytes + sizeof "data/");
    if (!record)
        return fail(r, "out of memory");
    memcpy(record, prefix, prefix_length);
    memcpy(record + prefix_length, "data/", 5);
    memcpy(record + prefix_length + 5, key->u.text.data, key->u.text.bytes);
    const bool found = msagen_zip_find(c->zip, record, prefix_length + 5 + key->u.text.bytes, &e->record);
    free(record);
    if (!found)
        return fail(r, "%s: its storage data/%.*s is not in the file", e->name, key_length, key->u.text.data);
    const size_t bytes = msagen_zip_entry(c->zip, e->record)->bytes, unit = msagen_pickle_storage_unit(storage);
    int64_t said;
    if (__builtin_mul_overflow(storage->u.storage.elements, (int64_t)unit, &said) || (uint64_t)said != bytes)
        return fail(r, "%s: its storage data/%.*s is said to hold %lld elements of %zu bytes; it has %zu bytes", e->name,
                    key_length, key->u.text.data, (long long)storage->u.storage.elements, unit, bytes);

    const int64_t held = (int64_t)(bytes / msagen_dtype_bytes(e->dtype));
    int64_t elements, numel = 1;
    if (!reach(e, &elements))
        return fail(r, "%s: shape %s with strides %s from element %lld leaves its storage data/%.*s of %lld elements", e->name,
                    shape_text, stride_text, (long long)e->offset, key_length, key->u.text.data, (long long)held);
    if (elements > held)
        return fail(r, "%s: shape %s with strides %s from element %lld needs %lld elements; its storage data/%.*s holds %lld",
                    e->name, shape_text, stride_text, (long long)e->offset, (long long)elements, key_length, key->u.text.data,
                    (long long)held);
    bool huge = false;
    for (int i = 0; i < e->dims; ++i)
        huge = __builtin_mul_overflow(numel, e->shape[i], &numel) || huge;
    if ((huge || (numel > held && numel > SPREAD_ELEMENTS)) && elements > e->offset)
        return fail(r, "%s: shape %s spreads the %lld elements of its storage data/%.*s over too many", e->name, shape_text,
                    (long long)held, key_length, key->u.text.data);
    if (!msagen_tensor_inside(e->dtype, e->dims, e->shape, e->stride, e->offset, bytes))
        return fail(r, "%s: shape %s with strides %s from element %lld does not fit its storage data/%.*s of %zu bytes", e->name,
                    shape_text, stride_text, (long long)e->offset, key_length, key->u.text.data, bytes);
    return true;
}

static bool holds_tensors(const struct msagen_value *value)
{
    const size_t first = value->kind == MSAGEN_PICKLE_DICT, step = first + 1;
    if (value->kind != MSAGEN_PICKLE_DICT && value->kind != MSAGEN_PICKLE_LIST && value->kind != MSAGEN_PICKLE_TUPLE)
        return false;
    for (size_t i = first; i < value->u.list.count; i += step)
        if (value->u.list.items[i]->kind == MSAGEN_PICKLE_TENSOR)
            return true;
    return false;
}

/* The keys of a training file, for people: "epoch, state_dict, optimizer". */
static void write_keys(char *text, size_t size, const char *before, const struct msagen_value *dict)
{
    size_t used = (size_t)snprintf(text, size, "%s", before);
    for (size_t i = 0; i < dict->u.list.count && used < size; i += 2) {
        const struct msagen_value *key = dict->u.list.items[i];
        const bool shown = key->kind == MSAGEN_PICKLE_TEXT && msagen_is_text(key->u.text.data, key->u.text.bytes);
        const int length = shown ? (int)(key->u.text.bytes < 40 ? key->u.text.bytes : 40) : 1;
        if (used + (size_t)length + 8 > size) {
            snprintf(text + used, size - used, ", ...");
            return;
        }
        used += (size_t)snprintf(text + used, size - used, "%s%.*s", i ? ", " : "", length, shown ? key->u.text.data : "?");
    }
}

/* Training files keep the state dict under one of these names. Beside it may be tensors (best_tol), and texts of the same
 * names ("model": "sam"). */
static bool unwrap(const struct msagen_value **dict, int wrappers, const struct report *r)
{
    static const char *const names[] = {"state_dict", "model", "model_state_dict", "net", "network",
                                        "module",     "model_state", "weights",     "params"};
    const struct msagen_value *root = *dict, *inside = NULL;
    const char *name = NULL;
    for (size_t n = 0; n < sizeof names / sizeof *names; ++n)
        for (size_t i = 0; i < root->u.list.count; i += 2) {
            const struct msagen_value *value = root->u.list.items[i + 1], *deeper = value;
            if (!msagen_value_is(root->u.list.items[i], names[n]) || value->kind != MSAGEN_PICKLE_DICT)
                continue;
            if (!holds_tensors(value) &&
                (wrappers + 1 >= MAX_WRAPPERS || !unwrap(&deeper, wrappers + 1, r) || deeper == value))
                continue;
            if (inside && inside != deeper)
                return fail(r, "both \"%s\" and \"%s\" hold tensors: which one is meant? expected one state dict", name,
                            names[n]);
            inside = deeper;
            name = names[n];
        }
    if (!inside)
        return true;
    for (size_t i = 0; i < root->u.list.count; i += 2) {
        const struct msagen_value *key = root->u.list.items[i];
        if (root->u.list.items[i + 1]->kind == MSAGEN_PICKLE_TENSOR && key->kind == MSAGEN_PICKLE_TEXT &&
            memchr(key->u.text.data, '.', key->u.text.bytes))
            return fail(r, "tensors both beside \"%s\" (%.*s) and inside it: which are meant? expected one state dict", name,
                        msagen_clip(key->u.text.bytes), key->u.text.data);
    }
    *dict = inside;
    return true;
}

static bool list_tensors(struct msagen_checkpoint *c, const struct msagen_value *root, const char *prefix, size_t prefix_length,
                         const struct report *r)
{
    if (root->kind != MSAGEN_PICKLE_DICT)
        return fail(r, "holds %s; expected a state dict or a training file", msagen_pickle_kind_name(root));
    const struct msagen_value *dict = root;
    r->error[0] = '\0';
    if (!unwrap(&dict, 0, r) || r->error[0])
        return false;
    if (!holds_tensors(dict)) {
        char keys[320];
        write_keys(keys, sizeof keys, "", root);
        return fail(r, "holds no state dict: its keys are %s; expected tensors by name, or such a dict under state_dict, model, "
                    "model_state_dict or net", *keys ? keys : "none");
    }
    if (dict == root)
        snprintf(c->container, sizeof c->container, "state dict");
    else
        write_keys(c->container, sizeof c->container, "training file: ", root);

    c->entries = calloc(dict->u.list.count / 2, sizeof *c->entries);
    if (!c->entries)
        return fail(r, "out of memory");
    for (size_t i = 0; i < dict->u.list.count; i += 2) {
        const struct msagen_value *key = dict->u.list.items[i], *value = dict->u.list.items[i + 1];
        const char *name = key->u.text.data;
        const size_t length = key->u.text.bytes;
        if (value->kind != MSAGEN_PICKLE_TENSOR && !holds_tensors(value))
            continue;
        if (key->kind != MSAGEN_PICKLE_TEXT)
            return fail(r, "a tensor whose name is %s: refused", msagen_pickle_kind_name(key));
        if (length == 0 || !msagen_is_text(name, length))
            return fail(r, "a tensor's name is empty, no UTF-8 or holds control characters: %.*s", msagen_clip(length), name);
        if (value->kind != MSAGEN_PICKLE_TENSOR)
            return fail(r, "%.*s is %s of tensors; a state dict holds tensors only", msagen_clip(length), name,
                        msagen_pickle_kind_name(value));
        struct entry *e = &c->entries[c->count];
        e->name = strndup(name, length);
        if (!e->name)
            return fail(r, "out of memory");
        c->count += 1;
        if (!place_tensor(c, e, value, prefix, prefix_length, r))
            return false;
    }
    return true;
}

/* NAME/data.pkl; `prefix` is "NAME/". */
static bool find_pickle(const struct msagen_checkpoint *c, size_t *index, const char **prefix, size_t *prefix_length,
                        const struct report *r)
{
    static const char tail[] = "/data.pkl";
    const size_t tail_length = sizeof tail - 1;
    bool found = false;
    for (size_t i = 0; i < msagen_zip_count(c->zip); ++i) {
        const char *name = msagen_zip_entry(c->zip, i)->name;
        const size_t length = strlen(name);
        if (length <= tail_length || memcmp(name + length - tail_length, tail, tail_length) != 0)
            continue;
        if (found)
            return fail(r, "ZIP: both %.160s and %.160s: no checkpoint of torch.save", msagen_zip_entry(c->zip, *index)->name, name);
        found = true;
        *index = i;
        *prefix = name;
        *prefix_length = length - tail_length + 1;
    }
    if (!found)
        return fail(r, "a ZIP without data.pkl: no checkpoint of torch.save (its first entry is %.160s)",
                    msagen_zip_entry(c->zip, 0)->name);
    return true;
}

/* A small entry of the archive such as NAME/byteorder; *data is NULL if there is none. */
static bool read_note(struct msagen_checkpoint *c, const char *prefix, size_t prefix_length, const char *note,
                      const unsigned char **data, size_t *bytes, const struct report *r)
{
    char name[512], why[MSAGEN_ERROR_BYTES];
    size_t index;
    *data = NULL;
    if (prefix_length > sizeof name - 64)
        return fail(r, "ZIP: the name of its folder has %zu bytes; expected at most %zu", prefix_length, sizeof name - 64);
    const int length = snprintf(name, sizeof name, "%.*s%s", (int)prefix_length, prefix, note);
    if (length < 0 || !msagen_zip_find(c->zip, name, (size_t)length, &index))
        return true;
    *data = msagen_zip_verified(c->zip, index, NULL, why, sizeof why);
    *bytes = msagen_zip_entry(c->zip, index)->bytes;
    return *data || fail(r, "%s", why);
}

static bool open_pth(struct msagen_checkpoint *c, const struct report *r)
{
    char why[MSAGEN_ERROR_BYTES];
    c->zip = msagen_zip_open(c->file->data, c->file->bytes, why, sizeof why);
    if (!c->zip)
        return fail(r, "%s", why);
    size_t index = 0, prefix_length = 0, bytes = 0;
    const char *prefix = NULL;
    const unsigned char *note;
    if (!find_pickle(c, &index, &prefix, &prefix_length, r) ||
        !read_note(c, prefix, prefix_length, "constants.pkl", &note, &bytes, r))
        return false;
    if (note)
        return fail(r, "a TorchScript program, no checkpoint: expected what torch.save(model.state_dict()) writes");
    if (!read_note(c, prefix, prefix_length, "byteorder", &note, &bytes, r))
        return false;
    if (note && (bytes != 6 || memcmp(note, "little", 6) != 0))
        return fail(r, "its byteorder is \"%.*s\"; expected little", msagen_clip(bytes), (const char *)note);
    /* What is checked is what is parsed, whatever becomes of the file meanwhile. */
    unsigned char *data = msagen_zip_copy(c->zip, index, why, sizeof why);
    if (!data)
        return fail(r, "%s", why);
    struct msagen_pickle *pickle = msagen_pickle_read(data, msagen_zip_entry(c->zip, index)->bytes, why, sizeof why);
    const bool ok = pickle ? list_tensors(c, msagen_pickle_root(pickle), prefix, prefix_length, r) : fail(r, "%s", why);
    msagen_pickle_free(pickle);
    free(data);
    return ok;
}

static bool open_safetensors(struct msagen_checkpoint *c, const struct report *r)
{
    char why[MSAGEN_ERROR_BYTES];
    c->safetensors = msagen_safetensors_read(c->file->data, c->file->bytes, why, sizeof why);
    if (!c->safetensors)
        return fail(r, "%s", why);
    if (c->safetensors->count == 0)
        return fail(r, "safetensors: it holds no tensors");
    c->entries = calloc(c->safetensors->count, sizeof *c->entries);
    if (!c->entries)
        return fail(r, "out of memory");
    for (size_t i = 0; i < c->safetensors->count; ++i) {
        const struct msagen_safetensors_entry *from = &c->safetensors->entries[i];
        struct entry *e = &c->entries[i];
        e->name = strdup(from->name);
        if (!e->name)
            return fail(r, "out of memory");
        c->count += 1;
        e->dtype = from->dtype;
        e->dims = from->dims;
        e->at = from->at;
        e->bytes = from->bytes;
        int64_t step = 1;
        for (int d = e->dims - 1; d >= 0; --d) {
            e->shape[d] = from->shape[d];
            e->stride[d] = step;
            step = from->bytes ? step * from->shape[d] : 1;     /* an empty tensor's other sides may be anything */
        }
        if (!msagen_tensor_inside(e->dtype, e->dims, e->shape, e->stride, 0, e->bytes))
            return fail(r, "%s: its shape does not fit its %zu bytes", e->name, e->bytes);
    }
    snprintf(c->container, sizeof c->container, "state dict");
    return true;
}

static const struct msagen_checkpoint *sorting;     /* qsort takes no context; the program has one thread */

static int by_name(const void *a, const void *b)
{
    return strcmp(sorting->entries[*(const size_t *)a].name, sorting->entries[*(const size_t *)b].name);
}

static bool sort_names(struct msagen_checkpoint *c, const struct report *r)
{
    c->by_name = calloc(c->count, sizeof *c->by_name);
    if (!c->by_name)
        return fail(r, "out of memory");
    for (size_t i = 0; i < c->count; ++i)
        c->by_name[i] = i;
    sorting = c;
    qsort(c->by_name, c->count, sizeof *c->by_name, by_name);
    for (size_t i = 1; i < c->count; ++i)
        if (by_name(&c->by_name[i - 1], &c->by_name[i]) == 0)
            return fail(r, "two tensors are called %.160s", c->entries[c->by_name[i]].name);
    return true;
}

static bool begins(const struct msagen_buffer *file, size_t at, const char *bytes, size_t count)
{
    return file->bytes >= at && file->bytes - at >= count && memcmp(file->data + at, bytes, count) == 0;
}

static bool open_any(struct msagen_checkpoint *c, const struct report *r)
{
    const struct msagen_buffer *file = c->file;
    const size_t length = strlen(r->path);
    if (file->bytes == 0)
        return fail(r, "is empty");
    if (begins(file, 0, "PK\3\4", 4) || begins(file, 0, "PK\5\6", 4))
        return open_pth(c, r);
    /* torch.save before 1.6 began with this number, pickled: 0x1950a86a20f9469cfc6c. */
    if (begins(file, 0, "\x80", 1) && begins(file, 2, "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 12))
        return fail(r, "is in the format that torch.save wrote before PyTorch 1.6 (a bare pickle, no ZIP): load it in PyTorch "
                    "and save it again");
    if (begins(file, 257, "ustar", 5))
        return fail(r, "is in the tar format that torch.save wrote before PyTorch 0.2: load it in PyTorch and save it again");
    if (begins(file, 0, "\x80", 1) && file->bytes > 1 && file->data[1] >= 2 && file->data[1] <= 5)
        return fail(r, "is a bare pickle; expected a ZIP as torch.save writes it, or safetensors");
    if (begins(file, 8, "{", 1) || (length > 12 && strcmp(r->path + length - 12, ".safetensors") == 0))
        return open_safetensors(c, r);
    return fail(r, "is neither a ZIP as torch.save writes it nor safetensors: no checkpoint, or a damaged one");
}

static struct msagen_checkpoint *open_buffer(struct msagen_buffer *file, bool mapped, const struct report *r)
{
    struct msagen_checkpoint *c = calloc(1, sizeof *c);
    if (!c) {
        msagen_buffer_unref(file);
        fail(r, "out of memory");
        return NULL;
    }
    c->file = file;
    c->mapped = mapped;
    c->path = strdup(r->path);
    if (c->path ? open_any(c, r) && sort_names(c, r) : fail(r, "out of memory"))
        return c;
    msagen_checkpoint_close(c);
    return NULL;
}

struct msagen_checkpoint *msagen_checkpoint_open(const char *path, char *error, size_t error_size)
{
    const struct report r = {path, error, error_size};
    struct msagen_buffer *file = msagen_buffer_map(path, error, error_size);
    if (!file) {
        msagen_one_line(error);
        return NULL;
    }
    return open_buffer(file, true, &r);
}

static void release_borrowed(struct msagen_buffer *buffer)
{
    free(buffer);
}

struct msagen_checkpoint *msagen_checkpoint_open_memory(const void *data, size_t bytes, const char *name, char *error,
                                                        size_t error_size)
{
    const struct report r = {name, error, error_size};
    struct msagen_buffer *file = malloc(sizeof *file);
    if (!file) {
        fail(&r, "out of memory");
        return NULL;
    }
    *file = (struct msagen_buffer){.refs = 1, .data = data, .bytes = bytes, .release = release_borrowed};
    return open_buffer(file, false, &r);
}

void msagen_checkpoint_close(struct msagen_checkpoint *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->count; ++i)
        free(c->entries[i].name);
    free(c->entries);
    free(c->by_name);
    msagen_safetensors_free(c->safetensors);
    msagen_zip_close(c->zip);
    msagen_buffer_unref(c->file);
    free(c->path);
    free(c);
}

const char *msagen_checkpoint_path(const struct msagen_checkpoint *c)
{
    return c->path;
}

const char *msagen_checkpoint_format(const struct msagen_checkpoint *c)
{
    return c->zip ? "pth" : "safetensors";
}

const char *msagen_checkpoint_container(const struct msagen_checkpoint *c)
{
    return c->container;
}

size_t msagen_checkpoint_count(const struct msagen_checkpoint *c)
{
    return c->count;
}

const char *msagen_checkpoint_name(const struct msagen_checkpoint *c, size_t index)
{
    return c->entries[index].name;
}

bool msagen_checkpoint_find(const struct msagen_checkpoint *c, const char *name, size_t *index)
{
    size_t low = 0, high = c->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(c->entries[c->by_name[middle]].name, name);
        if (order == 0) {
            *index = c->by_name[middle];
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

bool msagen_checkpoint_metadata(const struct msagen_checkpoint *c, size_t index, const char **key, const char **value)
{
    if (!c->safetensors || index >= c->safetensors->metadata_count)
        return false;
    *key = c->safetensors->metadata[index].key;
    *value = c->safetensors->metadata[index].value;
    return true;
}

/* Pages wholly inside come back from the file when they are read again. */
static void release_pages(const unsigned char *data, size_t bytes)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t from = ((uintptr_t)data + page - 1) / page * page, to = ((uintptr_t)data + bytes) / page * page;
    if (to > from)
        madvise((void *)from, to - from, MADV_DONTNEED);
}

struct msagen_tensor *msagen_checkpoint_tensor(struct msagen_checkpoint *c, size_t index, char *error, size_t error_size)
{
    const struct report r = {c->path, error, error_size};
    const struct entry *e = &c->entries[index];
    size_t at = e->at, bytes = e->bytes;
    if (c->zip) {
        char why[MSAGEN_ERROR_BYTES];
        const unsigned char *data = msagen_zip_verified(c->zip, e->record, c->mapped ? release_pages : NULL, why, sizeof why);
        if (!data) {
            fail(&r, "%s: %s", e->name, why);
            return NULL;
        }
        at = (size_t)(data - c->file->data);
        bytes = msagen_zip_entry(c->zip, e->record)->bytes;
    }
    struct msagen_buffer *storage = msagen_buffer_view(c->file, at, bytes);
    struct msagen_tensor *tensor =
        storage ? msagen_tensor_new(e->name, e->dtype, e->dims, e->shape, e->stride, e->offset, storage) : NULL;
    msagen_buffer_unref(storage);
    if (!tensor)
        fail(&r, "%s: out of memory", e->name);
    return tensor;
}

bool msagen_checkpoint_verify(struct msagen_checkpoint *c, char *error, size_t error_size)
{
    const struct report r = {c->path, error, error_size};
    char why[MSAGEN_ERROR_BYTES];
    for (size_t i = 0; c->zip && i < msagen_zip_count(c->zip); ++i)
        if (!msagen_zip_verified(c->zip, i, c->mapped ? release_pages : NULL, why, sizeof why))
            return fail(&r, "%s", why);
    return true;
}

bool msagen_checkpoint_changed(const struct msagen_checkpoint *c)
{
    return msagen_buffer_changed(c->file);
}

const unsigned char *msagen_checkpoint_bytes(const struct msagen_checkpoint *c, size_t *bytes)
{
    *bytes = c->file->bytes;
    return c->file->data;
}

void msagen_checkpoint_release(const struct msagen_checkpoint *c, const unsigned char *data, size_t bytes)
{
    if (c->mapped)
        release_pages(data, bytes);
}
