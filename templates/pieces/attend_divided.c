@ -- SPDX-License-Identifier: 0BSD
@ -- Each query's result: its sum, divided by the sum of its weights.
@ local first, left = d // W * W, d % W
@ local some = kernels.isa.load_some
    for (size_t i = 0; i < $(M); ++i) {
@ if out_row then
        float *const to = out + i / $(out_row.n) * $(out_row.ld) + i % $(out_row.n) * $(ldo);
@ else
        float *const to = out + i * $(ldo);
@ end
@ if first > 0 or some then
        const msa_vec by = msa_splat(l[i]);
@ end
@ if first > 0 then
        for (size_t j = 0; j < $(first); j += $(W)) {
            msa_store(to + j, msa_vdiv(msa_load(o + i * $(dpad) + j), by));
        }
@ end
@ if left ~= 0 and some then
        msa_store_some(to + $(first), msa_vdiv(msa_load(o + i * $(dpad) + $(first)), by), $(left));
@ elseif left ~= 0 then
        for (size_t j = $(first); j < $(d); ++j) {
            to[j] = o[i * $(dpad) + j] / l[i];
        }
@ end
    }
