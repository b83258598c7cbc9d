-- SPDX-License-Identifier: Apache-2.0
--- Steps as text to read: a line a loop, a call, a barrier; procs where they are called.

local index = require "lower.index"

local text = {}

local function place(argument)
  if type(argument) ~= "table" or not argument.storage then return index.text(argument) end
  local at = index.text(argument.at)
  return argument.storage.name .. (at == "0" and "" or " + " .. at)
end

local Lines = {}
Lines.__index = Lines

function Lines:put(depth, ...) self[#self + 1] = ("  "):rep(depth) .. (...):format(select(2, ...)) end

local write = {}

function write.call(self, node, depth)
  local words = {}
  for i, argument in ipairs(node.arguments) do words[i] = place(argument) end
  self:put(depth, "%s(%s)", node.proc and (node.proc.name or node.proc.base) or node.name, table.concat(words, ", "))
  if node.proc then self:body(node.proc.body, depth + 1) end
end

function write.each(self, node, depth)
  local units = node.units
  self:put(depth, "each %s from %s to %s by %d%s%s", node.variable, index.text(node.from), index.text(node.to), node.by,
    node.counted and ", while below count" or "",
    units and (", parted among cores%s"):format(units.inner and (", %d in each"):format(units.inner) or "") or "")
  self:body(node.body, depth + 1)
end

function write.when(self, node, depth)
  local words = {}
  for i, one in ipairs(type(node.condition) == "table" and node.condition or {}) do
    words[i] = ("%s %s %s"):format(index.text(one[1]), one[2], index.text(one[3]))
  end
  self:put(depth, "when %s", #words > 0 and table.concat(words, " and ") or node.condition)
  self:body(node.body, depth + 1)
  if node.other then
    self:put(depth, "else")
    self:body(node.other, depth + 1)
  end
end

function write.let(self, node, depth) self:put(depth, "%s = %s", node.variable, index.text(node.place)) end

function write.choose(self, node, depth)
  self:put(depth, "%s = %s where %s, else %s", node.view.storage.name, place(node.a), node.condition, place(node.b))
end

function write.copy(self, node, depth)
  self:put(depth, "%s = %s, %d elements", place(node.to), place(node.from), node.count)
end
function write.zero(self, node, depth) self:put(depth, "%s = 0, %d elements", place(node.view), node.count) end
function write.assign(self, node, depth) self:put(depth, "%s = %s", place(node.to), place(node.from)) end
function write.c(self, node, depth) self:put(depth, "calls of the runtime%s", node.work.pixels and ", pixels" or "") end

function Lines:body(body, depth)
  for _, node in ipairs(body) do write[node.node](self, node, depth) end
end

function Lines:stages(stages, depth)
  for _, stage in ipairs(stages) do
    if stage.barrier then self:put(depth, "cores meet") end
    if stage.fetch then self:put(depth, "the next piece of the weights")
    elseif stage.stages then
      self:put(depth, "each %s to %d", stage.variable, stage.to)
      self:stages(stage.stages, depth + 1)
      if stage.meet_again then self:put(depth + 1, "cores meet") end
    else
      self:put(depth, "stage: %s", ({ units = "all cores", zero = "core 0", all = "each core for itself" })[stage.who])
      self:body(stage.body, depth + 1)
    end
  end
end

--- The layers of a program, lowered, with buffers' places where memory is planned.
function text.program(program)
  local lines = setmetatable({}, Lines)
  for _, L in ipairs(program.fused) do
    lines:put(0, "%s: %s, %s %d; multiply-adds %d, weights %d bytes, scratch %d bytes shared, %d a core", L.name,
      L.kind, L.phase, L.number, L.macs, L.segment:bytes(), L.shared, L.own)
    for _, step in ipairs { L.prepare or false, L.lowered or false } do
      if step then lines:stages(step.stages, 1) end
    end
  end
  for _, b in ipairs(program.memory and program.memory.buffers or {}) do
    lines:put(0, "buffer %s: %d bytes at %d, steps %d to %d", b.name, b.bytes, b.offset, b.first, b.last)
  end
  return table.concat(lines, "\n") .. "\n"
end

return text
