@ -- SPDX-License-Identifier: 0BSD
@ local paired = type == "int16" and W > 1 and kernels.isa.zip_low
@ local rounds = paired and math.tointeger(math.log(W, 2))
@ if type == "int12" then
/* Number c of a line: two are in three bytes, the first in the lower bits. */
static inline float $(name)_at(const unsigned char *x, size_t c)
{
    const unsigned char *const from = x + c / 2 * 3 + c % 2;
    const int32_t bits = c % 2 == 0 ? from[0] | (from[1] & 15) << 8 : from[0] >> 4 | from[1] << 4;
    return (float)(bits < 2048 ? bits : bits - 4096);
}

@ end
@ local function scaled(value, at) return gain and ("msa_vmul(%s, msa_splat(w[%s]))"):format(value, at) or value end
@ local more = gain and ", const float *restrict w" or ""
/* z (columns, $(W)) = lines of $(type) transposed$(gain and ", column c times w[c]" or ""). Lines are `stride` bytes
 * apart; lanes from `lines` on have what the last line has. */
void $(name)(const unsigned char *restrict from, float *restrict z$(more), size_t lines, size_t stride, size_t columns)
{
    const unsigned char *rows[$(W)];
    for (size_t l = 0; l < $(W); ++l) {
        rows[l] = from + (l < lines ? l : lines - 1) * stride;
    }
    size_t done = 0;
@ if paired then
    /* Two samples that are neighbours move as one. */
    for (; done + $(2 * W) <= columns; done += $(2 * W)) {
@   for r = 0, W - 1 do
        const msa_vec a0_$(r) = msa_load_bits(rows[$(r)] + 2 * done);
@   end
@   for n = 1, rounds do
@     for r = 0, W // 2 - 1 do
        const msa_vec a$(n)_$(2 * r) = msa_vzip_low(a$(n - 1)_$(r), a$(n - 1)_$(r + W // 2));
        const msa_vec a$(n)_$(2 * r + 1) = msa_vzip_high(a$(n - 1)_$(r), a$(n - 1)_$(r + W // 2));
@     end
@   end
        float *const to = z + done * $(W);
@   for r = 0, W - 1 do
        msa_store(to + $(2 * r * W), $(scaled(("msa_vlow16(a%d_%d)"):format(rounds, r), ("done + %d"):format(2 * r))));
@     local high = scaled(("msa_vhigh16(a%d_%d)"):format(rounds, r), ("done + %d"):format(2 * r + 1))
        msa_store(to + $((2 * r + 1) * W), $(high));
@   end
    }
@ end
    for (size_t l = 0; l < $(W); ++l) {
        const unsigned char *const x = rows[l];
        for (size_t c = done; c < columns; ++c) {
            z[c * $(W) + l] = $(type == "int12" and name .. "_at(x, c)" or value)$(gain and " * w[c]" or "");
        }
    }
}

