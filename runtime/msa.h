/* SPDX-License-Identifier: 0BSD */
/* msa.h - types, statuses and hooks of a compiled Medical SAM Adapter; msa_model.h adds this model's sizes and the
 * functions that take a session. */
#ifndef MSA_H
#define MSA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of the msagen that wrote this file: 10000 * major + 100 * minor + patch, and the same as text. */
#ifndef MSA_VERSION /* the generator puts its own version in place of these four lines */
#define MSA_VERSION 0
#define MSA_VERSION_TEXT "0.0.0"
#endif

/* Raised by one whenever a declaration here or in msa_model.h changes. 2: hooks get the session, msa_progress the
 * phase. 3: front ends. 4: weights are checked in slices. */
#define MSA_API_LEVEL 4

/* Largest width and height of an image, pixels. */
#define MSA_MAX_SIDE 16384u

/* The arena's and the weights' addresses are multiples of this many bytes. */
#define MSA_ALIGNMENT 64u

/* Before a declaration: MSA_ALIGNED static unsigned char arena[MSA_MODEL_ARENA_BYTES]; */
#if defined(__GNUC__)
#define MSA_ALIGNED __attribute__((aligned(64)))
#elif defined(__cplusplus)
#define MSA_ALIGNED alignas(64)
#else
#define MSA_ALIGNED _Alignas(64)
#endif

/* Before a declaration: its section, for a linker script to place the arena, or the lines of a front end, where memory
 * is fast; a name that begins with .bss takes no room in a file. MSA_IN(".bss.msa_arena") MSA_ALIGNED static unsigned
 * char arena[MSA_MODEL_ARENA_BYTES]; The object of the weights is in .rodata.msa_weights. */
#if defined(__GNUC__) && defined(__ELF__)
#define MSA_IN(name) __attribute__((section(name)))
#else
#define MSA_IN(name)
#endif

/* Cores of one session at most. */
#define MSA_MAX_CORES 8u

/* Result of a call. Status codes are stable: a number is never reused. */
typedef enum msa_status {
    MSA_OK = 0,
    MSA_E_ARGUMENT = 1,     /* a null pointer, or a session that is not open */
    MSA_E_ORDER = 2,        /* segmenting before an image is encoded */
    /* big-endian, not rounding to nearest, or flushing subnormals: any core, before or after its work */
    MSA_E_ENVIRONMENT = 3,
    MSA_E_ARENA = 4,        /* the arena is shorter than MSA_MODEL_ARENA_BYTES */
    MSA_E_ALIGNMENT = 5,    /* the arena or the weights do not start at a multiple of MSA_ALIGNMENT bytes */
    MSA_E_FORMAT = 6,       /* the weights are no blob of this version */
    MSA_E_SIZE = 7,         /* the weights are longer or shorter than they say, or than this build's */
    MSA_E_ARITHMETIC = 8,   /* the weights were packed for another class of arithmetic */
    MSA_E_BUILD = 9,        /* the weights belong to another build */
    MSA_E_CRC = 10,         /* the weights are damaged */
    MSA_E_IMAGE_SIZE = 11,  /* a side of the image is 0 or above MSA_MAX_SIDE */
    MSA_E_IMAGE_STRIDE = 12, /* rows or slices overlap, or do not fit the address space */
    MSA_E_SLICES = 13,      /* a prompt for neither one nor all slices */
    MSA_E_POINTS = 14,      /* more than MSA_MODEL_MAX_POINTS points */
    MSA_E_POINT = 15,       /* a point that is NaN or outside the image */
    MSA_E_LABEL = 16,       /* a label other than 1, 0 or -1 */
    MSA_E_BOX = 17,         /* a box with NaN, outside the image, or with its corners swapped */
    MSA_E_MASK = 18,        /* a mask prompt with NaN or infinity */
    MSA_E_NAN = 19,         /* the network's output has NaN or infinity */
    MSA_E_CANCELLED = 20,   /* msa_progress asked for it; the session is as after opening */
    MSA_E_SELF_TEST = 21,   /* the known answer came out differently */
    MSA_E_TEXT = 22,        /* no such text prompt */
    MSA_E_BANK = 23,        /* no such bank */
    MSA_E_CORES = 24,       /* the build is for several cores, and msa_cores_start found no others, or not so many */
    /* a hook that fetches weights failed; the session is as after opening, after msa_check_slice as before */
    MSA_E_FETCH = 25,
    /* called from within a hook, on the session whose call is under way; that call is not disturbed */
    MSA_E_BUSY = 26,
    MSA_E_ARENA_CHANGED = 27, /* the arena lost what msa_encode left there: a session or the product wrote to it */
    /* the arena, the weights, the session or memory that the caller gave have bytes in common */
    MSA_E_OVERLAP = 28,
    MSA_E_SESSION = 29,     /* the session's own memory was changed since the last call; open it again */
    MSA_E_FLAGS = 30,       /* the compiler was given flags that change float arithmetic */
    MSA_E_TARGET = 31,      /* training: a target with NaN, or a value that is not from 0 to 1 */
    MSA_E_BATCH = 32,       /* training: more images than MSA_TRAIN_BATCH since the last update */
    MSA_E_LINES = 33,       /* a front end: more lines than the frame still lacks */
    MSA_E_FIELD = 34,       /* a front end: no round field of view in the picture */
    MSA_E_CAPACITY = 35     /* an outline has more corners than there is room for */
} msa_status;

/* Part of the network that a layer belongs to. Comments of the generated C, profiles and manifest.json number layers
 * alike: from 0 within a phase. */
typedef enum msa_phase {
    MSA_PHASE_ENCODE = 0,   /* msa_encode; MSA_MODEL_LAYERS_ENCODE layers */
    MSA_PHASE_DECODE = 1,   /* msa_segment; MSA_MODEL_LAYERS_DECODE layers for each slice */
    MSA_PHASE_DECODE_BACKWARD = 2, /* msa_train_backward: gradients of what the decoder trains, and of the embedding */
    MSA_PHASE_ENCODE_BACKWARD = 3, /* msa_train_image_end: of what the encoder trains */
    MSA_PHASE_FRONT = 4     /* msa_frame, msa_lines_push: steps of each batch of lines, then of the whole frame */
} msa_phase;

struct msa_image;

/* A front end's picture: its size, and where its first pixel lies among the sensor's, before it where negative. */
typedef struct msa_picture {
    uint32_t width, height;       /* pixels */
    int32_t x, y;
} msa_picture;

/* How far msa_check_slice has come in its round over the weights. Fields are private. */
typedef struct msa_round {
    uint64_t done;                /* bytes of the segment */
    uint32_t segment, crc;        /* its number; CRC-32C of these bytes */
} msa_round;

/* One opened model. The caller's memory, one thread at a time (the team's other cores apart); fields are private. */
typedef struct msa_session {
    uint64_t build;               /* names the build that opened it */
    uint32_t state;
    uint32_t bank;
    uint32_t cores;               /* MSA_MODEL_CORES */
    uint32_t width, height;       /* of the encoded image, pixels */
    uint32_t embedding;           /* a sum over words of the arena that the image left there */
    uint32_t lines, frames;       /* of a front end: lines of the frame so far; 1: there was a whole frame */
    uint32_t pictured;            /* 1: there is a whole frame, and its picture */
    msa_picture picture;
    msa_round round;
    uint32_t seal;                /* a sum over all of this that lasts from call to call */
    unsigned char *arena;
    const unsigned char *weights;
    void *team;                   /* of a build for several cores, as are the rest */
    const struct msa_image *image; /* the work at hand: an image to encode; NULL: decode */
    const float *mask;
    uint32_t slice, tokens;
    uint8_t stop[2];              /* msa_progress ended an even or odd layer's call */
    uint8_t lost[2];              /* of a build with streamed weights: an even or odd piece of them did not come */
    uint8_t fetch;                /* a fetch is under way */
    uint8_t leaving;              /* core 0 is in the last barrier of a call */
    uint8_t spoiled;              /* a hook wrote to the arena */
    uint8_t quiet;                /* a self-test: msa_progress is not called */
    uint8_t fault[MSA_MAX_CORES]; /* a core's float unit is not as it must be */
} msa_session;

/* What a linked model was made of: texts that stay, empty where a build has no such thing. */
typedef struct msa_build {
    const char *msagen;           /* the version that wrote it */
    const char *checkpoint;       /* SHA-256 of the file, hexadecimal */
    const char *dialect, *board, *precision;
    const char *arithmetic;       /* the class, which says what bits come out */
    const char *front_end;
    const char *model_hash;       /* of the weights that belong to it, hexadecimal, as in manifest.json */
    uint32_t input_size, depth;
} msa_build;

/* What an image's pixels are. */
typedef enum msa_pixel_format {
    MSA_PIXELS_RGB = 0,           /* red, green, blue, a byte each */
    MSA_PIXELS_GREY = 1,          /* a byte */
    MSA_PIXELS_PLANAR = 2,        /* red, green, blue in planes of their own, a byte each */
    /* 16 bits, unsigned or signed, in this machine's order of bytes, at even addresses, through the image's window */
    MSA_PIXELS_GREY16 = 3,
    MSA_PIXELS_GREY16_SIGNED = 4,
    MSA_PIXELS_ROWS = 5           /* rows of red, green, blue, which msa_image_line gives */
} msa_pixel_format;

/* An image, or a volume of slices alike in size. Rows go from top to bottom. What is not named is 0. */
typedef struct msa_image {
    const uint8_t *pixels;        /* ignored of MSA_PIXELS_ROWS */
    uint32_t width, height;       /* pixels, 1 to MSA_MAX_SIDE */
    size_t stride;                /* bytes from a row to the next, at least a row's; ignored of MSA_PIXELS_ROWS */
    /* bytes from a slice to the next, at least stride * height, or 0: all slices are the first; ignored where depth is
     * 1 */
    size_t slice_stride;
    msa_pixel_format format;
    size_t plane_stride;          /* of planes: bytes from a plane to the next, at least stride * height */
    /* of 16 bits: what becomes 0 and 255, linear between them, rounded to the nearest or, with `truncate`, downwards */
    float window_low, window_high;
    bool truncate;
    const void *context;          /* what the hook msa_image_line may need; nothing else reads it */
    /* but for RGB and rows: MSA_IMAGE_WORK_BYTES(width, MSA_MODEL_CORES) that the call may write to */
    uint8_t *work;
} msa_image;

/* An RGB image of one slice, whose rows follow each other without a gap. */
static inline msa_image msa_rgb(const uint8_t *pixels, uint32_t width, uint32_t height)
{
    msa_image image;
    image.pixels = pixels;
    image.width = width;
    image.height = height;
    image.stride = width;
    image.stride *= 3u;
    image.slice_stride = 0;
    image.format = MSA_PIXELS_RGB;
    image.plane_stride = 0;
    image.window_low = 0.0f;
    image.window_high = 255.0f;
    image.truncate = false;
    image.context = NULL;
    image.work = NULL;
    return image;
}

#define MSA_IMAGE_WORK_BYTES(width, cores) (6u * (size_t)(width) * (cores))

/* Lines as a probe gives them, or rows of a camera's sensor. */
typedef struct msa_samples {
    const void *lines;            /* the first one; at a multiple of a sample's bytes */
    size_t stride;                /* bytes from a line to the next, at least MSA_FRONT_LINE_BYTES */
} msa_samples;

/* What to segment. Coordinates are pixels of the encoded image, x right, y down, edges included: 0..width, 0..height.
 * */
typedef struct msa_prompt {
    const float (*points)[2];     /* [slices][point_count] of x, y; ignored without points */
    const int8_t *labels;         /* [slices][point_count]: 1 inside, 0 outside, -1 no point */
    uint32_t point_count;         /* a slice, at most MSA_MODEL_MAX_POINTS */
    const float (*box)[4];        /* [slices] of x0, y0, x1, y1 with x0 <= x1, y0 <= y1; or NULL */
    /* [slices][MSA_MODEL_MASK_SIDE][MSA_MODEL_MASK_SIDE] logits of an earlier result, even those that the call
     * overwrites; or NULL */
    const float *mask;
    bool multimask;               /* three masks rather than one; ignored where the model returns its classes */
    uint32_t slices;              /* 1: the same for every slice; MSA_MODEL_DEPTH: one entry a slice */
    bool with_text;               /* a phrase too, the same for every slice, by itself or beside the others */
    uint32_t text;                /* which, below MSA_MODEL_TEXTS; read only with with_text */
} msa_prompt;

/* Where a result goes. */
typedef struct msa_mask {
    /* [depth][masks][MSA_MODEL_MASK_SIDE][MSA_MODEL_MASK_SIDE]; room for MSA_MODEL_MASKS masks a slice */
    float *logits;
    float *iou;                   /* [depth][masks], predicted; room for MSA_MODEL_MASKS a slice */
    uint32_t masks;               /* out: masks a slice */
} msa_mask;

/* What msa_weights_check read: a segment of the weights, a layer's or a table's, and its CRC-32C as it should be and as
 * it is. */
typedef struct msa_segment_sum {
    uint64_t offset, bytes;       /* in msa_weights.bin */
    uint32_t expected, found;
} msa_segment_sum;

/* What msa_check_slice came to. */
typedef struct msa_slice {
    uint32_t segment;             /* the last one that was read; with MSA_E_CRC the damaged one */
    bool complete;                /* the round has ended: since it began each segment was read, and was right */
    msa_segment_sum sum;          /* of that segment; `found` is of its bytes so far */
} msa_slice;

/* The status in words, for a log; static text. */
const char *msa_status_text(msa_status status);

/* Hook: called on core 0 after every layer, with the session whose call is under way. Feed a watchdog here.
 *   layer   its number, from 0 within the phase; of a volume's msa_segment, once more for each slice
 * Return 0 to go on; anything else ends the call with MSA_E_CANCELLED. The library's own goes on;
 * a product that defines it replaces that. */
int msa_progress(const msa_session *session, msa_phase phase, uint32_t layer);

/* Hook: row y of a slice of an image of MSA_PIXELS_ROWS: width pixels of red, green, blue, which stay as they are until
 * the hook is called again on this core. Rows are asked for in any order, some again. The library's own has none and
 * returns NULL, for row 0 of slice 0 of which msa_encode returns MSA_E_ARGUMENT. */
const uint8_t *msa_image_line(const msa_image *image, uint32_t slice, uint32_t y);

/* Hook: what a counter of this core's cycles shows, or of anything as even; it must not go back, so 32 bits are to be
 * carried on. Nothing in the library calls it: it is for a product's msa_progress, to time layers and keep deadlines,
 * and without an operating system for the test bench.
 * The library's own knows no counter and returns 0; a product that defines it, or links one of the board's start-up
 * files that does, replaces that. */
uint64_t msa_cycles(void);

/* From within a hook, calls of the session whose call is under way return MSA_E_BUSY and disturb nothing. A hook makes
 * no call of another session that has the same arena or the same team: with one core, the call that is disturbed mostly
 * ends with MSA_E_ARENA_CHANGED. */

/* ---- builds for several cores (MSA_MODEL_CORES above 1) ----
 * Each layer's work is shared by a fixed table, so that any number of cores gives the same bits. A call runs on core 0,
 * the caller; the two hooks bring in the others. msa_threads.c has them for POSIX threads, in the place of the
 * library's own, which know of no other cores; a product on bare metal or an RTOS defines both. `team` is what
 * msa_set_team was given.
 * */

/* Hook: have every core from 1 to MSA_MODEL_CORES - 1 call msa_work(s, core) once, at the same time as this core goes
 * on. What this core wrote before is seen by them. Called again only after all have come to the call's last
 * msa_cores_wait, the last thing that msa_work does: by then no other core looks at the session or the arena.
 * Returns 0, or anything else if there are no such cores: the call ends with MSA_E_CORES, and no core may have begun.
 * */
int msa_cores_start(void *team, msa_session *s);

/* Hook: a barrier. Returns when all MSA_MODEL_CORES cores have called it, each with its number; what any wrote before
 * is then seen by all. Once all have come, s is no longer for the hook to read: it may be the caller's again. A call
 * has one or more a layer, always the same number on every core: it never blocks for long while all run.
 * Caches must be coherent (Cortex-A: the SMP bit is set, the memory is inner shareable), for cores write neighbouring
 * bytes of one cache line. Where they are not, arena and session have to be uncached, or written through and
 * invalidated here. */
void msa_cores_wait(void *team, msa_session *s, uint32_t core);

/* What the other cores call, 1 to MSA_MODEL_CORES - 1: this core's part of the work at hand, with the same
 * floating-point environment as core 0 (unit switched on, rounding to nearest, subnormals kept; else the call ends with
 * MSA_E_ENVIRONMENT) and as much stack. Takes as long as core 0's call. Does nothing for a core that the build has
 * not. */
void msa_work(msa_session *s, uint32_t core);

/* ---- builds whose weights are streamed (MSA_MODEL_STREAMED is 1) ----
 * For weights that cannot be mapped: a file, a flash memory behind a serial port, a card. Each layer's weights are
 * copied to one of two buffers in the arena while the layer before works. A product defines both hooks; the library has
 * none. They are called on core 0 alone, in msa_open, msa_encode, msa_segment, msa_self_test, msa_weights_check and
 * msa_check_slice; one fetch at most is under way, and none when the call returns.
 * If a hook fails the call ends with MSA_E_FETCH, and the session is as after opening (msa_open: not open;
 * msa_check_slice: as before). */

/* Hook: begin to copy `bytes` bytes of msa_weights.bin, from `offset` on, to dst, and return at once. All three are
 * multiples of MSA_ALIGNMENT; dst lies in the arena, and nobody reads or writes there until msa_weights_fetch_wait has
 * returned. Where a DMA engine writes past the caches: clean and invalidate dst's lines here, for what lay there before
 * may still be on its way to memory.
 * Returns 0, or anything else if it cannot: nothing is then written, and msa_weights_fetch_wait is not called. */
int msa_weights_fetch_begin(msa_session *session, uint64_t offset, size_t bytes, void *dst);

/* Hook: return when what was begun is done, and core 0 reads the new bytes at dst (invalidate its lines once more where
 * a DMA engine wrote: they may have been read ahead). What a barrier makes seen of core 0's writes, other cores must
 * see of these, too. Returns 0, or anything else if they did not come; either way nothing is written at dst any more.
 * Called once for each begin that returned 0. */
int msa_weights_fetch_wait(msa_session *session);

/* Enlarges mask logits to the image, a row at a time: bilinear, or where MSA_MODEL_MASK_BICUBIC is 1 bicubic with
 * a = -0.75; pixel centres (align_corners = false), float32.
 * Where the model fits the longest side into a square, by way of that square; else directly. Fields are private. */
typedef struct msa_upsampler {
    const float *logits;
    float *rows;
    uint32_t side, square, inner_width, inner_height, width, height;
    uint32_t held[2];
    bool probabilities;
} msa_upsampler;

/*   logits  [side][side], read until the last row is done
 *   square  the model's input size where it fits the longest side, or where MSA_MODEL_MASK_SQUARE is 1; else 0
 *   width, height   of the image, 1 to MSA_MAX_SIDE
 *   rows    memory for 2 * square floats; may be NULL where square is 0 */
void msa_upsample_init(msa_upsampler *u, const float *logits, uint32_t side, uint32_t square,
                       uint32_t width, uint32_t height, float *rows);

/* After msa_upsample_init, for a model whose MSA_MODEL_MASK_PROBABILITIES is 1: rows are of probabilities, made of the
 * logits before they are enlarged, and the mask is where they are above 0.5.
 * Relies on: square 0; rows is memory for 2 * side floats. */
void msa_upsample_probabilities(msa_upsampler *u);

/* After msa_upsample_init, for a model whose MSA_MODEL_MASK_SQUARE is 1: the image was squashed to the square. */
void msa_upsample_squashed(msa_upsampler *u);

/* Row y of the enlarged logits, in any order (top to bottom is fastest).   row  [width] */
void msa_upsample_row(msa_upsampler *u, uint32_t y, float *row);

/* ---- results on the device (msa_mask.c) ---- */

/* Bytes of a row of a mask as bits: bit x % 8 of byte x / 8 is pixel x. */
#define MSA_MASK_ROW_BYTES(width) (((size_t)(width) + 7u) / 8u)

/* The mask at the image's size as bits; returns its area, pixels.
 *   u            after msa_upsample_init and, where the model wants them, the two functions above
 *   zero_inside  MSA_MODEL_MASK_ZERO_INSIDE != 0
 *   row          [width], scratch
 *   bits         [height][MSA_MASK_ROW_BYTES(width)] */
uint32_t msa_mask_bits(msa_upsampler *u, bool zero_inside, float *row, uint8_t *bits);

/* A corner of pixels, 0 to width and 0 to height. */
typedef struct msa_corner {
    uint32_t x, y;
} msa_corner;

typedef struct msa_outline {
    uint32_t count;               /* corners; 0 where the mask is empty */
    int64_t area;                 /* pixels within, holes among them */
} msa_outline;

/* The outline of the region that encloses most, clockwise seen with y down; pixels that share a side are one region. It
 * turns at each corner, and the last one is joined to the first.
 *   work     as large as bits
 *   corners  room for `capacity`
 * MSA_OK; MSA_E_CAPACITY with outline->count above capacity, the first `capacity` corners being there; MSA_E_ARGUMENT,
 * _IMAGE_SIZE. */
msa_status msa_contour(const uint8_t *bits, uint32_t width, uint32_t height, uint8_t *work, msa_corner *corners,
                       uint32_t capacity, msa_outline *outline);

#ifdef __cplusplus
}
#endif

#endif
