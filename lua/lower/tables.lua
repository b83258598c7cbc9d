-- SPDX-License-Identifier: Apache-2.0
--- Attention in a window whose logits start from a table of distances (kernel attend_table).

local layers = require "lower.layer"
local moves = require "graph.moves"
local projections = require "lower.projections"
local tensor = require "msagen.tensor"
local operands = require "lower.operands"

local input = layers.input

local tables = {}

-- The table's value for each pair of places, a row a query, of each head.
local function pairs_of(layer, op, ldb)
  local start, count = input(op, "table"), op.window * op.window
  local role = layer.parts:role(start)
  return layer.parts:other(role, function()
    layer.segment:rows(role, op.heads * count, count, ldb, function()
      local known, list, apart = layer.parts.tensor_of(start):totable(), {}, moves.distances(op.window)
      for h = 0, op.heads - 1 do
        for _, distance in ipairs(apart) do list[#list + 1] = known[h * count + distance + 1] end
      end
      return tensor.from(list, { op.heads * count, count }):rename(start.name)
    end, layer.parts.sources_of(start))
  end)
end

-- The same of whole numbers.
local function attend_int8(layer, body, op, a, n, o, pool)
  local K, count, ldb = layer.K, op.window * op.window, layers.stride(op.window * op.window + 16)
  local start = layer.step:part(pairs_of(layer, op, ldb))
  local packed = K:keys_int8 { keys = count, d = a.d, row = op.window }
  local values, values_bytes = K:values_int8 { keys = count, d = a.d, row = op.window }
  local whole = operands.over("int8", K, pool, "n_int8", n, a.C) or operands.take("int8", K, pool, "n_int8", count, a.C)
  local q, v = pool:take("q", count * a.dpad, a.dpad), pool:take("v", count * a.dpad, a.dpad)
  local queries = operands.over("int8", K, pool, "queries", q, a.d)
  local kernel, sizes = K:attend_int8 { M = count, keys = count, d = a.d, row = op.window, ldb = ldb,
    ldq = queries:ld(), ldo = o.storage.stride }
  local kp, vp = pool:take("kp", packed.bytes, nil, "i8"), pool:take("vp", values_bytes, nil, "i8")
  local s, acc, stat = pool:take("logits", sizes.s), pool:take("acc", sizes.o), pool:take("stat", sizes.stat)
  operands.make("int8", K, body, count, a.C, n, whole)
  body:each({ variable = "h", to = op.heads }, function(head, h)
    projections.one(layer, head, a, "k", h, count, whole, q, pool)
    projections.one(layer, head, a, "v", h, count, whole, v, pool)
    head:call(packed.place { count = count, k_stride = a.dpad }, 0, q, kp)
    head:call(values, v, vp)
    projections.one(layer, head, a, "q", h, count, whole, q, pool)
    operands.make("int8", K, head, count, a.d, q, queries, 1 / math.sqrt(a.d))
    head:call(kernel, queries, kp, vp, start + h * (count * ldb), s, acc, stat, o + h * a.d)
  end)
end

--- Attention of the rows n of a window among themselves, head by head, to o. @param op { heads, window, input table }
-- @param a projections.of the layer @param pool of scratch
function tables.attend(layer, body, op, a, n, o, pool)
  if a.precision == "int8" then return attend_int8(layer, body, op, a, n, o, pool) end
  local K, count, ldb = layer.K, op.window * op.window, layers.stride(op.window * op.window + 16)
  local start = layer.step:part(pairs_of(layer, op, ldb))
  local packed = K[a.precision == "bf16" and "keys_bf16" or "keys"](K, { keys = count, d = a.d, row = op.window })
  local kernel, sizes = K:attend_table { precision = a.precision, keys = count, d = a.d, row = op.window, ldb = ldb,
    ldq = a.dpad, ldo = o.storage.stride }
  local q, k, v = pool:take("q", count * a.dpad, a.dpad), pool:take("k", count * a.dpad, a.dpad),
    pool:take("v", count * a.dpad, a.dpad)
  local kp, vp, s = pool:take("kp", packed.k), pool:take("vp", packed.v), pool:take("logits", sizes.s)
  local acc, stat = pool:take("acc", sizes.o), pool:take("stat", sizes.stat)
  if a.precision then operands.make(a.precision, K, body, count, a.C, n, n) end
  body:each({ variable = "h", to = op.heads }, function(head, h)
    for _, one in ipairs { { "q", q }, { "k", k }, { "v", v } } do
      projections.one(layer, head, a, one[1], h, count, n, one[2], pool)
    end
    head:call(packed.place { count = count, k_stride = a.dpad }, 0, k, v, kp, vp)
    head:call(K:rows("scale", { rows = count, C = a.d, ldx = a.dpad, s = 1 / math.sqrt(a.d) }), q)
    if a.precision then operands.make(a.precision, K, head, count, a.d, q, q) end
    head:call(kernel, q, kp, vp, start + h * (count * ldb), s, acc, stat, o + h * a.d)
  end)
end

return tables
