-- SPDX-License-Identifier: Apache-2.0
-- Arm Cortex-M55 without an operating system: Alif Ensemble, NXP and Renesas parts of its class. The memories are those
-- of Arm's MPS3 with image AN547 (Corstone-300), which qemu emulates: code in the instruction TCM, where the processor
-- looks after reset, and its DDR4 plays the memory-mapped flash
-- that holds a product's weights. All is secure: nothing sets up the SAU. For another board copy this file and put its
-- memories here (docs/boards.md).
return {
  name = "cortex-m55",
  summary = "Arm Cortex-M55 (Helium), bare metal: Alif Ensemble",
  isa = "helium",
  integer = "helium",
  hosted = false,
  requires = {},
  preference = 0,
  emulator = { "qemu-system-arm", "-M", "mps3-an547", "-display", "none", "-monitor", "none", "-serial", "none",
    "-semihosting-config", "enable=on,target=native{arguments}", "-kernel", "{program}" },
  compiler = "arm-none-eabi-gcc",
  archiver = "arm-none-eabi-ar",
  -- gcc 12 knows nothing of this core's order: loads go between multiply-adds, as tiles have them
  optimisation = "-O2 -fno-schedule-insns -mtune=cortex-m7",
  flags = { "-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard", "-ffreestanding" },
  link_flags = { "-nostartfiles", "-T", "msa_board.ld", "-Wl,--wrap=main,-z,noexecstack" },
  start = { folder = "cortex-m", script = "msa_board.ld", product = { "msa_start", "msa_memory", "msa_dwt" },
    runner = { "msa_semihosting" } },
  cores = 1,
  address_bits = 32,
  stack = 16 * 1024,
  memories = {
    { name = "itcm", address = 0x00000000, bytes = 512 * 1024, kind = "ram", holds = { "code" }, bandwidth = 1600e6 },
    { name = "sram", address = 0x21000000, bytes = 4 * 1024 * 1024, kind = "ram", holds = { "arena" },
      bandwidth = 1600e6, reserved = 64 * 1024 },
    { name = "external", address = 0x60000000, bytes = 16 * 1024 * 1024, kind = "flash", holds = { "weights" },
      bandwidth = 200e6 },
  },
  core = { fma_per_cycle = 0.5, loads_per_cycle = 0.5, stores_per_cycle = 0.5, fma_latency = 4, issue = 2, divide = 56,
    mispredict = 4 },
  clock = 400e6,
  code = { operation = 11.7, loop = 20, call = 24 },
  caches = { l1 = 32 * 1024, l2 = 32 * 1024 },
  bytes_per_cycle = { l2 = 8, memory = 0.5 },
}
