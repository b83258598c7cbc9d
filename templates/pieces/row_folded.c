@ -- SPDX-License-Identifier: 0BSD
@ -- Vectors t0, t1... of a row's 16 partial results, as many as it takes, to one: the first steps of the fixed tree.
@ local count = 16 // W
@ while count > 1 do
@   count = count // 2
@   for v = 0, count - 1 do
$(pad)t$(v) = msa_v$(op)(t$(v), t$(v + count));
@   end
@ end
$(pad)msa_store(part + r * $(W), t0);
