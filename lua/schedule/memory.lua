-- SPDX-License-Identifier: Apache-2.0
--- Layout of memory: lifetimes -> places in one arena.
-- Steps are the layers in order, with one more before the decoder, where the tokens are made, and one at the end, where
-- the results are read. The embedding lives from the neck to the end and no decoder step may touch it: one encode
-- serves many prompts, and so does what is made ready of the image for the decoder's first layer, which is done where
-- it costs no memory.
-- Weights that are fetched have two buffers a phase, and what stays of them one more (lua/schedule/fetches.lua).
-- Relies on: lower. Leaves: graph.stream, where weights are fetched; graph.memory = { buffers = {{name, bytes, offset,
-- first, last}}, bytes, bound, canaries = offsets of lines that guard it, where graph.guards };
-- on each layer `at` (buffer -> offset) and `scratch_at`. All in bytes; every place starts on a cache line.
local closed = require "support.closed"
local ready = require "schedule.ready"
local stream = require "schedule.fetches"
local types = require "graph.types"

-- Put each buffer, in this order, where its whole life is free: at the lowest place, or at the highest below `bound` if
-- it is in `high`. @return the offsets by buffer, and the top
local function place(order, high, bound)
  local offset, placed, top = {}, {}, 0
  for _, b in ipairs(order) do
    local gaps, at = {}, 0
    for _, p in ipairs(placed) do -- kept in order of offset
      if p.first <= b.last and b.first <= p.last then
        if offset[p] >= at + b.bytes then gaps[#gaps + 1] = { at, offset[p] } end
        at = math.max(at, offset[p] + p.bytes)
      end
    end
    local where = gaps[1] and gaps[1][1] or at
    if high[b] then
      if at + b.bytes <= bound then where = bound - b.bytes
      elseif #gaps > 0 then where = gaps[#gaps][2] - b.bytes end
    end
    offset[b] = where
    top = math.max(top, where + b.bytes)
    local i = #placed + 1
    while i > 1 and offset[placed[i - 1]] > where do i = i - 1 end
    table.insert(placed, i, b)
  end
  return offset, top
end

-- Variations that are tried: fewer of many buffers, of which each takes longer.
local ROUNDS, LOOKS = 600, 1e7

-- Search for an arrangement as small as the bound: the usual orders, then variations on them, always the same ones.
local function arrange(list, bound)
  local best, kept
  local rounds = math.min(ROUNDS, LOOKS // (#list * #list))
  local function try(order, high)
    local offset, top = place(order, high, bound)
    if not best or top < best then best, kept = top, offset end
    return best == bound
  end
  local function by(key)
    local order = table.move(list, 1, #list, 1, {})
    table.sort(order, function(p, q)
      local kp, kq = key(p), key(q)
      if kp ~= kq then return kp > kq end
      return p.index < q.index
    end)
    return order
  end
  for i, b in ipairs(list) do b.index = i end
  local function life(b) return b.last - b.first end
  local function size(b) return b.bytes end
  local done = try(by(size), {}) or try(by(life), {})
  local state = 1
  local function random() -- minimal standard generator
    state = state * 48271 % 2147483647
    return state / 2147483647
  end
  for round = 1, rounds do
    if done then break end
    local weight, high = {}, {}
    for _, b in ipairs(list) do
      weight[b] = (round % 2 == 0 and b.bytes or life(b) * b.bytes) * (0.3 + random())
      high[b] = life(b) > 0 and random() < 0.5 or nil
    end
    done = try(by(function(b) return weight[b] end), high)
  end
  -- What ends above the bound comes before all others the next time.
  local order = by(size)
  for _ = 1, done and 0 or rounds do
    local offset = place(order, {}, bound)
    local first, rest = {}, {}
    for _, b in ipairs(order) do
      local above = offset[b] + b.bytes > bound
      table.insert(above and first or rest, b)
    end
    order = table.move(rest, 1, #rest, #first + 1, first)
    done = try(order, {})
    if done then break end
  end
  for _, b in ipairs(list) do b.offset = kept[b] end
  return best
end

-- Buffers with their lives.
local Lives = {}
Lives.__index = Lives

-- A buffer is alive at a step.
function Lives:live(name, bytes, at)
  local b = self.by_name[name]
  if not b then
    b = { name = name, bytes = types.lines(bytes), first = at, last = at }
    self.by_name[name] = b
    self.list[#self.list + 1] = b
  end
  assert(b.bytes == types.lines(bytes), name)
  b.first, b.last = math.min(b.first, at), math.max(b.last, at)
end

function Lives:layer(L, at)
  for _, name in ipairs(closed.sorted(L.buffers)) do self:live(name, L.buffers[name], at) end
  self:live("scratch " .. L.name, L.scratch, at)
end

-- Buffers of weights that are fetched: a call's first fetch begins before its first step.
function Lives:stream(streamed)
  for _, phase in ipairs { "encode", "decode" } do
    local items = streamed[phase].items
    local last = items[#items].layer and items[#items] or items[#items - 1]
    for b = 0, 1 do
      self:live(stream.name(phase, b), streamed[phase].sizes[b], math.max(items[1].layer.step - 1, 1))
      self:live(stream.name(phase, b), streamed[phase].sizes[b], last.layer.step)
    end
    for i, item in ipairs(items) do
      if item.buffer == "tables" then self:live("tables", item.bytes, items[i - 1].layer.step)
      elseif type(item.buffer) == "string" then
        self:live(item.buffer, item.bytes, math.max(item.layer.step - 1, 1))
        self:live(item.buffer, item.bytes, item.layer.step)
      end
    end
  end
end

-- The least that all buffers can take together.
function Lives:bound(last)
  local bound = 0
  for s = 1, last do
    local sum = 0
    for _, b in ipairs(self.list) do
      if b.first <= s and s <= b.last then sum = sum + b.bytes end
    end
    bound = math.max(bound, sum)
  end
  return bound
end

-- The buffers of a program with their lives, and the least that they can take together. Leaves L.step.
local function lives(layers, model, graph)
  local all, step, first = setmetatable({ list = {}, by_name = {} }, Lives), 0, nil
  for _, L in ipairs(layers) do
    step = step + 1
    if L.phase == "decode" and not first then first, step = L, step + 1 end -- tokens are made before it
    L.step = step
    all:layer(L, step)
    for _, used in ipairs(L.uses or {}) do all:layer(used, step) end
  end
  local by_name = all.by_name
  by_name.tokens.first = math.min(by_name.tokens.first, first.step - 1)
  if model.depth > 1 then -- results of all slices, until the caller gets them
    local scores = types.bytes(types.BASE, model.decoder.masks)
    all:live("stage", model.depth * (by_name.logits.bytes + scores), by_name.tokens.first)
    by_name.stage.last = step + 1
  end
  local streamed = graph.streamed and stream.phases(layers, graph)
  if streamed then
    all:stream(streamed)
    by_name.tables.last = step + 1
  end
  for _, name in ipairs { "embedding", "logits", "iou", "ready_keys", "ready_queries" } do
    if by_name[name] then by_name[name].last = step + 1 end
  end
  return { list = all.list, by_name = by_name, bound = all:bound(step + 1), stream = streamed }
end

-- The layers with what can be made ready for the decoder at the end of encoding; nil if there is nothing.
local function with_ready(layers, graph, model)
  local extra = ready.layer(graph, model)
  if not extra then return nil end
  local list = {}
  for _, L in ipairs(layers) do
    if L.phase == "decode" and not extra.number then
      extra.number = #list
      list[#list + 1] = extra
    end
    list[#list + 1] = L
  end
  return list, extra
end

local memory = {}

-- A line that nothing may write but the session, which looks at its pattern.
local CANARY = types.lines(1)

-- Make room for such lines at both ends of a layout.
local function guard(layout)
  for _, b in ipairs(layout.buffers) do b.offset = b.offset + CANARY end
  layout.canaries = { 0, layout.bytes + CANARY }
  layout.bytes, layout.bound = layout.bytes + 2 * CANARY, layout.bound + 2 * CANARY
end

--- One more behind what was put after a guarded layout.
function memory.guard_end(layout)
  layout.canaries[#layout.canaries + 1] = types.lines(layout.bytes)
  layout.bytes, layout.bound = types.lines(layout.bytes) + CANARY, layout.bound + CANARY
end

--- Buffers that an encode leaves to prompts, where a build has them.
memory.KEPT = { "embedding", "ready_keys", "ready_queries", "tables" }

-- Between calls msa_check_slice fetches weights to the encoder's buffers: they must have nothing of what is kept.
local function check_fetched(by_name)
  for b = 0, 1 do
    local buffer = by_name[stream.name("encode", b)]
    for _, name in ipairs(memory.KEPT) do
      local kept = by_name[name]
      if kept and kept.offset < buffer.offset + buffer.bytes and buffer.offset < kept.offset + kept.bytes then
        error(("%s lies in %s"):format(name, buffer.name))
      end
    end
  end
end

--- The least that buffers { bytes, first, last } could take together. @param last step there is
function memory.bound(list, last) return setmetatable({ list = list, by_name = {} }, Lives):bound(last) end

--- Places of buffers { name, bytes, first, last }, which get `offset`. @param last step there is
-- @return bytes of all, and the least that they could take
function memory.arrange(list, last)
  local bound = memory.bound(list, last)
  return arrange(list, bound), bound
end

local function pass(graph, model)
  local plain = lives(graph.fused, model, graph)
  local layers, extra = with_ready(graph.fused, graph, model)
  local layout = layers and lives(layers, model, graph)
  if layout and layout.bound <= plain.bound then
    graph.fused, graph.ready_macs = layers, extra.ready_macs
    for i = extra.dense and 2 or 1, #extra.uses do
      local L = extra.uses[i]
      L.macs = L.macs - L.ready.macs -- without a mask
      L.ready.buffer = L.ready.name
      L.buffers[L.ready.buffer] = extra.buffers[L.ready.buffer]
      L.relower { buffer = L.ready.buffer, bytes = L.ready.bytes }
    end
  else
    layout = lives(graph.fused, model, graph) -- steps anew
  end
  local list, by_name = layout.list, layout.by_name
  local best = arrange(list, layout.bound)
  if layout.stream then check_fetched(by_name) end
  graph.memory = { buffers = list, by_name = by_name, bytes = best, bound = layout.bound }
  if graph.guards then guard(graph.memory) end

  for _, L in ipairs(graph.fused) do
    L.at = {}
    for name in pairs(L.buffers) do L.at[name] = by_name[name].offset end
    for _, used in ipairs(L.uses or {}) do
      for name in pairs(used.buffers) do L.at[name] = by_name[name].offset end
    end
    L.scratch_at = by_name["scratch " .. L.name].offset
  end
  graph.stream = layout.stream or nil
  return graph
end

return setmetatable(memory, { __call = function(_, ...) return pass(...) end })
