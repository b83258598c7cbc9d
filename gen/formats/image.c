/* SPDX-License-Identifier: Apache-2.0 */
/* PNG and JPEG images as 8-bit RGB, and PNG written. */
#include "image.h"

#include "infile.h"
#include "outfile.h"
#include "picture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

enum { MESSAGE = 256, DARK = 16 };

static void note(struct msagen_image_facts *facts, const char *format, ...) MSAGEN_IMAGE_PRINTF(2, 3);

static void note(struct msagen_image_facts *facts, const char *format, ...)
{
    const size_t used = strlen(facts->notes);
    va_list args;
    va_start(args, format);
    const int length = vsnprintf(facts->notes + used, sizeof facts->notes - used, format, args);
    va_end(args);
    /* A line that does not fit is left out. */
    if (length < 0 || (size_t)length + 1 >= sizeof facts->notes - used)
        facts->notes[used] = '\0';
    else
        strcat(facts->notes, "\n");
}

/* What the samples of a picture's colours are like. */
struct range {
    uint32_t most[4];
    int loose[4];   /* some sample has more bits than the file tells, counted from its highest */
    uint64_t clear; /* pixels that are not opaque */
};

static uint32_t sample(const struct msagen_picture *p, size_t i)
{
    return p->bytes == 1 ? p->samples[i] : (uint32_t)(p->samples[2 * i] << 8 | p->samples[2 * i + 1]);
}

/* Whether v is a number of so many bits as a PNG should store it: its bits first, then zeros or its bits again, or
 * scaled. */
static int stored_from_above(uint32_t v, int bits, int depth)
{
    const int gap = depth - bits;
    const uint32_t full = (1u << depth) - 1u, n = v >> gap, scaled = n * full / ((1u << bits) - 1u);
    return v == n << gap || v == scaled || v == scaled + 1u;
}

static struct range measure(const struct msagen_picture *p)
{
    struct range r = {0};
    const int depth = (int)(8 * p->bytes), alpha = p->channels % 2 == 0;
    const uint32_t opaque = (1u << depth) - 1u;
    const size_t pixels = (size_t)p->width * p->height, colours = p->channels - (size_t)alpha;
    for (size_t i = 0; i < pixels; ++i) {
        for (size_t c = 0; c < colours; ++c) {
            const uint32_t v = sample(p, i * p->channels + c);
            r.most[c] = v > r.most[c] ? v : r.most[c];
            if (p->bits[c] > 0 && p->bits[c] < depth && !r.loose[c])
                r.loose[c] = !stored_from_above(v, p->bits[c], depth);
        }
        r.clear += alpha && sample(p, i * p->channels + colours) != opaque;
    }
    return r;
}

/* Whether the bits that the file tells are the lowest of each sample: a PNG should store them as the highest, but
 * programs for medical images write 12 bits as they are. Where both are possible, because the lowest of those bits are
 * all zero, a picture that would not reach a sixteenth of its range is taken for such a one. */
static int stored_from_below(const struct msagen_picture *p, const struct range *r, size_t colours)
{
    const int depth = (int)(8 * p->bytes);
    int loose = 0, gap = depth;
    for (size_t c = 0; c < colours; ++c) {
        if (p->bits[c] < 1 || p->bits[c] >= depth || r->most[c] >> p->bits[c] != 0)
            return 0;
        loose |= r->loose[c];
        gap = depth - p->bits[c] < gap ? depth - p->bits[c] : gap;
    }
    return loose || gap >= 4;
}

/* Whether the file shows that its values reach half of their range at most because the picture is dark: its sBIT tells
 * that bits are missing, and every value is stored as a PNG should store it. One missing bit shows nothing: any number
 * is then stored so. */
static int told_to_be_dark(const struct msagen_picture *p, const struct range *r, size_t colours)
{
    const int depth = (int)(8 * p->bytes);
    for (size_t c = 0; c < colours; ++c)
        if (p->bits[c] < 1 || p->bits[c] > depth - 2 || r->loose[c])
            return 0;
    return 1;
}

/* Values of 9 to 15 bits in a file of 16: a picture at half of its brightness or less. Whether it is one, or how many
 * bits it has, is for a person to say. */
static void refuse_unused_range(uint32_t most, const char *name, char *error, size_t error_bytes)
{
    int needed = 8;
    while (most >> needed != 0)
        ++needed;
    snprintf(error, error_bytes,
             "%s: expected 16-bit values that use their range, found none above %lu: "
             "--image-bits N (%d or more) scales numbers of N bits, --image-bits 16 takes the values as they are",
             name, (unsigned long)most, needed);
}

/* Where the 8 bits of a sample of each colour lie. */
struct scale {
    int bits[4]; /* the sample's, of which the highest 8 count */
};

/* Decides how samples become 8 bits; 0 where that is not to be decided here, and the error says what to do. */
static int choose_scale(const struct msagen_picture *p, const struct range *r, int bits, struct scale *scale,
                        const char *name, struct msagen_image_facts *facts, char *error, size_t error_bytes)
{
    const int depth = (int)(8 * p->bytes);
    const size_t colours = p->channels - (p->channels % 2 == 0);
    uint32_t most = 0;
    for (size_t c = 0; c < colours; ++c) {
        scale->bits[c] = bits ? bits : depth;
        most = r->most[c] > most ? r->most[c] : most;
    }
    if (bits && depth != 16) {
        snprintf(error, error_bytes, "%s: --image-bits %d: expected a PNG of 16 bits, found %d", name, bits, depth);
        return 0;
    }
    if (bits && most >> bits != 0) {
        snprintf(error, error_bytes, "%s: --image-bits %d: expected values below %lu, found %lu", name, bits,
                 1ul << bits, (unsigned long)most);
        return 0;
    }
    if (!bits && stored_from_below(p, r, colours)) {
        for (size_t c = 0; c < colours; ++c)
            scale->bits[c] = p->bits[c];
        note(facts, "%d-bit values up to %lu scaled as numbers of %d bits, as its sBIT tells", depth,
             (unsigned long)most, p->bits[0]);
    } else if (!bits && depth == 16 && most < 1u << 15 && most > 0) {
        if (!told_to_be_dark(p, r, colours)) {
            refuse_unused_range(most, name, error, error_bytes);
            return 0;
        }
        note(facts, "16-bit values up to %lu, the brightest of 8 bits is %lu: a dark picture, as its sBIT tells",
             (unsigned long)most, (unsigned long)most >> 8);
    }
    return 1;
}

static unsigned char eight_bits(uint32_t v, int bits)
{
    return (unsigned char)(bits >= 8 ? v >> (bits - 8) : v * 255u / ((1u << bits) - 1u));
}

static struct msagen_tensor *to_rgb(const struct msagen_picture *p, const struct scale *scale, const char *name)
{
    const struct msagen_view view = msagen_picture_view(p);
    struct msagen_tensor *t = msagen_tensor_zeros(name, MSAGEN_U8, 3, (int64_t[]){view.height, view.width, 3});
    if (!t)
        return NULL;
    unsigned char *out = (unsigned char *)(uintptr_t)t->storage->data;
    const int grey = p->channels < 3;
    for (ptrdiff_t y = 0; y < (ptrdiff_t)view.height; ++y)
        for (ptrdiff_t x = 0; x < (ptrdiff_t)view.width; ++x, out += 3) {
            const size_t at = (size_t)(view.first + x * view.right + y * view.down) * p->channels;
            for (size_t c = 0; c < 3; ++c)
                out[c] = grey && c > 0 ? out[0] : eight_bits(sample(p, at + c), scale->bits[c]);
        }
    return t;
}

unsigned msagen_image_brightest(const struct msagen_tensor *t)
{
    enum { CHUNK = 4096 };
    unsigned char values[CHUNK], most = 0;
    const int64_t numel = msagen_tensor_numel(t);
    for (int64_t first = 0; first < numel && most < 255; first += CHUNK) {
        const int64_t count = numel - first < CHUNK ? numel - first : CHUNK;
        msagen_tensor_read_raw(t, first, count, values);
        for (int64_t i = 0; i < count; ++i)
            most = values[i] > most ? values[i] : most;
    }
    return most;
}

static void note_facts(const struct msagen_picture *p, const struct range *r, const struct msagen_tensor *t,
                       struct msagen_image_facts *facts)
{
    if (p->orientation > 1) {
        facts->orientation = p->orientation;
        note(facts, "turned by its EXIF orientation %d, to %lldx%lld", p->orientation, (long long)t->shape[1],
             (long long)t->shape[0]);
    }
    if (p->orientation < 0)
        note(facts, "its EXIF orientation is damaged: taken as it is stored");
    if (p->animated)
        note(facts, "an animation: only its first picture is taken");
    if (r->clear > 0)
        note(facts, "%llu pixels are not opaque: their colours are taken, their transparency is not",
             (unsigned long long)r->clear);
    const unsigned most = msagen_image_brightest(t);
    if (most < DARK)
        note(facts, "the brightest value is %u of 255: the picture is nearly black", most);
}

struct msagen_tensor *msagen_image_parse(const unsigned char *data, size_t bytes, const char *name, int bits,
                                         struct msagen_image_facts *facts, char *error, size_t error_bytes)
{
    struct msagen_picture picture;
    struct msagen_image_facts own;
    facts = facts ? facts : &own;
    *facts = (struct msagen_image_facts){.orientation = 1};
    if (msagen_picture_parse(&picture, data, bytes, name, error, error_bytes) != 0)
        return NULL;
    facts->grey = picture.channels < 3;
    const struct range range = measure(&picture);
    struct scale scale;
    struct msagen_tensor *image = NULL;
    if (choose_scale(&picture, &range, bits, &scale, name, facts, error, error_bytes)) {
        image = to_rgb(&picture, &scale, name);
        if (image)
            note_facts(&picture, &range, image, facts);
        else
            snprintf(error, error_bytes, "%s: out of memory", name);
    }
    msagen_picture_free(&picture);
    return image;
}

struct msagen_tensor *msagen_image_read(const char *path, int bits, struct msagen_image_facts *facts, char *error,
                                        size_t error_bytes)
{
    struct msagen_buffer *file = msagen_infile_load(path, error, error_bytes);
    if (!file)
        return NULL;
    struct msagen_tensor *image = msagen_image_parse(file->data, file->bytes, path, bits, facts, error, error_bytes);
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

static void png_warned(png_structp png, png_const_charp why)
{
    (void)png;
    (void)why;
}

static void png_flush_nothing(png_structp png)
{
    (void)png;
}

/* Row y as PNG has it: bytes, or 16 bits with the high byte first. 0 where a value has no place there. */
static int encode_row(struct encoder *e, const struct msagen_tensor *t, int64_t y, int64_t count, int wide)
{
    if (!wide) {
        msagen_tensor_read_raw(t, y * count, count, e->row);
        return 1;
    }
    for (int64_t x = 0; x < count; ++x) {
        const double v = msagen_tensor_at_flat(t, y * count + x);
        if (!(v >= 0 && v <= 65535))
            return 0;
        e->row[2 * x] = (unsigned char)((unsigned)v >> 8);
        e->row[2 * x + 1] = (unsigned char)((unsigned)v & 255);
    }
    return 1;
}

static int encode_png(struct encoder *e, const struct msagen_tensor *t, int wide)
{
    const int64_t row = t->shape[1] * (t->dims == 3 ? 3 : 1);
    if (setjmp(e->failed))
        return 0;
    e->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, e, encode_failed, png_warned);
    e->info = e->png ? png_create_info_struct(e->png) : NULL;
    e->row = malloc((size_t)row * (wide ? 2 : 1));
    if (!e->info || !e->row) {
        snprintf(e->message, sizeof e->message, "out of memory");
        return 0;
    }
    png_set_write_fn(e->png, e, png_give, png_flush_nothing);
    png_set_IHDR(e->png, e->info, (png_uint_32)t->shape[1], (png_uint_32)t->shape[0], wide ? 16 : 8,
                 t->dims == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(e->png, e->info);
    for (int64_t y = 0; y < t->shape[0]; ++y) {
        if (!encode_row(e, t, y, row, wide)) {
            snprintf(e->message, sizeof e->message, "expected values from 0 to 65535, found others");
            return 0;
        }
        png_write_row(e->png, e->row);
    }
    png_write_end(e->png, NULL);
    return 1;
}

int msagen_image_write_png(const char *path, const struct msagen_tensor *t, char *error, size_t error_bytes)
{
    const int bytes = t->dtype == MSAGEN_U8 || t->dtype == MSAGEN_BOOL;
    const int wide = t->dims == 2 && (t->dtype == MSAGEN_I16 || t->dtype == MSAGEN_I32 || t->dtype == MSAGEN_I64);
    if ((!bytes && !wide) || t->dims < 2 || t->dims > 3 || (t->dims == 3 && t->shape[2] != 3) || t->shape[0] < 1 ||
        t->shape[1] < 1 || t->shape[0] > MSAGEN_IMAGE_SIDE || t->shape[1] > MSAGEN_IMAGE_SIDE) {
        snprintf(error, error_bytes,
                 "%s: expected u8 [H,W] or [H,W,3], or integers [H,W], 1 to %d a side, found another", path,
                 MSAGEN_IMAGE_SIDE);
        return -1;
    }
    struct encoder e = {.file = msagen_outfile_open(path, error, error_bytes)};
    if (!e.file)
        return -1;
    const int good = encode_png(&e, t, wide);
    png_destroy_write_struct(&e.png, &e.info);
    free(e.row);
    if (good)
        return msagen_outfile_finish(e.file, error, error_bytes);
    msagen_outfile_abort(e.file);
    snprintf(error, error_bytes, "%s: cannot be written: %s", path, e.message);
    return -1;
}
