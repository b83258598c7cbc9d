-- SPDX-License-Identifier: Apache-2.0
-- Arm Cortex-A76 under Linux: Raspberry Pi 5 and CM5, RK3588; Jetson Orin's A78AE is its descendant. Two vector pipes,
-- out of order. gcc must not schedule before it allocates registers, nor look for expressions across blocks or merge
-- tiles into their callers: sums of tiles would end on the stack or be moved from
-- register to register.
return {
  name = "cortex-a76",
  summary = "Arm Cortex-A76 (AArch64 NEON), Linux: CM5, Jetson class",
  isa = "neon",
  integer = "dotprod",
  hosted = true,
  requires = { "neon", "crc32", "dotprod", "lse" },
  preference = 20,
  emulator = { "qemu-aarch64", "-cpu", "cortex-a76" },
  compiler = "aarch64-linux-gnu-gcc",
  archiver = "aarch64-linux-gnu-ar",
  optimisation = "-O2 -fno-schedule-insns -fno-gcse -frename-registers -fno-inline-functions-called-once",
  flags = { "-mcpu=cortex-a76" },
  link_flags = { "-static" },
  core = { fma_per_cycle = 2, loads_per_cycle = 2, stores_per_cycle = 1, fma_latency = 4, issue = 4, divide = 9,
    mispredict = 11 },
  caches = { l1 = 64 * 1024, l2 = 512 * 1024, l3 = 2 * 1024 * 1024 },
  bytes_per_cycle = { l2 = 32, l3 = 10, memory = 4 },
  -- A common clock; bytes of code as gcc makes them.
  clock = 2.4e9,
  code = { operation = 9, loop = 24, call = 32 },
}
