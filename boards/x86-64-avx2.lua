-- SPDX-License-Identifier: Apache-2.0
-- x86-64 with AVX2 and FMA: Intel since Haswell (2013), AMD since Excavator and Zen.
return {
  name = "x86-64-avx2",
  summary = "x86-64 with AVX2 and FMA",
  isa = "avx2",
  integer = "avx2",
  hosted = true,
  requires = { "avx2", "fma" },
  preference = 10,
  emulator = { "qemu-x86_64", "-cpu", "EPYC-Rome" },
  compiler = "gcc",
  flags = { "-mavx2", "-mfma" },
  core = { fma_per_cycle = 2, loads_per_cycle = 2, stores_per_cycle = 1, fma_latency = 4, issue = 6, divide = 5,
    mispredict = 15 },
  caches = { l1 = 32 * 1024, l2 = 512 * 1024, l3 = 8 * 1024 * 1024 },
  bytes_per_cycle = { l2 = 32, l3 = 12, memory = 5 },
  prefetch = 160 * 1024,
  -- A common clock; bytes of code as gcc's -O2 makes them.
  clock = 3.0e9,
  code = { operation = 16, loop = 32, call = 32 },
}
