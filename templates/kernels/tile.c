@ -- SPDX-License-Identifier: 0BSD
@ -- The inner loop of every matrix product: the sums of a tile stay in registers for `steps` steps of k. They start
@ -- from +0 or from what c holds, so that a sum over k may be cut into blocks, or begin with a relative position, and
@ -- stay one chain of fused multiply-adds in the order of k. The epilogue of the last block is the tile's own.
@ local per = 16 // W
@ local last = N // W - 1
@ local tall, wide = MR > 1, N > 16 -- of several rows of a, of several panels of b
@ -- base, `times` strides further, and `more`.
@ local function plus(base, times, stride, more)
@   if times > 0 then base = ("%s + %s%s"):format(base, times > 1 and times .. " * " or "", stride) end
@   return more and more > 0 and ("%s + %d"):format(base, more) or base
@ end
@ -- Where tiles are tall every third row has an address of its own: multiples of lda, which the compiler would hold
@ -- instead, do not fit its registers.
@ local apart = W == 16 and MR > 8
@ local function of_a(m)
@   if apart then return ("a_%d[%s]"):format(m // 3 * 3, plus("k", m % 3, "lda")) end
@   return ("a[%s]"):format(plus("k", m, "lda"))
@ end
@ local function in_a(m) return plus("k", m, "lda") end
@ local function in_b(v, lane) return plus(("b + k * %d"):format(ldb), v // per, "bps", lane * ldb + v % per * W) end
@ local function in_c(m, v) return plus("c", m, "ldc", v // per * cps + v % per * W) end
@ local sum = keep and "c + a b" or "a b"
@ if bias then sum = sum .. " + bias" end
@ if act ~= "none" then sum = ("%s(%s)"):format(act, sum) end
@ -- Where lanes of a multiply, W steps of k at once: a vector of b makes room for that of the next step as soon as all
@ -- rows have met it, so that cores that keep the order of instructions need not wait for loads. Where a load costs as
@ -- much beside multiply-adds as alone, and the turn to it more, as many rows of b come at once as the registers hold.
@ -- What is left is taken step by step.
@ -- The next panels' line of step k: `ahead` floats a step.
@ local function fetch_ahead(k)
        $(kernels:make("prefetch", "msa_prefetch", {}))(next + $(k)$(ahead > 1 and (" * %d"):format(ahead) or ""));
@ end
@ local held = kernels:held(MR, N // W)
@ local function load_b(lane, v)
        const msa_vec b$(lane)_$(v) = msa_load($(in_b(v, lane)));
@ end
@ local function by_lanes()
    for (size_t k = 0; k < $(rest and ("steps / %d * %d"):format(W, W) or "steps"); k += $(W)) {
@   for lane = 0, held - 1 do for v = 0, last do load_b(lane, v) end end
@   for m = 0, MR - 1 do
        const msa_vec a$(m) = msa_load(a + $(in_a(m)));
@   end
@   for lane = 0, ahead and W - 1 or -1, 16 // (ahead or 16) do fetch_ahead(("(k + %d)"):format(lane)) end
@   local fence = '__asm__ volatile("" : : : "memory");'
@   if held == W then
        $(fence) /* no instruction: loads stay above, multiply-adds below */
@   end
@   for lane = 0, W - 1 do for pair = 0, last, 2 do
@   local second = math.min(pair + 1, last)
@   for m = 0, MR - 1 do for v = pair, second do
        c$(m)_$(v) = msa_vfma_lane$(lane)(a$(m), b$(lane)_$(v), c$(m)_$(v));
@   end end
@   if held == 1 and lane < W - 1 then for v = pair, second do load_b(lane + 1, v) end end
@   end
@   if held > 1 and (lane + 1) % held == 0 and lane < W - 1 then
@     for ahead = lane + 1, lane + held do for v = 0, last do load_b(ahead, v) end end
@   end
@   end
@   if held == W then
        $(fence)
@   end
    }
@ end
@ local function step_by_step()
@   for m = 0, apart and MR - 1 or -1, 3 do
    const float *a_$(m) = $(plus("a", m, "lda"));
    __asm__("" : "+r"(a_$(m))); /* no instruction */
@   end
    for (size_t k = $(lanes and ("steps / %d * %d"):format(W, W) or "0"); k < steps; ++k) {
@   if ahead then fetch_ahead("k") end
@   for v = 0, last do
        const msa_vec b$(v) = msa_load($(in_b(v, 0)));
@   end
@   -- Scalars two rows ahead, so that cores that keep the order of instructions need not wait for them.
@   local scalar = kernels.isa.fma_scalar
@   local multiply = paired and "msa_vpairs" or scalar and "msa_vfma_scalar" or "msa_vfma"
@   for m = scalar and -2 or 0, MR - 1 do
@   if scalar and m + 2 < MR then
        const float a$(m + 2) = a[$(in_a(m + 2))];
@   elseif not scalar then
        const msa_vec a$(m) = msa_splat($(of_a(m)));
@   end
@   for v = 0, m < 0 and -1 or last do
        c$(m)_$(v) = $(multiply)(a$(m), b$(v), c$(m)_$(v));
@   end
@   end
    }
@ end
@ local activated = activation.in_registers and activation.vector
@ local function result(m, v)
@   local value = ("c%d_%d"):format(m, v)
@   if bias then value = ("msa_vadd(%s, bias%d)"):format(value, v) end
@   if activated then value = ("%s(%s)"):format(activated, value) end
@   if residual then value = ("msa_vadd(msa_load(%s), %s)"):format(in_c(m, v), value) end
@   return value
@ end
@ -- The results where vectors flush: held, and computed again where one was a subnormal.
@ local function store_checked()
@   local exact = kernels:make("exact_tile", "msa_exact_tile", {})
@   -- Held step by step, so that beside the sums there is one vector more at a time.
@   local steps = {}
@   if bias then steps[#steps + 1] = function(sum, v) return ("msa_vadd(%s, bias%d)"):format(sum, v) end end
@   if activated then steps[#steps + 1] = function(sum) return ("%s(%s)"):format(activated, sum) end end
@   if residual then
@     steps[#steps + 1] = function(sum, v, m) return ("msa_vadd(msa_load(%s), %s)"):format(in_c(m, v), sum) end
@   end
@   if #steps == 0 then steps[1] = function(sum) return sum end end
@   for _, step in ipairs(steps) do for m = 0, MR - 1 do for v = 0, last do
    c$(m)_$(v) = msa_hold($(step(("c%d_%d"):format(m, v), v, m)));
@   end end end
    if (msa_flushed()) {
@   local act = activation.exact or 0
        static const msa_tile_shape tile = { $(MR), $(N), $(ldb), $(cps), $(keep), $(residual), $(act) };
@   local lda, bps, ldc = tall and "lda" or "0", wide and "bps" or "0", tall and "ldc" or "0"
        $(exact)(&tile, a, b, $(bias and "bias" or "NULL"), c, steps, $(lda), $(bps), $(ldc));
    } else {
@   for m = 0, MR - 1 do for v = 0, last do
        msa_store($(in_c(m, v)), c$(m)_$(v));
@   end end
    }
@ end
@ local function store()
@   for m = 0, MR - 1 do for v = 0, last do
    msa_store($(in_c(m, v)), $(result(m, v)));
@   end end
@ end
@ -- An activation that takes more registers than a tile leaves.
@ local function activate_stored()
    for (size_t i = 0; i < $(MR); ++i) {
        float *const ci = c$(tall and " + i * ldc" or "");
@   local side = cps == 16 and N or math.min(N, 16)
@   for p = 0, N // side - 1 do
@     local to = p == 0 and "ci + j" or ("ci + %d + j"):format(p * cps)
        for (size_t j = 0; j < $(side); j += $(W)) {
            msa_store($(to), $(activation.vector)(msa_load($(to))));
        }
@   end
    }
@ end
@ local in_pairs = paired and ", in pairs" or ""
@ local about = { "rows", tall and (" are lda, %d and ldc apart"):format(ldb) or (" of b are %d apart"):format(ldb) }
@ if wide then about[3] = ", panels of b bps" end
@ if wide and cps ~= 16 then about[4] = (", of c %d"):format(cps) end
/* c ($(MR), $(N)) $(residual and "+=" or "=") $(sum), a ($(MR), steps), b (steps, $(N))$(in_pairs);
 * $(table.concat(about)). */
@ -- Where each row's address has a place of its own, which the loops around would take; and where tiles are so tall
@ -- that a copy at each call is much code.
@ if kernels.isa.fma_scalar or W == 16 then
__attribute__((noinline))
@ end
static void $(name)(const float *restrict a, const float *restrict b,
@ if bias then
    const float *restrict bias,
@ end
    float *restrict c, size_t steps
@ if tall then
    , size_t lda
@ end
@ if wide then
    , size_t bps
@ end
@ if tall then
    , size_t ldc
@ end
@ if ahead then
    , const float *next
@ end
    )
{
@ for m = 0, MR - 1 do for v = 0, last do
    msa_vec c$(m)_$(v) = $(keep and ("msa_load(%s)"):format(in_c(m, v)) or "msa_splat(0.0f)");
@ end end
@ if lanes then by_lanes() end
@ if rest then step_by_step() end
@ if bias then
@   for v = 0, last do
    const msa_vec bias$(v) = msa_load(bias + $(v * W));
@   end
@ end
@ if flushes then store_checked() else store() end
@ if not activation.in_registers then activate_stored() end
}

