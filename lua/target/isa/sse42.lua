-- SPDX-License-Identifier: Apache-2.0
--- SSE: 4 floats a vector, 16 registers; no fused multiply-add. SSE2 has all of it; SSE4.2 adds the CRC-32C
-- instruction, which the runtime takes.
return {
  width = 4,
  registers = 16,
  include = "smmintrin.h",
  macros = { "__SSE4_2__" },
  vector = "__m128",
  load = "_mm_loadu_ps(p)",
  store = "_mm_storeu_ps(p, v)",
  splat = "_mm_set1_ps(s)",
  add = "_mm_add_ps(a, b)",
  sub = "_mm_sub_ps(a, b)",
  mul = "_mm_mul_ps(a, b)",
  div = "_mm_div_ps(a, b)",
  max = "_mm_max_ps(a, b)",
  min = "_mm_min_ps(a, b)",
  select = "_mm_or_ps(_mm_and_ps(_mm_cmplt_ps(x, c), a), _mm_andnot_ps(_mm_cmplt_ps(x, c), b))",
  abs = "_mm_andnot_ps(_mm_set1_ps(-0.0f), a)",
  zip_low = "_mm_unpacklo_ps(a, b)",
  zip_high = "_mm_unpackhi_ps(a, b)",
  scale = "_mm_castsi128_ps(_mm_add_epi32(_mm_castps_si128(a), _mm_slli_epi32(_mm_castps_si128(t), 23)))",
  exponent = "_mm_cvtepi32_ps(_mm_srai_epi32(_mm_sub_epi32(_mm_castps_si128(a), _mm_set1_epi32(0x3f3504f3)), 23))",
  mantissa = "_mm_castsi128_ps(_mm_add_epi32(_mm_and_si128(_mm_sub_epi32(_mm_castps_si128(a), "
    .. "_mm_set1_epi32(0x3f3504f3)), _mm_set1_epi32(0x7fffff)), _mm_set1_epi32(0x3f3504f3)))",
  low16 = "_mm_cvtepi32_ps(_mm_srai_epi32(_mm_slli_epi32(_mm_castps_si128(a), 16), 16))",
  high16 = "_mm_cvtepi32_ps(_mm_srai_epi32(_mm_castps_si128(a), 16))",
  top = "_mm_castsi128_ps(_mm_max_epi32(_mm_castps_si128(t), _mm_and_si128(_mm_castps_si128(a), "
    .. "_mm_set1_epi32(0x7fffffff))))",
  store_low8 = "const __m128i n = _mm_and_si128(_mm_castps_si128(v), _mm_set1_epi32(0xff)); "
    .. "const __m128i pairs = _mm_packus_epi32(n, n); "
    .. "const int32_t word = _mm_cvtsi128_si32(_mm_packus_epi16(pairs, pairs)); memcpy(p, &word, sizeof word)",
  store_low16 = "const __m128i n = _mm_and_si128(_mm_castps_si128(v), _mm_set1_epi32(0xffff)); "
    .. "_mm_storel_epi64((__m128i *)(void *)p, _mm_packus_epi32(n, n))",
  pair = "_mm_castsi128_ps(_mm_or_si128(_mm_and_si128(_mm_castps_si128(a), _mm_set1_epi32(0xffff)), "
    .. "_mm_slli_epi32(_mm_castps_si128(b), 16)))",
  load_whole = "_mm_cvtepi32_ps(_mm_loadu_si128((const __m128i *)(const void *)p))",
  turn = "_mm_shuffle_ps(x, x, 0xb1)",
  zero_below = "_mm_and_ps(_mm_cmpnlt_ps(x, c), a)",
}
