-- SPDX-License-Identifier: Apache-2.0
--- SSE4.1: as AVX2, four sums a vector.
return {
  lanes = 4,
  registers = 14,
  include = "smmintrin.h",
  macros = { "__SSE4_1__" },
  vector = "int32_t msa_ints __attribute__((vector_size(16), may_alias))",
  word = "(msa_ints)_mm_set1_epi32(w)",
  load = "(msa_ints)_mm_loadu_si128((const __m128i *)(const void *)p)",
  form = "pairs",
  number = 2,
  widen_low = "(msa_ints)_mm_blend_epi16(_mm_srai_epi16(_mm_slli_epi16((__m128i)b, 8), 8), "
    .. "_mm_slli_epi32(_mm_srai_epi16((__m128i)b, 8), 16), 0xaa)",
  widen_high = "(msa_ints)_mm_blend_epi16(_mm_srli_epi32(_mm_srai_epi16(_mm_slli_epi16((__m128i)b, 8), 8), 16), "
    .. "_mm_srai_epi16((__m128i)b, 8), 0xaa)",
  pairs = "c + (msa_ints)_mm_madd_epi16((__m128i)a, (__m128i)b)",
  float = "_mm_cvtepi32_ps((__m128i)c)",
  rate = { pairs = 1.33 },
}
