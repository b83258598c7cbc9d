@ -- SPDX-License-Identifier: 0BSD
/* x ($(rows), $(C)) += $(adapter and "adapted " or "")projection(o)$(depth and " + depth" or ""); tokens $(ldc) apart. w is the layer's segment. */
void $(name)(const float *restrict w$(bank), const float *restrict o,$(depth and " const float *restrict depth," or "") float *restrict x, float *restrict scratch)
{
@ if bank ~= "" then
    (void)bank; /* of what the banks differ in, nothing may be read here */
@ end
    float *const y = scratch + $(s.y);
    $(out)(o, w + $(w.proj),$(out_bias and (" w + %s,"):format(tostring(w.proj_bias)) or "") y);
@ local third = depth and " depth," or ""
@ if adapter then
    float *const a = scratch + $(s.a);
    $(down)(y, w + $(w.fc1), w + $(w.fc1_bias), scratch + $(s.hidden));
    $(up)(scratch + $(s.hidden), w + $(w.fc2), w + $(w.fc2_bias), a);
    $(add)(y, a,$(third) x);
@ else
    $(add)(y,$(third) x);
@ end
}

