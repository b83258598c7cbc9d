-- SPDX-License-Identifier: Apache-2.0
--- SSSE3, which SSE4.2 has: as AVX2, four sums a vector.
return {
  lanes = 4,
  registers = 13,
  include = "tmmintrin.h",
  macros = { "__SSSE3__" },
  vector = "int32_t msa_ints __attribute__((vector_size(16), may_alias))",
  word = "(msa_ints)_mm_set1_epi32(w)",
  load = "(msa_ints)_mm_loadu_si128((const __m128i *)(const void *)p)",
  bytes = "c + (msa_ints)_mm_madd_epi16(_mm_maddubs_epi16(_mm_abs_epi8((__m128i)a), "
    .. "_mm_sign_epi8((__m128i)b, (__m128i)a)), _mm_set1_epi16(1))",
  pairs = "c + (msa_ints)_mm_madd_epi16((__m128i)a, (__m128i)b)",
  float = "_mm_cvtepi32_ps((__m128i)c)",
  rate = { bytes = 2.67, pairs = 1.33 },
}
