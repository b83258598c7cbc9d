@ -- SPDX-License-Identifier: 0BSD
@ -- The inner loop of every matrix product: the sums of a tile stay in registers for K steps of k. They start from +0 or from
@ -- what c holds, so that a sum over k may be cut into blocks, or begin with a relative position, and stay one chain of fused
@ -- multiply-adds in the order of k. The epilogue of the last block is the tile's own.
@ local per = 16 // W
@ local last = N // W - 1
@ local function at(v, panel) return v // per * panel + v % per * W end
@ local sum = starts and "c + a b" or "a b"
@ if bias then sum = sum .. " + bias" end
@ if act ~= "none" then sum = ("%s(%s)"):format(act, sum) end
/* c ($(MR), $(N)) $(residual and "+=" or "=") $(sum), a ($(MR), $(K)), b ($(K), $(N)). Rows of a are $(lda) apart; rows of b $(ldb), panels
 * $(bps); rows of c $(ldc), panels $(cps). */
static void $(name)(const float *restrict a, const float *restrict b,$(bias and " const float *restrict bias," or "") float *restrict c)
{
@ for m = 0, MR - 1 do for v = 0, last do
    msa_vec c$(m)_$(v) = $(starts and ("msa_load(c + %d)"):format(m * ldc + at(v, cps)) or "msa_splat(0.0f)");
@ end end
@ -- Where lanes of a multiply, W steps of k at once: a vector of b makes room for that of the next step as soon as all rows have met it, so that
@ -- cores that keep the order of instructions need not wait for loads. Where a load costs as much beside multiply-adds as alone, and the turn to it more, as many
@ -- rows of b come at once as the registers hold. What is left is taken step by step.
@ local grouped, held = kernels.isa.fma_lane and K // W * W or 0, kernels:held(MR, N // W)
@ local function load_b(lane, v)
        const msa_vec b$(lane)_$(v) = msa_load(b + k * $(ldb) + $(lane * ldb + at(v, bps)));
@ end
@ if grouped > 0 then
    for (size_t k = 0; k < $(grouped); k += $(W)) {
@ for lane = 0, held - 1 do for v = 0, last do load_b(lane, v) end end
@ for m = 0, MR - 1 do
        const msa_vec a$(m) = msa_load(a + k + $(m * lda));
@ end
@ local fence = '__asm__ volatile("" : : : "memory");'
@ if held == W then
        $(fence) /* no instruction: loads stay above, multiply-adds below */
@ end
@ for lane = 0, W - 1 do for pair = 0, last, 2 do
@ local second = math.min(pair + 1, last)
@ for m = 0, MR - 1 do for v = pair, second do
        c$(m)_$(v) = msa_vfma_lane$(lane)(a$(m), b$(lane)_$(v), c$(m)_$(v));
@ end end
@ if held == 1 and lane < W - 1 then for v = pair, second do load_b(lane + 1, v) end end
@ end
@ if held > 1 and (lane + 1) % held == 0 and lane < W - 1 then for ahead = lane + 1, lane + held do for v = 0, last do load_b(ahead, v) end end end
@ end
@ if held == W then
        $(fence)
@ end
    }
@ end
@ if grouped < K then
    for (size_t k = $(grouped); k < $(K); ++k) {
@ for v = 0, last do
        const msa_vec b$(v) = msa_load(b + k * $(ldb) + $(at(v, bps)));
@ end
@ -- Scalars two rows ahead, so that cores that keep the order of instructions need not wait for them.
@ local scalar = kernels.isa.fma_scalar
@ for m = scalar and -2 or 0, MR - 1 do
@ if scalar and m + 2 < MR then
        const float a$(m + 2) = a[k + $((m + 2) * lda)];
@ elseif not scalar then
        const msa_vec a$(m) = msa_splat(a[k + $(m * lda)]);
@ end
@ for v = 0, m < 0 and -1 or last do
        c$(m)_$(v) = $(scalar and "msa_vfma_scalar" or "msa_vfma")(a$(m), b$(v), c$(m)_$(v));
@ end
@ end
    }
@ end
@ if bias then
@   for v = 0, last do
    const msa_vec bias$(v) = msa_load(bias + $(v * W));
@   end
@ end
@ local activated = activation.in_registers and activation.vector
@ local function result(m, v)
@   local value = ("c%d_%d"):format(m, v)
@   if bias then value = ("msa_vadd(%s, bias%d)"):format(value, v) end
@   if activated then value = ("%s(%s)"):format(activated, value) end
@   if residual then value = ("msa_vadd(msa_load(c + %d), %s)"):format(m * ldc + at(v, cps), value) end
@   return value
@ end
@ if flushes then
@   local exact = kernels:make("exact_tile", "msa_exact_tile", {})
@   -- Held step by step, so that beside the sums there is one vector more at a time.
@   local steps = {}
@   if bias then steps[#steps + 1] = function(sum, v) return ("msa_vadd(%s, bias%d)"):format(sum, v) end end
@   if activated then steps[#steps + 1] = function(sum) return ("%s(%s)"):format(activated, sum) end end
@   if residual then steps[#steps + 1] = function(sum, v, m) return ("msa_vadd(msa_load(c + %d), %s)"):format(m * ldc + at(v, cps), sum) end end
@   if #steps == 0 then steps[1] = function(sum) return sum end end
@   for _, step in ipairs(steps) do for m = 0, MR - 1 do for v = 0, last do
    c$(m)_$(v) = msa_hold($(step(("c%d_%d"):format(m, v), v, m)));
@   end end end
    if (msa_flushed()) {
        static const msa_tile_shape tile = { $(MR), $(N), $(K), $(lda), $(ldb), $(bps), $(ldc), $(cps), $(starts), $(residual), $(activation.exact or 0) };
        $(exact)(a, b, $(bias and "bias" or "NULL"), c, &tile);
    } else {
@   for m = 0, MR - 1 do for v = 0, last do
        msa_store(c + $(m * ldc + at(v, cps)), c$(m)_$(v));
@   end end
    }
@ else
@   for m = 0, MR - 1 do for v = 0, last do
    msa_store(c + $(m * ldc + at(v, cps)), $(result(m, v)));
@   end end
@ end
@ if not activation.in_registers then
    for (size_t i = 0; i < $(MR); ++i) {
@   local side = cps == 16 and N or math.min(N, 16)
@   for p = 0, N // side - 1 do
        for (size_t j = 0; j < $(side); j += $(W)) msa_store(c + i * $(ldc) + $(p * cps) + j, $(activation.vector)(msa_load(c + i * $(ldc) + $(p * cps) + j)));
@   end
    }
@ end
}

