@ -- SPDX-License-Identifier: 0BSD
@ local function cite(what) if height == side and width == side then return what end return what .. ", of which the first " .. height .. " rows and " .. width .. " columns are tokens and the rest padding" end
@ local held = group and "held" or "w"
@ local function norms(first, count, to, pad)
$(pad)for (size_t r = 0; r < $(count); ++r) $(norm)(x + ($(first) + r) * $(grid * ldc), $(held) + $(w.norm), $(to) + r * $(width * ldc));
@ end
@ local step = w.q1 and w.q1 - w.q0 or 0
@ local h = group and ("h %% %d"):format(group) or "h"
@ local n = kept and ("n + y * %d"):format(width * ldc) or "n"
/* Attention within $(cite(side .. " x " .. side .. " positions")): o = attention(norm(x)) for the heads from `head` on, before `end`.
 * x and o are the first token and its result, tokens $(ldc) apart, rows of $(grid). Heads are $(d) wide. $(group and ("w is the piece of %d heads, `held` has all else."):format(group) or "w is the layer's segment.") */
void $(name)($(group and "const float *restrict held, " or "")const float *restrict w$(bank), const float *restrict x, float *restrict o, size_t head, size_t end, float *restrict scratch)
{
@ if bank ~= "" then
    (void)bank; /* of what the banks differ in, nothing may be read here */
@ end
    float *const n = scratch + $(s.n), *const kp = scratch + $(s.kp), *const vp = scratch + $(s.vp);
    float *const q = scratch + $(s.q), *const v = scratch + $(s.v);
@ if kept then
@   norms("0", height, "n", "    ")
@ end
    for (size_t h = head; h < end; ++h) {
        for (size_t y = 0; y < $(height); y += $(qr)) {
@ if not kept then
@   norms("y", qr, "n", "            ")
@ end
            $(project)($(n), w + $(w.k0) + $(h) * $(step), $(held) + $(w.k_bias) + h * $(dpad), q);
            $(project)($(n), w + $(w.v0) + $(h) * $(step), $(held) + $(w.v_bias) + h * $(dpad), v);
            $(place)(y * $(width), q, v, kp, vp);
        }
        for (size_t y = 0; y < $(height); y += $(qr)) {
@ if not kept and qr < height then
@   norms("y", qr, "n", "            ")
@ end
            $(project)($(n), w + $(w.q0) + $(h) * $(step), $(held) + $(w.q_bias) + h * $(dpad), q);
@ if has_rel then
            float *const rh = scratch + $(s.rh), *const rw = scratch + $(s.rw);
            for (size_t r = 0; r < $(qr); ++r) $(rel_row)(q + r * $(width * ldq), $(held) + $(w.rel_h + side - 1) - (y + r), rh + r * $(width * ldr));
            for (size_t c = 0; c < $(width); ++c) $(rel_column)(q + c * $(ldq), $(held) + $(w.rel_w + side - 1) - c, rw + c * $(ldr));
@ end
            $(scale)(q);
            $(attend)(q, kp, vp,$(has_rel and " rh, rw," or "")$(pads and (" %s + %s + h * %d, %s + %s + h * %d,"):format(held, tostring(w.k_pad), dpad, held, tostring(w.v_pad), dpad) or "") scratch + $(s.logits), scratch + $(s.acc), scratch + $(s.stat), o + y * $(grid * ldc) + h * $(d));
        }
    }
}

