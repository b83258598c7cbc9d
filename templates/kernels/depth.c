@ -- SPDX-License-Identifier: 0BSD
/* depth ($(slices * grid * grid), $(C)) = adapter(projection(attention(norm(x)))) on sequences of $(length) tokens, laid out as $(dh) x $(dw): at each place
 * of a $(side) x $(side) window, runs of consecutive entries, an entry being one of the $(windows * windows) windows of one of the $(slices) slices, slices first.
 * Tokens $(ldc) apart. w is the layer's segment. A unit is a run at $(places) places; those from `first` on, before `last`. */
void $(name)(const float *restrict w$(bank), const float *restrict x, float *restrict depth, float *restrict scratch, size_t first, size_t last)
{
@ if bank ~= "" then
    (void)bank; /* of what the banks differ in, nothing may be read here */
@ end
    float *const n = scratch + $(s.n), *const o = scratch + $(s.o), *const q = scratch + $(s.q), *const k = scratch + $(s.k), *const v = scratch + $(s.v);
    float *const kp = scratch + $(s.kp), *const vp = scratch + $(s.vp);
@ local function each(body)
        for (size_t p = 0; p < $(places); ++p) {
            for (size_t i = 0; i < $(length); ++i) {
                const size_t entry = run * $(length) + i, slice = entry / $(windows * windows), window = entry % $(windows * windows);
                const size_t y = window / $(windows) * $(side) + place / $(side), c = window % $(windows) * $(side) + place % $(side) + p;
                const size_t token = (slice * $(grid) + y) * $(grid) + c;
@ body()
            }
        }
@ end
    for (size_t unit = first; unit < last; ++unit) {
        const size_t run = unit / $(groups), place = unit % $(groups) * $(places);
@ each(function()
@   if padded then
                if (y < $(grid) && c < $(grid)) $(norm)(x + token * $(ldc), w + $(w.norm), n + (p * $(length) + i) * $(ldc));
                else memcpy(n + (p * $(length) + i) * $(ldc), w + $(w.depth_pad), $(C) * sizeof(float));
@   else
                $(norm)(x + token * $(ldc), w + $(w.norm), n + (p * $(length) + i) * $(ldc));
@   end
@ end)
        for (size_t h = 0; h < $(heads); ++h) {
            $(project)(n, w + $(w.q0) + h * $(w.q1 and w.q1 - w.q0 or 0), w + $(w.q_bias) + h * $(dpad), q);
            $(project)(n, w + $(w.k0) + h * $(w.q1 and w.q1 - w.q0 or 0), w + $(w.k_bias) + h * $(dpad), k);
            $(project)(n, w + $(w.v0) + h * $(w.q1 and w.q1 - w.q0 or 0), w + $(w.v_bias) + h * $(dpad), v);
@ if not has_rel then
            $(scale)(q);
@ end
            for (size_t p = 0; p < $(places); ++p) {
                float *const qp = q + p * $(length * dpad);
                $(place)(0, k + p * $(length * dpad), v + p * $(length * dpad), kp, vp);
@ if has_rel then
                float *const rh = scratch + $(s.rh), *const rw = scratch + $(s.rw);
                for (size_t r = 0; r < $(dh); ++r) $(rel_row)(qp + r * $(dw * dpad), w + $(w.depth_rel_h + dh - 1) - r, rh + r * $(dw * ldr));
                for (size_t c = 0; c < $(dw); ++c) $(rel_column)(qp + c * $(dpad), w + $(w.depth_rel_w + dw - 1) - c, rw + c * $(ldr));
                $(scale)(qp);
@ end
                $(attend)(qp, kp, vp,$(has_rel and " rh, rw," or "") scratch + $(s.logits), scratch + $(s.acc), scratch + $(s.stat), o + p * $(length * ldc) + h * $(d));
            }
        }
        $(out)(o, w + $(w.proj),$(out_bias and (" w + %s,"):format(tostring(w.proj_bias)) or "") scratch + $(s.y));
        $(down)(scratch + $(s.y), w + $(w.depth_fc1), w + $(w.depth_fc1_bias), scratch + $(s.hidden));
        $(up)(scratch + $(s.hidden), w + $(w.depth_fc2), w + $(w.depth_fc2_bias), n);
@ each(function()
                $(padded and ("if (y < %d && c < %d) "):format(grid, grid) or "")memcpy(depth + token * $(ldc), n + (p * $(length) + i) * $(ldc), $(C) * sizeof(float));
@ end)
    }
}

