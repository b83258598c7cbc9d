-- SPDX-License-Identifier: Apache-2.0
--- Straight pieces of transforms as C. A lane is a line of its own: what is written is scalar arithmetic, done to all
-- lanes of a vector, so every board has the same bits.

local codelets = {}

local function is_product(x) return x.op == "times" or x.op == "product" end

-- Which operand of a sum is a product that one fused step takes: "b", "a" or nil.
local function fusing(x)
  if x.op ~= "add" and x.op ~= "sub" then return nil end
  if is_product(x.b) then return "b" end
  if x.op == "add" and is_product(x.a) then return "a" end
end

-- Products that all who take them fuse: they are never there by themselves.
local function fused_products(list, outputs)
  local apart = {}
  for _, x in ipairs(list) do
    local fuses = fusing(x)
    for _, side in ipairs { "a", "b" } do
      local y = x[side]
      if type(y) == "table" and is_product(y) and side ~= fuses then apart[y] = true end
    end
  end
  for _, x in ipairs(outputs) do apart[x] = true end
  return function(x) return is_product(x) and not apart[x] end
end

--- A number as C has it, exactly.
function codelets.literal(value) return ("%af"):format(string.unpack("f", string.pack("f", value))) end

--- Statements that compute outputs.
-- @param outputs list of { node, C that stores @ } @param loads name -> C of a vector
-- @return list of lines, { steps = arithmetic instructions, adds, products = as numbers in scalars }
function codelets.lines(graph, outputs, loads)
  local nodes, lines, names, counts = {}, {}, {}, { steps = 0, adds = 0, products = 0 }
  for i, one in ipairs(outputs) do nodes[i] = one[1] end
  local list = graph:needed(nodes)
  local is_fused = fused_products(list, nodes)
  local stores, stored = {}, {}
  for _, one in ipairs(outputs) do
    stores[one[1]] = stores[one[1]] or {}
    table.insert(stores[one[1]], one[2])
  end
  local function factor(x) return x.op == "times" and ("msa_splat(%s)"):format(codelets.literal(x.a)) or names[x.a] end
  local function value(x)
    if x.op == "load" then return loads[x.a] end
    if x.op == "number" then return ("msa_splat(%s)"):format(codelets.literal(x.a)) end
    if x.op == "negative" then return ("msa_vneg(%s)"):format(names[x.a]) end
    if is_product(x) then return ("msa_vmul(%s, %s)"):format(factor(x), names[x.b]) end
    local side = fusing(x)
    local product = side and x[side]
    if product and is_fused(product) then
      local other = side == "b" and x.a or x.b
      return ("msa_v%s(%s, %s, %s)"):format(x.op == "sub" and "fnma" or "fma", factor(product), names[product.b],
        names[other])
    end
    return ("msa_v%s(%s, %s)"):format(x.op, names[x.a], names[x.b])
  end
  for _, x in ipairs(list) do
    if is_product(x) then counts.products = counts.products + 1 end
    if x.op == "add" or x.op == "sub" then counts.adds = counts.adds + 1 end
    if not is_fused(x) then
      if x.op ~= "load" and x.op ~= "number" then counts.steps = counts.steps + 1 end
      names[x] = ("t%d"):format(x.id)
      lines[#lines + 1] = ("const msa_vec %s = %s;"):format(names[x], value(x))
      for _, store in ipairs(stores[x] or stored) do lines[#lines + 1] = (store:gsub("@", names[x])) end
    end
  end
  return lines, counts
end

return codelets
