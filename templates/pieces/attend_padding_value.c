@ -- SPDX-License-Identifier: 0BSD
@ -- Padding's value joins query i's sum, by weight w.
        const msa_vec by = msa_splat(alpha[i]), all = msa_splat($(w));
        l[i] = msa_fma(l[i], alpha[i], $(w));
        for (size_t j = 0; j < $(dpad); j += $(W)) {
            msa_store(o + i * $(dpad) + j, msa_vfma(all, msa_load(v_pad + j),
                msa_vmul(msa_load(o + i * $(dpad) + j), by)));
        }
