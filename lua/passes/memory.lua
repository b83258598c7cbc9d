-- SPDX-License-Identifier: Apache-2.0
--- Memory plan: lifetimes -> places in one arena.
-- Steps are the layers in order, with one more before the decoder, where the tokens are made, and one at the end, where
-- the results are read. The embedding lives from the neck to the end and no decoder step may touch it: one encode serves
-- many prompts. Relies on: schedule. Leaves: graph.memory = { buffers = {{name, floats, offset, first, last}}, floats, bound };
-- on each layer `at` (buffer -> offset) and `scratch_at`. All in floats; every place starts on a cache line.
local function round16(n) return (n + 15) // 16 * 16 end

return function(graph, model)
  local list, by_name, step = {}, {}, 0
  local function live(name, floats, at)
    local b = by_name[name]
    if not b then
      b = { name = name, floats = round16(floats), first = at, last = at }
      by_name[name] = b
      list[#list + 1] = b
    end
    assert(b.floats == round16(floats), name)
    b.last = at
  end
  local names
  for _, L in ipairs(graph.fused) do
    step = step + 1
    if L.kind == "dense_prompt" then step = step + 1 end -- tokens are made before it
    L.step = step
    names = {}
    for name in pairs(L.buffers) do names[#names + 1] = name end
    table.sort(names)
    for _, name in ipairs(names) do live(name, L.buffers[name], step) end
    live("scratch " .. L.name, L.scratch, step)
  end
  for _, L in ipairs(graph.fused) do
    if L.kind == "dense_prompt" then by_name.tokens.first = math.min(by_name.tokens.first, L.step - 1) end
  end
  if model.depth > 1 then -- results of all slices, until the caller gets them
    live("stage", model.depth * (by_name.logits.floats + model.decoder.masks), by_name.tokens.first)
    by_name.stage.last = step + 1
  end
  for _, name in ipairs { "embedding", "logits", "iou" } do by_name[name].last = step + 1 end

  local bound = 0
  for s = 1, step + 1 do
    local sum = 0
    for _, b in ipairs(list) do
      if b.first <= s and s <= b.last then sum = sum + b.floats end
    end
    bound = math.max(bound, sum)
  end

  -- Long-lived and large ones first, each at the lowest place that is free for its whole life.
  local order = {}
  for i, b in ipairs(list) do
    b.index = i
    order[i] = b
  end
  table.sort(order, function(a, b)
    if a.floats ~= b.floats then return a.floats > b.floats end
    return a.index < b.index
  end)
  local function place(sorted)
    local placed, top = {}, 0
    for _, b in ipairs(sorted) do
      local blocking = {}
      for _, p in ipairs(placed) do
        if p.first <= b.last and b.first <= p.last then blocking[#blocking + 1] = p end
      end
      table.sort(blocking, function(p, q) return p.offset < q.offset end)
      local at = 0
      for _, p in ipairs(blocking) do
        if at + b.floats <= p.offset then break end
        at = math.max(at, p.offset + p.floats)
      end
      b.offset = at
      placed[#placed + 1] = b
      top = math.max(top, at + b.floats)
    end
    return top
  end
  local best = place(order)
  -- The same by length of life; keep whichever is smaller.
  local by_life = table.move(order, 1, #order, 1, {})
  table.sort(by_life, function(a, b)
    local p, q = a.last - a.first, b.last - b.first
    if p ~= q then return p > q end
    if a.floats ~= b.floats then return a.floats > b.floats end
    return a.index < b.index
  end)
  if place(by_life) >= best then best = place(order) else best = place(by_life) end

  for _, L in ipairs(graph.fused) do
    L.at = {}
    for name in pairs(L.buffers) do L.at[name] = by_name[name].offset end
    L.scratch_at = by_name["scratch " .. L.name].offset
  end
  graph.memory = { buffers = list, by_name = by_name, floats = best, bound = bound }
  return graph
end
