/* SPDX-License-Identifier: Apache-2.0 */
/* NIfTI-1 and NIfTI-2 volumes: .nii, .nii.gz and pairs of .hdr and .img. */
#ifndef MSAGEN_NIFTI_H
#define MSAGEN_NIFTI_H

#include "tensor.h"

#include <stdint.h>

enum { MSAGEN_NIFTI_HEADER = 540 };

/* Which of the header's two transforms places the volume. */
enum msagen_nifti_form { MSAGEN_NIFTI_NO_FORM, MSAGEN_NIFTI_QFORM, MSAGEN_NIFTI_SFORM };

struct msagen_nifti {
    struct msagen_tensor *values; /* [K,J,I] as stored, the file's first axis last; colour: u8 [K,J,I,3] */
    int colour;
    double slope, intercept; /* value = slope * stored + intercept; 1 and 0 where the file does not scale */
    int64_t frames;          /* volumes in the file */
    enum msagen_nifti_form form;
    int unusable;        /* the form that counts is not finite, or flat: taken for none */
    double affine[3][4]; /* (i, j, k, 1) -> mm, right, anterior, superior; without a form as nibabel has it: x from
                          * right to left, the volume's middle at 0 */
    double spacing[3];   /* mm along i, j, k; 0: not told */
    size_t header_bytes; /* 348 or 540 */
    unsigned char header[MSAGEN_NIFTI_HEADER]; /* little-endian */
};

/* The bytes of a file, and of the other one of a pair (else NULL); neither is trusted.
 *   frame  which volume of several, from 0; -1: the only one, and a file of several is refused
 * `name` starts error texts. 0, and the caller frees values; or -1 and a text. */
int msagen_nifti_parse(struct msagen_buffer *file, struct msagen_buffer *image, const char *name, int64_t frame,
                       struct msagen_nifti *out, char *error, size_t error_bytes);

/* The same of files. image: of a pair, else NULL. */
int msagen_nifti_read(const char *path, const char *image, int64_t frame, struct msagen_nifti *out, char *error,
                      size_t error_bytes);

/* The directions of i, j and k to the nearest of R, L, A, P, S and I: "LAS". 0, or -1 where the matrix has none. */
int msagen_nifti_directions(double affine[3][4], char codes[4]);

/* What a volume's file says beside its values. */
struct msagen_nifti_place {
    const unsigned char *header; /* of a file that was read: what it says of place and origin is kept; or NULL */
    size_t header_bytes;
    const double (*affine)[4]; /* instead of the header's; or NULL */
    double spacing[3];         /* where there is neither: mm along i, j, k, 0 where not known */
    double slope, intercept;
};

/* [K,J,I], or u8 [K,J,I,3] in colour -> one file, of gzip or not; the same bytes whenever it is written.
 *   labels  whole numbers of any type, written as bytes where they fit, else as 16 bits
 * 0, or -1 and a text, the target untouched. */
int msagen_nifti_write(const char *path, const struct msagen_tensor *t, const struct msagen_nifti_place *place,
                       int labels, int gzip, char *error, size_t error_bytes);

#endif
