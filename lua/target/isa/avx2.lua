-- SPDX-License-Identifier: Apache-2.0
--- AVX2 with FMA: 8 floats a vector, 16 registers.
return {
  width = 8,
  registers = 16,
  include = "immintrin.h",
  macros = { "__AVX2__", "__FMA__" },
  vector = "__m256",
  load = "_mm256_loadu_ps(p)",
  store = "_mm256_storeu_ps(p, v)",
  splat = "_mm256_set1_ps(s)",
  add = "_mm256_add_ps(a, b)",
  sub = "_mm256_sub_ps(a, b)",
  mul = "_mm256_mul_ps(a, b)",
  div = "_mm256_div_ps(a, b)",
  fma = "_mm256_fmadd_ps(a, b, c)",
  fnma = "_mm256_fnmadd_ps(a, b, c)",
  max = "_mm256_max_ps(a, b)",
  min = "_mm256_min_ps(a, b)",
  select = "_mm256_blendv_ps(b, a, _mm256_cmp_ps(x, c, _CMP_LT_OQ))",
  abs = "_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a)",
  zip_low = "_mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x20)",
  zip_high = "_mm256_permute2f128_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b), 0x31)",
  scale = "_mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), "
    .. "_mm256_slli_epi32(_mm256_castps_si256(t), 23)))",
  exponent = "_mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_sub_epi32(_mm256_castps_si256(a), "
    .. "_mm256_set1_epi32(0x3f3504f3)), 23))",
  mantissa = "_mm256_castsi256_ps(_mm256_add_epi32(_mm256_and_si256(_mm256_sub_epi32(_mm256_castps_si256(a), "
    .. "_mm256_set1_epi32(0x3f3504f3)), _mm256_set1_epi32(0x7fffff)), _mm256_set1_epi32(0x3f3504f3)))",
  low16 = "_mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(_mm256_castps_si256(a), 16), 16))",
  high16 = "_mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_castps_si256(a), 16))",
  load_bytes = "_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)))",
  gather = "_mm256_i32gather_ps(p, _mm256_cvttps_epi32(i), 4)",
  whole = "_mm256_cvtepi32_ps(_mm256_srl_epi32(_mm256_castps_si256(a), _mm_cvtsi32_si128((int)bits)))",
  part = "_mm256_cvtepi32_ps(_mm256_and_si256(_mm256_castps_si256(a), _mm256_set1_epi32((int)((1u << bits) - 1u))))",
  store_bytes = "const __m256i n = _mm256_cvttps_epi32(v); "
    .. "const __m128i pairs = _mm_packus_epi32(_mm256_castsi256_si128(n), _mm256_extracti128_si256(n, 1)); "
    .. "_mm_storel_epi64((__m128i *)(void *)p, _mm_packus_epi16(pairs, pairs))",
  top = "_mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(t), _mm256_and_si256(_mm256_castps_si256(a), "
    .. "_mm256_set1_epi32(0x7fffffff))))",
  store_low8 = "const __m256i n = _mm256_and_si256(_mm256_castps_si256(v), _mm256_set1_epi32(0xff)); "
    .. "const __m128i pairs = _mm_packus_epi32(_mm256_castsi256_si128(n), _mm256_extracti128_si256(n, 1)); "
    .. "_mm_storel_epi64((__m128i *)(void *)p, _mm_packus_epi16(pairs, pairs))",
  store_low16 = "const __m256i n = _mm256_and_si256(_mm256_castps_si256(v), _mm256_set1_epi32(0xffff)); "
    .. "_mm_storeu_si128((__m128i *)(void *)p, _mm_packus_epi32(_mm256_castsi256_si128(n), "
    .. "_mm256_extracti128_si256(n, 1)))",
  pair = "_mm256_castsi256_ps(_mm256_or_si256(_mm256_and_si256(_mm256_castps_si256(a), _mm256_set1_epi32(0xffff)), "
    .. "_mm256_slli_epi32(_mm256_castps_si256(b), 16)))",
  load_whole = "_mm256_cvtepi32_ps(_mm256_loadu_si256((const __m256i *)(const void *)p))",
  turn = "_mm256_permute_ps(x, 0xb1)",
  zero_below = "_mm256_and_ps(_mm256_cmp_ps(x, c, _CMP_NLT_UQ), a)",
}
