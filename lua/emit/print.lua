-- SPDX-License-Identifier: Apache-2.0
--- Steps and procs as C: a function each, with the pointers that its body uses and the places of its weights by name.

local index = require "lower.index"
local segment = require "lower.segment"
local types = require "graph.types"

local WIDTH = 120

local Printer = {}
Printer.__index = Printer

local print = {}

-- ---- what a body uses ----

-- What a body uses: storages in order of their first use, which of them it writes, names of variables, and whether it
-- counts, parts loops among cores, has scratch, weights, weights that are held, or a bank's own.
local Uses = {}
Uses.__index = Uses

function Uses:take(storage, written)
  if written then self.written[storage] = true end
  if self.seen[storage] then return end
  self.seen[storage] = true
  self.storages[#self.storages + 1] = storage
  if storage.kind == "own" then self.own = true end
  if storage.kind == "part" then
    self[storage.base == "held" and "held" or "weights"] = true
    self.bank = self.bank or storage.private
  end
  for _, one in ipairs(storage.of or {}) do self:take(one, written) end
end

function Uses:view(view, written)
  self:take(view.storage, written)
  index.names(view.at, self.names)
end

local visit = {}

function visit.call(self, node)
  local proc, signature = node.proc, not node.proc and self.kernels:signature(node.name)
  for i, argument in ipairs(node.arguments) do
    local parameter = proc and proc.parameters[i]
    local writes = proc and parameter.storage and proc.uses.written[parameter.storage]
      or signature and not signature[i].const
    if type(argument) == "table" and argument.storage then self:view(argument, writes)
    else index.names(argument, self.names) end
  end
  for _, what in ipairs(proc and { "weights", "held", "bank", "own", "counted" } or {}) do
    self[what] = self[what] or proc.uses[what]
  end
end

function visit.each(self, node)
  self.counted, self.units = self.counted or node.counted, self.units or node.units ~= false
  index.names(node.from, self.names)
  index.names(node.to, self.names)
  self:body(node.body)
end

function visit.when(self, node)
  for _, one in ipairs(type(node.condition) == "table" and node.condition or {}) do
    index.names(one[1], self.names)
    index.names(one[3], self.names)
  end
  self:body(node.body)
  self:body(node.other or {})
end

function visit.let(self, node) index.names(node.place, self.names) end

function visit.choose(self, node)
  self:view(node.a)
  self:view(node.b)
  self.seen[node.view.storage] = true
end

function visit.copy(self, node)
  self:view(node.to, true)
  self:view(node.from)
end

visit.assign = visit.copy
function visit.zero(self, node) self:view(node.view, true) end

function visit.c(self, node)
  for _, view in ipairs(node.views) do self:view(view, true) end
end

function Uses:body(body)
  for _, node in ipairs(body) do visit[node.node](self, node) end
end

local function uses_of(kernels, body)
  local uses = setmetatable({ kernels = kernels, storages = {}, seen = {}, written = {}, names = {}, counted = false,
    units = false, own = false, weights = false, held = false, bank = false }, Uses)
  uses:body(body)
  return uses
end

-- ---- words ----

local function enumerator(role) return "AT_" .. role:upper() end

-- A pointer so many bytes behind one to the base type.
local function place(pointer, bytes)
  return bytes == 0 and pointer or ("%s + %d"):format(pointer, types.base(bytes))
end

-- The last place before a column that a pattern finds.
local function last_place(line, pattern, column)
  local cut
  for at in line:gmatch(pattern) do
    if at < column then cut = at end
  end
  return cut
end

-- Lines of at most WIDTH columns, each but the last with `ending`, broken where the first pattern allows it that does.
local function broken(line, ending, patterns)
  if #line <= WIDTH then return line end
  local pad, out, rest = line:match "^%s*", {}, line
  while #rest > WIDTH do
    local cut
    for _, pattern in ipairs(patterns) do cut = cut or last_place(rest, pattern, WIDTH - #ending) end
    if not cut then break end
    out[#out + 1] = rest:sub(1, cut):gsub(" $", "") .. ending
    rest = pad .. "    " .. rest:sub(cut + 1):gsub("^ ", "")
  end
  out[#out + 1] = rest
  return table.concat(out, "\n")
end

-- C, broken behind commas, or before an operator where there is none.
local BREAKS = { "(), ", "%S() [&|?:+*%-]+ " }
local function wrapped(line) return broken(line, "", BREAKS) end

-- A prototype, which a semicolon may follow.
local function wrapped_prototype(line) return wrapped(line .. ";"):sub(1, -2) end

-- Each line of a text that is longer, but for comments.
local function fitted(text)
  return (text:gsub("[^\n]+", function(line) return not line:find "^%s*/?%*" and wrapped(line) or nil end))
end

-- ---- one function ----

local Text = {}
Text.__index = Text

local function new_text(printer, step)
  return setmetatable({ printer = printer, cores = printer.loops.cores, loops = printer.loops, step = step, lines = {},
    values = {}, tables = {}, table_lines = {} }, Text)
end

function Text:put(depth, format, ...)
  local line = select("#", ...) > 0 and format:format(...) or format
  self.lines[#self.lines + 1] = wrapped(("    "):rep(depth) .. line)
end

function Text:place(term) return index.text(index.bind(term, self.values)) end

function Text:pointer(view)
  local storage = view.storage
  local base = storage.name
  if storage.kind == "part" then
    local of_bank = storage.base .. (storage.private and " + bank" or "")
    base = ("%s + %s"):format(types.pointer(storage.type, of_bank, "const "), enumerator(storage.name))
  end
  local at = self:place(view.at)
  return at == "0" and base or base .. " + " .. at
end

function Text:argument(argument)
  if type(argument) == "table" and argument.storage then return self:pointer(argument) end
  return self:place(argument)
end

-- A table of the units that are each core's. @return its name
function Text:shares(node)
  local units = node.units
  local entries = self.loops.shares(units.count, node.by, units.bounds)
  if self.tables[entries] then return self.tables[entries] end
  local name, base = units.name, units.name
  local count = 1
  while self.tables[name] do
    count = count + 1
    name = ("%s_%d"):format(base, count)
  end
  self.tables[entries], self.tables[name] = name, true
  self.table_lines[#self.table_lines + 1] = ("    static const uint32_t %s[%d] = %s;"):format(name, self.loops.entries,
    entries)
  return name
end

-- A loop whose units are runs of parts: of each trip those from `first` on, before `last`.
function Text:runs(node, depth)
  local units, name = node.units, self:shares { units = node.units, by = 1 }
  self:put(depth, "for (size_t unit = %s[core]; unit < %s[core + 1];) {", name, name)
  self:put(depth + 1, "const size_t %s = unit / %d, %s = unit %% %d, left = %s[core + 1] - unit;", node.variable,
    units.inner, units.first, units.inner, name)
  self:put(depth + 1, "const size_t %s = left < %d - %s ? %s + left : %d;", units.last, units.inner, units.first,
    units.first, units.inner)
  self:body(node.body, depth + 1)
  self:put(depth + 1, "unit += %s - %s;", units.last, units.first)
  self:put(depth, "}")
end

function Text:each(node, depth)
  local parted = node.units and self.cores > 1
  if node.units and node.units.inner then
    if parted then return self:runs(node, depth) end
    self.values[node.units.first], self.values[node.units.last] = 0, node.units.inner
  end
  local from, to = self:place(node.from), self:place(node.to)
  if parted then
    local name = self:shares(node)
    from, to = name .. "[core]", name .. "[core + 1]"
  elseif not node.counted and node.to == (math.type(node.from) == "integer" and node.from + node.by) then
    self.values[node.variable] = node.from
    return self:body(node.body, depth)
  end
  self.values[node.variable] = nil -- what a loop of one trip left
  local by = node.by == 1 and "++" .. node.variable or ("%s += %d"):format(node.variable, node.by)
  self:put(depth, "for (size_t %s = %s; %s < %s%s; %s) {", node.variable, from, node.variable, to,
    node.counted and (" && %s < count"):format(node.variable) or "", by)
  self:body(node.body, depth + 1)
  self:put(depth, "}")
end

local write = {}

function write.call(self, node, depth)
  local words, proc = {}, node.proc
  if proc then
    if proc.uses.held then words[1] = "held" end
    if proc.uses.weights then words[#words + 1] = "w" end
    if proc.uses.bank then words[#words + 1] = "bank" end
  end
  for _, argument in ipairs(node.arguments) do words[#words + 1] = self:argument(argument) end
  if proc and proc.uses.own then words[#words + 1] = "scratch" end
  self:put(depth, "%s;", self.printer.kernels:call(proc and proc.name or node.name, table.unpack(words)))
end

function write.each(self, node, depth) self:each(node, depth) end

function write.when(self, node, depth)
  local condition = node.condition
  if type(condition) == "table" then
    local words = {}
    for _, one in ipairs(condition) do
      local limit = self:place(one[3])
      -- No place is negative.
      if one[2] ~= ">=" or limit ~= "0" then
        words[#words + 1] = ("%s %s %s"):format(self:place(one[1]), one[2], limit)
      end
    end
    condition = table.concat(words, " && ")
  end
  self:put(depth, "if (%s) {", condition)
  self:body(node.body, depth + 1)
  if node.other then
    self:put(depth, "} else {")
    self:body(node.other, depth + 1)
  end
  self:put(depth, "}")
end

function write.let(self, node, depth)
  local place = index.bind(node.place, self.values)
  if math.type(place) == "integer" then self.values[node.variable] = place
  else self:put(depth, "const size_t %s = %s;", node.variable, index.text(place)) end
end

function write.choose(self, node, depth)
  local storage = node.view.storage
  self:put(depth, "const %s *const %s = %s ? %s : %s;", types.of(storage.type).c, storage.name, node.condition,
    self:pointer(node.a), self:pointer(node.b))
end

local function size_of(view, count) return ("%d * sizeof(%s)"):format(count, types.of(view.storage.type).c) end

function write.copy(self, node, depth)
  self:put(depth, "memcpy(%s, %s, %s);", self:pointer(node.to), self:pointer(node.from), size_of(node.to, node.count))
end

function write.zero(self, node, depth)
  self:put(depth, "memset(%s, 0, %s);", self:pointer(node.view), size_of(node.view, node.count))
end

function write.assign(self, node, depth)
  local function element(view) return ("%s[%s]"):format(view.storage.name, self:place(view.at)) end
  self:put(depth, "%s = %s;", element(node.to), element(node.from))
end

function write.c(self, node, depth)
  for line in node.text(self):gmatch "[^\n]+" do self:put(depth, "%s", line) end
end

function Text:body(body, depth)
  for _, node in ipairs(body) do write[node.node](self, node, depth) end
end

-- The places of the weights that a function names, and its pointers into scratch and arena.
function Text:opening(uses, arena)
  local out, words, seen = {}, {}, {}
  local places = {}
  for _, storage in ipairs(uses.storages) do
    if storage.kind == "part" and not seen[storage.name] then
      seen[storage.name] = true
      local at = storage.inside or storage.segment.at[storage.name]
      places[#places + 1] = { enumerator(storage.name), types.elements(storage.type, segment.bytes_to(at)) }
    end
  end
  table.sort(places, function(a, b) return a[2] < b[2] or a[2] == b[2] and a[1] < b[1] end)
  for i, one in ipairs(places) do words[i] = ("%s = %d"):format(one[1], one[2]) end
  if #words > 0 then out[1] = wrapped("    enum { " .. table.concat(words, ", ") .. " };") end
  table.move(self.table_lines, 1, #self.table_lines, #out + 1, out)
  local function declare(storage, from, offset)
    local constant = uses.written[storage] and "" or "const "
    out[#out + 1] = ("    %s%s *const %s = %s;"):format(constant, types.of(storage.type).c, storage.name,
      types.pointer(storage.type, place(from, offset), constant))
  end
  for _, storage in ipairs(uses.storages) do
    if storage.kind == "buffer" then declare(storage, "arena", arena.at[storage.name]) end
  end
  if arena then
    if uses.own then out[#out + 1] = ("    float *const scratch = %s;"):format(arena.own) end
    for _, storage in ipairs(uses.storages) do
      if storage.kind == "shared" then declare(storage, "arena", arena.shared + storage.offset) end
    end
  end
  for _, storage in ipairs(uses.storages) do
    if storage.kind == "own" then declare(storage, "scratch", storage.offset) end
  end
  return out
end

-- ---- procs ----

local function proc_parameters(proc)
  local words = {}
  if proc.uses.held then words[1] = "const float *restrict held" end
  if proc.uses.weights then words[#words + 1] = "const float *restrict w" end
  if proc.uses.bank then words[#words + 1] = "size_t bank" end
  for _, parameter in ipairs(proc.parameters) do
    words[#words + 1] = not parameter.storage and "size_t " .. parameter.name
      or ("%s%s *restrict %s"):format(proc.uses.written[parameter.storage] and "" or "const ",
        types.of(parameter.storage.type).c, parameter.name)
  end
  if proc.uses.own then words[#words + 1] = "float *restrict scratch" end
  return table.concat(words, ", ")
end

--- Write a proc to the kernels. Leaves proc.name and proc.uses.
function Printer:proc(proc)
  proc.uses = uses_of(self.kernels, proc.body)
  local text = new_text(self, proc.step)
  text:body(proc.body, 1)
  local lines = text:opening(proc.uses)
  table.move(text.lines, 1, #text.lines, #lines + 1, lines)
  proc.name = self.kernels:proc(proc.base, proc.step.name, proc.what, proc_parameters(proc), table.concat(lines, "\n"))
end

-- ---- steps ----

-- C of a step's parameters, and what a phase's function gives for those behind arena and weights.
local function step_parameters(step, uses, arena)
  local declared, arguments = { "float *arena", step.segment.pieces and "msa_stream *stream" or "const float *w" }, {}
  if step.segment.own > 0 then declared[3] = "size_t bank" end
  for _, one in ipairs(step.parameters) do
    local argument = one.argument
    declared[#declared + 1] = one.declaration
    arguments[#arguments + 1] = type(argument) == "function" and argument(arena.at) or argument
  end
  if uses.counted or uses.names.count then
    declared[#declared + 1], arguments[#arguments + 1] = "size_t count", "count"
  end
  for _, name in ipairs(step.numbers) do
    if uses.names[name] then declared[#declared + 1], arguments[#arguments + 1] = "size_t " .. name, name end
  end
  return table.concat(declared, ", "), arguments
end

-- The first lines of a step whose weights come in pieces: the first one, and what is held behind it.
local function first_pieces(step, failed)
  local lines = { "    const float *w = msa_stream_next(stream);", "    if (w == NULL) {",
    "        return " .. failed .. ";",
    "    }" }
  if step.segment.pieces[1].held then
    table.move({ "    const float *const held = msa_stream_next(stream);", "    if (held == NULL) {",
      "        return " .. failed .. ";", "    }" }, 1, 4, 5, lines)
  end
  return lines
end

--- The function of a step. @param arena { at = buffer -> bytes from its start, shared = bytes to what cores share of
-- its scratch, own = C of a core's }
-- @return its text, its prototype, and the arguments that a phase's function calls it with behind arena and weights
function Printer:step(step, arena)
  local text, all = new_text(self, step), {}
  for stage in step:each_stage() do table.move(stage.body, 1, #stage.body, #all + 1, all) end
  local uses, pieces = uses_of(self.kernels, all), step.segment.pieces
  text:stages(step.stages, 1, step:alone())
  local parameters, arguments = step_parameters(step, uses, arena)
  local core = self.loops.cores > 1 and not step:alone() and (step.meets and "team" or "core")
  parameters = parameters .. (core == "team" and self.loops.team_parameter or core and self.loops.core_parameter or "")
  local prototype = wrapped_prototype(("%s msa_%s(%s)"):format(step.returns or pieces and "bool" or "void", step.name,
    parameters))
  local lines = text:opening(uses, arena)
  if pieces then table.move(first_pieces(step, text:failed()), 1, 8, #lines + 1, lines) end
  table.move(text.lines, 1, #text.lines, #lines + 1, lines)
  if step.segment.own > 0 and not uses.bank then
    table.insert(lines, 1, "    (void)bank; /* nothing is a bank's own */")
  end
  if not (uses.weights or pieces) then table.insert(lines, 1, "    (void)w;") end
  if not table.concat(lines, "\n"):find "%f[%w_]arena%f[^%w_]" then table.insert(lines, 1, "    (void)arena;") end
  if step.returns or pieces then lines[#lines + 1] = ("    return %s;"):format(step.returns and "MSA_OK" or "true") end
  return ("%s%s\n{\n%s\n}\n"):format(step.before or "", prototype, table.concat(lines, "\n")), prototype, arguments,
    core
end

-- What a step returns whose weights do not come.
function Text:failed() return self.step.returns and "MSA_E_FETCH" or "false" end

function Text:fetch(stage, depth, loop)
  if stage.first and not loop then return end
  local inner = depth
  if stage.first then
    self:put(depth, "if (%s > 0) {", loop.variable)
    inner = depth + 1
  end
  self:put(inner, "w = msa_stream_next(stream);")
  self:put(inner, "if (w == NULL) {")
  self:put(inner + 1, "return %s;", self:failed())
  self:put(inner, "}")
  if stage.first then self:put(depth, "}") end
end

-- Stages in order, with the barriers that lua/schedule/cores.lua put between them.
function Text:stages(list, depth, alone, loop)
  for _, stage in ipairs(list) do
    if stage.barrier and self.cores > 1 then self:put(depth, "msa_meet(session, core);") end
    if stage.fetch then self:fetch(stage, depth, loop)
    elseif stage.stages then
      self:put(depth, "for (size_t %s = 0; %s < %d; ++%s) {", stage.variable, stage.variable, stage.to, stage.variable)
      self:stages(stage.stages, depth + 1, alone, stage)
      if stage.meet_again and self.cores > 1 then
        self:put(depth + 1, "if (%s < %d) {", stage.variable, stage.to - 1)
        self:put(depth + 2, "msa_meet(session, core);")
        self:put(depth + 1, "}")
      end
      self:put(depth, "}")
    elseif stage.who == "zero" and self.cores > 1 and not alone then
      self:put(depth, "if (MSA_FIRST(core)) {")
      self:body(stage.body, depth + 1)
      self:put(depth, "}")
    else
      self:body(stage.body, depth)
    end
  end
end

--- @param kernels the build's (lua/kernels/kernels.lua)
-- @param loops what lua/schedule/split.lua gives for its number of cores
function print.new(kernels, loops) return setmetatable({ kernels = kernels, loops = loops }, Printer) end

print.place = place

--- The argument that says how far a bank's own weights are away, "" where a segment has none. @param bank C of its
-- number
function print.bank_argument(seg, bank)
  return seg.own > 0 and (", %s * (size_t)%d"):format(bank, types.base(seg.own)) or ""
end

--- A pointer to a slice's own `bytes` of an array of slices that begins so many bytes behind one to the base type.
function print.slice(pointer, offset, bytes)
  return ("%s + slice * (size_t)%d"):format(place(pointer, offset), types.base(bytes))
end

print.uses_of, print.wrapped, print.prototype, print.fitted = uses_of, wrapped, wrapped_prototype, fitted

--- A macro's definition, and a line of a Makefile: they go on behind a backslash.
function print.macro(line) return broken(line, " \\", BREAKS) end
function print.words(line) return broken(line, " \\", { "() %S" }) end

return print
