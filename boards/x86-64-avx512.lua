-- SPDX-License-Identifier: Apache-2.0
-- x86-64 with AVX-512F: Intel server cores since Skylake (2017), AMD since Zen 4.
return {
  name = "x86-64-avx512",
  summary = "x86-64 with AVX-512F",
  isa = "avx512",
  hosted = true,
  requires = { "avx512f" },
  preference = 20,
  compiler = "gcc",
  flags = { "-mavx512f", "-mfma", "-mprefer-vector-width=512" },
  core = { fma_per_cycle = 2, loads_per_cycle = 2, fma_latency = 4 },
  caches = { l1 = 32 * 1024, l2 = 1024 * 1024 },
  k_block = 768,
}
