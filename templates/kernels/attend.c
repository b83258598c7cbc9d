@ -- SPDX-License-Identifier: 0BSD
@ -- One query tile against all keys of a head, a tile of keys at a time: the running maximum and sum of Milakov and
@ -- Gimelshein 2018, so that no row of logits is ever whole.
@ -- Rows of logits are filled a whole vector at a time: what is too much is overwritten by the next row. Not more than
@ -- that: gcc 12 at -O2 turns the order of overlapping scalar stores around.
@ local function whole(n) return (n + W - 1) // W * W end
@ local pads = pad and pad.side * pad.side - keys or 0
@ local function call(kernel, ...)
    $(kernels:call(kernel, ...));
@ end
@ local function count_from(t)
@   if keys <= tile then return "count" end
@   local first = t == "t" and "t * " .. tile or tostring(t * tile)
@   return ("count > %s ? count - %s : 0"):format(first, first)
@ end
@ -- A tile's logits begin as the sums of their relative positions.
@ local function relative(t, keys_here)
    for (size_t i = 0; i < $(M); ++i) {
        for (size_t y = 0; y < $(keys_here // rel.n); ++y) {
            const msa_vec row = msa_splat(rh[i * $(rel.ld) + $(t) * $(tile // rel.n) + y]);
            for (size_t x = 0; x < $(whole(rel.n)); x += $(W)) {
                msa_store(s + i * $(lds) + y * $(rel.n) + x, msa_vadd(row, msa_load(rw + i * $(rel.ld) + x)));
            }
        }
    }
@ end
@ -- Logits of a tile of keys, then their weights.
@ local function one(t, keys_here)
@   if rel then relative(t, keys_here) end
@   local init, at = rel and "keep" or "zero", ("kp + %s * %d"):format(t, padded_tile * d)
@   call(kernels:gemm { M = M, N = keys_here, K = d, lda = ldq, ldc = lds, init = init }, "q", at, "s")
@   local softmax = kernels:softmax { rows = M, cols = keys_here, ld = lds, counted = counted }
@   call(softmax, "s", "m", "l", "alpha", counted and count_from(t) or nil)
@ end
@ local function rescale()
    for (size_t i = 0; i < $(M); ++i) {
        const msa_vec by = msa_splat(alpha[i]);
        for (size_t j = 0; j < $(dpad); j += $(W)) {
            msa_store(o + i * $(dpad) + j, msa_vmul(msa_load(o + i * $(dpad) + j), by));
        }
    }
@ end
@ local function product(t, keys_here, init)
@   local gemm = { M = M, N = dpad, K = keys_here, lda = lds, bps = keys_here * 16, ldc = dpad, init = init }
@   call(kernels:gemm(gemm), "s", ("vp + %s * %d"):format(t, tile * dpad), "o")
@ end
@ -- `to`, of a query's logits of padding: those of `rows` rows of `columns` places, from fields rhi and rwi on.
@ local function padding(to, rows, columns, rhi, rwi)
        for (size_t y = 0; y < $(rows); ++y) {
            const msa_vec row = msa_splat($(rhi));
            for (size_t x = 0; x < $(whole(columns)); x += $(W)) {
                msa_store($(to) + y * $(columns) + x, msa_vadd(msa_vadd(row, msa_load($(rwi) + x)), same));
            }
        }
@ end
@ -- A window's padding, as one key.
@ local function padded()
@   local right, below = pad.side - pad.width, pad.side - pad.height
    float *const weight = stat + $(3 * M);
    for (size_t i = 0; i < $(M); ++i) {
        float *const si = s + i * $(lds);
        float dot = 0.0f;
        for (size_t c = 0; c < $(d); ++c) dot = msa_fma(q[i * $(ldq) + c], k_pad[c], dot);
        const msa_vec same = msa_splat(dot);
@   if rel then
        const float *const rhi = rh + i * $(rel.ld), *const rwi = rw + i * $(rel.ld);
@     if right > 0 then padding("si", pad.height, right, "rhi[y]", "rwi + " .. pad.width) end
@     if below > 0 then
@       padding("si + " .. pad.height * right, below, pad.side, ("rhi[%d + y]"):format(pad.height), "rwi")
@     end
@   else
        for (size_t x = 0; x < $(whole(pads)); x += $(W)) msa_store(si + x, same);
@   end
        weight[i] = 0.0f;
    }
@   call(kernels:softmax { rows = M, cols = pads, ld = lds }, "s", "m", "weight", "alpha")
    for (size_t i = 0; i < $(M); ++i) {
        const msa_vec by = msa_splat(alpha[i]), all = msa_splat(weight[i]);
        l[i] = msa_fma(l[i], alpha[i], weight[i]);
        for (size_t j = 0; j < $(dpad); j += $(W)) {
            msa_store(o + i * $(dpad) + j, msa_vfma(all, msa_load(v_pad + j),
                msa_vmul(msa_load(o + i * $(dpad) + j), by)));
        }
    }
@ end
@ -- A query's result, divided by the sum of its weights.
@ local some = kernels.isa.load_some
@ local function divided()
@   local first, left = d // W * W, d % W
@   if first > 0 or some then
        const msa_vec by = msa_splat(l[i]);
@   end
@   if first > 0 then
        for (size_t j = 0; j < $(first); j += $(W)) msa_store(to + j, msa_vdiv(msa_load(o + i * $(dpad) + j), by));
@   end
@   if left ~= 0 and some then
        msa_store_some(to + $(first), msa_vdiv(msa_load(o + i * $(dpad) + $(first)), by), $(left));
@   elseif left ~= 0 then
        for (size_t j = $(first); j < $(d); ++j) to[j] = o[i * $(dpad) + j] / l[i];
@   end
@ end
@ local full, rest = keys // tile, keys % tile
@ local every = out_row and (", %d of them every %d"):format(out_row.n, out_row.ld) or ""
/* out ($(M), $(d)) = softmax(q k^T$(rel and " + r" or "")) v over $(keys) keys, tile by tile of $(tile).
 * Rows of out lie $(ldo) apart$(every).
 * q ($(M), $(d)), rows $(ldq) apart, is already scaled.
@ if rel then
 * r = rh[key row] + rw[key column], a grid of $(rel.n) x $(rel.n) keys.
@ end
@ if counted then
 * Keys from `count` on do not count.
@ end
@ if pads > 0 then
 * Of the window's $(pad.side) x $(pad.side) places $(pads) are padding: one key and one value for all of them, so the
 * value enters once, weighted by their sum.
@ end
 * s, o and stat are scratch: $(M * lds), $(M * dpad) and $(4 * M) floats. $(2 * M * keys * d) multiply-adds. */
void $(name)(const float *restrict q, const float *restrict kp, const float *restrict vp,
@ if rel then
    const float *restrict rh, const float *restrict rw,
@ end
@ if pads > 0 then
    const float *restrict k_pad, const float *restrict v_pad,
@ end
    float *restrict s, float *restrict o, float *restrict stat, float *restrict out
@ if counted then
    , size_t count
@ end
    )
{
    float *m = stat, *l = stat + $(M), *alpha = stat + $(2 * M);
    for (size_t i = 0; i < $(M); ++i) {
        m[i] = -FLT_MAX;
        l[i] = 0.0f;
    }
@ one(0, math.min(tile, keys))
@ product(0, math.min(tile, keys), "zero")
@ if full > 1 then
    for (size_t t = 1; t < $(full); ++t) {
@   one("t", tile)
@   rescale()
@   product("t", tile, "keep")
    }
@ end
@ if full > 0 and rest > 0 then
@   one(full, rest)
@   rescale()
@   product(full, rest, "keep")
@ end
@ if pads > 0 then padded() end
    for (size_t i = 0; i < $(M); ++i) {
@ if out_row then
        float *const to = out + i / $(out_row.n) * $(out_row.ld) + i % $(out_row.n) * $(ldo);
@ else
        float *const to = out + i * $(ldo);
@ end
@ divided()
    }
}

