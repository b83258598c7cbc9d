-- SPDX-License-Identifier: Apache-2.0
-- Arm Cortex-A7 under Linux: STM32MP1, i.MX 6UL and 7, Allwinner and Rockchip of the time. NEON's data path is 64 bits
-- wide and multiplies two floats at half rate:
-- four cycles for a multiply-add of a vector, two for a load.
return {
  name = "cortex-a7",
  summary = "Arm Cortex-A7 (ARMv7 NEON, VFPv4), Linux: STM32MP1, i.MX6UL",
  isa = "neon32",
  integer = "neon32",
  hosted = true,
  requires = { "neon", "vfpv4" },
  preference = 5,
  emulator = { "qemu-arm", "-cpu", "cortex-a7" },
  compiler = "arm-linux-gnueabihf-gcc",
  archiver = "arm-linux-gnueabihf-ar",
  flags = { "-mcpu=cortex-a7", "-mfpu=neon-vfpv4", "-mfloat-abi=hard" },
  link_flags = { "-static" },
  address_bits = 31,
  core = { fma_per_cycle = 0.25, loads_per_cycle = 0.5, stores_per_cycle = 0.5, fma_latency = 8, issue = 1, divide = 72,
    mispredict = 8 },
  caches = { l1 = 32 * 1024, l2 = 256 * 1024 },
  bytes_per_cycle = { l2 = 4, memory = 1 },
  -- A common clock; bytes of code as gcc makes them.
  clock = 800e6,
  code = { operation = 8.8, loop = 24, call = 32 },
}
