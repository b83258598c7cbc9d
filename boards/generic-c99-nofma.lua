-- SPDX-License-Identifier: Apache-2.0
-- Plain C99 for processors without fused multiply-adds: the reference of f32-muladd-1. Faster than generic-c99 where
-- those are computed in software, and another digest.
return {
  name = "generic-c99-nofma",
  summary = "plain C99, products rounded: the reference for processors without FMA",
  isa = "c99",
  arithmetic = "f32-muladd-1",
  hosted = true,
  requires = {},
  preference = -1,
  compiler = "gcc",
  flags = {},
  -- Two units that multiply and two that add; the model counts a multiply-add as one instruction, and here it is two or
  -- three.
  core = { fma_per_cycle = 2, loads_per_cycle = 2, stores_per_cycle = 1, fma_latency = 4, issue = 2, divide = 8,
    mispredict = 15 },
  caches = { l1 = 32 * 1024, l2 = 256 * 1024 },
  bytes_per_cycle = { l2 = 16, l3 = 8, memory = 4 },
  clock = 3.0e9,
  code = { operation = 21, loop = 32, call = 32 },
}
