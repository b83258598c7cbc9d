/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors headers: each claim is checked against shape, dtype, its neighbours and the file. */
#include "explain.h"
#include "forge.h"
#include "safetensors.h"

#include <criterion/criterion.h>

static char why[MSAGEN_ERROR_BYTES];

static struct msagen_safetensors *read_file(const char *header, size_t data_bytes)
{
    struct forge file = {0};
    forge_number(&file, strlen(header), 8);
    forge_text(&file, header);
    for (size_t i = 0; i < data_bytes; ++i)
        forge_number(&file, i, 1);
    why[0] = '\0';
    struct msagen_safetensors *s = msagen_safetensors_read(file.data, file.bytes, why, sizeof why);
    free(file.data);
    return s;
}

static void expect_refused(const char *header, size_t data_bytes, const char *expected)
{
    struct msagen_safetensors *s = read_file(header, data_bytes);
    cr_assert_null(s, "it was accepted; expected: %s", expected);
    cr_assert(strncmp(why, "safetensors: ", 13) == 0 && strstr(why, expected), "%s", why);
    cr_assert_null(strpbrk(why, "\n\r"));
}

#define T(dtype, shape, begin, end) \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"

Test(safetensors, entries_in_the_headers_order)
{
    static const char header[] = "{\"b\":" T("F32", "[2,3]", 2,
        26) ",\"__metadata__\":{\"format\":\"pt\"},\"a\":" T("BF16", "[]", 0, 2)
        ",\"z\":" T("I64", "[0,5]", 26, 26) "}   ";
    struct msagen_safetensors *s = read_file(header, 26);
    cr_assert(s, "%s", why);
    cr_assert_eq(s->count, 3);
    cr_assert_str_eq(s->entries[0].name, "b");
    cr_assert_eq(s->entries[0].dtype, MSAGEN_F32);
    cr_assert_eq(s->entries[0].dims, 2);
    cr_assert_eq(s->entries[0].shape[1], 3);
    cr_assert_eq(s->entries[0].at, 8 + strlen(header) + 2);
    cr_assert_eq(s->entries[0].bytes, 24);
    cr_assert_eq(s->entries[1].dims, 0);
    cr_assert_eq(s->entries[1].bytes, 2);
    cr_assert_eq(s->entries[2].bytes, 0);
    cr_assert_eq(s->metadata_count, 1);
    cr_assert_str_eq(s->metadata[0].key, "format");
    cr_assert_str_eq(s->metadata[0].value, "pt");
    msagen_safetensors_free(s);
}

Test(safetensors, places_must_tile_the_data)
{
    expect_refused("{\"a\":" T("F32", "[2]", 0, 8) ",\"b\":" T("F32", "[2]", 4, 12) "}", 12,
        "b begins at byte 4, inside a, which ends at 8");
    expect_refused("{\"a\":" T("F32", "[2]", 0, 8) ",\"b\":" T("F32", "[2]", 0, 8) "}", 8,
        "b begins at byte 0, inside a");
    expect_refused("{\"a\":" T("F32", "[2]", 0, 8) ",\"b\":" T("F32", "[1]", 12, 16) "}", 16,
        "4 bytes before b belong to no tensor");
    expect_refused("{\"a\":" T("F32", "[2]", 4, 12) "}", 12, "4 bytes before a belong to no tensor");
    expect_refused("{\"a\":" T("F32", "[2]", 0, 8) "}", 9, "its tensors end at byte 8 of the data, the file at 9");
    expect_refused("{}", 1, "its tensors end at byte 0");
}

Test(safetensors, sizes_must_be_true)
{
    expect_refused("{\"a\":" T("F32", "[2]", 0, 4) "}", 4, "a: its shape and dtype say 8 bytes, its data_offsets 4");
    expect_refused("{\"a\":" T("F32", "[2]", 0, 8) "}", 7,
        "a: its data is said to lie at bytes 0 to 8; the file holds 7");
    expect_refused("{\"a\":" T("F32", "[2]", 8, 0) "}", 8, "bytes 8 to 0");
    expect_refused("{\"a\":" T("F32", "[2]", -8, 0) "}", 8, "bytes -8 to 0");
    expect_refused("{\"a\":" T("F32", "[-2]", 0, 8) "}", 8, "dimension 0 of its shape is no natural number");
    expect_refused("{\"a\":" T("F32", "[2.0]", 0, 8) "}", 8, "dimension 0 of its shape");
    expect_refused("{\"a\":" T("F32", "[4294967296,4294967296,4]", 0, 0) "}", 0, "more bytes than a file can hold");
    expect_refused("{\"a\":" T("F64", "[2305843009213693952]", 0, 0) "}", 0, "more bytes than a file can hold");
    expect_refused("{\"a\":" T("F32", "[1,1,1,1,1,1,1,1,1]", 0, 4) "}", 4, "9 dimensions; expected at most 8");
    expect_refused("{\"a\":" T("F32", "[18446744073709551616]", 0, 4) "}", 4, "too big integer");
}

Test(safetensors, fields_must_be_known)
{
    expect_refused("{\"a\":" T("F8_E4M3", "[1]", 0, 1) "}", 1, "a: dtype F8_E4M3; expected one of F32");
    expect_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[]}}", 0, "a: expected {dtype, shape, data_offsets}");
    expect_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4],\"x\":1}}", 4, "a: expected {dtype");
    expect_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0]}}", 4,
        "a: data_offsets is not [begin, end]");
    expect_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,\"4\"]}}", 4, "a: data_offsets is not");
    expect_refused("{\"a\":7}", 0, "a: expected {dtype");
    expect_refused("{\"\":" T("F32", "[]", 0, 4) "}", 4, "name is empty");
    expect_refused("{\"a\\nb\":" T("F32", "[]", 0, 4) "}", 4, "control characters: a?b");
    expect_refused("{\"__metadata__\":{\"a\":1}}", 0, "__metadata__: the value of a is no text");
    expect_refused("{\"__metadata__\":[]}", 0, "__metadata__ is no JSON object");
    expect_refused("{\"a\":" T("F32", "[]", 0, 4) ",\"a\":" T("F32", "[]", 4, 8) "}", 8, "duplicate object key");
    expect_refused("[]", 0, "its header is no JSON object");
    expect_refused("{\"a\":", 0, "header: line 1, column 5");
}

Test(safetensors, the_headers_length_must_be_true)
{
    unsigned char file[24] = {0};
    memcpy(file + 8, "{}", 2);
    file[0] = 2;
    struct msagen_safetensors *s = msagen_safetensors_read(file, 10, why, sizeof why);
    cr_assert(s, "%s", why);
    cr_assert_eq(s->count, 0);
    msagen_safetensors_free(s);
    file[0] = 3;
    cr_assert_null(msagen_safetensors_read(file, 10, why, sizeof why));
    cr_assert(strstr(why, "its header is said to have 3 bytes; 2 are left"), "%s", why);
    memset(file, 0xff, 8);
    cr_assert_null(msagen_safetensors_read(file, 10, why, sizeof why));
    cr_assert(strstr(why, "18446744073709551615 bytes; 2 are left"), "%s", why);
    for (size_t n = 0; n < 8; ++n)
        cr_assert_null(msagen_safetensors_read(file, n, why, sizeof why));
}

Test(safetensors, truncated_anywhere_is_refused)
{
    static const char header[] = "{\"a\":" T("F32", "[2]", 0, 8) "}";
    struct forge file = {0};
    forge_number(&file, strlen(header), 8);
    forge_text(&file, header);
    forge_number(&file, 0, 8);
    for (size_t n = 0; n < file.bytes; ++n) {
        unsigned char *part = malloc(n + 1);
        memcpy(part, file.data, n);
        cr_assert_null(msagen_safetensors_read(part, n, why, sizeof why), "%zu of %zu bytes", n, file.bytes);
        free(part);
    }
    free(file.data);
}
