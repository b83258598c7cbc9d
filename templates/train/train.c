/* SPDX-License-Identifier: 0BSD */
/* msa_train.c - the training session: checks what it is given, calls the layers, the loss and the optimiser.
 * $(made_by) */
#include "msa_train_internal.h"
#include "msa_arith.h"
@ if not objective then
@   if model.places then
#include "msa_places.h"
@   end
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
#define WORK_UPDATE $(#phases)u

@ if objective then
#define PREDICTION_STRIDE ((size_t)$(prediction_stride))
#define PATCH $(model.patch)u
#define PATCH_STRIDE ((size_t)$(patches))
#define PLACES ((size_t)MSA_TRAIN_GRID * MSA_TRAIN_GRID)
@ else
#define SIDE2 ((size_t)MSA_TRAIN_MASK_SIDE * MSA_TRAIN_MASK_SIDE)
#define OUT_STRIDE ((size_t)$(lde))
#define TOKEN_ROWS ((size_t)MSA_TRAIN_TOKENS)
@ end

static const unsigned char train_hash[32] = MSA_TRAIN_HASH;
static const char train_arithmetic[32] = MSA_TRAIN_ARITHMETIC;

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

/* Whether a call may begin. */
static msa_status ready(const msa_train *s)
{
    if (s == NULL || s->session.build != build_name() || s->state < OPENED || s->state > BUSY) {
        return MSA_E_ARGUMENT;
    }
    return s->state == BUSY ? MSA_E_BUSY : MSA_OK;
}

/* Whether memory of the caller that is read during a call is no part of what the call overwrites. */
static bool readable(const msa_train *s, const void *p, size_t bytes)
{
    return p == NULL || msa_apart(p, bytes, s->session.arena, (size_t)MSA_TRAIN_ARENA_BYTES);
}

static bool writable(const msa_train *s, const void *p, size_t bytes)
{
    return readable(s, p, bytes) && (p == NULL || (msa_apart(p, bytes, s, sizeof *s)
        && msa_apart(p, bytes, s->session.weights, (size_t)MSA_TRAIN_WEIGHTS_BYTES)));
}

static msa_status check_environment(void)
{
    const msa_status status = msa_check_environment();
    if (status != MSA_OK) {
        return status;
    }
    /* Volatile: nothing of this is worked out before. */
    volatile float one = 1.0f + 0x1p-12f, many = 16777216.0f, zero = -0.0f;
@ local resized = ("!%s_as_written(one, many, zero)\n        || "):format(resampling.calls)
@ local picture = " || " .. (from ~= "embedding" and resized or "")
@ local loss = objective and "pretrain" or "loss"
    if (!msa_image_as_written(one, many, zero)$(picture)!msa_kernels_as_written(one, many, zero)
@ if not objective then
        || !msa_prompt_as_written(one, many, zero)
@   if model.places then
        || !msa_places_as_written(one, many, zero)
@   end
@ end
        || !msa_$(loss)_as_written(one, many, zero)
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
    (void)memcpy(floats(s, MSA_AT_PARAMETERS), weights + MSA_INITIAL, $(trained.elements) * sizeof(float));
    (void)memset(floats(s, MSA_AT_GRADIENT), 0, $(trained.elements) * sizeof(float));
    (void)memset(floats(s, MSA_AT_FIRST), 0, $(trained.elements) * sizeof(float));
    (void)memset(floats(s, MSA_AT_SECOND), 0, $(trained.elements) * sizeof(float));
@ if not objective then
    float *const table = floats(s, MSA_AT_PROMPT_TABLE);
    (void)memcpy(table, weights + MSA_GAUSSIAN, $(model.out) * sizeof(float));
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
@ if text_width > 0 then
    s->text = NULL;
@ end
    msa_status status = check_memory(s, arena, arena_bytes, weights, weights_bytes);
    if (status == MSA_OK) {
        status = msa_check_weights((const unsigned char *)weights, weights_bytes, MSA_TRAIN_WEIGHTS_BYTES,
            train_arithmetic, train_hash);
    }
    if (status != MSA_OK) {
        return status;
    }
    (void)memset(s, 0, sizeof *s);
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

$(update_text)

static msa_status part_of_work(msa_train *s$(core_parameter))
{
    switch (s->work) {
@ for _, phase in ipairs(phases) do
    case WORK_$(phase.name:upper()): return msa_layers_of_$(phase.name)(s$(core_argument));
@ end
    default: return part_of_update(s$(core_argument)); /* WORK_UPDATE */
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
    const msa_status status = ready(s);
    if (status == MSA_OK) {
        s->session.team = team;
    }
    return status;
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
    if (status == MSA_OK) {
        status = check_environment();
    }
    s->state = status == MSA_OK ? after : otherwise;
    return status;
}

@ if from ~= "embedding" then
static msa_status check_image(const msa_train *s, const msa_image *image)
{
    const msa_status status = msa_image_check(image, MSA_TRAIN_DEPTH);
    if (status != MSA_OK) {
        return status;
    }
    const size_t work = image->format == MSA_PIXELS_RGB || image->format == MSA_PIXELS_ROWS ? 0
        : MSA_IMAGE_WORK_BYTES(image->width, MSA_TRAIN_CORES);
    return readable(s, image, sizeof *image) && readable(s, image->pixels, msa_image_bytes(image, MSA_TRAIN_DEPTH))
        && (work == 0u || writable(s, image->work, work)) ? MSA_OK : MSA_E_OVERLAP;
}

@ end
@ if objective then
$(patches_text)
$(passes_text)
@ end
@ if from == "image" then
msa_status msa_train_encode(msa_train *s, const msa_image *image)
{
    msa_status status = ready(s);
    if (status == MSA_OK) {
        status = s->images < MSA_TRAIN_BATCH ? check_image(s, image) : MSA_E_BATCH;
    }
    if (status != MSA_OK) {
        return status;
    }
    (void)memset(floats(s, MSA_AT_GRADIENT), 0, $(trained.elements) * sizeof(float));
    s->image = image;
    s->width = image->width;
    s->height = image->height;
    status = worked(s, WORK_ENCODE, ENCODED, OPENED);
@   if dembedding then
    /* Its memory was the encoder's before. */
    (void)memset(floats(s, MSA_AT_DEMBEDDING), 0, $(dembedding) * sizeof(float));
@   end
    return status;
}

@ end
@ if not encodes then
#define PLACES ((size_t)MSA_TRAIN_GRID * MSA_TRAIN_GRID)
#define EMBEDDING (MSA_TRAIN_DEPTH * MSA_TRAIN_OUT * PLACES)

msa_status msa_train_set_embedding(msa_train *s, const float *embedding, uint32_t width, uint32_t height)
{
    const msa_status status = ready(s);
    if (status != MSA_OK || embedding == NULL) {
        return status != MSA_OK ? status : MSA_E_ARGUMENT;
    }
    if (s->images >= MSA_TRAIN_BATCH) {
        return MSA_E_BATCH;
    }
    if (!readable(s, embedding, EMBEDDING * sizeof(float))) {
        return MSA_E_OVERLAP;
    }
    if (width == 0 || width > MSA_MAX_SIDE || height == 0 || height > MSA_MAX_SIDE) {
        return MSA_E_IMAGE_SIZE;
    }
    for (size_t i = 0; i < EMBEDDING; ++i) {
        if (!(embedding[i] > -0x1p60f && embedding[i] < 0x1p60f)) {
            return MSA_E_NAN;
        }
    }
    (void)memset(floats(s, MSA_AT_GRADIENT), 0, $(trained.elements) * sizeof(float));
    float *const to = floats(s, MSA_AT_EMBEDDING);
    for (size_t slice = 0; slice < MSA_TRAIN_DEPTH; ++slice) {
        for (size_t place = 0; place < PLACES; ++place) {
            for (size_t channel = 0; channel < OUT_STRIDE; ++channel) {
                to[(slice * PLACES + place) * OUT_STRIDE + channel] = channel < MSA_TRAIN_OUT
                    ? embedding[(slice * MSA_TRAIN_OUT + channel) * PLACES + place] : 0.0f;
            }
        }
    }
    s->width = width;
    s->height = height;
    s->state = ENCODED;
    return MSA_OK;
}

msa_status msa_train_get_embedding(const msa_train *s, float *out)
{
    const msa_status status = ready(s);
    if (status != MSA_OK || out == NULL) {
        return status != MSA_OK ? status : MSA_E_ARGUMENT;
    }
    if (s->state == OPENED) {
        return MSA_E_ORDER;
    }
    if (!writable(s, out, EMBEDDING * sizeof(float))) {
        return MSA_E_OVERLAP;
    }
    const float *const from = floats(s, MSA_AT_EMBEDDING);
    for (size_t slice = 0; slice < MSA_TRAIN_DEPTH; ++slice) {
        for (size_t channel = 0; channel < MSA_TRAIN_OUT; ++channel) {
            for (size_t place = 0; place < PLACES; ++place) {
                *out++ = from[(slice * PLACES + place) * OUT_STRIDE + channel];
            }
        }
    }
    return MSA_OK;
}

@ end
@ if not objective then
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
@ if model.places then
    const msa_places places = {.count = $(model.places), .click_side = $(model.click_side or 0)};
    s->tokens = msa_place_tokens(prompt, 0, &space, &places, &table, features, (uint32_t)TOKEN_ROWS,
        (uint32_t)OUT_STRIDE);
    const uint32_t counted = msa_place_rows(prompt, places.count, table.output_tokens, rows);
@ else
    s->tokens = msa_prompt_tokens(prompt, 0, &space, &table, features, (uint32_t)TOKEN_ROWS, (uint32_t)OUT_STRIDE);
    const uint32_t counted = msa_prompt_rows(prompt, table.output_tokens, rows);
@ end
@ if text_width > 0 then
    float *const text = floats(s, MSA_AT_TEXT);
    (void)memset(text, 0, $(text_floats) * sizeof(float));
    if (prompt->with_text) {
        (void)memcpy(text, s->text, MSA_TRAIN_TEXT * sizeof(float));
    }
@ end
    for (size_t i = 0; i < TOKEN_ROWS; ++i) {
        index[i * 16] = i < counted$(model.places and " && rows[i] != MSA_NO_ROW" or "") ? (float)rows[i] : -1.0f;
    }
}

@ if text_width > 0 then
msa_status msa_train_text(msa_train *s, const float *embedding)
{
    const msa_status status = ready(s);
    if (status != MSA_OK || embedding == NULL) {
        return status != MSA_OK ? status : MSA_E_ARGUMENT;
    }
    if (!readable(s, embedding, MSA_TRAIN_TEXT * sizeof(float))) {
        return MSA_E_OVERLAP;
    }
    s->text = embedding;
    return MSA_OK;
}

@ end
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
@ if classes > 0 then
    (void)prompt;
    s->first = 0;
    s->count = MSA_TRAIN_FIRST_CLASSES;
@ else
    s->first = prompt->multimask ? 1u : 0u;
    s->count = prompt->multimask ? MSA_TRAIN_MASKS - 1u : 1u;
@ end
}

static msa_status check_prompt(const msa_train *s, const msa_prompt *prompt, uint32_t slice, const msa_mask *mask)
{
    const msa_status status = msa_prompt_check(prompt, s->width, s->height, 1, MSA_TRAIN_MAX_POINTS,
        MSA_TRAIN_MASK_SIDE, $(text_width > 0 and "s->text != NULL ? 1u : 0u" or "0"));
    if (status != MSA_OK) {
        return status;
    }
    if (slice >= MSA_TRAIN_DEPTH) {
        return MSA_E_SLICES;
    }
@ if not mask_prompt then
    if (prompt->mask != NULL) {
        return MSA_E_ARGUMENT; /* this network has no mask prompt */
    }
@ end
    const size_t points = prompt->point_count, masks = MSA_TRAIN_MASKS;
    const bool read = readable(s, prompt, sizeof *prompt)
        && (points == 0 || (readable(s, prompt->points, points * sizeof *prompt->points)
                            && readable(s, prompt->labels, points)))
        && readable(s, prompt->box, sizeof *prompt->box)$(mask_prompt and "" or ";")
@ if mask_prompt then
        && readable(s, prompt->mask, SIDE2 * sizeof(float));
@ end
    const size_t logits_bytes = masks * SIDE2 * sizeof(float), iou_bytes = masks * sizeof(float);
    const bool written = mask == NULL || (writable(s, mask, sizeof *mask) && writable(s, mask->logits, logits_bytes)
        && writable(s, mask->iou, iou_bytes) && msa_apart(mask->logits, logits_bytes, mask->iou, iou_bytes)
        && msa_apart(mask, sizeof *mask, mask->logits, logits_bytes)
        && msa_apart(mask, sizeof *mask, mask->iou, iou_bytes));
    return read && written ? MSA_OK : MSA_E_OVERLAP;
}

msa_status msa_train_decode(msa_train *s, const msa_prompt *prompt, uint32_t slice, msa_mask *mask)
{
    msa_status status = ready(s);
    if (status == MSA_OK && mask != NULL && (mask->logits == NULL || mask->iou == NULL)) {
        status = MSA_E_ARGUMENT;
    }
    if (status == MSA_OK) {
        status = s->state == OPENED ? MSA_E_ORDER : check_prompt(s, prompt, slice, mask);
    }
    if (status != MSA_OK) {
        return status;
    }
    put_tokens(s, prompt);
@ if mask_prompt then
    put_mask(s, prompt);
@ end
    choose(s, prompt);
    s->slice = slice;
@ if mask_prompt then
    s->with_mask = prompt->mask != NULL ? 1u : 0u;
@ end
    status = worked(s, WORK_DECODE, DECODED, OPENED);
    if (status == MSA_OK && mask != NULL) {
        (void)memcpy(mask->logits, floats(s, MSA_AT_LOGITS) + s->first * SIDE2, s->count * SIDE2 * sizeof(float));
        (void)memcpy(mask->iou, floats(s, MSA_AT_SCORES) + s->first, s->count * sizeof(float));
        mask->masks = s->count;
    }
    return status;
}

msa_status msa_train_backward(msa_train *s, const msa_target *target, const msa_loss_rule *rule, double weight,
                              msa_loss *loss)
{
    msa_status status = ready(s);
    if (status != MSA_OK || target == NULL || rule == NULL || loss == NULL) {
        return status != MSA_OK ? status : MSA_E_ARGUMENT;
    }
    if (s->state != DECODED) {
        return MSA_E_ORDER;
    }
    if (target->masks > MSA_TRAIN_MASKS || target->side > MSA_TRAIN_TARGET_SIDE) {
        return MSA_E_ARGUMENT;
    }
    const size_t pixels = (size_t)target->masks * target->side * target->side;
    if (!readable(s, target->bytes, pixels) || !readable(s, target->shares, pixels * sizeof(float))
        || !writable(s, loss, sizeof *loss)) {
        return MSA_E_OVERLAP;
    }
@ if not scores then
    if (rule->kind == MSA_LOSS_SAM && rule->iou != 0.0) {
        return MSA_E_ARGUMENT; /* the step has no gradients of predicted IoU */
    }
@ end
    const msa_loss_input in = {.rule = *rule, .target = *target, .masks = MSA_TRAIN_MASKS, .side = MSA_TRAIN_MASK_SIDE,
        .first = s->first, .count = s->count, .weight = weight};
    float *const diou = floats(s, MSA_AT_DIOU);
    status = msa_loss_of(&in, floats(s, MSA_AT_LOGITS), floats(s, MSA_AT_SCORES),
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
        (void)memcpy(floats(s, MSA_AT_SLOTS + (count - 1u) * (size_t)$(trained.elements)), slots[count - 1u],
            $(trained.elements) * sizeof(float));
    }
@ end
    ++s->images;
}

/* The sum over all images so far, where an image's own gradient was: no image is under way. */
static void total(const msa_train *s)
{
    float *const sum = floats(s, MSA_AT_GRADIENT);
    if (s->images == 0) {
        (void)memset(sum, 0, $(trained.elements) * sizeof(float));
    }
@ if slots == 1 then
    if (s->held > 0) {
        (void)memcpy(sum, floats(s, MSA_AT_SLOTS), $(trained.elements) * sizeof(float));
    }
@ elseif slots > 1 then
    for (uint32_t i = s->held; i > 0; --i) {
        const float *const part = floats(s, MSA_AT_SLOTS + (i - 1u) * (size_t)$(trained.elements));
        if (i == s->held) {
            (void)memcpy(sum, part, $(trained.elements) * sizeof(float));
        } else {
            msa_gradient_add(sum, part, $(trained.elements));
        }
    }
@ end
}

msa_status msa_train_image_end(msa_train *s)
{
    msa_status status = ready(s);
    if (status != MSA_OK || s->state $(objective and "!= ENCODED" or "== OPENED")) {
        return status != MSA_OK ? status : MSA_E_ORDER;
    }
@ if encode_backward then
    status = worked(s, WORK_ENCODE_BACKWARD, OPENED, OPENED);
@ else
    s->state = OPENED;
    status = check_environment();
@ end
    if (status == MSA_OK) {
        join(s);
    }
    return status;
}

msa_status msa_train_update(msa_train *s, const msa_optimiser *rule, bool matrices_decay, uint32_t images, float *norm)
{
    msa_status status = ready(s);
    if (status != MSA_OK || rule == NULL) {
        return status != MSA_OK ? status : MSA_E_ARGUMENT;
    }
    if (!readable(s, rule, sizeof *rule) || !writable(s, norm, sizeof *norm)) {
        return MSA_E_OVERLAP;
    }
    status = check_environment();
    if (status != MSA_OK || s->images == 0) {
        return status != MSA_OK ? status : MSA_E_ORDER;
    }
    total(s);
    (void)memset(s->squares, 0, sizeof s->squares);
    s->rule = rule;
    s->matrices_decay = matrices_decay;
    s->scale = 1.0 / (double)(images > 0 ? images : s->images);
    s->norm = 0.0f;
    s->state = BUSY;
    status = work(s, WORK_UPDATE);
    s->state = OPENED; /* an image that is under way is forgotten */
    if (norm != NULL) {
        *norm = s->norm;
    }
    if (status == MSA_OK) {
        s->images = 0;
        s->held = 0;
    }
    return status;
}

@ if from == "image" then
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

static msa_status check_batch(const msa_train *s, const msa_train_batch *batch)
{
    if (batch == NULL || batch->images == NULL || batch->prompts == NULL || batch->targets == NULL) {
        return MSA_E_ARGUMENT;
    }
    if (batch->count == 0 || batch->count > MSA_TRAIN_BATCH) {
        return MSA_E_BATCH;
    }
    const size_t slices = (size_t)batch->count * MSA_TRAIN_DEPTH;
    return readable(s, batch, sizeof *batch) && readable(s, batch->images, batch->count * sizeof *batch->images)
        && readable(s, batch->prompts, slices * sizeof *batch->prompts)
        && readable(s, batch->targets, slices * sizeof *batch->targets) ? MSA_OK : MSA_E_OVERLAP;
}

msa_status msa_train_step(msa_train *s, const msa_train_batch *batch, const msa_loss_rule *rule,
                          const msa_optimiser *optimiser, bool matrices_decay, double *loss)
{
    msa_status status = ready(s);
    if (status == MSA_OK) {
        status = rule == NULL || optimiser == NULL ? MSA_E_ARGUMENT : check_batch(s, batch);
    }
    if (status == MSA_OK && (!readable(s, rule, sizeof *rule) || !readable(s, optimiser, sizeof *optimiser)
                             || !writable(s, loss, sizeof *loss))) {
        status = MSA_E_OVERLAP;
    }
    if (status != MSA_OK) {
        return status;
    }
    double sum = 0.0;
    s->images = 0;
    s->held = 0;
@   if batch > 1 then
    for (uint32_t i = 0; i < batch->count && status == MSA_OK; ++i) {
        status = image_of(s, batch, i, rule, &sum);
    }
@   else
    status = image_of(s, batch, 0, rule, &sum);
@   end
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
    case MSA_VALUES_GRADIENT: return floats(s, MSA_AT_GRADIENT);
    case MSA_VALUES_FIRST: return floats(s, MSA_AT_FIRST);
    case MSA_VALUES_SECOND: return floats(s, MSA_AT_SECOND);
    default: return NULL;
    }
}

msa_status msa_train_get(const msa_train *s, msa_values kind, float *out)
{
    msa_status status = ready(s);
    const float *const from = status == MSA_OK ? values_of(s, kind) : NULL;
    if (from == NULL || out == NULL) {
        return status != MSA_OK ? status : MSA_E_ARGUMENT;
    }
    if (!writable(s, out, (size_t)MSA_TRAIN_ELEMENTS * sizeof(float))) {
        return MSA_E_OVERLAP;
    }
    if (kind == MSA_VALUES_GRADIENT) {
        if (s->state != OPENED) {
            return MSA_E_ORDER;
        }
        status = check_environment();
        if (status != MSA_OK) {
            return status;
        }
        total(s);
    }
    for (uint32_t i = 0; i < MSA_TRAIN_TENSORS; ++i) {
        const msa_parameter *const p = &parameters[i];
        for (uint32_t row = 0; row < p->rows; ++row) {
            (void)memcpy(out, from + p->at + row * p->stride, p->width * sizeof(float));
            out += p->width;
        }
    }
    return MSA_OK;
}

msa_status msa_train_set(msa_train *s, msa_values kind, const float *values)
{
    const msa_status status = ready(s);
    float *const to = status == MSA_OK ? values_of(s, kind) : NULL;
    if (to == NULL || (values == NULL && kind != MSA_VALUES_GRADIENT)) {
        return status != MSA_OK ? status : MSA_E_ARGUMENT;
    }
    if (!readable(s, values, (size_t)MSA_TRAIN_ELEMENTS * sizeof(float))) {
        return MSA_E_OVERLAP;
    }
    s->state = OPENED;
    if (kind == MSA_VALUES_GRADIENT) {
        s->images = 0;
        s->held = 0;
        if (values == NULL) {
            return MSA_OK;
        }
    }
    for (uint32_t i = 0; i < MSA_TRAIN_TENSORS; ++i) {
        const msa_parameter *const p = &parameters[i];
        for (uint32_t row = 0; row < p->rows; ++row) {
            (void)memcpy(to + p->at + row * p->stride, values, p->width * sizeof(float));
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
    return ready(s) == MSA_OK ? s->steps.done : 0;
}

msa_status msa_train_set_steps(msa_train *s, const msa_optimiser *rule, uint64_t done)
{
    msa_status status = ready(s);
    if (status != MSA_OK || rule == NULL) {
        return status != MSA_OK ? status : MSA_E_ARGUMENT;
    }
    if (!(rule->beta1 >= 0.0 && rule->beta1 < 1.0 && rule->beta2 >= 0.0 && rule->beta2 < 1.0)) {
        return MSA_E_ARGUMENT;
    }
    status = check_environment();
    if (status == MSA_OK) {
        msa_steps_at(&s->steps, rule, done);
    }
    return status;
}
