@ -- SPDX-License-Identifier: 0BSD
/* y ($(rows), $(C)) += gelu(norm(x) lin1 + bias) lin2 for $(width) of $(hidden) hidden columns; tokens $(ldc) apart. `held` has the layer's norm, w is the columns' piece. */
void $(name)(const float *restrict held, const float *restrict w, const float *restrict x, float *restrict y, float *restrict scratch)
{
    float *const n = scratch + $(s.n), *const hidden = scratch + $(s.hidden);
    $(norm)(x, held + $(p.norm), n);
    $(lin1)(n, w + $(p.lin1), w + $(p.lin1_bias), hidden);
    $(lin2)(hidden, w + $(p.lin2), y);
}

