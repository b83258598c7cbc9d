@ -- SPDX-License-Identifier: 0BSD
@ -- The largest of each sixteenth place of a row si, of its places before `last`, in vectors t0, t1... and, where
@ -- `store`, in part.
@ local per = 16 // W
@ for v = 0, per - 1 do
        msa_vec t$(v) = msa_load(si + $(v * W));
@ end
        for (size_t k = 16; k < $(last); k += 16) {
@ for v = 0, per - 1 do
            t$(v) = msa_vmax(t$(v), msa_load(si + k + $(v * W)));
@ end
        }
@ for v = 0, store and per - 1 or -1 do
        msa_store(part + $(v * W), t$(v));
@ end
