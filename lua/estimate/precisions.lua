-- SPDX-License-Identifier: Apache-2.0
--- Bytes of a build's weights by their precision, all banks together.

local closed = require "support.closed"

local precisions = {}

local NAMES = { bf16 = "bf16", i8 = "int8", f32 = "f32" }

--- @param build of compiler.schedule
-- @return a list of { precision, bytes }, the largest first; scales and sums of whole numbers count with them, what is
-- no layer's own (positions, prompts) with f32
function precisions.of(build)
  local bytes = {}
  local function add(seg, banks)
    for _, part in ipairs(seg.parts) do
      local name = NAMES[part.type] or "f32"
      bytes[name] = (bytes[name] or 0) + part.bytes * (part.private and banks or 1)
    end
  end
  for _, L in ipairs(build.graph.fused) do
    if not L.uses then add(L.segment, #build.banks) end
  end
  for _, name in ipairs { "position", "prompt" } do add(build.tables[name], #build.banks) end
  local list = {}
  for _, name in ipairs(closed.sorted(bytes)) do list[#list + 1] = { precision = name, bytes = bytes[name] } end
  table.sort(list, function(a, b) return a.bytes > b.bytes end)
  return list
end

--- The same in words, "" where all is float32. @param list precisions.of's
function precisions.spoken(list)
  if #list < 2 then return "" end
  local words = {}
  for i, one in ipairs(list) do words[i] = ("%s %s"):format(one.precision,
    require("support.layout").bytes(one.bytes)) end
  return table.concat(words, ", ")
end

return precisions
