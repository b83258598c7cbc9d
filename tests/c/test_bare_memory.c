/* SPDX-License-Identifier: Apache-2.0 */
/* The memory functions of boards without a C library: every small place, length and overlap, against a byte at a time.
 * */
#include <criterion/criterion.h>
#include <string.h>

#define memcpy bare_memcpy
#define memmove bare_memmove
#define memset bare_memset
#define memcmp bare_memcmp
#include "../../boards/cortex-m/msa_memory.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp

enum { ROOM = 64, MOST = 24 };

static _Alignas(8) unsigned char memory[ROOM], expected[ROOM];

static void fill(void)
{
    for (int i = 0; i < ROOM; ++i) {
        memory[i] = expected[i] = (unsigned char)(i * 37 + 11);
    }
}

static void copied_as_bytes(size_t to, size_t from, size_t bytes)
{
    unsigned char piece[MOST];
    for (size_t i = 0; i < bytes; ++i) {
        piece[i] = expected[from + i];
    }
    for (size_t i = 0; i < bytes; ++i) {
        expected[to + i] = piece[i];
    }
}

Test(bare_memory, memmove_at_every_overlap)
{
    for (size_t to = 0; to < 32; ++to) {
        for (size_t from = 0; from < 32; ++from) {
            for (size_t bytes = 0; bytes <= MOST; ++bytes) {
                fill();
                copied_as_bytes(to, from, bytes);
                cr_assert(bare_memmove(memory + to, memory + from, bytes) == memory + to);
                cr_assert_arr_eq(memory, expected, ROOM, "%zu bytes from %zu to %zu", bytes, from, to);
            }
        }
    }
}

Test(bare_memory, memcpy_at_every_alignment)
{
    for (size_t to = 0; to < 8; ++to) {
        for (size_t from = 32; from < 40; ++from) {
            for (size_t bytes = 0; bytes <= MOST; ++bytes) {
                fill();
                copied_as_bytes(to, from, bytes);
                cr_assert(bare_memcpy(memory + to, memory + from, bytes) == memory + to);
                cr_assert_arr_eq(memory, expected, ROOM, "%zu bytes from %zu to %zu", bytes, from, to);
            }
        }
    }
}

Test(bare_memory, memset_at_every_alignment_with_any_int)
{
    static const int values[] = {0, 0xa5, -1, 0x1ff};
    for (size_t to = 0; to < 8; ++to) {
        for (size_t bytes = 0; bytes <= MOST; ++bytes) {
            for (size_t v = 0; v < sizeof values / sizeof *values; ++v) {
                fill();
                for (size_t i = 0; i < bytes; ++i) {
                    expected[to + i] = (unsigned char)values[v];
                }
                cr_assert(bare_memset(memory + to, values[v], bytes) == memory + to);
                cr_assert_arr_eq(memory, expected, ROOM, "%zu bytes at %zu", bytes, to);
            }
        }
    }
}

Test(bare_memory, memcmp_orders_unsigned_bytes)
{
    const unsigned char a[4] = {1, 2, 0x80, 4}, b[4] = {1, 2, 0x7f, 5};
    cr_assert(bare_memcmp(a, b, 4) > 0);
    cr_assert(bare_memcmp(b, a, 4) < 0);
    cr_assert(bare_memcmp(a, b, 2) == 0);
    cr_assert(bare_memcmp(a, b, 0) == 0);
    cr_assert(bare_memcmp(a, a, 4) == 0);
}
