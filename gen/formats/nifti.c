/* SPDX-License-Identifier: Apache-2.0 */
/* NIfTI volumes read: what a header says is checked here, its two transforms are understood by libnifti2, and values
 * are taken from the bytes, since libnifti2 writes 0 over NaN and infinities. */
#include "nifti.h"

#include "infile.h"
#include "unpack.h"

#include <math.h>
#include <nifti2_io.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { V1 = 348, V2 = 540, SIDE = 65536, CHUNK = 1 << 14, WIDEST = 8, MILLI = 2, MICRO = 3, METRE = 1 };
static const uint64_t VOLUME_MOST = UINT64_C(1) << 32, FILE_MOST = UINT64_C(1) << 40;

_Static_assert(sizeof(nifti_1_header) == V1 && sizeof(nifti_2_header) == V2, "headers as in the file");

/* How elements become those of a tensor. */
enum taking { AS_IS, UNSIGNED_16, UNSIGNED_32, UNSIGNED_64, RGB, RGBA };

static const struct kind {
    int code;
    unsigned bytes, channels;
    enum msagen_dtype dtype;
    enum taking taking;
} kinds[] = {
    {NIFTI_TYPE_UINT8, 1, 1, MSAGEN_U8, AS_IS},         {NIFTI_TYPE_INT8, 1, 1, MSAGEN_I8, AS_IS},
    {NIFTI_TYPE_INT16, 2, 1, MSAGEN_I16, AS_IS},        {NIFTI_TYPE_UINT16, 2, 1, MSAGEN_I32, UNSIGNED_16},
    {NIFTI_TYPE_INT32, 4, 1, MSAGEN_I32, AS_IS},        {NIFTI_TYPE_UINT32, 4, 1, MSAGEN_I64, UNSIGNED_32},
    {NIFTI_TYPE_INT64, 8, 1, MSAGEN_I64, AS_IS},        {NIFTI_TYPE_UINT64, 8, 1, MSAGEN_I64, UNSIGNED_64},
    {NIFTI_TYPE_FLOAT32, 4, 1, MSAGEN_F32, AS_IS},      {NIFTI_TYPE_FLOAT64, 8, 1, MSAGEN_F64, AS_IS},
    {NIFTI_TYPE_RGB24, 3, 3, MSAGEN_U8, RGB},           {NIFTI_TYPE_RGBA32, 4, 3, MSAGEN_U8, RGBA},
};

/* What a header says, of either version. */
struct facts {
    const struct kind *kind;
    int swapped, single;
    int64_t dim[8];
    uint64_t offset, voxels, bytes; /* of one volume */
};

struct job {
    const char *name;
    char *error;
    size_t error_bytes;
};

static int refuse(const struct job *job, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int refuse(const struct job *job, const char *format, ...)
{
    va_list args;
    const int used = snprintf(job->error, job->error_bytes, "%s: NIfTI: ", job->name);
    if (used < 0 || (size_t)used >= job->error_bytes)
        return -1;
    va_start(args, format);
    vsnprintf(job->error + used, job->error_bytes - (size_t)used, format, args);
    va_end(args);
    return -1;
}

/* ---- the header ---- */

static const char *refused_kind(int code)
{
    switch (code) {
    case NIFTI_TYPE_COMPLEX64: return "complex numbers (complex64)";
    case NIFTI_TYPE_COMPLEX128: return "complex numbers (complex128)";
    case NIFTI_TYPE_COMPLEX256: return "complex numbers (complex256)";
    case NIFTI_TYPE_FLOAT128: return "floats of 128 bits";
    case DT_BINARY: return "single bits";
    default: return "an unknown type";
    }
}

static int check_kind(const struct job *job, struct facts *f, int code, int bitpix)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; ++i)
        if (kinds[i].code == code)
            f->kind = &kinds[i];
    if (!f->kind)
        return refuse(job,
                      "datatype: expected integers of 8 to 64 bits, floats of 32 or 64, RGB or RGBA, found %s (%d)",
                      refused_kind(code), code);
    if (bitpix != (int)f->kind->bytes * 8)
        return refuse(job, "bitpix: expected %u, as the datatype is %d, found %d", f->kind->bytes * 8, code, bitpix);
    return 0;
}

static int check_dimensions(const struct job *job, struct facts *f, int64_t *frames)
{
    const int64_t dims = f->dim[0];
    if (dims < 1 || dims > 7)
        return refuse(job, "dim[0]: expected 1 to 7 dimensions, found %lld", (long long)dims);
    *frames = 1;
    for (int64_t i = 1; i <= 7; ++i) {
        if (i > dims)
            f->dim[i] = 1;
        const int64_t most = i <= 3 ? SIDE : INT32_MAX / *frames;
        if (f->dim[i] < 1 || f->dim[i] > most)
            return refuse(job, "dim[%lld]: expected 1 to %lld, found %lld", (long long)i, (long long)most,
                          (long long)f->dim[i]);
        if (i > 3)
            *frames *= f->dim[i];
    }
    f->voxels = (uint64_t)f->dim[1] * (uint64_t)f->dim[2] * (uint64_t)f->dim[3];
    f->bytes = f->voxels * f->kind->bytes;
    if (f->bytes > VOLUME_MOST)
        return refuse(job, "expected a volume of at most %llu MiB, found %lldx%lldx%lld of %u bytes",
                      (unsigned long long)(VOLUME_MOST >> 20), (long long)f->dim[1], (long long)f->dim[2],
                      (long long)f->dim[3], f->kind->bytes);
    return 0;
}

/* 0 stands for the place behind the header of a single file. */
static int check_offset(const struct job *job, struct facts *f, double offset, unsigned least)
{
    if (offset == 0 && f->single)
        offset = least;
    if (!(offset >= (f->single ? least : 0) && offset <= (double)FILE_MOST) || offset != floor(offset))
        return refuse(job, "vox_offset: expected a whole number of %u or more, found %g", f->single ? least : 0,
                      offset);
    f->offset = (uint64_t)offset;
    return 0;
}

static int check_v1(const struct job *job, const nifti_1_header *h, struct facts *f, struct msagen_nifti *out)
{
    if (memcmp(h->magic, "n+1", 4) != 0 && memcmp(h->magic, "ni1", 4) != 0)
        return refuse(job, "expected the magic n+1 or ni1, found another: an ANALYZE file, or none of these");
    f->single = h->magic[1] == '+';
    for (int i = 0; i < 8; ++i)
        f->dim[i] = h->dim[i];
    if (check_kind(job, f, h->datatype, h->bitpix) != 0 || check_dimensions(job, f, &out->frames) != 0)
        return -1;
    return check_offset(job, f, (double)h->vox_offset, V1 + 4);
}

static int check_v2(const struct job *job, const nifti_2_header *h, struct facts *f, struct msagen_nifti *out)
{
    static const char rest[4] = {'\r', '\n', 032, '\n'};
    if ((memcmp(h->magic, "n+2", 4) != 0 && memcmp(h->magic, "ni2", 4) != 0) || memcmp(h->magic + 4, rest, 4) != 0)
        return refuse(job, "expected the magic n+2 or ni2, found another");
    f->single = h->magic[1] == '+';
    memcpy(f->dim, h->dim, sizeof f->dim);
    if (check_kind(job, f, h->datatype, h->bitpix) != 0 || check_dimensions(job, f, &out->frames) != 0)
        return -1;
    return check_offset(job, f, (double)h->vox_offset, V2 + 4);
}

/* ---- the place ---- */

static int usable(const nifti_dmat44 *m)
{
    double a[3][3];
    for (int r = 0; r < 3; ++r)
        for (int c = 0; c < 4; ++c) {
            if (!isfinite(m->m[r][c]) || fabs(m->m[r][c]) > 1e9)
                return 0;
            if (c < 3)
                a[r][c] = m->m[r][c];
        }
    double lengths = 1;
    for (int c = 0; c < 3; ++c)
        lengths *= sqrt(a[0][c] * a[0][c] + a[1][c] * a[1][c] + a[2][c] * a[2][c]);
    const double volume = a[0][0] * (a[1][1] * a[2][2] - a[1][2] * a[2][1]) -
                          a[0][1] * (a[1][0] * a[2][2] - a[1][2] * a[2][0]) +
                          a[0][2] * (a[1][0] * a[2][1] - a[1][1] * a[2][0]);
    return lengths > 1e-18 && fabs(volume) > 1e-6 * lengths;
}

int msagen_nifti_directions(double affine[3][4], char codes[4])
{
    static const char letters[] = "?RLAPSI";
    int i, j, k;
    nifti_dmat44 m = {{{0}}};
    memcpy(m.m, affine, 12 * sizeof(double));
    m.m[3][3] = 1;
    if (!usable(&m))
        return -1;
    nifti_dmat44_to_orientation(m, &i, &j, &k);
    if (i < 1 || i > 6 || j < 1 || j > 6 || k < 1 || k > 6)
        return -1;
    const char found[4] = {letters[i], letters[j], letters[k], '\0'};
    memcpy(codes, found, sizeof found);
    return 0;
}

/* As nibabel has it where there is no form. */
static void place_by_sizes(const nifti_image *nim, const struct facts *f, struct msagen_nifti *out)
{
    for (int c = 0; c < 3; ++c) {
        const double size = nim->pixdim[c + 1], step = isfinite(size) && size > 0 && size < 1e9 ? size : 0;
        out->spacing[c] = step;
        out->affine[c][c] = (c == 0 ? -1 : 1) * (step > 0 ? step : 1);
        out->affine[c][3] = -out->affine[c][c] * (double)(f->dim[c + 1] - 1) / 2;
    }
}

/* The units of most files are millimetres, or not told. */
static double millimetres(int units)
{
    return units == METRE ? 1000 : units == MICRO ? 0.001 : 1;
}

static void place(const nifti_image *nim, const struct facts *f, struct msagen_nifti *out)
{
    const nifti_dmat44 *m = NULL;
    memset(out->affine, 0, sizeof out->affine);
    if (nim->sform_code > 0) {
        m = &nim->sto_xyz;
        out->form = MSAGEN_NIFTI_SFORM;
    } else if (nim->qform_code > 0) {
        m = &nim->qto_xyz;
        out->form = MSAGEN_NIFTI_QFORM;
    }
    if (m && !usable(m)) {
        out->form = MSAGEN_NIFTI_NO_FORM;
        out->unusable = 1;
        m = NULL;
    }
    const double unit = millimetres(nim->xyz_units);
    if (!m)
        place_by_sizes(nim, f, out);
    for (int c = 0; c < 4; ++c)
        for (int r = 0; r < 3; ++r) {
            out->affine[r][c] = (m ? m->m[r][c] : out->affine[r][c]) * unit;
        }
    for (int c = 0; c < 3; ++c)
        out->spacing[c] = m ? sqrt(out->affine[0][c] * out->affine[0][c] + out->affine[1][c] * out->affine[1][c] +
                                   out->affine[2][c] * out->affine[2][c])
                            : out->spacing[c] * unit;
}

static void scaling(double slope, double intercept, struct msagen_nifti *out)
{
    const int scaled = isfinite(slope) && slope != 0 && isfinite(intercept) && !out->colour;
    out->slope = scaled ? slope : 1;
    out->intercept = scaled ? intercept : 0;
}

/* The header's bytes -> facts, place, and the header as it is kept. */
static int take_header(const struct job *job, unsigned char *bytes, struct facts *f, struct msagen_nifti *out)
{
    nifti_image *nim = NULL;
    nifti_set_debug_level(0);
    if (out->header_bytes == V1) {
        nifti_1_header h;
        memcpy(&h, bytes, sizeof h);
        if (f->swapped)
            nifti_swap_as_nifti1(&h);
        if (check_v1(job, &h, f, out) != 0)
            return -1;
        out->colour = f->kind->channels == 3;
        scaling((double)h.scl_slope, (double)h.scl_inter, out);
        memcpy(out->header, &h, sizeof h);
        nim = nifti_convert_n1hdr2nim(h, NULL);
    } else {
        nifti_2_header h;
        memcpy(&h, bytes, sizeof h);
        if (f->swapped)
            nifti_swap_as_nifti2(&h);
        if (check_v2(job, &h, f, out) != 0)
            return -1;
        out->colour = f->kind->channels == 3;
        scaling(h.scl_slope, h.scl_inter, out);
        memcpy(out->header, &h, sizeof h);
        nim = nifti_convert_n2hdr2nim(h, NULL);
    }
    if (!nim)
        return refuse(job, "expected a header, found one that libnifti2 refuses");
    place(nim, f, out);
    nifti_image_free(nim);
    return 0;
}

/* ---- values ---- */

static void swap(unsigned char *p, size_t count, unsigned bytes)
{
    for (; count > 0; --count, p += bytes)
        for (unsigned i = 0; i < bytes / 2; ++i) {
            const unsigned char byte = p[i];
            p[i] = p[bytes - 1 - i];
            p[bytes - 1 - i] = byte;
        }
}

/* `count` voxels of the file -> the tensor's elements. 0, or -1 where one has no place there. */
static int take(const struct kind *kind, const unsigned char *in, size_t count, unsigned char *out)
{
    switch (kind->taking) {
    case UNSIGNED_16:
        for (size_t i = 0; i < count; ++i) {
            uint16_t v;
            memcpy(&v, in + 2 * i, sizeof v);
            memcpy(out + 4 * i, &(int32_t){v}, sizeof(int32_t));
        }
        return 0;
    case UNSIGNED_32:
        for (size_t i = 0; i < count; ++i) {
            uint32_t v;
            memcpy(&v, in + 4 * i, sizeof v);
            memcpy(out + 8 * i, &(int64_t){v}, sizeof(int64_t));
        }
        return 0;
    case UNSIGNED_64:
        for (size_t i = 0; i < count; ++i)
            if (in[8 * i + 7] & 0x80)
                return -1;
        memcpy(out, in, 8 * count);
        return 0;
    case RGBA:
        for (size_t i = 0; i < count; ++i)
            memcpy(out + 3 * i, in + 4 * i, 3);
        return 0;
    default:
        memcpy(out, in, count * kind->bytes);
        return 0;
    }
}

static int read_values(const struct job *job, struct msagen_unpack *from, const struct facts *f,
                       struct msagen_tensor *t)
{
    unsigned char part[CHUNK * WIDEST], *out = (unsigned char *)(uintptr_t)t->storage->data;
    const struct kind *kind = f->kind;
    const size_t step = msagen_dtype_bytes(kind->dtype) * kind->channels;
    for (uint64_t first = 0; first < f->voxels; first += CHUNK) {
        const size_t count = f->voxels - first < CHUNK ? (size_t)(f->voxels - first) : CHUNK;
        if (msagen_unpack_read(from, part, count * kind->bytes) != 0)
            return refuse(job, "values: expected %llu bytes, found fewer: %s", (unsigned long long)f->bytes,
                          from->wrong);
        if (f->swapped && kind->channels == 1)
            swap(part, count, kind->bytes);
        if (take(kind, part, count, out + (size_t)first * step) != 0)
            return refuse(job, "values: expected integers below 2^63, found a larger one");
    }
    return 0;
}

/* What comes before the chosen volume, that volume, and whether the rest is whole. */
static int take_values(const struct job *job, struct msagen_unpack *from, const struct facts *f, uint64_t before,
                       uint64_t frame, struct msagen_nifti *out)
{
    const int64_t shape[4] = {f->dim[3], f->dim[2], f->dim[1], 3};
    const uint64_t all = (uint64_t)out->frames * f->bytes, most = msagen_unpack_most(from);
    if (before > most || all > most - before)
        return refuse(job, "values: expected %lld x %llu bytes from byte %llu on, found a file that ends before",
                      (long long)out->frames, (unsigned long long)f->bytes, (unsigned long long)f->offset);
    if (msagen_unpack_skip(from, before) != 0 || msagen_unpack_skip(from, frame * f->bytes) != 0)
        return refuse(job, "values: expected more: %s", from->wrong);
    out->values = msagen_tensor_zeros(job->name, f->kind->dtype, out->colour ? 4 : 3, shape);
    if (!out->values)
        return refuse(job, "out of memory for %llu bytes", (unsigned long long)f->bytes);
    if (read_values(job, from, f, out->values) == 0) {
        if (msagen_unpack_skip(from, (uint64_t)(out->frames - 1) * f->bytes - frame * f->bytes) == 0 &&
            msagen_unpack_finish(from) == 0)
            return 0;
        refuse(job, "values: %s", from->wrong);
    }
    msagen_tensor_free(out->values);
    out->values = NULL;
    return -1;
}

/* ---- the file ---- */

static int choose_frame(const struct job *job, int64_t frames, int64_t frame)
{
    if (frame < 0 && frames > 1)
        return refuse(job, "expected one volume, found %lld: --frame N chooses one, 0 to %lld", (long long)frames,
                      (long long)frames - 1);
    if (frame >= frames)
        return refuse(job, "--frame: expected 0 to %lld, as the file has %lld volume%s, found %lld",
                      (long long)frames - 1, (long long)frames, frames == 1 ? "" : "s", (long long)frame);
    return 0;
}

static int read_header(const struct job *job, struct msagen_unpack *from, struct facts *f, struct msagen_nifti *out)
{
    unsigned char bytes[V2];
    uint32_t size;
    if (msagen_unpack_read(from, bytes, V1) != 0)
        return refuse(job, "expected a header of %d bytes, found fewer: %s", V1, from->wrong);
    memcpy(&size, bytes, sizeof size);
    f->swapped = size == 0x5c010000 || size == 0x1c020000;
    if (size != V1 && size != V2 && !f->swapped)
        return refuse(job, "sizeof_hdr: expected 348 or 540, found another number");
    out->header_bytes = size == V1 || size == 0x5c010000 ? V1 : V2;
    if (out->header_bytes == V2 && msagen_unpack_read(from, bytes + V1, V2 - V1) != 0)
        return refuse(job, "expected a header of %d bytes, found fewer: %s", V2, from->wrong);
    return take_header(job, bytes, f, out);
}

/* The values' file, from where they are on. */
static int read_body(const struct job *job, struct msagen_unpack *header, struct msagen_buffer *image,
                     const struct facts *f, int64_t frame, struct msagen_nifti *out)
{
    const uint64_t chosen = frame < 0 ? 0 : (uint64_t)frame;
    if (f->single && image)
        return refuse(job, "expected the header of a pair (ni1 or ni2), found that of a single file");
    if (f->single)
        return take_values(job, header, f, f->offset - out->header_bytes, chosen, out);
    if (!image)
        return refuse(job, "expected a file with its values, found the header of a pair");
    struct msagen_unpack values;
    if (msagen_unpack_open(&values, image->data, image->bytes) != 0)
        return refuse(job, "out of memory");
    const int status = take_values(job, &values, f, f->offset, chosen, out);
    msagen_unpack_close(&values);
    return status;
}

int msagen_nifti_parse(struct msagen_buffer *file, struct msagen_buffer *image, const char *name, int64_t frame,
                       struct msagen_nifti *out, char *error, size_t error_bytes)
{
    const struct job job = {name, error, error_bytes};
    struct msagen_unpack from;
    struct facts f = {0};
    memset(out, 0, sizeof *out);
    if (msagen_unpack_open(&from, file->data, file->bytes) != 0)
        return refuse(&job, "out of memory");
    int status = read_header(&job, &from, &f, out);
    if (status == 0)
        status = choose_frame(&job, out->frames, frame);
    if (status == 0)
        status = read_body(&job, &from, image, &f, frame, out);
    msagen_unpack_close(&from);
    return status;
}

int msagen_nifti_read(const char *path, const char *image, int64_t frame, struct msagen_nifti *out, char *error,
                      size_t error_bytes)
{
    struct msagen_buffer *file = msagen_infile_load(path, error, error_bytes), *values = NULL;
    int status = -1;
    if (file && image)
        values = msagen_infile_load(image, error, error_bytes);
    if (file && (values || !image))
        status = msagen_nifti_parse(file, values, path, frame, out, error, error_bytes);
    msagen_buffer_unref(values);
    msagen_buffer_unref(file);
    return status;
}
