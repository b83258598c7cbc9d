@ -- SPDX-License-Identifier: 0BSD
@ -- Of rows s from i on, `here` of them, W at most: `top`, the largest logit so far, and `by`, how much sums shrink.
        for (size_t r = 0; r < here; ++r) {
            const float *const si = s + (i + r) * ld;
            before[r] = m[i + r];
$(piece("row_tops", { last = last, store = false }))
$(piece("row_folded", { op = "max", pad = "            " }))
        }
        for (size_t r = here; r < $(W); ++r) {
            msa_store(part + r * $(W), msa_splat(0.0f));
            before[r] = 0.0f;
        }
        $(kernels:make("row_trees", "msa_max_of_rows", { op = "max" }))(part, top);
        msa_store(top, msa_vmax(msa_load(before), msa_load(top)));
        msa_store(by, msa_vexp(msa_vmax(msa_splat(MSA_EXP_CUT - 4.0f), msa_vsub(msa_load(before), msa_load(top)))));
