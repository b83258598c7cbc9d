@ -- SPDX-License-Identifier: 0BSD
@ -- Rounds of interleaving rows i and i + W / 2 to rows 2 i and 2 i + 1 transpose W x W.
@ local rounds = W > 1 and kernels.isa.zip_low and math.tointeger(math.log(W, 2)) or 0
/* z (columns, $(W)) = x (lines, columns) transposed, rows of x ldx apart; lanes from `lines` on are +0. */
void $(name)(const float *restrict x, float *restrict z, size_t lines, size_t columns, size_t ldx)
{
    size_t c = 0;
@ if rounds > 0 then
    if (lines == $(W)) {
        for (; c + $(W) <= columns; c += $(W)) {
@   for r = 0, W - 1 do
            const msa_vec a0_$(r) = msa_load(x + $(r) * ldx + c);
@   end
@   for n = 1, rounds do
@     for r = 0, W // 2 - 1 do
            const msa_vec a$(n)_$(2 * r) = msa_vzip_low(a$(n - 1)_$(r), a$(n - 1)_$(r + W // 2));
            const msa_vec a$(n)_$(2 * r + 1) = msa_vzip_high(a$(n - 1)_$(r), a$(n - 1)_$(r + W // 2));
@     end
@   end
@   for r = 0, W - 1 do
            msa_store(z + (c + $(r)) * $(W), a$(rounds)_$(r));
@   end
        }
    }
@ end
    for (; c < columns; ++c) {
        for (size_t l = 0; l < $(W); ++l) {
            z[c * $(W) + l] = l < lines ? x[l * ldx + c] : 0.0f;
        }
    }
}

