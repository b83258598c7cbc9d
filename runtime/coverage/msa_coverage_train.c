/* SPDX-License-Identifier: 0BSD */
/* msa_coverage_train.c - of msa_coverage.c: a training step's session. Opening it, images, prompts, targets, updates,
 * values, hooks and cores. */
#include "msa_coverage.h"

#if COVER_TRAINING
#include <fenv.h>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

enum { TARGET = MSA_TRAIN_TARGET_SIDE,
    PIXELS = MSA_TRAIN_MASKS * TARGET * TARGET, ELEMENTS = MSA_TRAIN_ELEMENTS };

static const msa_loss_rule own_rule = MSA_TRAIN_LOSS;
static const msa_loss_rule rules[4] = {{MSA_LOSS_BCE, 2.0, false, 0.0, 0.0, 0.0},
    {MSA_LOSS_DICECE, 0.0, false, 0.0, 0.0, 0.0}, {MSA_LOSS_DICECE, 0.0, true, 0.0, 0.0, 0.0},
    {MSA_LOSS_SAM, 0.0, false, 20.0, 1.0, MSA_TRAIN_SCORES ? 1.0 : 0.0}};
static const msa_optimiser adam = {MSA_ADAM, 1e-3, 0.9, 0.999, 1e-8, 0.0, 0.0};
static uint8_t *marks;
static float *shares, *values, *more_values;
static msa_target target;
static msa_loss loss;

msa_status cover_open_anew(void)
{
    return msa_train_open(&cover.t, cover.arena, MSA_TRAIN_ARENA_BYTES, cover.weights, MSA_TRAIN_WEIGHTS_BYTES);
}

void cover_opened(void)
{
    COVER(cover_open_anew(), MSA_OK);
#if MSA_TRAIN_TEXT > 0
    static float text[MSA_TRAIN_TEXT];
    text[0] = 1.0f;
    COVER(msa_train_text(&cover.t, text), MSA_OK);
#endif
}

/* Where the step begins with an embedding images are checked alone. */
msa_status cover_encode(const msa_image *image)
{
#if MSA_TRAIN_IMAGES
    return msa_train_encode(&cover.t, image);
#else
    return msa_image_check(image, MSA_TRAIN_DEPTH);
#endif
}

msa_status cover_segment_into(const msa_prompt *prompt, msa_mask *mask)
{
    return msa_train_decode(&cover.t, prompt, 0, mask);
}

static msa_status begin_image(void)
{
#if MSA_TRAIN_IMAGES
    return msa_train_encode(&cover.t, &cover.image);
#else
    return msa_train_set_embedding(&cover.t, cover.embedding, COVER_WIDTH, COVER_HEIGHT);
#endif
}

static msa_status decode(void)
{
    return cover_segment(&cover.prompt);
}

static msa_status backward(void)
{
    return msa_train_backward(&cover.t, &target, &own_rule, 1.0, &loss);
}

static msa_status image_end(void)
{
    return msa_train_image_end(&cover.t);
}

static msa_status update(void)
{
    return msa_train_update(&cover.t, &adam, false, 0, NULL);
}

/* An image's way: what was done last. */
typedef enum stage { NOTHING, ENCODED, DECODED, BACKED, ENDED } stage;

static msa_status (*const next[5])(void) = {begin_image, decode, backward, image_end, update};

/* Each is computed once and kept. */
static void reach(stage wanted)
{
    static struct {
        msa_train t;
        unsigned char *arena;
    } kept[ENDED + 1];
    if (kept[wanted].arena == NULL) {
        if (wanted == NOTHING) {
            cover_opened();
        } else {
            reach((stage)(wanted - 1));
            COVER(next[wanted - 1](), MSA_OK);
        }
        kept[wanted].arena = cover_memory(MSA_TRAIN_ARENA_BYTES);
        kept[wanted].t = cover.t;
        (void)memcpy(kept[wanted].arena, cover.arena, MSA_TRAIN_ARENA_BYTES);
    }
    cover.t = kept[wanted].t;
    (void)memcpy(cover.arena, kept[wanted].arena, MSA_TRAIN_ARENA_BYTES);
}

static void prepare(void)
{
    marks = cover_memory(PIXELS);
    shares = cover_memory(PIXELS * sizeof *shares);
    values = cover_memory(ELEMENTS * sizeof *values);
    more_values = cover_memory(ELEMENTS * sizeof *more_values);
    for (uint32_t i = 0; i < (uint32_t)PIXELS; ++i) {
        marks[i] = i % 7u < 3u ? 1u : 0u;
        shares[i] = 0.25f;
    }
    for (uint32_t i = 0; i < (uint32_t)COVER_EMBEDDING; ++i) {
        cover.embedding[i] = (float)(i * 7u % 13u) - 6.0f;
    }
    target.bytes = marks;
    target.masks = 1;
    target.side = COVER_SIDE;
}

#if MSA_TRAIN_IMAGES
static msa_status step_of(msa_train *s, uint32_t count)
{
    const msa_train_batch batch = {&cover.image, &cover.prompt, &target, count};
    return msa_train_step(s, &batch, &own_rule, &adam, false, NULL);
}
#endif

/* Calls of a session that is closed, or busy. */
static void refused(msa_train *s, msa_status want)
{
#if MSA_TRAIN_IMAGES
    COVER(msa_train_encode(s, &cover.image), want);
    COVER(step_of(s, 1), want);
#endif
#if MSA_TRAIN_EMBEDDINGS
    COVER(msa_train_set_embedding(s, cover.embedding, COVER_WIDTH, COVER_HEIGHT), want);
    COVER(msa_train_get_embedding(s, cover.embedding), want);
#endif
#if MSA_TRAIN_TEXT > 0
    COVER(msa_train_text(s, cover.embedding), want);
#endif
#if MSA_TRAIN_CORES > 1
    COVER(msa_train_set_team(s, &cover), want);
#endif
    COVER(msa_train_decode(s, &cover.prompt, 0, NULL), want);
    COVER(msa_train_backward(s, &target, &own_rule, 1.0, &loss), want);
    COVER(msa_train_image_end(s), want);
    COVER(msa_train_update(s, &adam, false, 0, NULL), want);
    COVER(msa_train_get(s, MSA_VALUES_PARAMETERS, values), want);
    COVER(msa_train_set(s, MSA_VALUES_GRADIENT, NULL), want);
    COVER(msa_train_set_steps(s, &adam, 1), want);
    COVER(msa_train_steps(s), 0);
}

/* A session within the arena or the weights, which are as they were afterwards. */
static void session_within(unsigned char *memory)
{
    unsigned char kept[sizeof(msa_train)];
    msa_train *const inside = (msa_train *)(void *)(memory + MSA_ALIGNMENT);
    (void)memcpy(kept, inside, sizeof kept);
    COVER(msa_train_open(inside, cover.arena, MSA_TRAIN_ARENA_BYTES, cover.weights, MSA_TRAIN_WEIGHTS_BYTES),
          MSA_E_OVERLAP);
    (void)memcpy(inside, kept, sizeof kept);
}

static void opening(void)
{
    msa_train *const s = &cover.t;
    unsigned char *const a = cover.arena, *const w = cover.weights;
    const size_t all = MSA_TRAIN_ARENA_BYTES, bytes = MSA_TRAIN_WEIGHTS_BYTES;
    refused(NULL, MSA_E_ARGUMENT);
    (void)memset(s, 0, sizeof *s);
    refused(s, MSA_E_ARGUMENT);
    COVER(msa_train_open(NULL, a, all, w, bytes), MSA_E_ARGUMENT);
    cover_opened();
    s->state += 100u;
    refused(s, MSA_E_ARGUMENT);
    COVER(msa_train_open(s, NULL, all, w, bytes), MSA_E_ARGUMENT);
    refused(s, MSA_E_ARGUMENT); /* this build's, and closed */
    COVER(msa_train_open(s, a, all, NULL, bytes), MSA_E_ARGUMENT);
    COVER(msa_train_open(s, a + 4, all, w, bytes), MSA_E_ALIGNMENT);
    COVER(msa_train_open(s, a, all, w + 4, bytes), MSA_E_ALIGNMENT);
    COVER(msa_train_open(s, a, all - 1u, w, bytes), MSA_E_ARENA);
    COVER(msa_train_open(s, w, all, w, bytes), MSA_E_OVERLAP);
    COVER(msa_train_open(s, a, all, w, bytes - 1u), MSA_E_SIZE);
    session_within(a);
    session_within(w);
    COVER(msa_apart(a, 0, a, 1) && msa_apart(a, 1, a, 0) && !msa_apart(a, 1, a, 1), true);
}

/* ---- images ---- */

#if MSA_TRAIN_IMAGES
/* Pictures that are long and thin, of one level, and of rows. */
static void thin_images(void)
{
    static const uint8_t black[3 * 3 * 50];
    const msa_image high = msa_rgb(black, 3, 50), wide = msa_rgb(black, 50, 3);
    msa_image rows = cover.image;
    COVER(cover_encode(&high), MSA_OK);
    COVER(cover_encode(&wide), MSA_OK);
    rows.format = MSA_PIXELS_ROWS;
    rows.context = cover.pixels;
    COVER(cover_encode(&rows), MSA_OK);
}
#endif

#if MSA_TRAIN_EMBEDDINGS
static void embeddings(void)
{
    float *const kept = cover_memory(COVER_EMBEDDING * sizeof *kept);
    static const uint32_t sides[4][2] = {{0, 1}, {MSA_MAX_SIDE + 1u, 1}, {1, 0}, {1, MSA_MAX_SIDE + 1u}};
    static const float wrong[2] = {0x1p60f, -0x1p60f};
    reach(NOTHING);
    COVER(msa_train_get_embedding(&cover.t, kept), MSA_E_ORDER);
    COVER(begin_image(), MSA_OK);
    COVER(msa_train_get_embedding(&cover.t, NULL), MSA_E_ARGUMENT);
    for (uint32_t i = 0; i < COVER_PLACES; ++i) {
        COVER(msa_train_get_embedding(&cover.t, cover_place(i)), MSA_E_OVERLAP);
    }
    COVER(msa_train_get_embedding(&cover.t, kept), MSA_OK);
    COVER(msa_train_set_embedding(&cover.t, kept, COVER_WIDTH, COVER_HEIGHT), MSA_OK);
    COVER(msa_train_get_embedding(&cover.t, cover.embedding), MSA_OK);
    COVER(memcmp(kept, cover.embedding, COVER_EMBEDDING * sizeof *kept), 0);
    COVER(msa_train_set_embedding(&cover.t, NULL, 1, 1), MSA_E_ARGUMENT);
    COVER(msa_train_set_embedding(&cover.t, cover_place(0), 1, 1), MSA_E_OVERLAP);
    for (uint32_t i = 0; i < 4u; ++i) {
        COVER(msa_train_set_embedding(&cover.t, kept, sides[i][0], sides[i][1]), MSA_E_IMAGE_SIZE);
    }
    for (uint32_t i = 0; i < 2u; ++i) {
        kept[COVER_EMBEDDING - 1] = wrong[i];
        COVER(msa_train_set_embedding(&cover.t, kept, 1, 1), MSA_E_NAN);
    }
}
#endif

static void images(void)
{
    reach(NOTHING);
    COVER(decode(), MSA_E_ORDER);
    COVER(image_end(), MSA_E_ORDER);
    cover_wrong_images();
    cover_formats();
    cover_sizes();
#if MSA_TRAIN_IMAGES
    cover_overlapping_images();
    thin_images();
#endif
    cover_resized();
#if MSA_TRAIN_EMBEDDINGS
    embeddings();
#endif
}

/* ---- prompts and targets ---- */

static msa_status backward_of(const msa_target *of, const msa_loss_rule *rule, double weight)
{
    return msa_train_backward(&cover.t, of, rule, weight, &loss);
}

static void targets(void)
{
    reach(DECODED);
    msa_target wrong = target;
    COVER(backward_of(NULL, &own_rule, 1.0), MSA_E_ARGUMENT);
    COVER(backward_of(&target, NULL, 1.0), MSA_E_ARGUMENT);
    COVER(msa_train_backward(&cover.t, &target, &own_rule, 1.0, NULL), MSA_E_ARGUMENT);
    COVER(backward_of(&target, &own_rule, -1.0), MSA_E_ARGUMENT);
    wrong.masks = MSA_TRAIN_MASKS + 1u;
    COVER(backward_of(&wrong, &own_rule, 1.0), MSA_E_ARGUMENT);
    wrong = target;
    wrong.side = TARGET + 1;
    COVER(backward_of(&wrong, &own_rule, 1.0), MSA_E_ARGUMENT);
    wrong = target;
    wrong.bytes = cover_place(0);
    COVER(backward_of(&wrong, &own_rule, 1.0), MSA_E_OVERLAP);
    wrong.bytes = NULL;
    wrong.shares = cover_place(0);
    COVER(backward_of(&wrong, &own_rule, 1.0), MSA_E_OVERLAP);
    for (uint32_t i = 0; i < COVER_PLACES; ++i) {
        COVER(msa_train_backward(&cover.t, &target, &own_rule, 1.0, cover_place(i)), MSA_E_OVERLAP);
    }
    marks[1] = 2;
    COVER(backward(), MSA_E_TARGET);
    marks[1] = 1;
    msa_loss_rule scored = rules[3];
    if (MSA_TRAIN_SCORES == 0) {
        scored.iou = 1.0;
        COVER(backward_of(&target, &scored, 1.0), MSA_E_ARGUMENT);
    }
    const float nan = cover_nan();
    (void)memcpy(cover.arena + (MSA_AT_LOGITS + (size_t)COVER_SIDE * COVER_SIDE * cover.t.first) * sizeof nan, &nan,
                 sizeof nan);
    COVER(backward(), MSA_E_NAN);
}

/* Every number of points, of each label, with and without box, mask and text, one mask and several, each by another
 * loss, of each slice, at the logits' size and at the largest. */
static void right_prompts(void)
{
    static float points[MSA_TRAIN_MAX_POINTS][2];
    static int8_t labels[MSA_TRAIN_MAX_POINTS];
    static const float box[1][4] = {{0, 0, COVER_WIDTH, COVER_HEIGHT}};
    for (uint32_t i = 0; i < MSA_TRAIN_MAX_POINTS; ++i) {
        points[i][0] = (float)(i % COVER_WIDTH);
        points[i][1] = (float)(7u * i % COVER_HEIGHT);
        labels[i] = (int8_t)((int)(i % 3u) - 1);
    }
    for (uint32_t n = 0; n <= MSA_TRAIN_MAX_POINTS; ++n) {
        for (uint32_t kind = 0; kind < 4u; ++kind) {
            const msa_prompt prompt = {(const float(*)[2])points, labels, n, kind % 2u == 0u ? NULL : box,
                kind < 2u || !COVER_MASKS ? NULL : cover.logits, kind == 1u, 1, MSA_MODEL_TEXTS > 0u && kind != 0u, 0};
            msa_target of = target;
            of.side = kind == 2u ? TARGET : COVER_SIDE;
            of.bytes = kind == 3u ? NULL : marks;
            of.shares = kind == 3u ? shares : NULL;
            COVER(msa_train_decode(&cover.t, &prompt, n % MSA_TRAIN_DEPTH, kind == 3u ? NULL : &cover.mask), MSA_OK);
            COVER(backward_of(&of, &rules[(n + kind) % 4u], 1.0 / MSA_TRAIN_DEPTH), MSA_OK);
            COVER(loss.value >= 0.0 && loss.value < 1e6, true);
        }
    }
    COVER(msa_train_decode(&cover.t, &cover.prompt, MSA_TRAIN_DEPTH, NULL), MSA_E_SLICES);
    COVER(image_end(), MSA_OK);
}

static void prompts(void)
{
    reach(ENCODED);
    COVER(backward(), MSA_E_ORDER);
    cover_wrong_prompts();
    cover_other_prompts();
    reach(ENCODED);
    cover_wrong_masks();
    cover_overlapping_prompts();
    reach(ENCODED);
    right_prompts();
#if MSA_TRAIN_TEXT > 0
    reach(ENCODED);
    msa_prompt prompt = cover.prompt;
    prompt.with_text = true;
    COVER(msa_train_text(&cover.t, NULL), MSA_E_ARGUMENT);
    COVER(msa_train_text(&cover.t, cover_place(0)), MSA_E_OVERLAP);
    COVER(cover_open_anew(), MSA_OK);
    COVER(begin_image(), MSA_OK);
    COVER(cover_segment(&prompt), MSA_E_TEXT); /* nobody said which */
#endif
    targets();
}

/* ---- batches and updates ---- */

static void whole_image(void)
{
    COVER(begin_image(), MSA_OK);
    COVER(decode(), MSA_OK);
    COVER(backward(), MSA_OK);
    COVER(image_end(), MSA_OK);
}

/* Images until the batch is full, the sum told in between; then the update, which empties it. */
static void batches(void)
{
    float norm = 0.0f;
    reach(NOTHING);
    for (uint32_t i = 0; i < MSA_TRAIN_BATCH; ++i) {
        COVER(msa_train_get(&cover.t, MSA_VALUES_GRADIENT, values), MSA_OK);
        whole_image();
    }
    COVER(begin_image(), MSA_E_BATCH);
#if MSA_TRAIN_EMBEDDINGS
    COVER(msa_train_set_embedding(&cover.t, cover.embedding, 1, 1), MSA_E_BATCH);
#endif
    COVER(msa_train_get(&cover.t, MSA_VALUES_GRADIENT, values), MSA_OK);
    COVER(msa_train_get(&cover.t, MSA_VALUES_GRADIENT, more_values), MSA_OK);
    COVER(memcmp(values, more_values, ELEMENTS * sizeof *values), 0);
    COVER(msa_train_update(&cover.t, &adam, true, 0, &norm), MSA_OK);
    COVER(norm > 0.0f && msa_train_steps(&cover.t) == 1u, true);
    COVER(update(), MSA_E_ORDER);
}

static void updates(void)
{
    msa_optimiser wrong = adam;
    float norm = 0.0f;
    wrong.lr = -1.0;
    reach(ENDED);
    COVER(msa_train_update(&cover.t, NULL, false, 0, NULL), MSA_E_ARGUMENT);
    COVER(msa_train_update(&cover.t, &wrong, false, 0, NULL), MSA_E_ARGUMENT);
    COVER(msa_train_get(&cover.t, MSA_VALUES_PARAMETERS, values), MSA_OK);
    msa_optimiser *const inside = cover_place(0);
    for (uint32_t i = 0; i < COVER_PLACES; ++i) {
        COVER(msa_train_update(&cover.t, &adam, false, 0, cover_place(i)), MSA_E_OVERLAP);
    }
    COVER(msa_train_update(&cover.t, inside, false, 0, NULL), MSA_E_OVERLAP);
    COVER(msa_train_get(&cover.t, MSA_VALUES_PARAMETERS, more_values), MSA_OK);
    COVER(memcmp(values, more_values, ELEMENTS * sizeof *values), 0);
    COVER(msa_train_update(&cover.t, &adam, true, 7, &norm), MSA_OK);
    reach(ENDED);
    COVER(msa_train_get(&cover.t, MSA_VALUES_GRADIENT, values), MSA_OK);
    values[ELEMENTS / 2] = cover_nan();
    COVER(msa_train_set(&cover.t, MSA_VALUES_GRADIENT, values), MSA_OK);
    COVER(msa_train_update(&cover.t, &adam, false, 0, &norm), MSA_E_NAN);
    COVER(msa_train_steps(&cover.t), 0);
    COVER(msa_train_set(&cover.t, MSA_VALUES_GRADIENT, NULL), MSA_OK);
    COVER(update(), MSA_E_ORDER);
}

static void values_set(void)
{
    static const double betas[5][2] = {{0.9, 0.999}, {-0.1, 0.9}, {1.0, 0.9}, {0.9, -0.1}, {0.9, 1.0}};
    reach(DECODED);
    COVER(msa_train_get(&cover.t, MSA_VALUES_GRADIENT, values), MSA_E_ORDER);
    for (uint32_t kind = 0; kind < 4u; ++kind) {
        reach(ENDED);
        COVER(msa_train_get(&cover.t, (msa_values)kind, values), MSA_OK);
        COVER(msa_train_set(&cover.t, (msa_values)kind, values), MSA_OK);
        COVER(msa_train_get(&cover.t, (msa_values)kind, more_values), MSA_OK);
        COVER(memcmp(values, more_values, ELEMENTS * sizeof *values), 0);
        COVER(msa_train_set(&cover.t, (msa_values)kind, NULL), kind == 1u ? MSA_OK : MSA_E_ARGUMENT);
        COVER(msa_train_set(&cover.t, (msa_values)kind, cover_place(0)), MSA_E_OVERLAP);
    }
    COVER(msa_train_get(&cover.t, (msa_values)9, values), MSA_E_ARGUMENT);
    COVER(msa_train_set(&cover.t, (msa_values)9, values), MSA_E_ARGUMENT);
    COVER(msa_train_get(&cover.t, MSA_VALUES_FIRST, NULL), MSA_E_ARGUMENT);
    for (uint32_t i = 0; i < COVER_PLACES; ++i) {
        COVER(msa_train_get(&cover.t, MSA_VALUES_FIRST, cover_place(i)), MSA_E_OVERLAP);
    }
    COVER(msa_train_set_steps(&cover.t, NULL, 1), MSA_E_ARGUMENT);
    for (uint32_t i = 0; i < 5u; ++i) {
        msa_optimiser rule = adam;
        rule.beta1 = betas[i][0];
        rule.beta2 = betas[i][1];
        COVER(msa_train_set_steps(&cover.t, &rule, 3), i == 0u ? MSA_OK : MSA_E_ARGUMENT);
    }
    COVER(msa_train_steps(&cover.t), 3);
    COVER(msa_train_parameters()->name != NULL, true);
}

#if MSA_TRAIN_IMAGES
/* Whole steps, and what is wrong with their arguments, each by one thing. */
static void steps(void)
{
    const msa_train_batch right = {&cover.image, &cover.prompt, &target, 1};
    void *const inside = cover_place(0);
    msa_prompt prompts_of[MSA_TRAIN_DEPTH];
    msa_target targets_of[MSA_TRAIN_DEPTH];
    for (uint32_t i = 0; i < MSA_TRAIN_DEPTH; ++i) {
        prompts_of[i] = cover.prompt;
        targets_of[i] = target;
    }
    reach(NOTHING);
    COVER(step_of(&cover.t, 0), MSA_E_BATCH);
    COVER(step_of(&cover.t, MSA_TRAIN_BATCH + 1u), MSA_E_BATCH);
    COVER(msa_train_step(&cover.t, NULL, &own_rule, &adam, false, NULL), MSA_E_ARGUMENT);
    COVER(msa_train_step(&cover.t, &right, NULL, &adam, false, NULL), MSA_E_ARGUMENT);
    COVER(msa_train_step(&cover.t, &right, &own_rule, NULL, false, NULL), MSA_E_ARGUMENT);
    for (uint32_t i = 0; i < 6u; ++i) {
        msa_train_batch wrong = right;
        void *const where = i < 3u ? NULL : inside;
        wrong.images = i % 3u == 0u ? where : wrong.images;
        wrong.prompts = i % 3u == 1u ? where : wrong.prompts;
        wrong.targets = i % 3u == 2u ? where : wrong.targets;
        COVER(msa_train_step(&cover.t, &wrong, &own_rule, &adam, false, NULL),
              i < 3u ? MSA_E_ARGUMENT : MSA_E_OVERLAP);
    }
    COVER(msa_train_step(&cover.t, &right, inside, &adam, false, NULL), MSA_E_OVERLAP);
    COVER(msa_train_step(&cover.t, &right, &own_rule, inside, false, NULL), MSA_E_OVERLAP);
    for (uint32_t i = 0; i < COVER_PLACES; ++i) {
        COVER(msa_train_step(&cover.t, &right, &own_rule, &adam, false, cover_place(i)), MSA_E_OVERLAP);
    }
    *(msa_train_batch *)inside = right;
    COVER(msa_train_step(&cover.t, inside, &own_rule, &adam, false, NULL), MSA_E_OVERLAP);
    reach(NOTHING);
    msa_train_batch batch = {&cover.image, prompts_of, targets_of, 1};
    double value = 0.0;
    COVER(msa_train_step(&cover.t, &batch, &own_rule, &adam, false, &value), MSA_OK);
    COVER(value > 0.0 && msa_train_steps(&cover.t) == 1u, true);
    COVER(msa_train_step(&cover.t, &batch, &own_rule, &adam, false, NULL), MSA_OK);
    prompts_of[0].slices = 0; /* each of what a step calls refuses what it is given */
    COVER(msa_train_step(&cover.t, &batch, &own_rule, &adam, false, &value), MSA_E_SLICES);
    prompts_of[0].slices = 1;
    targets_of[0].side = 0;
    COVER(msa_train_step(&cover.t, &batch, &own_rule, &adam, false, &value), MSA_E_ARGUMENT);
    msa_image none[2] = {cover.image, cover.image};
    none[0].width = 0;
    batch.images = none;
    batch.count = MSA_TRAIN_BATCH > 1 ? 2 : 1; /* the second one is not looked at */
    COVER(msa_train_step(&cover.t, &batch, &own_rule, &adam, false, &value), MSA_E_IMAGE_SIZE);
}
#endif

/* ---- hooks, the float unit, cores ---- */

#if !MSA_COVERAGE_OWN_HOOKS
int msa_progress(const msa_session *session, msa_phase phase, uint32_t layer)
{
    if (cover.act == ACT_NONE || phase != cover.phase || layer != cover.at) {
        return 0;
    }
    if (cover.act == ACT_CALLS) {
        refused(&cover.t, MSA_E_BUSY);
    } else if (cover.act == ACT_ROUND) {
        (void)fesetround(FE_UPWARD);
    }
    return session == &cover.t.session && cover.act == ACT_CANCEL;
}
#endif

static msa_status with(cover_act act, stage before, msa_phase phase, uint32_t layer)
{
    reach(before);
    cover.act = act;
    cover.phase = phase;
    cover.at = layer;
    const msa_status status = next[before]();
    cover.act = ACT_NONE;
    (void)fesetround(FE_TONEAREST);
    return status;
}

/* A call ended after any layer: there is no image under way any more. */
static void hooks(void)
{
    static const struct {
        stage before;
        msa_phase phase;
    } calls[4] = {{NOTHING, MSA_PHASE_ENCODE}, {ENCODED, MSA_PHASE_DECODE}, {DECODED, MSA_PHASE_DECODE_BACKWARD},
        {BACKED, MSA_PHASE_ENCODE_BACKWARD}};
    for (uint32_t i = MSA_TRAIN_IMAGES ? 0u : 1u; i < (MSA_TRAIN_EMBEDDINGS ? 3u : 4u); ++i) {
        const stage before = calls[i].before;
        const msa_phase phase = calls[i].phase;
        COVER(with(ACT_CALLS, before, phase, 0), MSA_OK);
        COVER(with(ACT_ROUND, before, phase, 0), MSA_E_ENVIRONMENT);
        COVER(image_end(), MSA_E_ORDER);
        uint32_t layers = 0;
        for (msa_status status = MSA_E_CANCELLED; status == MSA_E_CANCELLED; ++layers) {
            status = with(ACT_CANCEL, before, phase, layers);
            COVER(status == MSA_E_CANCELLED || (status == MSA_OK && layers > 0u), true);
            if (status == MSA_E_CANCELLED) {
                COVER(image_end(), MSA_E_ORDER);
            }
        }
    }
}

/* Every call that computes, under another rounding or without subnormals. */
static void other_environment(void (*begin)(uint32_t), void (*end)(void), uint32_t how)
{
    for (uint32_t i = MSA_TRAIN_IMAGES ? 0u : 1u; i <= (uint32_t)ENDED; ++i) {
        reach((stage)i);
        begin(how);
        const msa_status status = next[i]();
        end();
        COVER(status, MSA_E_ENVIRONMENT);
        COVER(next[i](), i == (uint32_t)NOTHING || i == (uint32_t)ENDED ? MSA_OK : MSA_E_ORDER);
    }
    reach(ENDED);
    begin(how);
    const msa_status told = msa_train_get(&cover.t, MSA_VALUES_GRADIENT, values);
    const msa_status parameters = msa_train_get(&cover.t, MSA_VALUES_PARAMETERS, values);
    const msa_status set = msa_train_set_steps(&cover.t, &adam, 5), opened = cover_open_anew();
    end();
    COVER(told, MSA_E_ENVIRONMENT);
    COVER(parameters, MSA_OK);
    COVER(set, MSA_E_ENVIRONMENT);
    COVER(opened, MSA_E_ENVIRONMENT);
}

static void round_so(uint32_t how)
{
    static const int modes[3] = {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    (void)fesetround(modes[how]);
}

static void round_to_nearest(void)
{
    (void)fesetround(FE_TONEAREST);
}

#if defined(__SSE__)
static unsigned control;

static void flush_so(uint32_t how)
{
    static const unsigned flushing[2] = {0x8000u, 0x0040u}; /* results that are subnormal become 0, and operands */
    control = _mm_getcsr();
    _mm_setcsr(control | flushing[how]);
}

static void flush_nothing(void)
{
    _mm_setcsr(control);
}
#endif

static void environments(void)
{
    for (uint32_t i = 0; i < 3u; ++i) {
        other_environment(round_so, round_to_nearest, i);
    }
#if defined(__SSE__)
    for (uint32_t i = 0; i < 2u; ++i) {
        other_environment(flush_so, flush_nothing, i);
    }
#endif
}

#if COVER_TEAM
static void team(void)
{
    reach(ENDED);
    COVER(msa_train_set_team(&cover.t, &cover), MSA_OK);
    msa_work(&cover.t.session, 0);
    msa_work(&cover.t.session, MSA_TRAIN_CORES);
    for (uint32_t i = MSA_TRAIN_IMAGES ? 0u : 1u; i <= (uint32_t)ENDED; ++i) {
        if (MSA_TRAIN_EMBEDDINGS && i == (uint32_t)BACKED) {
            continue; /* no core computes then */
        }
        reach((stage)i);
        cover.no_cores = true;
        COVER(next[i](), MSA_E_CORES);
        cover.no_cores = false;
        reach((stage)i);
        cover.round_before = true;
        COVER(next[i](), MSA_E_ENVIRONMENT);
        cover.round_before = false;
        COVER(msa_train_steps(&cover.t), 0);
        reach((stage)i);
        cover.round_after = true;
        COVER(next[i](), MSA_E_ENVIRONMENT);
        cover.round_after = false;
    }
}
#endif

void cover_training(void)
{
    prepare();
    opening();
    images();
    prompts();
    batches();
    updates();
    values_set();
#if MSA_TRAIN_IMAGES
    steps();
#endif
    hooks();
    environments();
#if COVER_TEAM
    team();
#endif
}

/* The library's own hooks go on, have no rows, and no other cores. */
void cover_library_hooks(void)
{
    msa_image rows = cover.image;
    rows.format = MSA_PIXELS_ROWS;
    prepare();
    cover_opened();
    COVER(cover_encode(&rows), MSA_E_ARGUMENT);
    const bool alone = MSA_TRAIN_CORES == 1;
    COVER(begin_image(), alone || !MSA_TRAIN_IMAGES ? MSA_OK : MSA_E_CORES);
    COVER(decode(), alone ? MSA_OK : MSA_TRAIN_IMAGES ? MSA_E_ORDER : MSA_E_CORES);
    COVER(backward(), alone ? MSA_OK : MSA_E_ORDER);
    COVER(msa_progress(&cover.t.session, MSA_PHASE_ENCODE, 0), 0);
#if MSA_TRAIN_CORES > 1
    msa_cores_wait(NULL, &cover.t.session, 0);
#endif
}
#endif
