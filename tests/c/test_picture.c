/* SPDX-License-Identifier: Apache-2.0 */
/* What files say about their pixels: EXIF's orientation, significant bits, transparency; and masks as labels. */
#include "exif.h"
#include "image.h"
#include "labels.h"

#include "pictures.h"

static char error[4096];
static struct msagen_image_facts facts;

static struct msagen_tensor *decode(const struct bytes *file, int bits)
{
    error[0] = '\0';
    return msagen_image_parse(file->data, file->count, "a.png", bits, &facts, error, sizeof error);
}

/* Where pixel (x, y) of the picture as it is shown is stored, by EXIF's own words: which side the first row and column
 * are. */
static void stored_at(int orientation, size_t x, size_t y, size_t *column, size_t *row)
{
    static const struct {
        int swapped;                 /* rows are columns */
        int from_right, from_bottom; /* of what is shown, the first column or row lies there */
    } sides[9] = {{0}, {0, 0, 0}, {0, 1, 0}, {0, 1, 1}, {0, 0, 1}, {1, 0, 0}, {1, 1, 0}, {1, 1, 1}, {1, 0, 1}};
    const size_t width = sides[orientation].swapped ? H : W, height = sides[orientation].swapped ? W : H;
    const size_t u = sides[orientation].from_right ? width - 1 - x : x,
                 v = sides[orientation].from_bottom ? height - 1 - y : y;
    *column = sides[orientation].swapped ? v : u;
    *row = sides[orientation].swapped ? u : v;
}

static unsigned char noise(size_t i)
{
    return (unsigned char)(i * 73 + (i >> 3) * 29 + 5);
}

static void assert_turned(const struct bytes *file, const unsigned char *stored, int orientation, int tolerance)
{
    struct msagen_tensor *t = decode(file, 0);
    cr_assert_not_null(t, "%s", error);
    const size_t width = orientation > 4 ? H : W, height = orientation > 4 ? W : H;
    cr_assert(t->shape[0] == (int64_t)height && t->shape[1] == (int64_t)width && t->shape[2] == 3);
    for (size_t y = 0; y < height; ++y)
        for (size_t x = 0; x < width; ++x) {
            size_t column, row;
            stored_at(orientation, x, y, &column, &row);
            for (size_t c = 0; c < 3; ++c)
                cr_assert_leq(abs(t->storage->data[(y * width + x) * 3 + c] - stored[(row * W + column) * 3 + c]),
                              tolerance);
        }
    cr_assert_eq(facts.orientation, orientation);
    char expected[64];
    snprintf(expected, sizeof expected, "turned by its EXIF orientation %d, to %zux%zu\n", orientation, width, height);
    cr_assert_str_eq(facts.notes, orientation == 1 ? "" : expected);
    msagen_tensor_free(t);
}

Test(picture, exif_turns_png_and_jpeg)
{
    static struct bytes file;
    unsigned char rows[H * W * 3], smooth[H * W * 3], exif[64];
    for (size_t i = 0; i < sizeof rows; ++i) {
        rows[i] = noise(i);
        smooth[i] = (unsigned char)(20 * (i / 3 % W) + 3 * (i / 3 / W)); /* JPEG blurs */
    }
    static const unsigned types[3] = {3, 4, 1};
    for (unsigned orientation = 1; orientation <= 8; ++orientation)
        for (int kind = 0; kind < 3; ++kind) {
            struct extras extras = {.exif = exif, .exif_bytes = make_exif(exif, kind % 2, types[kind], 1, orientation)};
            encode_png_with(&file, PNG_COLOR_TYPE_RGB, 8, kind == 1, rows, W * 3, extras);
            assert_turned(&file, rows, (int)orientation, 0);
            encode_jpeg_rows(&file, JCS_RGB, 3, kind == 2, smooth, extras);
            assert_turned(&file, smooth, (int)orientation, 12);
        }
}

Test(picture, exif_without_a_sense_is_told)
{
    static struct bytes file;
    unsigned char exif[64], rows[H * W] = {255};
    cr_assert_eq(msagen_exif_orientation(exif, make_exif(exif, 0, 3, 1, 0)), 0, "0 is what cameras write for unknown");
    cr_assert_eq(msagen_exif_orientation(exif, make_exif(exif, 0, 3, 1, 9)), -1);
    cr_assert_eq(msagen_exif_orientation(exif, make_exif(exif, 0, 2, 1, 6)), -1);
    cr_assert_eq(msagen_exif_orientation(exif, make_exif(exif, 1, 3, 2, 6)), -1);
    cr_assert_eq(msagen_exif_orientation((const unsigned char *)"II*\0\10\0\0\0\0\0\0\0\0\0", 14), 0, "no entries");
    cr_assert_eq(msagen_exif_orientation((const unsigned char *)"JUNKJUNKJUNK", 12), -1);
    struct extras extras = {.exif = exif, .exif_bytes = make_exif(exif, 0, 3, 1, 77)};
    encode_png_with(&file, PNG_COLOR_TYPE_GRAY, 8, 0, rows, W, extras);
    struct msagen_tensor *t = decode(&file, 0);
    cr_assert_not_null(t);
    cr_assert_str_eq(facts.notes, "its EXIF orientation is damaged: taken as it is stored\n");
    cr_assert_eq(facts.orientation, 1);
    msagen_tensor_free(t);
}

/* The byte after "Exif\0" only pads. */
Test(picture, exif_with_any_pad)
{
    static struct bytes file;
    unsigned char exif[64], rows[H * W] = {255};
    struct extras extras = {.exif = exif, .exif_bytes = make_exif(exif, 0, 3, 1, 6)};
    encode_jpeg_rows(&file, JCS_GRAYSCALE, 1, 0, rows, extras);
    size_t at = 0;
    while (memcmp(file.data + at, "Exif", 5) != 0)
        ++at;
    file.data[at + 5] = 0xff;
    struct msagen_tensor *t = decode(&file, 0);
    cr_assert(t && facts.orientation == 6, "%s", error);
    msagen_tensor_free(t);
}

/* As ImageMagick kept it before PNG had a chunk for it. */
Test(picture, exif_as_text_in_png)
{
    static struct bytes file;
    unsigned char marker[70] = "Exif\0", rows[H * W] = {255};
    static char text[256];
    static const char *const keys[] = {"Raw profile type exif", "Raw profile type APP1", "Comment"};
    const size_t bytes = 6 + make_exif(marker + 6, 1, 3, 1, 8);
    size_t used = (size_t)snprintf(text, sizeof text, "\nexif\n%8zu\n", bytes);
    for (size_t i = 0; i < bytes; ++i)
        used += (size_t)snprintf(text + used, sizeof text - used, i % 36 == 35 ? "%02x\n" : "%02X", marker[i]);
    for (int k = 0; k < 3; ++k) {
        encode_png_with(&file, PNG_COLOR_TYPE_GRAY, 8, 0, rows, W, (struct extras){.key = keys[k], .text = text});
        struct msagen_tensor *t = decode(&file, 0);
        cr_assert(t && facts.orientation == (k < 2 ? 8 : 1), "%s: %s", keys[k], error);
        msagen_tensor_free(t);
    }
    for (size_t n = 0; n <= used; ++n) {
        char *copy = malloc(n);
        memcpy(copy, text, n);
        const int orientation = msagen_exif_raw_profile(copy, n);
        cr_assert(orientation == -1 || orientation == 0 || orientation == 8);
        free(copy);
    }
    cr_assert_eq(msagen_exif_raw_profile("\nAPP1\n 4\n68747470\n", 19), 0, "XMP");
}

/* Cut anywhere, any byte changed: never read beyond the end, which memory of just that size lets sanitizers see. */
Test(picture, exif_is_not_trusted)
{
    unsigned char exif[64];
    const size_t bytes = make_exif(exif, 0, 3, 1, 6);
    for (size_t n = 0; n <= bytes; ++n)
        for (size_t at = 0; at < n; ++at)
            for (unsigned value = 0; value < 256; value += 15) {
                unsigned char *copy = malloc(n);
                memcpy(copy, exif, n);
                copy[at] = (unsigned char)value;
                const int orientation = msagen_exif_orientation(copy, n);
                cr_assert(orientation >= -1 && orientation <= 8);
                free(copy);
            }
}

/* Numbers of 12 bits: as medical programs store them, as PNG should, and neither told nor known. */
Test(picture, twelve_of_sixteen_bits)
{
    static struct bytes file;
    unsigned char below[H * W * 2], above[H * W * 2], expected[H * W];
    for (size_t i = 0; i < H * W; ++i) {
        const unsigned n = (unsigned)(i * 53) % 4096;
        expected[i] = (unsigned char)(n >> 4);
        below[2 * i] = (unsigned char)(n >> 8);
        below[2 * i + 1] = (unsigned char)n;
        above[2 * i] = (unsigned char)(n >> 4);
        above[2 * i + 1] = (unsigned char)(n << 4);
    }
    const struct extras told = {.bits = 12};
    for (int way = 0; way < 4; ++way) {
        encode_png_with(&file, PNG_COLOR_TYPE_GRAY, 16, 0, way == 1 ? above : below, W * 2, way < 2 ? told : plain);
        struct msagen_tensor *t = decode(&file, way == 2 ? 12 : 0);
        if (way == 3) {
            cr_assert_null(t);
            cr_assert_not_null(
                strstr(error, "a.png: expected 16-bit values that use their range, found none above 4028"), "%s",
                error);
            cr_assert_not_null(strstr(error, "--image-bits N (12 or more)"));
            continue;
        }
        cr_assert_not_null(t, "%s", error);
        for (size_t i = 0; i < H * W * 3; ++i)
            cr_assert_eq(t->storage->data[i], expected[i / 3], "way %d", way);
        cr_assert_eq(strstr(facts.notes, "as its sBIT tells") != NULL, way == 0, "%s", facts.notes);
        msagen_tensor_free(t);
    }
    encode_png(&file, PNG_COLOR_TYPE_GRAY, 16, 0, below, W * 2);
    struct msagen_tensor *t = decode(&file, 16);
    cr_assert(t && t->storage->data[3 * 76] == below[2 * 76], "as they are, on demand");
    msagen_tensor_free(t);
    cr_assert_null(decode(&file, 11));
    cr_assert_not_null(strstr(error, "--image-bits 11: expected values below 2048, found 4028"), "%s", error);
    encode_png(&file, PNG_COLOR_TYPE_GRAY, 8, 0, expected, W);
    cr_assert_null(decode(&file, 12));
    cr_assert_not_null(strstr(error, "expected a PNG of 16 bits, found 8"), "%s", error);
}

/* Half of the range or less is for a person to explain, and one bit that is said to be missing explains nothing. */
Test(picture, thirteen_to_fifteen_of_sixteen_bits)
{
    static struct bytes file;
    unsigned char rows[H * W * 2];
    for (int bits = 13; bits <= 16; ++bits) {
        char remedy[64];
        snprintf(remedy, sizeof remedy, "--image-bits N (%d or more)", bits);
        for (size_t i = 0; i < H * W; ++i) {
            const unsigned v = (1u << bits) - 1u - (unsigned)i * 9;
            rows[2 * i] = (unsigned char)(v >> 8);
            rows[2 * i + 1] = (unsigned char)v;
        }
        for (int told = 0; told < 3; ++told) {
            const int right = told == 1 && bits < 15; /* else: not told, or one bit too many */
            const struct extras extras = {.bits = told == 0 ? 0 : told == 1 ? bits : bits < 16 ? bits + 1 : 12};
            encode_png_with(&file, PNG_COLOR_TYPE_GRAY, 16, 0, rows, W * 2, extras);
            struct msagen_tensor *t = decode(&file, 0);
            if (bits == 16 || right || (told == 2 && bits == 13)) {
                cr_assert(t && t->storage->data[0] == (told == 2 && bits == 13 ? 127 : 255), "%d bits", bits);
                msagen_tensor_free(t);
                continue;
            }
            cr_assert(!t && strstr(error, ": expected 16-bit values that use their range, found none above "));
            cr_assert_not_null(strstr(error, remedy), "%s", error);
            t = decode(&file, bits);
            cr_assert(t && t->storage->data[0] == 255);
            msagen_tensor_free(t);
        }
    }
}

/* A dark picture of 14 bits that PNG's rules were kept for is not made brighter; a picture of 8 bits multiplied by 16,
 * whose lower bits tell nothing, is. */
Test(picture, bits_that_may_lie_above_or_below)
{
    static struct bytes file;
    unsigned char rows[H * W * 2];
    for (size_t i = 0; i < H * W; ++i) {
        const unsigned v = (unsigned)i * 40 * 4;
        rows[2 * i] = (unsigned char)(v >> 8);
        rows[2 * i + 1] = (unsigned char)v;
    }
    encode_png_with(&file, PNG_COLOR_TYPE_GRAY, 16, 0, rows, W * 2, (struct extras){.bits = 14});
    struct msagen_tensor *t = decode(&file, 0);
    cr_assert(t && t->storage->data[3 * 76] == rows[2 * 76], "%s", error);
    cr_assert_not_null(strstr(facts.notes, "16-bit values up to 12160"), "%s", facts.notes);
    msagen_tensor_free(t);
    for (size_t i = 0; i < H * W; ++i) {
        rows[2 * i] = (unsigned char)(i * 3 >> 4);
        rows[2 * i + 1] = (unsigned char)(i * 3 << 4);
    }
    encode_png_with(&file, PNG_COLOR_TYPE_GRAY, 16, 0, rows, W * 2, (struct extras){.bits = 12});
    t = decode(&file, 0);
    cr_assert(t && t->storage->data[3 * 70] == 210, "%s", error);
    msagen_tensor_free(t);
}

Test(picture, sixteen_bits_of_every_kind)
{
    static struct bytes file;
    static const int types[] = {0, PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                                PNG_COLOR_TYPE_RGBA};
    unsigned char rows[H * W * 8];
    for (size_t channels = 1; channels <= 4; ++channels) {
        const size_t colours = channels < 3 ? 1 : 3;
        for (size_t i = 0; i < H * W * channels; ++i) {
            const unsigned v = i % channels == colours ? 65535 : (unsigned)(i * 7) % 1024;
            rows[2 * i] = (unsigned char)(v >> 8);
            rows[2 * i + 1] = (unsigned char)v;
        }
        encode_png_with(&file, types[channels], 16, 0, rows, W * channels * 2, (struct extras){.bits = 10});
        struct msagen_tensor *t = decode(&file, 0);
        cr_assert_not_null(t, "%s", error);
        for (size_t i = 0; i < H * W; ++i)
            for (size_t c = 0; c < 3; ++c)
                cr_assert_eq(t->storage->data[3 * i + c], (i * channels + (colours == 1 ? 0 : c)) * 7 % 1024 >> 2,
                             "%zu channels", channels);
        msagen_tensor_free(t);
        encode_png(&file, types[channels], 16, 0, rows, W * channels * 2);
        cr_assert_null(decode(&file, 0), "%zu channels", channels);
    }
}

Test(picture, what_is_dark_or_transparent_is_told)
{
    static struct bytes file;
    unsigned char rows[H * W * 4];
    for (size_t i = 0; i < sizeof rows; ++i)
        rows[i] = (unsigned char)(i % 4 == 3 ? (i == 3 ? 0 : 255) : 200);
    encode_png(&file, PNG_COLOR_TYPE_RGBA, 8, 0, rows, W * 4);
    struct msagen_tensor *t = decode(&file, 0);
    cr_assert(t && t->storage->data[0] == 200);
    cr_assert_str_eq(facts.notes, "1 pixels are not opaque: their colours are taken, their transparency is not\n");
    msagen_tensor_free(t);
    for (size_t i = 0; i < H * W; ++i)
        rows[i] = (unsigned char)(i % 16);
    encode_png(&file, PNG_COLOR_TYPE_GRAY, 8, 0, rows, W);
    t = decode(&file, 0);
    cr_assert_str_eq(facts.notes, "the brightest value is 15 of 255: the picture is nearly black\n");
    msagen_tensor_free(t);
}

/* ---- labels ---- */

static struct msagen_labels labels;

static struct msagen_tensor *label(const struct bytes *file)
{
    error[0] = '\0';
    struct msagen_tensor *t = msagen_labels_parse(file->data, file->count, "m.png", &labels, error, sizeof error);
    cr_assert_not_null(t, "%s", error);
    return t;
}

static int32_t label_at(const struct msagen_tensor *t, int64_t i)
{
    return (int32_t)msagen_tensor_at_flat(t, i);
}

Test(labels, kinds_of_pictures)
{
    static struct bytes file;
    unsigned char rows[H * W * 4];
    for (size_t i = 0; i < H * W; ++i) {
        rows[2 * i] = 0;
        rows[2 * i + 1] = i < 20 ? 3 : 0;
    }
    encode_png(&file, PNG_COLOR_TYPE_GRAY, 16, 0, rows, W * 2);
    struct msagen_tensor *t = label(&file);
    cr_assert(labels.kind == MSAGEN_LABELS_GREY && labels.most == 65535 && labels.distinct == 2 && label_at(t, 19) == 3,
              "16 bits keep the lower ones");
    cr_assert(labels.list[0].label == 0 && labels.list[0].count == H * W - 20 && labels.list[1].count == 20);
    msagen_tensor_free(t);

    for (size_t i = 0; i < H * W; ++i) {
        rows[2 * i] = 255;
        rows[2 * i + 1] = i < 20 ? 255 : 0;
    }
    encode_png(&file, PNG_COLOR_TYPE_GRAY_ALPHA, 8, 0, rows, W * 2);
    t = label(&file);
    cr_assert(labels.kind == MSAGEN_LABELS_ALPHA && label_at(t, 19) == 255 && label_at(t, 20) == 0,
              "one colour: its opacity is the mask");
    msagen_tensor_free(t);

    for (size_t i = 0; i < H * W; ++i)
        memcpy(rows + 4 * i, (const unsigned char[]){(unsigned char)(i < 20 ? 200 : 9), 10, 10, i < 30 ? 255 : 0}, 4);
    encode_png(&file, PNG_COLOR_TYPE_RGBA, 8, 0, rows, W * 4);
    t = label(&file);
    cr_assert(labels.kind == MSAGEN_LABELS_COLOUR && labels.distinct == 3);
    cr_assert_eq(label_at(t, 0), MSAGEN_LABEL_COLOUR + 200 * 65536 + 10 * 256 + 10);
    cr_assert_eq(label_at(t, 40), MSAGEN_LABEL_COLOUR, "transparent is black");
    msagen_tensor_free(t);

    memset(rows, 0x1b,
           sizeof rows); /* palette entries 0, 1, 2, 3, of which the first and last are rather transparent */
    encode_png(&file, PNG_COLOR_TYPE_PALETTE, 2, 0, rows, 3);
    t = label(&file);
    cr_assert(labels.kind == MSAGEN_LABELS_COLOUR && label_at(t, 0) == MSAGEN_LABEL_COLOUR);
    cr_assert_eq(label_at(t, 2), MSAGEN_LABEL_COLOUR + 255 * 65536 + 128);
    msagen_tensor_free(t);

    memset(rows, 0xf0, sizeof rows);
    encode_png(&file, PNG_COLOR_TYPE_GRAY, 1, 0, rows, 2);
    t = label(&file);
    cr_assert(labels.kind == MSAGEN_LABELS_GREY && label_at(t, 0) == 255 && label_at(t, 4) == 0);
    msagen_tensor_free(t);
}

Test(labels, are_turned_as_images_are)
{
    static struct bytes file;
    unsigned char rows[H * W] = {0}, exif[64];
    rows[W - 1] = 1;
    struct extras extras = {.exif = exif, .exif_bytes = make_exif(exif, 1, 3, 1, 6)};
    encode_png_with(&file, PNG_COLOR_TYPE_GRAY, 8, 0, rows, W, extras);
    struct msagen_tensor *t = label(&file);
    cr_assert(t->shape[0] == W && t->shape[1] == H && labels.orientation == 6);
    cr_assert_eq(label_at(t, W * H - 1), 1, "the upper right corner is the lower right one");
    msagen_tensor_free(t);
}

Test(labels, jpeg_of_black_and_white_is_grey_and_has_no_areas_between)
{
    static struct bytes file;
    unsigned char rows[H * W * 3];
    for (size_t i = 0; i < H * W; ++i)
        memset(rows + 3 * i, i % W < 6 ? 255 : 0, 3);
    encode_jpeg_rows(&file, JCS_RGB, 3, 0, rows, plain);
    struct msagen_tensor *t = label(&file);
    cr_assert(labels.lossy && labels.kind == MSAGEN_LABELS_GREY && !labels.flat);
    for (int64_t i = 0; i < H * W; ++i)
        cr_assert_eq(label_at(t, i) > 127, i % W < 6);
    msagen_tensor_free(t);
    encode_jpeg(&file, JCS_GRAYSCALE, 1, 0, (const unsigned char[]){120});
    t = label(&file);
    cr_assert(labels.lossy && labels.flat, "an area of grey");
    msagen_tensor_free(t);
    encode_jpeg(&file, JCS_RGB, 3, 0, (const unsigned char[]){200, 0, 0});
    t = label(&file);
    cr_assert_eq(labels.kind, MSAGEN_LABELS_COLOUR);
    msagen_tensor_free(t);
}

Test(labels, many_are_counted_to_an_end)
{
    struct msagen_tensor *numbers = msagen_tensor_zeros("n.npy", MSAGEN_I32, 2, (int64_t[]){100, 100});
    for (int32_t i = 0; i < 10000; ++i)
        memcpy((void *)(uintptr_t)(numbers->storage->data + 4 * i), &(int32_t){i < 3000 ? 7 : i}, 4);
    struct msagen_tensor *t = msagen_labels_of(numbers, 0, &labels, error, sizeof error);
    cr_assert(t && labels.distinct == MSAGEN_LABELS_COUNTED && labels.listed == MSAGEN_LABELS_LISTED);
    cr_assert(labels.list[0].label == 7 && labels.list[0].count == 3000 && labels.most == 9999);
    int64_t pixels;
    struct msagen_tensor *mask =
        msagen_labels_inside(t, (const struct msagen_label_range[]){{7, 7}, {5000, 5009}}, 2, &pixels);
    cr_assert(mask && pixels == 3010 && mask->storage->data[5005] == 255 && mask->storage->data[5010] == 0);
    msagen_tensor_free(mask);
    msagen_tensor_free(t);
    msagen_tensor_free(numbers);
}
