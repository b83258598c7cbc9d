-- SPDX-License-Identifier: Apache-2.0
--- Traceability of a build, in both directions: requirement -> operation of the graph -> step -> generated function and
-- its lines -> tensors of the checkpoint -> bytes of the blob -> known answer, golden cases and tests.
local closed = require "support.closed"
local csv = require "evaluate.csv"
local dialects = require "import.dialects"
local json = require "msagen.json"
local requirements = require "evidence.requirements"
local sys = require "msagen.sys"
local texts = require "evidence.text"

local trace = {}

local BLOB_LINE = 64 -- parts begin on cache lines

-- The requirements by kind of layer and by file.
local function by_kind_and_file()
  local kinds, files = {}, {}
  for _, one in ipairs(requirements) do
    for _, kind in ipairs(one.kinds or {}) do kinds[kind] = one end
    for _, file in ipairs(one.files or {}) do files[file] = files[file] or one end
  end
  return kinds, files
end

-- Which functions of the known answer reach each function: key -> list of names.
local function known_answers(of)
  local found = {}
  for _, f in ipairs(of.functions) do
    if f.stem == "known_answer" and f.name:find "^test_" then
      for key in pairs(texts.reached(of, f.key)) do
        found[key] = found[key] or {}
        table.insert(found[key], f.name)
      end
    end
  end
  return found
end

-- Golden cases of the build's dialect, where the tests are at hand; of one that has none those of its network.
local function golden_of(folder)
  local root, list, alike = msagen.datadir .. "/tests/golden", {}, {}
  local own = dialects.named(folder.checkpoint.dialect)
  for _, name in ipairs(sys.exists(root) and sys.list(root) or {}) do
    local path = ("%s/%s/case.json"):format(root, name)
    if sys.exists(path) then
      local case = json.decode(sys.read_file(path), path)
      local of = type(case) == "table" and type(case.dialect) == "string" and dialects.named(case.dialect)
      if of and of == own then list[#list + 1] = name end
      if of and own and dialects.same_network(of, own) then alike[#alike + 1] = name end
    end
  end
  if not list[1] then list = alike end
  table.sort(list)
  return list
end

-- The generated function of a layer: of its own name, or, of what is made ready, several that end so.
local function functions_of(of, folder, L)
  local prefix, list = folder.prefix or "msa", {}
  for _, name in ipairs { L.name, L.name .. "_prepare" } do
    local f = of.by_key[("%s_%s"):format(prefix, name)]
    if f then list[#list + 1] = f end
  end
  return list
end

local Trace = {}
Trace.__index = Trace

function Trace:problem(format, ...) self.problems[#self.problems + 1] = format:format(...) end

-- Known answers that reach a function, and, where none does, those that reach what it calls.
function Trace:answers(f)
  local list, seen = {}, {}
  if self.answered[f.key] then return self.answered[f.key], list end
  for _, key in ipairs(closed.sorted(f.calls)) do
    for _, name in ipairs(self.answered[key] or {}) do
      if not seen[name] then
        seen[name] = true
        list[#list + 1] = name
      end
    end
  end
  return {}, list
end

function Trace:row(requirement, fields)
  local tests = table.move(requirement.tests, 1, #requirement.tests, 1, {})
  self.covered[requirement.id] = true
  fields.requirement, fields.source, fields.tests = requirement.id, requirement.source, tests
  fields.golden = requirement.golden and self.golden or {}
  self.rows[#self.rows + 1] = fields
end

-- Rows of a function: one a part of the weights that it reads, or one without.
function Trace:function_rows(requirement, f, layer, operations, parts)
  self.traced[f] = true
  local answers, below = self:answers(f)
  local base = { step = layer and ("%s %d %s"):format(layer.phase, layer.number, layer.name) or "",
    operations = operations, name = f.name, file = f.file, first = f.first, last = f.last,
    known_answers = answers, answers_below = below }
  if layer and #answers + #below == 0 then
    self:problem("%s: %s: no known answer of the self-test runs it", f.file, f.name)
  end
  for i = 1, math.max(1, #parts) do
    local row = {}
    for key, value in pairs(base) do row[key] = value end
    row.part = parts[i]
    self:row(requirement, row)
  end
end

-- A layer: its functions with its operations and parts, then what they call.
function Trace:layer(L, parts)
  local requirement = self.kinds[L.kind]
  if not requirement then return self:problem("layer %s: its kind %s is of no requirement", L.name, L.kind) end
  local operations = {}
  for i, op in ipairs(L.operations or {}) do operations[i] = "%" .. op.id end
  if #operations == 0 then self:problem("layer %s: it has no operation of the graph", L.name) end
  local list = functions_of(self.of, self.folder, L)
  if #list == 0 then self:problem("layer %s: no function of its name is in the generated C", L.name) end
  local reached = {}
  for i, f in ipairs(list) do
    self:function_rows(requirement, f, L, operations, i == 1 and parts or {})
    texts.reached(self.of, f.key, reached)
  end
  for _, key in ipairs(closed.sorted(reached)) do
    for _, f in ipairs(self.of.by_key[key].definitions) do
      if f.stem == "kernels" then self:function_rows(requirement, f, L, {}, {}) end
    end
  end
end

-- What is generated for the network alone: a function there that nobody calls does nothing for any requirement.
local OF_NETWORK = { kernels = true, encoder = true, decoder = true }
trace.OF_NETWORK = OF_NETWORK

-- What functions of other files reach.
local function reached_from_others(of)
  local set = {}
  for _, f in ipairs(of.functions) do
    if not OF_NETWORK[f.stem] then texts.reached(of, f.key, set) end
  end
  return set
end

-- Functions of no layer, by their files.
function Trace:others()
  local reached = reached_from_others(self.of)
  for _, f in ipairs(self.of.functions) do
    if not reached[f.key] and not self.traced[f] then
      self:problem("%s: %s: no layer and no call of the interface reaches it", f.file, f.name)
    end
    if not self.traced[f] then
      local requirement = self.files[f.stem]
      if requirement then self:function_rows(requirement, f, nil, {}, {})
      else self:problem("%s: %s: it is of no layer and its file of no requirement", f.file, f.name) end
    end
  end
end

-- Bytes of the blob that no part has, but for the header before the first and what fills up cache lines.
function Trace:bytes()
  local parts = table.move(self.folder.parts, 1, #self.folder.parts, 1, {})
  table.sort(parts, function(a, b) return a.offset < b.offset end)
  local at
  for _, part in ipairs(parts) do
    if at and part.offset < at then self:problem("blob: %s: it begins within the part before it", part.role) end
    if at and part.offset - at >= BLOB_LINE then
      self:problem("blob: bytes %d to %d are of no part", at, part.offset - 1)
    end
    at = math.max(at or 0, part.offset + part.bytes)
  end
  if self.folder.weights_bytes - (at or 0) >= BLOB_LINE then
    self:problem("blob: bytes %d to %d are of no part", at or 0, self.folder.weights_bytes - 1)
  end
end

-- Tensors of the checkpoint: each is in a part, or the manifest says why not.
function Trace:tensors()
  local held = {}
  for _, part in ipairs(self.folder.parts) do
    for _, name in ipairs(part.tensors) do held[name] = true end
  end
  for _, tensor in ipairs(self.folder.tensors) do
    if tensor.fate == "used" and not held[tensor.name] and not self.pruned[tensor.name] then
      self:problem("tensor %s: it is used, and in no part of the blob", tensor.name)
    end
  end
end

-- Golden cases whose digests are known are there, of whatever dialect: which one a case was of, it said itself.
function Trace:cases(root)
  local path = root .. "/golden/digests.json"
  local classes, missing = json.decode(sys.read_file(path), path), {}
  for _, digests in pairs(classes) do
    for name in pairs(digests) do
      if not sys.exists(("%s/golden/%s/case.json"):format(root, name)) then missing[name] = true end
    end
  end
  for _, name in ipairs(closed.sorted(missing)) do
    self:problem("the golden case %s is not there, whose digest golden/digests.json has", name)
  end
end

-- Tests that are named are there, where msagen's tests are at hand. @return whether they are
function Trace:tests()
  local root = msagen.datadir .. "/tests"
  if not sys.exists(root .. "/tally.lua") then return false end
  self:cases(root)
  for _, one in ipairs(requirements) do
    for _, test in ipairs(one.tests) do
      if not sys.exists(root .. "/" .. test) then self:problem("%s: its test %s is not there", one.id, test) end
    end
    if one.golden and self.covered[one.id] and #self.golden == 0 then
      self:problem("%s: there is no golden case of the dialect %s", one.id, self.folder.checkpoint.dialect)
    end
  end
  return true
end

local function parts_by_function(folder)
  local by, rest = {}, {}
  for _, part in ipairs(folder.parts) do
    if part["function"] then
      by[part["function"]] = by[part["function"]] or {}
      table.insert(by[part["function"]], part)
    else rest[#rest + 1] = part end
  end
  return by, rest
end

--- The layers with the keys of their functions: a list of { name, functions }.
function trace.layers(folder, of)
  local list = {}
  for i, L in ipairs(folder.layers) do
    list[i] = { name = L.name, functions = {} }
    for k, f in ipairs(functions_of(of, folder, L)) do list[i].functions[k] = f.key end
  end
  return list
end

--- @param folder of run.folder, with its manifest's layers, parts and tensors @param of evidence.text's
-- @return { rows = list of { requirement, source, operations, step, name, file, first, last, part = or nil,
--   known_answers, answers_below, golden, tests }, problems = texts: what is not traced, functions = how many
--   definitions, requirements = set of ids that the build has, tests_at_hand }
function trace.of(folder, of)
  local kinds, files = by_kind_and_file()
  local self = setmetatable({ folder = folder, of = of, kinds = kinds, files = files, rows = {}, problems = {},
    traced = {}, covered = {}, answered = known_answers(of), golden = golden_of(folder), pruned = {} }, Trace)
  for _, one in ipairs(folder.pruned) do
    for _, name in ipairs(one.tensors) do self.pruned[name] = true end
  end
  local by, rest = parts_by_function(folder)
  local known = {}
  for _, L in ipairs(folder.layers) do
    self:layer(L, by[L.name] or {})
    known[L.name] = true
  end
  for _, name in ipairs(closed.sorted(by)) do
    if name == "front" and folder.frontend then
      for _, part in ipairs(by[name]) do
        self:row(files.front, { operations = {}, step = "", part = part, known_answers = {}, answers_below = {} })
      end
    elseif not known[name] then self:problem("part of %s: there is no such layer", name) end
  end
  for _, part in ipairs(rest) do
    self:row(files.model, { operations = {}, step = "", part = part, known_answers = {}, answers_below = {} })
  end
  self:others()
  self:bytes()
  self:tensors()
  local at_hand = self:tests()
  return { rows = self.rows, problems = self.problems, functions = #of.functions, requirements = self.covered,
    tests_at_hand = at_hand }
end

--- The requirements that a build has, in order. @param made of trace.of
-- @return list of { requirement, functions = how many, bytes = of the weights }
function trace.requirements(made)
  local by, list = {}, {}
  for _, row in ipairs(made.rows) do
    local one = by[row.requirement] or { functions = {}, bytes = 0 }
    by[row.requirement] = one
    one.bytes = one.bytes + (row.part and row.part.bytes or 0)
    if row.name then one.functions[row.file .. ":" .. row.name] = true end
  end
  for _, one in ipairs(requirements) do
    local found = by[one.id]
    if found then
      list[#list + 1] = { requirement = one, functions = #closed.sorted(found.functions), bytes = found.bytes }
    end
  end
  return list
end

--- requirements.csv: what the identifiers of trace.csv stand for.
function trace.requirements_csv(made)
  local lines = { csv.line { "requirement", "text", "source", "functions", "weights_bytes", "tests" } }
  for i, one in ipairs(trace.requirements(made)) do
    local of = one.requirement
    lines[i + 1] = csv.line { of.id, of.text, of.source, one.functions, one.bytes, table.concat(of.tests, " ") }
  end
  return table.concat(lines)
end

--- trace.csv. @param hashes of tensors: name -> SHA-256, or nil where the checkpoint was not given
function trace.csv(made, hashes)
  local lines = { csv.line { "requirement", "source", "operations", "step", "function", "file", "first_line",
    "last_line", "part", "tensors", "tensors_sha256", "offset", "bytes", "crc32c", "known_answers",
    "known_answers_below", "golden", "tests" } }
  for _, row in ipairs(made.rows) do
    local part, sums = row.part or {}, {}
    for i, name in ipairs(part.tensors or {}) do sums[i] = hashes and hashes[name] or "" end
    lines[#lines + 1] = csv.line { row.requirement, row.source, table.concat(row.operations, " "), row.step,
      row.name or "", row.file or "", row.first or "", row.last or "", part.role or "",
      table.concat(part.tensors or {}, " "), table.concat(sums, " "), part.offset or "", part.bytes or "",
      part.crc32c or "", table.concat(row.known_answers, " "), table.concat(row.answers_below, " "),
      table.concat(row.golden, " "), table.concat(row.tests, " ") }
  end
  return table.concat(lines)
end

return trace
