@ -- SPDX-License-Identifier: 0BSD
/* x ($(rows), $(C)) += y + lin2's bias$(adapter and " + scaled adapter(norm(x)), whose piece is w" or ""); tokens $(ldc) apart. `held` has norm and bias. */
void $(name)(const float *restrict held,$(adapter and " const float *restrict w," or "") float *restrict x, float *restrict y$(adapter and ", float *restrict scratch" or ""))
{
    $(bias)(held + $(p.lin2_bias), y);
@ if adapter then
    float *const n = scratch + $(s.n);
    $(norm)(x, held + $(p.norm), n);
    $(fc1)(n, w + $(p.fc1), w + $(p.fc1_bias), scratch + $(s.narrow));
    $(fc2)(scratch + $(s.narrow), w + $(p.fc2), w + $(p.fc2_bias), scratch + $(s.a));
    $(add)(y, scratch + $(s.a), x);
@ else
    $(add)(y, x);
@ end
}

