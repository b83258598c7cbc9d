/* SPDX-License-Identifier: Apache-2.0 */
/* The weights blob, byte by byte, as blob.h describes it. */
#define _GNU_SOURCE
#include "blob.h"

#include "infile.h"
#include "scratch.h"
#include "sha256.h"

#include "msa_runtime.h"

#include <math.h>
#include <sys/resource.h>
#include <sys/stat.h>

static char error[4096];
static unsigned char file_hash[32]; /* of the blob closed last */

static struct msagen_tensor *make(int dims, const int64_t *shape)
{
    struct msagen_tensor *t = msagen_tensor_zeros("weight", MSAGEN_F32, dims, shape);
    float *p = (float *)(uintptr_t)t->storage->data;
    for (int64_t i = 0; i < msagen_tensor_numel(t); ++i)
        p[i] = (float)i + 1;
    return t;
}

static uint64_t get(const unsigned char *p, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; --i)
        value = value << 8 | p[i];
    return value;
}

static float value(const unsigned char *file, uint64_t offset, size_t i)
{
    float f;
    memcpy(&f, file + offset + 4 * i, 4);
    return f;
}

static struct msagen_blob *create(uint32_t room)
{
    struct msagen_blob *b = msagen_blob_create(scratch_path("w.bin"), "f32-fma-1", room, error, sizeof error);
    cr_assert_not_null(b, "%s", error);
    return b;
}

static void finish(struct msagen_blob *b, unsigned char hash[32])
{
    uint64_t bytes;
    cr_assert_eq(msagen_blob_close(b, NULL, hash, file_hash, &bytes, error, sizeof error), 0, "%s", error);
    msagen_blob_free(b);
}

Test(blob, header_table_and_checksums, .init = scratch_open, .fini = scratch_close)
{
    struct msagen_tensor *t = make(2, (int64_t[]){3, 5});
    struct msagen_blob_part a, v, r;
    unsigned char hash[32], again[32];
    struct msagen_blob *b = create(MSAGEN_BLOB_SEGMENTS);
    cr_assert_eq(msagen_blob_segment(b, "one", error, sizeof error), 0);
    cr_assert_eq(msagen_blob_panels(b, t, &a, error, sizeof error), 0);
    cr_assert_eq(msagen_blob_vector(b, t, 20, &v, error, sizeof error), 0);
    cr_assert_eq(msagen_blob_segment(b, "two", error, sizeof error), 0);
    cr_assert_eq(msagen_blob_rows(b, t, 6, &r, error, sizeof error), 0);
    finish(b, hash);
    cr_assert_eq(scratch_entries(), 1);

    size_t bytes;
    unsigned char *file = scratch_read("w.bin", &bytes);
    cr_assert_eq(bytes, 4096 + 192 + 128 + 128);
    cr_assert_eq(memcmp(file, "MSAGENW\0", 8), 0);
    cr_assert_eq(get(file + 8, 4), 1);
    cr_assert_eq(get(file + 12, 4), 128);
    cr_assert_eq(get(file + 16, 8), bytes);
    cr_assert_eq(get(file + 24, 4), 2);
    cr_assert_eq(get(file + 28, 4), msa_crc32c(0, file + 128, 48));
    cr_assert_eq(memcmp(file + 32, "f32-fma-1\0\0\0\0\0\0\0", 16), 0);
    cr_assert_eq(memcmp(file + 48, hash, 32), 0);
    for (int i = 80; i < 128; ++i)
        cr_assert_eq(file[i], 0);
    cr_assert_eq(get(file + 128, 8), 4096);
    cr_assert_eq(get(file + 136, 8), 320);
    cr_assert_eq(get(file + 144, 4), msa_crc32c(0, file + 4096, 320));
    cr_assert_eq(get(file + 152, 8), 4416);
    cr_assert_eq(get(file + 160, 8), 128);
    cr_assert_eq(get(file + 168, 4), msa_crc32c(0, file + 4416, 128));
    for (int i = 176; i < 4096; ++i)
        cr_assert_eq(file[i], 0);
    struct sha256_ctx h;
    sha256_init(&h);
    sha256_update(&h, bytes - 4096, file + 4096);
    sha256_digest(&h, SHA256_DIGEST_SIZE, again);
    cr_assert_eq(memcmp(hash, again, 32), 0);

    cr_assert(a.offset == 4096 && a.bytes == 192 && v.offset == 4288 && v.bytes == 80 && r.offset == 4416
        && r.bytes == 72);
    for (int k = 0; k < 3; ++k)
        for (int j = 0; j < 16; ++j)
            cr_assert_eq(value(file, a.offset, (size_t)(k * 16 + j)), j < 5 ? (float)(k * 5 + j + 1) : 0.0f);
    for (int i = 0; i < 32; ++i)
        cr_assert_eq(value(file, v.offset, (size_t)i), i < 15 ? (float)(i + 1) : 0.0f);
    for (int k = 0; k < 3; ++k)
        for (int j = 0; j < 6; ++j)
            cr_assert_eq(value(file, r.offset, (size_t)(k * 6 + j)), j < 5 ? (float)(k * 5 + j + 1) : 0.0f);
    free(file);
    msagen_tensor_free(t);
}

/* Larger than one batch both ways, straight and transposed. */
Test(blob, panels_of_large_matrices, .init = scratch_open, .fini = scratch_close)
{
    enum { K = 2100, N = 35 };
    for (int turned = 0; turned < 2; ++turned) {
        struct msagen_tensor *t = make(2, turned ? (int64_t[]){N, K} : (int64_t[]){K, N});
        struct msagen_tensor *m = turned ? msagen_tensor_permute(t, (int[]){1, 0}, error, sizeof error) : t;
        struct msagen_blob_part part;
        unsigned char hash[32];
        struct msagen_blob *b = create(1);
        cr_assert_eq(msagen_blob_segment(b, "s", error, sizeof error), 0);
        cr_assert_eq(msagen_blob_panels(b, m, &part, error, sizeof error), 0, "%s", error);
        finish(b, hash);
        size_t bytes;
        unsigned char *file = scratch_read("w.bin", &bytes);
        cr_assert_eq(part.offset, 192, "the table has room for one segment");
        cr_assert_eq(part.bytes, 3 * K * 64);
        for (size_t p = 0; p < 3; ++p)
            for (size_t k = 0; k < K; ++k)
                for (size_t j = 0; j < 16; ++j) {
                    const size_t n = p * 16 + j;
                    const float expected = n >= N ? 0 : (float)((turned ? n * K + k : k * N + n) + 1);
                    if (value(file, part.offset, (p * K + k) * 16 + j) != expected)
                        cr_assert_fail("panel %zu row %zu column %zu", p, k, j);
                }
        free(file);
        if (turned)
            msagen_tensor_free(m);
        msagen_tensor_free(t);
    }
}

Test(blob, tiny_values_become_zero, .init = scratch_open, .fini = scratch_close)
{
    struct msagen_tensor *t = make(1, (int64_t[]){4});
    float *p = (float *)(uintptr_t)t->storage->data;
    p[0] = -0.0f;
    p[1] = -0x1.fffffep-61f;
    p[2] = -0x1p-60f;
    p[3] = 0x1p-149f;
    struct msagen_blob_part part;
    unsigned char hash[32];
    struct msagen_blob *b = create(1);
    cr_assert_eq(msagen_blob_segment(b, "s", error, sizeof error), 0);
    cr_assert_eq(msagen_blob_vector(b, t, 0, &part, error, sizeof error), 0);
    finish(b, hash);
    size_t bytes;
    unsigned char *file = scratch_read("w.bin", &bytes);
    cr_assert_eq(get(file + part.offset, 4), 0);
    cr_assert_eq(get(file + part.offset + 4, 4), 0);
    cr_assert_eq(value(file, part.offset, 2), -0x1p-60f);
    cr_assert_eq(get(file + part.offset + 12, 4), 0);
    free(file);
    msagen_tensor_free(t);
}

Test(blob, what_is_no_finite_float_is_refused, .init = scratch_open, .fini = scratch_close)
{
    struct msagen_tensor *t = make(2, (int64_t[]){40, 30});
    ((float *)(uintptr_t)t->storage->data)[12 * 30 + 7] = NAN;
    struct msagen_tensor *turned = msagen_tensor_permute(t, (int[]){1, 0}, error, sizeof error);
    struct msagen_blob_part part;
    struct msagen_blob *b = create(1);
    cr_assert_eq(msagen_blob_segment(b, "s", error, sizeof error), 0);
    cr_assert_eq(msagen_blob_panels(b, t, &part, error, sizeof error), -1);
    cr_assert_str_eq(error, "weight: element [12,7] is NaN; a weight must be a finite number");
    cr_assert_eq(msagen_blob_panels(b, turned, &part, error, sizeof error), -1);
    cr_assert_str_eq(error, "weight: element [7,12] is NaN; a weight must be a finite number");
    ((float *)(uintptr_t)t->storage->data)[12 * 30 + 7] = -INFINITY;
    cr_assert_eq(msagen_blob_rows(b, t, 32, &part, error, sizeof error), -1);
    cr_assert_str_eq(error, "weight: element [12,7] is infinite; a weight must be a finite number");
    struct msagen_tensor *wide = msagen_tensor_zeros("wide", MSAGEN_F64, 1, (int64_t[]){2});
    ((double *)(uintptr_t)wide->storage->data)[1] = 1e39;
    cr_assert_eq(msagen_blob_vector(b, wide, 0, &part, error, sizeof error), -1);
    cr_assert_str_eq(error, "wide: element [1] is 1e+39; a weight must fit into a float");
    msagen_blob_free(b);
    cr_assert_eq(scratch_entries(), 0, "nothing is left of an abandoned blob");
    msagen_tensor_free(wide);
    msagen_tensor_free(turned);
    msagen_tensor_free(t);
}

/* Two ties, a number below 2^-50, the largest one, and one just above a tie. */
Test(blob, panels_of_bf16, .init = scratch_open, .fini = scratch_close)
{
    static const float given[5] = {0x1.01p0f, 0x1.03p0f, -0x1.8p-51f, 0x1.fep127f, -0x1.010002p3f};
    static const uint16_t expected[6] = {0x3f80, 0x3f82, 0, 0x7f7f, 0xc101, 0};
    struct msagen_tensor *t = make(2, (int64_t[]){5, 17});
    float *values = (float *)(uintptr_t)t->storage->data;
    for (int i = 0; i < 85; ++i)
        values[i] = given[i / 17];
    struct msagen_blob_part part;
    unsigned char hash[32];
    struct msagen_blob *b = create(MSAGEN_BLOB_SEGMENTS);
    cr_assert_eq(msagen_blob_segment(b, "one", error, sizeof error), 0);
    cr_assert_eq(msagen_blob_panels_bf16(b, t, &part, error, sizeof error), 0, "%s", error);
    finish(b, hash);
    cr_assert_eq(part.bytes, 2 * 3 * 16 * 4);
    size_t bytes;
    unsigned char *file = scratch_read("w.bin", &bytes);
    for (int panel = 0; panel < 2; ++panel)
        for (int k = 0; k < 6; ++k)
            for (int j = 0; j < 16; ++j)
                cr_assert_eq(get(file + part.offset + ((panel * 3 + k / 2) * 16 + j) * 4 + k % 2 * 2, 2),
                    panel * 16 + j < 17 ? expected[k] : 0, "%d %d %d", panel, k, j);
    free(file);

    values[20] = 0x1.ffp127f;
    b = create(MSAGEN_BLOB_SEGMENTS);
    cr_assert_eq(msagen_blob_segment(b, "one", error, sizeof error), 0);
    cr_assert_eq(msagen_blob_panels_bf16(b, t, &part, error, sizeof error), -1);
    cr_assert_not_null(strstr(error, "weight: element [1,3] is 3.39618e+38; a weight must fit into a bf16"), "%s",
        error);
    msagen_blob_free(b);
    msagen_tensor_free(t);
}

Test(blob, misuse_is_refused, .init = scratch_open, .fini = scratch_close)
{
    struct msagen_tensor *t = make(2, (int64_t[]){2, 3}), *vector = make(1, (int64_t[]){3});
    struct msagen_blob_part part;
    struct msagen_blob *b = create(1);
    cr_assert_eq(msagen_blob_vector(b, t, 0, &part, error, sizeof error), -1, "no segment yet");
    cr_assert_eq(msagen_blob_segment(b, "s", error, sizeof error), 0);
    cr_assert_eq(msagen_blob_segment(b, "t", error, sizeof error), -1, "room for one");
    cr_assert_eq(msagen_blob_panels(b, vector, &part, error, sizeof error), -1);
    cr_assert_eq(msagen_blob_rows(b, t, 2, &part, error, sizeof error), -1);
    cr_assert_eq(msagen_blob_rows(b, t, INT64_MAX, &part, error, sizeof error), -1);
    cr_assert_eq(msagen_blob_vector(b, t, 5, &part, error, sizeof error), -1);
    cr_assert_eq(msagen_blob_vector(b, t, INT64_MAX, &part, error, sizeof error), -1);
    msagen_blob_free(b);
    cr_assert_null(msagen_blob_create(scratch_path("no/such/folder"), "f32-fma-1", 1, error, sizeof error));
    cr_assert(strstr(error, "no/such/folder: cannot be created: "));
    const char *const class = "a class of arithmetic that is too long";
    cr_assert_null(msagen_blob_create(scratch_path("w.bin"), class, 1, error, sizeof error));
    msagen_tensor_free(vector);
    msagen_tensor_free(t);
}

/* A file size limit fails writes as a full disk does; the host program ignores the signal, too. */
Test(blob, a_full_disk_leaves_the_old_file, .init = scratch_open, .fini = scratch_close)
{
    scratch_write("w.bin", "old", 3);
    msagen_cleanup_on_signals();
    const struct rlimit limit = {.rlim_cur = 1 << 20, .rlim_max = 1 << 20};
    struct msagen_tensor *t = make(2, (int64_t[]){1000, 1000});
    struct msagen_blob_part part;
    unsigned char hash[32];
    uint64_t bytes;
    struct msagen_blob *b = create(1);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_assert_eq(msagen_blob_segment(b, "s", error, sizeof error), 0);
    cr_assert_eq(msagen_blob_panels(b, t, &part, error, sizeof error), -1);
    cr_assert(strstr(error, "w.bin: cannot be written: "), "%s", error);
    cr_assert_eq(msagen_blob_close(b, NULL, hash, file_hash, &bytes, error, sizeof error), -1);
    msagen_blob_free(b);
    cr_assert_eq(scratch_entries(), 1);
    size_t size;
    unsigned char *file = scratch_read("w.bin", &size);
    cr_assert(size == 3 && memcmp(file, "old", 3) == 0);
    free(file);
    msagen_tensor_free(t);
}

Test(blob, source_pages_may_be_dropped, .init = scratch_open, .fini = scratch_close)
{
    float values[5000];
    for (int i = 0; i < 5000; ++i)
        values[i] = (float)i;
    scratch_write("source", values, sizeof values);
    struct msagen_buffer *map = msagen_buffer_map(scratch_path("source"), error, sizeof error);
    cr_assert_not_null(map, "%s", error);
    struct msagen_tensor *t = msagen_tensor_new("t", MSAGEN_F32, 1, (int64_t[]){5000}, (int64_t[]){1}, 0, map);
    msagen_buffer_unref(map);
    struct msagen_blob_part part;
    unsigned char hash[32];
    struct msagen_blob *b = create(1);
    cr_assert_eq(msagen_blob_segment(b, "s", error, sizeof error), 0);
    cr_assert_eq(msagen_blob_vector(b, t, 0, &part, error, sizeof error), 0);
    finish(b, hash);
    for (int i = 0; i < 5000; ++i)
        cr_assert_eq(msagen_tensor_at_flat(t, i), i, "they come back from the file");
    msagen_tensor_free(t);
}
