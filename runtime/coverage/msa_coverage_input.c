/* SPDX-License-Identifier: 0BSD */
/* msa_coverage_input.c - of msa_coverage.c: images, prompts, and memory that overlaps. */
#include "msa_coverage.h"

#if COVER_IMAGES
#if COVER_NETWORK
msa_status cover_encode(const msa_image *image)
{
    return msa_encode(&cover.s, image);
}

msa_status cover_segment_into(const msa_prompt *prompt, msa_mask *mask)
{
    return msa_segment(&cover.s, prompt, mask);
}
#endif

msa_status cover_segment(const msa_prompt *prompt)
{
    return cover_segment_into(prompt, &cover.mask);
}

void *cover_place(uint32_t i)
{
#if COVER_TRAINING
    msa_train *const session = &cover.t;
#else
    msa_session *const session = &cover.s;
#endif
    unsigned char *const of[3] = {cover.arena + MSA_ALIGNMENT, (unsigned char *)session, cover.weights + 8192};
    return of[i];
}

/* An image of this format with room for all that it may need. */
static msa_image of_format(msa_pixel_format format)
{
    msa_image image = cover.image;
    const bool bytes = format == MSA_PIXELS_GREY || format == MSA_PIXELS_PLANAR;
    const size_t row = format == MSA_PIXELS_RGB ? 3u : bytes ? 1u : 2u;
    image.format = format;
    image.stride = row * image.width;
    image.plane_stride = image.stride * image.height;
    image.window_low = 64.0f;
    image.window_high = 40000.0f;
    image.work = cover.work;
    return image;
}

/* Sides, strides and windows that are refused. */
void cover_wrong_images(void)
{
    msa_image odd = cover.image;
    COVER(cover_encode(NULL), MSA_E_ARGUMENT);
    odd.format = (msa_pixel_format)(MSA_PIXELS_ROWS + 1);
    COVER(cover_encode(&odd), MSA_E_ARGUMENT);
    odd = cover.image;
    odd.pixels = NULL;
    COVER(cover_encode(&odd), MSA_E_ARGUMENT);
    odd = of_format(MSA_PIXELS_GREY);
    odd.work = NULL;
    COVER(cover_encode(&odd), MSA_E_ARGUMENT);
    static const uint32_t sides[2] = {0, MSA_MAX_SIDE + 1u};
    for (uint32_t i = 0; i < 2u; ++i) {
        odd = cover.image;
        odd.width = sides[i];
        COVER(cover_encode(&odd), MSA_E_IMAGE_SIZE);
        odd = cover.image;
        odd.height = sides[i];
        COVER(cover_encode(&odd), MSA_E_IMAGE_SIZE);
    }
    odd = cover.image;
    odd.stride -= 1u;
    COVER(cover_encode(&odd), MSA_E_IMAGE_STRIDE);
    odd.stride = SIZE_MAX / 4u;
    COVER(cover_encode(&odd), MSA_E_IMAGE_STRIDE);
    odd = of_format(MSA_PIXELS_PLANAR);
    odd.plane_stride -= 1u;
    COVER(cover_encode(&odd), MSA_E_IMAGE_STRIDE);
    odd.plane_stride = SIZE_MAX / 2u;
    COVER(cover_encode(&odd), MSA_E_IMAGE_STRIDE);
    odd = of_format(MSA_PIXELS_GREY16);
    odd.pixels += 1;
    COVER(cover_encode(&odd), MSA_E_ALIGNMENT);
    odd = of_format(MSA_PIXELS_GREY16_SIGNED);
    odd.window_high = odd.window_low;
    COVER(cover_encode(&odd), MSA_E_ARGUMENT);
    odd.window_low = -3.0e38f;
    odd.window_high = 3.0e38f;
    COVER(cover_encode(&odd), MSA_E_ARGUMENT);
    odd = of_format(MSA_PIXELS_ROWS);
    COVER(cover_encode(&odd), MSA_E_ARGUMENT); /* no line for it */
}

/* Of a volume: slices that overlap, that reach too far, and strides of their own; of an image they are not read, which
 * a check of two slices stands for. */
static void slices(void)
{
    msa_image volume = cover.image;
    const size_t slice = volume.stride * volume.height;
    COVER(msa_image_check(&volume, 2), MSA_OK);
    volume.slice_stride = slice - 1u;
    COVER(msa_image_check(&volume, 1), MSA_OK);
    COVER(msa_image_check(&volume, 2), MSA_E_IMAGE_STRIDE);
    volume.slice_stride = SIZE_MAX - slice;
    COVER(msa_image_check(&volume, 2), MSA_E_IMAGE_STRIDE);
    volume.slice_stride = slice;
    COVER(msa_image_check(&volume, 2), MSA_OK);
    COVER(msa_image_row(&volume, 1, 0, 0) == cover.pixels + slice, true);
    COVER(msa_image_row(&volume, 0, 1, 0) == cover.pixels + volume.stride, true);
    COVER(cover_encode(&volume), MSA_OK);
}

/* Each format; levels below, within and above the window, rounded and cut off, of either sign. */
void cover_formats(void)
{
    static const msa_pixel_format all[5] = {MSA_PIXELS_GREY, MSA_PIXELS_PLANAR, MSA_PIXELS_GREY16,
        MSA_PIXELS_GREY16_SIGNED, MSA_PIXELS_RGB};
    slices();
    for (uint32_t i = 0; i < 5u; ++i) {
        msa_image image = of_format(all[i]);
        COVER(msa_image_check(&image, MSA_MODEL_DEPTH), MSA_OK);
        COVER(msa_image_bytes(&image, 1) >= (size_t)image.width * image.height, true);
        for (uint32_t y = 0; y < image.height; ++y) {
            image.truncate = y % 2u != 0u;
            image.window_low = image.truncate ? -300.0f : 64.0f;
            image.window_high = image.truncate ? 4000.0f : 40000.0f;
            COVER(msa_image_row(&image, 0, y, 0) != NULL, true);
        }
        const msa_image own = msa_image_of_core(&image, 0);
        COVER(own.work == image.work, true);
    }
    const msa_image grey = of_format(MSA_PIXELS_GREY);
    COVER(cover_encode(&grey), MSA_OK);
    msa_image rows = of_format(MSA_PIXELS_ROWS);
    rows.context = cover.pixels;
    COVER(cover_encode(&rows), MSA_OK);
    COVER(msa_image_bytes(&rows, 1), 0);
    COVER(msa_image_row(&rows, 0, 0, 0) == cover.pixels, true);
    const msa_image without = msa_image_of_core(&cover.image, 1);
    COVER(without.work == NULL, true);
}

/* All rows at the model's size; an encode where no resizer makes them. */
static msa_status resized(const msa_image *image)
{
    static MSA_RESIZER resizer;
    static uint8_t row[3 * MSA_MODEL_INPUT_SIZE];
    static unsigned char *work;
    uint32_t width = 0, height = 0;
    work = work == NULL ? cover_memory(MSA_RESIZER_BYTES) : work;
    msa_resized_size(image->width, image->height, MSA_MODEL_INPUT_SIZE, MSA_MODEL_RESIZE_LONGEST != 0, &width, &height);
    const msa_status status = MSA_RESIZER_INIT(&resizer, image, 0, width, height, work, MSA_RESIZER_BYTES);
    for (uint32_t y = 0; y < height && status == MSA_OK; ++y) {
        MSA_RESIZER_ROW(&resizer, row);
    }
    return status == MSA_E_ARGUMENT ? cover_encode(image) : status;
}

/* Images that grow, that shrink, by whole numbers too, and that are long and thin. */
void cover_sizes(void)
{
    static const uint32_t sides[9][2] = {{1, 1}, {2, 3}, {3, 2}, {MSA_MODEL_INPUT_SIZE, MSA_MODEL_INPUT_SIZE},
        {3 * MSA_MODEL_INPUT_SIZE, 3 * MSA_MODEL_INPUT_SIZE}, {MSA_MAX_SIDE, 1}, {1, MSA_MAX_SIDE},
        {5 * MSA_MODEL_INPUT_SIZE + 3, 2}, {MSA_MODEL_INPUT_SIZE / 2, 7 * MSA_MODEL_INPUT_SIZE}};
    const size_t bytes = 27u * (size_t)MSA_MODEL_INPUT_SIZE * MSA_MODEL_INPUT_SIZE + 6u * (size_t)MSA_MAX_SIDE;
    uint8_t *const pixels = cover_memory(bytes);
    for (size_t i = 0; i < bytes; ++i) {
        pixels[i] = i / 5u % 3u == 0u ? 255u : (uint8_t)((i * 2654435761u) >> 24);
    }
    for (uint32_t i = 0; i < 9u; ++i) {
        const msa_image image = msa_rgb(pixels, sides[i][0], sides[i][1]);
        COVER(resized(&image), MSA_OK);
    }
}

#if COVER_NETWORK
void cover_images(void)
{
    cover_opened();
    COVER(msa_segment(&cover.s, &cover.prompt, &cover.mask), MSA_E_ORDER);
    COVER(msa_get_embedding(&cover.s, cover.embedding), MSA_E_ORDER);
    cover_wrong_images();
    cover_formats();
    cover_sizes();
    static const uint8_t black[3 * 3 * 50];
    const msa_image thin = msa_rgb(black, 3, 50);
    msa_prompt prompt = cover.prompt;
    prompt.point_count = 0;
    COVER(cover_encode(&thin), MSA_OK);
    COVER(msa_segment(&cover.s, &prompt, &cover.mask), MSA_OK);
}
#endif

/* Points, labels, boxes, masks, texts and slices that are refused, each by one thing that is wrong. */
void cover_wrong_prompts(void)
{
    const float w = COVER_WIDTH, h = COVER_HEIGHT;
    const float outside[5][2] = {{-1.0f, 1.0f}, {w + 1.0f, 1.0f}, {1.0f, -1.0f}, {1.0f, h + 1.0f}, {cover_nan(), 1.0f}};
    const float boxes[6][1][4] = {{{-1, 1, 5, 5}}, {{1, -1, 5, 5}}, {{1, 1, w + 1.0f, 5}}, {{1, 1, 5, h + 1.0f}},
        {{6, 1, 5, 5}}, {{1, 6, 5, 5}}};
    const int8_t labels[2] = {-2, 2};
    msa_prompt wrong = cover.prompt;
    COVER(cover_segment(NULL), MSA_E_ARGUMENT);
    wrong.points = NULL;
    COVER(cover_segment(&wrong), MSA_E_ARGUMENT);
    wrong = cover.prompt;
    wrong.labels = NULL;
    COVER(cover_segment(&wrong), MSA_E_ARGUMENT);
    wrong.point_count = MSA_MODEL_MAX_POINTS + 1u;
    COVER(cover_segment(&wrong), MSA_E_POINTS);
    wrong = cover.prompt;
    wrong.slices = MSA_MODEL_DEPTH + 1u;
    COVER(cover_segment(&wrong), MSA_E_SLICES);
    COVER(msa_prompt_check(&cover.prompt, 40, 30, 7, 1, COVER_SIDE, 0), MSA_OK); /* one for all of seven slices */
    wrong.slices = 2;
    COVER(msa_prompt_check(&wrong, 40, 30, 7, 1, COVER_SIDE, 0), MSA_E_SLICES);
    for (uint32_t i = 0; i < 5u; ++i) {
        wrong = cover.prompt;
        wrong.points = &outside[i];
        COVER(cover_segment(&wrong), MSA_E_POINT);
    }
    for (uint32_t i = 0; i < 2u; ++i) {
        wrong = cover.prompt;
        wrong.labels = &labels[i];
        COVER(cover_segment(&wrong), MSA_E_LABEL);
    }
    for (uint32_t i = 0; i < 6u; ++i) {
        wrong = cover.prompt;
        wrong.box = boxes[i];
        COVER(cover_segment(&wrong), MSA_E_BOX);
    }
    wrong = cover.prompt;
    wrong.mask = cover.logits;
    cover.logits[3] = cover_nan();
    COVER(cover_segment(&wrong), MSA_E_MASK);
    cover.logits[3] = 0.0f;
    COVER(cover_segment(&wrong), COVER_MASKS ? MSA_OK : MSA_E_ARGUMENT);
    wrong = cover.prompt;
    wrong.with_text = true;
    wrong.text = MSA_MODEL_TEXTS;
    COVER(cover_segment(&wrong), MSA_E_TEXT);
}

#ifdef MSA_MODEL_PLACES
/* Points, corners and texts at a fixed number of places, of each slice its own, as (row, column) or not. */
static void at_places(void)
{
    enum { OUT = 8, PLACES = 4, ROWS = 2 + 4 + 2 + 1, TOKENS = 8 };
    static float rows[ROWS * OUT], tokens[TOKENS * OUT];
    static const float points[4][2] = {{1, 2}, {3, 4}, {5, 6}, {7, 8}}, boxes[2][4] = {{1, 2, 3, 4}, {5, 6, 7, 8}};
    static const int8_t labels[4] = {1, 0, -1, 1};
    const msa_prompt_table table = {rows, OUT, 2, 1};
    for (uint32_t i = 0; i < 12u; ++i) {
        const msa_prompt_space space = {COVER_WIDTH, COVER_HEIGHT, 64, 48, 64, i % 2u != 0u};
        const msa_places where = {PLACES, i % 3u == 0u ? 0u : 32u};
        const msa_prompt prompt = {points, labels, i < 6u ? 2u : 0u, i % 4u < 2u ? NULL : boxes, NULL, false, 2,
            i % 2u == 0u, 0};
        COVER(msa_place_tokens(&prompt, i % 2u, &space, &where, &table, tokens, TOKENS, OUT),
              2 + PLACES + (prompt.with_text ? 1 : 0));
    }
}
#endif

/* Prompts that this build may not have: of each slice its own, of texts, of clicks as (row, column). */
void cover_other_prompts(void)
{
    enum { OUT = 8, ROWS = 2 + 4 + 1 + 2 + 1, TOKENS = 8 };
    static float rows[ROWS * OUT], tokens[TOKENS * OUT];
    static const float points[2][2] = {{1, 2}, {3, 4}};
    static const int8_t labels[2] = {1, 0};
    const msa_prompt_table table = {rows, OUT, 2, 1};
    msa_prompt_space space = {COVER_WIDTH, COVER_HEIGHT, 64, 48, 64, false};
    msa_prompt prompt = {points, labels, 1, NULL, NULL, false, 2, true, 0};
    for (uint32_t i = 0; i < ROWS * OUT; ++i) {
        rows[i] = (float)i;
    }
    COVER(msa_prompt_check(&prompt, COVER_WIDTH, COVER_HEIGHT, 2, 1, COVER_SIDE, 1), MSA_OK);
    for (uint32_t i = 0; i < 2u; ++i) {
        space.click_rc = i != 0u;
        COVER(msa_prompt_tokens(&prompt, i, &space, &table, tokens, TOKENS, OUT), 5);
    }
    prompt.with_text = false;
    COVER(msa_prompt_tokens(&prompt, 1, &space, &table, tokens, TOKENS, OUT), 4);
    static const float boxes[2][4] = {{1, 2, 3, 4}, {5, 6, 7, 8}};
    static const int8_t none[2] = {-1, -1};
    prompt.box = boxes;
    prompt.labels = none;
    prompt.slices = 1;
    COVER(msa_prompt_tokens(&prompt, 1, &space, &table, tokens, TOKENS, OUT), 5);
    prompt.box = NULL;
    prompt.point_count = 0;
    COVER(msa_prompt_tokens(&prompt, 1, &space, &table, tokens, TOKENS, OUT), 2);
#ifdef MSA_MODEL_PLACES
    at_places();
#endif
}

/* ---- memory that overlaps ---- */

void cover_overlapping_images(void)
{
    msa_image *const inside = cover_place(0);
    *inside = cover.image;
    COVER(cover_encode(inside), MSA_E_OVERLAP);
    msa_image image = cover.image;
    image.pixels = cover.arena + MSA_MODEL_ARENA_BYTES - 1u;
    COVER(cover_encode(&image), MSA_E_OVERLAP);
    image = of_format(MSA_PIXELS_GREY);
    for (uint32_t i = 0; i < COVER_PLACES; ++i) {
        image.work = cover_place(i);
        COVER(cover_encode(&image), MSA_E_OVERLAP);
    }
    if (MSA_MODEL_CORES > 1) { /* the second core's part of it */
        image.work = cover.arena - MSA_IMAGE_WORK_BYTES(COVER_WIDTH, 1u);
        COVER(cover_encode(&image), MSA_E_OVERLAP);
    }
}

void cover_overlapping_prompts(void)
{
    unsigned char *const a = cover_place(0);
    msa_prompt prompt = cover.prompt;
    (void)memset(a, 0, sizeof(float) * MSA_MODEL_DEPTH * COVER_SIDE * COVER_SIDE);
    prompt.points = (const float(*)[2])(void *)a;
    COVER(cover_segment(&prompt), MSA_E_OVERLAP);
    prompt = cover.prompt;
    prompt.labels = (const int8_t *)a;
    COVER(cover_segment(&prompt), MSA_E_OVERLAP);
    prompt = cover.prompt;
    prompt.box = (const float(*)[4])(void *)a;
    COVER(cover_segment(&prompt), MSA_E_OVERLAP);
    prompt = cover.prompt;
    prompt.mask = (const float *)(const void *)a;
    COVER(cover_segment(&prompt), COVER_MASKS ? MSA_E_OVERLAP : MSA_E_ARGUMENT);
    msa_prompt *const inside = (msa_prompt *)(void *)a;
    *inside = cover.prompt;
    COVER(cover_segment(inside), MSA_E_OVERLAP);
}

/* Masks without room, in places where none may be, and in each other. */
void cover_wrong_masks(void)
{
    msa_mask mask = cover.mask;
    mask.logits = NULL;
    COVER(cover_segment_into(&cover.prompt, &mask), MSA_E_ARGUMENT);
    mask = cover.mask;
    mask.iou = NULL;
    COVER(cover_segment_into(&cover.prompt, &mask), MSA_E_ARGUMENT);
    for (uint32_t i = 0; i < COVER_PLACES; ++i) {
        mask = cover.mask;
        mask.logits = cover_place(i);
        COVER(cover_segment_into(&cover.prompt, &mask), MSA_E_OVERLAP);
        mask = cover.mask;
        mask.iou = cover_place(i);
        COVER(cover_segment_into(&cover.prompt, &mask), MSA_E_OVERLAP);
    }
    mask = cover.mask;
    mask.iou = mask.logits;
    COVER(cover_segment_into(&cover.prompt, &mask), MSA_E_OVERLAP);
    msa_mask *const inside = cover_place(0), *const in_logits = (msa_mask *)(void *)cover.logits,
        *const in_iou = (msa_mask *)(void *)cover.work;
    *inside = cover.mask;
    COVER(cover_segment_into(&cover.prompt, inside), MSA_E_OVERLAP);
    *in_logits = cover.mask;
    COVER(cover_segment_into(&cover.prompt, in_logits), MSA_E_OVERLAP);
    *in_iou = cover.mask;
    in_iou->iou = (float *)(void *)in_iou;
    COVER(cover_segment_into(&cover.prompt, in_iou), MSA_E_OVERLAP);
}

#if COVER_NETWORK
/* Every number of points, of each label, with and without a box, a mask and a text; one mask and several. */
static void right_prompts(void)
{
    static float points[MSA_MODEL_DEPTH * MSA_MODEL_MAX_POINTS][2];
    static int8_t labels[MSA_MODEL_DEPTH * MSA_MODEL_MAX_POINTS];
    static float boxes[MSA_MODEL_DEPTH][4];
    for (uint32_t i = 0; i < MSA_MODEL_DEPTH * MSA_MODEL_MAX_POINTS; ++i) {
        points[i][0] = (float)(i % COVER_WIDTH);
        points[i][1] = (float)(7u * i % COVER_HEIGHT);
        labels[i] = (int8_t)((int)(i % 3u) - 1);
    }
    for (uint32_t i = 0; i < MSA_MODEL_DEPTH; ++i) {
        boxes[i][2] = COVER_WIDTH;
        boxes[i][3] = COVER_HEIGHT;
    }
    for (uint32_t n = 0; n <= MSA_MODEL_MAX_POINTS; ++n) {
        for (uint32_t kind = 0; kind < 4u; ++kind) {
            msa_prompt prompt = {(const float(*)[2])points, labels, n, kind % 2u == 0u ? NULL
                : (const float(*)[4])boxes, kind < 2u || !COVER_MASKS ? NULL : cover.logits, kind == 1u, 1, false, 0};
            prompt.slices = kind == 3u ? MSA_MODEL_DEPTH : 1u;
            prompt.mask = kind == 3u && MSA_MODEL_DEPTH > 1u ? NULL : prompt.mask;
            COVER(cover_segment(&prompt), MSA_OK);
        }
    }
    for (uint32_t text = 0; text < MSA_MODEL_TEXTS; ++text) {
        msa_prompt prompt = cover.prompt;
        prompt.with_text = true;
        prompt.text = text;
        COVER(cover_segment(&prompt), MSA_OK);
    }
    msa_prompt own = cover.prompt; /* a mask for each slice */
    float *const masks = cover_memory(sizeof(float) * MSA_MODEL_DEPTH * COVER_SIDE * COVER_SIDE);
    for (size_t i = 0; i < (size_t)MSA_MODEL_DEPTH * COVER_SIDE * COVER_SIDE; ++i) {
        masks[i] = (float)(i % 7u) - 3.0f;
    }
    own.mask = COVER_MASKS ? masks : NULL;
    own.slices = MSA_MODEL_DEPTH;
    own.point_count = 0;
    COVER(cover_segment(&own), MSA_OK);
}

void cover_prompts(void)
{
    cover_encoded();
    cover_wrong_prompts();
    cover_other_prompts();
    COVER(msa_segment(&cover.s, &cover.prompt, NULL), MSA_E_ARGUMENT);
    COVER(msa_get_embedding(&cover.s, NULL), MSA_E_ARGUMENT);
    COVER(msa_get_embedding(&cover.s, cover.embedding), MSA_OK);
    right_prompts();
    COVER(msa_select_bank(&cover.s, MSA_MODEL_BANKS), MSA_E_BANK);
    COVER(msa_select_bank(&cover.s, MSA_MODEL_BANKS - 1u), MSA_OK);
    COVER(msa_segment(&cover.s, &cover.prompt, &cover.mask), MSA_E_ORDER);
    for (uint32_t bank = 0; bank < MSA_MODEL_BANKS && MSA_MODEL_BANKS > 1; ++bank) {
        COVER(msa_select_bank(&cover.s, bank), MSA_OK);
        COVER(cover_encode(&cover.image), MSA_OK);
        COVER(cover_segment(&cover.prompt), MSA_OK);
    }
}

void cover_overlaps(void)
{
    cover_opened();
    cover_overlapping_images();
    COVER(cover_encode(&cover.image), MSA_OK);
    for (uint32_t i = 0; i < COVER_PLACES; ++i) {
        COVER(msa_get_embedding(&cover.s, cover_place(i)), MSA_E_OVERLAP);
        COVER(msa_weights_check(&cover.s, 0, cover_place(i)), MSA_E_OVERLAP);
        COVER(msa_check_slice(&cover.s, 4096, cover_place(i)), MSA_E_OVERLAP);
    }
    cover_overlapping_prompts();
    cover_encoded();
    cover_wrong_masks();
}
#endif
#endif
