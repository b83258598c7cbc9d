/* SPDX-License-Identifier: 0BSD */
/* msa_memory.c - the four functions that compilers call on their own, for a product without a C library; words where
 * both sides are aligned. */
#include <stddef.h>
#include <stdint.h>

/* Or a compiler would make calls of these functions out of their own loops. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-loop-distribute-patterns")
#endif

typedef uint32_t __attribute__((may_alias)) word;

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);

static int aligned(const void *a, const void *b)
{
    return (((uintptr_t)a | (uintptr_t)b) & (sizeof(word) - 1u)) == 0;
}

/* From the lowest byte to the highest: also right where `to` lies below `from` and they overlap. */
static void forwards(unsigned char *to, const unsigned char *from, size_t bytes)
{
    if (aligned(to, from)) {
        for (; bytes >= sizeof(word); bytes -= sizeof(word), to += sizeof(word), from += sizeof(word)) {
            *(word *)(void *)to = *(const word *)(const void *)from;
        }
    }
    for (; bytes > 0; --bytes) {
        *to++ = *from++;
    }
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    forwards(to, from, bytes);
    return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
    unsigned char *const t = to;
    const unsigned char *const f = from;
    if ((uintptr_t)t - (uintptr_t)f >= bytes) {
        forwards(t, f, bytes);
        return to;
    }
    while (bytes > 0) {
        --bytes;
        t[bytes] = f[bytes];
    }
    return to;
}

void *memset(void *to, int value, size_t bytes)
{
    unsigned char *t = to;
    const unsigned char byte = (unsigned char)value;
    if (aligned(t, t)) {
        const word four = byte * (word)0x01010101u;
        for (; bytes >= sizeof(word); bytes -= sizeof(word), t += sizeof(word)) {
            *(word *)(void *)t = four;
        }
    }
    for (; bytes > 0; --bytes) {
        *t++ = byte;
    }
    return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
    const unsigned char *p = a, *q = b;
    for (; bytes > 0; --bytes, ++p, ++q) {
        if (*p != *q) {
            return *p < *q ? -1 : 1;
        }
    }
    return 0;
}
