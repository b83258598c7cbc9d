@ -- SPDX-License-Identifier: 0BSD
@ local gathers = kernels.isa.gather and W > 1 and small
@ local function share(bits) return ("0x1p-%df"):format(bits) end
/* picture = the frame (samples, lines), samples ld apart, at a line for each column and a sample for each row; 0
 * outside the rectangle of rows and columns. row: scratch. */
void $(name)(const float *restrict frame, uint8_t *restrict picture, const uint32_t *restrict lines,
    const uint32_t *restrict samples, float *restrict row, size_t width, size_t pixels, size_t first_row, size_t rows,
    size_t first_column, size_t columns, size_t line_count, size_t sample_count, size_t ld)
{
    (void)memset(picture, 0, pixels);
    for (size_t i = 0; i < rows; ++i) {
        const uint32_t sample = samples[i] >> $(sample_bits);
        const size_t s = sample < sample_count - 2 ? sample : sample_count - 2;
        const msa_vec below = msa_splat(msa_fma((float)(samples[i] & $((1 << sample_bits) - 1)u), $(share(sample_bits)),
            (float)(sample - (uint32_t)s)));
        const float *const from = frame + s * ld;
        for (size_t l = 0; l < ld; l += $(W)) {
            const msa_vec a = msa_load(from + l);
            msa_store(row + l, msa_vfma(below, msa_vsub(msa_load(from + ld + l), a), a));
        }
        uint8_t *const to = picture + (first_row + i) * width + first_column;
        size_t j = 0;
@ if gathers then
        const msa_vec last_line = msa_splat((float)(line_count - 2));
        for (; j + $(W) <= columns; j += $(W)) {
            const msa_vec at_line = msa_load_bits((const unsigned char *)(lines + j));
            const msa_vec line = msa_vwhole(at_line, $(line_bits)), l = msa_vmin(line, last_line);
            const msa_vec right = msa_vfma(msa_vpart(at_line, $(line_bits)), msa_splat($(share(line_bits))),
                msa_vsub(line, l));
            const msa_vec left = msa_gather(row, l);
            const msa_vec level = msa_vfma(right, msa_vsub(msa_gather(row + 1, l), left), left);
            msa_store_bytes(to + j, msa_vadd(msa_vmin(msa_vmax(level, msa_splat(0.0f)), msa_splat(255.0f)),
                msa_splat(0.5f)));
        }
@ end
        for (; j < columns; ++j) {
            const uint32_t line = lines[j] >> $(line_bits);
            const size_t l = line < line_count - 2 ? line : line_count - 2;
            const float right = msa_fma((float)(lines[j] & $((1 << line_bits) - 1)u), $(share(line_bits)),
                (float)(line - (uint32_t)l));
            const float level = msa_fma(right, row[l + 1] - row[l], row[l]);
            to[j] = (uint8_t)(int32_t)(msa_min(msa_max(level, 0.0f), 255.0f) + 0.5f);
        }
    }
}

