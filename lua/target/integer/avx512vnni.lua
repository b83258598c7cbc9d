-- SPDX-License-Identifier: Apache-2.0
--- AVX-512 VNNI: four products a lane and instruction, of bytes without sign by bytes with one. gcc 12 moves sums that
-- are __m512i about; of a vector of ints it does not.
return {
  lanes = 16,
  registers = 32,
  macros = { "__AVX512VNNI__" },
  biased = true,
  vector = "int32_t msa_ints __attribute__((vector_size(64), may_alias))",
  word = "(msa_ints)_mm512_set1_epi32(w)",
  load = "(msa_ints)_mm512_loadu_si512(p)",
  bytes = "(msa_ints)_mm512_dpbusd_epi32((__m512i)c, (__m512i)a, (__m512i)b)",
  pairs = "(msa_ints)_mm512_dpwssd_epi32((__m512i)c, (__m512i)a, (__m512i)b)",
  float = "_mm512_cvtepi32_ps((__m512i)c)",
  rate = { bytes = 1, pairs = 1 },
}
