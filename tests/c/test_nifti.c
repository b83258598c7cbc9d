/* SPDX-License-Identifier: Apache-2.0 */
/* NIfTI: headers that lie, files that end early or grow without end, what is written and read back. */
#define _GNU_SOURCE
#include "nifti.h"

#include "scratch.h"

#include <math.h>
#include <zlib.h>

enum { V1 = 348, AT = 352, VOXELS = 24, ROOM = 1 << 16 };

static char error[4096];
static struct msagen_nifti found;
static unsigned char bytes[ROOM];

static void put(size_t at, const void *value, size_t n)
{
    memcpy(bytes + at, value, n);
}

static void put_short(size_t at, int value)
{
    put(at, &(int16_t){(int16_t)value}, 2);
}

static void put_float(size_t at, float value)
{
    put(at, &value, 4);
}

/* A volume of 4 x 3 x 2 of this type; its voxels' bytes are 1, 2, 3, ... Its size. */
static size_t forge(int datatype, int bits)
{
    static const int16_t dim[8] = {3, 4, 3, 2, 1, 1, 1, 1};
    memset(bytes, 0, sizeof bytes);
    put(0, &(int32_t){V1}, 4);
    put(40, dim, sizeof dim);
    put_short(70, datatype);
    put_short(72, bits);
    for (size_t i = 0; i < 8; ++i)
        put_float(76 + 4 * i, 1);
    put_float(108, AT);
    put(344, "n+1", 4);
    const size_t n = (size_t)bits / 8 * VOXELS;
    for (size_t i = 0; i < n; ++i)
        bytes[AT + i] = (unsigned char)(i + 1);
    return AT + n;
}

static int parse(const void *data, size_t n, int64_t frame)
{
    struct msagen_buffer *file = msagen_buffer_alloc(n);
    if (n)
        memcpy((void *)(uintptr_t)file->data, data, n);
    error[0] = '\0';
    const int status = msagen_nifti_parse(file, NULL, "a.nii", frame, &found, error, sizeof error);
    msagen_buffer_unref(file);
    return status;
}

static void refused(size_t n, const char *expected)
{
    cr_assert_neq(parse(bytes, n, -1), 0, "%s: taken", expected);
    cr_assert(strstr(error, expected) && strncmp(error, "a.nii: NIfTI: ", 14) == 0 && !strchr(error, '\n'), "%s",
              error);
    cr_assert_null(found.values);
}

static void freed(void)
{
    msagen_tensor_free(found.values);
    found.values = NULL;
}

static size_t packed(const void *data, size_t n, unsigned char *out, size_t room)
{
    z_stream z = {0};
    cr_assert_eq(deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)(uintptr_t)data;
    z.avail_in = (unsigned)n;
    z.next_out = out;
    z.avail_out = (unsigned)room;
    cr_assert_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return (size_t)z.total_out;
}

Test(nifti, elements_of_each_type)
{
    static const struct {
        int code, bits;
        enum msagen_dtype dtype;
        double second;
    } kinds[] = {
        {2, 8, MSAGEN_U8, 2},          {256, 8, MSAGEN_I8, 2},           {4, 16, MSAGEN_I16, 0x0403},
        {512, 16, MSAGEN_I32, 0x0403}, {8, 32, MSAGEN_I32, 0x08070605},  {768, 32, MSAGEN_I64, 0x08070605},
        {1280, 64, MSAGEN_I64, 0},     {1024, 64, MSAGEN_I64, 0},        {16, 32, MSAGEN_F32, 0},
        {64, 64, MSAGEN_F64, 0},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; ++i) {
        const size_t n = forge(kinds[i].code, kinds[i].bits);
        memset(bytes + AT + 120, 1, ROOM - AT - 120); /* below 2^63 */
        cr_assert_eq(parse(bytes, n, -1), 0, "%s", error);
        cr_assert_eq(found.values->dtype, kinds[i].dtype);
        cr_assert(found.values->shape[0] == 2 && found.values->shape[1] == 3 && found.values->shape[2] == 4);
        if (kinds[i].second > 0)
            cr_assert_eq(msagen_tensor_at_flat(found.values, 1), kinds[i].second);
        freed();
    }
    forge(1280, 64);
    bytes[AT + 7] = 0x80;
    refused(AT + 8 * VOXELS, "below 2^63");
}

Test(nifti, no_number_is_repaired)
{
    const size_t n = forge(16, 32);
    put_float(AT, (float)NAN);
    put_float(AT + 4, -(float)INFINITY);
    cr_assert_eq(parse(bytes, n, -1), 0, "%s", error);
    cr_assert(isnan(msagen_tensor_at_flat(found.values, 0)) && isinf(msagen_tensor_at_flat(found.values, 1)));
    freed();
}

Test(nifti, headers_that_lie)
{
    size_t n = forge(4, 16);
    refused(n - 1, "values: expected");
    refused(V1 - 1, "a header of 348 bytes");
    refused(0, "a header of 348 bytes");
    put_short(72, 8);
    refused(n, "bitpix: expected 16");
    n = forge(32, 64);
    refused(n, "complex64");
    n = forge(4, 16);
    put_short(40, 8);
    refused(n, "dim[0]: expected 1 to 7");
    n = forge(4, 16);
    put_short(42, -4);
    refused(n, "dim[1]");
    n = forge(4, 16);
    put_short(42, 0);
    refused(n, "dim[1]");
    n = forge(4, 16);
    put(344, "xyz", 4);
    refused(n, "magic");
    put(344, "ni1", 4);
    refused(n, "found the header of a pair");
    n = forge(4, 16);
    put(0, &(int32_t){347}, 4);
    refused(n, "sizeof_hdr");
    for (size_t i = 0; i < 5; ++i) {
        static const float offsets[] = {4e9F, 351, -1, 352.5F, 1e30F};
        n = forge(4, 16);
        put_float(108, offsets[i]);
        cr_assert_neq(parse(bytes, n, -1), 0);
    }
    n = forge(4, 16);
    put_float(108, (float)NAN);
    refused(n, "vox_offset");
}

Test(nifti, an_offset_of_0_is_behind_the_header)
{
    const size_t n = forge(2, 8);
    put_float(108, 0);
    cr_assert_eq(parse(bytes, n, -1), 0, "%s", error);
    cr_assert_eq(msagen_tensor_at_flat(found.values, 0), 1);
    freed();
}

Test(nifti, scaling_that_is_none)
{
    static const float slopes[][4] = {
        {0, 5, 1, 0}, {(float)NAN, 5, 1, 0}, {2, (float)INFINITY, 1, 0}, {2, 5, 2, 5}, {-1, 0, -1, 0}};
    for (size_t i = 0; i < 5; ++i) {
        const size_t n = forge(2, 8);
        put_float(112, slopes[i][0]);
        put_float(116, slopes[i][1]);
        cr_assert_eq(parse(bytes, n, -1), 0, "%s", error);
        cr_assert(found.slope == (double)slopes[i][2] && found.intercept == (double)slopes[i][3]);
        freed();
    }
}

Test(nifti, a_form_that_places_nothing_is_none)
{
    const size_t n = forge(2, 8);
    put_short(254, 1); /* sform_code, of a matrix of zeros */
    cr_assert_eq(parse(bytes, n, -1), 0, "%s", error);
    cr_assert(found.unusable && found.form == MSAGEN_NIFTI_NO_FORM);
    freed();
}

Test(nifti, volumes_of_several)
{
    size_t n = forge(2, 8);
    put_short(40, 4);
    put_short(48, 3);
    for (size_t i = 0; i < 3 * VOXELS; ++i)
        bytes[AT + i] = (unsigned char)i;
    n = AT + 3 * VOXELS;
    refused(n, "expected one volume, found 3");
    cr_assert_eq(parse(bytes, n, 2), 0, "%s", error);
    cr_assert(found.frames == 3 && msagen_tensor_at_flat(found.values, 0) == 2 * VOXELS);
    freed();
    cr_assert_neq(parse(bytes, n, 3), 0);
    cr_assert_neq(parse(bytes, n - 1, 0), 0, "the last volume is cut");
    put_short(40, 7);
    for (size_t i = 0; i < 4; ++i)
        put_short(48 + 2 * i, 32767);
    refused(n, "dim[");
}

Test(nifti, gzip_in_one_member_and_several)
{
    unsigned char whole[4096];
    const size_t n = forge(4, 16);
    size_t m = packed(bytes, n, whole, sizeof whole);
    cr_assert_eq(parse(whole, m, -1), 0, "%s", error);
    freed();
    m = packed(bytes, 100, whole, sizeof whole);
    m += packed(bytes + 100, n - 100, whole + m, sizeof whole - m);
    cr_assert_eq(parse(whole, m, -1), 0, "%s", error);
    cr_assert_eq(msagen_tensor_at_flat(found.values, 1), 0x0403);
    freed();
    for (size_t cut = 0; cut < m; ++cut) /* nothing of it can be missing, not even the checksum */
        cr_assert_neq(parse(whole, cut, -1), 0, "%zu", cut);
    whole[m - 5] ^= 1;
    cr_assert_neq(parse(whole, m, -1), 0, "a wrong checksum");
    cr_assert(strstr(error, "damaged gzip"), "%s", error);
}

Test(nifti, a_small_file_claims_no_more_than_it_can_hold)
{
    unsigned char whole[4096];
    const size_t n = forge(4, 16);
    put_short(42, 1000);
    put_short(44, 1000);
    put_short(46, 1000);
    const size_t m = packed(bytes, n, whole, sizeof whole);
    cr_assert_neq(parse(whole, m, -1), 0);
    cr_assert(strstr(error, "ends before"), "%s", error);
    put_short(42, 32767);
    put_short(44, 32767);
    put_short(46, 32767);
    refused(n, "at most 4096 MiB");
}

/* Whatever any byte of a header says: an answer, and nothing kept of a refusal. */
Test(nifti, each_byte_of_a_header)
{
    for (size_t at = 0; at < AT; ++at)
        for (int k = 0; k < 4; ++k) {
            static const unsigned char values[] = {0, 1, 0x7f, 0xff};
            const size_t n = forge(4, 16);
            bytes[at] = values[k];
            if (parse(bytes, n, -1) == 0)
                freed();
            else
                cr_assert(*error && !strchr(error, '\n') && !found.values);
        }
}

Test(nifti, what_is_written_is_read_back, .init = scratch_open, .fini = scratch_close)
{
    const double affine[3][4] = {{-2, 0, 0.5, 10}, {0, 1.5, 0, -20}, {0.25, 0, 3, 7}};
    struct msagen_tensor *t = msagen_tensor_zeros("t", MSAGEN_I32, 3, (int64_t[]){2, 3, 4});
    int32_t *values = (int32_t *)(uintptr_t)t->storage->data;
    for (int i = 0; i < VOXELS; ++i)
        values[i] = 300 * i;
    const struct msagen_nifti_place where = {.affine = affine, .slope = 1};
    for (int labels = 0; labels < 2; ++labels)
        for (int gzip = 0; gzip < 2; ++gzip) {
            const char *path = scratch_path(gzip ? "a.nii.gz" : "a.nii");
            cr_assert_eq(msagen_nifti_write(path, t, &where, labels, gzip, error, sizeof error), 0, "%s", error);
            cr_assert_eq(msagen_nifti_read(path, NULL, -1, &found, error, sizeof error), 0, "%s", error);
            for (int i = 0; i < VOXELS; ++i)
                cr_assert_eq(msagen_tensor_at_flat(found.values, i), 300 * i);
            cr_assert(found.form == MSAGEN_NIFTI_SFORM && memcmp(found.affine, affine, sizeof affine) == 0);
            freed();
        }
    values[0] = 70000;
    cr_assert_neq(msagen_nifti_write(scratch_path("b.nii"), t, &where, 1, 0, error, sizeof error), 0);
    cr_assert(strstr(error, "0 to 65535"), "%s", error);
    cr_assert_eq(scratch_entries(), 2, "nothing is left of it");
    msagen_tensor_free(t);
}
