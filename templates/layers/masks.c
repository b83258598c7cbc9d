@ -- SPDX-License-Identifier: 0BSD
/* logits ($(masks), $(4 * grid), $(4 * grid)) = hyper . gelu(up(gelu(norm(up(keys))))), $(block) tokens at a time. */
void $(name)(float *arena, const float *w$(bank_parameter)$(core_parameter))
{
@ if cores > 1 then
    static const uint32_t first[$(entries)] = $(shares(tokens // block, block));
@ end
    float *const scratch = $(own);
    float *const fine = scratch + $(s.fine), *const finest = scratch + $(s.finest), *const products = scratch + $(s.products);
    float *const logits = arena + $(at.logits);
    for (size_t t = $(from "first"); t < $(to("first", tokens)); t += $(block)) {
        const float *const keys = arena + $(at.keys) + t * $(lde);
@ for sub = 0, 3 do
        $(up1)(keys, w + $(w["up1_" .. sub]), w + $(w.up1__bias), fine + $(sub * ld1));
@ end
        $(norm)(fine, w + $(w.norm), fine);
        $(gelu)(fine);
@ for sub = 0, 3 do
        $(up2)(fine, w + $(w["up2_" .. sub]), w + $(w.up2__bias), finest + $(sub * ld2));
@ end
        $(product)(finest, arena + $(at.hyper), products);
        for (size_t i = 0; i < $(block); ++i) {
            const size_t y = (t + i) / $(grid) * 4, x = (t + i) % $(grid) * 4;
            for (size_t p = 0; p < 16; ++p) {
                const size_t row = y + p / 8 * 2 + p % 4 / 2, column = x + p / 4 % 2 * 2 + p % 2;
                for (size_t m = 0; m < $(masks); ++m) logits[(m * $(4 * grid) + row) * $(4 * grid) + column] = products[(i * 16 + p) * $(ldl) + m];
            }
        }
    }
}
