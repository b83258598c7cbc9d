-- SPDX-License-Identifier: Apache-2.0
--- AVX2: products of |a| and b with a's sign, of which two fit 16 bits since neither operand is -128.
return {
  lanes = 8,
  registers = 13,
  macros = { "__AVX2__" },
  vector = "int32_t msa_ints __attribute__((vector_size(32), may_alias))",
  word = "(msa_ints)_mm256_set1_epi32(w)",
  load = "(msa_ints)_mm256_loadu_si256((const __m256i *)(const void *)p)",
  bytes = "c + (msa_ints)_mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_abs_epi8((__m256i)a), "
    .. "_mm256_sign_epi8((__m256i)b, (__m256i)a)), _mm256_set1_epi16(1))",
  pairs = "c + (msa_ints)_mm256_madd_epi16((__m256i)a, (__m256i)b)",
  float = "_mm256_cvtepi32_ps((__m256i)c)",
  rate = { bytes = 2.67, pairs = 1.33 },
}
