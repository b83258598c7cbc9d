/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors: bounds of views, conversions, strides, arithmetic. */
#include "tensor.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static char error[512];

/* A contiguous tensor over a copy of `values`. */
static struct msagen_tensor *make(enum msagen_dtype dtype, int dims, const int64_t *shape, const void *values)
{
    struct msagen_tensor *t = msagen_tensor_zeros("t", dtype, dims, shape);
    cr_assert_not_null(t);
    memcpy((void *)(uintptr_t)t->storage->data, values, t->storage->bytes);
    return t;
}

static struct msagen_tensor *count_up(int dims, const int64_t *shape)
{
    struct msagen_tensor *t = msagen_tensor_zeros("t", MSAGEN_F32, dims, shape);
    float *p = (float *)(uintptr_t)t->storage->data;
    for (int64_t i = 0; i < msagen_tensor_numel(t); ++i)
        p[i] = (float)i;
    return t;
}

static int inside(int dims, const int64_t *shape, const int64_t *stride, int64_t offset, size_t bytes)
{
    return msagen_tensor_inside(MSAGEN_F32, dims, shape, stride, offset, bytes);
}

Test(tensor, inside_accepts_what_fits)
{
    cr_assert(inside(2, (int64_t[]){3, 4}, (int64_t[]){4, 1}, 0, 48));
    cr_assert(inside(2, (int64_t[]){4, 3}, (int64_t[]){1, 4}, 0, 48));
    cr_assert(inside(2, (int64_t[]){2, 2}, (int64_t[]){4, 2}, 1, 32));
    cr_assert(inside(0, NULL, NULL, 0, 4));
    cr_assert(inside(1, (int64_t[]){0}, (int64_t[]){1}, 0, 0));
    cr_assert(inside(1, (int64_t[]){1}, (int64_t[]){INT64_MAX}, 0, 4));
    cr_assert(inside(2, (int64_t[]){1000, 2}, (int64_t[]){0, 1}, 0, 8), "an expanded view");
}

Test(tensor, inside_refuses_what_does_not)
{
    cr_assert_not(inside(2, (int64_t[]){3, 4}, (int64_t[]){4, 1}, 0, 47));
    cr_assert_not(inside(2, (int64_t[]){3, 4}, (int64_t[]){4, 1}, 1, 48));
    cr_assert_not(inside(0, NULL, NULL, 0, 3));
    cr_assert_not(inside(0, NULL, NULL, 1, 4));
    cr_assert_not(inside(1, (int64_t[]){2}, (int64_t[]){-1}, 1, 64));
    cr_assert_not(inside(1, (int64_t[]){-1}, (int64_t[]){1}, 0, 64));
    cr_assert_not(inside(1, (int64_t[]){1}, (int64_t[]){1}, -1, 64));
    cr_assert_not(inside(1, (int64_t[]){0}, (int64_t[]){1}, 1, 0), "an offset past the end, though nothing is read");
    cr_assert_not(inside(9, (int64_t[9]){1, 1, 1, 1, 1, 1, 1, 1, 1}, (int64_t[9]){0}, 0, 64));
    cr_assert_not(inside(-1, NULL, NULL, 0, 64));
}

Test(tensor, inside_does_not_overflow)
{
    cr_assert_not(inside(1, (int64_t[]){INT64_MAX}, (int64_t[]){1}, 0, SIZE_MAX));
    cr_assert_not(inside(2, (int64_t[]){INT64_C(1) << 32, INT64_C(1) << 32}, (int64_t[]){1, 1}, 0, SIZE_MAX));
    cr_assert_not(inside(2, (int64_t[]){3, 3}, (int64_t[]){INT64_MAX, 1}, 0, 64));
    cr_assert_not(inside(2, (int64_t[]){3, 2}, (int64_t[]){INT64_MAX / 2, INT64_MAX}, 0, 64));
    cr_assert_not(inside(1, (int64_t[]){2}, (int64_t[]){1}, INT64_MAX, 64));
    cr_assert_not(inside(1, (int64_t[]){INT64_C(1) << 40}, (int64_t[]){0}, 0, 4), "terabytes claimed by four bytes");
    cr_assert_not(inside(2, (int64_t[]){INT64_MAX, 0}, (int64_t[]){1, 1}, 0, 64));
}

/* Values by numpy: float16 from the bits given. */
Test(tensor, halves)
{
    const uint16_t bits[] = {0x0000, 0x8000, 0x0001, 0x03ff, 0x0400, 0x3c00, 0x3555, 0x7bff, 0xc000, 0x7c00, 0xfc00,
        0x7e00};
    const float expected[] = {0.0f,  -0.0f,        0x1p-24f, 0x1.ff8p-15f, 0x1p-14f, 1.0f,
                              0x1.554p-2f, 0x1.ffcp+15f, -2.0f,    INFINITY,     -INFINITY};
    float got[12];
    struct msagen_tensor *t = make(MSAGEN_F16, 1, (int64_t[]){12}, bits);
    msagen_tensor_read_f32(t, got);
    cr_assert_eq(memcmp(got, expected, sizeof expected), 0);
    cr_assert(isnan(got[11]));
    cr_assert_eq(msagen_tensor_first_nonfinite(t), 9);
    msagen_tensor_free(t);
}

Test(tensor, other_types)
{
    const uint16_t bf[] = {0x3f80, 0xc049, 0x0001};
    const double wide[] = {0.1, 1e300, -1e-300};
    const int64_t big[] = {INT64_C(16777217), -3};
    const uint8_t truth[] = {0, 1, 7};
    const int8_t small[] = {-128, 127};
    float f[3];
    struct msagen_tensor *t = make(MSAGEN_BF16, 1, (int64_t[]){3}, bf);
    msagen_tensor_read_f32(t, f);
    cr_assert(f[0] == 1.0f && f[1] == -3.140625f && f[2] == 0x1p-133f);
    msagen_tensor_free(t);

    t = make(MSAGEN_F64, 1, (int64_t[]){3}, wide);
    msagen_tensor_read_f32(t, f);
    cr_assert(f[0] == 0.1f && isinf(f[1]) && f[2] == 0.0f);
    cr_assert_eq(msagen_tensor_first_nonfinite(t), -1, "1e300 is finite in its own type");
    cr_assert_not(msagen_tensor_is_zero(t));
    msagen_tensor_free(t);

    t = make(MSAGEN_I64, 1, (int64_t[]){2}, big);
    msagen_tensor_read_f32(t, f);
    cr_assert(f[0] == 16777216.0f && f[1] == -3.0f, "rounded once, to even");
    cr_assert_eq(msagen_tensor_at(t, (int64_t[]){0}), 16777217.0);
    msagen_tensor_free(t);

    t = make(MSAGEN_BOOL, 1, (int64_t[]){3}, truth);
    msagen_tensor_read_f32(t, f);
    cr_assert(f[0] == 0 && f[1] == 1 && f[2] == 1);
    msagen_tensor_free(t);

    t = make(MSAGEN_I8, 1, (int64_t[]){2}, small);
    msagen_tensor_read_f32(t, f);
    cr_assert(f[0] == -128 && f[1] == 127);
    msagen_tensor_free(t);
}

Test(tensor, data_need_not_be_aligned)
{
    unsigned char bytes[9] = {0xff};
    const float values[] = {1.5f, -2.25f};
    memcpy(bytes + 1, values, sizeof values);
    struct msagen_buffer *whole = msagen_buffer_alloc(sizeof bytes);
    memcpy((void *)(uintptr_t)whole->data, bytes, sizeof bytes);
    struct msagen_buffer *part = msagen_buffer_view(whole, 1, 8);
    msagen_buffer_unref(whole);
    struct msagen_tensor *t = msagen_tensor_new("t", MSAGEN_F32, 1, (int64_t[]){2}, (int64_t[]){1}, 0, part);
    msagen_buffer_unref(part);
    float got[2];
    msagen_tensor_read_f32(t, got);
    cr_assert(got[0] == 1.5f && got[1] == -2.25f);
    msagen_tensor_free(t);
}

/* Whole reads go through tiles and merged dimensions; single elements do not. They must agree on every permutation. */
Test(tensor, every_permutation_reads_in_c_order)
{
    const int64_t shape[4] = {3, 18, 5, 33};
    struct msagen_tensor *t = count_up(4, shape);
    static float got[3 * 18 * 5 * 33];
    for (int code = 0; code < 256; ++code) {
        const int order[4] = {code & 3, code >> 2 & 3, code >> 4 & 3, code >> 6 & 3};
        struct msagen_tensor *p = msagen_tensor_permute(t, order, error, sizeof error);
        const int valid = (1 << order[0] | 1 << order[1] | 1 << order[2] | 1 << order[3]) == 15;
        cr_assert_eq(p != NULL, valid);
        if (!p)
            continue;
        memset(got, 0, sizeof got);
        msagen_tensor_read_f32(p, got);
        int64_t i[4];
        size_t flat = 0;
        for (i[0] = 0; i[0] < p->shape[0]; ++i[0])
            for (i[1] = 0; i[1] < p->shape[1]; ++i[1])
                for (i[2] = 0; i[2] < p->shape[2]; ++i[2])
                    for (i[3] = 0; i[3] < p->shape[3]; ++i[3], ++flat)
                        if ((double)got[flat] != msagen_tensor_at(p, i))
                            cr_assert_fail("order %d at %zu", code, flat);
        float middle[100];
        msagen_tensor_read_f32_range(p, 1234, 100, middle);
        cr_assert_eq(memcmp(middle, got + 1234, sizeof middle), 0);
        msagen_tensor_free(p);
    }
    msagen_tensor_free(t);
}

Test(tensor, blocks_of_straight_and_transposed_matrices)
{
    struct msagen_tensor *t = count_up(2, (int64_t[]){40, 37});
    struct msagen_tensor *turned = msagen_tensor_permute(t, (int[]){1, 0}, error, sizeof error);
    float got[17 * 20];
    msagen_tensor_read_f32_block(t, 3, 17, 5, 19, got, 20);
    for (int r = 0; r < 17; ++r)
        for (int c = 0; c < 19; ++c)
            cr_assert_eq(got[r * 20 + c], (float)((r + 3) * 37 + c + 5));
    msagen_tensor_read_f32_block(turned, 3, 17, 5, 19, got, 20);
    for (int r = 0; r < 17; ++r)
        for (int c = 0; c < 19; ++c)
            cr_assert_eq(got[r * 20 + c], (float)((c + 5) * 37 + r + 3));
    msagen_tensor_free(turned);
    msagen_tensor_free(t);
}

Test(tensor, slices_share_and_check)
{
    struct msagen_tensor *t = count_up(2, (int64_t[]){4, 6});
    struct msagen_tensor *s = msagen_tensor_slice(t, 1, 2, 3, error, sizeof error);
    cr_assert_eq(s->storage, t->storage);
    cr_assert_eq(msagen_tensor_at(s, (int64_t[]){3, 2}), 22.0);
    cr_assert_not(msagen_tensor_contiguous(s));
    msagen_tensor_free(t);
    cr_assert_eq(msagen_tensor_at_flat(s, 11), 22.0, "the view keeps the storage alive");
    cr_assert_null(msagen_tensor_slice(s, 1, 2, 2, error, sizeof error));
    cr_assert_str_eq(error, "t: no slice of 2 from 2 along dimension 2 of [4,3]");
    cr_assert_null(msagen_tensor_slice(s, 0, INT64_MAX, INT64_MAX, error, sizeof error));
    cr_assert_null(msagen_tensor_slice(s, 2, 0, 1, error, sizeof error));
    cr_assert_null(msagen_tensor_slice(s, 0, -1, 1, error, sizeof error));
    struct msagen_tensor *none = msagen_tensor_slice(s, 0, 4, 0, error, sizeof error);
    cr_assert_eq(msagen_tensor_numel(none), 0);
    msagen_tensor_free(none);
    msagen_tensor_free(s);
}

Test(tensor, reshape_views_where_strides_allow_it)
{
    struct msagen_tensor *t = count_up(3, (int64_t[]){2, 3, 4});
    struct msagen_tensor *flat = msagen_tensor_reshape(t, 2, (int64_t[]){6, -1}, error, sizeof error);
    cr_assert_eq(flat->storage, t->storage);
    cr_assert_eq(flat->shape[1], 4);
    cr_assert_eq(msagen_tensor_at(flat, (int64_t[]){5, 1}), 21.0);
    struct msagen_tensor *turned = msagen_tensor_permute(flat, (int[]){1, 0}, error, sizeof error);
    struct msagen_tensor *split = msagen_tensor_reshape(turned, 3, (int64_t[]){4, 2, 3}, error, sizeof error);
    cr_assert_eq(split->storage, t->storage, "splitting a dimension needs no copy");
    cr_assert_eq(msagen_tensor_at(split, (int64_t[]){1, 1, 2}), 21.0);
    struct msagen_tensor *copied = msagen_tensor_reshape(turned, 1, (int64_t[]){24}, error, sizeof error);
    cr_assert_neq(copied->storage, t->storage, "merging across strides does");
    cr_assert_eq(msagen_tensor_at(copied, (int64_t[]){1}), 4.0);
    cr_assert_null(msagen_tensor_reshape(t, 2, (int64_t[]){5, -1}, error, sizeof error));
    cr_assert_null(msagen_tensor_reshape(t, 2, (int64_t[]){-1, -1}, error, sizeof error));
    cr_assert_null(msagen_tensor_reshape(t, 1, (int64_t[]){25}, error, sizeof error));
    msagen_tensor_free(copied);
    msagen_tensor_free(split);
    msagen_tensor_free(turned);
    msagen_tensor_free(flat);
    msagen_tensor_free(t);
}

Test(tensor, equality_is_of_bits)
{
    const float a[] = {0.0f, 1.0f}, b[] = {-0.0f, 1.0f};
    struct msagen_tensor *x = make(MSAGEN_F32, 1, (int64_t[]){2}, a), *y = make(MSAGEN_F32, 1, (int64_t[]){2}, b);
    struct msagen_tensor *z = make(MSAGEN_F32, 2, (int64_t[]){1, 2}, a);
    cr_assert(msagen_tensor_equal(x, x));
    cr_assert_not(msagen_tensor_equal(x, y));
    cr_assert_not(msagen_tensor_equal(x, z));
    msagen_tensor_free(x);
    msagen_tensor_free(y);
    msagen_tensor_free(z);
}

Test(tensor, zero_and_finite)
{
    struct msagen_tensor *t = msagen_tensor_zeros("t", MSAGEN_F32, 1, (int64_t[]){10000});
    float *p = (float *)(uintptr_t)t->storage->data;
    p[5] = -0.0f;
    cr_assert(msagen_tensor_is_zero(t));
    cr_assert_eq(msagen_tensor_first_nonfinite(t), -1);
    p[9999] = 0x1p-149f;
    cr_assert_not(msagen_tensor_is_zero(t));
    p[9000] = -INFINITY;
    cr_assert_eq(msagen_tensor_first_nonfinite(t), 9000);
    p[4096] = NAN;
    cr_assert_eq(msagen_tensor_first_nonfinite(t), 4096);
    msagen_tensor_free(t);
}

Test(tensor, arithmetic_rounds_once)
{
    /* In float 1 + 2^-24 is lost before the scale is applied; in double it is not. */
    const float a[] = {1.0f, 1.0f}, b[] = {0x1p-24f, 0x1.8p-24f};
    struct msagen_tensor *x = make(MSAGEN_F32, 1, (int64_t[]){2}, a), *y = make(MSAGEN_F32, 1, (int64_t[]){2}, b);
    struct msagen_tensor *sum = msagen_tensor_add(x, y, 1.0, error, sizeof error);
    cr_assert_eq(msagen_tensor_at_flat(sum, 0), 1.0);
    cr_assert_eq(msagen_tensor_at_flat(sum, 1), 1.0 + 0x1p-23);
    struct msagen_tensor *third = msagen_tensor_scale(sum, 1.0 / 3, error, sizeof error);
    cr_assert_eq((float)msagen_tensor_at_flat(third, 0), (float)(1.0 / 3));
    msagen_tensor_free(third);
    msagen_tensor_free(sum);
    struct msagen_tensor *wide = msagen_tensor_zeros("wide", MSAGEN_F32, 2, (int64_t[]){2, 1});
    cr_assert_null(msagen_tensor_add(x, wide, 1.0, error, sizeof error));
    cr_assert_str_eq(error, "t: [2] and [2,1] of wide cannot be added");
    msagen_tensor_free(wide);
    msagen_tensor_free(x);
    msagen_tensor_free(y);
}

Test(tensor, matmul)
{
    const float a[] = {1, 2, 3, 4, 5, 6}, b[] = {7, 8, 9, 10, 11, 12};
    struct msagen_tensor *x = make(MSAGEN_F32, 2, (int64_t[]){2, 3}, a), *y = make(MSAGEN_F32, 2, (int64_t[]){3, 2}, b);
    struct msagen_tensor *r = msagen_tensor_matmul(x, y, error, sizeof error);
    float got[4];
    msagen_tensor_read_f32(r, got);
    cr_assert(got[0] == 58 && got[1] == 64 && got[2] == 139 && got[3] == 154);
    cr_assert_null(msagen_tensor_matmul(x, x, error, sizeof error));
    msagen_tensor_free(r);

    /* x transposed times y transposed: [3,2] . [2,3] */
    struct msagen_tensor *xt = msagen_tensor_permute(x, (int[]){1, 0}, error, sizeof error);
    struct msagen_tensor *yt = msagen_tensor_permute(y, (int[]){1, 0}, error, sizeof error);
    r = msagen_tensor_matmul(xt, yt, error, sizeof error);
    cr_assert_eq(msagen_tensor_at(r, (int64_t[]){0, 0}), 1 * 7 + 4 * 8);
    cr_assert_eq(msagen_tensor_at(r, (int64_t[]){2, 1}), 3 * 9 + 6 * 10);
    msagen_tensor_free(r);
    msagen_tensor_free(xt);
    msagen_tensor_free(yt);
    msagen_tensor_free(x);
    msagen_tensor_free(y);
}
