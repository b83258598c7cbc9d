/* SPDX-License-Identifier: Apache-2.0 */
/* PNG and JPEG files as they are stored. The libraries report errors by jumping back to decode_*; everything that must
 * be freed then lives in the structure they share. */
#include "picture.h"

#include "exif.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>
#include <png.h>

/* Progressive files may repeat scans without end; real ones have about ten. */
enum { SCANS_MAX = 500, MESSAGE = 256, EXIF_MARKER = JPEG_APP0 + 1 };

struct decoder {
    jmp_buf failed;
    const unsigned char *data;
    size_t bytes, at;
    struct msagen_picture *picture;
    png_bytep *rows;
    png_structp png;
    png_infop png_info, png_end;
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr jpeg_error;
    struct jpeg_progress_mgr jpeg_progress;
    char message[MESSAGE];
};

/* 1 if the size is within limits; else the message says why not. */
static int check_size(struct decoder *d, uint32_t width, uint32_t height)
{
    if (width < 1 || height < 1 || width > MSAGEN_IMAGE_SIDE || height > MSAGEN_IMAGE_SIDE) {
        snprintf(d->message, sizeof d->message, "expected 1 to %d pixels a side, found %lu x %lu", MSAGEN_IMAGE_SIDE,
                 (unsigned long)width, (unsigned long)height);
        return 0;
    }
    return 1;
}

/* 1 if there is memory for samples of that kind. */
static int make_samples(struct decoder *d, uint32_t width, uint32_t height, size_t channels, size_t bytes)
{
    struct msagen_picture *p = d->picture;
    const size_t row = width * channels * bytes;
    p->width = width;
    p->height = height;
    p->channels = channels;
    p->bytes = bytes;
    p->samples = malloc(row * height);
    d->rows = malloc(height * sizeof *d->rows);
    if (!p->samples || !d->rows) {
        snprintf(d->message, sizeof d->message, "out of memory");
        return 0;
    }
    for (size_t y = 0; y < height; ++y)
        d->rows[y] = p->samples + y * row;
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

/* Chunks that libpng does not know; acTL begins an animation. */
static int png_other_chunk(png_structp png, png_unknown_chunkp chunk)
{
    struct decoder *d = png_get_user_chunk_ptr(png);
    if (memcmp(chunk->name, "acTL", 4) == 0)
        d->picture->animated = 1;
    return 1;
}

static void png_significant_bits(struct decoder *d, int type)
{
    png_color_8p bits;
    if (!png_get_sBIT(d->png, d->png_info, &bits))
        return;
    int *to = d->picture->bits;
    if (type & PNG_COLOR_MASK_COLOR) {
        to[0] = bits->red;
        to[1] = bits->green;
        to[2] = bits->blue;
    } else {
        to[0] = bits->gray;
    }
}

static void png_orientation(struct decoder *d)
{
    png_uint_32 bytes;
    png_bytep exif;
    if (png_get_eXIf_1(d->png, d->png_info, &bytes, &exif) || png_get_eXIf_1(d->png, d->png_end, &bytes, &exif)) {
        d->picture->orientation = msagen_exif_orientation(exif, bytes);
        return;
    }
    /* Before PNG had a chunk for it, ImageMagick kept EXIF as text. */
    const png_infop infos[] = {d->png_info, d->png_end};
    for (size_t i = 0; i < 2; ++i) {
        png_textp text;
        const int count = png_get_text(d->png, infos[i], &text, NULL);
        for (int k = 0; k < count && d->picture->orientation == 0; ++k)
            if (strcmp(text[k].key, "Raw profile type exif") == 0 || strcmp(text[k].key, "Raw profile type APP1") == 0)
                d->picture->orientation = msagen_exif_raw_profile(text[k].text, text[k].text_length);
    }
}

static int decode_png(struct decoder *d)
{
    if (setjmp(d->failed))
        return 0;
    d->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, d, png_failed, png_warned);
    d->png_info = d->png ? png_create_info_struct(d->png) : NULL;
    d->png_end = d->png_info ? png_create_info_struct(d->png) : NULL;
    if (!d->png_end) {
        snprintf(d->message, sizeof d->message, "out of memory");
        return 0;
    }
    png_set_user_limits(d->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX); /* ours are checked below, and say more */
    png_set_read_user_chunk_fn(d->png, d, png_other_chunk);
    png_set_read_fn(d->png, d, png_take);
    png_read_info(d->png, d->png_info);
    const png_uint_32 width = png_get_image_width(d->png, d->png_info),
                      height = png_get_image_height(d->png, d->png_info);
    const int depth = png_get_bit_depth(d->png, d->png_info), type = png_get_color_type(d->png, d->png_info);
    if (!check_size(d, width, height))
        return 0;
    png_set_palette_to_rgb(d->png);
    png_set_expand_gray_1_2_4_to_8(d->png);
    if (png_get_valid(d->png, d->png_info, PNG_INFO_tRNS))
        png_set_tRNS_to_alpha(d->png);
    png_set_interlace_handling(d->png);
    if (depth >= 8 && type != PNG_COLOR_TYPE_PALETTE)
        png_significant_bits(d, type);
    png_read_update_info(d->png, d->png_info);
    if (!make_samples(d, width, height, png_get_channels(d->png, d->png_info), depth == 16 ? 2 : 1))
        return 0;
    if (png_get_rowbytes(d->png, d->png_info) != width * d->picture->channels * d->picture->bytes)
        png_error(d->png, "unknown kind of pixels");
    png_read_image(d->png, d->rows);
    png_read_end(d->png, d->png_end);
    png_orientation(d);
    return 1;
}

/* ---- JPEG ---- */

static void jpeg_failed(j_common_ptr jpeg)
{
    struct decoder *d = jpeg->client_data;
    char why[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, why);
    switch (jpeg->err->msg_code) {
    case JERR_BAD_PRECISION:
    case JERR_SOF_UNSUPPORTED:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_ARITH_NOTIMPL:
        snprintf(d->message, sizeof d->message, "expected a grey or RGB JPEG of 8 bits, found another kind: %.180s",
                 why);
        break;
    default:
        snprintf(d->message, sizeof d->message, "damaged JPEG: %.200s", why);
    }
    longjmp(d->failed, 1);
}

/* Where data are missing or make no sense libjpeg warns and goes on with grey pixels; a segmentation of those is worse
 * than none. These warnings touch no pixel. */
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

/* Of the first marker that says it is EXIF. */
static void jpeg_orientation(struct decoder *d)
{
    for (jpeg_saved_marker_ptr m = d->jpeg.marker_list; m; m = m->next)
        if (m->marker == EXIF_MARKER && msagen_exif_head(m->data, m->data_length)) {
            d->picture->orientation = msagen_exif_orientation(m->data, m->data_length);
            return;
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
    jpeg_save_markers(&d->jpeg, EXIF_MARKER, 0xffff);
    jpeg_read_header(&d->jpeg, TRUE);
    if (d->jpeg.jpeg_color_space == JCS_CMYK || d->jpeg.jpeg_color_space == JCS_YCCK) {
        snprintf(d->message, sizeof d->message, "expected grey or RGB, found a CMYK JPEG");
        return 0;
    }
    const size_t channels = d->jpeg.jpeg_color_space == JCS_GRAYSCALE ? 1 : 3;
    if (!check_size(d, d->jpeg.image_width, d->jpeg.image_height) ||
        !make_samples(d, d->jpeg.image_width, d->jpeg.image_height, channels, 1))
        return 0;
    d->picture->jpeg = 1;
    jpeg_orientation(d);
    d->jpeg.out_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(&d->jpeg);
    while (d->jpeg.output_scanline < d->jpeg.output_height)
        jpeg_read_scanlines(&d->jpeg, d->rows + d->jpeg.output_scanline, 1);
    jpeg_finish_decompress(&d->jpeg);
    return 1;
}

/* ---- both ---- */

/* What a file is that is neither PNG nor JPEG, by its first bytes. */
static const char *other_format(const unsigned char *data, size_t bytes)
{
    static const struct {
        size_t at, length;
        const char *magic, *name;
    } known[] = {
        {128, 4, "DICM", "DICOM"},
        {0, 4, "II*\0", "TIFF"},
        {0, 4, "MM\0*", "TIFF"},
        {0, 4, "GIF8", "GIF"},
        {0, 2, "BM", "BMP"},
        {8, 4, "WEBP", "WebP"},
        {4, 4, "ftyp", "HEIF or a video"},
        {344, 3, "n+1", "NIfTI"},
        {344, 3, "ni1", "NIfTI"},
        {0, 2, "\x1f\x8b", "something compressed by gzip"},
        {0, 2, "PK", "ZIP"},
        {0, 4, "%PDF", "PDF"},
        {0, 4, "\0\0\0\x0c", "JPEG 2000"},
        {0, 4, "NRRD", "NRRD"},
        {0, 6, "\x93NUMPY", "NPY"},
    };
    if (bytes == 0)
        return "an empty file";
    for (size_t i = 0; i < sizeof known / sizeof known[0]; ++i)
        if (bytes >= known[i].at + known[i].length && memcmp(data + known[i].at, known[i].magic, known[i].length) == 0)
            return known[i].name;
    return "neither";
}

int msagen_picture_parse(struct msagen_picture *picture, const unsigned char *data, size_t bytes, const char *name,
                         char *error, size_t error_bytes)
{
    static const unsigned char png_magic[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    const int png = bytes >= sizeof png_magic && memcmp(data, png_magic, sizeof png_magic) == 0;
    const int jpeg = bytes >= 3 && data[0] == 0xff && data[1] == 0xd8 && data[2] == 0xff;
    *picture = (struct msagen_picture){0};
    if (!png && !jpeg) {
        snprintf(error, error_bytes, "%s: expected a PNG or JPEG image, found %s", name, other_format(data, bytes));
        return -1;
    }
    struct decoder *d = calloc(1, sizeof *d);
    if (!d) {
        snprintf(error, error_bytes, "%s: out of memory", name);
        return -1;
    }
    d->data = data;
    d->bytes = bytes;
    d->picture = picture;
    const int good = png ? decode_png(d) : decode_jpeg(d);
    if (!good) {
        snprintf(error, error_bytes, "%s: %s", name, d->message);
        msagen_picture_free(picture);
    }
    if (png) {
        png_destroy_info_struct(d->png, &d->png_end);
        png_destroy_read_struct(&d->png, &d->png_info, NULL);
    } else {
        jpeg_destroy_decompress(&d->jpeg);
    }
    free(d->rows);
    free(d);
    return good ? 0 : -1;
}

void msagen_picture_free(struct msagen_picture *picture)
{
    free(picture->samples);
    picture->samples = NULL;
}

struct msagen_view msagen_picture_view(const struct msagen_picture *p)
{
    const ptrdiff_t w = p->width, h = p->height, last = w * h - 1;
    const struct msagen_view views[8] = {
        {p->width, p->height, 0, 1, w},
        {p->width, p->height, w - 1, -1, w}, /* 1 as it is; 2 mirrored */
        {p->width, p->height, last, -1, -w},
        {p->width, p->height, w * (h - 1), 1, -w}, /* 3 upside down; 4 and mirrored */
        {p->height, p->width, 0, w, 1},
        {p->height, p->width, w * (h - 1), -w, 1}, /* 5 transposed; 6 turned right */
        {p->height, p->width, last, -w, -1},
        {p->height, p->width, w - 1, w, -1}, /* 7 both; 8 turned left */
    };
    return views[p->orientation > 0 ? p->orientation - 1 : 0];
}
