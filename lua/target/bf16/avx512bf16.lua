-- SPDX-License-Identifier: Apache-2.0
--- AVX-512 BF16: two products a lane and instruction. Each processor's is tried when a model is opened.
local dwords = "_mm512_castps_si512(v)"
return {
  macros = { "__AVX512BF16__" },
  dot = "_mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b)",
  store = "_mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi64_epi32(_mm512_or_si512(_mm512_srli_epi64("
    .. dwords .. ", 32), _mm512_srli_epi64(_mm512_slli_epi64(" .. dwords .. ", 32), 48))))",
}
