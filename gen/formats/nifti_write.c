/* SPDX-License-Identifier: Apache-2.0 */
/* NIfTI volumes written: the header of the file that an image came from, or one of its own. */
#include "nifti.h"

#include "outfile.h"

#include <math.h>
#include <nifti2_io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { V1 = 348, V2 = 540, CHUNK = 1 << 13, WIDEST = 8, V1_SIDE = 32767 };
enum { GZIP = 16 + MAX_WBITS, MEMORY = 8 };

/* What is written of each element. */
enum giving { AS_IS, TO_U8, TO_U16 };

struct volume {
    int64_t side[3]; /* i, j, k */
    int datatype, bits, colour;
    enum giving giving;
    size_t bytes; /* an element */
};

/* ---- what ---- */

static const struct {
    enum msagen_dtype dtype;
    int datatype;
} kinds[] = {
    {MSAGEN_U8, NIFTI_TYPE_UINT8},    {MSAGEN_BOOL, NIFTI_TYPE_UINT8},  {MSAGEN_I8, NIFTI_TYPE_INT8},
    {MSAGEN_I16, NIFTI_TYPE_INT16},   {MSAGEN_I32, NIFTI_TYPE_INT32},   {MSAGEN_I64, NIFTI_TYPE_INT64},
    {MSAGEN_F32, NIFTI_TYPE_FLOAT32}, {MSAGEN_F64, NIFTI_TYPE_FLOAT64},
};

/* Labels take as few bytes as they need. 0, or -1 where one is none that 16 bits have. */
static int narrow(const struct msagen_tensor *t, struct volume *v)
{
    double values[CHUNK], most = 0;
    const int64_t numel = msagen_tensor_numel(t);
    for (int64_t first = 0; first < numel; first += CHUNK) {
        const int64_t count = numel - first < CHUNK ? numel - first : CHUNK;
        msagen_tensor_read_f64_range(t, first, count, values);
        for (int64_t i = 0; i < count; ++i) {
            if (!(values[i] >= 0 && values[i] <= 65535) || values[i] != floor(values[i]))
                return -1;
            most = values[i] > most ? values[i] : most;
        }
    }
    v->giving = most <= 255 ? TO_U8 : TO_U16;
    v->bytes = v->giving == TO_U8 ? 1 : 2;
    v->datatype = v->giving == TO_U8 ? NIFTI_TYPE_UINT8 : NIFTI_TYPE_UINT16;
    return 0;
}

static int describe(const struct msagen_tensor *t, int labels, struct volume *v, char *error, size_t error_bytes)
{
    memset(v, 0, sizeof *v);
    v->colour = t->dims == 4 && t->shape[3] == 3 && t->dtype == MSAGEN_U8;
    if (t->dims != 3 && !v->colour) {
        snprintf(error, error_bytes, "NIfTI: expected a volume, found a tensor of %d dimensions", t->dims);
        return -1;
    }
    for (int i = 0; i < 3; ++i)
        v->side[i] = t->shape[2 - i];
    v->bytes = msagen_dtype_bytes(t->dtype);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; ++i)
        if (kinds[i].dtype == t->dtype)
            v->datatype = kinds[i].datatype;
    if (v->colour)
        v->datatype = NIFTI_TYPE_RGB24;
    if (labels && narrow(t, v) != 0) {
        snprintf(error, error_bytes, "NIfTI: expected labels from 0 to 65535, found others");
        return -1;
    }
    if (!v->datatype) {
        snprintf(error, error_bytes, "NIfTI: has no %s", msagen_dtype_name(t->dtype));
        return -1;
    }
    v->bits = (int)v->bytes * 8 * (v->colour ? 3 : 1);
    return 0;
}

/* ---- the header ---- */

static double size_of(const struct msagen_nifti_place *place, int axis)
{
    if (!place->affine)
        return place->spacing[axis] > 0 ? place->spacing[axis] : 1;
    const double x = place->affine[0][axis], y = place->affine[1][axis], z = place->affine[2][axis];
    return sqrt(x * x + y * y + z * z);
}

/* What is known of the place where no header says it, or another than the header does. */
static void set_place(nifti_image *nim, const struct msagen_nifti_place *place)
{
    nim->xyz_units = NIFTI_UNITS_MM;
    nim->qfac = 1;
    for (int i = 0; i < 3; ++i)
        nim->pixdim[i + 1] = size_of(place, i);
    nim->dx = nim->pixdim[1];
    nim->dy = nim->pixdim[2];
    nim->dz = nim->pixdim[3];
    nim->qform_code = 0;
    nim->sform_code = place->affine ? NIFTI_XFORM_SCANNER_ANAT : 0;
    if (place->affine)
        memcpy(nim->sto_xyz.m, place->affine, 12 * sizeof(double));
}

/* A volume of these sides; what a file said of a series in time, of a range to show and of a statistic is not true of
 * it. */
static void set_volume(nifti_image *nim, const struct volume *v, const struct msagen_nifti_place *place)
{
    const int64_t dim[8] = {3, v->side[0], v->side[1], v->side[2], 1, 1, 1, 1};
    memcpy(nim->dim, dim, sizeof dim);
    nim->ndim = 3;
    nim->nx = v->side[0];
    nim->ny = v->side[1];
    nim->nz = v->side[2];
    nim->nt = nim->nu = nim->nv = nim->nw = 1;
    nim->nvox = v->side[0] * v->side[1] * v->side[2];
    nim->datatype = v->datatype;
    nim->nbyper = v->bits / 8;
    nim->scl_slope = place->slope;
    nim->scl_inter = place->intercept;
    nim->cal_min = nim->cal_max = nim->slice_duration = nim->toffset = 0;
    nim->slice_start = nim->slice_end = 0;
    nim->slice_code = nim->time_units = 0;
    nim->intent_code = NIFTI_INTENT_NONE;
    nim->intent_p1 = nim->intent_p2 = nim->intent_p3 = 0;
    memset(nim->intent_name, 0, sizeof nim->intent_name);
}

static nifti_image *known(const struct msagen_nifti_place *place)
{
    if (!place->header)
        return nifti_simple_init_nim();
    if (place->header_bytes == V2) {
        nifti_2_header h;
        memcpy(&h, place->header, sizeof h);
        return nifti_convert_n2hdr2nim(h, NULL);
    }
    nifti_1_header h;
    memcpy(&h, place->header, sizeof h);
    return nifti_convert_n1hdr2nim(h, NULL);
}

/* The transforms bit for bit, also what libnifti2 leaves out: codes, quaternion and rows, sizes along i, j, k. */
static void keep_place(const struct msagen_nifti_place *place, unsigned char *out)
{
    static const struct {
        size_t at, bytes;
    } parts[2][2] = {{{76, 16}, {252, 76}}, {{104, 32}, {344, 152}}};
    for (int i = 0; i < 2; ++i) {
        const size_t at = parts[place->header_bytes == V2][i].at, bytes = parts[place->header_bytes == V2][i].bytes;
        memcpy(out + at, place->header + at, bytes);
    }
}

/* The header, and the four bytes that say that no extension follows. Their number; 0: it cannot be made. */
static size_t make_header(const struct volume *v, const struct msagen_nifti_place *place, unsigned char out[V2 + 4])
{
    const int wide = v->side[0] > V1_SIDE || v->side[1] > V1_SIDE || v->side[2] > V1_SIDE;
    const int second = place->header ? place->header_bytes == V2 : wide;
    nifti_1_header h1;
    nifti_2_header h2;
    int status;
    nifti_set_debug_level(0);
    nifti_image *nim = known(place);
    memset(out, 0, V2 + 4);
    if (!nim)
        return 0;
    if (place->affine || !place->header)
        set_place(nim, place);
    set_volume(nim, v, place);
    nim->nifti_type = second ? NIFTI_FTYPE_NIFTI2_1 : NIFTI_FTYPE_NIFTI1_1;
    nim->iname_offset = (second ? V2 : V1) + 4;
    status = second ? nifti_convert_nim2n2hdr(nim, &h2) : nifti_convert_nim2n1hdr(nim, &h1);
    nifti_image_free(nim);
    if (status != 0)
        return 0;
    if (second) {
        memcpy(h2.magic, "n+2\0\r\n\032\n", sizeof h2.magic); /* of which libnifti2 leaves half out */
        memcpy(out, &h2, sizeof h2);
    } else {
        memcpy(out, &h1, sizeof h1);
    }
    if (place->header && !place->affine)
        keep_place(place, out);
    return (second ? V2 : V1) + 4;
}

/* ---- the file ---- */

struct sink {
    struct msagen_outfile *file;
    z_stream z;
    int gzip, failed;
};

static void put(struct sink *s, const unsigned char *data, size_t bytes, int flush)
{
    unsigned char out[1 << 15];
    if (!s->gzip) {
        msagen_outfile_write(s->file, data, bytes);
        return;
    }
    s->z.next_in = (unsigned char *)(uintptr_t)data;
    s->z.avail_in = (unsigned)bytes;
    do {
        s->z.next_out = out;
        s->z.avail_out = sizeof out;
        s->failed = s->failed || deflate(&s->z, flush) == Z_STREAM_ERROR;
        msagen_outfile_write(s->file, out, sizeof out - s->z.avail_out);
    } while (s->z.avail_out == 0 && !s->failed);
}

static void put_values(struct sink *s, const struct msagen_tensor *t, const struct volume *v)
{
    unsigned char part[CHUNK * WIDEST];
    double values[CHUNK];
    const int64_t numel = msagen_tensor_numel(t);
    for (int64_t first = 0; first < numel && !msagen_outfile_failed(s->file); first += CHUNK) {
        const int64_t count = numel - first < CHUNK ? numel - first : CHUNK;
        if (v->giving == AS_IS)
            msagen_tensor_read_raw(t, first, count, part);
        else
            msagen_tensor_read_f64_range(t, first, count, values);
        for (int64_t i = 0; i < count && v->giving != AS_IS; ++i) {
            const unsigned label = (unsigned)values[i];
            part[(size_t)i * v->bytes] = (unsigned char)label;
            if (v->giving == TO_U16)
                part[2 * (size_t)i + 1] = (unsigned char)(label >> 8);
        }
        put(s, part, (size_t)count * v->bytes, Z_NO_FLUSH);
    }
}

int msagen_nifti_write(const char *path, const struct msagen_tensor *t, const struct msagen_nifti_place *place,
                       int labels, int gzip, char *error, size_t error_bytes)
{
    struct volume v;
    unsigned char header[V2 + 4];
    const int used = snprintf(error, error_bytes, "%s: ", path);
    if (used < 0 || (size_t)used >= error_bytes)
        return -1;
    if (describe(t, labels, &v, error + used, error_bytes - (size_t)used) != 0)
        return -1;
    const size_t bytes = make_header(&v, place, header);
    if (bytes == 0) {
        snprintf(error, error_bytes, "%s: NIfTI: no header could be made", path);
        return -1;
    }
    struct sink s = {.gzip = gzip};
    if (gzip && deflateInit2(&s.z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK) {
        snprintf(error, error_bytes, "%s: out of memory", path);
        return -1;
    }
    s.file = msagen_outfile_open(path, error, error_bytes);
    if (s.file) {
        put(&s, header, bytes, Z_NO_FLUSH);
        put_values(&s, t, &v);
        if (gzip)
            put(&s, header, 0, Z_FINISH);
    }
    if (gzip)
        deflateEnd(&s.z);
    if (!s.file)
        return -1;
    if (s.failed) {
        msagen_outfile_abort(s.file);
        snprintf(error, error_bytes, "%s: gzip failed", path);
        return -1;
    }
    return msagen_outfile_finish(s.file, error, error_bytes);
}
