@ -- SPDX-License-Identifier: 0BSD
@ local function cite(what) if height == side and width == side then return what end return what .. ", of which the first " .. height .. " rows and " .. width .. " columns are tokens and the rest padding" end
/* Attention within $(cite(side .. " x " .. side .. " positions")): x += $(adapter and "adapted " or "")projection(attention(norm(x)))$(depth and " + depth" or "").
 * x is the first token, tokens $(ldc) apart, rows of $(grid). $(heads) heads of $(d). w is the layer's segment. */
void $(name)(const float *restrict w$(bank), float *restrict x,$(depth and " const float *restrict depth," or "") float *restrict scratch)
{
    float *const n = scratch + $(s.n), *const o = scratch + $(s.o), *const kp = scratch + $(s.kp), *const vp = scratch + $(s.vp);
    float *const q = scratch + $(s.q), *const v = scratch + $(s.v);
    for (size_t y = 0; y < $(height); ++y) $(norm)(x + y * $(grid * ldc), w + $(w.norm), n + y * $(width * ldc));
    for (size_t h = 0; h < $(heads); ++h) {
        for (size_t y = 0; y < $(height); y += $(qr)) {
            $(project)(n + y * $(width * ldc), w + $(w.k0) + h * $(w.q1 and w.q1 - w.q0 or 0), w + $(w.k_bias) + h * $(dpad), q);
            $(project)(n + y * $(width * ldc), w + $(w.v0) + h * $(w.q1 and w.q1 - w.q0 or 0), w + $(w.v_bias) + h * $(dpad), v);
            $(place)(y * $(width), q, v, kp, vp);
        }
        for (size_t y = 0; y < $(height); y += $(qr)) {
            $(project)(n + y * $(width * ldc), w + $(w.q0) + h * $(w.q1 and w.q1 - w.q0 or 0), w + $(w.q_bias) + h * $(dpad), q);
@ if has_rel then
            float *const rh = scratch + $(s.rh), *const rw = scratch + $(s.rw);
            for (size_t r = 0; r < $(qr); ++r) $(rel_row)(q + r * $(width * ldq), w + $(w.rel_h + side - 1) - (y + r), rh + r * $(width * ldr));
            for (size_t c = 0; c < $(width); ++c) $(rel_column)(q + c * $(ldq), w + $(w.rel_w + side - 1) - c, rw + c * $(ldr));
@ end
            $(scale)(q);
            $(attend)(q, kp, vp,$(has_rel and " rh, rw," or "")$(pads and (" w + %d + h * %d, w + %d + h * %d,"):format(w.k_pad, dpad, w.v_pad, dpad) or "") scratch + $(s.logits), scratch + $(s.acc), scratch + $(s.stat), o + y * $(width * ldc) + h * $(d));
        }
    }
@ local along = depth and (" depth + (y + r) * %d,"):format(grid * ldc) or ""
    for (size_t y = 0; y < $(height); y += $(qr)) {
        float *const p = scratch + $(s.y);
        $(out)(o + y * $(width * ldc), w + $(w.proj),$(out_bias and (" w + %d,"):format(w.proj_bias) or "") p);
@ if adapter then
        float *const a = scratch + $(s.a);
        $(down)(p, w + $(w.fc1), w + $(w.fc1_bias), scratch + $(s.hidden));
        $(up)(scratch + $(s.hidden), w + $(w.fc2), w + $(w.fc2_bias), a);
        for (size_t r = 0; r < $(qr); ++r) $(add)(p + r * $(width * ldc), a + r * $(width * ldc),$(along) x + (y + r) * $(grid * ldc));
@ else
        for (size_t r = 0; r < $(qr); ++r) $(add)(p + r * $(width * ldc),$(along) x + (y + r) * $(grid * ldc));
@ end
    }
}

