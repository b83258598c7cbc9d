/* SPDX-License-Identifier: Apache-2.0 */
/* PNG and JPEG files in memory, encoded by the libraries, for tests of what reads them. */
#ifndef PICTURES_H
#define PICTURES_H

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>

struct bytes {
    unsigned char data[1 << 16];
    size_t count;
};

static inline void collect(png_structp png, png_bytep data, size_t n)
{
    struct bytes *b = png_get_io_ptr(png);
    cr_assert_leq(b->count + n, sizeof b->data);
    memcpy(b->data + b->count, data, n);
    b->count += n;
}

static inline void flush(png_structp png)
{
    (void)png;
}

enum { W = 11, H = 7 };

/* What a picture may bring beside its pixels. */
struct extras {
    const unsigned char *exif; /* from its TIFF header on */
    size_t exif_bytes;
    const char *key, *text; /* PNG's zTXt, or NULL */
    int bits;       /* PNG's sBIT of every channel */
    int clear_grey; /* the shade of grey that is transparent, or 0 */
    int arithmetic; /* JPEG: coded so */
    int stored;     /* JPEG: colours as they are, not as YCbCr */
};

static const struct extras plain = {0};

/* Rows of `row` bytes as the PNG stores them. */
static inline void encode_png_with(struct bytes *out, int type, int depth, int interlace, const unsigned char *rows,
                                   size_t row, struct extras extras)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    out->count = 0;
    png_set_write_fn(png, out, collect, flush);
    png_set_IHDR(png, info, W, H, depth, type, interlace, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (type == PNG_COLOR_TYPE_PALETTE) {
        png_color colours[4] = {{1, 2, 3}, {40, 50, 60}, {255, 0, 128}, {9, 8, 7}};
        png_byte alpha[4] = {0, 128, 255, 3};
        png_set_PLTE(png, info, colours, 4);
        png_set_tRNS(png, info, alpha, 4, NULL);
    }
    if (extras.bits) {
        const png_byte b = (png_byte)extras.bits;
        const png_color_8 bits = {b, b, b, b, b};
        png_set_sBIT(png, info, &bits);
    }
    if (extras.clear_grey) {
        const png_color_16 shade = {.gray = (png_uint_16)extras.clear_grey};
        png_set_tRNS(png, info, NULL, 1, &shade);
    }
    if (extras.exif)
        png_set_eXIf_1(png, info, (png_uint_32)extras.exif_bytes, (png_bytep)(uintptr_t)extras.exif);
    if (extras.key) {
        const png_text text = {
            .compression = PNG_TEXT_COMPRESSION_zTXt,
            .key = (char *)(uintptr_t)extras.key,
            .text = (char *)(uintptr_t)extras.text,
            .text_length = strlen(extras.text),
        };
        png_set_text(png, info, &text, 1);
    }
    png_write_info(png, info);
    png_bytep pointers[H];
    for (size_t y = 0; y < H; ++y)
        pointers[y] = (png_bytep)(uintptr_t)(rows + y * row);
    png_write_image(png, pointers);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
}

static inline void encode_png(struct bytes *out, int type, int depth, int interlace, const unsigned char *rows,
                              size_t row)
{
    encode_png_with(out, type, depth, interlace, rows, row, plain);
}

/* Rows of samples; flat colours JPEG keeps to within rounding. */
static inline void encode_jpeg_rows(struct bytes *out, J_COLOR_SPACE space, int components, int progressive,
                                    const unsigned char *rows, struct extras extras)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char *data = NULL;
    unsigned long count = 0;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &data, &count);
    jpeg.image_width = W;
    jpeg.image_height = H;
    jpeg.input_components = components;
    jpeg.in_color_space = space;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 95, TRUE);
    if (extras.stored)
        jpeg_set_colorspace(&jpeg, space);
    jpeg.arith_code = extras.arithmetic;
    if (progressive)
        jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    if (extras.exif) {
        unsigned char marker[6 + 256] = "Exif\0";
        cr_assert_leq(extras.exif_bytes, sizeof marker - 6);
        memcpy(marker + 6, extras.exif, extras.exif_bytes);
        jpeg_write_marker(&jpeg, JPEG_APP0 + 1, marker, (unsigned)(6 + extras.exif_bytes));
    }
    for (int y = 0; y < H; ++y)
        jpeg_write_scanlines(&jpeg, (JSAMPROW[]){(JSAMPROW)(uintptr_t)(rows + y * W * components)}, 1);
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    cr_assert_leq(count, sizeof out->data);
    memcpy(out->data, data, count);
    out->count = count;
    free(data);
}

static inline void encode_jpeg(struct bytes *out, J_COLOR_SPACE space, int components, int progressive,
                               const unsigned char *colour)
{
    unsigned char rows[H * W * 4];
    for (int i = 0; i < H * W * components; ++i)
        rows[i] = colour[i % components];
    encode_jpeg_rows(out, space, components, progressive, rows, plain);
}

/* EXIF data with one entry: orientation, of that type and count. Returns their size. */
static inline size_t make_exif(unsigned char exif[64], int big_endian, unsigned type, unsigned count, unsigned value)
{
    const unsigned char head[2][8] = {{'I', 'I', '*', 0, 8, 0, 0, 0}, {'M', 'M', 0, '*', 0, 0, 0, 8}};
    const unsigned numbers[5] = {1, 0x112, type, count, value};
    const int widths[5] = {2, 2, 2, 4, type == 1 ? 1 : type == 3 ? 2 : 4};
    size_t at = 8;
    memset(exif, 0, 64);
    memcpy(exif, head[big_endian], 8);
    for (int k = 0; k < 5; ++k)
        for (int i = 0; i < widths[k]; ++i)
            exif[at++] = (unsigned char)(numbers[k] >> 8 * (big_endian ? widths[k] - 1 - i : i));
    return 8 + 2 + 12 + 4;
}

#endif
