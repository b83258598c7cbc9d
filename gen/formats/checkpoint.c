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

enum { SPREAD_ELEMENTS = 1 << 24 };

struct entry {
    char *name;
    enum msagen_dtype dtype;
    int dims;
    int64_t shape[MSAGEN_MAX_DIMS], stride[MSAGEN_MAX_DIMS], offset;
    size_t record;          /* .pth: the archive's entry that is its storage */
    size_t at, bytes;       /* .safetensors: where its data lies */
};

struct module {
    char *name, *class;
};

struct msagen_checkpoint {
    char *path;
    struct msagen_buffer *file;
    bool mapped;
    struct msagen_zip *zip;                     /* .pth, else NULL */
    struct msagen_safetensors *safetensors;     /* .safetensors, else NULL */
    char container[320];
    char set[160];
    struct entry *entries;
    size_t count;
    struct module *modules;                     /* of a TorchScript program */
    size_t module_count;
    size_t *by_name;
};

/* What a text of an error is written to, and what it is about. */
struct report {
    const char *path;
    const char *set;            /* the set of weights that is meant, or NULL */
    bool programs;              /* whether a TorchScript program is read, too */
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

/* The record of a tensor's storage, and its bytes. */
static bool find_storage(struct msagen_checkpoint *c, struct entry *e, const struct msagen_value *storage,
                         const char *prefix, size_t prefix_length, size_t *bytes, const struct report *r)
{
    const struct msagen_value *key = storage->u.storage.key;
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
    const size_t unit = msagen_pickle_storage_unit(storage);
    *bytes = msagen_zip_entry(c->zip, e->record)->bytes;
    int64_t said;
    if (__builtin_mul_overflow(storage->u.storage.elements, (int64_t)unit, &said) || (uint64_t)said != *bytes)
        return fail(r, "%s: its storage data/%.*s is said to hold %lld elements of %zu bytes; it has %zu bytes",
                    e->name, key_length, key->u.text.data, (long long)storage->u.storage.elements, unit, *bytes);
    return true;
}

/* Whether a tensor lies inside its storage of so many bytes. */
static bool check_inside(const struct entry *e, const char *shape_text, const char *stride_text,
                         const struct msagen_value *key, size_t bytes, const struct report *r)
{
    const int key_length = msagen_clip(key->u.text.bytes);
    const int64_t held = (int64_t)(bytes / msagen_dtype_bytes(e->dtype));
    int64_t elements, numel = 1;
    if (!reach(e, &elements))
        return fail(r, "%s: shape %s with strides %s from element %lld leaves its storage data/%.*s of %lld elements",
                    e->name, shape_text, stride_text, (long long)e->offset, key_length, key->u.text.data,
                    (long long)held);
    if (elements > held)
        return fail(r, "%s: shape %s with strides %s from element %lld needs %lld elements; its storage "
                    "data/%.*s holds %lld", e->name, shape_text, stride_text, (long long)e->offset,
                    (long long)elements, key_length, key->u.text.data, (long long)held);
    bool huge = false;
    for (int i = 0; i < e->dims; ++i)
        huge = __builtin_mul_overflow(numel, e->shape[i], &numel) || huge;
    if ((huge || (numel > held && numel > SPREAD_ELEMENTS)) && elements > e->offset)
        return fail(r, "%s: shape %s spreads the %lld elements of its storage data/%.*s over too many", e->name,
                    shape_text, (long long)held, key_length, key->u.text.data);
    if (!msagen_tensor_inside(e->dtype, e->dims, e->shape, e->stride, e->offset, bytes))
        return fail(r, "%s: shape %s with strides %s from element %lld does not fit its storage data/%.*s of %zu bytes",
                    e->name, shape_text, stride_text, (long long)e->offset, key_length, key->u.text.data, bytes);
    return true;
}

static bool place_tensor(struct msagen_checkpoint *c, struct entry *e, const struct msagen_value *tensor,
                         const char *prefix, size_t prefix_length, const struct report *r)
{
    const struct msagen_value *shape = tensor->u.tensor.shape, *stride = tensor->u.tensor.stride,
                              *storage = tensor->u.tensor.storage;
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
    size_t bytes = 0;
    return find_storage(c, e, storage, prefix, prefix_length, &bytes, r)
        && check_inside(e, shape_text, stride_text, storage->u.storage.key, bytes, r);
}

static bool is_container(const struct msagen_value *value, bool or_object)
{
    return value->kind == MSAGEN_PICKLE_DICT || value->kind == MSAGEN_PICKLE_LIST
        || value->kind == MSAGEN_PICKLE_TUPLE ||
           (or_object && value->kind == MSAGEN_PICKLE_OPAQUE);
}

static bool holds_tensors(const struct msagen_value *value)
{
    const size_t first = value->kind == MSAGEN_PICKLE_DICT, step = first + 1;
    if (!is_container(value, false))
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
        used += (size_t)snprintf(text + used, size - used, "%s%.*s", i ? ", " : "", length,
            shown ? key->u.text.data : "?");
    }
}

/* Sets of weights in a training file: each dict of tensors that looks like a network, wherever it lies. What looks like
 * one but has no names, a list of tensors or an object of some class with tensors inside, cannot be built from, but is
 * a choice that a person must know of. */
enum { MAX_SETS = 16, MAX_DEPTH = 5, MAX_OBJECT_DEPTH = 40, MAX_VISITS = 1 << 24, FEW = 8 };

struct set {
    const struct msagen_value *value;
    char name[160];
};

struct search {
    struct set sets[MAX_SETS];
    size_t count, visits;       /* visits: values looked at, so that a file cannot keep the search busy for long */
};

static bool is_known_wrapper(const struct msagen_value *key)
{
    static const char *const names[] = {"state_dict", "model", "model_state_dict", "net", "network",
                                        "module",     "model_state", "weights",     "params"};
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
        if (msagen_value_is(key, names[i]))
            return true;
    return false;
}

/* Whether one of these is part of a key. */
static bool is_named(const struct msagen_value *key, const char *const *parts, size_t count)
{
    char text[64];
    if (key->kind != MSAGEN_PICKLE_TEXT || key->u.text.bytes >= sizeof text)
        return false;
    memcpy(text, key->u.text.data, key->u.text.bytes);
    text[key->u.text.bytes] = '\0';
    for (size_t i = 0; i < count; ++i)
        if (strstr(text, parts[i]))
            return true;
    return false;
}

/* What an optimizer keeps has the shapes of weights and is none. */
static bool is_of_training(const struct msagen_value *key)
{
    static const char *const parts[] = {"optimizer", "optimiser", "scheduler", "scaler", "exp_avg", "momentum_buffer"};
    return is_named(key, parts, sizeof parts / sizeof *parts) || msagen_value_is(key, "opt")
        || msagen_value_is(key, "optim");
}

/* Numbers that training writes down, or draws: none of them computes a mask. */
static bool is_a_record(const struct msagen_value *key)
{
    static const char *const parts[] = {"loss", "metric", "history", "rng", "best_tol", "hyper_parameters", "hparams"};
    return is_named(key, parts, sizeof parts / sizeof *parts);
}

/* A tensor that something may compute with: floats, and more than one of them. */
static bool is_weight(const struct msagen_value *value)
{
    if (value->kind != MSAGEN_PICKLE_TENSOR)
        return false;
    const char *type;
    const int dtype = msagen_pickle_dtype(value, &type);
    const struct msagen_value *shape = value->u.tensor.shape;
    bool several = false;
    for (size_t i = 0; i < shape->u.list.count; ++i)
        several = several || shape->u.list.items[i]->u.integer != 1;
    return several && (dtype == MSAGEN_F64 || dtype == MSAGEN_F32 || dtype == MSAGEN_F16 || dtype == MSAGEN_BF16);
}

/* Names of parts have dots; of a set without any, or of arrays of NumPy's, a handful may be statistics. */
static bool looks_like_network(const struct msagen_value *value)
{
    const size_t first = value->kind == MSAGEN_PICKLE_DICT, step = first + 1;
    size_t weights = 0;
    if (!is_container(value, false))
        return false;
    for (size_t i = first; i < value->u.list.count; i += step) {
        const struct msagen_value *key = first ? value->u.list.items[i - 1] : NULL;
        const bool array = key && msagen_pickle_is_array(value->u.list.items[i]);
        if (!array && !is_weight(value->u.list.items[i]))
            continue;
        if (!array && key && key->kind == MSAGEN_PICKLE_TEXT && memchr(key->u.text.data, '.', key->u.text.bytes))
            return true;
        weights += 1;
    }
    return weights >= FEW;
}

/* Whether there are weights anywhere within a value. */
static bool has_weights(struct search *s, const struct msagen_value *value, int depth)
{
    if (is_weight(value))
        return true;
    if (depth >= MAX_OBJECT_DEPTH || s->visits >= MAX_VISITS || !is_container(value, true))
        return false;
    s->visits += 1 + value->u.list.count;
    for (size_t i = 0; i < value->u.list.count; ++i)
        if (has_weights(s, value->u.list.items[i], depth + 1))
            return true;
    return false;
}

static void add_set(struct search *s, const struct msagen_value *value, const char *name)
{
    for (size_t i = 0; i < s->count; ++i)
        if (s->sets[i].value == value)
            return;
    if (s->count == MAX_SETS)
        return;
    struct set *set = &s->sets[s->count++];
    set->value = value;
    snprintf(set->name, sizeof set->name, "%s", *name ? name : ".");
}

/* "ema" and the key "module": "ema.module". Keys that cannot be shown have no name of their own. */
static void extend(char *to, size_t size, const char *path, const struct msagen_value *key, size_t index)
{
    const char *dot = *path ? "." : "";
    if (!key)
        snprintf(to, size, "%s%s%zu", path, dot, index);
    else if (key->kind == MSAGEN_PICKLE_TEXT && key->u.text.bytes < 60
        && msagen_is_text(key->u.text.data, key->u.text.bytes))
        snprintf(to, size, "%s%s%.*s", path, dot, (int)key->u.text.bytes, key->u.text.data);
    else
        snprintf(to, size, "%s%s?", path, dot);
}

/* Add the sets at or below a value. */
static void find_sets(struct search *s, const struct msagen_value *value, const struct msagen_value *key,
    const char *path, int depth)
{
    if (s->visits >= MAX_VISITS)
        return;
    if (value->kind == MSAGEN_PICKLE_OPAQUE) {
        if (has_weights(s, value, 0))
            add_set(s, value, path);
        return;
    }
    if (!is_container(value, false))
        return;
    s->visits += 1 + value->u.list.count;
    if (looks_like_network(value) || (key && is_known_wrapper(key) && value->kind == MSAGEN_PICKLE_DICT
        && holds_tensors(value)))
        add_set(s, value, path);
    if (depth >= MAX_DEPTH)
        return;
    const size_t first = value->kind == MSAGEN_PICKLE_DICT, step = first + 1;
    for (size_t i = first; i < value->u.list.count; i += step) {
        const struct msagen_value *inner = first ? value->u.list.items[i - 1] : NULL;
        char name[160];
        if (inner && is_of_training(inner))
            continue;
        extend(name, sizeof name, path, inner, i);
        find_sets(s, value->u.list.items[i], inner, name, depth + 1);
    }
}

/* "model, model_ema and 3 more" */
static void write_sets(char *text, size_t size, const struct search *s)
{
    size_t used = 0;
    *text = '\0';
    for (size_t i = 0; i < s->count && used < size; ++i) {
        if (used + strlen(s->sets[i].name) + 32 > size) {
            snprintf(text + used, size - used, " and %zu more", s->count - i);
            return;
        }
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", s->sets[i].name);
    }
}

/* Why a file has no set: its values may be something that was meant as one. */
static bool refuse_without(const struct msagen_value *root, const struct report *r)
{
    char keys[320];
    for (size_t i = 1; i < root->u.list.count; i += 2) {
        const struct msagen_value *inside = root->u.list.items[i], *value = inside;
        if (inside->kind == MSAGEN_PICKLE_DICT && inside->u.list.count > 1)
            value = inside->u.list.items[1];
        if (msagen_pickle_is_array(value) || msagen_pickle_is_array(inside))
            return fail(r, "its weights are NumPy arrays, which are not read: expected tensors of PyTorch "
                        "(torch.from_numpy of each, then torch.save), or a safetensors file");
    }
    for (size_t i = 1; i < root->u.list.count; i += 2) {
        const struct msagen_value *key = root->u.list.items[i - 1], *value = root->u.list.items[i];
        if (is_known_wrapper(key) && value->kind == MSAGEN_PICKLE_OPAQUE && *msagen_pickle_class(value))
            return fail(r, "%.*s is an object of class %.160s: expected its state_dict()",
                msagen_clip(key->u.text.bytes),
                        key->u.text.data, msagen_pickle_class(value));
    }
    write_keys(keys, sizeof keys, "", root);
    return fail(r, "holds no state dict: its keys are %s; expected tensors by name, or such a dict under state_dict, "
                "model, model_state_dict or net", *keys ? keys : "none");
}

/* The set that is meant; `s` keeps them all. */
static const struct msagen_value *choose_set(struct msagen_checkpoint *c, struct search *s,
    const struct msagen_value *root,
                                             const struct report *r)
{
    char names[400];
    find_sets(s, root, NULL, "", 0);
    if (s->visits >= MAX_VISITS) {
        fail(r, "holds more than %d values in lists and dicts: too many to look for weights in", MAX_VISITS);
        return NULL;
    }
    if (s->count == 0 && holds_tensors(root))
        add_set(s, root, "");
    if (s->count == 0) {
        refuse_without(root, r);
        return NULL;
    }
    write_sets(names, sizeof names, s);
    const struct set *chosen = s->count == 1 ? &s->sets[0] : NULL;
    for (size_t i = 0; r->set && !chosen && i < s->count; ++i)
        if (strcmp(s->sets[i].name, r->set) == 0)
            chosen = &s->sets[i];
    if (!chosen) {
        fail(r, "holds %zu sets of weights: %s: expected --weights-key to say which one is meant, found %.100s",
            s->count,
             names, r->set ? r->set : "none");
        return NULL;
    }
    if (chosen->value->kind == MSAGEN_PICKLE_OPAQUE)
        fail(r, "%s is an object of class %.160s: expected a state dict", chosen->name,
            msagen_pickle_class(chosen->value));
    else if (chosen->value->kind != MSAGEN_PICKLE_DICT)
        fail(r, "%s is a list of tensors without names: expected a state dict", chosen->name);
    else {
        snprintf(c->set, sizeof c->set, "%s", chosen->name);
        return chosen->value;
    }
    return NULL;
}

/* Where the storages of an archive's tensors lie: "NAME/". */
struct place {
    const char *prefix;
    size_t length;
};

static bool add_entry(struct msagen_checkpoint *c, const char *name, size_t length, const struct msagen_value *tensor,
                      struct place at, const struct report *r)
{
    if ((c->count & (c->count - 1)) == 0) {     /* full at each power of two */
        struct entry *more = realloc(c->entries, (c->count ? 2 * c->count : 1) * sizeof *more);
        if (!more)
            return fail(r, "out of memory");
        c->entries = more;
    }
    struct entry *e = &c->entries[c->count];
    *e = (struct entry){.name = strndup(name, length)};
    if (!e->name)
        return fail(r, "out of memory");
    c->count += 1;
    return place_tensor(c, e, tensor, at.prefix, at.length, r);
}

/* The tensors of the set that is meant. */
static bool list_set(struct msagen_checkpoint *c, const struct msagen_value *dict, struct place at,
    const struct report *r)
{
    for (size_t i = 0; i < dict->u.list.count; i += 2) {
        const struct msagen_value *key = dict->u.list.items[i], *value = dict->u.list.items[i + 1];
        const char *name = key->u.text.data;
        const size_t length = key->u.text.bytes;
        if (msagen_pickle_is_array(value))
            return fail(r, "%.*s is a NumPy array: expected a tensor of PyTorch (torch.from_numpy of each, then "
                        "torch.save)", key->kind == MSAGEN_PICKLE_TEXT ? msagen_clip(length) : 1,
                            key->kind == MSAGEN_PICKLE_TEXT ? name : "?");
        if (value->kind != MSAGEN_PICKLE_TENSOR &&
            (!holds_tensors(value) || is_of_training(key) || looks_like_network(value)))
            continue;
        if (key->kind != MSAGEN_PICKLE_TEXT)
            return fail(r, "a tensor whose name is %s: refused", msagen_pickle_kind_name(key));
        if (length == 0 || !msagen_is_text(name, length))
            return fail(r, "a tensor's name is empty, no UTF-8 or holds control characters: %.*s", msagen_clip(length),
                name);
        if (value->kind != MSAGEN_PICKLE_TENSOR)
            return fail(r, "%.*s is %s of tensors; a state dict holds tensors only", msagen_clip(length), name,
                        msagen_pickle_kind_name(value));
        if (!add_entry(c, name, length, value, at, r))
            return false;
    }
    return true;
}

/* Weights of a training file that are in no set, under the names that lead to them: the importer accounts for them as
 * for those of the set. */
static bool list_loose(struct msagen_checkpoint *c, struct search *s, const struct msagen_value *value,
    const char *path,
                       struct place at, const struct report *r, int depth)
{
    bool in_a_set = false;
    for (size_t i = 0; i < s->count; ++i)
        in_a_set = in_a_set || s->sets[i].value == value;
    s->visits += 1 + value->u.list.count;
    if (s->visits >= MAX_VISITS)
        return fail(r, "holds more than %d values in lists and dicts: too many to look for weights in", MAX_VISITS);
    const size_t first = value->kind == MSAGEN_PICKLE_DICT, step = first + 1;
    for (size_t i = first; i < value->u.list.count; i += step) {
        const struct msagen_value *key = first ? value->u.list.items[i - 1] : NULL, *inner = value->u.list.items[i];
        char name[160];
        if (key && (is_of_training(key) || is_a_record(key)))
            continue;
        extend(name, sizeof name, path, key, i);
        if (is_weight(inner) && !in_a_set && !add_entry(c, name, strlen(name), inner, at, r))
            return false;
        if (is_container(inner, false) && depth < MAX_OBJECT_DEPTH && !list_loose(c, s, inner, name, at, r, depth + 1))
            return false;
    }
    return true;
}

static bool list_tensors(struct msagen_checkpoint *c, const struct msagen_value *root, struct place at,
    const struct report *r)
{
    if (root->kind != MSAGEN_PICKLE_DICT)
        return fail(r, "holds %s; expected a state dict or a training file", msagen_pickle_kind_name(root));
    struct search s = {0};
    const struct msagen_value *dict = choose_set(c, &s, root, r);
    if (!dict)
        return false;
    if (dict == root)
        snprintf(c->container, sizeof c->container, "state dict");
    else
        write_keys(c->container, sizeof c->container, "training file: ", root);
    s.visits = 0;
    return list_set(c, dict, at, r) && list_loose(c, &s, root, "", at, r, 0);
}

/* ---- TorchScript programs ---- */

enum { MAX_MODULES = 1 << 16, MAX_PROGRAM_TENSORS = 1 << 16 };

static bool add_module(struct msagen_checkpoint *c, const char *name, const char *class, const struct report *r)
{
    if (c->module_count == MAX_MODULES)
        return fail(r, "holds more than %d modules: refused", MAX_MODULES);
    if ((c->module_count & (c->module_count - 1)) == 0) {       /* full at each power of two */
        struct module *more = realloc(c->modules, (c->module_count ? 2 * c->module_count : 1) * sizeof *more);
        if (!more)
            return fail(r, "out of memory");
        c->modules = more;
    }
    struct module *m = &c->modules[c->module_count++];
    *m = (struct module){strdup(name), strdup(class)};
    return (m->name && m->class) || fail(r, "out of memory");
}

struct walk {
    struct msagen_checkpoint *c;
    struct place at;
    const struct report *r;
    size_t visits;
};

/* Tensors of an object and of those within, under the names that lead to them. An object may hold itself. */
static bool list_module(struct walk *w, const struct msagen_value *module, const char *path, int depth)
{
    const struct report *r = w->r;
    if (depth > MAX_OBJECT_DEPTH)
        return fail(r, "%.100s...: modules in more than %d others: refused", path, MAX_OBJECT_DEPTH);
    if (!add_module(w->c, path, msagen_pickle_class(module), r))
        return false;
    w->visits += module->u.list.count;
    for (size_t d = 0; d < module->u.list.count; ++d) {
        const struct msagen_value *state = module->u.list.items[d];
        w->visits += state->kind == MSAGEN_PICKLE_DICT ? state->u.list.count : 0;
        if (w->visits > MAX_VISITS)
            return fail(r, "holds more than %d values in its modules: refused", MAX_VISITS);
        for (size_t i = 0; state->kind == MSAGEN_PICKLE_DICT && i < state->u.list.count; i += 2) {
            const struct msagen_value *key = state->u.list.items[i], *value = state->u.list.items[i + 1];
            char name[512];
            if (value->kind != MSAGEN_PICKLE_TENSOR && !msagen_pickle_is_module(value))
                continue;
            if (key->kind != MSAGEN_PICKLE_TEXT || !msagen_is_text(key->u.text.data, key->u.text.bytes)
                || strlen(path) + key->u.text.bytes + 2 > sizeof name)
                return fail(r, "%.100s: holds a part whose name is no text, or too long a one: refused", path);
            snprintf(name, sizeof name, "%s%s%.*s", path, *path ? "." : "", (int)key->u.text.bytes, key->u.text.data);
            if (w->c->count == MAX_PROGRAM_TENSORS)
                return fail(r, "holds more than %d tensors: refused", MAX_PROGRAM_TENSORS);
            if (value->kind == MSAGEN_PICKLE_TENSOR ? !add_entry(w->c, name, strlen(name), value, w->at, r)
                : !list_module(w, value, name, depth + 1))
                return false;
        }
    }
    return true;
}

static bool list_program(struct msagen_checkpoint *c, const struct msagen_value *root, struct place at,
    const struct report *r)
{
    if (!msagen_pickle_is_module(root))
        return fail(r, "a TorchScript program that is %s: expected a module", msagen_pickle_kind_name(root));
    snprintf(c->container, sizeof c->container, "TorchScript program: %.200s", msagen_pickle_class(root));
    snprintf(c->set, sizeof c->set, ".");
    return list_module(&(struct walk){c, at, r, 0}, root, "", 0)
        && (c->count > 0 || fail(r, "a TorchScript program without tensors"));
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
            return fail(r, "ZIP: both %.160s and %.160s: no checkpoint of torch.save",
                msagen_zip_entry(c->zip, *index)->name, name);
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
        return fail(r, "ZIP: the name of its folder has %zu bytes; expected at most %zu", prefix_length,
            sizeof name - 64);
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
    const bool program = note != NULL;
    if (program && !r->programs)
        return fail(r, "a TorchScript program, no checkpoint: expected what torch.save(model.state_dict()) writes");
    if (!read_note(c, prefix, prefix_length, "byteorder", &note, &bytes, r))
        return false;
    if (note && (bytes != 6 || memcmp(note, "little", 6) != 0))
        return fail(r, "its byteorder is \"%.*s\"; expected little", msagen_clip(bytes), (const char *)note);
    /* What is checked is what is parsed, whatever becomes of the file meanwhile. */
    unsigned char *data = msagen_zip_copy(c->zip, index, why, sizeof why);
    if (!data)
        return fail(r, "%s", why);
    struct msagen_pickle *pickle = (program ? msagen_pickle_read_program : msagen_pickle_read)(data,
        msagen_zip_entry(c->zip, index)->bytes, why, sizeof why);
    const bool ok = pickle ? (program ? list_program : list_tensors)(c, msagen_pickle_root(pickle),
        (struct place){prefix, prefix_length}, r) : fail(r, "%s", why);
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
    snprintf(c->set, sizeof c->set, ".");
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
        return fail(r, "is in the format that torch.save wrote before PyTorch 1.6 (a bare pickle, no ZIP): load it in "
                    "PyTorch and save it again");
    if (begins(file, 257, "ustar", 5))
        return fail(r, "is in the tar format that torch.save wrote before PyTorch 0.2: load it in PyTorch "
                    "and save it again");
    /* A safetensors' header of 640, 896, ... bytes begins so, too. */
    if (begins(file, 0, "\x80", 1) && file->bytes > 1 && file->data[1] >= 2 && file->data[1] <= 5
        && !begins(file, 5, "\0\0\0{", 4))
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
    return msagen_checkpoint_open_set(path, NULL, error, error_size);
}

static struct msagen_checkpoint *open_file(const struct report *r)
{
    struct msagen_buffer *file = msagen_buffer_map(r->path, r->error, r->error_size);
    if (!file) {
        msagen_one_line(r->error);
        return NULL;
    }
    return open_buffer(file, true, r);
}

struct msagen_checkpoint *msagen_checkpoint_open_set(const char *path, const char *set, char *error, size_t error_size)
{
    return open_file(&(struct report){path, set, false, error, error_size});
}

struct msagen_checkpoint *msagen_checkpoint_open_program(const char *path, const char *set, char *error,
    size_t error_size)
{
    return open_file(&(struct report){path, set, true, error, error_size});
}

static void release_borrowed(struct msagen_buffer *buffer)
{
    free(buffer);
}

static struct msagen_checkpoint *open_borrowed(const void *data, size_t bytes, const struct report *r)
{
    struct msagen_buffer *file = malloc(sizeof *file);
    if (!file) {
        fail(r, "out of memory");
        return NULL;
    }
    *file = (struct msagen_buffer){.refs = 1, .data = data, .bytes = bytes, .release = release_borrowed};
    return open_buffer(file, false, r);
}

struct msagen_checkpoint *msagen_checkpoint_open_memory(const void *data, size_t bytes, const char *name, char *error,
                                                        size_t error_size)
{
    return open_borrowed(data, bytes, &(struct report){name, NULL, false, error, error_size});
}

struct msagen_checkpoint *msagen_checkpoint_open_program_memory(const void *data, size_t bytes, const char *name,
    char *error, size_t error_size)
{
    return open_borrowed(data, bytes, &(struct report){name, NULL, true, error, error_size});
}

void msagen_checkpoint_close(struct msagen_checkpoint *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->count; ++i)
        free(c->entries[i].name);
    for (size_t i = 0; i < c->module_count; ++i) {
        free(c->modules[i].name);
        free(c->modules[i].class);
    }
    free(c->modules);
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

const char *msagen_checkpoint_set(const struct msagen_checkpoint *c)
{
    return c->set;
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
    if (index < c->module_count) {
        *key = c->modules[index].name;
        *value = c->modules[index].class;
        return true;
    }
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

struct msagen_tensor *msagen_checkpoint_tensor(struct msagen_checkpoint *c, size_t index, char *error,
    size_t error_size)
{
    const struct report r = {c->path, NULL, false, error, error_size};
    const struct entry *e = &c->entries[index];
    size_t at = e->at, bytes = e->bytes;
    if (c->zip) {
        char why[MSAGEN_ERROR_BYTES];
        const unsigned char *data = msagen_zip_verified(c->zip, e->record, c->mapped ? release_pages : NULL, why,
            sizeof why);
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
    const struct report r = {c->path, NULL, false, error, error_size};
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
