-- SPDX-License-Identifier: Apache-2.0
--- The manifest of a generated folder, as the verbs read it: every field that any of them uses is of its kind, and what
-- has a closed set of values has one of them. A folder of a version that knows more (another precision, say) is refused
-- with a word about that. Fields that nobody reads may be anything.
local arithmetic = require "target.arithmetic"
local fail = require "support.fail"
local preparation = require "import.preparation"
local closed = require "support.closed"
local schema = require "support.schema"

local kind, one_of, list_of = schema.kind, schema.one_of, schema.list_of

local above_0 = kind(function(value)
  if math.type(value) ~= "integer" or value < 1 then return "a number above 0" end
end)
local file = kind(function(value)
  if type(value) ~= "string" or value == "" then return "a text" end
  if value:find("/", 1, true) then return "a file of the folder" end
end)
local runner = kind(function(value)
  if type(value) ~= "string" or value == "" then return "a text" end
  if not require("run.made").base(value) then return "a file of the folder, or of its runner/" end
end)
local number = kind(function(value)
  if type(value) ~= "number" then return "a number" end
end)

local named = kind(function(value)
  if type(value) ~= "table" or schema.text(value.name) then return "a table with a name" end
end)

local manifest = {}

-- Of a front end, before a network or alone; lua/signal/front.lua checks its description.
local of_front = { frontend = schema.table, lines = above_0, line_bytes = above_0, frame_depth = above_0,
  envelope = schema.flag, picture = schema.record { width = { above_0, true }, height = { above_0, true },
    channels = { above_0, true }, whole = { list_of(above_0, 2, "sizes") } } }

manifest.fields = {
  runner = { runner, true }, weights = { file, true }, input_size = { above_0, true }, depth = { above_0, true },
    grid = {
    above_0, true }, max_points = { above_0, true }, places = { above_0 },
  arena_bytes = { above_0, true }, weights_bytes = { above_0, true }, macs_encode = { above_0, true }, macs_decode = {
    above_0, true },
  version = { schema.text }, prefix = { schema.text }, board = { schema.text }, build = { schema.text }, hosted = {
    schema.flag }, cores = { above_0 }, clock = { number },
  requires = { list_of(schema.text, 0) }, emulator = { list_of(schema.text, 1) }, banks = { list_of(named, 0,
    "tables with a name") }, texts = { list_of(schema.text, 0) },
  precision = { one_of(table.unpack(arithmetic.precisions)) },
  arithmetic = { one_of(table.unpack(arithmetic.classes)) }, click_order = { one_of("xy",
    "rc") }, mask_rule = { one_of("multimask", "first") },
    classes = { kind(function(value)
      if math.type(value) ~= "integer" or value < 0 then return "a whole number" end
    end) },
  resampling = { one_of(table.unpack(closed.sorted(preparation.resamplings))) },
    mask_from = { one_of("logits", "probabilities") }, mask_square = { schema.flag },
    best_of_several = { schema.flag },
  resize = { one_of(table.unpack(closed.sorted(preparation.resizes))) }, normalise = {
    one_of(table.unpack(closed.sorted(preparation.normalisations))) },
  feedback = { one_of("none", "logits") }, prepare = { require("scans.rules").kind },
}
for _, field in ipairs { "frontend", "lines", "line_bytes", "frame_depth", "envelope", "picture" } do
  manifest.fields[field] = { of_front[field] }
end

-- Of a front end alone.
manifest.front_fields = {
  runner = { runner, true }, weights = { file, true }, arena_bytes = { above_0, true },
  weights_bytes = { above_0, true }, version = { schema.text }, prefix = { schema.text }, board = { schema.text },
  hosted = { schema.flag }, clock = { number }, requires = { list_of(schema.text, 0) },
  emulator = { list_of(schema.text, 1) }, frontend = { of_front.frontend, true }, lines = { of_front.lines, true },
  steps = { list_of(named, 1, "tables with a name"), true },
  line_bytes = { of_front.line_bytes, true }, frame_depth = { of_front.frame_depth },
  envelope = { of_front.envelope }, picture = { of_front.picture },
}

--- Check what was read of a file; null counts as nothing. @param where the file, for messages
function manifest.check(read, where)
  local null = require "msagen.json".null
  local fields = read.kind == "front end" and manifest.front_fields or manifest.fields
  for field in pairs(fields) do
    if read[field] == null then read[field] = nil end
  end
  local ok, problem = pcall(schema.check_known, read, fields, where)
  if ok then
    if read.frontend then read.frontend = require("signal.front").check(read.frontend, where .. ": frontend") end
    return
  end
  if type(problem) ~= "table" then error(problem, 0) end
  local other = type(read.version) == "string" and read.version ~= msagen.version
  fail("%s", other
    and ("%s: the folder is of msagen %s, this is %s: build it again"):format(problem.msagen, (read.version:gsub("%c",
    " ")), msagen.version) or problem.msagen)
end

return manifest
