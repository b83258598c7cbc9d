-- SPDX-License-Identifier: Apache-2.0
-- x86-64 with AVX-VNNI, products of bytes on 256 bits: Intel client cores since Alder Lake (2021), AMD since Zen 5.
-- qemu 7 has no such processor.
return {
  name = "x86-64-avxvnni",
  summary = "x86-64 with AVX2, FMA and AVX-VNNI",
  isa = "avx2",
  integer = "avxvnni",
  hosted = true,
  requires = { "avx2", "fma", "avxvnni" },
  preference = 11,
  compiler = "gcc",
  flags = { "-mavx2", "-mavxvnni", "-mfma" },
  core = { fma_per_cycle = 2, loads_per_cycle = 2, stores_per_cycle = 1, fma_latency = 4, issue = 6, divide = 5,
    mispredict = 15 },
  caches = { l1 = 32 * 1024, l2 = 512 * 1024, l3 = 8 * 1024 * 1024 },
  bytes_per_cycle = { l2 = 32, l3 = 12, memory = 5 },
  prefetch = 160 * 1024,
  -- A common clock; bytes of code as gcc's -O2 makes them.
  clock = 3.0e9,
  code = { operation = 16, loop = 32, call = 32 },
}
