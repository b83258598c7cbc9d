/* SPDX-License-Identifier: Apache-2.0 */
/* NPY files: headers as numpy writes them, and headers that lie. */
#define _GNU_SOURCE
#include "npy.h"

#include "scratch.h"

static char error[4096];

/* A version 1.0 file of this header text and `bytes` bytes 0, 1, 2, ... */
static struct msagen_tensor *parse(const char *header, size_t bytes)
{
    const size_t length = strlen(header);
    struct msagen_buffer *file = msagen_buffer_alloc(10 + length + bytes);
    unsigned char *p = (unsigned char *)(uintptr_t)file->data;
    memcpy(p, "\x93NUMPY\1\0", 8);
    p[8] = (unsigned char)(length & 0xff);
    p[9] = (unsigned char)(length >> 8);
    memcpy(p + 10, header, length);
    for (size_t i = 0; i < bytes; ++i)
        p[10 + length + i] = (unsigned char)i;
    error[0] = '\0';
    struct msagen_tensor *t = msagen_npy_parse(file, "a.npy", error, sizeof error);
    msagen_buffer_unref(file);
    return t;
}

static void refused(const char *header, size_t bytes, const char *expected)
{
    struct msagen_tensor *t = parse(header, bytes);
    cr_assert_null(t, "%s", header);
    cr_assert_str_eq(error, expected);
}

Test(npy, c_and_fortran_order)
{
    struct msagen_tensor *t = parse("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }\n", 6);
    cr_assert_not_null(t, "%s", error);
    cr_assert(t->dtype == MSAGEN_U8 && t->dims == 2 && t->shape[0] == 2 && t->shape[1] == 3);
    cr_assert_eq(msagen_tensor_at(t, (int64_t[]){1, 0}), 3);
    msagen_tensor_free(t);
    t = parse("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }\n", 6);
    cr_assert_eq(msagen_tensor_at(t, (int64_t[]){1, 0}), 1);
    cr_assert_eq(msagen_tensor_at(t, (int64_t[]){0, 2}), 4);
    msagen_tensor_free(t);
}

Test(npy, keys_in_any_order_and_other_spellings)
{
    struct msagen_tensor *t = parse("{\"shape\":(3L,),'fortran_order':False,'descr':'<i2'}", 6);
    cr_assert_not_null(t, "%s", error);
    cr_assert_eq(msagen_tensor_at_flat(t, 2), 0x0504);
    msagen_tensor_free(t);
    t = parse("{'descr': '<f8', 'fortran_order': False, 'shape': (), }", 8);
    cr_assert(t && t->dims == 0);
    msagen_tensor_free(t);
    t = parse("{'descr': '<f4', 'fortran_order': False, 'shape': (4, 0), }", 0);
    cr_assert(t && msagen_tensor_numel(t) == 0);
    msagen_tensor_free(t);
}

Test(npy, sizes_that_lie)
{
    refused("{'descr':'<f4','fortran_order':False,'shape':(3,)}", 8, "a.npy: NPY data: 12 bytes expected, found 8");
    refused("{'descr':'<f4','fortran_order':False,'shape':(1,)}", 8, "a.npy: NPY data: 4 bytes expected, found 8");
    refused("{'descr':'<f4','fortran_order':False,'shape':(4294967296,4294967296)}", 8,
            "a.npy: NPY data: more than 576460752303423487 bytes expected, found 8");
    refused("{'descr':'<f4','fortran_order':False,'shape':(9223372036854775807,0)}", 0, "a.npy: shape out of range");
    refused("{'descr':'<f4','fortran_order':False,'shape':(99999999999999999999,)}", 8,
            "a.npy: NPY header: shape: a tuple of sizes expected");
    refused("{'descr':'<f4','fortran_order':False,'shape':(-1,)}", 4,
        "a.npy: NPY header: shape: a tuple of sizes expected");
    refused("{'descr':'|u1','fortran_order':False,'shape':(1,1,1,1,1,1,1,1,1)}", 1,
            "a.npy: NPY header: shape: at most 8 dimensions expected, found more");
}

Test(npy, types_and_syntax)
{
    static const char types[] = "a.npy: NPY header: descr: little-endian f2 f4 f8 i1 i2 i4 i8 u1 u2 or b1 expected, "
                                "found ";
    char expected[200];
    snprintf(expected, sizeof expected, "%s>f4", types);
    refused("{'descr':'>f4','fortran_order':False,'shape':(1,)}", 4, expected);
    snprintf(expected, sizeof expected, "%s|O", types);
    refused("{'descr':'|O','fortran_order':False,'shape':(1,)}", 8, expected);
    refused("{'descr':[('a','<f4')],'fortran_order':False,'shape':(1,)}", 4,
            "a.npy: NPY header: descr: one element type expected");
    refused("{'descr':'<f4','descr':'<f4','fortran_order':False,'shape':(1,)}", 4,
            "a.npy: NPY header: descr, fortran_order and shape expected, once each, found descr");
    refused("{'descr':'<f4','shape':(1,)}", 4,
        "a.npy: NPY header: descr, fortran_order and shape expected, once each; one is missing");
    refused("{'descr':'<f4','fortran_order':0,'shape':(1,)}", 4,
        "a.npy: NPY header: fortran_order: True or False expected");
    refused("{'descr':'<f4','fortran_order':False,'shape':(1,)} + 1", 4,
            "a.npy: NPY header: nothing after the dictionary expected");
    refused("{'descr':'<f4", 0, "a.npy: NPY header: descr: one element type expected");
    refused("", 0, "a.npy: NPY header: a dictionary expected");
}

Test(npy, every_prefix_of_a_file_is_refused)
{
    static const char header[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n";
    unsigned char file[10 + sizeof header - 1 + 8] = "\x93NUMPY\1";
    file[8] = sizeof header - 1;
    memcpy(file + 10, header, sizeof header - 1);
    for (size_t n = 0; n <= sizeof file; ++n) {
        struct msagen_buffer *b = msagen_buffer_alloc(n);
        memcpy((void *)(uintptr_t)b->data, file, n);
        struct msagen_tensor *t = msagen_npy_parse(b, "a.npy", error, sizeof error);
        cr_assert_eq(t != NULL, n == sizeof file, "%zu", n);
        msagen_tensor_free(t);
        msagen_buffer_unref(b);
    }
}

Test(npy, versions)
{
    unsigned char file[] = "\x93NUMPY\2\0\x34\0\0\0{'descr':'|u1','fortran_order':False,'shape':(2,)}  \7\11";
    for (unsigned char version = 0; version < 6; ++version) {
        file[6] = version;
        struct msagen_buffer *b = msagen_buffer_alloc(sizeof file - 1);
        memcpy((void *)(uintptr_t)b->data, file, sizeof file - 1);
        struct msagen_tensor *t = msagen_npy_parse(b, "a.npy", error, sizeof error);
        cr_assert_eq(t != NULL, version == 2 || version == 3, "version %d: %s", version, error);
        if (t)
            cr_assert_eq(msagen_tensor_at_flat(t, 1), 9);
        msagen_tensor_free(t);
        msagen_buffer_unref(b);
    }
}

/* The first 128 bytes are what numpy.save writes for this shape and type. */
Test(npy, writing, .init = scratch_open, .fini = scratch_close)
{
    static const char header[] = "\x93NUMPY\1\0v\0{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }";
    struct msagen_tensor *t = msagen_tensor_zeros("t", MSAGEN_F32, 2, (int64_t[]){2, 3});
    for (int i = 0; i < 6; ++i)
        ((float *)(uintptr_t)t->storage->data)[i] = (float)i;
    struct msagen_tensor *turned = msagen_tensor_permute(t, (int[]){1, 0}, error, sizeof error);
    cr_assert_eq(msagen_npy_write(scratch_path("a.npy"), turned, error, sizeof error), 0, "%s", error);
    size_t bytes;
    unsigned char *file = scratch_read("a.npy", &bytes);
    cr_assert_eq(bytes, 128 + 24);
    cr_assert_eq(memcmp(file, header, 10), 0);
    cr_assert_eq(memcmp(file + 10, header + 10, sizeof header - 11), 0);
    for (size_t i = sizeof header - 1; i < 127; ++i)
        cr_assert_eq(file[i], ' ');
    cr_assert_eq(file[127], '\n');
    free(file);
    struct msagen_tensor *back = msagen_npy_read(scratch_path("a.npy"), error, sizeof error);
    cr_assert_not_null(back, "%s", error);
    cr_assert(msagen_tensor_equal(back, turned));
    msagen_tensor_free(back);
    msagen_tensor_free(turned);
    msagen_tensor_free(t);

    t = msagen_tensor_zeros("t", MSAGEN_BF16, 1, (int64_t[]){1});
    cr_assert_eq(msagen_npy_write(scratch_path("b.npy"), t, error, sizeof error), -1);
    cr_assert_eq(scratch_entries(), 1);
    msagen_tensor_free(t);
}

Test(npy, a_missing_file_is_named)
{
    cr_assert_null(msagen_npy_read("/no/such/file.npy", error, sizeof error));
    cr_assert_str_eq(error, "/no/such/file.npy: cannot be read: No such file or directory");
    cr_assert_null(msagen_npy_read("/", error, sizeof error));
    cr_assert_str_eq(error, "/: expected a file, found a folder");
}
