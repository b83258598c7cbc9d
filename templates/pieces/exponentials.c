@ -- SPDX-License-Identifier: 0BSD
@ -- e0, e1... = msa_vexp of x0, x1... (n of them), step by step: no step waits for the one before it.
@ local function each(line)
@   for v = 0, n - 1 do
$(pad)$((line:gsub("#", v)));
@   end
@ end
@ each "const msa_vec n# = msa_vfma(x#, msa_splat(MSA_EXP_LOG2E), msa_splat(MSA_EXP_ROUND))"
@ each "msa_vec r# = msa_vsub(n#, msa_splat(MSA_EXP_ROUND))"
@ each "const msa_vec h# = msa_vfma(r#, msa_splat(-MSA_EXP_LN2_HIGH), x#)"
@ each "r# = msa_vfma(r#, msa_splat(-MSA_EXP_LN2_LOW), h#)"
@ each "msa_vec e# = msa_vfma(msa_splat(MSA_EXP_C6), r#, msa_splat(MSA_EXP_C5))"
@ for _, c in ipairs { "MSA_EXP_C4", "MSA_EXP_C3", "MSA_EXP_C2", "1.0f", "1.0f" } do
@   each(("e# = msa_vfma(e#, r#, msa_splat(%s))"):format(c))
@ end
@ each "e# = msa_vzero_below(x#, msa_splat(MSA_EXP_CUT), msa_vscale(e#, n#))"
