-- SPDX-License-Identifier: Apache-2.0
-- x86-64 with SSE4.2 and neither AVX nor FMA: Intel Atom x6000E (Tremont) and its like. -mno-avx stands last, so that
-- no CFLAGS bring AVX in.
return {
  name = "x86-64-sse42",
  summary = "x86-64 with SSE4.2, no AVX: Atom x6000E class",
  isa = "sse42",
  integer = "sse42",
  arithmetic = "f32-muladd-1",
  hosted = true,
  requires = { "sse42" },
  preference = 5,
  emulator = { "qemu-x86_64", "-cpu", "Denverton" },
  compiler = "gcc",
  flags = { "-march=x86-64-v2", "-mno-avx" },
  -- A multiply-add is two or three instructions (a product overwrites an operand), so two of four are issued; a sum
  -- waits for its addition alone.
  core = { fma_per_cycle = 1, loads_per_cycle = 2, stores_per_cycle = 1, fma_latency = 3, issue = 2, divide = 16,
    mispredict = 13 },
  caches = { l1 = 32 * 1024, l2 = 384 * 1024, l3 = 4 * 1024 * 1024 },
  bytes_per_cycle = { l2 = 16, l3 = 6, memory = 3 },
  clock = 1.8e9,
  code = { operation = 16.5, loop = 32, call = 32 },
}
