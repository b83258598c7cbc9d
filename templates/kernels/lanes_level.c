@ -- SPDX-License-Identifier: 0BSD
@ local parameters = to == "grey" and ", const float *w" or ""
/* z (points, $(W)) = $(to) of $(from) x. */
void $(name)(const float *x, float *z$(parameters), size_t points, size_t ldx, size_t ldz)
{
@ if to == "grey" then
    const msa_vec octave = msa_splat(w[0]), at_reference = msa_splat(w[1]), reference = msa_splat(w[2]);
@   if gamma then
    const msa_vec exponent_ln2 = msa_splat(w[3]);
@   end
@ end
    for (size_t i = 0; i < points; ++i) {
@ if from == "complex" then
        const msa_vec re = msa_load(x), im = msa_load(x + $(W));
        const msa_vec power = msa_vfma(re, re, msa_vmul(im, im));
@ elseif from == "amplitude" then
        const msa_vec amplitude = msa_load(x);
        const msa_vec power = msa_vmul(amplitude, amplitude);
@ else
        const msa_vec power = msa_load(x);
@ end
@ if to == "power" then
        msa_store(z, power);
@ else
        /* No power is 0, none is NaN. */
        const msa_vec p = msa_vmin(msa_vmax(power, msa_splat(0x1p-126f)), msa_splat(0x1p+127f));
        const msa_vec octaves = msa_vsub(msa_vexponent(p), reference);
        msa_vec level = msa_vfma(octave, octaves, at_reference);
        level = msa_vfma(octave, msa_vlog2_near(msa_vmantissa(p)), level);
        level = msa_vmin(msa_vmax(level, msa_splat(0.0f)), msa_splat($(gamma and "1.0f" or "255.0f")));
@   if gamma then
        const msa_vec v = msa_vmax(level, msa_splat(0x1p-126f));
        const msa_vec log2_v = msa_vadd(msa_vexponent(v), msa_vlog2_near(msa_vmantissa(v)));
        level = msa_vmul(msa_splat(255.0f), msa_vexp(msa_vmin(msa_vmul(exponent_ln2, log2_v), msa_splat(0.0f))));
@   end
        msa_store(z, level);
@ end
        x += ldx;
        z += ldz;
    }
}

