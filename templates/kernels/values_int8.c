@ -- SPDX-License-Identifier: 0BSD
@ -- Columns of a tile in panels of 16.
@ -- The largest magnitude of each of 16 columns.
@ local function largest()
@   if vectors then
@     for p = 0, per - 1 do
            msa_vec t$(p) = msa_splat(0.0f);
@     end
            for (size_t i = 0; i < here; ++i) {
@     for p = 0, per - 1 do
                t$(p) = msa_vtop(t$(p), msa_load(from + i * $(dpad) + j + $(p * W)));
@     end
            }
@     for p = 0, per - 1 do
            msa_store(top + $(p * W), t$(p));
@     end
@   else
            for (size_t c = 0; c < 16; ++c) {
                top[c] = 0.0f;
            }
            for (size_t i = 0; i < here; ++i) {
                for (size_t c = 0; c < 16; ++c) {
                    const uint32_t bits = msa_bits(from[i * $(dpad) + j + c]) & 0x7fffffffu;
                    if (bits > msa_bits(top[c])) {
                        top[c] = msa_from_bits(bits);
                    }
                }
            }
@   end
@ end
@ -- Two keys' numbers to words, in vectors.
@ local function by_pairs()
            for (size_t i = 0; i < steps; ++i) {
                const float *const low = from + 2 * i * $(dpad) + j;
                const bool odd = 2 * i + 1 == here;
                const float *const high = odd ? low : low + $(dpad);
                float pair[16];
@   for p = 0, per - 1 do
                {
                    const msa_vec by = msa_load(inverse + $(p * W)), round = msa_splat(MSA_WHOLE);
                    const msa_vec l = msa_vadd(msa_vmul(msa_load(low + $(p * W)), by), round);
                    const msa_vec h = msa_vadd(msa_vmul(msa_load(high + $(p * W)), odd ? msa_splat(0.0f) : by), round);
                    msa_store(pair + $(p * W), msa_vpair(l, h));
                }
@   end
                (void)memcpy(panel + i * 64, pair, sizeof pair);
            }
@ end
@ -- A key after the other, to where `place` says.
@ local function by_keys(place, per_step)
            $(form == "halves" and "int8_t" or "int16_t") *const numbers = (void *)panel;
@   if form == "columns" then
            const size_t length = steps * 16;
@   end
            for (size_t i = 0; i < here; ++i) {
                int16_t line[16];
@   if vectors then
@     for p = 0, per - 1 do
                msa_store_low16(line + $(p * W), msa_vadd(msa_vmul(msa_load(from + i * $(dpad) + j + $(p * W)),
                    msa_load(inverse + $(p * W))), msa_splat(MSA_WHOLE)));
@     end
@   else
                for (size_t c = 0; c < 16; ++c) {
                    const float x = inverse[c] > 0.0f ? from[i * $(dpad) + j + c] * inverse[c] : 0.0f;
                    line[c] = (int16_t)msa_whole(x + MSA_WHOLE);
                }
@   end
                for (size_t c = 0; c < 16; ++c) {
                    numbers[$(place)] = $(form == "halves" and "(int8_t)" or "")line[c];
                }
            }
            for (size_t i = here; i < steps * $(per_step); ++i) {
                for (size_t c = 0; c < 16; ++c) {
                    numbers[$(place)] = 0;
                }
            }
@ end
@ local numbers, bytes = form == "pairs" and 2 or 16, form == "columns" and 512 or 64
/* The values of a head's `keys` keys, $(dpad) floats each, as panels of whole numbers tile by tile, tile_bytes apart: a
 * tile's keys are a row of a column, which has a scale. */
void $(name)(const float *restrict v, int8_t *restrict vp, size_t keys, size_t tile, size_t tile_bytes)
{
    for (size_t first = 0; first < keys; first += tile) {
        const size_t here = keys - first < tile ? keys - first : tile;
        const size_t steps = (here + $(numbers - 1)) / $(numbers)$(form == "halves" and " * 4" or "");
        int8_t *const to = vp + first / tile * tile_bytes;
        float *const scales = (float *)(void *)(to + $(dpad // 16) * steps * $(bytes));
        const float *const from = v + first * $(dpad);
        for (size_t j = 0; j < $(dpad); j += 16) {
            int8_t *const panel = to + j / 16 * steps * $(bytes);
            float top[16], inverse[16];
@ largest()
            for (size_t c = 0; c < 16; ++c) {
                scales[j + c] = msa_scale_of(msa_bits(top[c]), inverse + c);
            }
@ if form == "pairs" and vectors and kernels.isa.pair then by_pairs()
@ elseif form == "pairs" then by_keys("i / 2 * 32 + c * 2 + i % 2", 2)
@ elseif form == "halves" then by_keys("i / 4 * 64 + c * 4 + i % 4", 4)
@ else by_keys("c * length + i", 16) end
        }
    }
}

