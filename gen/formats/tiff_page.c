/* SPDX-License-Identifier: Apache-2.0 */
/* One page of a TIFF file: what its tags say, and its pixels. libtiff decompresses strips and tiles; what their samples
 * mean is decided here. */
#include "tiff_page.h"

#include "picture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEGMENT_MOST = 1 << 30, BYTE = 8 };

/* ---- tags ---- */

static const char *compression(unsigned code)
{
    switch (code) {
    case COMPRESSION_OJPEG: return "JPEG of before 1995";
    case COMPRESSION_LZMA: return "LZMA";
    case COMPRESSION_ZSTD: return "Zstandard";
    case COMPRESSION_WEBP: return "WebP";
    case COMPRESSION_LERC: return "LERC";
    case COMPRESSION_JP2000: return "JPEG 2000";
    case COMPRESSION_JBIG: return "JBIG";
    default: return "another compression";
    }
}

static int is_known(unsigned code)
{
    static const unsigned known[] = {COMPRESSION_NONE,     COMPRESSION_CCITTRLE,      COMPRESSION_CCITTFAX3,
                                     COMPRESSION_CCITTFAX4, COMPRESSION_LZW,          COMPRESSION_JPEG,
                                     COMPRESSION_DEFLATE,  COMPRESSION_ADOBE_DEFLATE, COMPRESSION_PACKBITS};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; ++i)
        if (known[i] == code)
            return 1;
    return 0;
}

static const char *photometric_name(unsigned code)
{
    switch (code) {
    case PHOTOMETRIC_YCBCR: return "luminance and chrominance (YCbCr) without JPEG";
    case PHOTOMETRIC_SEPARATED: return "inks (CMYK)";
    case PHOTOMETRIC_CIELAB: return "CIE L*a*b*";
    case PHOTOMETRIC_ICCLAB: return "ICC L*a*b*";
    case PHOTOMETRIC_ITULAB: return "ITU L*a*b*";
    case PHOTOMETRIC_LOGL: return "logarithmic luminance";
    case PHOTOMETRIC_LOGLUV: return "logarithmic colours";
    case PHOTOMETRIC_MASK: return "a transparency mask";
    case PHOTOMETRIC_CFA: return "a colour filter array";
    default: return "another kind of pixels";
    }
}

/* Numbers of one sample a pixel. */
static const char *grey_kind(struct msagen_tiff_page *p, unsigned format, char *text, size_t text_bytes)
{
    static const struct {
        unsigned format, bits;
        enum msagen_dtype dtype;
        enum msagen_tiff_taking taking;
    } kinds[] = {
        {SAMPLEFORMAT_UINT, 32, MSAGEN_I64, MSAGEN_TIFF_WIDER},
        {SAMPLEFORMAT_INT, 8, MSAGEN_I8, MSAGEN_TIFF_NUMBERS},
        {SAMPLEFORMAT_INT, 16, MSAGEN_I16, MSAGEN_TIFF_NUMBERS},
        {SAMPLEFORMAT_INT, 32, MSAGEN_I32, MSAGEN_TIFF_NUMBERS},
        {SAMPLEFORMAT_INT, 64, MSAGEN_I64, MSAGEN_TIFF_NUMBERS},
        {SAMPLEFORMAT_IEEEFP, 16, MSAGEN_F16, MSAGEN_TIFF_NUMBERS},
        {SAMPLEFORMAT_IEEEFP, 32, MSAGEN_F32, MSAGEN_TIFF_NUMBERS},
        {SAMPLEFORMAT_IEEEFP, 64, MSAGEN_F64, MSAGEN_TIFF_NUMBERS},
    };
    p->channels = 1;
    if (format == SAMPLEFORMAT_UINT && p->bits >= 1 && p->bits <= 16) {
        p->dtype = p->bits <= BYTE ? MSAGEN_U8 : MSAGEN_I32;
        p->taking = p->bits <= BYTE ? MSAGEN_TIFF_SHADES : MSAGEN_TIFF_WIDER;
        return NULL;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; ++i)
        if (kinds[i].format == format && kinds[i].bits == p->bits) {
            p->dtype = kinds[i].dtype;
            p->taking = kinds[i].taking;
            return NULL;
        }
    snprintf(text, text_bytes, "expected integers of 8 to 32 bits or floats of 16 to 64, found %s of %u bits",
             format == SAMPLEFORMAT_IEEEFP ? "floats" : format == SAMPLEFORMAT_INT ? "signed integers"
             : format == SAMPLEFORMAT_UINT ? "unsigned integers" : "complex numbers", p->bits);
    return text;
}

static const char *colour_kind(TIFF *tiff, struct msagen_tiff_page *p, unsigned photometric, unsigned format,
                               char *text, size_t text_bytes)
{
    p->channels = 3;
    p->dtype = MSAGEN_U8;
    if (photometric == PHOTOMETRIC_PALETTE) {
        uint16_t *map[3];
        p->taking = MSAGEN_TIFF_INDICES;
        if (p->bits < 1 || p->bits > 16 || p->samples != 1 || format != SAMPLEFORMAT_UINT)
            return "expected a palette's indices of 1 to 16 bits, found others";
        if (!TIFFGetField(tiff, TIFFTAG_COLORMAP, &map[0], &map[1], &map[2]))
            return "expected a palette, found none";
        memcpy(p->palette, map, sizeof map);
        return NULL;
    }
    p->taking = MSAGEN_TIFF_COLOURS;
    if (p->samples < 3 || (p->bits != BYTE && p->bits != 2 * BYTE) || format != SAMPLEFORMAT_UINT) {
        snprintf(text, text_bytes, "expected colours of three samples of 8 or 16 bits, found %u of %u bits", p->samples,
                 p->bits);
        return text;
    }
    return NULL;
}

static void spacing(TIFF *tiff, struct msagen_tiff_page *p)
{
    uint16_t unit = RESUNIT_NONE;
    float x = 0, y = 0;
    p->spacing[0] = p->spacing[1] = 0;
    if (!TIFFGetField(tiff, TIFFTAG_RESOLUTIONUNIT, &unit) || !TIFFGetField(tiff, TIFFTAG_XRESOLUTION, &x) ||
        !TIFFGetField(tiff, TIFFTAG_YRESOLUTION, &y))
        return;
    const double mm = unit == RESUNIT_INCH ? 25.4 : unit == RESUNIT_CENTIMETER ? 10 : 0;
    if (mm > 0 && isfinite(x) && isfinite(y) && x > 1e-6F && y > 1e-6F) {
        p->spacing[0] = mm / (double)y;
        p->spacing[1] = mm / (double)x;
    }
}

static const char *sizes(TIFF *tiff, struct msagen_tiff_page *p, char *text, size_t text_bytes)
{
    if (!TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &p->width) || !TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &p->height))
        return "expected width and height, found none";
    if (p->width < 1 || p->height < 1 || p->width > MSAGEN_IMAGE_SIDE || p->height > MSAGEN_IMAGE_SIDE) {
        snprintf(text, text_bytes, "expected 1 to %d pixels a side, found %ux%u", MSAGEN_IMAGE_SIDE, p->width,
                 p->height);
        return text;
    }
    return NULL;
}

const char *msagen_tiff_describe(TIFF *tiff, struct msagen_tiff_page *p, char *text, size_t text_bytes)
{
    uint16_t bits = 1, samples = 1, format = SAMPLEFORMAT_UINT, code = COMPRESSION_NONE, photometric = 0, planar = 1,
             orientation = 1;
    memset(p, 0, sizeof *p);
    const char *problem = sizes(tiff, p, text, text_bytes);
    if (problem)
        return problem;
    TIFFGetFieldDefaulted(tiff, TIFFTAG_COMPRESSION, &code);
    if (!is_known(code)) {
        snprintf(text, text_bytes, "expected no compression, LZW, deflate, PackBits, CCITT or JPEG, found %s (%u)",
                 compression(code), code);
        return text;
    }
    if (!TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &photometric))
        return "expected what its pixels are (PhotometricInterpretation), found nothing";
    TIFFGetFieldDefaulted(tiff, TIFFTAG_BITSPERSAMPLE, &bits);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLESPERPIXEL, &samples);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_SAMPLEFORMAT, &format);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_PLANARCONFIG, &planar);
    TIFFGetFieldDefaulted(tiff, TIFFTAG_ORIENTATION, &orientation);
    if (photometric == PHOTOMETRIC_YCBCR && code == COMPRESSION_JPEG && planar == PLANARCONFIG_CONTIG) {
        TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
        photometric = PHOTOMETRIC_RGB;
    }
    const int grey = photometric == PHOTOMETRIC_MINISBLACK || photometric == PHOTOMETRIC_MINISWHITE;
    if (!grey && photometric != PHOTOMETRIC_RGB && photometric != PHOTOMETRIC_PALETTE) {
        snprintf(text, text_bytes, "expected grey, RGB or a palette, found %s", photometric_name(photometric));
        return text;
    }
    p->bits = bits;
    p->samples = samples;
    p->planar = planar == PLANARCONFIG_SEPARATE && samples > 1;
    p->tiled = TIFFIsTiled(tiff);
    p->orientation = orientation >= 1 && orientation <= 8 ? orientation : 1;
    format = format == SAMPLEFORMAT_VOID ? SAMPLEFORMAT_UINT : format;
    spacing(tiff, p);
    problem = grey ? grey_kind(p, format, text, text_bytes)
                   : colour_kind(tiff, p, photometric, format, text, text_bytes);
    p->inverted = photometric == PHOTOMETRIC_MINISWHITE && format == SAMPLEFORMAT_UINT && bits <= 16;
    p->clear = samples > (grey ? 1U : 3U) && photometric != PHOTOMETRIC_PALETTE;
    if (!problem && samples > (grey ? 2U : 4U)) {
        snprintf(text, text_bytes, "expected 1 to 4 samples a pixel, found %u", samples);
        return text;
    }
    return problem;
}

int msagen_tiff_alike(const struct msagen_tiff_page *a, const struct msagen_tiff_page *b)
{
    const int turned = (a->orientation > 4) != (b->orientation > 4);
    return a->width == (turned ? b->height : b->width) && a->height == (turned ? b->width : b->height) &&
           a->dtype == b->dtype && a->channels == b->channels;
}

/* ---- pixels ---- */

/* Sample n of a row, unsigned and of up to 16 bits. */
static unsigned unsigned_sample(const unsigned char *row, size_t n, unsigned bits)
{
    if (bits == BYTE)
        return row[n];
    if (bits == 2 * BYTE) {
        uint16_t v;
        memcpy(&v, row + 2 * n, sizeof v);
        return v;
    }
    unsigned value = 0;
    for (size_t at = n * bits; at < (n + 1) * bits; ++at)
        value = value << 1 | (row[at / BYTE] >> (BYTE - 1 - at % BYTE) & 1U);
    return value;
}

/* A palette of 16 bits a colour; old programs wrote 8. */
static int is_narrow(const struct msagen_tiff_page *p)
{
    for (size_t i = 0; i < (size_t)1 << p->bits; ++i)
        for (int c = 0; c < 3; ++c)
            if (p->palette[c][i] > 255)
                return 0;
    return 1;
}

struct segment {
    const struct msagen_tiff_page *page;
    const unsigned char *data;
    size_t row_bytes;
    unsigned samples, plane; /* in this segment of a pixel; which sample its first one is */
    int narrow;
};

/* Pixel x of a row -> its element, or of its colours those that this segment has. */
static void take(const struct segment *s, const unsigned char *row, size_t x, unsigned char *out)
{
    const struct msagen_tiff_page *p = s->page;
    const unsigned most = p->bits <= 16 ? (1U << p->bits) - 1U : 0;
    const size_t n = x * s->samples;
    unsigned v;
    switch (p->taking) {
    case MSAGEN_TIFF_NUMBERS:
        memcpy(out, row + n * (p->bits / BYTE), p->bits / BYTE);
        break;
    case MSAGEN_TIFF_WIDER:
        if (p->bits <= 16) {
            v = unsigned_sample(row, n, p->bits);
            memcpy(out, &(int32_t){(int32_t)(p->inverted ? most - v : v)}, sizeof(int32_t));
        } else {
            uint32_t wide;
            memcpy(&wide, row + n * sizeof wide, sizeof wide);
            memcpy(out, &(int64_t){wide}, sizeof(int64_t));
        }
        break;
    case MSAGEN_TIFF_SHADES:
        v = unsigned_sample(row, n, p->bits);
        v = p->inverted ? most - v : v;
        out[0] = (unsigned char)(p->bits == BYTE ? v : v * 255U / most);
        break;
    case MSAGEN_TIFF_INDICES:
        v = unsigned_sample(row, n, p->bits);
        for (int c = 0; c < 3; ++c)
            out[c] = (unsigned char)(s->narrow ? p->palette[c][v] : p->palette[c][v] >> BYTE);
        break;
    case MSAGEN_TIFF_COLOURS:
        for (unsigned c = 0; c < s->samples && s->plane + c < 3; ++c)
            out[s->plane + c] = (unsigned char)(unsigned_sample(row, n + c, p->bits) >> (p->bits - BYTE));
        break;
    }
}

/* Rows [0, rows) and columns [0, columns) of the segment at (x, y) of the page. */
static void put(const struct segment *s, uint32_t x, uint32_t y, uint32_t columns, uint32_t rows, unsigned char *out)
{
    const struct msagen_tiff_page *p = s->page;
    const size_t step = msagen_dtype_bytes(p->dtype) * p->channels;
    for (uint32_t r = 0; r < rows; ++r)
        for (uint32_t c = 0; c < columns; ++c)
            take(s, s->data + r * s->row_bytes, c, out + ((size_t)(y + r) * p->width + x + c) * step);
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static int tiles(TIFF *tiff, struct segment *s, unsigned char *buffer, tmsize_t bytes, unsigned plane,
                 unsigned char *out)
{
    const struct msagen_tiff_page *p = s->page;
    uint32_t width = 0, height = 0;
    TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &width);
    TIFFGetField(tiff, TIFFTAG_TILELENGTH, &height);
    if (width < 1 || height < 1 || (uint64_t)s->row_bytes * height > (uint64_t)bytes)
        return -1;
    for (uint32_t y = 0; y < p->height; y += smaller(height, p->height - y))
        for (uint32_t x = 0; x < p->width; x += smaller(width, p->width - x)) {
            const uint32_t tile = TIFFComputeTile(tiff, x, y, 0, (uint16_t)plane);
            if (TIFFReadEncodedTile(tiff, tile, buffer, bytes) != bytes)
                return -1;
            put(s, x, y, smaller(width, p->width - x), smaller(height, p->height - y), out);
        }
    return 0;
}

static int strips(TIFF *tiff, struct segment *s, unsigned char *buffer, tmsize_t bytes, unsigned plane,
                  unsigned char *out)
{
    const struct msagen_tiff_page *p = s->page;
    uint32_t rows = 0;
    TIFFGetFieldDefaulted(tiff, TIFFTAG_ROWSPERSTRIP, &rows);
    rows = rows < 1 ? p->height : smaller(rows, p->height);
    for (uint32_t y = 0; y < p->height; y += rows) {
        const uint32_t count = smaller(rows, p->height - y);
        const tmsize_t wanted = TIFFVStripSize(tiff, count);
        if (wanted < 1 || wanted > bytes || (uint64_t)s->row_bytes * count > (uint64_t)wanted)
            return -1;
        if (TIFFReadEncodedStrip(tiff, TIFFComputeStrip(tiff, y, (uint16_t)plane), buffer, wanted) != wanted)
            return -1;
        put(s, 0, y, p->width, count, out);
    }
    return 0;
}

int msagen_tiff_pixels(TIFF *tiff, const struct msagen_tiff_page *p, unsigned char *out)
{
    const tmsize_t bytes = p->tiled ? TIFFTileSize(tiff) : TIFFStripSize(tiff);
    const tmsize_t row = p->tiled ? TIFFTileRowSize(tiff) : TIFFScanlineSize(tiff);
    struct segment s = {.page = p, .samples = p->planar ? 1 : p->samples};
    uint32_t columns = p->width;
    if (p->tiled)
        TIFFGetField(tiff, TIFFTAG_TILEWIDTH, &columns);
    if (bytes < 1 || bytes > SEGMENT_MOST || row < 1 ||
        (uint64_t)row < ((uint64_t)columns * s.samples * p->bits + BYTE - 1) / BYTE)
        return -1;
    unsigned char *buffer = malloc((size_t)bytes);
    if (!buffer)
        return -2;
    s.data = buffer;
    s.row_bytes = (size_t)row;
    s.narrow = p->taking == MSAGEN_TIFF_INDICES && is_narrow(p);
    int status = 0;
    for (unsigned plane = 0; status == 0 && plane < (p->planar ? p->channels : 1U); ++plane) {
        s.plane = plane;
        status = (p->tiled ? tiles : strips)(tiff, &s, buffer, bytes, plane, out);
    }
    free(buffer);
    return status;
}
