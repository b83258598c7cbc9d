-- SPDX-License-Identifier: Apache-2.0
--- AVX2: products of numbers of 16 bits, two a lane and instruction. Of bytes by bytes there is one that adds up in 16
-- bits, which takes three instructions where two operands have signs: no faster than these.
return {
  lanes = 8,
  registers = 15,
  macros = { "__AVX2__" },
  vector = "int32_t msa_ints __attribute__((vector_size(32), may_alias))",
  word = "(msa_ints)_mm256_set1_epi32(w)",
  load = "(msa_ints)_mm256_loadu_si256((const __m256i *)(const void *)p)",
  form = "pairs",
  number = 2,
  widen_low = "(msa_ints)_mm256_blend_epi16(_mm256_srai_epi16(_mm256_slli_epi16((__m256i)b, 8), 8), "
    .. "_mm256_slli_epi32(_mm256_srai_epi16((__m256i)b, 8), 16), 0xaa)",
  widen_high = "(msa_ints)_mm256_blend_epi16(_mm256_srli_epi32(_mm256_srai_epi16(_mm256_slli_epi16((__m256i)b, 8), 8), "
    .. "16), _mm256_srai_epi16((__m256i)b, 8), 0xaa)",
  pairs = "c + (msa_ints)_mm256_madd_epi16((__m256i)a, (__m256i)b)",
  float = "_mm256_cvtepi32_ps((__m256i)c)",
  rate = { pairs = 1.33 },
}
