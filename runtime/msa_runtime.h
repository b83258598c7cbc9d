/* SPDX-License-Identifier: 0BSD */
/* msa_runtime.h - what the runtime's files and the generated layers share; no part of the product's interface. */
#ifndef MSA_RUNTIME_H
#define MSA_RUNTIME_H

#include "msa.h"
#include "msa_arith.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The two that a freestanding C library has as well; string.h is no freestanding header. */
int memcmp(const void *a, const void *b, size_t bytes);
void *memcpy(void *to, const void *from, size_t bytes);

/* ---- image (msa_image.c) ---- */

/* MSA_OK, MSA_E_ARGUMENT, MSA_E_ALIGNMENT, MSA_E_IMAGE_SIZE or MSA_E_IMAGE_STRIDE. */
msa_status msa_image_check(const msa_image *image, uint32_t slices);

/* Bytes that are read from image->pixels on. Relies on: msa_image_check passed. */
size_t msa_image_bytes(const msa_image *image, uint32_t slices);

/* The image with work of a core's own. */
msa_image msa_image_of_core(const msa_image *image, uint32_t core);

/* Row y of a slice: width pixels of red, green, blue. Where they have to be made they lie in half `half`, 0 or 1, of
 * the image's work, until that half is asked for again. */
const uint8_t *msa_image_row(const msa_image *image, uint32_t slice, uint32_t y, uint32_t half);

/* Size of the image within the model's square of `side` pixels: the square, or with the longest side fitted, at least
 * 1. */
void msa_resized_size(uint32_t width, uint32_t height, uint32_t side, bool longest,
                      uint32_t *out_width, uint32_t *out_height);

/* ---- resizers, of which a model has one ----
 * An RGB image, or a slice of it, one output row after the other: begin, then as many rows as are wanted. `next` may be
 * set to any row: what a row is does not depend on those before it. All are alike:
 *   init   relies on: msa_image_check passed.  work  8-byte aligned; the resizer's WORK_BYTES(larger side) is always
 *          enough. Returns MSA_E_IMAGE_SIZE for an output side of 0 or above MSA_MAX_SIDE, MSA_E_ARENA if work is short
 *   row    the next of out_height rows, [out_width][3] */

/* Pillow's bilinear, bit for bit (msa_resize.c). Bytes of work: 4-byte weights, two a source column and three an output
 * column; per output column a window and three sums; and finished rows, kept so that no row is resized twice (in huge
 * images some are). */
#define MSA_RESIZE_ROW_BYTES(side) (32768u + 12u * (side))
#define MSA_RESIZE_WORK_BYTES(side) (4u * (2u * MSA_MAX_SIDE + 3u * (side)) + 16u * (side) + MSA_RESIZE_ROW_BYTES(side))
#define MSA_RESIZE_SLOTS 64u

typedef struct msa_resizer {
    const msa_image *image;
    uint32_t slice;
    uint32_t width, height;          /* of the image */
    uint32_t out_width, out_height;
    uint32_t taps;                   /* entries of a weight row */
    uint32_t next;                   /* output row that comes next */
    uint32_t slots;
    const uint32_t *weights;         /* [out_width][taps], 22 fractional bits */
    const uint16_t *window;          /* [out_width] of first column, count */
    uint32_t *sums;                  /* [out_width][3] */
    uint8_t *rows;                   /* [slots][out_width][3] */
    uint32_t held[MSA_RESIZE_SLOTS]; /* 1 + source row that a slot holds; 0: none */
} msa_resizer;

msa_status msa_resize_init(msa_resizer *r, const msa_image *image, uint32_t slice,
                           uint32_t out_width, uint32_t out_height, void *work, size_t work_bytes);
void msa_resize_row(msa_resizer *r, uint8_t *row);

/* scikit-image's cubic B-spline with a Gaussian before it where an axis shrinks, truncated to bytes (msa_spline.c).
 * Bytes of work for a square of `side`: places of the columns, a line of the image, a row's sums, two filters, and
 * rows, in double, kept so that none is filtered twice up to images of some twenty times the side. */
#define MSA_SPLINE_SLOTS 128u
#define MSA_SPLINE_REACH 24 /* rows on either side that a coefficient is made of */
#define MSA_SPLINE_RADIUS(in, out) (2u * (in) / (out) + 1u) /* a Gaussian's, at most */
#define MSA_SPLINE_WORK_BYTES(side) (8u * (MSA_MAX_SIDE + (8u + 3u * MSA_SPLINE_SLOTS) * (side) \
    + 2u * (MSA_SPLINE_RADIUS(MSA_MAX_SIDE, side) + 1u) + MSA_SPLINE_REACH))

typedef struct msa_spline_place {
    double weight[4]; /* of coefficients */
    int32_t first;
} msa_spline_place;

typedef struct msa_spline {
    const msa_image *image;
    uint32_t slice;
    uint32_t width, height, out_width, out_height, next;
    uint32_t radius, reach;           /* of half, of kernel */
    uint8_t low, high;                /* of the image's bytes */
    const msa_spline_place *places;   /* [out_width] */
    double *line;                     /* [width] */
    double *half;                     /* the Gaussian along a row, from its middle on */
    double *kernel;                   /* Gaussian and prefilter across rows, from their middle on */
    double *sums;                     /* [out_width][3] */
    double *rows;                     /* [MSA_SPLINE_SLOTS][out_width][3] */
    uint32_t held[MSA_SPLINE_SLOTS];  /* 1 + source row that a slot holds; 0: none */
} msa_spline;

msa_status msa_spline_init(msa_spline *s, const msa_image *image, uint32_t slice,
                           uint32_t out_width, uint32_t out_height, void *work, size_t work_bytes);
void msa_spline_row(msa_spline *s, uint8_t *row);

/* OpenCV's INTER_AREA: means where both axes shrink, else its linear stand-in for them (msa_area.c). Bytes of work:
 * a row's sums, and a source row's. */
#define MSA_AREA_WORK_BYTES(side) (24u * (side))

typedef struct msa_area {
    const msa_image *image;
    uint32_t slice;
    uint32_t width, height, out_width, out_height, next;
    double scale_x, scale_y;
    uint32_t whole_x, whole_y; /* the scales where both are whole numbers, else 0 */
    bool shrinks;
    float *sums, *across;      /* [out_width][3] each */
} msa_area;

msa_status msa_area_init(msa_area *a, const msa_image *image, uint32_t slice,
                         uint32_t out_width, uint32_t out_height, void *work, size_t work_bytes);
void msa_area_row(msa_area *a, uint8_t *row);

/* The pixel whose square the output's corner lies in (msa_nearest.c); no work. */
#define MSA_NEAREST_WORK_BYTES(side) (0u * (side))

typedef struct msa_nearest {
    const msa_image *image;
    uint32_t slice;
    uint32_t width, height, out_width, out_height, next;
} msa_nearest;

msa_status msa_nearest_init(msa_nearest *n, const msa_image *image, uint32_t slice,
                            uint32_t out_width, uint32_t out_height, void *work, size_t work_bytes);
void msa_nearest_row(msa_nearest *n, uint8_t *row);

/* Two neighbours and the second one's share. PyTorch's arithmetic: the scale is rounded to float32, the place is not.
 * Relies on: at below out, sides up to MSA_MAX_SIDE; then the first neighbour is an input's. */
typedef struct msa_between {
    uint32_t low, high;
    float share;
} msa_between;

msa_between msa_between_at(uint32_t in, uint32_t out, uint32_t at);

static inline float msa_blended(float low, float high, float share)
{
    return low * (1.0f - share) + high * share;
}

/* Row y of a slice of an image at side x side, which no resizer makes: bilinear, pixel centres (align_corners = false),
 * without antialiasing (msa_sample.c).
 *   levels  [3][256], what a pixel's byte is worth in each colour
 *   row     [side][3]
 * Relies on: msa_image_check passed. */
void msa_sample_row(const msa_image *image, uint32_t slice, uint32_t side, uint32_t y, const float *levels, float *row);

/* Of bytes, the smallest and the largest so far: begins as {255, 0}. */
typedef struct msa_range {
    uint8_t low, high;
} msa_range;

void msa_range_add(msa_range *range, const uint8_t *row, size_t count);

/* (v - low) / (high - low) for each byte v, or v - low where they are equal.   levels  [3][256], a colour each */
void msa_range_levels(const msa_range *range, float *levels);

/* ---- prompt (msa_prompt.c) ---- */

/* The embeddings that tokens are made of, in the blob: rows of `out` floats. */
typedef struct msa_prompt_table {
    const float *rows;      /* gaussian [2][out/2]; point embeddings 0..3; not-a-point; output tokens; texts */
    uint32_t out;           /* width of a token, even */
    uint32_t output_tokens; /* IoU token and mask tokens */
    uint32_t texts;         /* text prompts, a token each */
} msa_prompt_table;

/* From pixels of the image to the model's square. */
typedef struct msa_prompt_space {
    uint32_t width, height;             /* of the image */
    uint32_t inner_width, inner_height; /* of the image in the square: msa_resized_size */
    uint32_t side;                      /* of the square */
    /* the weights were trained on clicks as (row, column); boxes are not concerned */
    bool click_rc;
} msa_prompt_space;

/* MSA_OK, or what is wrong with the prompt for an image of width x height.
 *   depth, max_points, mask_side, texts   of the model */
msa_status msa_prompt_check(const msa_prompt *prompt, uint32_t width, uint32_t height,
                            uint32_t depth, uint32_t max_points, uint32_t mask_side, uint32_t texts);

/* Output tokens, points, a padding token if there are points and no box, box corners, the text's; then rows of zeros.
 *   tokens  [rows][stride], columns past the table's width become 0; rows >= output tokens + points + 2, and 1 if there
 * are texts
 * Relies on: msa_prompt_check passed. Returns the number of tokens. */
uint32_t msa_prompt_tokens(const msa_prompt *prompt, uint32_t slice, const msa_prompt_space *space,
                           const msa_prompt_table *table, float *tokens, uint32_t rows, uint32_t stride);

/* ---- checks (msa_crc32c.c, msa_check.c) ---- */

/* CRC-32C (Castagnoli) of `bytes` bytes, continuing from crc; start with 0. */
uint32_t msa_crc32c(uint32_t crc, const void *data, size_t bytes);

/* MSA_OK if the machine is little-endian, rounds to nearest even, and keeps subnormals. */
msa_status msa_check_environment(void);

/* The blob's header and segment table.
 *   expected_bytes, arithmetic, hash   this build's
 * MSA_OK, MSA_E_SIZE, _FORMAT, _ARITHMETIC, _BUILD or _CRC. Never reads past `bytes`. */
msa_status msa_check_weights(const unsigned char *weights, size_t bytes, uint64_t expected_bytes,
                             const char arithmetic[32], const unsigned char hash[32]);

/* The same where only the first `readable` bytes lie in memory, of `bytes` in all. */
msa_status msa_check_header(const unsigned char *weights, size_t readable, uint64_t bytes, uint64_t expected_bytes,
                            const char arithmetic[32], const unsigned char hash[32]);

/* An entry of the segment table. */
typedef struct msa_segment_entry {
    uint64_t offset, bytes; /* offset from the blob's start */
    uint32_t crc;
} msa_segment_entry;

/* Segments, and the i-th. Rely on: the header's check passed. */
uint32_t msa_blob_segments(const unsigned char *weights);
msa_segment_entry msa_blob_segment(const unsigned char *weights, uint32_t i);

/* The i-th segment's CRC. Relies on: msa_check_weights passed, i below msa_blob_segments. MSA_OK or MSA_E_CRC; sum is
 * filled in. */
msa_status msa_check_segment(const unsigned char *weights, uint32_t i, msa_segment_sum *sum);

/* Whether two regions of memory have no byte in common. */
bool msa_apart(const void *a, size_t a_bytes, const void *b, size_t b_bytes);

/* Whether each file that computes was compiled so that it computes what it says: msa_as_written there. */
bool msa_image_as_written(float one, float many, float zero);
bool msa_upsample_as_written(float one, float many, float zero);
bool msa_sample_as_written(float one, float many, float zero);
bool msa_resize_as_written(float one, float many, float zero);
bool msa_spline_as_written(float one, float many, float zero);
bool msa_area_as_written(float one, float many, float zero);
bool msa_nearest_as_written(float one, float many, float zero);
bool msa_prompt_as_written(float one, float many, float zero);
bool msa_kernels_as_written(float one, float many, float zero);

/* No NaN and no infinity among `count` floats. */
bool msa_finite(const float *x, size_t count);

#ifdef __cplusplus
}
#endif

#endif
