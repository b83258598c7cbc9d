-- SPDX-License-Identifier: Apache-2.0
--- AVX-VNNI: the instructions of AVX-512 VNNI on vectors of 256 bits, for processors without AVX-512.
return {
  lanes = 8,
  registers = 16,
  macros = { "__AVXVNNI__" },
  biased = true,
  vector = "int32_t msa_ints __attribute__((vector_size(32), may_alias))",
  word = "(msa_ints)_mm256_set1_epi32(w)",
  load = "(msa_ints)_mm256_loadu_si256((const __m256i *)(const void *)p)",
  bytes = "(msa_ints)_mm256_dpbusd_avx_epi32((__m256i)c, (__m256i)a, (__m256i)b)",
  pairs = "(msa_ints)_mm256_dpwssd_avx_epi32((__m256i)c, (__m256i)a, (__m256i)b)",
  float = "_mm256_cvtepi32_ps((__m256i)c)",
  rate = { bytes = 1, pairs = 1 },
}
