/* SPDX-License-Identifier: Apache-2.0 */
/* pickle.h - what a pickle of torch.save says, read as data: nothing is executed. */
#ifndef MSAGEN_PICKLE_H
#define MSAGEN_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MSAGEN_PICKLE_MAX_BYTES ((size_t)64 << 20)      /* SAM ViT-H with its optimizer's state has 1 MiB */
#define MSAGEN_PICKLE_MAX_OBJECTS ((size_t)4 << 20)     /* also of the stack and the memo */
#define MSAGEN_PICKLE_MAX_MEMORY ((size_t)256 << 20)

enum msagen_pickle_kind {
    MSAGEN_PICKLE_NONE,
    MSAGEN_PICKLE_BOOL,
    MSAGEN_PICKLE_INT,
    MSAGEN_PICKLE_FLOAT,
    MSAGEN_PICKLE_TEXT,
    MSAGEN_PICKLE_BYTES,
    MSAGEN_PICKLE_TUPLE,
    MSAGEN_PICKLE_LIST,
    MSAGEN_PICKLE_DICT,
    MSAGEN_PICKLE_GLOBAL,       /* a known class or function, by name */
    MSAGEN_PICKLE_STORAGE,
    MSAGEN_PICKLE_TENSOR,
    /* well-formed and of no interest by itself: numpy scalars, paths, sets, huge integers, objects of any class */
    MSAGEN_PICKLE_OPAQUE
};

struct msagen_pickle_global;

/* A value. Containers may hold themselves: walk them to a fixed depth only. */
struct msagen_value {
    enum msagen_pickle_kind kind;
    union {
        int64_t integer;        /* BOOL, INT */
        double real;
        struct {
            const char *data;   /* inside the pickle; no terminator, any bytes */
            size_t bytes;
        } text;                 /* TEXT, BYTES */
        struct {
            /* DICT: key, value, key, value, ... in order of insertion; OPAQUE: what it was given */
            struct msagen_value **items;
            size_t count, room;
            const struct msagen_pickle_global *of;      /* OPAQUE: its class or the function that made it, or NULL */
        } list;                 /* TUPLE, LIST, DICT, OPAQUE */
        const struct msagen_pickle_global *global;
        struct {
            const struct msagen_pickle_global *type;
            const struct msagen_value *key;     /* TEXT: the buffer is the archive's entry data/KEY */
            int64_t elements;                   /* >= 0 */
        } storage;
        struct {
            const struct msagen_value *storage, *shape, *stride;    /* STORAGE; TUPLEs of INT, equally long */
            const struct msagen_pickle_global *type;                /* element type when not the storage's, else NULL */
            int64_t offset;                                         /* elements */
        } tensor;
    } u;
};

struct msagen_pickle;

/* Read a pickle of protocol 2 to 5; data must outlive the result. NULL and a text in error for everything else: an
 * opcode or a function that no checkpoint needs, a malformed or truncated stream, one that exceeds the limits above,
 * one that is nothing but an object. Objects of unknown classes inside are OPAQUE: no code of theirs is known here, let
 * alone executed. */
struct msagen_pickle *msagen_pickle_read(const void *data, size_t bytes, char *error, size_t error_size);
/* The same of a TorchScript program's data.pkl, which is an object: its classes have the module __torch__, and any
 * name. */
struct msagen_pickle *msagen_pickle_read_program(const void *data, size_t bytes, char *error, size_t error_size);

void msagen_pickle_free(struct msagen_pickle *pickle);

const struct msagen_value *msagen_pickle_root(const struct msagen_pickle *pickle);

/* The tensor's element type as an enum msagen_dtype, or -1 with *name set to what it is called
 * ("torch.ComplexFloatStorage"). */
int msagen_pickle_dtype(const struct msagen_value *tensor, const char **name);

/* Bytes of one element of a storage as its pickle declares it; 0: unknown. */
size_t msagen_pickle_storage_unit(const struct msagen_value *storage);

/* "a tensor", "a list", ... */
const char *msagen_pickle_kind_name(const struct msagen_value *value);

/* What an OPAQUE value is, "argparse.Namespace", or "" where nothing is known. It lasts as long as the pickle. */
const char *msagen_pickle_class(const struct msagen_value *value);

/* Whether it is an object of a TorchScript program's classes: what it holds is in its DICTs. */
bool msagen_pickle_is_module(const struct msagen_value *value);

/* Whether it is an array of NumPy's. */
bool msagen_pickle_is_array(const struct msagen_value *value);

bool msagen_value_is(const struct msagen_value *value, const char *text);

#endif
