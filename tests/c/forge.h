/* SPDX-License-Identifier: Apache-2.0 */
/* forge.h - bytes of sound and unsound files for tests and fuzzers: ZIP archives, pickles as torch.save writes them. */
#ifndef FORGE_H
#define FORGE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* Bytes that grow; start from {0}, free(b.data) at the end. */
struct forge {
    unsigned char *data;
    size_t bytes, room;
};

static inline void forge_bytes(struct forge *b, const void *data, size_t bytes)
{
    if (b->room - b->bytes < bytes) {
        b->room = (b->bytes + bytes) * 2 + 64;
        b->data = realloc(b->data, b->room);
        if (!b->data)
            abort();
    }
    if (bytes)
        memcpy(b->data + b->bytes, data, bytes);
    b->bytes += bytes;
}

static inline void forge_text(struct forge *b, const char *text)
{
    forge_bytes(b, text, strlen(text));
}

/* Little-endian, `bytes` wide. */
static inline void forge_number(struct forge *b, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; ++i) {
        const unsigned char byte = (unsigned char)(value >> 8 * i);
        forge_bytes(b, &byte, 1);
    }
}

/* ---- ZIP ---- */

struct forge_member {
    const char *name;
    const void *data;
    size_t bytes;
    int method;             /* 0 stored; the data is written as given, whatever this says */
    uint32_t crc_error;     /* xor-ed to the CRC */
    size_t more;            /* added to both sizes that the directory says */
};

enum {
    FORGE_ZIP64 = 1,        /* sizes and offsets in ZIP64 extra fields, and a ZIP64 end record */
    FORGE_DESCRIPTORS = 2,  /* sizes after the data, as PyTorch's own writer does */
    FORGE_PADDED = 4        /* data at multiples of 64, by an extra field of the local header only, as PyTorch does */
};

/* A member's local header, its data, and the sizes behind it. */
static inline void forge_local(struct forge *out, const struct forge_member *m, int flags)
{
    const size_t name_bytes = strlen(m->name), at = out->bytes, size = m->bytes + m->more;
    const uint32_t crc = (uint32_t)crc32_z(0, m->data, m->bytes) ^ m->crc_error;
    const int late = flags & FORGE_DESCRIPTORS;
    size_t pad = 0;
    if (flags & FORGE_PADDED)
        pad = 4 + (64 - (at + 30 + name_bytes + 4) % 64) % 64;
    forge_number(out, 0x04034b50, 4);
    forge_number(out, 20, 2);
    forge_number(out, late ? 8 : 0, 2);
    forge_number(out, (unsigned)m->method, 2);
    forge_number(out, 0, 4);
    forge_number(out, late ? 0 : crc, 4);
    forge_number(out, late ? 0 : size, 4);
    forge_number(out, late ? 0 : size, 4);
    forge_number(out, name_bytes, 2);
    forge_number(out, pad, 2);
    forge_text(out, m->name);
    if (pad) {
        forge_text(out, "FB");
        forge_number(out, pad - 4, 2);
        for (size_t k = 4; k < pad; ++k)
            forge_text(out, "Z");
    }
    forge_bytes(out, m->data, m->bytes);
    if (late) {
        forge_number(out, 0x08074b50, 4);
        forge_number(out, crc, 4);
        forge_number(out, size, 4);
        forge_number(out, size, 4);
    }
}

/* A member's entry in the directory. */
static inline void forge_entry(struct forge *directory, const struct forge_member *m, size_t at, int flags)
{
    const size_t name_bytes = strlen(m->name), size = m->bytes + m->more;
    const uint32_t crc = (uint32_t)crc32_z(0, m->data, m->bytes) ^ m->crc_error;
    const int wide = flags & FORGE_ZIP64;
    forge_number(directory, 0x02014b50, 4);
    forge_number(directory, 20, 2);
    forge_number(directory, wide ? 45 : 20, 2);
    forge_number(directory, flags & FORGE_DESCRIPTORS ? 8 : 0, 2);
    forge_number(directory, (unsigned)m->method, 2);
    forge_number(directory, 0, 4);
    forge_number(directory, crc, 4);
    forge_number(directory, wide ? UINT32_MAX : size, 4);
    forge_number(directory, wide ? UINT32_MAX : size, 4);
    forge_number(directory, name_bytes, 2);
    forge_number(directory, wide ? 28 : 0, 2);
    forge_number(directory, 0, 2 + 2 + 2);     /* comment, disk, internal attributes */
    forge_number(directory, 0, 4);
    forge_number(directory, wide ? UINT32_MAX : at, 4);
    forge_text(directory, m->name);
    if (wide) {
        forge_number(directory, 1, 2);
        forge_number(directory, 24, 2);
        forge_number(directory, size, 8);
        forge_number(directory, size, 8);
        forge_number(directory, at, 8);
    }
}

static inline void forge_zip(struct forge *out, const struct forge_member *members, size_t count, int flags)
{
    struct forge directory = {0};
    for (size_t i = 0; i < count; ++i) {
        forge_entry(&directory, &members[i], out->bytes, flags);
        forge_local(out, &members[i], flags);
    }
    const size_t at = out->bytes;
    forge_bytes(out, directory.data, directory.bytes);
    if (flags & FORGE_ZIP64) {
        const size_t end = out->bytes;
        forge_number(out, 0x06064b50, 4);
        forge_number(out, 44, 8);
        forge_number(out, 45, 2);
        forge_number(out, 45, 2);
        forge_number(out, 0, 8);
        forge_number(out, count, 8);
        forge_number(out, count, 8);
        forge_number(out, directory.bytes, 8);
        forge_number(out, at, 8);
        forge_number(out, 0x07064b50, 4);
        forge_number(out, 0, 4);
        forge_number(out, end, 8);
        forge_number(out, 1, 4);
    }
    const int wide = flags & FORGE_ZIP64;
    forge_number(out, 0x06054b50, 4);
    forge_number(out, 0, 4);
    forge_number(out, wide ? 0xffff : count, 2);
    forge_number(out, wide ? 0xffff : count, 2);
    forge_number(out, wide ? UINT32_MAX : directory.bytes, 4);
    forge_number(out, wide ? UINT32_MAX : at, 4);
    forge_number(out, 0, 2);
    free(directory.data);
}

/* ---- pickle, protocol 2, without memo ---- */

static inline void forge_string(struct forge *p, const char *text)
{
    forge_text(p, "X");
    forge_number(p, strlen(text), 4);
    forge_text(p, text);
}

static inline void forge_integer(struct forge *p, int64_t value)
{
    forge_text(p, "\x8a\x08");      /* LONG1 of 8 bytes */
    forge_number(p, (uint64_t)value, 8);
}

static inline void forge_integers(struct forge *p, int count, const int64_t *values)
{
    forge_text(p, "(");
    for (int i = 0; i < count; ++i)
        forge_integer(p, values[i]);
    forge_text(p, "t");
}

/* A storage of `elements`, its bytes in the archive's data/KEY. */
static inline void forge_storage(struct forge *p, const char *type, const char *key, int64_t elements)
{
    forge_text(p, "(");
    forge_string(p, "storage");
    forge_text(p, "ctorch\n");
    forge_text(p, type);
    forge_text(p, "\n");
    forge_string(p, key);
    forge_string(p, "cuda:0");
    forge_integer(p, elements);
    forge_text(p, "tQ");
}

struct forge_tensor {
    const char *type, *key;     /* "FloatStorage", "0" */
    int64_t elements, offset;
    int dims, stride_dims;
    int64_t shape[9], stride[9];
};

static inline void forge_tensor(struct forge *p, const struct forge_tensor *t)
{
    forge_text(p, "ctorch._utils\n_rebuild_tensor_v2\n(");
    forge_storage(p, t->type, t->key, t->elements);
    forge_integer(p, t->offset);
    forge_integers(p, t->dims, t->shape);
    forge_integers(p, t->stride_dims, t->stride);
    forge_text(p, "\x89" "ccollections\nOrderedDict\n)RtR");
}

#endif
