/* SPDX-License-Identifier: Apache-2.0 */
/* A caller of the generated C API of a training step that does everything wrong once, then right: every status as
 * documented, results the same each time. The build is for three images a step.
 * usage: train WEIGHTS */
#include "msa_train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if MSA_TRAIN_CORES > 1
#include "msa_threads.h"
static msa_threads team;
#endif

static int failures;
static msa_train s;
static int cancelled = -1; /* the phase that msa_progress ends */
static bool asked;

#define EXPECT(call, status) expect(#call, (call), (status), __LINE__)
#define CHECK(holds) check((holds), #holds, __LINE__)

static void expect(const char *what, msa_status got, msa_status want, int line)
{
    if (got != want) {
        printf("line %d: %s: expected %s, found %s\n", line, what, msa_status_text(want), msa_status_text(got));
        ++failures;
    }
}

static void check(bool holds, const char *what, int line)
{
    if (!holds) {
        printf("line %d: %s: does not hold\n", line, what);
        ++failures;
    }
}

/* Ours replaces the library's: ends a phase where told, and calls the session whose call is under way. */
int msa_progress(const msa_session *session, msa_phase phase, uint32_t layer)
{
    (void)layer;
    CHECK(session == &s.session);
    if (!asked) {
        float *const none = NULL;
        asked = true;
        EXPECT(msa_train_image_end(&s), MSA_E_BUSY);
        EXPECT(msa_train_get(&s, MSA_VALUES_PARAMETERS, none), MSA_E_BUSY);
        EXPECT(msa_train_set(&s, MSA_VALUES_GRADIENT, NULL), MSA_E_BUSY);
    }
    return (int)phase == cancelled;
}

#define SIDE 40u
#define BYTES ((size_t)SIDE * SIDE * 3u)
#define T MSA_TRAIN_MASK_SIDE
#define PIXELS ((size_t)T * T)
#define VALUES ((size_t)MSA_TRAIN_ELEMENTS)

static uint8_t *pixels[3];
static msa_image images[3];
static float points[3][1][2];
static const int8_t label[1] = {1};
static msa_prompt prompts[3];
static uint8_t *masks[3];
static float *shares;
static msa_target targets[3];
static const msa_loss_rule rule = MSA_TRAIN_LOSS;
static const msa_optimiser adam = {MSA_ADAM, 1e-3, 0.9, 0.999, 1e-8, 0.0, 0.0};

static void *room(size_t bytes)
{
    void *const p = malloc(bytes);
    if (p == NULL) {
        exit(2);
    }
    return p;
}

static unsigned char *aligned(size_t bytes)
{
    unsigned char *const p = room(bytes + 64u);
    return p + (64u - (uintptr_t)p % 64u);
}

static void prepare(void)
{
    shares = room(PIXELS * sizeof *shares);
    for (uint32_t i = 0; i < 3u; ++i) {
        pixels[i] = room(BYTES);
        masks[i] = room(PIXELS);
        for (size_t j = 0; j < BYTES; ++j) {
            pixels[i][j] = (uint8_t)(j * (37u + i) + j / 31u);
        }
        for (size_t j = 0; j < PIXELS; ++j) {
            masks[i][j] = j % T < 5u + i ? 1u : 0u;
            shares[j] = 0.25f;
        }
        images[i] = msa_rgb(pixels[i], SIDE, SIDE);
        images[i].slice_stride = BYTES;
        points[i][0][0] = 3.0f + (float)i;
        points[i][0][1] = 7.0f;
        prompts[i] = (msa_prompt){.points = (const float (*)[2])points[i], .labels = label, .point_count = 1,
            .slices = 1};
        targets[i] = (msa_target){masks[i], NULL, 1, T};
    }
}

/* Memory and weights as they must not be. */
static void open_wrong(unsigned char *arena, unsigned char *weights)
{
    const size_t all = MSA_TRAIN_ARENA_BYTES, bytes = MSA_TRAIN_WEIGHTS_BYTES;
    EXPECT(msa_train_open(NULL, arena, all, weights, bytes), MSA_E_ARGUMENT);
    EXPECT(msa_train_open(&s, NULL, all, weights, bytes), MSA_E_ARGUMENT);
    EXPECT(msa_train_open(&s, arena, all, NULL, bytes), MSA_E_ARGUMENT);
    EXPECT(msa_train_open(&s, arena + 4, all, weights, bytes), MSA_E_ALIGNMENT);
    EXPECT(msa_train_open(&s, arena, all - 1u, weights, bytes), MSA_E_ARENA);
    EXPECT(msa_train_open(&s, weights, all, weights, bytes), MSA_E_OVERLAP);
    EXPECT(msa_train_open(&s, arena, all, weights, bytes - 1u), MSA_E_SIZE);
    weights[0] ^= 1u;
    EXPECT(msa_train_open(&s, arena, all, weights, bytes), MSA_E_FORMAT);
    weights[0] ^= 1u;
    EXPECT(msa_train_image_end(&s), MSA_E_ARGUMENT);
}

static void order_before(void)
{
    msa_loss loss;
    float *const values = room(VALUES * sizeof *values);
    EXPECT(msa_train_decode(&s, &prompts[0], 0, NULL), MSA_E_ORDER);
    EXPECT(msa_train_backward(&s, &targets[0], &rule, 1.0, &loss), MSA_E_ORDER);
    EXPECT(msa_train_image_end(&s), MSA_E_ORDER);
    EXPECT(msa_train_update(&s, &adam, false, 0, NULL), MSA_E_ORDER);
    EXPECT(msa_train_get(&s, MSA_VALUES_GRADIENT, values), MSA_OK);
    for (size_t i = 0; i < VALUES; ++i) {
        CHECK(values[i] == 0.0f);
    }
    EXPECT(msa_train_get(&s, (msa_values)9, values), MSA_E_ARGUMENT);
    EXPECT(msa_train_get(&s, MSA_VALUES_FIRST, (float *)(void *)s.session.arena), MSA_E_OVERLAP);
    EXPECT(msa_train_set(&s, MSA_VALUES_FIRST, NULL), MSA_E_ARGUMENT);
    EXPECT(msa_train_set(&s, MSA_VALUES_FIRST, (float *)(void *)s.session.arena), MSA_E_OVERLAP);
    EXPECT(msa_train_set_steps(&s, NULL, 1), MSA_E_ARGUMENT);
    CHECK(msa_train_steps(NULL) == 0 && msa_train_steps(&s) == 0);
    free(values);
}

static void wrong_images(void)
{
    msa_image image = images[0];
    EXPECT(msa_train_encode(&s, NULL), MSA_E_ARGUMENT);
    image.width = 0;
    EXPECT(msa_train_encode(&s, &image), MSA_E_IMAGE_SIZE);
    image = images[0];
    image.stride = 3;
    EXPECT(msa_train_encode(&s, &image), MSA_E_IMAGE_STRIDE);
    image = images[0];
    image.pixels = s.session.arena + MSA_TRAIN_ARENA_BYTES - 1u;
    EXPECT(msa_train_encode(&s, &image), MSA_E_OVERLAP);
    EXPECT(msa_train_image_end(&s), MSA_E_ORDER);
}

static void wrong_prompts(void)
{
    msa_prompt prompt = prompts[0];
    const float far[1][2] = {{1000.0f, 2.0f}};
    const int8_t strange[1] = {7};
    msa_mask mask = {0};
    EXPECT(msa_train_decode(&s, NULL, 0, NULL), MSA_E_ARGUMENT);
    EXPECT(msa_train_decode(&s, &prompt, MSA_TRAIN_DEPTH, NULL), MSA_E_SLICES);
    prompt.points = far;
    EXPECT(msa_train_decode(&s, &prompt, 0, NULL), MSA_E_POINT);
    prompt = prompts[0];
    prompt.labels = strange;
    EXPECT(msa_train_decode(&s, &prompt, 0, NULL), MSA_E_LABEL);
    prompt = prompts[0];
    prompt.point_count = MSA_TRAIN_MAX_POINTS + 1u;
    EXPECT(msa_train_decode(&s, &prompt, 0, NULL), MSA_E_POINTS);
    EXPECT(msa_train_decode(&s, &prompts[0], 0, &mask), MSA_E_ARGUMENT);
}

static void wrong_targets(void)
{
    msa_loss loss;
    msa_loss_rule other = rule;
    const msa_target soft = {NULL, shares, 1, T}, both = {masks[0], shares, 1, T};
    msa_target large = targets[0];
    EXPECT(msa_train_backward(&s, NULL, &rule, 1.0, &loss), MSA_E_ARGUMENT);
    EXPECT(msa_train_backward(&s, &targets[0], NULL, 1.0, &loss), MSA_E_ARGUMENT);
    EXPECT(msa_train_backward(&s, &both, &rule, 1.0, &loss), MSA_E_ARGUMENT);
    EXPECT(msa_train_backward(&s, &targets[0], &rule, NAN, &loss), MSA_E_ARGUMENT);
    large.side = MSA_TRAIN_TARGET_SIDE + 1u;
    EXPECT(msa_train_backward(&s, &large, &rule, 1.0, &loss), MSA_E_ARGUMENT);
    shares[3] = NAN;
    EXPECT(msa_train_backward(&s, &soft, &rule, 1.0, &loss), MSA_E_TARGET);
    shares[3] = 0.25f;
    masks[0][1] = 2u;
    EXPECT(msa_train_backward(&s, &targets[0], &rule, 1.0, &loss), MSA_E_TARGET);
    masks[0][1] = 1u;
    other.kind = MSA_LOSS_SAM;
    other.iou = 1.0;
    if (MSA_TRAIN_SCORES == 0) {
        EXPECT(msa_train_backward(&s, &targets[0], &other, 1.0, &loss), MSA_E_ARGUMENT);
    }
}

static void one_image(uint32_t i)
{
    msa_loss loss;
    EXPECT(msa_train_encode(&s, &images[i]), MSA_OK);
    EXPECT(msa_train_decode(&s, &prompts[i], 0, NULL), MSA_OK);
    EXPECT(msa_train_backward(&s, &targets[i], &rule, 1.0, &loss), MSA_OK);
    CHECK(loss.value > 0.0 && loss.value < 1e6);
    EXPECT(msa_train_image_end(&s), MSA_OK);
}

/* Wrong in between, right in the end. */
static void first_image(void)
{
    msa_loss loss;
    EXPECT(msa_train_encode(&s, &images[0]), MSA_OK);
    EXPECT(msa_train_backward(&s, &targets[0], &rule, 1.0, &loss), MSA_E_ORDER);
    wrong_prompts();
    EXPECT(msa_train_decode(&s, &prompts[0], 0, NULL), MSA_OK);
    EXPECT(msa_train_get(&s, MSA_VALUES_GRADIENT, shares), MSA_E_ORDER);
    wrong_targets();
    EXPECT(msa_train_backward(&s, &targets[0], &rule, 1.0, &loss), MSA_OK);
    EXPECT(msa_train_backward(&s, &targets[0], &rule, 1.0, &loss), MSA_E_ORDER);
    EXPECT(msa_train_image_end(&s), MSA_OK);
    EXPECT(msa_train_image_end(&s), MSA_E_ORDER);
}

static void wrong_updates(float *values)
{
    msa_optimiser other = adam;
    float norm = 0.0f;
    other.lr = NAN;
    EXPECT(msa_train_update(&s, &other, false, 0, NULL), MSA_E_ARGUMENT);
    EXPECT(msa_train_update(&s, NULL, false, 0, NULL), MSA_E_ARGUMENT);
    float *const kept = room(VALUES * sizeof *kept), *const after = room(VALUES * sizeof *after);
    EXPECT(msa_train_get(&s, MSA_VALUES_PARAMETERS, kept), MSA_OK);
    EXPECT(msa_train_get(&s, MSA_VALUES_GRADIENT, values), MSA_OK);
    values[VALUES / 2u] = NAN;
    EXPECT(msa_train_set(&s, MSA_VALUES_GRADIENT, values), MSA_OK);
    EXPECT(msa_train_update(&s, &adam, false, 3, &norm), MSA_E_NAN);
    EXPECT(msa_train_get(&s, MSA_VALUES_PARAMETERS, after), MSA_OK);
    CHECK(memcmp(kept, after, VALUES * sizeof *kept) == 0 && msa_train_steps(&s) == 0);
    EXPECT(msa_train_set(&s, MSA_VALUES_GRADIENT, NULL), MSA_OK);
    EXPECT(msa_train_update(&s, &adam, false, 0, NULL), MSA_E_ORDER);
    free(kept);
    free(after);
}

static void cancel(void)
{
    msa_loss loss;
    cancelled = MSA_PHASE_ENCODE;
    EXPECT(msa_train_encode(&s, &images[0]), MSA_E_CANCELLED);
    EXPECT(msa_train_decode(&s, &prompts[0], 0, NULL), MSA_E_ORDER);
    cancelled = MSA_PHASE_DECODE;
    EXPECT(msa_train_encode(&s, &images[0]), MSA_OK);
    EXPECT(msa_train_decode(&s, &prompts[0], 0, NULL), MSA_E_CANCELLED);
    EXPECT(msa_train_image_end(&s), MSA_E_ORDER);
    cancelled = MSA_PHASE_DECODE_BACKWARD;
    EXPECT(msa_train_encode(&s, &images[0]), MSA_OK);
    EXPECT(msa_train_decode(&s, &prompts[0], 0, NULL), MSA_OK);
    EXPECT(msa_train_backward(&s, &targets[0], &rule, 1.0, &loss), MSA_E_CANCELLED);
    EXPECT(msa_train_image_end(&s), MSA_E_ORDER);
#if !MSA_TRAIN_EMBEDDINGS
    cancelled = MSA_PHASE_ENCODE_BACKWARD;
    EXPECT(msa_train_encode(&s, &images[0]), MSA_OK);
    EXPECT(msa_train_image_end(&s), MSA_E_CANCELLED);
    EXPECT(msa_train_image_end(&s), MSA_E_ORDER);
#endif
    cancelled = -1;
    EXPECT(msa_train_update(&s, &adam, false, 0, NULL), MSA_E_ORDER);
}

#if MSA_TRAIN_EMBEDDINGS
/* An embedding that was kept gives the gradient that the image gave. */
static void embeddings(void)
{
    const size_t count = (size_t)MSA_TRAIN_DEPTH * MSA_TRAIN_OUT * MSA_TRAIN_GRID * MSA_TRAIN_GRID;
    float *const kept = room(count * sizeof *kept), *const values = room(2u * VALUES * sizeof *values);
    msa_loss loss;
    EXPECT(msa_train_get_embedding(&s, kept), MSA_E_ORDER);
    for (uint32_t i = 0; i < 2u; ++i) {
        EXPECT(i == 0 ? msa_train_encode(&s, &images[1]) : msa_train_set_embedding(&s, kept, SIDE, SIDE), MSA_OK);
        EXPECT(msa_train_get_embedding(&s, NULL), MSA_E_ARGUMENT);
        EXPECT(msa_train_get_embedding(&s, (float *)(void *)s.session.arena), MSA_E_OVERLAP);
        EXPECT(msa_train_get_embedding(&s, kept), MSA_OK);
        EXPECT(msa_train_decode(&s, &prompts[1], 0, NULL), MSA_OK);
        EXPECT(msa_train_backward(&s, &targets[1], &rule, 1.0, &loss), MSA_OK);
        EXPECT(msa_train_image_end(&s), MSA_OK);
        EXPECT(msa_train_get(&s, MSA_VALUES_GRADIENT, values + i * VALUES), MSA_OK);
        EXPECT(msa_train_set(&s, MSA_VALUES_GRADIENT, NULL), MSA_OK);
    }
    CHECK(memcmp(values, values + VALUES, VALUES * sizeof *values) == 0);
    EXPECT(msa_train_set_embedding(&s, kept, 0, SIDE), MSA_E_IMAGE_SIZE);
    EXPECT(msa_train_set_embedding(&s, NULL, SIDE, SIDE), MSA_E_ARGUMENT);
    kept[count - 1u] = INFINITY;
    EXPECT(msa_train_set_embedding(&s, kept, SIDE, SIDE), MSA_E_NAN);
    free(kept);
    free(values);
}
#endif

/* Three images as a step, and one by one with the sum of gradients read in between: the same bits. */
static void twice(void)
{
    const msa_train_batch batch = {images, prompts, targets, 3};
    const msa_train_batch none = {images, prompts, targets, 0};
    float *const values = room(4u * VALUES * sizeof *values);
    double loss = 0.0;
    EXPECT(msa_train_get(&s, MSA_VALUES_PARAMETERS, values), MSA_OK);
    EXPECT(msa_train_get(&s, MSA_VALUES_FIRST, values + VALUES), MSA_OK);
    EXPECT(msa_train_step(&s, NULL, &rule, &adam, false, &loss), MSA_E_ARGUMENT);
    EXPECT(msa_train_step(&s, &none, &rule, &adam, false, &loss), MSA_E_BATCH);
    EXPECT(msa_train_step(&s, &batch, &rule, &adam, false, &loss), MSA_OK);
    CHECK(loss > 0.0 && msa_train_steps(&s) == 1);
    EXPECT(msa_train_get(&s, MSA_VALUES_PARAMETERS, values + 2u * VALUES), MSA_OK);
    CHECK(memcmp(values, values + 2u * VALUES, VALUES * sizeof *values) != 0);
    EXPECT(msa_train_set(&s, MSA_VALUES_PARAMETERS, values), MSA_OK);
    EXPECT(msa_train_set(&s, MSA_VALUES_FIRST, values + VALUES), MSA_OK);
    EXPECT(msa_train_set(&s, MSA_VALUES_SECOND, values + VALUES), MSA_OK);
    EXPECT(msa_train_set_steps(&s, &adam, 0), MSA_OK);
    for (uint32_t i = 0; i < 3u; ++i) {
        one_image(i);
        EXPECT(msa_train_get(&s, MSA_VALUES_GRADIENT, values + VALUES), MSA_OK);
    }
    EXPECT(msa_train_encode(&s, &images[0]), MSA_E_BATCH);
    EXPECT(msa_train_get(&s, MSA_VALUES_GRADIENT, values + 3u * VALUES), MSA_OK);
    CHECK(memcmp(values + VALUES, values + 3u * VALUES, VALUES * sizeof *values) == 0);
    EXPECT(msa_train_update(&s, &adam, false, 0, NULL), MSA_OK);
    EXPECT(msa_train_get(&s, MSA_VALUES_PARAMETERS, values + 3u * VALUES), MSA_OK);
    CHECK(memcmp(values + 2u * VALUES, values + 3u * VALUES, VALUES * sizeof *values) == 0);
    free(values);
}

static void parameters(void)
{
    const msa_parameter *const list = msa_train_parameters();
    size_t count = 0;
    for (uint32_t i = 0; i < MSA_TRAIN_TENSORS; ++i) {
        size_t elements = 1;
        for (uint32_t d = 0; d < list[i].dimensions; ++d) {
            elements *= list[i].shape[d];
        }
        CHECK(elements == (size_t)list[i].rows * list[i].width && strlen(list[i].name) > 0);
        count += elements;
    }
    CHECK(count == VALUES);
}

int main(int argc, char **argv)
{
    unsigned char *const arena = aligned(MSA_TRAIN_ARENA_BYTES), *const weights = aligned(MSA_TRAIN_WEIGHTS_BYTES);
    float *const values = room(VALUES * sizeof *values);
    FILE *const file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (file == NULL || fread(weights, 1, MSA_TRAIN_WEIGHTS_BYTES, file) != MSA_TRAIN_WEIGHTS_BYTES) {
        return 2;
    }
    prepare();
    memset(&s, 0, sizeof s);
    EXPECT(msa_train_encode(&s, &images[0]), MSA_E_ARGUMENT);
    open_wrong(arena, weights);
    EXPECT(msa_train_open(&s, arena, MSA_TRAIN_ARENA_BYTES, weights, MSA_TRAIN_WEIGHTS_BYTES), MSA_OK);
#if MSA_TRAIN_CORES > 1
    EXPECT(msa_train_encode(&s, &images[0]), MSA_E_CORES);
    if (msa_threads_start(&team, MSA_TRAIN_CORES) != 0) {
        return 2;
    }
    EXPECT(msa_train_set_team(&s, &team), MSA_OK);
#endif
    parameters();
    order_before();
    wrong_images();
    first_image();
    wrong_updates(values);
    cancel();
#if MSA_TRAIN_EMBEDDINGS
    embeddings();
#endif
    twice();
    free(values);
    printf("%d failures\n", failures);
    return failures == 0 ? 0 : 1;
}
