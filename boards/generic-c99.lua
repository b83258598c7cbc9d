-- SPDX-License-Identifier: Apache-2.0
-- Plain C99 for any hosted compiler: the reference that every other board's digest is held against. Fused multiply-adds
-- are computed exactly in software where the target has none, so it is slow.
return {
  name = "generic-c99",
  summary = "plain C99, any processor: the reference",
  isa = "c99",
  hosted = true,
  requires = {},
  preference = 0,
  compiler = "gcc",
  flags = {},
  core = { fma_per_cycle = 1, loads_per_cycle = 2, stores_per_cycle = 1, fma_latency = 4, issue = 4, divide = 8,
    mispredict = 15 },
  caches = { l1 = 32 * 1024, l2 = 256 * 1024 },
  bytes_per_cycle = { l2 = 16, l3 = 8, memory = 4 },
  -- Any host: a common clock and one core's share of its memory; bytes of code as gcc's -O2 makes them, its fma a
  -- function.
  clock = 3.0e9,
  code = { operation = 21, loop = 32, call = 32 },
}
