-- SPDX-License-Identifier: Apache-2.0
-- Arm Cortex-A53 under Linux: Zynq UltraScale+, i.MX 8M, Raspberry Pi 3. It keeps the order of instructions; a
-- multiply-add of a whole vector and a load of one do not share a cycle, so one is issued in each, and LLVM's model has
-- a load wait six cycles behind a multiply-add (bench/README.md). gcc must not
-- schedule before it allocates registers, nor look for expressions across blocks or merge tiles into their callers:
-- sums of tiles would end on the stack or be moved from register to register.
return {
  name = "cortex-a53",
  summary = "Arm Cortex-A53 (AArch64 NEON), Linux: i.MX8M, Zynq UltraScale+",
  isa = "neon",
  integer = "neon",
  hosted = true,
  requires = { "neon", "crc32" },
  preference = 10,
  emulator = { "qemu-aarch64", "-cpu", "cortex-a53" },
  compiler = "aarch64-linux-gnu-gcc",
  archiver = "aarch64-linux-gnu-ar",
  optimisation = "-O2 -fno-schedule-insns -fno-gcse -frename-registers -fno-inline-functions-called-once",
  flags = { "-mcpu=cortex-a53" },
  link_flags = { "-static" },
  core = { fma_per_cycle = 1, loads_per_cycle = 0.5, stores_per_cycle = 0.5, fma_latency = 8, issue = 1, divide = 36,
    mispredict = 8, turn = 6 },
  caches = { l1 = 32 * 1024, l2 = 512 * 1024 },
  bytes_per_cycle = { l2 = 8, memory = 2 },
  -- A common clock; bytes of code as gcc makes them.
  clock = 1.2e9,
  code = { operation = 9, loop = 24, call = 32 },
}
