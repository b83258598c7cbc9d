-- SPDX-License-Identifier: Apache-2.0
--- Vector operations of generated kernels, counted in their text: what stands in a loop counts as often as the loop
-- runs.
-- Loops have constant bounds, stand on one line each, and braces close on lines of their own.
local activations = require "graph.activations"

local operations = {}

local KINDS = { msa_vfma = "fma", msa_vfma_scalar = "fma", msa_load = "load", msa_store = "store", msa_vadd = "add" }
for _, name in ipairs(activations.computed) do
  KINDS[activations.entries[name].vector] = activations.entries[name].counted
end
for lane = 0, 15 do KINDS["msa_vfma_lane" .. lane] = "fma" end

-- How often a loop runs: the inside of its parentheses.
local function trips(head)
  local name, first, compared, last, step = head:match("^size_t (%w+) = (%d+); (%w+) < (%d+); (.+)$")
  local by = step and (step == "++" .. tostring(name) and "1" or step:match("^" .. tostring(name) .. " %+= (%d+)$"))
  if not by or compared ~= name then error("a loop without constant bounds: " .. head) end
  return math.max(0, (last - first + by - 1) // by)
end

--- Operations of the functions in a list of texts, each of which defines one and stands behind those it calls.
-- @return name -> { fma =, load =, broadcast =, store =, add =, and each activation } of one call
function operations.count(texts)
  local known = {}
  for _, text in ipairs(texts) do
    local ops = { broadcast = 0 }
    for _, kind in pairs(KINDS) do ops[kind] = 0 end
    local function add(line, times)
      for name, at in line:gmatch("([%w_]+)%(()") do
        if KINDS[name] then ops[KINDS[name]] = ops[KINDS[name]] + times end
        -- else a constant
        if name == "msa_splat" and not line:find("^%d", at) then ops.broadcast = ops.broadcast + times end
        if known[name] then
          for kind, n in pairs(known[name]) do ops[kind] = ops[kind] + times * n end
        end
      end
    end
    local name
    local open = {}
    for line in text:gmatch("[^\n]+") do
      if not name then
        name = line:match("^s?t?a?t?i?c? ?void ([%w_]+)%(.*%)$")
      else
        local times, rest = open[#open] or 1, line:match("^%s*(.-)%s*$")
        while true do
          local head, behind = rest:match("^for %((.-)%) (.*)$")
          if not head then break end
          times, rest = times * trips(head), behind
        end
        if rest:find "^}" then open[#open] = nil end
        if rest:find "{$" then open[#open + 1] = times end
        add(rest, times)
      end
    end
    known[assert(name, "a text without a function")] = ops
  end
  return known
end

return operations
