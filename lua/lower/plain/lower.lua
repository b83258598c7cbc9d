-- SPDX-License-Identifier: Apache-2.0
--- Lowering operation by operation: for graphs that no nest of lua/kernels/nests/ knows, those of training before all.
-- What several operations need is there whole; the rest is there for a strip of rows.

local cores = require "schedule.cores"
local group = require "lower.group"
local kernels = require "kernels.kernels"
local layers = require "lower.layer"
local order = require "lower.plain.order"
local printer = require "emit.print"
local relative = require "lower.relative"
local steps = require "lower.steps"
local strips = require "lower.plain.strips"
local types = require "graph.types"

local ROWS = 64 -- that are moved or added at a time, at most

local Lower = {}
Lower.__index = Lower

local plain = {}

-- The operations that are stages of their own: kind -> function(lower, op).
local WHOLE = {}
for _, file in ipairs { "attention", "attention_dx", "choices", "maps", "moves", "sums", "tables" } do
  for kind, lower in pairs(require("lower.plain." .. file)) do
    if type(lower) == "function" then WHOLE[kind] = lower end
  end
end

--- @param fields { kernels, values = lower/plain/values.lua, users = value -> list of operations, whole = set of values
-- that are needed beyond the stage that makes them, cores, strip_rows = at most, model }
function plain.new(fields)
  return setmetatable({ K = fields.kernels, values = fields.values, users = fields.users, whole = fields.whole,
    cores = fields.cores, strip_rows = fields.strip_rows, model = fields.model, draft = fields.draft,
    names = 0 }, Lower)
end

--- A name that nothing else of a function has.
function Lower:name(base)
  self.names = self.names + 1
  return ("%s_%d"):format(base, self.names)
end

function Lower:stage(who, build) return self.step:stage(who, build) end

--- A stage of loops whose trips cores share. No trip may write what another one of the stage reads or writes.
-- @param loops list of { variable, to, by = 1, of = what a trip is of, build = function(body, variable) }
function Lower:parted(loops)
  local several = false
  for _, loop in ipairs(loops) do several = several or loop.to > (loop.by or 1) end
  self:stage(several and "units" or "zero", function(body)
    for _, loop in ipairs(loops) do
      body:each({ variable = loop.variable, to = loop.to, by = loop.by, units = several and { name = loop.of } or nil },
        loop.build)
    end
  end)
end

-- In how many equal parts so many are done soonest: the fewest of equals.
local function parts_of(count, cores)
  local best, least
  for parts = 1, math.min(count, 2 * cores) do
    local share = count % parts == 0 and (parts + cores - 1) // cores * (count // parts)
    if share and (not least or share < least) then best, least = parts, share end
  end
  return best
end

--- Columns in parts of whole vectors. @param build function(body, first column, columns of a part)
function Lower:columns(columns, build)
  local by = columns % 16 == 0 and columns // parts_of(columns // 16, self.cores) or columns
  self:parted { { variable = "c", to = columns, by = by, of = "columns", build = function(body, c)
    build(body, c, by)
  end } }
end

--- Rows in parts of at most ROWS. @param build function(body, first row, rows of a part)
function Lower:rows(rows, build)
  local by = strips.size(rows, ROWS, self.cores)
  self:parted { { variable = "t", to = rows, by = by, of = "rows", build = function(body, t) build(body, t, by) end } }
end

--- The memory of a value that an operation takes whole, and of the one that it gives.
function Lower:read(value) return self.values:whole(value) end
function Lower:written(op) return self.values:whole(op) end

--- What a proc's pointer is like: rows so many elements apart.
function Lower.like(stride) return steps.argument("like", stride) end

--- The function is told whether an input is given. @return the condition
function Lower:condition(name)
  return { { self.step:number("with_" .. name), "!=", 0 } }
end

--- Memory that begins as zeros.
function Lower:zeroed(name, elements)
  local view = self.values:work(name, elements)
  self:stage("zero", function(body) body:zero(view, elements) end)
  return view
end

-- Rows [N, K] in panels of 16 columns of their transpose, as x w^T takes them.
local function panels_of_rows(self, w, N, K)
  local view, to = self:read(w), self.values:work("packed", kernels.round16(N) * K)
  local whole = N // 16
  if whole > 0 then
    self:parted { { variable = "n", to = whole, of = "panels", build = function(body, n)
      body:call(self.K:rows_to_panels { rows = 16, d = K, ldx = view:ld() }, view:row(n * 16), to + n * (16 * K))
    end } }
  end
  if N % 16 > 0 then
    self:stage("zero", function(body)
      body:call(self.K:rows_to_panels { rows = N % 16, d = K, ldx = view:ld() }, view:row(whole * 16),
        to + whole * (16 * K))
    end)
  end
  return to
end

-- Panels of w^T in panels of w, as x w takes them.
local function turned_panels(self, w, N, K)
  local from, count = self.values:panels(w), kernels.round16(K) // 16
  local to = self.values:work("packed", count * 16 * N)
  local name = self.K:transpose_panels { N = N, K = K }
  self:parted { { variable = "panel", to = count, of = "panels", build = function(body, i)
    body:call(name, from, to:of_row(i), i, i + 1)
  end } }
  return to
end

--- A weight as a product takes it that cannot take it as it lies.
function Lower:packed(w)
  local N, K = order.rows(w), order.width(w)
  if #w.shape == 1 then N, K = 1, w.shape[1] end
  return self.values:frozen(w) and turned_panels(self, w, N, K) or panels_of_rows(self, w, N, K)
end

--- A table of relative positions [2 side - 1, d] as kernels read it: reversed, a row for each of d.
function Lower:reversed(value, side)
  local count, d, ld = value.shape[1], order.width(value), relative.width(side)
  if self.values:frozen(value) then
    local role = self.values.parts:role(value)
    self.values.parts:other(role, function()
      self.values.segment:rows(role, d, count, ld, function()
        return relative.reversed(self.values.parts.tensor_of(value))
      end, self.values.parts.sources_of(value))
    end)
    return steps.part_of(self.values.segment, role, ld)
  end
  local from, to = self:read(value), self.values:work("reversed", d * ld, ld)
  self:stage("zero", function(body)
    body:zero(to, d * ld)
    body:each({ variable = "j", to = d }, function(inner, j)
      inner:each({ variable = "i", to = count }, function(each, i)
        each:assign(to:row(j) + i, from:row((count - 1) - i) + j)
      end)
    end)
  end)
  return to
end

--- A matrix of so many rows and columns turned.
function Lower:turn(from, rows, columns, to)
  self:columns(columns, function(body, c, count)
    body:call(self.K:transpose_rows { rows = rows, C = count, ldx = from:ld(), ldz = to:ld() }, from + c, to:row(c))
  end)
end

--- A matrix of so many rows and columns turned, rows round16(rows) apart.
function Lower:turned(view, rows, columns, ld)
  local width = kernels.round16(rows)
  local to = self.values:work("turned", columns * width, width)
  self:turn(view, rows, columns, to)
  return to
end

-- Nests of lua/kernels/nests/ that a group is given to as a whole.
local function by_nest(self, one, nest)
  local ctx = { model = self.model, kernels = self.K, cores = self.cores, buffers = {} }
  local layer = layers.new(group.of { label = one.label, ops = one.ops, inputs = {}, outputs = one.outputs,
    users = self.users }, ctx)
  layer.segment, layer.parts, layer.step = self.values.segment, self.values.parts, self.step
  for _, value in ipairs(one.outputs) do
    local view = self.values:whole(value)
    ctx.buffers[value] = view.storage
  end
  nest.lower(layer)
end

-- What is done at one moment. Memory goes to other values from one to the next: cores meet between them.
local function moment(self, build)
  self.values.moment = self.values.moment + 1
  local before = #self.step.stages
  build()
  local first = self.step.stages[before + 1]
  if first and before > 0 then first.barrier = true end
end

local function lower_stage(self, stage)
  moment(self, function()
    if stage.kind == "rows" then return strips.lower(self, stage) end
    local lower = WHOLE[stage.kind] or error(("plain: layer %s: no stage for %s"):format(self.step.name, stage.kind))
    lower(self, stage.ops[1])
  end)
end

--- A group as a step. @param one { label, ops, outputs } @param extra function(lower) that adds stages behind, or nil
-- @param nest to be taken instead, or nil
-- @return the step, its first and its last moment, bytes of a core's scratch
function Lower:group(one, extra, nest)
  self.step = steps.new(one.label, self.values.segment)
  local first = self.values.moment + 1
  if nest then
    self.values.moment = first
    by_nest(self, one, nest)
  else
    for _, stage in ipairs(one.stages or order.stages(one.ops)) do lower_stage(self, stage) end
  end
  if extra then moment(self, function() extra(self) end) end
  if self.draft then return self.step, first, self.values.moment, self.step:own() end
  for stage in self.step:each_stage() do cores.split(stage, self.cores) end
  local made = printer.new(self.K, require("schedule.split").loops(self.cores))
  for _, proc in ipairs(self.step.procs) do made:proc(proc) end
  cores.barriers(self.K, self.step)
  for stage in self.step:each_stage() do
    if self.step:alone() then stage.barrier = nil elseif stage.barrier then self.step.meets = true end
  end
  return self.step, first, self.values.moment, self.step:own()
end

plain.types, plain.users = types, group.users

return plain
