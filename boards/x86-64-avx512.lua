-- SPDX-License-Identifier: Apache-2.0
-- x86-64 with AVX-512F: Intel server cores since Skylake (2017), AMD since Zen 4.
return {
  name = "x86-64-avx512",
  summary = "x86-64 with AVX-512F",
  isa = "avx512",
  integer = "avx2",
  hosted = true,
  requires = { "avx512f" },
  preference = 20,
  compiler = "gcc",
  flags = { "-mavx512f", "-mfma", "-mprefer-vector-width=512" },
  core = { fma_per_cycle = 1, loads_per_cycle = 1, stores_per_cycle = 0.5, fma_latency = 4, issue = 6, divide = 10,
    mispredict = 15 },
  caches = { l1 = 32 * 1024, l2 = 1024 * 1024, l3 = 16 * 1024 * 1024 },
  bytes_per_cycle = { l2 = 32, l3 = 12, memory = 5 },
  prefetch = 160 * 1024,
  -- A common clock; bytes of code as gcc's -O2 makes them.
  clock = 3.0e9,
  code = { operation = 17, loop = 32, call = 32 },
}
