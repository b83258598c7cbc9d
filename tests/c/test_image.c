/* SPDX-License-Identifier: Apache-2.0 */
/* Images: every kind of PNG and JPEG as 8-bit RGB, and files that are damaged or lie. The libraries encode what is read
 * back. */
#define _GNU_SOURCE
#include "image.h"

#include "pictures.h"
#include "scratch.h"

static char error[4096];
static struct msagen_image_facts facts;

static struct msagen_tensor *decode(const struct bytes *file)
{
    error[0] = '\0';
    return msagen_image_parse(file->data, file->count, "a.png", 0, &facts, error, sizeof error);
}

static void assert_pixels(const struct bytes *file, const unsigned char expected[H * W * 3])
{
    struct msagen_tensor *t = decode(file);
    cr_assert_not_null(t, "%s", error);
    cr_assert(t->dtype == MSAGEN_U8 && t->dims == 3 && t->shape[0] == H && t->shape[1] == W && t->shape[2] == 3);
    cr_assert_eq(memcmp(t->storage->data, expected, H * W * 3), 0);
    msagen_tensor_free(t);
}

static unsigned char noise(size_t i)
{
    return (unsigned char)(i * 73 + (i >> 3) * 29 + 5);
}

Test(image, png_with_8_bits)
{
    static struct bytes file;
    for (int interlace = 0; interlace < 2; ++interlace)
        for (size_t channels = 1; channels <= 4; ++channels) {
            static const int types[] = {0, PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                PNG_COLOR_TYPE_RGBA};
            unsigned char rows[H * W * 4], expected[H * W * 3];
            for (size_t i = 0; i < H * W * channels; ++i)
                rows[i] = noise(i);
            for (size_t i = 0; i < H * W; ++i)
                for (size_t c = 0; c < 3; ++c)
                    expected[i * 3 + c] = rows[i * channels + (channels < 3 ? 0 : c)];
            encode_png(&file, types[channels], 8, interlace, rows, W * channels);
            assert_pixels(&file, expected);
        }
}

Test(image, png_with_16_bits_keeps_the_high_byte)
{
    static struct bytes file;
    unsigned char rows[H * W * 6], expected[H * W * 3];
    for (size_t i = 0; i < sizeof rows; ++i)
        rows[i] = noise(i);
    for (size_t i = 0; i < sizeof expected; ++i)
        expected[i] = rows[2 * i];
    encode_png(&file, PNG_COLOR_TYPE_RGB, 16, 0, rows, W * 6);
    assert_pixels(&file, expected);
    for (size_t i = 0; i < sizeof expected; ++i)
        expected[i] = rows[i / 3 * 2];
    encode_png(&file, PNG_COLOR_TYPE_GRAY, 16, 0, rows, W * 2);
    assert_pixels(&file, expected);
}

Test(image, png_with_few_bits)
{
    static struct bytes file;
    static const unsigned char palette[4][3] = {{1, 2, 3}, {40, 50, 60}, {255, 0, 128}, {9, 8, 7}};
    unsigned char rows[H * 3], expected[H * W * 3];
    for (size_t i = 0; i < sizeof rows; ++i)
        rows[i] = noise(i);
    for (size_t y = 0; y < H; ++y)
        for (size_t x = 0; x < W; ++x)
            for (size_t c = 0; c < 3; ++c)
                expected[(y * W + x) * 3 + c] = palette[rows[y * 3 + x / 4] >> (6 - 2 * (x % 4)) & 3][c];
    encode_png(&file, PNG_COLOR_TYPE_PALETTE, 2, 0, rows, 3);
    assert_pixels(&file, expected);
    for (size_t y = 0; y < H; ++y)
        for (size_t x = 0; x < W; ++x)
            memset(expected + (y * W + x) * 3, rows[y * 3 + x / 8] >> (7 - x % 8) & 1 ? 255 : 0, 3);
    encode_png(&file, PNG_COLOR_TYPE_GRAY, 1, 0, rows, 3);
    assert_pixels(&file, expected);
}

static void assert_colour(const struct bytes *file, int r, int g, int b)
{
    const int expected[3] = {r, g, b};
    struct msagen_tensor *t = decode(file);
    cr_assert_not_null(t, "%s", error);
    cr_assert(t->shape[0] == H && t->shape[1] == W && t->shape[2] == 3);
    for (int i = 0; i < H * W * 3; ++i)
        cr_assert_leq(abs(t->storage->data[i] - expected[i % 3]), 2, "byte %d is %d", i, t->storage->data[i]);
    msagen_tensor_free(t);
}

Test(image, jpeg)
{
    static struct bytes file;
    encode_jpeg(&file, JCS_RGB, 3, 0, (const unsigned char[]){200, 100, 30});
    assert_colour(&file, 200, 100, 30);
    encode_jpeg(&file, JCS_RGB, 3, 1, (const unsigned char[]){10, 250, 90});
    assert_colour(&file, 10, 250, 90);
    encode_jpeg(&file, JCS_GRAYSCALE, 1, 0, (const unsigned char[]){77});
    assert_colour(&file, 77, 77, 77);
    encode_jpeg(&file, JCS_CMYK, 4, 0, (const unsigned char[]){1, 2, 3, 4});
    cr_assert_null(decode(&file));
    cr_assert_str_eq(error, "a.png: expected grey or RGB, found a CMYK JPEG");
}

static unsigned char *start_of_frame(struct bytes *file)
{
    for (size_t i = 0; i + 9 < file->count; ++i)
        if (file->data[i] == 0xff && file->data[i + 1] == 0xc0)
            return file->data + i;
    cr_assert_fail("no frame");
    return NULL;
}

/* Each is right, or refused as what it is. */
Test(image, kinds_of_jpeg)
{
    static struct bytes file;
    unsigned char rows[H * W * 4];
    for (size_t i = 0; i < sizeof rows; ++i)
        rows[i] = (const unsigned char[]){200, 100, 30}[i % 3];
    encode_jpeg_rows(&file, JCS_RGB, 3, 0, rows, (struct extras){.arithmetic = 1});
    assert_colour(&file, 200, 100, 30);
    encode_jpeg_rows(&file, JCS_RGB, 3, 0, rows, (struct extras){.stored = 1});
    assert_colour(&file, 200, 100, 30);
    memset(rows, 90, sizeof rows);
    encode_jpeg_rows(&file, JCS_UNKNOWN, 2, 0, rows, plain);
    cr_assert_null(decode(&file));
    cr_assert_not_null(strstr(error, "a.png: expected a grey or RGB JPEG of 8 bits, found another kind: "), "%s",
        error);
    encode_jpeg(&file, JCS_GRAYSCALE, 1, 0, (const unsigned char[]){77});
    start_of_frame(&file)[4] = 12;
    cr_assert_null(decode(&file));
    cr_assert_not_null(strstr(error, "8 bits, found another kind: Unsupported JPEG data precision 12"), "%s", error);
    start_of_frame(&file)[4] = 8;
    start_of_frame(&file)[1] = 0xc3;
    cr_assert_null(decode(&file));
    cr_assert_not_null(strstr(error, "found another kind: Unsupported JPEG process"), "%s", error);
    /* A second picture behind the first, as phones store a preview or the other eye's view. */
    encode_jpeg(&file, JCS_RGB, 3, 0, (const unsigned char[]){200, 100, 30});
    memcpy(file.data + file.count, file.data, file.count);
    file.count *= 2;
    assert_colour(&file, 200, 100, 30);
}

Test(image, other_formats_are_named)
{
    static const struct {
        const char *bytes, *name;
        size_t at;
    } known[] = {{"DICM", "DICOM", 128}, {"II*\0", "TIFF", 0}, {"n+1", "NIfTI", 344}, {"WEBP", "WebP", 8},
        {"BM", "BMP", 0}, {"?", "neither", 0}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; ++i) {
        unsigned char data[400] = {0};
        memcpy(data + known[i].at, known[i].bytes, i == 5 ? 1 : strlen(known[i].bytes));
        cr_assert_null(msagen_image_parse(data, sizeof data, "a", 0, NULL, error, sizeof error));
        cr_assert_not_null(strstr(error, known[i].name), "%s", error);
    }
}

Test(image, cut_files_are_refused)
{
    static struct bytes file, cut;
    unsigned char rows[H * W * 3];
    for (size_t i = 0; i < sizeof rows; ++i)
        rows[i] = noise(i);
    for (int kind = 0; kind < 3; ++kind) {
        if (kind == 0)
            encode_png(&file, PNG_COLOR_TYPE_RGB, 8, 0, rows, W * 3);
        else
            encode_jpeg(&file, JCS_RGB, 3, kind == 2, (const unsigned char[]){200, 100, 30});
        for (size_t n = 0; n < file.count; ++n) {
            memcpy(cut.data, file.data, n);
            cut.count = n;
            struct msagen_tensor *t = decode(&cut);
            cr_assert_null(t, "kind %d, %zu of %zu bytes", kind, n, file.count);
            cr_assert_eq(strncmp(error, "a.png: ", 7), 0);
            cr_assert_null(strchr(error, '\n'));
        }
    }
}

/* Nothing to assert about the pixels; sanitizers watch. A PNG's checksums catch any change of its data. */
Test(image, flipped_bits_never_crash)
{
    static struct bytes file;
    unsigned char rows[H * W * 3];
    for (size_t i = 0; i < sizeof rows; ++i)
        rows[i] = noise(i);
    for (int kind = 0; kind < 3; ++kind) {
        if (kind == 0)
            encode_png(&file, PNG_COLOR_TYPE_RGB, 8, 0, rows, W * 3);
        else
            encode_jpeg(&file, JCS_RGB, 3, kind == 2, (const unsigned char[]){200, 100, 30});
        for (size_t bit = 0; bit < file.count * 8; bit += 3) {
            file.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
            struct msagen_tensor *t = decode(&file);
            cr_assert(t || *error);
            if (kind == 0 && t)
                cr_assert_eq(memcmp(t->storage->data, rows, sizeof rows), 0, "bit %zu", bit);
            msagen_tensor_free(t);
            file.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
        }
    }
}

static void put32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; ++i)
        p[i] = (unsigned char)(v >> (24 - 8 * i));
}

/* The size in a PNG's header, with the checksum made good again. */
static void set_size(struct bytes *file, uint32_t width, uint32_t height)
{
    put32(file->data + 16, width);
    put32(file->data + 20, height);
    uint32_t crc = ~UINT32_C(0);
    for (int i = 12; i < 29; ++i) {
        crc ^= file->data[i];
        for (int bit = 0; bit < 8; ++bit)
            crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
    }
    put32(file->data + 29, ~crc);
}

Test(image, sizes_are_checked_before_memory_is_taken)
{
    static struct bytes file;
    const unsigned char rows[H * W] = {0};
    encode_png(&file, PNG_COLOR_TYPE_GRAY, 8, 0, rows, W);
    set_size(&file, W, H);
    struct msagen_tensor *t = decode(&file);
    cr_assert_not_null(t, "the checksum above is right");
    msagen_tensor_free(t);
    set_size(&file, 16385, 1);
    cr_assert_null(decode(&file));
    cr_assert_str_eq(error, "a.png: expected 1 to 16384 pixels a side, found 16385 x 1");
    set_size(&file, 0x7fffffff, 0x7fffffff);
    cr_assert_null(decode(&file));
    cr_assert_str_eq(error, "a.png: expected 1 to 16384 pixels a side, found 2147483647 x 2147483647");
    set_size(&file, 16, 16);
    cr_assert_null(decode(&file), "data for fewer pixels than that");
}

Test(image, other_files_are_refused)
{
    cr_assert_null(msagen_image_parse((const unsigned char *)"GIF89a", 6, "a.gif", 0, NULL, error, sizeof error));
    cr_assert_str_eq(error, "a.gif: expected a PNG or JPEG image, found GIF");
    cr_assert_null(msagen_image_parse(NULL, 0, "empty", 0, NULL, error, sizeof error));
    cr_assert_null(msagen_image_read("/no/such/image.png", 0, NULL, error, sizeof error));
    cr_assert_str_eq(error, "/no/such/image.png: cannot be read: No such file or directory");
}

Test(image, what_is_written_is_read_back, .init = scratch_open, .fini = scratch_close)
{
    struct msagen_tensor *t = msagen_tensor_zeros("t", MSAGEN_U8, 3, (int64_t[]){3, W, H});
    for (size_t i = 0; i < t->storage->bytes; ++i)
        ((unsigned char *)(uintptr_t)t->storage->data)[i] = noise(i);
    struct msagen_tensor *rgb = msagen_tensor_permute(t, (int[]){2, 1, 0}, error, sizeof error);
    cr_assert_eq(msagen_image_write_png(scratch_path("a.png"), rgb, error, sizeof error), 0, "%s", error);
    struct msagen_tensor *back = msagen_image_read(scratch_path("a.png"), 0, NULL, error, sizeof error);
    cr_assert_not_null(back, "%s", error);
    cr_assert(msagen_tensor_equal(rgb, back));
    msagen_tensor_free(back);

    struct msagen_tensor *plane = msagen_tensor_slice(rgb, 2, 1, 1, error, sizeof error);
    struct msagen_tensor *grey = msagen_tensor_reshape(plane, 2, (int64_t[]){H, W}, error, sizeof error);
    cr_assert_eq(msagen_image_write_png(scratch_path("a.png"), grey, error, sizeof error), 0, "%s", error);
    back = msagen_image_read(scratch_path("a.png"), 0, NULL, error, sizeof error);
    for (int64_t i = 0; i < H * W * 3; ++i)
        cr_assert_eq(msagen_tensor_at_flat(back, i), msagen_tensor_at_flat(grey, i / 3));
    msagen_tensor_free(back);
    msagen_tensor_free(grey);
    msagen_tensor_free(plane);

    cr_assert_eq(msagen_image_write_png(scratch_path("b.png"), t, error, sizeof error), -1, "seven channels");
    cr_assert_eq(msagen_image_write_png(scratch_path("no/b.png"), rgb, error, sizeof error), -1);
    cr_assert_eq(scratch_entries(), 1);
    msagen_tensor_free(rgb);
    msagen_tensor_free(t);
}
