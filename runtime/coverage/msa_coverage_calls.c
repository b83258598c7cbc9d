/* SPDX-License-Identifier: 0BSD */
/* msa_coverage_calls.c - of msa_coverage.c: what hooks may do and must not, memory that changes between calls, and
 * results at the image's size. */
#include "msa_coverage.h"

#if COVER_IMAGES
enum { WIDTH = 37, HEIGHT = 21, SIDE = 12, SQUARE = 40 };

#if COVER_NETWORK
static msa_status with(cover_act act, msa_phase phase, uint32_t layer)
{
    cover.act = act;
    cover.phase = phase;
    cover.at = layer;
    const msa_status status = phase == MSA_PHASE_ENCODE ? msa_encode(&cover.s, &cover.image)
        : msa_segment(&cover.s, &cover.prompt, &cover.mask);
    cover.act = ACT_NONE;
    return status;
}

/* The last layers, at whose ends the embedding and the logits are there. */
#define ENCODED (MSA_MODEL_LAYERS_ENCODE - 1)
#define DECODED (MSA_MODEL_LAYERS_DECODE - 1)

/* A call ended after any layer; the session is as after opening. */
static void cancelled(void)
{
    cover_opened();
    for (uint32_t i = 0; i < MSA_MODEL_LAYERS_ENCODE; ++i) {
        COVER(with(ACT_CANCEL, MSA_PHASE_ENCODE, i), MSA_E_CANCELLED);
    }
    COVER(msa_segment(&cover.s, &cover.prompt, &cover.mask), MSA_E_ORDER);
    for (uint32_t i = 0; i < MSA_MODEL_LAYERS_DECODE; ++i) {
        cover_encoded();
        COVER(with(ACT_CANCEL, MSA_PHASE_DECODE, i), MSA_E_CANCELLED);
    }
}

/* Hooks that write to the session or the arena. */
static void spoiled(void)
{
    cover_opened();
    COVER(with(ACT_STATE, MSA_PHASE_ENCODE, 0), MSA_E_SESSION);
    cover_opened();
    COVER(with(ACT_BANK, MSA_PHASE_ENCODE, 0), MSA_E_SESSION);
    cover_opened();
    COVER(with(ACT_SAMPLED, MSA_PHASE_ENCODE, 0), MSA_MODEL_CORES > 1 ? MSA_OK : MSA_E_ARENA_CHANGED);
    COVER(with(ACT_EMBEDDING, MSA_PHASE_ENCODE, ENCODED), MSA_E_NAN);
    cover_encoded();
    COVER(with(ACT_LOGITS, MSA_PHASE_DECODE, DECODED), MSA_E_NAN);
    COVER(with(ACT_IOU, MSA_PHASE_DECODE, DECODED), MSA_E_NAN);
    COVER(with(ACT_KEPT, MSA_PHASE_DECODE, DECODED), MSA_E_ARENA_CHANGED);
    COVER(with(ACT_NONE, MSA_PHASE_DECODE, 0), MSA_E_ORDER);
#ifdef MSA_CANARIES
    COVER(with(ACT_CANARY, MSA_PHASE_ENCODE, ENCODED), MSA_E_ARENA_CHANGED);
#endif
}

/* The session, or what the image left in the arena, changed between calls. */
static void between(void)
{
    cover_encoded();
    cover.s.height ^= 1u;
    COVER(msa_segment(&cover.s, &cover.prompt, &cover.mask), MSA_E_SESSION);
    cover_encoded();
    (void)memset(cover.arena, 0, MSA_MODEL_ARENA_BYTES);
    COVER(msa_get_embedding(&cover.s, cover.embedding), MSA_E_ARENA_CHANGED);
    COVER(msa_segment(&cover.s, &cover.prompt, &cover.mask), MSA_E_ARENA_CHANGED);
    COVER(msa_segment(&cover.s, &cover.prompt, &cover.mask), MSA_E_ORDER);
    cover.s.build ^= 1u;
    COVER(msa_encode(&cover.s, &cover.image), MSA_E_ARGUMENT);
}

void cover_hooks(void)
{
    cancelled();
    cover_opened();
    COVER(with(ACT_CALLS, MSA_PHASE_ENCODE, 0), MSA_OK);
    COVER(with(ACT_CALLS, MSA_PHASE_DECODE, 0), MSA_OK);
    spoiled();
    between();
}

/* The library's own hooks go on, have no rows, and no other cores. */
void cover_library_hooks(void)
{
    msa_image rows = cover.image;
    rows.format = MSA_PIXELS_ROWS;
    cover_opened();
    COVER(msa_encode(&cover.s, &rows), MSA_E_ARGUMENT);
    COVER(msa_encode(&cover.s, &cover.image), MSA_MODEL_CORES > 1 ? MSA_E_CORES : MSA_OK);
    COVER(msa_segment(&cover.s, &cover.prompt, &cover.mask), MSA_MODEL_CORES > 1 ? MSA_E_ORDER : MSA_OK);
    COVER(msa_self_test(&cover.s), MSA_OK);
    COVER(msa_progress(&cover.s, MSA_PHASE_ENCODE, 0), 0);
#if MSA_MODEL_CORES > 1
    msa_cores_wait(NULL, &cover.s, 0);
#endif
}

static msa_status encode(void)
{
    return msa_encode(&cover.s, &cover.image);
}

static msa_status segment(void)
{
    return msa_segment(&cover.s, &cover.prompt, &cover.mask);
}

static msa_status check(void)
{
    return msa_weights_check(&cover.s, MSA_MODEL_SEGMENTS - 1u, NULL);
}

static msa_status slice(void)
{
    return msa_check_slice(&cover.s, 1u << 16, NULL);
}

static msa_status self_test(void)
{
    return msa_self_test(&cover.s);
}

/* Every fetch of a call fails in turn, when it begins or when it is waited for. */
static void fetches_of(msa_status (*call)(void), bool encoded)
{
    for (uint32_t n = 2; n != 0u; ++n) {
        if (encoded) {
            cover_encoded();
        } else {
            cover_opened();
        }
        cover.fetches = 0;
        cover.fail_at = n / 2u;
        cover.fail_late = n % 2u != 0u;
        const msa_status status = call();
        const bool failed = cover.fetches >= cover.fail_at;
        cover.fail_at = 0;
        COVER(status, failed ? MSA_E_FETCH : MSA_OK);
        if (!failed) {
            break;
        }
    }
}

void cover_fetches(void)
{
    if (!MSA_MODEL_STREAMED) {
        return;
    }
    fetches_of(cover_open_anew, false);
    fetches_of(encode, false);
    fetches_of(segment, true);
    fetches_of(check, false);
    fetches_of(slice, false);
    fetches_of(self_test, false);
    COVER(msa_open(&cover.s, cover.arena, MSA_MODEL_ARENA_BYTES, NULL, 0), MSA_E_SIZE);
}

void cover_team(void)
{
#if MSA_MODEL_CORES > 1
    cover_encoded();
    COVER(msa_set_team(&cover.s, &cover), MSA_OK);
    msa_work(&cover.s, 0);
    msa_work(&cover.s, MSA_MODEL_CORES);
    cover.round_before = true;
    COVER(encode(), MSA_E_ENVIRONMENT);
    cover.round_before = false;
    cover.round_after = true;
    COVER(encode(), MSA_E_ENVIRONMENT);
    cover.round_after = false;
    cover.no_cores = true;
    COVER(encode(), MSA_E_CORES);
    cover.no_cores = false;
    cover.s.state ^= 1u;
    COVER(msa_set_team(&cover.s, &cover), MSA_E_ARGUMENT);
#endif
}

/* Enlarged by way of a square, of none, squashed, and of probabilities. */
static void enlarged(const float *logits)
{
    static const uint32_t sides[3][2] = {{WIDTH, HEIGHT}, {HEIGHT, WIDTH}, {MSA_MAX_SIDE, 1}};
    static float rows[2 * SQUARE], row[MSA_MAX_SIDE];
    static uint8_t bits[MSA_MASK_ROW_BYTES(MSA_MAX_SIDE) * WIDTH];
    for (uint32_t kind = 0; kind < 12u; ++kind) {
        const uint32_t *const side = sides[kind % 3u];
        msa_upsampler u;
        msa_upsample_init(&u, logits, SIDE, kind < 6u ? 0u : SQUARE, side[0], side[1], rows);
#if !MSA_MODEL_MASK_BICUBIC
        if (kind >= 3u && kind < 6u) {
            msa_upsample_probabilities(&u);
        }
        if (kind >= 9u) {
            msa_upsample_squashed(&u);
        }
#endif
        u.probabilities = u.probabilities || (MSA_MODEL_MASK_BICUBIC != 0 && kind == 3u);
        const uint32_t least = msa_mask_bits(&u, false, row, bits);
        COVER(msa_mask_bits(&u, true, row, bits) >= least, true);
        COVER(least <= side[0] * side[1], true);
    }
}

/* A frame with a hole and a dot: its outline has no more corners than it has, and none where nothing is. */
static void outlined(void)
{
    static uint8_t bits[MSA_MASK_ROW_BYTES(WIDTH) * HEIGHT], work[sizeof bits];
    msa_corner corners[16];
    msa_outline outline = {0, 0};
    COVER(msa_contour(bits, WIDTH, HEIGHT, work, corners, 16, &outline), MSA_OK);
    COVER(outline.count, 0);
    for (uint32_t y = 2; y < HEIGHT; ++y) {
        for (uint32_t x = 3; x < WIDTH; ++x) {
            if (x < 6u || y < 5u || (x == 20u && y == 10u) || (x + 1u == WIDTH && y > 12u)) {
                bits[y * MSA_MASK_ROW_BYTES(WIDTH) + x / 8u] |= (uint8_t)(1u << (x % 8u));
            }
        }
    }
    COVER(msa_contour(bits, WIDTH, HEIGHT, work, corners, 16, &outline), MSA_OK);
    COVER(msa_contour(bits, WIDTH, HEIGHT, work, corners, 2, &outline), MSA_E_CAPACITY);
    COVER(msa_contour(bits, WIDTH, HEIGHT, work, NULL, 0, &outline), MSA_E_CAPACITY);
    COVER(msa_contour(bits, WIDTH, HEIGHT, work, NULL, 1, &outline), MSA_E_ARGUMENT);
    COVER(msa_contour(NULL, WIDTH, HEIGHT, work, corners, 16, &outline), MSA_E_ARGUMENT);
    COVER(msa_contour(bits, WIDTH, HEIGHT, NULL, corners, 16, &outline), MSA_E_ARGUMENT);
    COVER(msa_contour(bits, WIDTH, HEIGHT, work, corners, 16, NULL), MSA_E_ARGUMENT);
    static const uint32_t wrong[4][2] = {{0, 1}, {MSA_MAX_SIDE + 1u, 1}, {1, 0}, {1, MSA_MAX_SIDE + 1u}};
    for (uint32_t i = 0; i < 4u; ++i) {
        COVER(msa_contour(bits, wrong[i][0], wrong[i][1], work, corners, 16, &outline), MSA_E_IMAGE_SIZE);
    }
}

/* Masks of any shape, to all four edges: an outline encloses at least one pixel, and at most all. */
static void any_outlines(void)
{
    enum { MOST = 9 };
    uint8_t bits[MSA_MASK_ROW_BYTES(MOST) * MOST], work[sizeof bits];
    uint32_t random = 1;
    for (uint32_t n = 0; n < 600u; ++n) {
        const uint32_t width = 1u + n % MOST, height = 1u + n / MOST % MOST;
        uint32_t pixels = 0;
        (void)memset(bits, 0, sizeof bits);
        for (uint32_t i = 0; i < width * height; ++i) {
            random = random * 1664525u + 1013904223u;
            if (random >> 30 != 0u) {
                bits[i / width * MSA_MASK_ROW_BYTES(width) + i % width / 8u] |= (uint8_t)(1u << (i % width % 8u));
                pixels += 1u;
            }
        }
        msa_outline outline = {0, 0};
        COVER(msa_contour(bits, width, height, work, NULL, 0, &outline), pixels > 0u ? MSA_E_CAPACITY : MSA_OK);
        COVER(outline.area >= (pixels > 0u ? 1 : 0) && outline.area <= (int64_t)width * height, true);
        COVER(outline.count % 2u, 0);
    }
}

#endif

/* Pictures of which an axis grows, shrinks, stays, is a multiple; of any bytes, of one, and white. */
static void any_sizes(unsigned char *work)
{
    static const uint8_t in[7] = {3, SIDE, SIDE + 3, 2 * SIDE, 3 * SIDE - 1, 3 * SIDE, 7 * SIDE};
    static uint8_t pixels[3 * 49 * SIDE * SIDE], row[3 * SIDE];
    for (uint32_t n = 0; n < 3u * 49u; ++n) {
        const msa_image image = msa_rgb(pixels, in[n % 7u], in[n / 7u % 7u]);
        MSA_RESIZER resizer;
        for (uint32_t i = 0; i < sizeof pixels; ++i) {
            pixels[i] = n < 49u ? (uint8_t)((i * 2654435761u) >> 24) : n < 98u ? 255u : i % 7u == 3u ? 255u : 0u;
        }
        COVER(MSA_RESIZER_INIT(&resizer, &image, 0, SIDE, SIDE, work, MSA_RESIZER_BYTES), MSA_OK);
        for (uint32_t y = 0; y < SIDE; ++y) {
            MSA_RESIZER_ROW(&resizer, row);
        }
    }
}

/* Sides that the model does not have, and memory that is too short, or only enough for few rows. */
static void resizers(void)
{
    static const uint32_t wrong[4][2] = {{0, 5}, {MSA_MAX_SIDE + 1u, 5}, {5, 0}, {5, MSA_MAX_SIDE + 1u}};
    unsigned char *const work = cover_memory(MSA_RESIZER_BYTES);
    uint8_t row[3 * SIDE];
    MSA_RESIZER resizer;
    if (MSA_RESIZER_INIT(&resizer, &cover.image, 0, SIDE, SIDE, work, MSA_RESIZER_BYTES) == MSA_E_ARGUMENT) {
        return; /* no resizer makes rows of bytes */
    }
    any_sizes(work);
    for (uint32_t i = 0; i < 4u; ++i) {
        COVER(MSA_RESIZER_INIT(&resizer, &cover.image, 0, wrong[i][0], wrong[i][1], work, MSA_RESIZER_BYTES),
              MSA_E_IMAGE_SIZE);
    }
    /* To one pixel a column needs more than rows that are kept. */
    const msa_image high = msa_rgb(cover_memory(3u * (size_t)MSA_MAX_SIDE), 1, MSA_MAX_SIDE);
    const msa_status one = MSA_RESIZER_INIT(&resizer, &high, 0, 1, 1, work, MSA_RESIZER_BYTES);
    COVER(one == MSA_OK || one == MSA_E_ARENA, true);
    uint32_t short_of = 0, rows = 0;
    for (size_t bytes = 0; bytes < MSA_RESIZER_BYTES; bytes = 2u * bytes + 64u) {
        const msa_status status = MSA_RESIZER_INIT(&resizer, &cover.image, 0, SIDE, SIDE, work, bytes);
        COVER(status == MSA_OK || status == MSA_E_ARENA, true);
        short_of += status == MSA_E_ARENA ? 1u : 0u;
        for (uint32_t y = 0; y < SIDE && status == MSA_OK; ++y, ++rows) {
            MSA_RESIZER_ROW(&resizer, row);
        }
    }
    COVER((rows > 0u && short_of > 0u) || MSA_RESIZER_BYTES == 0u, true);
}

void cover_resized(void)
{
    /* Products that are contracted, sums that are regrouped, zeros that lose their sign. */
    COVER(msa_image_as_written(1.0f + 0x1p-12f, 16777216.0f, -0.0f), true);
    COVER(msa_image_as_written(1.5f, 16777216.0f, -0.0f), false);
    COVER(msa_image_as_written(1.0f + 0x1p-12f, 1.0f, -0.0f), false);
    COVER(msa_image_as_written(1.0f + 0x1p-12f, 16777216.0f, 1.0f), false);
    resizers();
    uint32_t width = 0, height = 0;
    msa_resized_size(MSA_MAX_SIDE, 1, 256, true, &width, &height);
    COVER(width == 256u && height == 1u, true);
    msa_resized_size(1, MSA_MAX_SIDE, 256, true, &width, &height);
    COVER(width == 1u && height == 256u, true);
    msa_resized_size(3, 5, 256, false, &width, &height);
    COVER(width == 256u && height == 256u, true);
}

#if COVER_NETWORK
void cover_results(void)
{
    static float logits[SIDE * SIDE];
    for (uint32_t i = 0; i < SIDE * SIDE; ++i) {
        logits[i] = i % 5u == 0u ? 0.0f : 40.0f * ((float)((i * 7u) % 13u) - 6.0f);
    }
    enlarged(logits);
    static const float zeros[SIDE * SIDE];
    enlarged(zeros);
    outlined();
    any_outlines();
    cover_resized();
}
#endif
#endif
