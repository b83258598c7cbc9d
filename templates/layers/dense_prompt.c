@ -- SPDX-License-Identifier: 0BSD
/* keys ($(tokens), $(E)) = embedding + dense prompt: the mask prompt ($(4 * grid), $(4 * grid)) through mask_downscaling, or
 * no_mask_embed where mask is NULL. */
void $(name)(float *arena, const float *w$(bank_parameter), const float *embedding, const float *mask$(core_parameter))
{
@ if cores > 1 then
    static const uint32_t first[$(entries)] = $(shares(tokens // rows, rows));
@ end
    float *const scratch = $(own);
    for (size_t t = $(from "first"); t < $(to("first", tokens)); t += $(rows)) {
        float *const keys = arena + $(at.keys) + t * $(lde);
        if (mask == NULL) {
            $(sum_no_mask)(w + $(w.no_mask), embedding + t * $(lde), keys);
            continue;
        }
        float *const pixels = scratch + $(s.pixels), *const fine = scratch + $(s.fine), *const joined = scratch + $(s.joined), *const coarse = scratch + $(s.coarse), *const dense = scratch + $(s.dense);
        for (size_t i = 0; i < $(rows); ++i) {
            const size_t y = (t + i) / $(grid), x = (t + i) % $(grid);
            for (size_t sub = 0; sub < 4; ++sub) {
                const float *const corner = mask + (y * 4 + sub / 2 * 2) * $(4 * grid) + x * 4 + sub % 2 * 2;
                float *const p = pixels + (i * 4 + sub) * 16;
                p[0] = corner[0];
                p[1] = corner[1];
                p[2] = corner[$(4 * grid)];
                p[3] = corner[$(4 * grid + 1)];
            }
        }
        $(conv0)(pixels, w + $(w.conv0), w + $(w.conv0_bias), fine);
        $(norm1)(fine, w + $(w.norm1), fine);
        $(gelu1)(fine);
        for (size_t i = 0; i < $(rows); ++i) {
            for (size_t j = 0; j < $(4 * c1); ++j) joined[i * $(ldj) + j] = fine[(i * 4 + j / $(c1)) * $(ld1) + j % $(c1)];
        }
        $(conv3)(joined, w + $(w.conv3), w + $(w.conv3_bias), coarse);
        $(norm4)(coarse, w + $(w.norm4), coarse);
        $(gelu4)(coarse);
        $(conv6)(coarse, w + $(w.conv6), w + $(w.conv6_bias), dense);
        $(sum)(dense, embedding + t * $(lde), keys);
    }
}
