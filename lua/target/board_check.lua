-- SPDX-License-Identifier: Apache-2.0
--- What a board's table must be: every field known and of its kind, its files there, its memories apart. Refused in one
-- line that names the file, the field, what was expected and what was found. lua/target/boards.lua says what the fields
-- mean.
local closed = require "support.closed"
local cores = require "schedule.split"
local fail = require "support.fail"
local schema = require "support.schema"
local sys = require "msagen.sys"

local THINGS = { arena = true, weights = true, code = true }
local ALIGNMENT = 64 -- of the arena and of the weights

local kind, flag, number, whole, one_of, list_of, record = schema.kind, schema.flag, schema.number, schema.whole,
  schema.one_of, schema.list_of, schema.record
local text, shown = schema.text, schema.shown

-- What stands in the Makefile, where a shell reads it.
local words = kind(function(value)
  if text(value) or not value:match "^[%w_=+,./:@%%^ -]+$" then
    return "a text of letters, digits, blanks and -_=+,./:@%^ (make and a shell read it)"
  end
end)
local word = kind(function(value)
  if words(value) or value:find " " then
    return "a text of letters, digits and -_=+,./:@%^ (make and a shell read it)"
  end
end)
local command = kind(function(value)
  if word(value) or not value:match "^[%w_./]" then
    return "a program of letters, digits and -_=+,./:@%^ (make and a shell read it)"
  end
end)
local name = kind(function(value)
  if type(value) ~= "string" or not value:match "^[%w_][%w_.-]*$" then
    return "a name of letters, digits, -, _ and ."
  end
end)
local LEAST, MOST = 1e-6, 1e15 -- what no chip lies beyond, and what times and sizes can be computed with
local positive = kind(function(value)
  if number(value) or value <= 0 then return "a number above 0" end
  if value < LEAST or value > MOST then return ("a number from %g to %g"):format(LEAST, MOST) end
end)

-- What GNU ld takes for something else than a memory's name.
local KEYWORDS = {}
for word_ in ([[ABSOLUTE ADDR ALIGN ALIGNOF ASSERT AT BIND BLOCK CONSTANT COPY DATA_SEGMENT_ALIGN DATA_SEGMENT_END
  DATA_SEGMENT_RELRO_END DEFINED DSECT ENTRY EXTERN FLOAT FORCE_COMMON_ALLOCATION GROUP HLL INCLUDE INFO
  INHIBIT_COMMON_ALLOCATION INPUT LD_FEATURE LENGTH LOADADDR LOG2CEIL MAP MAX MEMORY MIN NEXT NOCROSSREFS
  NOCROSSREFS_TO NOFLOAT NOLOAD ONLY_IF_RO ONLY_IF_RW ORIGIN OUTPUT OUTPUT_ARCH OUTPUT_FORMAT OVERLAY PHDRS PROVIDE
  PROVIDE_HIDDEN READONLY REGION_ALIAS SEARCH_DIR SECTIONS SEGMENT_START SIZEOF SIZEOF_HEADERS SPECIAL STARTUP
  SUBALIGN SYSLIB TARGET VERSION l len o org]]):gmatch "%S+" do KEYWORDS[word_] = true end

local MEMORY = {
  name = { kind(function(value)
    if type(value) ~= "string" or not value:match "^[%a_][%w_]*$" then return "a name of letters, digits and _" end
    if KEYWORDS[value] then return "a name that is no word of linker scripts" end
  end), true },
  address = { whole(0, 1 << 47) }, bytes = { whole(1, 1 << 47), true }, kind = { one_of("ram", "flash", "ddr"), true },
  bandwidth = { positive, true }, reserved = { whole(0, math.maxinteger) },
  holds = { list_of(one_of("arena", "weights", "code"), 1), true },
}

local FIELDS = {
  name = { name, true }, like = { name }, summary = { text, true }, isa = { text, true }, integer = { text },
    bf16 = { text },
    registers = { whole(4, 256) },
    arithmetic = { one_of("f32-fma-1", "f32-muladd-1") }, hosted = { flag, true },
    requires = { list_of(text, 0), true },
  preference = { number, true }, default_on = { list_of(text, 1) },
  emulator = { list_of(text, 1) }, compiler = { command, true },
    flags = { list_of(word, 0), true }, archiver = { command },
  link_flags = { list_of(word, 0) }, optimisation = { words },
  start = { record { folder = { name, true },
    script = { kind(function(value) if name(value)
    or not value:find "%.ld$" then return "a linker script's name, NAME.ld" end end), true },
    product = { list_of(name, 1), true }, runner = { list_of(name, 0), true } } },
  cores = { whole(1, cores.MOST) }, stack = { whole(256, 1 << 31) },
  core = { record { fma_per_cycle = { positive, true }, loads_per_cycle = { positive }, stores_per_cycle = { positive },
    fma_latency = { positive }, issue = { positive }, divide = { positive }, mispredict = { positive },
    turn = { positive } }, true },
  caches = { record { l1 = { whole(1024, math.maxinteger), true }, l2 = { whole(1024, math.maxinteger), true },
    l3 = { whole(1024, math.maxinteger) } }, true },
  bytes_per_cycle = { record { l2 = { positive }, l3 = { positive }, memory = { positive } } },
  prefetch = { whole(1, math.maxinteger) }, address_bits = { whole(16, 64) }, clock = { positive },
    code = { record { operation = { positive, true }, loop = { positive, true }, call = { positive, true } } },
  memories = { kind(function(value)
    if type(value) ~= "table" or #value == 0 then
      return "a list of memories", type(value) == "table" and next(value) == nil and "an empty one" or nil
    end
  end) },
}

local c_text = kind(function(value)
  if type(value) ~= "string" or not value:find "%S" then return "C text" end
end)
local ISA = { width = { one_of(1, 2, 4, 8, 16), true }, registers = { FIELDS.registers[1], true }, include = { text },
  flags = { list_of(word, 1) }, macros = { list_of(word, 1) }, prelude = { c_text },
  flushes = { record { hold = { c_text, true }, read = { c_text, true }, write = { c_text, true },
    mask = { c_text, true } } } }
for _, field in ipairs { "vector", "load", "store", "splat", "add", "sub", "mul", "div", "max", "abs", "scale",
  "zero_below" } do
  ISA[field] = { c_text, true }
end
for _, field in ipairs { "fma", "fnma", "fma_lane", "fma_scalar", "min", "select", "zip_low", "zip_high", "exponent",
  "mantissa", "low16", "high16", "gather", "whole", "part", "load_bytes", "store_bytes", "load_some", "store_some",
  "some", "turn", "top", "store_low8", "store_low16", "load_whole", "pair" } do
  ISA[field] = { c_text }
end
-- Of products of whole numbers: a file of lua/target/integer.
local INTEGER = { lanes = { one_of(1, 2, 4, 8, 16), true }, registers = { FIELDS.registers[1] },
  macros = { list_of(word, 1) }, include = { text }, biased = { flag },
  form = { one_of("pairs", "columns") }, values = { one_of("halves", "columns") }, number = { one_of(1, 2) },
  rows = { whole(1, 16) },
  rate = { record { bytes = { positive }, pairs = { positive }, halves = { positive }, columns = { positive } } },
  halves = { record { high = { c_text, true }, low = { c_text, true } } } }
for _, field in ipairs { "vector", "word", "load", "bytes", "bytes_lane", "pairs", "float", "widen_low", "widen_high",
  "shift7", "dot8", "dot16", "join" } do
  INTEGER[field] = { c_text }
end

-- Of products of pairs in bf16: a file of lua/target/bf16.
local BF16 = { macros = { list_of(word, 1) }, dot = { c_text, true }, store = { c_text, true } }

local function check_memories(board, where)
  local holders, seen = {}, {}
  local bits = math.min(board.address_bits or 47, 62)
  local limit = 1 << bits
  for i, memory in ipairs(board.memories) do
    local what = ("%s: memories: number %d"):format(where, i)
    if type(memory) ~= "table" then fail("%s: expected a table, found %s", what, shown(memory)) end
    schema.check(memory, MEMORY, what)
    what = ("%s: memories: %s"):format(where, memory.name)
    if seen[memory.name] then fail("%s: expected a name of its own, found it twice", what) end
    seen[memory.name] = true
    for _, thing in ipairs(memory.holds) do
      holders[thing] = true
      if thing == "arena" and memory.kind == "flash" then
        fail("%s: kind: expected ram or ddr where it holds the arena, found flash", what)
      end
    end
    if (memory.reserved or 0) > memory.bytes then
      fail("%s: reserved: expected at most its %d bytes, found %d", what, memory.bytes, memory.reserved)
    end
    if board.start and not memory.address then
      fail("%s: address: expected one, as the linker script needs it, found none", what)
    end
    if memory.address and memory.address % ALIGNMENT ~= 0 then
      fail("%s: address: expected a multiple of %d, found 0x%x", what, ALIGNMENT, memory.address)
    end
    if memory.address and memory.address + memory.bytes > limit then
      fail("%s: bytes: expected an end within addresses of %d bits, found 0x%x", what, bits,
        memory.address + memory.bytes)
    end
    for k = 1, memory.address and i - 1 or 0 do
      local other = board.memories[k]
      if other.address and memory.address < other.address + other.bytes
        and other.address < memory.address + memory.bytes then
        fail("%s: address: expected a place that no other memory has, found 0x%x, which lies in %s", what,
          math.max(memory.address, other.address), other.name)
      end
    end
  end
  for _, thing in ipairs(closed.sorted(THINGS)) do
    if not holders[thing] then fail("%s: memories: expected one that holds %s, found none", where, thing) end
  end
end

local check = {}

--- Check an instruction set's table, as docs/targets.md describes it.
function check.isa(isa, where)
  schema.check(isa, ISA, where)
  for _, together in ipairs { { "load_some", "store_some", "some" }, { "gather", "whole", "part" },
    { "top", "store_low8", "store_low16" } } do
    for _, field in ipairs(together) do
      for _, other in ipairs(together) do
        if isa[field] and not isa[other] then
          fail("%s: %s: expected C text beside %s, found none", where, other, field)
        end
      end
    end
  end
end

--- Check the table of an instruction set's products of whole numbers. @param isa the board's
function check.integer(integer, where, isa)
  schema.check(integer, INTEGER, where)
  local function needs(what, ...)
    for _, field in ipairs { ... } do
      if not integer[field] then fail("%s: %s: expected it beside %s, found none", where, field, what) end
    end
  end
  if integer.vector and integer.form ~= "columns" then
    needs("vector", "registers", "word", "load", "float", integer.form or "bytes")
  end
  if integer.form == "pairs" then needs("form = pairs", "vector", "pairs", "widen_low", "widen_high", "number") end
  if integer.form == "columns" then needs("form = columns", "rows", integer.number == 2 and "dot16" or "dot8") end
  if integer.values == "columns" then needs("values = columns", "dot16") end
  if integer.values == "halves" then needs("values = halves", "bytes_lane", "shift7", "halves") end
  if integer.vector and not isa.top then
    fail("%s: vector: expected an instruction set with top, store_low8 and store_low16, found %s", where, isa.name)
  end
end

check.shown = shown
--- A table of lua/target/bf16.
function check.bf16(set, where) schema.check(set, BF16, where) end

check.fields, check.isa_fields, check.integer_fields, check.bf16_fields, check.memory_fields = FIELDS, ISA, INTEGER,
  BF16, MEMORY

--- Check a board's table; `isa` may still be a name.
-- @param where what messages begin with  @param find function(file of start) -> folder that has it, or nil
function check.board(board, where, find)
  schema.check(board, FIELDS, where)
  if board.memories then check_memories(board, where) end
  local start = board.start
  if not start then return end
  if board.hosted then fail("%s: start: expected none where hosted = true, found a table", where) end
  for _, field in ipairs { "memories", "stack" } do
    if not board[field] then
      fail("%s: %s: expected it beside start, as the linker script needs it, found none", where, field)
    end
  end
  if board.stack % 8 ~= 0 then fail("%s: stack: expected a multiple of 8, found %d", where, board.stack) end
  local files = { { "script", start.script } }
  for _, list in ipairs { "product", "runner" } do
    for _, file in ipairs(start[list]) do files[#files + 1] = { list, file .. ".c" } end
  end
  local seen = {}
  for _, file in ipairs(files) do
    if seen[file[2]] then fail("%s: start: %s: expected each file once, found %s twice", where, file[1], file[2]) end
    seen[file[2]] = true
    if not find(file[2]) then
      fail("%s: start: %s: expected a file of the folder %s, found no %s", where, file[1], start.folder, file[2])
    end
  end
end

return check
