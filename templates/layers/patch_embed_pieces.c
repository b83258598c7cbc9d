@ -- SPDX-License-Identifier: 0BSD
/* The memory plan and the runtime agree on the resizer's room. */
typedef char msa_resizer_fits[MSA_RESIZE_WORK_BYTES($(size)) <= $(resizer_bytes) ? 1 : -1];

/* x ($(slices * grid * grid), $(C)) = patches of the resized, normalised image, projected, + position: $(columns) columns of the projection at a time, for which the
 * image is resized anew; then positions, $(at_once) rows of the grid at a time. Pixels beyond the image are 0 after normalisation.
 * Returns MSA_OK, what is wrong with the image, or MSA_E_FETCH if weights did not come. */
msa_status $(name)(float *arena, msa_stream *stream, const msa_image *image$(core_parameter))
{
@ if cores > 1 then
    static const uint32_t first[$(entries)] = $(shares(grid));
@ end
    float *const scratch = $(own);
    float *const a = scratch + $(s.a), *const product = scratch + $(s.product);
    uint8_t *const row = (uint8_t *)(scratch + $(s.row));
    const float *w = msa_stream_next(stream);
    if (w == NULL) return MSA_E_FETCH;
    const float *const held = msa_stream_next(stream);
    if (held == NULL) return MSA_E_FETCH;
    const float *const levels = held + $(w.levels);
    uint32_t width = $(size), height = $(size);
@ if longest then
    msa_resized_size(image->width, image->height, $(size), true, &width, &height);
@ end
    for (size_t column = 0; column < $(C); column += $(columns)) {
        if (column > 0) w = msa_stream_next(stream);
        if (w == NULL) return MSA_E_FETCH;
        for (uint32_t slice = 0; slice < $(slices); ++slice) {
            msa_resizer resizer;
            const msa_status status = msa_resize_init(&resizer, image, slice, width, height, scratch + $(s.resizer), MSA_RESIZE_WORK_BYTES($(size)));
            if (status != MSA_OK) return status;
@ if cores > 1 then
            resizer.next = first[core] * $(patch);
@ end
            for (uint32_t gy = $(from "first"); gy < $(to("first", grid)); ++gy) {
                float *const x = arena + $(at.x) + (slice * $(grid) + gy) * (size_t)$(grid * ldc) + column;
                for (uint32_t py = 0; py < $(patch); ++py) {
                    const bool inside = gy * $(patch) + py < height;
                    if (inside) msa_resize_row(&resizer, row);
                    for (uint32_t i = 0; i < $(size); ++i) {
                        float *const to = a + i / $(patch) * $(lda) + py * $(patch) + i % $(patch);
                        for (uint32_t c = 0; c < 3; ++c) to[c * $(patch * patch)] = inside && i < width ? levels[c * 256 + row[i * 3 + c]] : 0.0f;
                    }
                }
                $(first)(a, w,$(bias and (" held + %d + column,"):format(w.proj_bias) or "") x);
                for (size_t c = 1; c < 3; ++c) {
                    $(other)(a + c * $(patch * patch), w + c * $(patch * patch * 16), product);
                    $(add)(product, x);
                }
            }
        }
    }
    for (size_t top = 0; top < $(grid); top += $(at_once)) {
        const float *const position = msa_stream_next(stream);
        if (position == NULL) return MSA_E_FETCH;
        for (size_t slice = 0; slice < $(slices); ++slice) {
            for (size_t gy = $(from "first"); gy < $(to("first", grid)); ++gy) {
                if (gy >= top && gy - top < $(at_once)) $(add_position)(position + (gy - top) * $(grid * ldc), arena + $(at.x) + (slice * $(grid) + gy) * $(grid * ldc));
            }
        }
    }
    return MSA_OK;
}
