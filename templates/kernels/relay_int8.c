@ -- SPDX-License-Identifier: 0BSD
@ -- The blob's panels in a board's own form.
/* Panels of the blob's, `steps` words of four bytes a column, in the form that products here take ($(form)). */
static void $(name)(const int8_t *restrict b, int8_t *restrict to, size_t panels, size_t steps)
{
    for (size_t p = 0; p < panels; ++p) {
@ if form == "pairs" then
        const int8_t *const from = b + p * steps * 64;
        int8_t *const panel = to + p * steps * 128;
        for (size_t k = 0; k < steps; ++k) {
@   for v = 0, 16 // integer.lanes - 1 do
            const msa_ints b$(v) = msa_load_ints(from + k * 64 + $(v * integer.lanes * 4));
            const msa_ints l$(v) = msa_widen_low(b$(v)), h$(v) = msa_widen_high(b$(v));
            (void)memcpy(panel + k * 128 + $(v * integer.lanes * 4), &l$(v), sizeof l$(v));
            (void)memcpy(panel + k * 128 + $(64 + v * integer.lanes * 4), &h$(v), sizeof h$(v));
@   end
        }
@ else
        const size_t length = (steps + 3) / 4 * 16;
        const int8_t *const from = b + p * steps * 64;
        msa_number *const panel = (msa_number *)(void *)to + p * 16 * length;
        for (size_t c = 0; c < 16; ++c) {
            msa_number *const column = panel + c * length;
@   if number == 1 then
            for (size_t k = 0; k < steps; ++k) {
                msa_store_word(column + k * 4, msa_word(from + k * 64 + c * 4));
            }
            for (size_t k = steps * 4; k < length; ++k) {
                column[k] = 0;
            }
@   else
            for (size_t k = 0; k < steps; ++k) {
                const uint32_t four = msa_word(from + k * 64 + c * 4);
                column[k * 4] = (int8_t)four;
                column[k * 4 + 1] = (int8_t)(four >> 8);
                column[k * 4 + 2] = (int8_t)(four >> 16);
                column[k * 4 + 3] = (int8_t)(four >> 24);
            }
            for (size_t k = steps * 4; k < length; ++k) {
                column[k] = 0;
            }
@   end
        }
@ end
    }
}

