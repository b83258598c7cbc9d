-- SPDX-License-Identifier: 0BSD
-- A template: copy it to NAME.lua in a folder of your own, let `name` be NAME, put in your numbers, drop what is
-- optional and not yours, and
--     msagen boards ./NAME.lua                             # says what is wrong with it, in one line
--     msagen build model.pth --board ./NAME.lua -o fw
-- Every field is here, with its unit and where its number is found: TRM, the core's technical reference manual (Arm,
-- Intel); data sheet and reference manual, the chip maker's. As it stands it is a Cortex-M7 and is listed nowhere.
-- `like = "cortex-m7"` in a board's file takes all fields that the file
-- does not have from that board of msagen's, and `FIELD = false` drops one of those. docs/boards.md leads through it.
-- Only `arithmetic`, `isa` and the memories decide whether results are right and fit. The numbers of core, caches,
-- bytes_per_cycle and clock choose tiles and make predictions: a wrong one costs speed, and never a bit of a result.
return {
  -- As the file is called; and a line for people.
  name = "my-board",
  summary = "template: Cortex-M7, bare metal",

  -- The instructions: a name of lua/target/isa ("c99": any processor, one float at a time; "neon": Armv8-A; "avx2",
  -- ...), or a file like those beside this one.
  -- TRM, "floating-point extension", "Advanced SIMD", "MVE". Without VFMA or FMLA (or FMA3 on x86) arithmetic is
  -- "f32-muladd-1": another digest, whose reference is the board generic-c99-nofma; with them leave the field out.
  isa = "c99",
  -- The products of whole numbers, for --precision int8: a name of lua/target/integer, likewise.
  integer = "c99", -- optional: c99 unless said
  -- An instruction that multiplies pairs of numbers in bf16, for --precision bf16: a name of lua/target/bf16, likewise.
  -- Its chain must be that of docs/arithmetic.md, which msa_open tries; Arm's BFDOT rounds otherwise. Without it such
  -- products are float32's.
  -- bf16 = "avx512bf16",
  arithmetic = "f32-fma-1",
  -- Optional, the core's vector registers, or with "c99" its registers of one float: tiles of products then fill them.
  registers = 32,

  -- true: an operating system with stdio; then `start`, `stack` and addresses of memories are left out.
  hosted = false,
  -- Features that a CPU must have to run the board's programs as they are, where msagen runs: { "avx2", "fma" }, {
  -- "neon" }. Without an operating system, none.
  requires = {},
  -- Among msagen's boards that this CPU runs the highest is the default; of no account in a file of your own.
  preference = 0,
  -- Optional, of no account likewise: CPU features without which it is no default all the same.
  -- default_on = { "amd" },
  -- Optional: the command that runs a program here. {program} and {arguments} are put in (semihosting); without them
  -- the program and its arguments follow, as in { "qemu-aarch64", "-cpu", "cortex-a72" }. Without an emulator `msagen
  -- run` refuses, and the board's programs run on the board only.
  emulator = { "qemu-system-arm", "-M", "mps2-an500", "-display", "none", "-monitor", "none", "-serial", "none",
    "-semihosting-config", "enable=on,target=native{arguments}", "-kernel", "{program}" },

  -- What `make` calls; flags that say which core, float unit and calling convention, one a text, without blanks or what
  -- a shell takes for something else.
  -- The same ones as the rest of the firmware's.
  compiler = "arm-none-eabi-gcc",
  archiver = "arm-none-eabi-ar", -- optional: ar
  flags = { "-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-d16", "-mfloat-abi=hard", "-ffreestanding" },
  -- optional: of the test bench's program alone
  link_flags = { "-nostartfiles", "-T", "msa_board.ld", "-Wl,--wrap=main,-z,noexecstack" },
  optimisation = "-O2", -- optional: what CFLAGS are unless make is told others

  -- Optional, without an operating system: the linker script and C files of a folder, here boards/cortex-m of msagen's.
  -- A folder of that name beside this file comes first, file by file: put your own msa_board.ld or msa_start.c there.
  -- product: linked with a product that brings none of its own;
  -- runner: what the test bench has in the place of an operating system.
  start = { folder = "cortex-m", script = "msa_board.ld", product = { "msa_start", "msa_memory", "msa_dwt" },
    runner = { "msa_semihosting" } },

  -- Optional: the most that --cores may say. Data sheet: cores whose caches are coherent.
  cores = 1,
  -- Bytes, a multiple of 8, without an operating system: the model's own need (docs/boards.md) and the product's and
  -- its interrupts'.
  stack = 16 * 1024,
  -- Optional: bits of an address of the program's memory; a larger arena is refused. 32 or 47.
  address_bits = 32,

  -- Reference manual, "memory map"; data sheet of an external memory. In the order in which they are tried.
  memories = {
    {
      name = "flash", kind = "flash", -- for people; "ram", "flash" (not written by the program) or "ddr"
      address = 0x00000000, -- of the first byte, a multiple of 64
      bytes = 4 * 1024 * 1024, -- its size, or what of it the model may have
      -- what may lie there: "arena" (with it stack and data), "weights", "code" (with its constants)
      holds = { "code" },
      -- bytes a second that the core reads, in the order of addresses: bus width x clock / wait states; of QSPI flash
      -- clock x lines / 8
      bandwidth = 400e6,
    },
    { name = "ram", address = 0x20000000, bytes = 4 * 1024 * 1024, kind = "ram", holds = { "arena" },
      bandwidth = 1600e6,
      reserved = 64 * 1024 }, -- optional: bytes for stack, images, masks and all that is not the model's
    { name = "external", address = 0x60000000, bytes = 16 * 1024 * 1024, kind = "flash", holds = { "weights" },
      bandwidth = 133e6 },
  },

  -- Hz of the core as the product sets it. Reference manual, "clock tree".
  clock = 480e6,
  -- TRM or software optimisation guide, "instruction timing". Each cycle: multiply-adds of a whole vector, loads and
  -- stores of one, instructions of any kind. In cycles: from a multiply-add to one that needs its result, a division of
  -- a vector, a branch that was foreseen wrongly.
  -- Optional, of a core that keeps the order of instructions and issues either a multiply-add or a load of a vector:
  -- `turn`, cycles that a load waits which stands behind multiply-adds. Tiles then load first and multiply then, as
  -- boards/cortex-a53.lua has it.
  core = { fma_per_cycle = 1, loads_per_cycle = 1, stores_per_cycle = 1, fma_latency = 5, issue = 1.5, divide = 14,
    mispredict = 8 },
  -- Bytes for one core. TRM or data sheet, "L1 data cache", "L2". Without a second level, l2 as l1; l3 is optional.
  -- Tightly coupled memory is no cache.
  caches = { l1 = 16 * 1024, l2 = 16 * 1024 },
  -- Optional, bytes each cycle that come to one core from the second cache, the third (l3) and memory: bandwidth /
  -- clock.
  bytes_per_cycle = { l2 = 4, memory = 0.5 },
  -- Optional: products with weights of at least so many bytes ask for a panel's lines, to the second cache, while the
  -- one before is multiplied. Measure it: where cores find panels by themselves it only costs instructions.
  prefetch = 160 * 1024,
  -- Bytes of machine code of an operation on a vector, of a loop's frame, of a call, for `msagen plan`: divide an
  -- object's .text by what is in it, or take those of a board with the same instructions.
  code = { operation = 8, loop = 16, call = 16 },
}
