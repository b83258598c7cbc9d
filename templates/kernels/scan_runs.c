@ -- SPDX-License-Identifier: 0BSD
@ local function share(bits) return ("0x1p-%df"):format(bits) end
/* picture = the frame (samples, lines), samples ld apart, at a place for each pixel of each run; 0 elsewhere. */
void $(name)(const float *restrict frame, uint8_t *restrict picture, const uint32_t *restrict run,
    const uint32_t *restrict lines, const uint32_t *restrict samples, size_t runs, size_t pixels, size_t line_count,
    size_t sample_count, size_t ld)
{
    memset(picture, 0, pixels);
    for (size_t r = 0; r < runs; ++r) {
        const size_t first = run[2 * r], count = run[2 * r + 1];
        if (first > pixels || count > pixels - first) continue; /* no table of msagen's */
        for (size_t i = 0; i < count; ++i) {
            const uint32_t at_line = *lines++, at_sample = *samples++;
            size_t l = at_line >> $(line_bits), s = at_sample >> $(sample_bits);
            if (l > line_count - 2) l = line_count - 2;
            if (s > sample_count - 2) s = sample_count - 2;
            const float right = (float)(int32_t)(at_line - ((uint32_t)l << $(line_bits))) * $(share(line_bits));
            const float below = (float)(int32_t)(at_sample - ((uint32_t)s << $(sample_bits))) * $(share(sample_bits));
            const float *const v = frame + s * ld + l;
            const float a = msa_fma(below, v[ld] - v[0], v[0]), b = msa_fma(below, v[ld + 1] - v[1], v[1]);
            const float level = msa_min(msa_max(msa_fma(right, b - a, a), 0.0f), 255.0f);
            picture[first + i] = (uint8_t)(int32_t)(level + 0.5f);
        }
    }
}

