@ -- SPDX-License-Identifier: 0BSD
@ local how, longest = resampling, model.resize == "longest" and "true" or "false"
@ local colour = model.normalise.reversed and "2u - c" or "c"
@ if how.type then
/* The layout of memory and the runtime agree on the resizer's room. */
typedef char msa_resizer_fits[$(how.macro)($(model.image_size)) <= $(image_work.resizing) ? 1 : -1];

@ end
/* A line of the square, in the rows of its patches: bytes by levels, or as they are, and 0 behind them. */
@ if how.type then
static void put_line(float *to, uint32_t slice, uint32_t line, uint32_t width, const uint8_t *row,
                     const float *levels)
@ else
static void put_line(float *to, uint32_t slice, uint32_t line, uint32_t width, const float *row)
@ end
{
    for (uint32_t x = 0; x < MSA_TRAIN_INPUT_SIZE; ++x) {
        const size_t place = slice * PLACES + line / PATCH * (size_t)MSA_TRAIN_GRID + x / PATCH;
        for (uint32_t c = 0; c < 3u; ++c) {
            float *const pixel = to + (c * PLACES * MSA_TRAIN_DEPTH + place) * PATCH_STRIDE + line % PATCH * PATCH
                + x % PATCH;
@ if how.type then
            *pixel = x < width ? levels[c * 256u + row[x * 3u + $(colour)]] : 0.0f;
@ else
            *pixel = x < width ? row[x * 3u + c] : 0.0f;
@ end
        }
    }
}

/* The pixels of an image's patches: a row a patch, one colour below the other. */
static msa_status put_patches(const msa_train *s, const msa_image *image, float *to)
{
@ if levels_at then
    const float *const levels = (const float *)(const void *)s->session.weights + $(levels_at);
@ else
    float *const levels = floats(s, MSA_AT_IMAGE_WORK);
@ end
@ if how.type then
    uint8_t *const row = (uint8_t *)(void *)floats(s, MSA_AT_IMAGE_WORK + $(image_work.row));
    void *const work = floats(s, MSA_AT_IMAGE_WORK + $(image_work.resizer));
    uint32_t width, height;
    msa_resized_size(image->width, image->height, MSA_TRAIN_INPUT_SIZE, $(longest), &width, &height);
@ else
    float *const row = floats(s, MSA_AT_IMAGE_WORK + $(image_work.row));
@ end
    for (uint32_t slice = 0; slice < MSA_TRAIN_DEPTH; ++slice) {
@ if how.type then
        $(how.type) resizer;
        const msa_status status = $(how.calls)_init(&resizer, image, slice, width, height, work,
            $(how.macro)(MSA_TRAIN_INPUT_SIZE));
        if (status != MSA_OK) {
            return status;
        }
@   if not levels_at then
        msa_range range = {255, 0};
        for (uint32_t line = 0; line < height; ++line) {
            $(how.calls)_row(&resizer, row);
            msa_range_add(&range, row, (size_t)width * 3u);
        }
        msa_range_levels(&range, levels);
        resizer.next = 0;
@   end
        for (uint32_t line = 0; line < MSA_TRAIN_INPUT_SIZE; ++line) {
            if (line < height) {
                $(how.calls)_row(&resizer, row);
            }
            put_line(to, slice, line, line < height ? width : 0u, row, levels);
        }
@ else
        for (uint32_t line = 0; line < MSA_TRAIN_INPUT_SIZE; ++line) {
            msa_sample_row(image, slice, MSA_TRAIN_INPUT_SIZE, line, levels, row);
            put_line(to, slice, line, MSA_TRAIN_INPUT_SIZE, row);
        }
@ end
    }
    return MSA_OK;
}

