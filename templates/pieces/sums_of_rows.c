@ -- SPDX-License-Identifier: 0BSD
@ -- What is so far, of rows from i on: largest logits, how much sums shrink, and sums.
        for (size_t r = 0; r < here; ++r) {
            m[i + r] = top[r];
            alpha[i + r] = by[r];
            l[i + r] = msa_fma(l[i + r], by[r], sum[r]);
        }
