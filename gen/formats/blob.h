/* SPDX-License-Identifier: Apache-2.0 */
/* The weights blob: writes tensors in the order and layout that generated kernels read.
 *
 * Little-endian. Header, 128 bytes: "MSAGENW\0"; u32 version 1; u32 header bytes 128; u64 total bytes; u32 segments;
 * u32 CRC-32C of the segment table; char arith[16]; u8 model_hash[32]; char more[16], the rest of arith where that is
 * longer; zeros. At 128 the table, 24 bytes a segment:
 * u64 offset; u64 bytes; u32 CRC-32C of those bytes; u32 0. Then zeros to the first segment; segments follow each
 * other.
 * Segments and the parts in them start at multiples of 64 and are padded with zeros to one; values are float32, or what
 * their writer says.
 * model_hash is SHA-256 over all segments' bytes in order. */
#ifndef MSAGEN_BLOB_H
#define MSAGEN_BLOB_H

#include "tensor.h"

enum {
    MSAGEN_BLOB_VERSION = 1,
    MSAGEN_BLOB_HEADER = 128,
    MSAGEN_BLOB_ENTRY = 24,
    MSAGEN_BLOB_ALIGN = 64,
    MSAGEN_PANEL = 16,             /* columns of a panel */
    MSAGEN_BLOB_SEGMENTS = 165,    /* default room in the table: the first segment starts at 4096 */
    MSAGEN_BLOB_SEGMENTS_MAX = 65536,
    MSAGEN_BLOB_ARITH = 32           /* in two halves */
};

struct msagen_blob_segment {
    char *name;
    uint64_t offset, bytes;
    uint32_t crc;
};

struct msagen_blob;

/* Opens a temporary file beside path; `arith` (at most 31 characters) names the arithmetic class, `room` is the largest
 * number of segments. NULL and a text on failure. */
struct msagen_blob *msagen_blob_create(const char *path, const char *arith, uint32_t room, char *error,
    size_t error_bytes);

/* Starts a segment: all that follows belongs to it. This and the writers below return 0, or -1 and a text; after a
 * failure the blob can only be aborted. */
int msagen_blob_segment(struct msagen_blob *b, const char *name, char *error, size_t error_bytes);

/* A part of the current segment: where it lies in the file, its bytes, padding to 64 not counted, and their CRC-32C. */
struct msagen_blob_part {
    uint64_t offset, bytes;
    uint32_t crc;
};

/* Writers. Each value is rounded to float32, |w| < 2^-60 becomes +0; NaN, infinity and what float32 cannot hold are
 * refused, naming the tensor and the element. Source pages are given back after each part.
 * panels: matrix [K,N] -> ceil(N/16) panels of K rows of 16 floats, columns past N zero.
 * rows: matrix [R,N] -> R rows of `stride` floats, zeros after N.
 * vector: any shape, C order, then zeros up to pad_to floats (0: none). */
int msagen_blob_panels(struct msagen_blob *b, const struct msagen_tensor *matrix, struct msagen_blob_part *part,
    char *error,
                       size_t error_bytes);
int msagen_blob_rows(struct msagen_blob *b, const struct msagen_tensor *matrix, int64_t stride,
                     struct msagen_blob_part *part, char *error, size_t error_bytes);
int msagen_blob_vector(struct msagen_blob *b, const struct msagen_tensor *t, int64_t pad_to,
    struct msagen_blob_part *part,
                       char *error, size_t error_bytes);

/* Weights [N,K] of which each row is a result's, as whole numbers with a scale a row, found over the whole row: of
 * their columns `first` to first + count - 1 panels of 16 rows, [count / 4][16][4] bytes, count rounded up to a
 * multiple of 4 with zeros; then the scales, float32; then -128 times the sum of what is here of each row, 32 bits.
 * Rows are filled up with zeros to whole panels. */
int msagen_blob_panels_int8(struct msagen_blob *b, const struct msagen_tensor *matrix, int64_t first, int64_t count,
    struct msagen_blob_part *part, char *error, size_t error_bytes);

/* A matrix [K,N] in bf16 (msagen_bf16): ceil(N/16) panels of ceil(K/2) rows of 16 pairs, a pair being two numbers of 16
 * bits that follow each other in a column, the first one first, 0 past K and N. What rounds to infinity is refused. */
int msagen_blob_panels_bf16(struct msagen_blob *b, const struct msagen_tensor *matrix, struct msagen_blob_part *part,
    char *error, size_t error_bytes);

/* Rows [R,N] as whole numbers, `stride` bytes apart: N bytes, zeros, and in the last 4 the row's scale, float32. */
int msagen_blob_rows_int8(struct msagen_blob *b, const struct msagen_tensor *matrix, int64_t stride,
    struct msagen_blob_part *part, char *error, size_t error_bytes);

/* Raw bytes as a part. */
int msagen_blob_bytes(struct msagen_blob *b, const void *data, size_t bytes, struct msagen_blob_part *part, char *error,
                      size_t error_bytes);

/* Ends the segment, fills in the header, renames to path. model_hash may be given (32 bytes) or NULL: then, as the
 * format says, the hash over the segments; it is returned in `hash`, and that of the whole file in `file_hash`. 0, or
 * -1 and a text: then nothing is left but the blob, to be aborted. */
int msagen_blob_close(struct msagen_blob *b, const unsigned char *model_hash, unsigned char hash[32],
    unsigned char file_hash[32],
                      uint64_t *bytes, char *error, size_t error_bytes);

/* The segments, complete after closing. */
const struct msagen_blob_segment *msagen_blob_segments(const struct msagen_blob *b, uint32_t *count);

/* Removes the temporary file of a blob that is not closed, and frees b; NULL is allowed. */
void msagen_blob_free(struct msagen_blob *b);

#endif
