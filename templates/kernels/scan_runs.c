@ -- SPDX-License-Identifier: 0BSD
@ local gathers = kernels.isa.gather and W > 1 and small
@ local function share(bits) return ("0x1p-%df"):format(bits) end
/* picture = the frame (samples, lines), samples ld apart, at a place for each pixel of each run; 0 elsewhere. */
void $(name)(const float *restrict frame, uint8_t *restrict picture, const uint32_t *restrict run,
    const uint32_t *restrict lines, const uint32_t *restrict samples, size_t runs, size_t pixels, size_t line_count,
    size_t sample_count, size_t ld)
{
    (void)memset(picture, 0, pixels);
    for (size_t r = 0; r < runs; ++r) {
        const size_t first = run[2 * r], count = run[2 * r + 1];
        if (first > pixels || count > pixels - first) {
            continue; /* no table of msagen's */
        }
        uint8_t *const to = picture + first;
        size_t i = 0;
@ if gathers then
        const msa_vec last_line = msa_splat((float)(line_count - 2));
        const msa_vec last_sample = msa_splat((float)(sample_count - 2));
        for (; i + $(W) <= count; i += $(W)) {
            const msa_vec at_line = msa_load_bits((const unsigned char *)(lines + i));
            const msa_vec at_sample = msa_load_bits((const unsigned char *)(samples + i));
            const msa_vec line = msa_vwhole(at_line, $(line_bits)), sample = msa_vwhole(at_sample, $(sample_bits));
            const msa_vec l = msa_vmin(line, last_line), s = msa_vmin(sample, last_sample);
            const msa_vec right = msa_vfma(msa_vpart(at_line, $(line_bits)), msa_splat($(share(line_bits))),
                msa_vsub(line, l));
            const msa_vec below = msa_vfma(msa_vpart(at_sample, $(sample_bits)), msa_splat($(share(sample_bits))),
                msa_vsub(sample, s));
            const msa_vec at = msa_vfma(s, msa_splat((float)ld), l);
            const msa_vec a = msa_gather(frame, at), b = msa_gather(frame + 1, at);
            const msa_vec left = msa_vfma(below, msa_vsub(msa_gather(frame + ld, at), a), a);
            const msa_vec other = msa_vfma(below, msa_vsub(msa_gather(frame + ld + 1, at), b), b);
            const msa_vec level = msa_vfma(right, msa_vsub(other, left), left);
            msa_store_bytes(to + i, msa_vadd(msa_vmin(msa_vmax(level, msa_splat(0.0f)), msa_splat(255.0f)),
                msa_splat(0.5f)));
        }
@ end
        for (; i < count; ++i) {
            const uint32_t line = lines[i] >> $(line_bits), sample = samples[i] >> $(sample_bits);
            const size_t l = line < line_count - 2 ? line : line_count - 2;
            const size_t s = sample < sample_count - 2 ? sample : sample_count - 2;
            const float right = msa_fma((float)(lines[i] & $((1 << line_bits) - 1)u), $(share(line_bits)),
                (float)(line - (uint32_t)l));
            const float below = msa_fma((float)(samples[i] & $((1 << sample_bits) - 1)u), $(share(sample_bits)),
                (float)(sample - (uint32_t)s));
            const float *const v = frame + s * ld + l;
            const float a = msa_fma(below, v[ld] - v[0], v[0]), b = msa_fma(below, v[ld + 1] - v[1], v[1]);
            to[i] = (uint8_t)(int32_t)(msa_min(msa_max(msa_fma(right, b - a, a), 0.0f), 255.0f) + 0.5f);
        }
        lines += count;
        samples += count;
    }
}

