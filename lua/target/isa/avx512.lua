-- SPDX-License-Identifier: Apache-2.0
--- AVX-512F: 16 floats a vector, 32 registers.
return {
  width = 16,
  registers = 32,
  include = "immintrin.h",
  macros = { "__AVX512F__", "__FMA__" },
  vector = "__m512",
  load = "_mm512_loadu_ps(p)",
  store = "_mm512_storeu_ps(p, v)",
  splat = "_mm512_set1_ps(s)",
  add = "_mm512_add_ps(a, b)",
  sub = "_mm512_sub_ps(a, b)",
  mul = "_mm512_mul_ps(a, b)",
  div = "_mm512_div_ps(a, b)",
  fma = "_mm512_fmadd_ps(a, b, c)",
  fnma = "_mm512_fnmadd_ps(a, b, c)",
  max = "_mm512_max_ps(a, b)",
  min = "_mm512_min_ps(a, b)",
  select = "_mm512_mask_mov_ps(b, _mm512_cmp_ps_mask(x, c, _CMP_LT_OQ), a)",
  abs = "_mm512_abs_ps(a)",
  zip_low = "_mm512_permutex2var_ps(a, "
    .. "_mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23), b)",
  zip_high = "_mm512_permutex2var_ps(a, "
    .. "_mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31), b)",
  scale = "_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), "
    .. "_mm512_slli_epi32(_mm512_castps_si512(t), 23)))",
  exponent = "_mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_sub_epi32(_mm512_castps_si512(a), "
    .. "_mm512_set1_epi32(0x3f3504f3)), 23))",
  mantissa = "_mm512_castsi512_ps(_mm512_add_epi32(_mm512_and_si512(_mm512_sub_epi32(_mm512_castps_si512(a), "
    .. "_mm512_set1_epi32(0x3f3504f3)), _mm512_set1_epi32(0x7fffff)), _mm512_set1_epi32(0x3f3504f3)))",
  low16 = "_mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(_mm512_castps_si512(a), 16), 16))",
  high16 = "_mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_castps_si512(a), 16))",
  load_bytes = "_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)))",
  -- In halves, for without optimisation the whole one is a macro that compilers warn of.
  gather = "_mm512_castpd_ps(_mm512_insertf64x4(_mm512_castps_pd(_mm512_castps256_ps512(_mm256_i32gather_ps(p, "
    .. "_mm512_castsi512_si256(_mm512_cvttps_epi32(i)), 4))), _mm256_castps_pd(_mm256_i32gather_ps(p, "
    .. "_mm512_extracti64x4_epi64(_mm512_cvttps_epi32(i), 1), 4)), 1))",
  whole = "_mm512_cvtepi32_ps(_mm512_srl_epi32(_mm512_castps_si512(a), _mm_cvtsi32_si128((int)bits)))",
  part = "_mm512_cvtepi32_ps(_mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32((int)((1u << bits) - 1u))))",
  store_bytes = "_mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(v)))",
  top = "_mm512_castsi512_ps(_mm512_max_epu32(_mm512_castps_si512(t), _mm512_and_si512(_mm512_castps_si512(a), "
    .. "_mm512_set1_epi32(0x7fffffff))))",
  store_low8 = "_mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtepi32_epi8(_mm512_castps_si512(v)))",
  store_low16 = "_mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi32_epi16(_mm512_castps_si512(v)))",
  pair = "_mm512_castsi512_ps(_mm512_or_si512(_mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(0xffff)), "
    .. "_mm512_slli_epi32(_mm512_castps_si512(b), 16)))",
  load_whole = "_mm512_cvtepi32_ps(_mm512_loadu_si512(p))",
  turn = "_mm512_permute_ps(x, 0xb1)",
  zero_below = "_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, c, _CMP_NLT_UQ), a)",
}
