/* SPDX-License-Identifier: 0BSD */
/* msa_train.c - the training session: checks what it is given, calls the layers, the loss and the optimiser.
 * $(made_by) */
#include "msa_train_internal.h"
#include "msa_arith.h"
@ if not objective then
#include "msa_prompt_rows.h"
@ end
@ for _, file in ipairs(info.extras) do
#include "$(file).h"
@ end
@ if board.isa.flushes then
#include "msa_kernels.h"
@ end

/* States. DECODED: there is a prompt's result; BUSY: a call is under way. */
#define OPENED 0x4d535431u
#define ENCODED 0x4d535432u
#define DECODED 0x4d535433u
#define BUSY 0x4d535434u

/* Work that cores share. */
@ for i, phase in ipairs(phases) do
#define WORK_$(phase.name:upper()) $(i - 1)u
@ end

@ if not objective then
#define SIDE2 ((size_t)MSA_TRAIN_MASK_SIDE * MSA_TRAIN_MASK_SIDE)
#define OUT_STRIDE ((size_t)$(lde))
#define TOKEN_ROWS ((size_t)MSA_TRAIN_TOKENS)
@ else
#define PREDICTION_STRIDE ((size_t)$(prediction_stride))
#define PATCH $(model.patch)u
#define PATCH_STRIDE ((size_t)$(patches))
#define PLACES ((size_t)MSA_TRAIN_GRID * MSA_TRAIN_GRID)
@ end

static const unsigned char train_hash[32] = MSA_TRAIN_HASH;
static const char train_arithmetic[16] = MSA_TRAIN_ARITHMETIC;

static const msa_parameter parameters[MSA_TRAIN_TENSORS] = {
@ for _, one in ipairs(trained.list) do
@   local shape, format = table.concat(one.shape, ", "), "    {%q, %d, {%s}, %d, %d, %d, %d},"
$(wrapped(format:format(one.name, #one.shape, shape, one.rows, one.width, one.at, one.stride)))
@ end
};

static float *floats(const msa_train *s, size_t at)
{
    return (float *)(void *)s->session.arena + at;
}

static uint64_t build_name(void)
{
    uint64_t name = 0;
    for (uint32_t i = 0; i < 8u; ++i) {
        name = name << 8 | train_hash[i];
    }
    return name;
}

static bool opened(const msa_train *s)
{
    return s != NULL && s->session.build == build_name() && s->state >= OPENED && s->state <= DECODED;
}

static msa_status check_environment(void)
{
    const msa_status status = msa_check_environment();
    if (status != MSA_OK) {
        return status;
    }
    /* Volatile: nothing of this is worked out before. */
    volatile float one = 1.0f + 0x1p-12f, many = 16777216.0f, zero = -0.0f;
    if (!msa_image_as_written(one, many, zero) || !$(resampling.calls)_as_written(one, many, zero)
@ if objective then
        || !msa_pretrain_as_written(one, many, zero) || !msa_kernels_as_written(one, many, zero)
@ else
        || !msa_prompt_as_written(one, many, zero) || !msa_kernels_as_written(one, many, zero)
        || !msa_loss_as_written(one, many, zero)
@ end
        || !msa_optimiser_as_written(one, many, zero)) {
        return MSA_E_FLAGS;
    }
@ if board.isa.flushes then
    if (!msa_flushing_tells()) {
        return MSA_E_ENVIRONMENT;
    }
@ end
    return status;
}

static msa_status check_memory(const msa_train *s, const void *arena, size_t arena_bytes, const void *weights,
                               size_t weights_bytes)
{
    if (arena == NULL || weights == NULL) {
        return MSA_E_ARGUMENT;
    }
    if ((uintptr_t)arena % MSA_ALIGNMENT != 0 || (uintptr_t)weights % MSA_ALIGNMENT != 0) {
        return MSA_E_ALIGNMENT;
    }
    if (arena_bytes < (size_t)MSA_TRAIN_ARENA_BYTES) {
        return MSA_E_ARENA;
    }
    if (!msa_apart(s, sizeof *s, arena, (size_t)MSA_TRAIN_ARENA_BYTES)
        || !msa_apart(s, sizeof *s, weights, weights_bytes)
        || !msa_apart(arena, (size_t)MSA_TRAIN_ARENA_BYTES, weights, weights_bytes)) {
        return MSA_E_OVERLAP;
    }
    return check_environment();
}

/* What lasts: parameters as they begin, moments, and the table that features of prompts are made with. */
static void begin(msa_train *s)
{
    const float *const weights = (const float *)(const void *)s->session.weights;
    memcpy(floats(s, MSA_AT_PARAMETERS), weights + MSA_INITIAL, $(trained.elements) * sizeof(float));
    memset(floats(s, MSA_AT_GRADIENT), 0, $(trained.elements) * sizeof(float));
    memset(floats(s, MSA_AT_FIRST), 0, $(trained.elements) * sizeof(float));
    memset(floats(s, MSA_AT_SECOND), 0, $(trained.elements) * sizeof(float));
@ if not objective then
    float *const table = floats(s, MSA_AT_PROMPT_TABLE);
    memcpy(table, weights + MSA_GAUSSIAN, $(model.out) * sizeof(float));
    for (size_t i = $(model.out); i < $(prompt_rows) * (size_t)$(model.out); ++i) {
        table[i] = -0.0f; /* features alone: x + -0 is x */
    }
@ end
}

msa_status msa_train_open(msa_train *s, void *arena, size_t arena_bytes, const void *weights, size_t weights_bytes)
{
    if (s == NULL) {
        return MSA_E_ARGUMENT;
    }
    s->state = 0;
    msa_status status = check_memory(s, arena, arena_bytes, weights, weights_bytes);
    if (status == MSA_OK) {
        status = msa_check_weights((const unsigned char *)weights, weights_bytes, MSA_TRAIN_WEIGHTS_BYTES,
            train_arithmetic, train_hash);
    }
    if (status != MSA_OK) {
        return status;
    }
    memset(s, 0, sizeof *s);
    s->session.build = build_name();
    s->session.arena = (unsigned char *)arena;
    s->session.weights = (const unsigned char *)weights;
    s->session.cores = MSA_TRAIN_CORES;
    s->steps.power1 = 1.0;
    s->steps.power2 = 1.0;
    begin(s);
    s->state = OPENED;
    return MSA_OK;
}

static msa_status part_of_work(msa_train *s$(core_parameter))
{
    switch (s->work) {
@ for _, phase in ipairs(phases) do
    case WORK_$(phase.name:upper()): return msa_layers_of_$(phase.name)(s$(core_argument));
@ end
    default: return MSA_E_ARGUMENT;
    }
}

@ if cores > 1 then
bool msa_train_layer_end(msa_train *s, msa_phase phase, uint32_t layer, uint32_t core)
{
    if (core == 0) {
        s->session.stop[layer & 1u] = msa_progress(&s->session, phase, layer) != 0 ? 1u : 0u;
    }
    msa_cores_wait(s->session.team, &s->session, core);
    return s->session.stop[layer & 1u] != 0;
}

msa_status msa_train_set_team(msa_train *s, void *team)
{
    if (!opened(s)) {
        return MSA_E_ARGUMENT;
    }
    s->session.team = team;
    return MSA_OK;
}

/* The session is the first that a training session holds. */
void msa_work(msa_session *session, uint32_t core)
{
    msa_train *const s = (msa_train *)(void *)session;
    if (core == 0 || core >= MSA_TRAIN_CORES) {
        return;
    }
    void *const team = session->team;
    session->fault[core] = check_environment() != MSA_OK ? 1u : 0u;
    (void)part_of_work(s, core);
    if (check_environment() != MSA_OK) {
        session->fault[core] = 1u;
    }
    msa_cores_wait(team, session, core);
}

static msa_status work(msa_train *s, uint32_t what)
{
    s->work = what;
    s->session.leaving = 0;
    if (msa_cores_start(s->session.team, &s->session) != 0) {
        return MSA_E_CORES;
    }
    msa_status status = part_of_work(s, 0);
    s->session.leaving = 1;
    msa_cores_wait(s->session.team, &s->session, 0); /* no core looks at the session after this */
    for (uint32_t core = 1; core < MSA_TRAIN_CORES; ++core) {
        if (status == MSA_OK && s->session.fault[core] != 0) {
            status = MSA_E_ENVIRONMENT;
        }
    }
    return status;
}
@ else
bool msa_train_layer_end(msa_train *s, msa_phase phase, uint32_t layer)
{
    return msa_progress(&s->session, phase, layer) != 0;
}

static msa_status work(msa_train *s, uint32_t what)
{
    s->work = what;
    return part_of_work(s);
}
@ end

/* Work between two states. */
static msa_status worked(msa_train *s, uint32_t what, uint32_t after, uint32_t otherwise)
{
    s->state = BUSY;
    msa_status status = check_environment();
    if (status == MSA_OK) {
        status = work(s, what);
    }
    s->state = status == MSA_OK ? after : otherwise;
    return status;
}

@ if objective and rows.index then
/* Numbers of rows, each below a limit. */
static bool put_rows(float *to, const uint32_t *rows, size_t count, uint32_t limit)
{
    for (size_t i = 0; rows != NULL && i < count; ++i) {
        if (rows[i] >= limit) {
            return false;
        }
        to[i * 16u] = (float)rows[i];
    }
    return rows != NULL;
}

@ end
@ if objective then
$(patches_text)
$(passes_text)
@ else
msa_status msa_train_encode(msa_train *s, const msa_image *image)
{
    if (!opened(s)) {
        return MSA_E_ARGUMENT;
    }
    const msa_status status = msa_image_check(image, MSA_TRAIN_DEPTH);
    if (status != MSA_OK) {
        return status;
    }
    memset(floats(s, MSA_AT_GRADIENT), 0, $(trained.elements) * sizeof(float));
    s->image = image;
    s->width = image->width;
    s->height = image->height;
    const msa_status encoded = worked(s, WORK_ENCODE, ENCODED, OPENED);
@ if dembedding then
    memset(floats(s, MSA_AT_DEMBEDDING), 0, $(dembedding) * sizeof(float)); /* its memory was the encoder's before */
@ end
    return encoded;
}

/* Tokens of a prompt: features, and of which row of the table each is. */
static void put_tokens(msa_train *s, const msa_prompt *prompt)
{
    uint32_t inner_width, inner_height;
    uint8_t rows[MSA_TRAIN_TOKENS];
    msa_resized_size(s->width, s->height, MSA_TRAIN_INPUT_SIZE, $(model.resize == "longest" and "true" or "false"),
        &inner_width, &inner_height);
@ local rc = model.click_order == "rc" and "true" or "false"
    const msa_prompt_space space = {.width = s->width, .height = s->height, .inner_width = inner_width,
        .inner_height = inner_height, .side = MSA_TRAIN_INPUT_SIZE, .click_rc = $(rc)};
    const msa_prompt_table table = {.rows = floats(s, MSA_AT_PROMPT_TABLE), .out = $(model.out),
        .output_tokens = 1u + MSA_TRAIN_MASKS};
    float *const features = floats(s, MSA_AT_TOKEN_FEATURES), *const index = floats(s, MSA_AT_TOKEN_INDEX);
    s->tokens = msa_prompt_tokens(prompt, 0, &space, &table, features, (uint32_t)TOKEN_ROWS, (uint32_t)OUT_STRIDE);
    const uint32_t counted = msa_prompt_rows(prompt, table.output_tokens, rows);
    for (size_t i = 0; i < TOKEN_ROWS; ++i) {
        index[i * 16] = i < counted ? (float)rows[i] : -1.0f;
    }
}

@ if mask_prompt then
static void put_mask(msa_train *s, const msa_prompt *prompt)
{
    float *const to = floats(s, MSA_AT_MASK_PROMPT);
    for (size_t i = 0; i < SIDE2; ++i) {
        to[i * 16] = prompt->mask != NULL ? prompt->mask[i] : 0.0f;
    }
}

@ end
static void choose(msa_train *s, const msa_prompt *prompt)
{
    if (MSA_TRAIN_FIRST_CLASSES > 0) {
        s->first = 0;
        s->count = MSA_TRAIN_FIRST_CLASSES;
    } else {
        s->first = prompt->multimask ? 1u : 0u;
        s->count = prompt->multimask ? MSA_TRAIN_MASKS - 1u : 1u;
    }
}

msa_status msa_train_decode(msa_train *s, const msa_prompt *prompt, uint32_t slice, msa_mask *mask)
{
    if (!opened(s)) {
        return MSA_E_ARGUMENT;
    }
    if (s->state == OPENED) {
        return MSA_E_ORDER;
    }
    msa_status status = msa_prompt_check(prompt, s->width, s->height, 1, MSA_TRAIN_MAX_POINTS, MSA_TRAIN_MASK_SIDE, 0);
    if (status == MSA_OK && (prompt->slices != 1 || slice >= MSA_TRAIN_DEPTH)) {
        status = MSA_E_SLICES;
    }
@ if not mask_prompt then
    if (status == MSA_OK && prompt->mask != NULL) {
        status = MSA_E_MASK; /* this network has none */
    }
@ end
    if (status != MSA_OK) {
        return status;
    }
    put_tokens(s, prompt);
@ if mask_prompt then
    put_mask(s, prompt);
@ end
    choose(s, prompt);
    s->slice = slice;
    s->with_mask = prompt->mask != NULL ? 1u : 0u;
    status = worked(s, WORK_DECODE, DECODED, OPENED);
    if (status == MSA_OK && mask != NULL) {
        memcpy(mask->logits, floats(s, MSA_AT_LOGITS) + s->first * SIDE2, s->count * SIDE2 * sizeof(float));
        memcpy(mask->iou, floats(s, MSA_AT_SCORES) + s->first, s->count * sizeof(float));
        mask->masks = s->count;
    }
    return status;
}

msa_status msa_train_backward(msa_train *s, const msa_target *target, const msa_loss_rule *rule, double weight,
                              msa_loss *loss)
{
    if (!opened(s) || target == NULL || rule == NULL || loss == NULL) {
        return MSA_E_ARGUMENT;
    }
    if (s->state != DECODED) {
        return MSA_E_ORDER;
    }
    const msa_loss_input in = {.rule = *rule, .target = *target, .masks = MSA_TRAIN_MASKS, .side = MSA_TRAIN_MASK_SIDE,
        .first = s->first, .count = s->count, .weight = weight};
    float *const diou = floats(s, MSA_AT_DIOU);
    const msa_status status = msa_loss_of(&in, floats(s, MSA_AT_LOGITS), floats(s, MSA_AT_SCORES),
        floats(s, MSA_AT_LOSS_WORK), $(loss_bytes), floats(s, MSA_AT_DLOGITS), diou, loss);
    if (status != MSA_OK) {
        return status;
    }
    return worked(s, WORK_DECODE_BACKWARD, ENCODED, OPENED);
}
@ end

@ if slots > 0 then
/* Gradients on the stack: an image's own on top. */
static uint32_t stack_of(const msa_train *s, float *slots[$(slots + 1)])
{
    for (uint32_t i = 0; i < s->held; ++i) {
        slots[i] = floats(s, MSA_AT_SLOTS + i * (size_t)$(trained.elements));
    }
    slots[s->held] = floats(s, MSA_AT_GRADIENT);
    return s->held + 1u;
}

@ end
/* The newest image's gradient is put on the stack, and sums that are complete are made. */
static void join(msa_train *s)
{
@ if slots > 0 then
    float *slots[$(slots + 1)];
    const uint32_t count = stack_of(s, slots);
    const msa_tree_block block = {s->images, 0};
    s->held = msa_gradient_join(slots, count, $(trained.elements), 0, block);
    if (s->held == count) {
        memcpy(floats(s, MSA_AT_SLOTS + (count - 1u) * (size_t)$(trained.elements)), slots[count - 1u],
            $(trained.elements) * sizeof(float));
    }
@ end
    ++s->images;
}

/* The sum over all images so far. */
static float *total(const msa_train *s)
{
@ if slots > 0 then
    float *slots[$(slots + 1)];
    (void)stack_of(s, slots);
    if (s->images > 0) {
        msa_gradient_finish(slots, s->held, $(trained.elements));
        return slots[0];
    }
@ end
    return floats(s, MSA_AT_GRADIENT);
}

msa_status msa_train_image_end(msa_train *s)
{
    if (!opened(s)) {
        return MSA_E_ARGUMENT;
    }
    if (s->state $(objective and "!= ENCODED" or "== OPENED")) {
        return MSA_E_ORDER;
    }
    if (s->images >= MSA_TRAIN_BATCH) {
        return MSA_E_BATCH;
    }
@ if encode_backward then
    const msa_status status = worked(s, WORK_ENCODE_BACKWARD, OPENED, OPENED);
    if (status != MSA_OK) {
        return status;
    }
@ else
    s->state = OPENED;
@ end
    join(s);
    return MSA_OK;
}

static void squares_of(const msa_train *s, const float *gradient, msa_squares *squares)
{
    for (uint32_t pass = 0; pass < 2u; ++pass) {
        for (uint32_t i = 0; i < MSA_TRAIN_TENSORS; ++i) {
            const msa_parameter *const p = &parameters[i];
            for (uint32_t row = 0; row < p->rows; ++row) {
                const float *const g = gradient + p->at + row * p->stride;
                if (pass == 0) {
                    msa_squares_largest(squares, g, p->width);
                } else {
                    msa_squares_add(squares, g, p->width);
                }
            }
        }
    }
    (void)s;
}

msa_status msa_train_update(msa_train *s, const msa_optimiser *rule, bool matrices_decay, uint32_t images, float *norm)
{
    if (!opened(s) || rule == NULL) {
        return MSA_E_ARGUMENT;
    }
    if (s->images == 0) {
        return MSA_E_ORDER;
    }
    const float *const gradient = total(s);
    msa_squares squares = {0};
    msa_update update;
    float found = 0.0f;
    squares_of(s, gradient, &squares);
    const msa_status status = msa_update_begin(rule, &s->steps, 1.0 / (double)(images > 0 ? images : s->images),
        &squares, &update, &found);
    if (norm != NULL) {
        *norm = found;
    }
    if (status != MSA_OK) {
        return status;
    }
    for (uint32_t i = 0; i < MSA_TRAIN_TENSORS; ++i) {
        const msa_parameter *const p = &parameters[i];
        for (uint32_t row = 0; row < p->rows; ++row) {
            const size_t at = p->at + row * p->stride;
            const msa_trained tensor = {floats(s, MSA_AT_PARAMETERS + at), gradient + at, floats(s, MSA_AT_FIRST + at),
                floats(s, MSA_AT_SECOND + at), p->width, !matrices_decay || p->dimensions > 1u};
            msa_update_tensor(&update, &tensor);
        }
    }
    s->images = 0;
    s->held = 0;
    s->state = OPENED;
    return MSA_OK;
}

@ if not objective then
/* One image of a step. */
static msa_status image_of(msa_train *s, const msa_train_batch *batch, uint32_t i, const msa_loss_rule *rule,
                           double *sum)
{
    msa_status status = msa_train_encode(s, &batch->images[i]);
    for (uint32_t slice = 0; slice < MSA_TRAIN_DEPTH && status == MSA_OK; ++slice) {
        const size_t at = (size_t)i * MSA_TRAIN_DEPTH + slice;
        msa_loss loss = {0.0, 0, NULL};
        status = msa_train_decode(s, &batch->prompts[at], slice, NULL);
        if (status == MSA_OK) {
            status = msa_train_backward(s, &batch->targets[at], rule, 1.0 / MSA_TRAIN_DEPTH, &loss);
        }
        *sum = *sum + loss.value / MSA_TRAIN_DEPTH;
    }
    return status == MSA_OK ? msa_train_image_end(s) : status;
}

msa_status msa_train_step(msa_train *s, const msa_train_batch *batch, const msa_loss_rule *rule,
                          const msa_optimiser *optimiser, bool matrices_decay, double *loss)
{
    if (!opened(s) || batch == NULL || batch->count == 0) {
        return MSA_E_ARGUMENT;
    }
    double sum = 0.0;
    msa_status status = MSA_OK;
    s->images = 0;
    s->held = 0;
    for (uint32_t i = 0; i < batch->count && status == MSA_OK; ++i) {
        status = image_of(s, batch, i, rule, &sum);
    }
    if (status == MSA_OK) {
        status = msa_train_update(s, optimiser, matrices_decay, 0, NULL);
    }
    if (status == MSA_OK && loss != NULL) {
        *loss = sum / (double)batch->count;
    }
    return status;
}

@ end
const msa_parameter *msa_train_parameters(void)
{
    return parameters;
}

/* Where values of a kind begin, or NULL. */
static float *values_of(const msa_train *s, msa_values kind)
{
    switch (kind) {
    case MSA_VALUES_PARAMETERS: return floats(s, MSA_AT_PARAMETERS);
    case MSA_VALUES_GRADIENT: return total(s);
    case MSA_VALUES_FIRST: return floats(s, MSA_AT_FIRST);
    case MSA_VALUES_SECOND: return floats(s, MSA_AT_SECOND);
    default: return NULL;
    }
}

msa_status msa_train_get(const msa_train *s, msa_values kind, float *out)
{
    if (!opened(s) || out == NULL) {
        return MSA_E_ARGUMENT;
    }
    const float *const from = values_of(s, kind);
    if (from == NULL) {
        return MSA_E_ARGUMENT;
    }
    for (uint32_t i = 0; i < MSA_TRAIN_TENSORS; ++i) {
        const msa_parameter *const p = &parameters[i];
        for (uint32_t row = 0; row < p->rows; ++row) {
            memcpy(out, from + p->at + row * p->stride, p->width * sizeof(float));
            out += p->width;
        }
    }
    return MSA_OK;
}

msa_status msa_train_set(msa_train *s, msa_values kind, const float *values)
{
    if (!opened(s)) {
        return MSA_E_ARGUMENT;
    }
    if (kind == MSA_VALUES_GRADIENT) {
        s->images = 0;
        s->held = 0;
        s->state = OPENED;
        if (values == NULL) {
            return MSA_OK;
        }
    }
    float *const to = values != NULL ? values_of(s, kind) : NULL;
    if (to == NULL) {
        return MSA_E_ARGUMENT;
    }
    for (uint32_t i = 0; i < MSA_TRAIN_TENSORS; ++i) {
        const msa_parameter *const p = &parameters[i];
        for (uint32_t row = 0; row < p->rows; ++row) {
            memcpy(to + p->at + row * p->stride, values, p->width * sizeof(float));
            values += p->width;
        }
    }
    if (kind == MSA_VALUES_GRADIENT) {
        join(s);
    }
    return MSA_OK;
}

uint64_t msa_train_steps(const msa_train *s)
{
    return opened(s) ? s->steps.done : 0;
}

msa_status msa_train_set_steps(msa_train *s, const msa_optimiser *rule, uint64_t done)
{
    if (!opened(s) || rule == NULL) {
        return MSA_E_ARGUMENT;
    }
    msa_steps_at(&s->steps, rule, done);
    return MSA_OK;
}
