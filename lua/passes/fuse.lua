-- SPDX-License-Identifier: Apache-2.0
--- Fuse: the operations of each layer become one fused operation, whose kind lua/layer_kinds.lua gives.
-- Relies on: operations of a layer stand together. Leaves: graph.fused, a list of { name, kind, op, op, ... }; an
-- operation that no pattern covers is an error, so nothing is dropped silently.
local kinds_of_layers = require "layer_kinds"

-- Whether the kinds, in order, are an instance of the pattern's words; a word ending in ? may be missing.
local function matches(words, kinds, w, k)
  w, k = w or 1, k or 1
  if w > #words then return k > #kinds end
  local word, optional = words[w]:match("^([%w_]+)(%??)$")
  if kinds[k] == word and matches(words, kinds, w + 1, k + 1) then return true end
  return optional == "?" and matches(words, kinds, w + 1, k)
end

local fused = {}
fused.__index = fused

--- The n-th (default first) operation of a kind, or nil.
function fused:op(kind, n)
  n = n or 1
  for _, op in ipairs(self) do
    if op.kind == kind then
      n = n - 1
      if n == 0 then return op end
    end
  end
end

return function(graph)
  graph.fused = {}
  for _, L in ipairs(graph:layers()) do
    local kinds, attention = {}, nil
    for i, op in ipairs(L) do
      kinds[i] = op.kind
      if op.kind == "attention" then attention = op end
    end
    for _, p in ipairs(kinds_of_layers.list) do
      if p.pattern and matches(p.words, kinds) and (not p.from or (attention.from == p.from and attention.to == p.to)) then
        L.kind = p.name
        break
      end
    end
    if not L.kind then error(("no pattern fuses layer %s: %s"):format(L.name, table.concat(kinds, " "))) end
    graph.fused[#graph.fused + 1] = setmetatable(L, fused)
  end
  return graph
end
