@ -- SPDX-License-Identifier: 0BSD
/* x ($(rows), $(C)) += lin2(gelu(lin1(norm(x))))$(adapter and " + scaled adapter(norm(x))" or ""); tokens $(ldc) apart. w is the layer's segment. */
void $(name)(const float *restrict w$(bank), float *restrict x, float *restrict scratch)
{
    float *const n = scratch + $(s.n), *const hidden = scratch + $(s.hidden), *const y = scratch + $(s.y);
    $(norm)(x, w + $(w.norm), n);
    $(lin1)(n, w + $(w.lin1), w + $(w.lin1_bias), hidden);
    $(lin2)(hidden, w + $(w.lin2), w + $(w.lin2_bias), y);
@ if adapter then
    $(fc1)(n, w + $(w.fc1), w + $(w.fc1_bias), scratch + $(s.narrow));
    $(fc2)(scratch + $(s.narrow), w + $(w.fc2), w + $(w.fc2_bias), scratch + $(s.a));
    $(add)(y, scratch + $(s.a), x);
@ else
    $(add)(y, x);
@ end
}

