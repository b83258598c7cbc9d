/* SPDX-License-Identifier: Apache-2.0 */
/* libFuzzer: any bytes as calls of a generated model's C API (tests/fuzz/api_model.lua).
 * A first byte that is even: the others are steps of tests/api/calls.h, which says of each what it must return.
 * Odd: calls whose arguments are the bytes that follow, of a session, an arena and weights of which bytes change. Each
 * returns a status that msa_model.h names for it; a refused msa_segment leaves the mask as it was; memory that the
 * caller gives is as long as msa.h says, so that a sanitizer sees what lies beyond. Opened anew, all is as it was. */
#include "calls.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_CALLS = 12, MOST_PIXELS = 1 << 16, PATTERN = 0x55 };

static const uint8_t *input;
static size_t left;
static int weights_changed;
static unsigned char *whole; /* the weights as they were */

static uint32_t take(unsigned bytes)
{
    uint32_t value = 0;
    for (; bytes > 0 && left > 0; --bytes, --left) {
        value = value << 8 | *input++;
    }
    return value;
}

static float take_float(void)
{
    const uint32_t bits = take(4);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Mostly a number within the image, otherwise any bits. */
static float take_place(void)
{
    const uint32_t kind = take(1);
    return kind < 240 ? (float)(kind % 48) : take_float();
}

#define BIT(status) (UINT64_C(1) << (status))

/* What any call may return, and what the blob's header is refused with. */
static const uint64_t ALWAYS = BIT(MSA_OK) | BIT(MSA_E_ARGUMENT) | BIT(MSA_E_SESSION),
                      HEADER = BIT(MSA_E_FORMAT) | BIT(MSA_E_SIZE) | BIT(MSA_E_ARITHMETIC) | BIT(MSA_E_BUILD)
                               | BIT(MSA_E_CRC),
                      COMPUTING = BIT(MSA_E_ENVIRONMENT) | BIT(MSA_E_NAN) | BIT(MSA_E_CANCELLED) | BIT(MSA_E_OVERLAP)
                                  | BIT(MSA_E_ARENA_CHANGED);

static msa_status documented(const char *what, msa_status status, uint64_t others)
{
    now = what;
    must(((ALWAYS | others) >> (unsigned)status & 1u) != 0, "it has no such status", (int)status, 0);
    must(msa_status_text(status) != NULL, "a text", 0, 0);
    return status;
}

static void *given(size_t bytes)
{
    void *const memory = malloc(bytes);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

/* ---- calls ---- */

static msa_session *a_session(uint32_t bits) { return bits % 31u == 30u ? NULL : &s; }

static void raw_open(void)
{
    const uint32_t bits = take(1);
    const size_t arena_bytes = bits & 1u ? take(4) : MSA_MODEL_ARENA_BYTES;
    const size_t weights_bytes = bits & 2u ? take(4) : MSA_MODEL_WEIGHTS_BYTES;
    unsigned char *const places[] = {arena, NULL, weights, (unsigned char *)&s, arena + 1};
    unsigned char *const to = places[bits & 4u ? take(1) % 5u : 0], *const from = bits & 8u ? NULL : weights;
    documented("msa_open", msa_open(a_session(bits), to, arena_bytes, from, weights_bytes),
               HEADER | BIT(MSA_E_ALIGNMENT) | BIT(MSA_E_ARENA) | BIT(MSA_E_OVERLAP) | BIT(MSA_E_ENVIRONMENT)
                   | BIT(MSA_E_FLAGS));
}

/* The bytes that an image of these numbers has; 0: none, or more than are tried. Where msa.h refuses the numbers they
 * do not matter. */
static size_t pixels_of(const msa_image *image)
{
    const size_t channels = image->format == MSA_PIXELS_RGB ? 3u : 1u;
    const size_t wide = image->format == MSA_PIXELS_GREY16 || image->format == MSA_PIXELS_GREY16_SIGNED ? 2u : 1u;
    const size_t row = image->width * channels * wide;
    if (image->width == 0 || image->width > MSA_MAX_SIDE || image->height == 0 || image->height > MSA_MAX_SIDE
        || image->stride < row) {
        return 1;
    }
    if (image->stride > MOST_PIXELS || image->stride * image->height > MOST_PIXELS) {
        return image->stride > SIZE_MAX / 4u / image->height ? 1 : 0;
    }
    const size_t plane = image->stride * (image->height - 1u) + row;
    if (image->format != MSA_PIXELS_PLANAR) {
        return plane;
    }
    return image->plane_stride < plane || image->plane_stride > SIZE_MAX / 4u ? 1
           : image->plane_stride > MOST_PIXELS                                ? 0
                                                                              : plane + 2u * image->plane_stride;
}

static uint32_t take_side(uint32_t bits) { return bits != 0 ? take(4) : take(1) % 49u; }

static void raw_encode(void)
{
    const uint32_t bits = take(1), more = take(1);
    msa_image image = image_of(0);
    image.width = take_side(bits & 1u);
    image.height = take_side(bits & 2u);
    image.format = (msa_pixel_format)(more % 8u);
    image.stride = image.width * (size_t)(more & 8u ? take(1) : 3u) + (more & 16u ? (size_t)take(4) << 31 : 0u);
    image.plane_stride = more & 32u ? (size_t)take(4) << take(1) % 33u : image.stride * image.height;
    image.slice_stride = more & 64u ? take(4) : 0;
    if (bits & 4u) {
        image.window_low = take_float();
        image.window_high = take_float();
    }
    image.truncate = (bits & 8u) != 0;
    const size_t bytes = image.format == MSA_PIXELS_ROWS || (unsigned)image.format > MSA_PIXELS_ROWS
                             ? 1 : pixels_of(&image);
    if (bytes == 0) {
        return;
    }
    uint8_t *const from = given(bytes), *const work = given(MSA_IMAGE_WORK_BYTES(image.width % 65536u, 1u) + 1u);
    memset(from, (int)take(1), bytes);
    from[bytes / 2u] = (uint8_t)take(1);
    image.pixels = bits & 16u ? NULL : from;
    image.work = bits & 32u ? NULL : work;
    progressed = 0;
    documented("msa_encode", msa_encode(a_session(bits), bits == 255 ? NULL : &image),
               COMPUTING | BIT(MSA_E_IMAGE_SIZE) | BIT(MSA_E_IMAGE_STRIDE) | BIT(MSA_E_ALIGNMENT));
    free(from);
    free(work);
}

static float *taken_mask(void)
{
    float *const mask = given(sizeof(float) * SIDE2);
    const float value = take_float();
    for (int i = 0; i < SIDE2; ++i) {
        mask[i] = (float)(i % 7);
    }
    mask[take(1) % SIDE2] = value;
    return mask;
}

/* Whether a refused call left what it would have written. */
static void untouched(const msa_mask *mask)
{
    int same = mask->masks == 77;
    for (size_t i = 0; i < sizeof logits; ++i) {
        same = same && ((const unsigned char *)logits)[i] == PATTERN;
    }
    must(same, "a refused msa_segment leaves the mask as it was", 0, 0);
}

static void raw_segment(void)
{
    const uint32_t bits = take(1), more = take(1), count = take(1) % 24u;
    const size_t room = count > MSA_MODEL_MAX_POINTS ? 0 : count;
    float(*const points)[2] = given(sizeof *points * room + 1u);
    int8_t *const labels = given(room + 1u);
    for (size_t i = 0; i < room; ++i) {
        points[i][0] = take_place();
        points[i][1] = take_place();
        const uint32_t kind = take(1);
        labels[i] = kind < 250 ? (int8_t)((int)(kind % 3u) - 1) : (int8_t)take(1);
    }
    float(*const box)[4] = given(sizeof *box);
    for (int i = 0; i < 4; ++i) {
        (*box)[i] = bits & 1u ? take_place() : 4.0f;
    }
    float *const earlier = bits & 2u ? taken_mask() : NULL;
    const msa_prompt prompt = {bits & 4u ? NULL : (const float(*)[2])points, bits & 8u ? NULL : labels, count,
                               bits & 16u ? (const float(*)[4])box : NULL, earlier, (bits & 32u) != 0,
                               bits & 64u ? take(4) : 1u, more & 1u, more & 2u ? take(4) : 0};
    msa_mask mask = {more & 4u ? NULL : more & 8u ? (float *)(void *)arena : logits, more & 16u ? NULL : iou, 77};
    memset(logits, PATTERN, sizeof logits);
    progressed = 0;
    const msa_status status =
        documented("msa_segment",
                   msa_segment(a_session(more), bits == 255 ? NULL : &prompt, more == 255 ? NULL : &mask),
                   COMPUTING | BIT(MSA_E_ORDER) | BIT(MSA_E_SLICES) | BIT(MSA_E_POINTS) | BIT(MSA_E_POINT)
                       | BIT(MSA_E_LABEL) | BIT(MSA_E_BOX) | BIT(MSA_E_MASK) | BIT(MSA_E_TEXT));
    if (status != MSA_OK) {
        untouched(&mask);
    }
    free(points);
    free(labels);
    free(box);
    free(earlier);
}

static void raw_small(void)
{
    const uint32_t bits = take(1), number = bits & 8u ? take(4) : take(1) % 24u;
    msa_segment_sum sum;
    msa_slice slice;
    switch (bits % 5u) {
    case 0:
        documented("msa_get_embedding",
                   msa_get_embedding(a_session(bits),
                                     bits & 16u ? NULL : bits & 32u ? (float *)(void *)arena : embedding),
                   BIT(MSA_E_ORDER) | BIT(MSA_E_ARENA_CHANGED) | BIT(MSA_E_OVERLAP));
        break;
    case 1: documented("msa_select_bank", msa_select_bank(a_session(bits), number), BIT(MSA_E_BANK)); break;
    case 2:
        documented("msa_weights_check",
                   msa_weights_check(a_session(bits), number,
                                     bits & 16u ? NULL : bits & 32u ? (msa_segment_sum *)(void *)arena : &sum),
                   HEADER | BIT(MSA_E_OVERLAP));
        break;
    case 3:
        documented("msa_check_slice",
                   msa_check_slice(a_session(bits), bits & 8u ? number : number * 512u,
                                   bits & 16u ? NULL : bits & 32u ? (msa_slice *)(void *)arena : &slice),
                   HEADER | BIT(MSA_E_OVERLAP));
        break;
    default:
        documented("msa_self_test", msa_self_test(a_session(bits)),
                   HEADER | BIT(MSA_E_ENVIRONMENT) | BIT(MSA_E_SELF_TEST));
    }
}

/* What no call does: bytes change, the float unit is set otherwise, a hook will cancel. */
static void raw_change(void)
{
    const uint32_t kind = take(1) % 8u, at = take(3);
    const unsigned char with = (unsigned char)take(1);
    switch (kind) {
    case 0:
        arena[at % MSA_MODEL_ARENA_BYTES] ^= with;
        break;
    case 1:
        weights[at % MSA_MODEL_WEIGHTS_BYTES] ^= with;
        weights_changed = 1;
        break;
    case 2: ((unsigned char *)&s)[at % sizeof s] ^= with; break;
    case 3: fesetround((at & 1u) != 0 ? FE_TONEAREST : FE_UPWARD); break;
    case 4: cancel_at = (int)(at % 20u); break;
    case 5:
        memset(arena, with, MSA_MODEL_ARENA_BYTES);
        break;
    case 6:
        for (size_t i = 0; i < sizeof s; ++i) {
            ((unsigned char *)&s)[i] = (unsigned char)take(1);
        }
        break;
    default: must(msa_status_text((msa_status)(at & 255u)) != NULL, "a text of any number", (int)at, 0);
    }
}

static void raw_calls(void)
{
    static void (*const calls[])(void) = {raw_open, raw_encode, raw_segment, raw_small, raw_change};
    begin_at((int)(take(1) % 3u));
    for (int i = 0; i < MOST_CALLS && left > 0; ++i) {
        calls[take(1) % 5u]();
    }
    fesetround(FE_TONEAREST);
    cancel_at = 0;
    if (weights_changed) {
        memcpy(weights, whole, MSA_MODEL_WEIGHTS_BYTES);
        weights_changed = 0;
    }
}

static void known_calls(void)
{
    begin_at((int)(take(1) % 3u));
    for (int i = 0; i < MOST_CALLS && left > 0; ++i) {
        play(&steps[take(1) % STEPS]);
    }
}

static unsigned char *aligned(size_t bytes)
{
    const size_t whole_lines = (bytes + MSA_ALIGNMENT - 1) / MSA_ALIGNMENT;
    unsigned char *const memory = aligned_alloc(MSA_ALIGNMENT, whole_lines * MSA_ALIGNMENT);
    if (memory == NULL) {
        abort();
    }
    return memory;
}

static void set_up(void)
{
    FILE *const f = fopen(MODEL "/msa_weights.bin", "rb");
    weights = aligned(MSA_MODEL_WEIGHTS_BYTES);
    arena = aligned(MSA_MODEL_ARENA_BYTES);
    whole = given(MSA_MODEL_WEIGHTS_BYTES);
    if (f == NULL || fread(weights, 1, MSA_MODEL_WEIGHTS_BYTES, f) != MSA_MODEL_WEIGHTS_BYTES) {
        fputs(MODEL "/msa_weights.bin cannot be read\n", stderr);
        exit(2);
    }
    fclose(f);
    memcpy(whole, weights, MSA_MODEL_WEIGHTS_BYTES);
    prepare();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (whole == NULL) {
        set_up();
    }
    input = data;
    left = size;
    const uint32_t kind = take(1);
    (kind & 1u ? raw_calls : known_calls)();
    if (kind >= 128) {
        memset(&s, 0, sizeof s);
        open_right();
        encode_first();
        segment_right();
    }
    if (wrong != 0) {
        fflush(stdout);
        abort();
    }
    return 0;
}
