-- SPDX-License-Identifier: Apache-2.0
-- Arm Cortex-M7 without an operating system: STM32H7, i.MX RT. One float at a time, two instructions a cycle in order.
-- The memories are those of Arm's MPS2+ with image AN500, which qemu emulates: its 16 MB of PSRAM play the
-- memory-mapped flash that holds a product's weights. For another board copy this file and put its memories here
-- (docs/boards.md).
return {
  name = "cortex-m7",
  summary = "Arm Cortex-M7 (FPv5-D16), bare metal: STM32H7, i.MX RT",
  isa = "c99",
  integer = "smlad",
  registers = 32,
  hosted = false,
  requires = {},
  preference = 0,
  emulator = { "qemu-system-arm", "-M", "mps2-an500", "-display", "none", "-monitor", "none", "-serial", "none",
    "-semihosting-config", "enable=on,target=native{arguments}", "-kernel", "{program}" },
  compiler = "arm-none-eabi-gcc",
  archiver = "arm-none-eabi-ar",
  flags = { "-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-d16", "-mfloat-abi=hard", "-ffreestanding" },
  link_flags = { "-nostartfiles", "-T", "msa_board.ld", "-Wl,--wrap=main,-z,noexecstack" },
  start = { folder = "cortex-m", script = "msa_board.ld", product = { "msa_start", "msa_memory", "msa_dwt" },
    runner = { "msa_semihosting" } },
  cores = 1,
  address_bits = 32,
  stack = 16 * 1024,
  memories = {
    { name = "flash", address = 0x00000000, bytes = 4 * 1024 * 1024, kind = "flash", holds = { "code" },
      bandwidth = 400e6 },
    { name = "ram", address = 0x20000000, bytes = 4 * 1024 * 1024, kind = "ram", holds = { "arena" },
      bandwidth = 1600e6, reserved = 64 * 1024 },
    { name = "external", address = 0x60000000, bytes = 16 * 1024 * 1024, kind = "flash", holds = { "weights" },
      bandwidth = 133e6 },
  },
  core = { fma_per_cycle = 1, loads_per_cycle = 1, stores_per_cycle = 1, fma_latency = 5, issue = 1.5, divide = 14,
    mispredict = 8 },
  clock = 480e6,
  code = { operation = 7.5, loop = 16, call = 20 },
  caches = { l1 = 16 * 1024, l2 = 16 * 1024 },
  bytes_per_cycle = { l2 = 4, memory = 0.5 },
}
