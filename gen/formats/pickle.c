/* SPDX-License-Identifier: Apache-2.0 */
/* pickle.c - what a pickle of torch.save says, read as data: nothing is executed.
 * A pickle is a program for a stack machine. This one knows the opcodes that build plain data, and a fixed list of
 * names;
 * "calling" a name yields a value that describes the result. Everything else is refused. */
#include "pickle.h"

#include "explain.h"
#include "tensor.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum meaning {
    OPAQUE,             /* class or function whose results matter to nobody here */
    ARRAY,              /* what makes an array of NumPy's: of no use here, but to be named */
    FOREIGN_CLASS,      /* any other class: an object of it is kept unread */
    NAME_ONLY,          /* may be mentioned, not called */
    DICT_CLASS,
    LIST_CLASS,
    TUPLE_CLASS,
    TENSOR_1,           /* torch._utils._rebuild_tensor: storage, offset, size, stride */
    TENSOR_2,           /* ... and requires_grad, hooks, which do not matter */
    TENSOR_3,           /* ... and the element type */
    PARAMETER,
    TENSOR_TYPED,       /* torch._tensor._rebuild_from_type_v2: function, class, its arguments, attributes */
    STORAGE_CLASS,
    DTYPE
};

struct msagen_pickle_global {
    const char *module, *name;
    enum meaning meaning;
    int dtype;          /* enum msagen_dtype, or -1 */
    size_t unit;        /* bytes of an element, 0: unknown */
    const char *full;
};

#define GLOBAL(module, name, meaning) {module, name, meaning, -1, 0, module "." name}
#define TYPE(name, meaning, dtype, unit) {"torch", name, meaning, dtype, unit, "torch." name}
#define STORAGE(name, dtype, unit) \
    TYPE(name, STORAGE_CLASS, dtype, unit), {"torch.cuda", name, STORAGE_CLASS, dtype, unit, "torch.cuda." name}

static const struct msagen_pickle_global globals[] = {
    GLOBAL("collections", "OrderedDict", DICT_CLASS),
    GLOBAL("torch._utils", "_rebuild_tensor_v2", TENSOR_2),
    GLOBAL("torch._utils", "_rebuild_tensor", TENSOR_1),
    GLOBAL("torch._utils", "_rebuild_tensor_v3", TENSOR_3),
    GLOBAL("torch._utils", "_rebuild_parameter", PARAMETER),
    GLOBAL("torch._utils", "_rebuild_parameter_with_state", PARAMETER),
    GLOBAL("torch._tensor", "_rebuild_from_type_v2", TENSOR_TYPED),
    GLOBAL("torch", "Tensor", NAME_ONLY),
    GLOBAL("torch.nn.parameter", "Parameter", NAME_ONLY),
    GLOBAL("torch.nn.parameter", "Buffer", NAME_ONLY),
    GLOBAL("torch", "Size", TUPLE_CLASS),
    GLOBAL("torch", "device", OPAQUE),
    STORAGE("FloatStorage", MSAGEN_F32, 4),
    STORAGE("DoubleStorage", MSAGEN_F64, 8),
    STORAGE("HalfStorage", MSAGEN_F16, 2),
    STORAGE("BFloat16Storage", MSAGEN_BF16, 2),
    STORAGE("LongStorage", MSAGEN_I64, 8),
    STORAGE("IntStorage", MSAGEN_I32, 4),
    STORAGE("ShortStorage", MSAGEN_I16, 2),
    STORAGE("CharStorage", MSAGEN_I8, 1),
    STORAGE("ByteStorage", MSAGEN_U8, 1),
    STORAGE("BoolStorage", MSAGEN_BOOL, 1),
    STORAGE("ComplexFloatStorage", -1, 8),
    STORAGE("ComplexDoubleStorage", -1, 16),
    TYPE("QInt8Storage", STORAGE_CLASS, -1, 1),
    TYPE("QUInt8Storage", STORAGE_CLASS, -1, 1),
    TYPE("QInt32Storage", STORAGE_CLASS, -1, 4),
    {"torch.storage", "UntypedStorage", STORAGE_CLASS, -1, 1, "torch.storage.UntypedStorage"},
    TYPE("UntypedStorage", STORAGE_CLASS, -1, 1),
    TYPE("float32", DTYPE, MSAGEN_F32, 4),
    TYPE("float64", DTYPE, MSAGEN_F64, 8),
    TYPE("float16", DTYPE, MSAGEN_F16, 2),
    TYPE("bfloat16", DTYPE, MSAGEN_BF16, 2),
    TYPE("int64", DTYPE, MSAGEN_I64, 8),
    TYPE("int32", DTYPE, MSAGEN_I32, 4),
    TYPE("int16", DTYPE, MSAGEN_I16, 2),
    TYPE("int8", DTYPE, MSAGEN_I8, 1),
    TYPE("uint8", DTYPE, MSAGEN_U8, 1),
    TYPE("bool", DTYPE, MSAGEN_BOOL, 1),
    TYPE("complex64", DTYPE, -1, 8),
    TYPE("complex128", DTYPE, -1, 16),
    TYPE("uint16", DTYPE, -1, 2),
    TYPE("uint32", DTYPE, -1, 4),
    TYPE("uint64", DTYPE, -1, 8),
    TYPE("float8_e4m3fn", DTYPE, -1, 1),
    TYPE("float8_e5m2", DTYPE, -1, 1),
    /* What optimizers, metrics and options of a training file are made of. */
    GLOBAL("collections", "defaultdict", DICT_CLASS),
    GLOBAL("collections", "Counter", DICT_CLASS),
    GLOBAL("collections", "deque", LIST_CLASS),
    GLOBAL("_codecs", "encode", OPAQUE),
    GLOBAL("numpy.core.multiarray", "scalar", OPAQUE),
    GLOBAL("numpy._core.multiarray", "scalar", OPAQUE),
    GLOBAL("numpy.core.multiarray", "_reconstruct", ARRAY),
    GLOBAL("numpy._core.multiarray", "_reconstruct", ARRAY),
    GLOBAL("numpy.core.numeric", "_frombuffer", ARRAY),
    GLOBAL("numpy._core.numeric", "_frombuffer", ARRAY),
    GLOBAL("numpy.random._pickle", "__randomstate_ctor", OPAQUE),
    GLOBAL("numpy.random._pickle", "__generator_ctor", OPAQUE),
    GLOBAL("numpy.random._pickle", "__bit_generator_ctor", OPAQUE),
    GLOBAL("numpy", "float64", OPAQUE),
    GLOBAL("numpy", "float32", OPAQUE),
    GLOBAL("numpy", "int64", OPAQUE),
    GLOBAL("numpy", "int32", OPAQUE),
    GLOBAL("numpy", "bool_", OPAQUE),
    GLOBAL("numpy", "str_", OPAQUE),
    GLOBAL("copy_reg", "_reconstructor", OPAQUE),
    GLOBAL("copyreg", "_reconstructor", OPAQUE),
    GLOBAL("functools", "partial", OPAQUE),
    GLOBAL("torch.serialization", "_get_layout", OPAQUE),
    /* Lists in a TorchScript program's objects. */
    GLOBAL("torch.jit._pickle", "build_intlist", OPAQUE),
    GLOBAL("torch.jit._pickle", "build_doublelist", OPAQUE),
    GLOBAL("torch.jit._pickle", "build_boollist", OPAQUE),
    GLOBAL("torch.jit._pickle", "build_tensorlist", OPAQUE),
    GLOBAL("torch.jit._pickle", "restore_type_tag", OPAQUE),
    GLOBAL("numpy", "dtype", OPAQUE),
    GLOBAL("numpy", "ndarray", NAME_ONLY),
    GLOBAL("pathlib", "PosixPath", OPAQUE),
    GLOBAL("pathlib", "WindowsPath", OPAQUE),
    GLOBAL("pathlib", "PurePosixPath", OPAQUE),
    GLOBAL("pathlib", "PureWindowsPath", OPAQUE),
    GLOBAL("pathlib", "Path", OPAQUE),
    GLOBAL("pathlib._local", "PosixPath", OPAQUE),
    GLOBAL("argparse", "Namespace", OPAQUE),
    GLOBAL("types", "SimpleNamespace", OPAQUE),
    GLOBAL("datetime", "datetime", OPAQUE),
    GLOBAL("datetime", "date", OPAQUE),
    GLOBAL("datetime", "timedelta", OPAQUE),
    GLOBAL("datetime", "time", OPAQUE),
    GLOBAL("datetime", "timezone", OPAQUE),
    GLOBAL("__builtin__", "set", OPAQUE),
    GLOBAL("__builtin__", "frozenset", OPAQUE),
    GLOBAL("__builtin__", "complex", OPAQUE),
    GLOBAL("__builtin__", "bytearray", OPAQUE),
    GLOBAL("__builtin__", "xrange", OPAQUE),
    GLOBAL("__builtin__", "slice", OPAQUE),
    GLOBAL("__builtin__", "dict", NAME_ONLY),
    GLOBAL("__builtin__", "list", NAME_ONLY),
    GLOBAL("__builtin__", "int", NAME_ONLY),
    GLOBAL("__builtin__", "float", NAME_ONLY),
    GLOBAL("__builtin__", "bool", NAME_ONLY),
    GLOBAL("__builtin__", "str", NAME_ONLY),
    GLOBAL("__builtin__", "tuple", NAME_ONLY),
    GLOBAL("__builtin__", "object", NAME_ONLY),
    GLOBAL("__builtin__", "long", NAME_ONLY),
    GLOBAL("__builtin__", "unicode", NAME_ONLY),
    GLOBAL("builtins", "set", OPAQUE),
    GLOBAL("builtins", "frozenset", OPAQUE),
    GLOBAL("builtins", "complex", OPAQUE),
    GLOBAL("builtins", "bytearray", OPAQUE),
    GLOBAL("builtins", "range", OPAQUE),
    GLOBAL("builtins", "slice", OPAQUE),
    GLOBAL("builtins", "dict", NAME_ONLY),
    GLOBAL("builtins", "list", NAME_ONLY),
    GLOBAL("builtins", "int", NAME_ONLY),
    GLOBAL("builtins", "float", NAME_ONLY),
    GLOBAL("builtins", "bool", NAME_ONLY),
    GLOBAL("builtins", "str", NAME_ONLY),
    GLOBAL("builtins", "tuple", NAME_ONLY),
    GLOBAL("builtins", "object", NAME_ONLY),
    GLOBAL("builtins", "bytes", NAME_ONLY),
};

/* Modules whose classes no honest file mentions: a pickle that does means to run something. */
static const char *const suspect[] = {
    "builtins", "__builtin__", "os", "posix", "nt", "subprocess", "sys", "importlib", "runpy", "pickle", "cPickle",
        "ctypes", "socket",
    "shutil", "pty", "code", "marshal", "multiprocessing", "threading", "types", "inspect", "commands", "webbrowser",
        "platform",
};

/* Opcodes that are known and refused. The text opcodes of protocol 0 are among them: torch.save writes protocol 2
 * unless told. */
static const struct {
    unsigned char code;
    const char *name;
} refused[] = {
    {'I', "INT"}, {'L', "LONG"}, {'F', "FLOAT"}, {'S', "STRING"}, {'V', "UNICODE"}, {'P', "PERSID"},
    {'g', "GET"}, {'p', "PUT"}, {'o', "OBJ"}, {0x82, "EXT1"}, {0x83, "EXT2"}, {0x84, "EXT4"},
    {0x97, "NEXT_BUFFER"}, {0x98, "READONLY_BUFFER"},
};

struct chunk {
    struct chunk *next;
    size_t used, room;
    max_align_t data[];
};

struct msagen_pickle {
    struct chunk *chunks;
    size_t memory;
    struct msagen_value *root;
};

struct reader {
    struct msagen_pickle *pickle;
    const unsigned char *data;
    size_t bytes, at;
    struct msagen_value **stack;
    size_t depth, stack_room;
    size_t *marks;              /* stack depths; what lies below the last one is out of reach */
    size_t mark_count, mark_room;
    struct msagen_value **memo;
    size_t memo_count, memo_room;
    size_t objects;
    bool program;               /* of TorchScript */
    char *error;
    size_t error_size;
};

#define FAIL(r, ...) msagen_explain((r)->error, (r)->error_size, "pickle: " __VA_ARGS__)

static void *allocate(struct reader *r, size_t bytes)
{
    struct msagen_pickle *p = r->pickle;
    bytes = (bytes + _Alignof(max_align_t) - 1) / _Alignof(max_align_t) * _Alignof(max_align_t);
    struct chunk *c = p->chunks;
    if (!c || c->room - c->used < bytes) {
        size_t room = c ? c->room * 2 : 4096;
        if (room > 1 << 20)
            room = 1 << 20;
        if (room < bytes)
            room = bytes;
        if (room > MSAGEN_PICKLE_MAX_MEMORY - p->memory) {
            FAIL(r, "it needs more than %zu MiB to describe: refused", MSAGEN_PICKLE_MAX_MEMORY >> 20);
            return NULL;
        }
        c = malloc(sizeof *c + room);
        if (!c) {
            FAIL(r, "out of memory");
            return NULL;
        }
        c->used = 0;
        c->room = room;
        c->next = p->chunks;
        p->chunks = c;
        p->memory += room;
    }
    void *memory = (unsigned char *)c->data + c->used;
    c->used += bytes;
    return memory;
}

static struct msagen_value *new_value(struct reader *r, enum msagen_pickle_kind kind)
{
    if (++r->objects > MSAGEN_PICKLE_MAX_OBJECTS) {
        FAIL(r, "more than %zu objects: refused", MSAGEN_PICKLE_MAX_OBJECTS);
        return NULL;
    }
    struct msagen_value *value = allocate(r, sizeof *value);
    if (value) {
        memset(value, 0, sizeof *value);
        value->kind = kind;
    }
    return value;
}

/* Make room for one more of `count` elements of `size` bytes in heap memory. */
static bool grow(struct reader *r, void **array, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return true;
    if (count >= MSAGEN_PICKLE_MAX_OBJECTS)
        return FAIL(r, "its stack or memo exceeds %zu objects: refused", MSAGEN_PICKLE_MAX_OBJECTS);
    const size_t more = *room ? *room * 2 : 256;
    void *moved = realloc(*array, more * size);
    if (!moved)
        return FAIL(r, "out of memory");
    *array = moved;
    *room = more;
    return true;
}

static bool push(struct reader *r, struct msagen_value *value)
{
    if (!value)
        return false;
    void *stack = r->stack;
    const bool ok = grow(r, &stack, r->depth, &r->stack_room, sizeof *r->stack);
    r->stack = stack;
    if (ok)
        r->stack[r->depth++] = value;
    return ok;
}

static size_t reachable(const struct reader *r)
{
    return r->depth - (r->mark_count ? r->marks[r->mark_count - 1] : 0);
}

static bool need(struct reader *r, size_t values)
{
    if (reachable(r) < values)
        return FAIL(r, "byte %zu: malformed: too few values on the stack", r->at - 1);
    return true;
}

static struct msagen_value *top(const struct reader *r, size_t below)
{
    return r->stack[r->depth - 1 - below];
}

static bool mark(struct reader *r)
{
    void *marks = r->marks;
    const bool ok = grow(r, &marks, r->mark_count, &r->mark_room, sizeof *r->marks);
    r->marks = marks;
    if (ok)
        r->marks[r->mark_count++] = r->depth;
    return ok;
}

/* Forget the last mark; *items and *count are what lay above it, valid until the next push. */
static bool pop_mark(struct reader *r, struct msagen_value ***items, size_t *count)
{
    if (r->mark_count == 0)
        return FAIL(r, "byte %zu: malformed: no mark on the stack", r->at - 1);
    const size_t depth = r->marks[--r->mark_count];
    *count = r->depth - depth;
    *items = *count ? r->stack + depth : NULL;
    r->depth = depth;
    return true;
}

static bool take(struct reader *r, size_t bytes, const unsigned char **data)
{
    if (r->bytes - r->at < bytes)
        return FAIL(r, "it ends within an opcode: truncated");
    *data = r->data + r->at;
    r->at += bytes;
    return true;
}

static bool take_unsigned(struct reader *r, int bytes, uint64_t *value)
{
    const unsigned char *data = NULL;
    if (!take(r, (size_t)bytes, &data))
        return false;
    *value = 0;
    for (int i = bytes - 1; i >= 0; --i)
        *value = *value << 8 | data[i];
    return true;
}

static bool take_line(struct reader *r, const char **text, size_t *length)
{
    const unsigned char *start = r->data + r->at;
    const unsigned char *end = memchr(start, '\n', r->bytes - r->at);
    if (!end)
        return FAIL(r, "it ends within a name: truncated");
    *text = (const char *)start;
    *length = (size_t)(end - start);
    r->at += *length + 1;
    return true;
}

static bool append(struct reader *r, struct msagen_value *list, struct msagen_value *value)
{
    if (list->u.list.count == list->u.list.room) {
        const size_t room = list->u.list.room ? list->u.list.room * 2 : 4;
        struct msagen_value **items = allocate(r, room * sizeof *items);
        if (!items)
            return false;
        if (list->u.list.count)
            memcpy(items, list->u.list.items, list->u.list.count * sizeof *items);
        list->u.list.items = items;
        list->u.list.room = room;
    }
    list->u.list.items[list->u.list.count++] = value;
    return true;
}

static struct msagen_value *new_list(struct reader *r, enum msagen_pickle_kind kind, struct msagen_value **items,
    size_t count)
{
    struct msagen_value *value = new_value(r, kind);
    if (!value || count == 0)
        return value;
    value->u.list.items = allocate(r, count * sizeof *items);
    if (!value->u.list.items)
        return NULL;
    memcpy(value->u.list.items, items, count * sizeof *items);
    value->u.list.count = value->u.list.room = count;
    return value;
}

static struct msagen_value *new_integer(struct reader *r, enum msagen_pickle_kind kind, int64_t integer)
{
    struct msagen_value *value = new_value(r, kind);
    if (value)
        value->u.integer = integer;
    return value;
}

static bool push_text(struct reader *r, enum msagen_pickle_kind kind, int length_bytes)
{
    uint64_t length;
    const unsigned char *data = NULL;
    if (!take_unsigned(r, length_bytes, &length))
        return false;
    if (length > r->bytes - r->at)
        return FAIL(r, "byte %zu: a text of %llu bytes, where %zu are left: truncated", r->at,
            (unsigned long long)length,
                    r->bytes - r->at);
    if (!take(r, (size_t)length, &data))
        return false;
    struct msagen_value *value = new_value(r, kind);
    if (value) {
        value->u.text.data = (const char *)data;
        value->u.text.bytes = (size_t)length;
    }
    return push(r, value);
}

/* Two's complement, little-endian, any length; beyond 64 bits the value does not matter. */
static bool push_long(struct reader *r, int length_bytes)
{
    uint64_t length;
    const unsigned char *data = NULL;
    if (!take_unsigned(r, length_bytes, &length) || !take(r, (size_t)length, &data))
        return false;
    if (length > 8)
        return push(r, new_value(r, MSAGEN_PICKLE_OPAQUE));
    uint64_t bits = length > 0 && data[length - 1] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = (size_t)length; i-- > 0;)
        bits = bits << 8 | data[i];
    return push(r, new_integer(r, MSAGEN_PICKLE_INT, (int64_t)bits));
}

static bool push_float(struct reader *r)
{
    const unsigned char *data = NULL;
    if (!take(r, 8, &data))
        return false;
    uint64_t bits = 0;
    for (int i = 0; i < 8; ++i)
        bits = bits << 8 | data[i];
    struct msagen_value *value = new_value(r, MSAGEN_PICKLE_FLOAT);
    if (value)
        memcpy(&value->u.real, &bits, sizeof bits);
    return push(r, value);
}

static bool same(const char *known, const char *text, size_t length)
{
    return strlen(known) == length && memcmp(known, text, length) == 0;
}

/* "module" or "module.anything" */
static bool is_suspect(const char *module, size_t length)
{
    for (size_t i = 0; i < sizeof suspect / sizeof *suspect; ++i) {
        const size_t known = strlen(suspect[i]);
        if (length >= known && memcmp(suspect[i], module, known) == 0 && (length == known || module[known] == '.'))
            return true;
    }
    return false;
}

/* A class that is not in the list, described by its names. */
static const struct msagen_pickle_global *foreign_class(struct reader *r, const char *module, size_t module_length,
    const char *name,
                                                        size_t name_length)
{
    struct msagen_pickle_global *global = allocate(r, sizeof *global);
    char *full = allocate(r, module_length + name_length + 2);
    if (!global || !full)
        return NULL;
    memcpy(full, module, module_length);
    full[module_length] = '.';
    memcpy(full + module_length + 1, name, name_length);
    full[module_length + 1 + name_length] = '\0';
    *global = (struct msagen_pickle_global){.module = "", .name = "", .meaning = FOREIGN_CLASS, .dtype = -1,
        .full = full};
    return global;
}

/* "__torch__" or "__torch__.anything": what a TorchScript program calls its classes. */
static bool is_program_class(const char *module, size_t length)
{
    static const char own[] = "__torch__";
    const size_t known = sizeof own - 1;
    return length >= known && memcmp(own, module, known) == 0 && (length == known || module[known] == '.');
}

static bool find_global(struct reader *r, const char *module, size_t module_length, const char *name,
    size_t name_length,
                        const struct msagen_pickle_global **global)
{
    for (size_t i = 0; i < sizeof globals / sizeof *globals; ++i)
        if (same(globals[i].module, module, module_length) && same(globals[i].name, name, name_length)) {
            *global = &globals[i];
            return true;
        }
    const bool is_class = (name_length > 0 && isupper((unsigned char)name[0]))
        || (r->program && is_program_class(module, module_length));
    if (is_class && !is_suspect(module, module_length) && msagen_is_text(module, module_length)
        && msagen_is_text(name, name_length)) {
        *global = foreign_class(r, module, module_length, name, name_length);
        return *global != NULL;
    }
    if (is_class)
        return FAIL(r, "holds an object of class %.*s.%.*s, which no checkpoint needs: refused (save its state_dict())",
                    msagen_clip(module_length), module, msagen_clip(name_length), name);
    return FAIL(r, "calls %.*s.%.*s, which no checkpoint needs: refused", msagen_clip(module_length), module,
                msagen_clip(name_length), name);
}

static bool push_global(struct reader *r, const char *module, size_t module_length, const char *name,
    size_t name_length)
{
    const struct msagen_pickle_global *global = NULL;
    if (!find_global(r, module, module_length, name, name_length, &global))
        return false;
    struct msagen_value *value = new_value(r, MSAGEN_PICKLE_GLOBAL);
    if (value)
        value->u.global = global;
    return push(r, value);
}

static bool read_global(struct reader *r)
{
    const char *module = NULL, *name = NULL;
    size_t module_length = 0, name_length = 0;
    return take_line(r, &module, &module_length) && take_line(r, &name, &name_length) &&
           push_global(r, module, module_length, name, name_length);
}

static bool read_stack_global(struct reader *r)
{
    if (!need(r, 2))
        return false;
    const struct msagen_value *module = top(r, 1), *name = top(r, 0);
    if (module->kind != MSAGEN_PICKLE_TEXT || name->kind != MSAGEN_PICKLE_TEXT)
        return FAIL(r, "byte %zu: malformed: a class name that is no text", r->at - 1);
    r->depth -= 2;
    return push_global(r, module->u.text.data, module->u.text.bytes, name->u.text.data, name->u.text.bytes);
}

/* ('storage', class, key, device, elements): the device it lived on means nothing here. */
static bool read_persistent(struct reader *r)
{
    if (!need(r, 1))
        return false;
    const struct msagen_value *id = top(r, 0);
    if (id->kind != MSAGEN_PICKLE_TUPLE || id->u.list.count < 5 || !msagen_value_is(id->u.list.items[0], "storage"))
        return FAIL(r, "byte %zu: a persistent id that is no storage: refused", r->at - 1);
    struct msagen_value **item = id->u.list.items;
    if (item[1]->kind != MSAGEN_PICKLE_GLOBAL || item[1]->u.global->meaning != STORAGE_CLASS ||
        item[2]->kind != MSAGEN_PICKLE_TEXT || item[4]->kind != MSAGEN_PICKLE_INT || item[4]->u.integer < 0)
        return FAIL(r, "byte %zu: malformed storage: expected (class, key, device, elements)", r->at - 1);
    struct msagen_value *storage = new_value(r, MSAGEN_PICKLE_STORAGE);
    if (!storage)
        return false;
    storage->u.storage.type = item[1]->u.global;
    storage->u.storage.key = item[2];
    storage->u.storage.elements = item[4]->u.integer;
    r->depth -= 1;
    return push(r, storage);
}

static bool integers(const struct msagen_value *value)
{
    if (value->kind != MSAGEN_PICKLE_TUPLE)
        return false;
    for (size_t i = 0; i < value->u.list.count; ++i)
        if (value->u.list.items[i]->kind != MSAGEN_PICKLE_INT)
            return false;
    return true;
}

static struct msagen_value *new_tensor(struct reader *r, enum meaning meaning, struct msagen_value **item, size_t count)
{
    const bool typed = meaning == TENSOR_3;
    if (count < (typed ? 7 : 4) || item[0]->kind != MSAGEN_PICKLE_STORAGE || item[1]->kind != MSAGEN_PICKLE_INT ||
        !integers(item[2]) || !integers(item[3]) || item[2]->u.list.count != item[3]->u.list.count ||
        (typed && (item[6]->kind != MSAGEN_PICKLE_GLOBAL || item[6]->u.global->meaning != DTYPE))) {
        FAIL(r, "byte %zu: malformed tensor: expected (storage, offset, size, stride%s)", r->at - 1,
             typed ? ", requires_grad, hooks, type" : "");
        return NULL;
    }
    struct msagen_value *tensor = new_value(r, MSAGEN_PICKLE_TENSOR);
    if (tensor) {
        tensor->u.tensor.storage = item[0];
        tensor->u.tensor.offset = item[1]->u.integer;
        tensor->u.tensor.shape = item[2];
        tensor->u.tensor.stride = item[3];
        tensor->u.tensor.type = typed ? item[6]->u.global : NULL;
    }
    return tensor;
}

/* OrderedDict([[key, value], ...]), as Python 2 wrote it. */
static struct msagen_value *new_dict(struct reader *r, struct msagen_value **item, size_t count)
{
    struct msagen_value *dict = new_value(r, MSAGEN_PICKLE_DICT);
    if (!dict || count == 0)
        return dict;
    const struct msagen_value *source = item[count - 1];
    if (source->kind == MSAGEN_PICKLE_DICT) {
        for (size_t i = 0; i < source->u.list.count; ++i)
            if (!append(r, dict, source->u.list.items[i]))
                return NULL;
        return dict;
    }
    if (source->kind != MSAGEN_PICKLE_LIST)
        return dict;        /* defaultdict(class) */
    for (size_t i = 0; i < source->u.list.count; ++i) {
        const struct msagen_value *pair = source->u.list.items[i];
        if ((pair->kind != MSAGEN_PICKLE_LIST && pair->kind != MSAGEN_PICKLE_TUPLE) || pair->u.list.count != 2) {
            FAIL(r, "byte %zu: malformed OrderedDict: expected pairs", r->at - 1);
            return NULL;
        }
        if (!append(r, dict, pair->u.list.items[0]) || !append(r, dict, pair->u.list.items[1]))
            return NULL;
    }
    return dict;
}

static struct msagen_value *call(struct reader *r, const struct msagen_value *callee,
    const struct msagen_value *arguments)
{
    if (callee->kind != MSAGEN_PICKLE_GLOBAL || arguments->kind != MSAGEN_PICKLE_TUPLE) {
        FAIL(r, "byte %zu: malformed: calls %s with %s", r->at - 1, msagen_pickle_kind_name(callee),
             msagen_pickle_kind_name(arguments));
        return NULL;
    }
    const struct msagen_pickle_global *global = callee->u.global;
    struct msagen_value **item = arguments->u.list.items;
    const size_t count = arguments->u.list.count;
    enum meaning meaning = global->meaning;
    if (meaning == TENSOR_TYPED) {
        if (count < 3 || item[0]->kind != MSAGEN_PICKLE_GLOBAL || item[2]->kind != MSAGEN_PICKLE_TUPLE) {
            FAIL(r, "byte %zu: malformed tensor: expected (function, class, arguments)", r->at - 1);
            return NULL;
        }
        meaning = item[0]->u.global->meaning;
        if (meaning != TENSOR_1 && meaning != TENSOR_2 && meaning != TENSOR_3 && meaning != PARAMETER) {
            FAIL(r, "byte %zu: a tensor rebuilt by %s: refused", r->at - 1, item[0]->u.global->full);
            return NULL;
        }
        const struct msagen_value *inner = item[2];
        return meaning == PARAMETER ? call(r, item[0], inner)
                                    : new_tensor(r, meaning, inner->u.list.items, inner->u.list.count);
    }
    switch (meaning) {
    case TENSOR_1:
    case TENSOR_2:
    case TENSOR_3:
        return new_tensor(r, meaning, item, count);
    case PARAMETER:
        if (count < 1 || item[0]->kind != MSAGEN_PICKLE_TENSOR) {
            FAIL(r, "byte %zu: malformed parameter: expected a tensor", r->at - 1);
            return NULL;
        }
        return item[0];
    case DICT_CLASS:
        return new_dict(r, item, count);
    case LIST_CLASS:
        return count > 0 && item[0]->kind == MSAGEN_PICKLE_LIST
                   ? new_list(r, MSAGEN_PICKLE_LIST, item[0]->u.list.items, item[0]->u.list.count)
                   : new_value(r, MSAGEN_PICKLE_LIST);
    case TUPLE_CLASS:
        return count == 1 && item[0]->kind == MSAGEN_PICKLE_TUPLE ? item[0] : new_value(r, MSAGEN_PICKLE_OPAQUE);
    case OPAQUE:
    case ARRAY:
    case FOREIGN_CLASS: {
        struct msagen_value *object = new_list(r, MSAGEN_PICKLE_OPAQUE, item, count);
        if (object)
            object->u.list.of = global;
        return object;
    }
    default:
        FAIL(r, "byte %zu: calls %s: refused", r->at - 1, global->full);
        return NULL;
    }
}

static bool read_call(struct reader *r, size_t arguments)
{
    if (!need(r, 1 + arguments))
        return false;
    struct msagen_value *result = call(r, top(r, arguments), top(r, arguments - 1));
    if (!result)
        return false;
    r->depth -= 1 + arguments;
    return push(r, result);
}

static bool set_items(struct reader *r, struct msagen_value *dict, struct msagen_value **items, size_t count)
{
    if (count % 2)
        return FAIL(r, "byte %zu: malformed: a key without a value", r->at - 1);
    if (dict->kind != MSAGEN_PICKLE_DICT && dict->kind != MSAGEN_PICKLE_OPAQUE)
        return FAIL(r, "byte %zu: malformed: sets items of %s", r->at - 1, msagen_pickle_kind_name(dict));
    for (size_t i = 0; i < count; ++i)
        if (!append(r, dict, items[i]))
            return false;
    return true;
}

static bool append_items(struct reader *r, struct msagen_value *list, struct msagen_value **items, size_t count)
{
    if (list->kind != MSAGEN_PICKLE_LIST && list->kind != MSAGEN_PICKLE_OPAQUE)
        return FAIL(r, "byte %zu: malformed: appends to %s", r->at - 1, msagen_pickle_kind_name(list));
    for (size_t i = 0; i < count; ++i)
        if (!append(r, list, items[i]))
            return false;
    return true;
}

/* obj.__setstate__(state): an OrderedDict's _metadata, a parameter's attributes. Nothing of it is needed, but an object
 * of unknown class may have weights in it. */
static bool build(struct reader *r)
{
    if (!need(r, 2))
        return false;
    struct msagen_value *object = top(r, 1);
    if (object->kind != MSAGEN_PICKLE_DICT && object->kind != MSAGEN_PICKLE_LIST
        && object->kind != MSAGEN_PICKLE_TENSOR &&
        object->kind != MSAGEN_PICKLE_OPAQUE)
        return FAIL(r, "byte %zu: malformed: gives a state to %s", r->at - 1, msagen_pickle_kind_name(object));
    if (object->kind == MSAGEN_PICKLE_OPAQUE && !append(r, object, top(r, 0)))
        return false;
    r->depth -= 1;
    return true;
}

/* A file that is nothing but an object, or a class, has no weights that can be read. */
static bool is_foreign(const struct msagen_value *value)
{
    if (value->kind == MSAGEN_PICKLE_GLOBAL)
        return value->u.global->meaning == FOREIGN_CLASS;
    return value->kind == MSAGEN_PICKLE_OPAQUE && value->u.list.of && value->u.list.of->meaning == FOREIGN_CLASS;
}

static bool memo_put(struct reader *r, uint64_t index)
{
    if (!need(r, 1))
        return false;
    if (index >= MSAGEN_PICKLE_MAX_OBJECTS)
        return FAIL(r, "byte %zu: memo index %llu: refused", r->at - 1, (unsigned long long)index);
    if (index >= r->memo_room) {
        size_t room = r->memo_room ? r->memo_room : 256;
        while (room <= index)
            room *= 2;
        struct msagen_value **memo = realloc(r->memo, room * sizeof *memo);
        if (!memo)
            return FAIL(r, "out of memory");
        for (size_t i = r->memo_room; i < room; ++i)
            memo[i] = NULL;
        r->memo = memo;
        r->memo_room = room;
    }
    r->memo_count += r->memo[index] == NULL;
    r->memo[index] = top(r, 0);
    return true;
}

static bool memo_get(struct reader *r, uint64_t index)
{
    if (index >= r->memo_room || !r->memo[index])
        return FAIL(r, "byte %zu: malformed: memo %llu was never set", r->at - 1, (unsigned long long)index);
    return push(r, r->memo[index]);
}

static bool refuse_opcode(struct reader *r, unsigned char code)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; ++i)
        if (refused[i].code == code)
            return FAIL(r, "byte %zu: opcode %s (0x%02x), which no checkpoint needs: refused", r->at - 1,
                refused[i].name,
                        code);
    return FAIL(r, "byte %zu: unknown opcode 0x%02x: refused", r->at - 1, code);
}

/* What an opcode of a group did; of others *mine becomes false. The pickle's frame and plain values. */
static bool step_values(struct reader *r, unsigned char code, bool *mine)
{
    uint64_t number = 0;
    switch (code) {
    case 0x80:      /* PROTO */
        if (!take_unsigned(r, 1, &number))
            return false;
        return (number >= 2 && number <= 5) ||
               FAIL(r, "protocol %llu; expected 2 to 5", (unsigned long long)number);
    case 0x95:      /* FRAME */
        if (!take_unsigned(r, 8, &number))
            return false;
        return number <= r->bytes - r->at || FAIL(r, "a frame of %llu bytes, where %zu are left: truncated",
                                                  (unsigned long long)number, r->bytes - r->at);
    case 'N':       /* NONE */
        return push(r, new_value(r, MSAGEN_PICKLE_NONE));
    case 0x88:      /* NEWTRUE */
    case 0x89:      /* NEWFALSE */
        return push(r, new_integer(r, MSAGEN_PICKLE_BOOL, code == 0x88));
    case 'J':       /* BININT */
        return take_unsigned(r, 4, &number) && push(r, new_integer(r, MSAGEN_PICKLE_INT, (int32_t)(uint32_t)number));
    case 'K':       /* BININT1 */
        return take_unsigned(r, 1, &number) && push(r, new_integer(r, MSAGEN_PICKLE_INT, (int64_t)number));
    case 'M':       /* BININT2 */
        return take_unsigned(r, 2, &number) && push(r, new_integer(r, MSAGEN_PICKLE_INT, (int64_t)number));
    case 0x8a:      /* LONG1 */
        return push_long(r, 1);
    case 0x8b:      /* LONG4 */
        return push_long(r, 4);
    case 'G':       /* BINFLOAT */
        return push_float(r);
    case 'X':       /* BINUNICODE */
        return push_text(r, MSAGEN_PICKLE_TEXT, 4);
    case 0x8c:      /* SHORT_BINUNICODE */
        return push_text(r, MSAGEN_PICKLE_TEXT, 1);
    case 0x8d:      /* BINUNICODE8 */
        return push_text(r, MSAGEN_PICKLE_TEXT, 8);
    case 'T':       /* BINSTRING, Python 2's str */
        return push_text(r, MSAGEN_PICKLE_TEXT, 4);
    case 'U':       /* SHORT_BINSTRING */
        return push_text(r, MSAGEN_PICKLE_TEXT, 1);
    case 'B':       /* BINBYTES */
        return push_text(r, MSAGEN_PICKLE_BYTES, 4);
    case 'C':       /* SHORT_BINBYTES */
        return push_text(r, MSAGEN_PICKLE_BYTES, 1);
    case 0x8e:      /* BINBYTES8 */
    case 0x96:      /* BYTEARRAY8 */
        return push_text(r, MSAGEN_PICKLE_BYTES, 8);
    default:
        *mine = false;
        return true;
    }
}

/* Tuples, lists, dicts and sets. */
static bool step_containers(struct reader *r, unsigned char code, bool *mine)
{
    struct msagen_value **items = NULL, *value;
    size_t count = 0;
    switch (code) {
    case ')':       /* EMPTY_TUPLE */
        return push(r, new_value(r, MSAGEN_PICKLE_TUPLE));
    case 0x85:      /* TUPLE1 */
    case 0x86:      /* TUPLE2 */
    case 0x87:      /* TUPLE3 */
        count = code - 0x84u;
        if (!need(r, count))
            return false;
        value = new_list(r, MSAGEN_PICKLE_TUPLE, r->stack + r->depth - count, count);
        r->depth -= count;
        return push(r, value);
    case 't':       /* TUPLE */
        return pop_mark(r, &items, &count) && push(r, new_list(r, MSAGEN_PICKLE_TUPLE, items, count));
    case ']':       /* EMPTY_LIST */
        return push(r, new_value(r, MSAGEN_PICKLE_LIST));
    case 'l':       /* LIST */
        return pop_mark(r, &items, &count) && push(r, new_list(r, MSAGEN_PICKLE_LIST, items, count));
    case '}':       /* EMPTY_DICT */
        return push(r, new_value(r, MSAGEN_PICKLE_DICT));
    case 'd':       /* DICT */
        if (!pop_mark(r, &items, &count))
            return false;
        if (count % 2)
            return FAIL(r, "byte %zu: malformed: a key without a value", r->at - 1);
        return push(r, new_list(r, MSAGEN_PICKLE_DICT, items, count));
    case 'a':       /* APPEND */
        if (!need(r, 2) || !append_items(r, top(r, 1), &r->stack[r->depth - 1], 1))
            return false;
        r->depth -= 1;
        return true;
    case 'e':       /* APPENDS */
        return pop_mark(r, &items, &count) && need(r, 1) && append_items(r, top(r, 0), items, count);
    case 's':       /* SETITEM */
        if (!need(r, 3) || !set_items(r, top(r, 2), &r->stack[r->depth - 2], 2))
            return false;
        r->depth -= 2;
        return true;
    case 'u':       /* SETITEMS */
        return pop_mark(r, &items, &count) && need(r, 1) && set_items(r, top(r, 0), items, count);
    case 0x8f:      /* EMPTY_SET */
        return push(r, new_value(r, MSAGEN_PICKLE_OPAQUE));
    case 0x90:      /* ADDITEMS */
        return pop_mark(r, &items, &count) && need(r, 1) &&
               (top(r, 0)->kind == MSAGEN_PICKLE_OPAQUE ||
                FAIL(r, "byte %zu: malformed: adds to %s", r->at - 1, msagen_pickle_kind_name(top(r, 0))));
    case 0x91:      /* FROZENSET */
        return pop_mark(r, &items, &count) && push(r, new_value(r, MSAGEN_PICKLE_OPAQUE));
    default:
        *mine = false;
        return true;
    }
}

/* The stack, the memo, and calls. */
static bool step_machine(struct reader *r, unsigned char code, bool *mine)
{
    struct msagen_value **items = NULL;
    size_t count = 0;
    uint64_t number = 0;
    switch (code) {
    case '(':       /* MARK */
        return mark(r);
    case '0':       /* POP */
        if (reachable(r) == 0)
            return pop_mark(r, &items, &count);
        r->depth -= 1;
        return true;
    case '1':       /* POP_MARK */
        return pop_mark(r, &items, &count);
    case '2':       /* DUP */
        return need(r, 1) && push(r, top(r, 0));
    case 'q':       /* BINPUT */
        return take_unsigned(r, 1, &number) && memo_put(r, number);
    case 'r':       /* LONG_BINPUT */
        return take_unsigned(r, 4, &number) && memo_put(r, number);
    case 0x94:      /* MEMOIZE */
        return memo_put(r, r->memo_count);
    case 'h':       /* BINGET */
        return take_unsigned(r, 1, &number) && memo_get(r, number);
    case 'j':       /* LONG_BINGET */
        return take_unsigned(r, 4, &number) && memo_get(r, number);
    case 'c':       /* GLOBAL */
        return read_global(r);
    case 0x93:      /* STACK_GLOBAL */
        return read_stack_global(r);
    case 'i':       /* INST: refused, by the name it calls where that tells more */
        return read_global(r) && FAIL(r, "byte %zu: opcode INST (0x69), which no checkpoint needs: refused", r->at - 1);
    case 'R':       /* REDUCE */
    case 0x81:      /* NEWOBJ */
        return read_call(r, 1);
    case 0x92:      /* NEWOBJ_EX: keyword arguments only matter to opaque objects */
        return read_call(r, 2);
    case 'b':       /* BUILD */
        return build(r);
    case 'Q':       /* BINPERSID */
        return read_persistent(r);
    default:
        *mine = false;
        return true;
    }
}

/* Execute one opcode other than STOP. */
static bool step(struct reader *r, unsigned char code)
{
    static bool (*const groups[])(struct reader *, unsigned char, bool *) = {step_values, step_containers,
        step_machine};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; ++i) {
        bool mine = true;
        const bool ok = groups[i](r, code, &mine);
        if (mine)
            return ok;
    }
    return refuse_opcode(r, code);
}

static bool run(struct reader *r)
{
    if (r->bytes > MSAGEN_PICKLE_MAX_BYTES)
        return FAIL(r, "%zu MiB; expected at most %zu", r->bytes >> 20, MSAGEN_PICKLE_MAX_BYTES >> 20);
    while (r->at < r->bytes) {
        const unsigned char code = r->data[r->at++];
        if (code != '.') {      /* STOP */
            if (!step(r, code))
                return false;
            continue;
        }
        if (!need(r, 1))
            return false;
        if (r->at < r->bytes)
            return FAIL(r, "%zu bytes follow its end: refused", r->bytes - r->at);
        r->pickle->root = top(r, 0);
        return r->program || !is_foreign(r->pickle->root) ||
               FAIL(r, "holds an object of class %.160s, which no checkpoint needs: refused (save its state_dict())",
                    msagen_pickle_class(r->pickle->root));
    }
    return FAIL(r, "it ends without a STOP: truncated");
}

static struct msagen_pickle *read_pickle(const void *data, size_t bytes, bool program, char *error, size_t error_size)
{
    struct reader r = {.data = data, .bytes = bytes, .program = program, .error = error, .error_size = error_size};
    r.pickle = calloc(1, sizeof *r.pickle);
    const bool ok = r.pickle ? run(&r) : FAIL(&r, "out of memory");
    free(r.stack);
    free(r.marks);
    free(r.memo);
    if (ok)
        return r.pickle;
    msagen_pickle_free(r.pickle);
    return NULL;
}

struct msagen_pickle *msagen_pickle_read(const void *data, size_t bytes, char *error, size_t error_size)
{
    return read_pickle(data, bytes, false, error, error_size);
}

struct msagen_pickle *msagen_pickle_read_program(const void *data, size_t bytes, char *error, size_t error_size)
{
    return read_pickle(data, bytes, true, error, error_size);
}

void msagen_pickle_free(struct msagen_pickle *pickle)
{
    if (!pickle)
        return;
    while (pickle->chunks) {
        struct chunk *next = pickle->chunks->next;
        free(pickle->chunks);
        pickle->chunks = next;
    }
    free(pickle);
}

const struct msagen_value *msagen_pickle_root(const struct msagen_pickle *pickle)
{
    return pickle->root;
}

int msagen_pickle_dtype(const struct msagen_value *tensor, const char **name)
{
    const struct msagen_pickle_global *type = tensor->u.tensor.type;
    if (!type)
        type = tensor->u.tensor.storage->u.storage.type;
    *name = type->full;
    return type->dtype;
}

size_t msagen_pickle_storage_unit(const struct msagen_value *storage)
{
    return storage->u.storage.type->unit;
}

const char *msagen_pickle_kind_name(const struct msagen_value *value)
{
    static const char *const names[] = {
        [MSAGEN_PICKLE_NONE] = "None",       [MSAGEN_PICKLE_BOOL] = "a bool",       [MSAGEN_PICKLE_INT] = "an integer",
        [MSAGEN_PICKLE_FLOAT] = "a number",  [MSAGEN_PICKLE_TEXT] = "a text",       [MSAGEN_PICKLE_BYTES] = "bytes",
        [MSAGEN_PICKLE_TUPLE] = "a tuple",   [MSAGEN_PICKLE_LIST] = "a list",       [MSAGEN_PICKLE_DICT] = "a dict",
        [MSAGEN_PICKLE_GLOBAL] = "a class",  [MSAGEN_PICKLE_STORAGE] = "a storage", [MSAGEN_PICKLE_TENSOR] = "a tensor",
        [MSAGEN_PICKLE_OPAQUE] = "an object",
    };
    return names[value->kind];
}

const char *msagen_pickle_class(const struct msagen_value *value)
{
    const struct msagen_pickle_global *of = NULL;
    if (value->kind == MSAGEN_PICKLE_GLOBAL)
        of = value->u.global;
    else if (value->kind == MSAGEN_PICKLE_OPAQUE)
        of = value->u.list.of;
    return of ? of->full : "";
}

bool msagen_pickle_is_module(const struct msagen_value *value)
{
    const char *class = msagen_pickle_class(value);
    return value->kind == MSAGEN_PICKLE_OPAQUE && is_program_class(class, strlen(class));
}

bool msagen_pickle_is_array(const struct msagen_value *value)
{
    return value->kind == MSAGEN_PICKLE_OPAQUE && value->u.list.of && value->u.list.of->meaning == ARRAY;
}

bool msagen_value_is(const struct msagen_value *value, const char *text)
{
    return value->kind == MSAGEN_PICKLE_TEXT && same(text, value->u.text.data, value->u.text.bytes);
}
