@ -- SPDX-License-Identifier: 0BSD
/* The memory plan and the runtime agree on the resizer's room. */
typedef char msa_resizer_fits[MSA_RESIZE_WORK_BYTES($(size)) <= $(resizer_bytes) ? 1 : -1];

/* x ($(slices * grid * grid), $(C)) = patches of the resized, normalised image, projected, + position. A row of patches at a time;
 * pixels beyond the image are 0 after normalisation. Returns MSA_OK or what is wrong with the image. */
msa_status $(name)(float *arena, const float *w$(bank_parameter), const msa_image *image$(core_parameter))
{
@ if cores > 1 then
    static const uint32_t first[$(entries)] = $(shares(grid));
@ end
    float *const scratch = $(own);
    float *const a = scratch + $(s.a), *const y = scratch + $(s.y), *const product = scratch + $(s.product);
    uint8_t *const row = (uint8_t *)(scratch + $(s.row));
    const float *const levels = w + $(w.levels);
    uint32_t width = $(size), height = $(size);
@ if longest then
    msa_resized_size(image->width, image->height, $(size), true, &width, &height);
@ end
    for (uint32_t slice = 0; slice < $(slices); ++slice) {
        msa_resizer resizer;
        const msa_status status = msa_resize_init(&resizer, image, slice, width, height, scratch + $(s.resizer), MSA_RESIZE_WORK_BYTES($(size)));
        if (status != MSA_OK) return status;
@ if cores > 1 then
        resizer.next = first[core] * $(patch);
@ end
        for (uint32_t gy = $(from "first"); gy < $(to("first", grid)); ++gy) {
            float *const x = arena + $(at.x) + (slice * $(grid) + gy) * (size_t)$(grid * ldc);
            for (uint32_t py = 0; py < $(patch); ++py) {
                const bool inside = gy * $(patch) + py < height;
                if (inside) msa_resize_row(&resizer, row);
                for (uint32_t i = 0; i < $(size); ++i) {
                    float *const to = a + i / $(patch) * $(lda) + py * $(patch) + i % $(patch);
                    for (uint32_t c = 0; c < 3; ++c) to[c * $(patch * patch)] = inside && i < width ? levels[c * 256 + row[i * 3 + c]] : 0.0f;
                }
            }
            $(first)(a, w + $(w.proj),$(bias and (" w + %s,"):format(tostring(w.proj_bias)) or "") y);
            for (size_t c = 1; c < 3; ++c) {
                $(other)(a + c * $(patch * patch), w + $(w.proj) + c * $(patch * patch * 16), product);
                $(add)(product, y);
            }
            $(sum)(y, w + $(w.position) + gy * (size_t)$(grid * ldc), x);
        }
    }
    return MSA_OK;
}
