@ -- SPDX-License-Identifier: 0BSD
@ -- The network's part of msa_model.c: an image encoded, prompts answered.
#define SIDE2 ((size_t)MSA_MODEL_MASK_SIDE * MSA_MODEL_MASK_SIDE)

@ if guards then
/* CRC-32C of the embedding and all else that msa_encode leaves in the arena for msa_segment. */
@ else
/* Of the embedding and what else msa_encode leaves in the arena for msa_segment: some KEPT_WORDS words of each, evenly
 * spread. */
#define KEPT_WORDS 1024u
@ end
static uint32_t fingerprint(const msa_session *s)
{
    static const struct {
        size_t first, count; /* floats */
    } kept[MSA_KEPT_COUNT] = MSA_KEPT;
    const float *const arena = arena_floats(s, 0);
    uint32_t sum = 0;
    for (uint32_t k = 0; k < MSA_KEPT_COUNT; ++k) {
@ if guards then
        sum = msa_crc32c(sum, arena + kept[k].first, kept[k].count * sizeof(float));
@ else
        const size_t step = (kept[k].count / KEPT_WORDS) | 1u; /* odd: all columns in turn */
        for (size_t i = 0; i < kept[k].count; i += step) {
            sum = mixed(sum, msa_bits(arena[kept[k].first + i]));
        }
@ end
    }
    return sum;
}

@ if cores > 1 then

msa_status msa_set_team(msa_session *s, void *team)
{
    const msa_status status = check_session(s);
    if (status == MSA_OK) {
        s->team = team;
        settle(s, s->state);
    }
    return status;
}

static msa_status part_of_work(msa_session *s, uint32_t core)
{
    return s->image != NULL ? msa_encode_layers(s, s->image, core)
        : msa_decode_layers(s, s->slice, s->tokens, s->mask, core);
}

void msa_work(msa_session *s, uint32_t core)
{
    if (core == 0 || core >= MSA_MODEL_CORES) {
        return;
    }
    void *const team = s->team;
    s->fault[core] = check_environment() != MSA_OK ? 1u : 0u;
    (void)part_of_work(s, core);
    if (check_environment() != MSA_OK) {
        s->fault[core] = 1u;
    }
    msa_cores_wait(team, s, core);
}

static msa_status work(msa_session *s)
{
    s->leaving = 0;
    if (msa_cores_start(s->team, s) != 0) {
        return MSA_E_CORES;
    }
    msa_status status = part_of_work(s, 0);
    s->leaving = 1;
    msa_cores_wait(s->team, s, 0); /* no core looks at the session after this: it is the caller's again */
    for (uint32_t core = 1; core < MSA_MODEL_CORES; ++core) {
        if (status == MSA_OK && s->fault[core] != 0) {
            status = MSA_E_ENVIRONMENT;
        }
    }
    return status;
}

static msa_status encode_layers(msa_session *s, const msa_image *image)
{
    s->image = image;
    return work(s);
}

static msa_status decode_layers(msa_session *s, uint32_t slice, uint32_t tokens, const float *mask)
{
    s->image = NULL;
    s->slice = slice;
    s->tokens = tokens;
    s->mask = mask;
    return work(s);
}

@ end
@ local phase = cores > 1 and "" or "msa_"

msa_status msa_select_bank(msa_session *s, uint32_t bank)
{
    const msa_status status = check_session(s);
    if (status != MSA_OK) {
        return status;
    }
    if (bank >= MSA_MODEL_BANKS) {
        return MSA_E_BANK;
    }
    s->bank = bank;
    settle(s, OPENED);
    return MSA_OK;
}

static bool embedding_finite(const msa_session *s)
{
    const float *const embedding = arena_floats(s, MSA_EMBEDDING_OFFSET);
    const size_t tokens = (size_t)MSA_MODEL_DEPTH * MSA_MODEL_GRID * MSA_MODEL_GRID;
    for (size_t i = 0; i < tokens; ++i) {
        if (!msa_finite(embedding + i * MSA_EMBEDDING_STRIDE, MSA_MODEL_OUT)) {
            return false;
        }
    }
    return true;
}

static msa_status check_image(const msa_session *s, const msa_image *image)
{
    const msa_status status = msa_image_check(image, MSA_MODEL_DEPTH);
    if (status != MSA_OK) {
        return status;
    }
    const size_t work = image->format == MSA_PIXELS_RGB || image->format == MSA_PIXELS_ROWS ? 0
        : MSA_IMAGE_WORK_BYTES(image->width, MSA_MODEL_CORES);
    return readable(s, image, sizeof *image) && readable(s, image->pixels, msa_image_bytes(image, MSA_MODEL_DEPTH))
        && (work == 0u || writable(s, image->work, work)) ? check_environment() : MSA_E_OVERLAP;
}

/* An image that may be encoded: relies on checks of session, image and environment. */
static msa_status encode_checked(msa_session *s, const msa_image *image)
{
    const uint32_t width = image->width, height = image->height;
    s->spoiled = 0;
@ if guards then
    put_canaries(s);
@ end
    settle(s, BUSY);
    msa_status status = $(phase)encode_layers(s, image);
@ if streamed then
    msa_stream_end(s); /* whatever ended the call: the arena is the caller's again */
@ end
    if (status == MSA_OK && !embedding_finite(s)) {
        status = MSA_E_NAN;
    }
    status = ended(s, status, OPENED);
    if (status == MSA_OK) {
        s->width = width;
        s->height = height;
        s->embedding = fingerprint(s);
        settle(s, ENCODED);
    }
    return status;
}

msa_status msa_encode(msa_session *s, const msa_image *image)
{
    msa_status status = check_session(s);
    if (status != MSA_OK) {
        return status;
    }
    /* From here on the image before is forgotten, whatever becomes of this one. */
    status = check_image(s, image);
    if (status != MSA_OK) {
        settle(s, OPENED);
        return status;
    }
    return encode_checked(s, image);
}

/* Whether there is an embedding, and the arena still has it. */
static msa_status check_embedding(const msa_session *s)
{
    if (s->state != ENCODED) {
        return MSA_E_ORDER;
    }
@ if guards then
    if (!canaries_whole(s)) {
        return MSA_E_ARENA_CHANGED;
    }
@ end
    return fingerprint(s) == s->embedding ? MSA_OK : MSA_E_ARENA_CHANGED;
}

msa_status msa_get_embedding(const msa_session *s, float *out)
{
    msa_status status = check_session(s);
    if (status == MSA_OK && out == NULL) {
        status = MSA_E_ARGUMENT;
    }
    if (status == MSA_OK) {
        status = check_embedding(s);
    }
    if (status != MSA_OK) {
        return status;
    }
    if (!writable(s, out, (size_t)MSA_MODEL_DEPTH * MSA_MODEL_OUT * MSA_MODEL_GRID * MSA_MODEL_GRID * sizeof(float))) {
        return MSA_E_OVERLAP;
    }
    const size_t tokens = (size_t)MSA_MODEL_GRID * MSA_MODEL_GRID;
    for (size_t slice = 0; slice < MSA_MODEL_DEPTH; ++slice) {
        const float *const from = arena_floats(s, MSA_EMBEDDING_OFFSET) + slice * tokens * MSA_EMBEDDING_STRIDE;
        float *const to = out + slice * MSA_MODEL_OUT * tokens;
        for (size_t channel = 0; channel < MSA_MODEL_OUT; ++channel) {
            for (size_t token = 0; token < tokens; ++token) {
                to[channel * tokens + token] = from[token * MSA_EMBEDDING_STRIDE + channel];
            }
        }
    }
    return MSA_OK;
}

uint32_t msa_tokens_of(const msa_session *s, const msa_prompt *prompt, uint32_t slice, uint32_t width, uint32_t height)
{
@ if streamed then
    const unsigned char *const tables = s->arena;
@ else
    const unsigned char *const tables = s->weights;
@ end
    const msa_prompt_table table = {
        (const float *)(const void *)(tables + MSA_PROMPT_TABLE_OFFSET + (size_t)MSA_PROMPT_BANK_STRIDE * s->bank),
        MSA_MODEL_OUT, 1u + MSA_MODEL_MASKS, MSA_MODEL_TEXTS,
    };
    msa_prompt_space space = {width, height, 0, 0, MSA_MODEL_INPUT_SIZE, MSA_MODEL_CLICK_RC != 0};
    msa_resized_size(width, height, MSA_MODEL_INPUT_SIZE, MSA_MODEL_RESIZE_LONGEST != 0, &space.inner_width,
                     &space.inner_height);
@ if model.places then
    const msa_places places = {MSA_MODEL_PLACES, $(model.click_side or 0)};
    return msa_place_tokens(prompt, slice, &space, &places, &table, arena_floats(s, MSA_TOKENS_OFFSET),
                            MSA_MODEL_TOKENS, MSA_TOKEN_STRIDE);
@ else
    return msa_prompt_tokens(prompt, slice, &space, &table, arena_floats(s, MSA_TOKENS_OFFSET), MSA_MODEL_TOKENS,
                             MSA_TOKEN_STRIDE);
@ end
}

/* Tokens and decoder for one slice; results stay in the arena. */
static msa_status decode(msa_session *s, const msa_prompt *prompt, uint32_t slice)
{
    const uint32_t tokens = msa_tokens_of(s, prompt, slice, s->width, s->height);
@ if model.depth > 1 then
    const float *mask = prompt->mask;
    if (mask != NULL && prompt->slices > 1u) {
        mask += slice * SIDE2;
    }
@ else
    const float *const mask = prompt->mask;
@ end
    const msa_status status = $(phase)decode_layers(s, slice, tokens, mask);
@ if streamed then
    msa_stream_end(s); /* whatever ended the call: the arena is the caller's again */
@ end
    return status;
}

/* Masks of a result: which of the decoder's is the first, and how many. */
typedef struct chosen {
    size_t first, count;
} chosen;

static chosen choose(const msa_prompt *prompt)
{
@ if classes == 0 and model.decoder.masks > 1 then
    const bool several = prompt->multimask;
    const chosen c = {several ? 1u : 0u, several ? MSA_MODEL_MASKS - 1u : 1u};
@ else
    const chosen c = {0u, $(classes == 0 and "1u" or "MSA_MODEL_FIRST_CLASSES")};
    (void)prompt;
@ end
    return c;
}

static msa_status check_prompt(const msa_session *s, const msa_prompt *prompt, const msa_mask *mask)
{
    const msa_status status = msa_prompt_check(prompt, s->width, s->height, MSA_MODEL_DEPTH, MSA_MODEL_MAX_POINTS,
                                               MSA_MODEL_MASK_SIDE, MSA_MODEL_TEXTS);
    if (status != MSA_OK) {
        return status;
    }
@ if model.places then
    if (prompt->mask != NULL) {
        return MSA_E_ARGUMENT; /* this model has no mask prompt */
    }
@ end
    const size_t slices = prompt->slices, points = slices * prompt->point_count;
    const size_t masks = MSA_MODEL_DEPTH * choose(prompt).count;
    const size_t logits_bytes = masks * SIDE2 * sizeof(float), iou_bytes = masks * sizeof(float);
    const bool read = readable(s, prompt, sizeof *prompt)
        && (points == 0u || (readable(s, prompt->points, points * sizeof *prompt->points)
                            && readable(s, prompt->labels, points)))
@ if model.places then
        && readable(s, prompt->box, slices * sizeof *prompt->box);
@ else
        && readable(s, prompt->box, slices * sizeof *prompt->box)
        && readable(s, prompt->mask, slices * SIDE2 * sizeof(float));
@ end
    const bool written = writable(s, mask, sizeof *mask) && writable(s, mask->logits, logits_bytes)
        && writable(s, mask->iou, iou_bytes) && msa_apart(mask->logits, logits_bytes, mask->iou, iou_bytes)
        && msa_apart(mask, sizeof *mask, mask->logits, logits_bytes)
        && msa_apart(mask, sizeof *mask, mask->iou, iou_bytes);
    return read && written ? check_environment() : MSA_E_OVERLAP;
}

/* All slices; results stay in the arena, where there are several of them staged one after the other. */
static msa_status decode_slices(msa_session *s, const msa_prompt *prompt, chosen c)
{
    const float *const logits = arena_floats(s, MSA_LOGITS_OFFSET) + c.first * SIDE2;
    const float *const iou = arena_floats(s, MSA_IOU_OFFSET) + c.first;
    for (uint32_t slice = 0; slice < MSA_MODEL_DEPTH; ++slice) {
        const msa_status status = decode(s, prompt, slice);
        if (status != MSA_OK) {
            return status;
        }
        if (!msa_finite(logits, c.count * SIDE2) || !msa_finite(iou, c.count)) {
            return MSA_E_NAN;
        }
@ if model.depth > 1 then
        float *const staged = arena_floats(s, MSA_STAGE_OFFSET);
        (void)memcpy(staged + slice * c.count * SIDE2, logits, c.count * SIDE2 * sizeof(float));
        (void)memcpy(staged + MSA_MODEL_DEPTH * MSA_MODEL_MASKS * SIDE2 + slice * c.count, iou,
                     c.count * sizeof(float));
@ end
    }
    return MSA_OK;
}

/* The caller's memory stays untouched until all slices are done. */
static void hand_out(const msa_session *s, chosen c, msa_mask *mask)
{
@ if model.depth > 1 then
    const float *const logits = arena_floats(s, MSA_STAGE_OFFSET);
    const float *const iou = logits + MSA_MODEL_DEPTH * MSA_MODEL_MASKS * SIDE2;
@ else
    const float *const logits = arena_floats(s, MSA_LOGITS_OFFSET) + c.first * SIDE2;
    const float *const iou = arena_floats(s, MSA_IOU_OFFSET) + c.first;
@ end
    (void)memcpy(mask->logits, logits, MSA_MODEL_DEPTH * c.count * SIDE2 * sizeof(float));
    (void)memcpy(mask->iou, iou, MSA_MODEL_DEPTH * c.count * sizeof(float));
    mask->masks = (uint32_t)c.count;
}

msa_status msa_segment(msa_session *s, const msa_prompt *prompt, msa_mask *mask)
{
    msa_status status = check_session(s);
    if (status == MSA_OK && (mask == NULL || mask->logits == NULL || mask->iou == NULL)) {
        status = MSA_E_ARGUMENT;
    }
    if (status == MSA_OK && s->state != ENCODED) {
        status = MSA_E_ORDER;
    }
    if (status == MSA_OK) {
        status = check_prompt(s, prompt, mask);
    }
    if (status != MSA_OK) {
        return status;
    }
    status = check_embedding(s);
    if (status != MSA_OK) {
        settle(s, OPENED);
        return status;
    }
    const chosen c = choose(prompt);
    s->spoiled = 0;
    settle(s, BUSY);
    status = decode_slices(s, prompt, c);
@ local lost = streamed and " || status == MSA_E_FETCH" or ""
    status = ended(s, status, status == MSA_E_CANCELLED$(lost) ? OPENED : ENCODED);
    if (status == MSA_OK) {
        status = check_embedding(s); /* what the layers read was still this image's */
        if (status != MSA_OK) {
            settle(s, OPENED);
            return status;
        }
        hand_out(s, c, mask);
    }
    return status;
}

