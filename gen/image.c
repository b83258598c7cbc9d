/* SPDX-License-Identifier: Apache-2.0 */
/* PNG and JPEG images as 8-bit RGB. The libraries report errors by jumping back to decode_* and encode_png below; everything
 * that must be freed then lives in the structure they share. */
#include "image.h"

#include "infile.h"
#include "outfile.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>
#include <png.h>

/* Progressive files may repeat scans without end; real ones have about ten. */
enum { SCANS_MAX = 500, MESSAGE = 256 };

struct decoder {
    jmp_buf failed;
    const unsigned char *data;
    size_t bytes, at;
    const char *name;
    struct msagen_tensor *image;
    png_bytep *rows;
    png_structp png;
    png_infop png_info;
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr jpeg_error;
    struct jpeg_progress_mgr jpeg_progress;
    char message[MESSAGE];
};

/* 1 if the size is within limits and memory for it is there; else the message says why not. */
static int make_image(struct decoder *d, uint32_t width, uint32_t height)
{
    if (width < 1 || height < 1 || width > MSAGEN_IMAGE_SIDE || height > MSAGEN_IMAGE_SIDE) {
        snprintf(d->message, sizeof d->message, "1 to %d pixels a side expected, found %lu x %lu", MSAGEN_IMAGE_SIDE,
                 (unsigned long)width, (unsigned long)height);
        return 0;
    }
    d->image = msagen_tensor_zeros(d->name, MSAGEN_U8, 3, (int64_t[]){height, width, 3});
    d->rows = malloc(height * sizeof *d->rows);
    if (!d->image || !d->rows) {
        snprintf(d->message, sizeof d->message, "out of memory");
        return 0;
    }
    unsigned char *pixels = (unsigned char *)(uintptr_t)d->image->storage->data;
    for (size_t y = 0; y < height; ++y)
        d->rows[y] = pixels + y * width * 3;
    return 1;
}

/* ---- PNG ---- */

static void png_failed(png_structp png, png_const_charp why)
{
    struct decoder *d = png_get_error_ptr(png);
    snprintf(d->message, sizeof d->message, "damaged PNG: %s", why);
    longjmp(d->failed, 1);
}

static void png_warned(png_structp png, png_const_charp why)
{
    (void)png;
    (void)why;
}

static void png_take(png_structp png, png_bytep out, size_t bytes)
{
    struct decoder *d = png_get_io_ptr(png);
    if (bytes > d->bytes - d->at)
        png_error(png, "the file ends too early");
    memcpy(out, d->data + d->at, bytes);
    d->at += bytes;
}

/* libpng is told to turn everything into 8-bit RGB. */
static int decode_png(struct decoder *d)
{
    if (setjmp(d->failed))
        return 0;
    d->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, d, png_failed, png_warned);
    d->png_info = d->png ? png_create_info_struct(d->png) : NULL;
    if (!d->png_info) {
        snprintf(d->message, sizeof d->message, "out of memory");
        return 0;
    }
    png_set_user_limits(d->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX); /* ours are checked below, and say more */
    png_set_read_fn(d->png, d, png_take);
    png_read_info(d->png, d->png_info);
    if (!make_image(d, png_get_image_width(d->png, d->png_info), png_get_image_height(d->png, d->png_info)))
        return 0;
    png_set_strip_16(d->png);
    png_set_palette_to_rgb(d->png);
    png_set_expand_gray_1_2_4_to_8(d->png);
    png_set_gray_to_rgb(d->png);
    png_set_strip_alpha(d->png);
    png_set_interlace_handling(d->png);
    png_read_update_info(d->png, d->png_info);
    if (png_get_rowbytes(d->png, d->png_info) != (size_t)d->image->shape[1] * 3)
        png_error(d->png, "unknown kind of pixels");
    png_read_image(d->png, d->rows);
    png_read_end(d->png, NULL);
    return 1;
}

/* ---- JPEG ---- */

static void jpeg_failed(j_common_ptr jpeg)
{
    struct decoder *d = jpeg->client_data;
    char why[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, why);
    snprintf(d->message, sizeof d->message, "damaged JPEG: %.200s", why);
    longjmp(d->failed, 1);
}

/* Where data are missing or make no sense libjpeg warns and goes on with grey pixels; a segmentation of those is worse than
 * none. These warnings touch no pixel. */
static void jpeg_warned(j_common_ptr jpeg, int level)
{
    if (level >= 0)
        return;
    switch (jpeg->err->msg_code) {
    case JWRN_ADOBE_XFORM:
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_JFIF_MAJOR:
    case JWRN_TOO_MUCH_DATA:
        return;
    default:
        jpeg_failed(jpeg);
    }
}

static void jpeg_progressed(j_common_ptr jpeg)
{
    struct decoder *d = jpeg->client_data;
    if (d->jpeg.input_scan_number > SCANS_MAX) {
        snprintf(d->message, sizeof d->message, "damaged JPEG: more than %d scans", SCANS_MAX);
        longjmp(d->failed, 1);
    }
}

static int decode_jpeg(struct decoder *d)
{
    if (setjmp(d->failed))
        return 0;
    d->jpeg.err = jpeg_std_error(&d->jpeg_error);
    d->jpeg_error.error_exit = jpeg_failed;
    d->jpeg_error.emit_message = jpeg_warned;
    d->jpeg.client_data = d;
    jpeg_create_decompress(&d->jpeg);
    d->jpeg_progress.progress_monitor = jpeg_progressed;
    d->jpeg.progress = &d->jpeg_progress;
    jpeg_mem_src(&d->jpeg, d->data, (unsigned long)d->bytes);
    jpeg_read_header(&d->jpeg, TRUE);
    if (d->jpeg.jpeg_color_space == JCS_CMYK || d->jpeg.jpeg_color_space == JCS_YCCK) {
        snprintf(d->message, sizeof d->message, "grey or RGB expected, found a CMYK JPEG");
        return 0;
    }
    if (!make_image(d, d->jpeg.image_width, d->jpeg.image_height))
        return 0;
    d->jpeg.out_color_space = JCS_RGB;
    jpeg_start_decompress(&d->jpeg);
    while (d->jpeg.output_scanline < d->jpeg.output_height)
        jpeg_read_scanlines(&d->jpeg, d->rows + d->jpeg.output_scanline, 1);
    jpeg_finish_decompress(&d->jpeg);
    return 1;
}

/* ---- both ---- */

struct msagen_tensor *msagen_image_parse(const unsigned char *data, size_t bytes, const char *name, char *error,
                                         size_t error_bytes)
{
    static const unsigned char png_magic[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    const int png = bytes >= sizeof png_magic && memcmp(data, png_magic, sizeof png_magic) == 0;
    const int jpeg = bytes >= 3 && data[0] == 0xff && data[1] == 0xd8 && data[2] == 0xff;
    if (!png && !jpeg) {
        snprintf(error, error_bytes, "%s: a PNG or JPEG image expected, found neither", name);
        return NULL;
    }
    struct decoder *d = calloc(1, sizeof *d);
    if (!d) {
        snprintf(error, error_bytes, "%s: out of memory", name);
        return NULL;
    }
    d->data = data;
    d->bytes = bytes;
    d->name = name;
    struct msagen_tensor *image = NULL;
    if (png ? decode_png(d) : decode_jpeg(d)) {
        image = d->image;
    } else {
        snprintf(error, error_bytes, "%s: %s", name, d->message);
        msagen_tensor_free(d->image);
    }
    if (png)
        png_destroy_read_struct(&d->png, &d->png_info, NULL);
    else
        jpeg_destroy_decompress(&d->jpeg);
    free(d->rows);
    free(d);
    return image;
}

struct msagen_tensor *msagen_image_read(const char *path, char *error, size_t error_bytes)
{
    struct msagen_buffer *file = msagen_infile_load(path, error, error_bytes);
    if (!file)
        return NULL;
    struct msagen_tensor *image = msagen_image_parse(file->data, file->bytes, path, error, error_bytes);
    msagen_buffer_unref(file);
    return image;
}

struct encoder {
    jmp_buf failed;
    struct msagen_outfile *file;
    png_structp png;
    png_infop info;
    unsigned char *row;
    char message[MESSAGE];
};

static void encode_failed(png_structp png, png_const_charp why)
{
    struct encoder *e = png_get_error_ptr(png);
    snprintf(e->message, sizeof e->message, "%s", why);
    longjmp(e->failed, 1);
}

static void png_give(png_structp png, png_bytep data, size_t bytes)
{
    struct encoder *e = png_get_io_ptr(png);
    msagen_outfile_write(e->file, data, bytes);
}

static void png_flush_nothing(png_structp png)
{
    (void)png;
}

static int encode_png(struct encoder *e, const struct msagen_tensor *t)
{
    const int64_t row = t->shape[1] * (t->dims == 3 ? 3 : 1);
    if (setjmp(e->failed))
        return 0;
    e->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, e, encode_failed, png_warned);
    e->info = e->png ? png_create_info_struct(e->png) : NULL;
    e->row = malloc((size_t)row);
    if (!e->info || !e->row) {
        snprintf(e->message, sizeof e->message, "out of memory");
        return 0;
    }
    png_set_write_fn(e->png, e, png_give, png_flush_nothing);
    png_set_IHDR(e->png, e->info, (png_uint_32)t->shape[1], (png_uint_32)t->shape[0], 8,
                 t->dims == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(e->png, e->info);
    for (int64_t y = 0; y < t->shape[0]; ++y) {
        msagen_tensor_read_raw(t, y * row, row, e->row);
        png_write_row(e->png, e->row);
    }
    png_write_end(e->png, NULL);
    return 1;
}

int msagen_image_write_png(const char *path, const struct msagen_tensor *t, char *error, size_t error_bytes)
{
    if ((t->dtype != MSAGEN_U8 && t->dtype != MSAGEN_BOOL) || t->dims < 2 || t->dims > 3 || (t->dims == 3 && t->shape[2] != 3) ||
        t->shape[0] < 1 || t->shape[1] < 1 || t->shape[0] > MSAGEN_IMAGE_SIDE || t->shape[1] > MSAGEN_IMAGE_SIDE) {
        snprintf(error, error_bytes, "%s: u8 [H,W] or [H,W,3], 1 to %d a side, expected", path, MSAGEN_IMAGE_SIDE);
        return -1;
    }
    struct encoder e = {.file = msagen_outfile_open(path, error, error_bytes)};
    if (!e.file)
        return -1;
    const int good = encode_png(&e, t);
    png_destroy_write_struct(&e.png, &e.info);
    free(e.row);
    if (good)
        return msagen_outfile_finish(e.file, error, error_bytes);
    msagen_outfile_abort(e.file);
    snprintf(error, error_bytes, "%s: cannot be written: %s", path, e.message);
    return -1;
}
