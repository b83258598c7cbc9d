@ -- SPDX-License-Identifier: 0BSD
@ local function share(bits) return ("0x1p-%df"):format(bits) end
/* picture = the frame (samples, lines), samples ld apart, at a line for each column and a sample for each row; 0
 * outside the rectangle of rows and columns. row: scratch. */
void $(name)(const float *restrict frame, uint8_t *restrict picture, const uint32_t *restrict lines,
    const uint32_t *restrict samples, float *restrict row, size_t width, size_t pixels, size_t first_row, size_t rows,
    size_t first_column, size_t columns, size_t line_count, size_t sample_count, size_t ld)
{
    memset(picture, 0, pixels);
    for (size_t i = 0; i < rows; ++i) {
        const uint32_t at_sample = samples[i];
        size_t s = at_sample >> $(sample_bits);
        if (s > sample_count - 2) s = sample_count - 2;
        const float part = (float)(int32_t)(at_sample - ((uint32_t)s << $(sample_bits))) * $(share(sample_bits));
        const msa_vec below = msa_splat(part);
        const float *const from = frame + s * ld;
        for (size_t l = 0; l < ld; l += $(W)) {
            const msa_vec a = msa_load(from + l);
            msa_store(row + l, msa_vfma(below, msa_vsub(msa_load(from + ld + l), a), a));
        }
        uint8_t *const to = picture + (first_row + i) * width + first_column;
        for (size_t j = 0; j < columns; ++j) {
            const uint32_t at_line = lines[j];
            size_t l = at_line >> $(line_bits);
            if (l > line_count - 2) l = line_count - 2;
            const float right = (float)(int32_t)(at_line - ((uint32_t)l << $(line_bits))) * $(share(line_bits));
            const float level = msa_min(msa_max(msa_fma(right, row[l + 1] - row[l], row[l]), 0.0f), 255.0f);
            to[j] = (uint8_t)(int32_t)(level + 0.5f);
        }
    }
}

