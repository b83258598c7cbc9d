@ -- SPDX-License-Identifier: 0BSD
@ local per = 16 // W
@ local full = C // 16
@ -- What is found of a row, mean and 1 / deviation, may be kept and given again.
@ local finds, applies = moments ~= "given", moments ~= "kept"
@ local tail = C % 16
@ local const = flushes and "" or "const "
@ -- A tail of whole vectors, and of one in part, where the instruction set has those.
@ local some = tail > 0 and kernels.isa.load_some
@ local function length(v) return math.min(tail - v * W, W) end
@ -- Places of the tail's vector v in x and y, and of its gamma and beta in w.
@ local function place(p, v, more) return ("%s + %d"):format(p, (more or 0) + full * 16 + v * W) end
@ local function load(p, v)
@   if length(v) == W then return ("msa_load(%s)"):format(place(p, v)) end
@   return ("msa_load_some(%s, %d)"):format(place(p, v), length(v))
@ end
@ local function store(p, v, value)
@   if length(v) == W then return ("msa_store(%s, %s)"):format(place(p, v), value) end
@   return ("msa_store_some(%s, %s, %d)"):format(place(p, v), value, length(v))
@ end
@ local function normed(v)
@   local difference = ("msa_vsub(%s, mean_v)"):format(load("xi", v))
@   return ("msa_vfma(msa_vmul(%s, rstd_v), msa_load(%s), msa_load(%s))"):format(difference, place("w", v),
@     place("w", v, gap))
@ end
@ local vectors = some and (tail + W - 1) // W or 0
@ local function hold(v) return flushes and ("msa_hold(%s)"):format(v) or v end
@ -- The partial sums of x, or of the squares of its distances from the mean.
@ local function sums(squares)
@   local function add(v, value, mean, indent)
@     if squares then
$(indent)const msa_vec d$(v) = msa_vsub($(value), $(mean));
$(indent)s$(v) = msa_vfma(d$(v), d$(v), s$(v));
@     else
$(indent)s$(v) = msa_vadd(s$(v), $(value));
@     end
@   end
@   for v = 0, per - 1 do
        $(squares and "" or "msa_vec ")s$(v) = msa_splat(0.0f);
@   end
@   if full > 0 then
        for (size_t k = 0; k < $(full * 16); k += 16) {
@     for v = 0, per - 1 do add(v, ("msa_load(xi + k + %d)"):format(v * W), "mean_v", "            ") end
        }
@   end
@   for v = 0, vectors - 1 do
@     add(v, load("xi", v), length(v) == W and "mean_v" or ("msa_some(mean_v, %d)"):format(length(v)), "        ")
@   end
@   for v = 0, per - 1 do
        msa_store(part + $(v * W), $(hold("s" .. v)));
@   end
@ end
@ -- y of the tail in whole vectors and one in part, or float by float.
@ local function tail_in_vectors()
@   for v = 0, vectors - 1 do
        const msa_vec held$(v) = $(hold(normed(v)));
@   end
@   if flushes then
        if (msa_flushed()) {
            for (size_t k = $(full * 16); k < $(C); ++k) {
                yi[k] = msa_fma((xi[k] - mean) * rstd, w[k], w[$(gap) + k]);
            }
            msa_clear_flushed();
        } else {
@   end
@   for v = 0, vectors - 1 do
            $(store("yi", v, "held" .. v));
@   end
@   if flushes then
        }
@   end
@ end
@ -- Several rows at once, so that none waits for its chain of sums: where there is no tail, lanes interleave for the
@ -- trees, and nothing flushes.
@ local several = tail == 0 and not flushes and kernels.isa.zip_low and W // 4 or 1
@ local function each(line, indent)
@   for r = 0, several - 1 do for v = 0, per - 1 do
$(indent)$((line:gsub("[#$%%]", { ["#"] = ("%d_%d"):format(r, v), ["$"] = r, ["%"] = v * W })));
@   end end
@ end
@ local function of_rows(line, indent)
@   for r = 0, several - 1 do
$(indent or "        ")$((line:gsub("%$", r)));
@   end
@ end
@ -- Of the rows' partial sums the trees, divided: into `to`.
@ local function trees(to)
@   for r = 0, several - 1 do
@     local count = per
@     while count > 1 do
@       count = count // 2
@       for v = 0, count - 1 do
        s$(r)_$(v) = msa_vadd(s$(r)_$(v), s$(r)_$(v + count));
@       end
@     end
        msa_store(part + $(r * W), s$(r)_0);
@   end
        $(kernels:make("row_trees", "msa_sum_of_rows", { op = "add" }))(part, $(to));
        msa_store($(to), msa_vdiv(msa_load($(to)), msa_splat($(C).0f)));
@ end
@ local function moments_of_rows()
@   each("msa_vec s# = msa_splat(0.0f)", "        ")
        for (size_t k = 0; k < $(C); k += 16) {
@   each("s# = msa_vadd(s#, msa_load(x$ + k + %))", "            ")
        }
@   trees "mean"
@   of_rows "const msa_vec mean$ = msa_splat(mean[$])"
@   each("s# = msa_splat(0.0f)", "        ")
        for (size_t k = 0; k < $(C); k += 16) {
@   each("const msa_vec d# = msa_vsub(msa_load(x$ + k + %), mean$)", "            ")
@   each("s# = msa_vfma(d#, d#, s#)", "            ")
        }
@   trees "rstd"
@ end
@ local function by_rows()
    const size_t whole = rows / $(several) * $(several);
@   if finds then
    float part[$(W * W)], mean[$(W)], rstd[$(W)];
    for (size_t k = 0; k < $(W * W); k += $(W)) {
        msa_store(part + k, msa_splat(0.0f));
    }
@   end
    for (size_t i = 0; i < whole; i += $(several)) {
@   of_rows "const float *const x$ = x + (i + $) * ldx"
@   if applies then of_rows "float *const y$ = y + (i + $) * ldy" end
@   if finds then moments_of_rows() end
@   if moments == "kept" then
@     of_rows "moments[2 * (i + $)] = mean[$]"
@     of_rows "moments[2 * (i + $) + 1] = 1.0f / msa_sqrt(rstd[$] + eps)"
@   elseif moments == "given" then
@     of_rows "const msa_vec mean$ = msa_splat(moments[2 * (i + $)]), rstd$ = msa_splat(moments[2 * (i + $) + 1])"
@   else
@     of_rows "const msa_vec rstd$ = msa_splat(1.0f / msa_sqrt(rstd[$] + eps))"
@   end
@   if applies then
        for (size_t k = 0; k < $(C); k += $(W)) {
            const msa_vec gamma = msa_load(w + k), beta = msa_load(w + $(gap) + k);
@   of_rows("msa_store(y$ + k, msa_vfma(msa_vmul(msa_vsub(msa_load(x$ + k), mean$), rstd$), gamma, beta))",
@     "            ")
        }
@   end
    }
@ end
@ -- Mean and 1 / deviation of row i.
@ local function find()
        float part[16];
@   sums(false)
@   if tail > 0 and not some then
        for (size_t k = 0; k < $(tail); ++k) {
            part[k] = part[k] + xi[$(full * 16) + k];
        }
@   end
        $(const)float mean = msa_sum16(part) / $(C).0f;
        $(const)msa_vec mean_v = msa_splat(mean);
@   sums(true)
@   if tail > 0 and not some then
        for (size_t k = 0; k < $(tail); ++k) {
            part[k] = msa_fma(xi[$(full * 16) + k] - mean, xi[$(full * 16) + k] - mean, part[k]);
        }
@   end
        $(const)float rstd = 1.0f / msa_sqrt(msa_sum16(part) / $(C).0f + eps);
@   if flushes and (full > 0 or some) then
        if (msa_flushed()) {
            $(kernels:make("exact_moments", "msa_exact_moments", {}))(xi, $(C), eps, &mean, &rstd);
            mean_v = msa_splat(mean);
        }
@   elseif full == 0 and not some then
        (void)mean_v;
@   end
@ end
@ -- y of row i.
@ local function apply()
@   if full > 0 or some then
        const msa_vec rstd_v = msa_splat(rstd);
@   end
@   if full > 0 then
        for (size_t k = 0; k < $(full * 16); k += $(W)) {
            msa_store(yi + k, msa_vfma(msa_vmul(msa_vsub(msa_load(xi + k), mean_v), rstd_v), msa_load(w + k),
                msa_load(w + $(gap) + k)));
        }
@   end
@   if some then
@     tail_in_vectors()
@   elseif tail > 0 then
        for (size_t k = $(full * 16); k < $(C); ++k) {
            yi[k] = msa_fma((xi[k] - mean) * rstd, w[k], w[$(gap) + k]);
        }
@   end
@ end
@ if moments == "kept" then
/* moments = mean and 1 / deviation of each row ($(C)) of x, rows ldx apart, by 16 interleaved partial sums and a fixed
 * tree: what a layer norm finds. */
void $(name)(const float *x, float *moments, size_t rows, size_t ldx, float eps)
@ elseif moments == "given" then
/* y (rows, $(C)) = layer norm of x with moments that were kept, rows ldx and ldy apart.
 * w holds gamma and, $(gap) further, beta; y may be x. */
void $(name)(const float *x, const float *w, const float *moments, float *y, size_t rows, size_t ldx, size_t ldy)
@ else
/* y (rows, $(C)) = layer norm of x, rows ldx and ldy apart, by 16 interleaved partial sums and a fixed tree.
 * w holds gamma and, $(gap) further, beta; y may be x. */
void $(name)(const float *x, const float *w, float *y, size_t rows, size_t ldx, size_t ldy, float eps)
@ end
{
@ if several > 1 then by_rows() end
    for (size_t i = $(several > 1 and "whole" or "0"); i < rows; ++i) {
        const float *xi = x + i * ldx;
@ if applies then
        float *yi = y + i * ldy;
@ end
@ if finds then find() end
@ if moments == "kept" then
        moments[2 * i] = mean;
        moments[2 * i + 1] = rstd;
@ elseif moments == "given" then
        const float mean = moments[2 * i], rstd = moments[2 * i + 1];
@   if full > 0 or some then
        const msa_vec mean_v = msa_splat(mean);
@   end
@ end
@ if applies then apply() end
    }
}
