/* SPDX-License-Identifier: 0BSD */
/* msa_coverage_begin.c - memory, weights, image and prompt of msa_coverage.c, what is checked of each call, and hooks
 * that do what they must not. */
#include "msa_coverage.h"

#include <fenv.h>
#include <stdlib.h>

cover_all cover;

void cover_expect(const char *what, uint32_t got, uint32_t want, const char *file, int line)
{
    cover.calls += 1u;
    if (got != want) {
        cover.wrong += 1u;
        (void)printf("%s:%d: %s: expected %lu, found %lu\n", file, line, what, (unsigned long)want, (unsigned long)got);
    }
}

#if !COVER_TRAINING
void cover_refused(msa_session *s, msa_status want)
{
#if COVER_NETWORK
    COVER(msa_encode(s, &cover.image), want);
    COVER(msa_segment(s, &cover.prompt, &cover.mask), want);
    COVER(msa_get_embedding(s, cover.embedding), want);
    COVER(msa_select_bank(s, 0), want);
#endif
#ifdef MSA_FRONT_LINES
    COVER(msa_frame(s, &cover.samples), want);
    COVER(msa_lines_push(s, &cover.samples, 1), want);
#ifdef MSA_FRONT_DEPTH
    COVER(msa_grey(s, cover.grey), want);
#endif
#ifdef MSA_FRONT_WIDTH
    msa_picture shown;
    COVER(msa_picture_get(s, &shown), want);
    COVER(msa_bmode(s, cover.shown), want);
#if COVER_NETWORK
    COVER(msa_encode_samples(s, NULL), want);
    COVER(msa_encode_samples(s, &cover.samples), want);
#endif
#endif
#endif
    COVER(msa_weights_check(s, 0, NULL), want);
    COVER(msa_check_slice(s, 4096, NULL), want);
    COVER(msa_self_test(s), want);
}
#endif

float cover_nan(void)
{
    static const uint32_t bits = 0x7fc00000u;
    float x;
    (void)memcpy(&x, &bits, sizeof x);
    return x;
}

void *cover_memory(size_t bytes)
{
    void *const p = aligned_alloc(MSA_ALIGNMENT, (bytes + MSA_ALIGNMENT) / MSA_ALIGNMENT * MSA_ALIGNMENT);
    if (p == NULL) {
        (void)fputs("msa_coverage: out of memory\n", stderr);
        exit(2);
    }
    return p;
}

#ifdef MSA_FRONT_LINES
static void begin_front(void)
{
    cover.lines = cover_memory((size_t)MSA_FRONT_LINES * MSA_FRONT_LINE_BYTES);
#ifdef MSA_FRONT_DEPTH
    cover.grey = cover_memory(sizeof(float) * MSA_FRONT_LINES * MSA_FRONT_DEPTH);
#endif
#ifdef MSA_FRONT_WIDTH
    cover.shown = cover_memory((size_t)MSA_FRONT_WIDTH * MSA_FRONT_HEIGHT * MSA_FRONT_CHANNELS);
#endif
    cover.samples.lines = cover.lines;
    cover.samples.stride = MSA_FRONT_LINE_BYTES;
    cover_disc();
}
#endif

#if COVER_IMAGES
static void begin_images(void)
{
    static float point[1][2] = {{COVER_WIDTH / 2, COVER_HEIGHT / 2}};
    static int8_t label[1] = {1};
    const msa_prompt prompt = {(const float(*)[2])point, label, 1, NULL, NULL, false, 1, false, 0};
    cover.pixels = cover_memory((size_t)COVER_PIXELS * (MSA_MODEL_DEPTH + 1u));
    cover.work = cover_memory(MSA_IMAGE_WORK_BYTES(COVER_WIDTH, MSA_MODEL_CORES));
    cover.logits = cover_memory(sizeof(float) * (COVER_LOGITS + (size_t)COVER_IOUS));
    cover.iou = cover_memory(sizeof(float) * COVER_IOUS);
    cover.embedding = cover_memory(sizeof(float) * COVER_EMBEDDING);
    for (size_t i = 0; i < (size_t)COVER_PIXELS * (MSA_MODEL_DEPTH + 1u); ++i) {
        cover.pixels[i] = (uint8_t)((i * 2654435761u) >> 24);
    }
    cover.image = msa_rgb(cover.pixels, COVER_WIDTH, COVER_HEIGHT);
    cover.prompt = prompt;
    cover.mask.logits = cover.logits;
    cover.mask.iou = cover.iou;
}
#endif

void cover_begin(const char *path)
{
    FILE *const f = fopen(path, "rb");
    cover.weights = cover_memory(MSA_MODEL_WEIGHTS_BYTES);
    if (f == NULL || fread(cover.weights, 1, MSA_MODEL_WEIGHTS_BYTES, f) != MSA_MODEL_WEIGHTS_BYTES) {
        (void)fprintf(stderr, "%s: expected %lu bytes\n", path, (unsigned long)MSA_MODEL_WEIGHTS_BYTES);
        exit(2);
    }
    (void)fclose(f);
    cover.arena = cover_memory((size_t)MSA_MODEL_ARENA_BYTES + MSA_ALIGNMENT);
#if COVER_IMAGES
    begin_images();
#endif
#ifdef MSA_FRONT_LINES
    begin_front();
#endif
}

#if !COVER_TRAINING
msa_status cover_compute(msa_session *s)
{
#if COVER_NETWORK
    return msa_encode(s, &cover.image);
#else
    return msa_frame(s, &cover.samples);
#endif
}

const void *cover_given(void)
{
    return MSA_MODEL_STREAMED ? NULL : cover.weights;
}

msa_status cover_open_anew(void)
{
    return msa_open(&cover.s, cover.arena, MSA_MODEL_ARENA_BYTES, cover_given(), MSA_MODEL_WEIGHTS_BYTES);
}

void cover_opened(void)
{
    COVER(cover_open_anew(), MSA_OK);
}

/* The first one is kept: encoding takes long where there are no vectors. */
void cover_encoded(void)
{
    static msa_session session;
    static unsigned char *arena;
    if (arena == NULL) {
        cover_opened();
        COVER(cover_compute(&cover.s), MSA_OK);
        session = cover.s;
        arena = cover_memory(MSA_MODEL_ARENA_BYTES);
        (void)memcpy(arena, cover.arena, MSA_MODEL_ARENA_BYTES);
    }
    cover.s = session;
    (void)memcpy(cover.arena, arena, MSA_MODEL_ARENA_BYTES);
}
#endif

/* Linked with --wrap=msa_crc32c: every sum that the library makes passes here. */
#define THE_LIBRARYS(name) __real_##name
#define IN_ITS_PLACE(name) __wrap_##name
uint32_t THE_LIBRARYS(msa_crc32c)(uint32_t crc, const void *data, size_t bytes);
uint32_t IN_ITS_PLACE(msa_crc32c)(uint32_t crc, const void *data, size_t bytes);
uint32_t IN_ITS_PLACE(msa_crc32c)(uint32_t crc, const void *data, size_t bytes)
{
    if (cover.change_in_sum) {
        cover.change_in_sum = false;
        cover.s.height ^= 1u;
    }
    return THE_LIBRARYS(msa_crc32c)(crc, data, bytes);
}

#if MSA_MODEL_STREAMED
int msa_weights_fetch_begin(msa_session *session, uint64_t offset, size_t bytes, void *dst)
{
    (void)session;
    cover.fetches += 1u;
    if (cover.fetches == cover.fail_at && !cover.fail_late) {
        return -1;
    }
    (void)memcpy(dst, cover.weights + (size_t)offset, bytes);
    return 0;
}

int msa_weights_fetch_wait(msa_session *session)
{
    (void)session;
    return cover.fetches == cover.fail_at ? -1 : 0;
}
#endif

#if !MSA_COVERAGE_OWN_HOOKS
#if !COVER_TRAINING
#if COVER_NETWORK
#ifdef MSA_SAMPLES
static bool is_sampled(size_t place)
{
    static const size_t samples[MSA_SAMPLE_COUNT] = MSA_SAMPLES;
    for (uint32_t i = 0; i < MSA_SAMPLE_COUNT; ++i) {
        if (samples[i] == place) {
            return true;
        }
    }
    return false;
}

static void spoil_sampled(msa_session *s)
{
    static const size_t samples[MSA_SAMPLE_COUNT] = MSA_SAMPLES;
    s->arena[samples[0] * sizeof(float)] ^= 1u;
}
#else
static bool is_sampled(size_t place)
{
    (void)place;
    return false;
}

static void spoil_sampled(msa_session *s)
{
    (void)s;
}
#endif

/* A word of the arena, `step` words on as long as it is a sampled one, is no number any more. */
static void spoil(msa_session *s, size_t place, size_t step)
{
    static const uint32_t nan = 0x7fc00001u;
    while (is_sampled(place)) {
        place += step;
    }
    (void)memcpy(s->arena + place * sizeof(float), &nan, sizeof nan);
}

static void spoil_kept(msa_session *s)
{
    static const struct {
        size_t first, count;
    } kept[MSA_KEPT_COUNT] = MSA_KEPT;
    spoil(s, kept[0].first, (kept[0].count / 1024u) | 1u);
}

static void spoil_canary(msa_session *s)
{
#ifdef MSA_CANARIES
    static const size_t canaries[MSA_CANARY_COUNT] = MSA_CANARIES;
    s->arena[canaries[0]] ^= 1u;
#else
    (void)s;
#endif
}
#endif

static void call_all(msa_session *s)
{
    COVER(msa_open(s, cover.arena, MSA_MODEL_ARENA_BYTES, cover_given(), MSA_MODEL_WEIGHTS_BYTES), MSA_E_BUSY);
    cover_refused(s, MSA_E_BUSY);
}

static void act(msa_session *s)
{
    switch (cover.act) {
    case ACT_CALLS: call_all(s); break;
    case ACT_STATE: s->state ^= 1u; break;
    case ACT_BANK: s->width ^= 1u; break;
    case ACT_ROUND: (void)fesetround(FE_UPWARD); break;
#if COVER_NETWORK
    case ACT_EMBEDDING: spoil(s, MSA_EMBEDDING_OFFSET / sizeof(float), 1); break;
    case ACT_LOGITS: spoil(s, MSA_LOGITS_OFFSET / sizeof(float), 1); break;
    case ACT_IOU: spoil(s, MSA_IOU_OFFSET / sizeof(float), 1); break;
    case ACT_KEPT: spoil_kept(s); break;
    case ACT_SAMPLED: spoil_sampled(s); break;
    case ACT_CANARY: spoil_canary(s); break;
#endif
    default: break;
    }
}

int msa_progress(const msa_session *session, msa_phase phase, uint32_t layer)
{
    if (cover.act == ACT_NONE || phase != cover.phase || layer != cover.at) {
        return 0;
    }
    act(&cover.s);
    return session == &cover.s && cover.act == ACT_CANCEL;
}
#endif

/* None where the image has no context. */
const uint8_t *msa_image_line(const msa_image *image, uint32_t slice, uint32_t y)
{
    const uint8_t *const rows = (const uint8_t *)image->context;
    return rows == NULL ? NULL : rows + (size_t)slice + 3u * (size_t)image->width * y;
}
#endif
