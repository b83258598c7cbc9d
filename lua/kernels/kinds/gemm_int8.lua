-- SPDX-License-Identifier: Apache-2.0
--- A product of whole numbers whose exact sums become floats (docs/arithmetic.md, int8-dyn-1). Request: M, N, K; lda,
-- bytes; ldc; of, what b is: weights as the blob has them (unless said), keys or values as their kernels pack them;
-- out, what sums become:
--   linear       times the row's scale, then the column's; with bias, act (lua/graph/activations.lua), residual: + c
--   first, next, last   taps of a convolution: 0 or c plus the sum times the row's scale, the last times the column's
--   sums, sums_end   of some of the numbers of a row: added to the whole numbers that c holds; with the last ones, as
--                linear
--   values       times the column's scale; values_next: of c times alpha[row] plus that, in one multiply-add
-- @return the kernel f(a, b, [bias,] [alpha,] [room,] c), and bytes of room: scratch, 0 where it takes none
local activations = require "graph.activations"
local ahead = require "kernels.ahead"
local integer_tiles = require "kernels.integer_tiles"
local integers = require "kernels.integers"
local requests = require "kernels.requests"
local schema = require "support.schema"

local FORMULA = { sums = "c plus sums, whole numbers",
  sums_end = "c plus sums, times the row's scale, then the column's",
  linear = "sums times the row's scale, then the column's",
  first = "+0 plus sums times the row's scale",
  next = "c plus sums times the row's scale", last = "c plus sums times the row's scale, times the column's",
  values = "sums times the column's scale", values_next = "c times alpha plus sums times the column's scale" }

local function suffix_of(f)
  local words = { f.out ~= "linear" and "_" .. f.out or "" }
  if f.form ~= "bytes" then words[#words + 1] = "_" .. f.form end
  if f.bias then words[#words + 1] = "_bias" end
  if f.act ~= "none" then words[#words + 1] = "_" .. f.act end
  if f.residual then words[#words + 1] = "_residual" end
  if f.ahead then words[#words + 1] = "_ahead" .. f.ahead end
  return table.concat(words)
end

-- Steps over K numbers of a form. Weights that are relaid have as many as the blob's words give.
local function steps_of(K, form, relaid)
  return relaid and form == "pairs" and 2 * integers.steps(K, "bytes") or integers.steps(K, form)
end

local function make(K, f)
  local integer, of = K:integer(), f.of or "weights"
  local form = integers.form(integer, of == "values" and "values" or "weights")
  local number, relaid = integers.number(integer, of), of == "weights" and form ~= "bytes"
  local tiling = integer_tiles.tiling(K, f.M, f.N, f.K, form)
  local fields = { form = form, number = number, relaid = relaid, out = f.out or "linear", bias = f.bias or false,
    act = f.act or "none", residual = f.residual or false, formula = FORMULA[f.out or "linear"] }
  local vector = integer.vector and integer[form == "halves" and "bytes" or form]
  fields.ahead = of == "weights" and vector ~= nil and form ~= "columns"
    and ahead(K.board, tiling, (f.N + 15) // 16, steps_of(f.K, form, relaid), relaid and 32 or 64)
  fields.activation = activations.of(fields.act, "gemm_int8: act")
  local words, names, widest = {}, {}, 0
  local function tile(mr, column)
    if K.draft then return "msa_tile_int8" end
    local one = { MR = mr, N = column.np * 16 }
    for key, value in pairs(fields) do one[key] = value end
    one.relaid = nil
    return K:write("tile_int8", ("msa_tile_int8_%dx%d%s"):format(mr, one.N, suffix_of(fields)), one)
  end
  for _, row in ipairs(tiling.rows) do
    for _, column in ipairs(tiling.columns) do
      names[#names + 1], widest = tile(row.mr, column), math.max(widest, column.np)
      words[#words + 1] = ("%dx%d"):format(row.mr, column.np * 16)
    end
  end
  local steps = steps_of(f.K, form, relaid)
  local all = { M = f.M, N = f.N, K = f.K, panels = (f.N + 15) // 16, steps = steps, lda = f.lda, ldc = f.ldc,
    at = integers.at(integer, f.K), bps = form == "columns" and integers.panel(f.K, form, number) or 64 * steps,
    words = integers.steps(f.K, "bytes"), tile = tile, tiling = tiling, columns = tiling.columns,
    order = relaid and "columns" or tiling.order, tiles = table.concat(names, " ") }
  for key, value in pairs(fields) do all[key] = value end
  all.strides = not relaid or widest > 1
  local numbers = { { "rows", "M" }, { "panels", "panels" }, { "steps", "steps" }, { "lda", "lda" },
    { "ldc", "ldc" }, { all.strides and "bps", "bps" }, { false, "N" }, { false, "K" } }
  numbers[#numbers + 1] = { not fields.out:find "^values" and fields.out ~= "sums" and "at", "at" }
  numbers[#numbers + 1] = { relaid and "words", "words" }
  if #tiling.rows > 1 then
    all.upper, numbers[#numbers + 1] = tiling.rows[1].last, { "upper", "upper" }
  end
  if #tiling.columns > 1 then
    all.wide, numbers[#numbers + 1] = tiling.columns[1].last, { "wide", "wide" }
  end
  all.type = "int8"
  local name = K:make("gemm_int8", ("msa_gemm_int8_%s%s%s%s"):format(table.concat(words, "_"), suffix_of(fields),
    relaid and "_relaid" or "", all.order == "rows" and "_rows_first" or ""), all, numbers)
  return K:listed(name, all), relaid and widest * all.bps or 0
end

return { request = requests.request(requests.sizes("M", "N", "K", "lda", "ldc"), {
    of = schema.one_of("weights", "keys", "values"), out = schema.one_of("linear", "first", "next", "last", "values",
    "values_next", "sums", "sums_end"), bias = schema.flag, act = schema.one_of(table.unpack(activations.names)),
    residual = schema.flag }),
  make = make,
  cycles = function(core, f)
    local tiling = integer_tiles.tiling(core.build.kernels, f.M, f.N, f.K, f.form)
    return tiling.cycles, core:vectors(f.M * f.N, 4, 2, 1)
      + (f.act ~= "none" and core:activation(f.act, f.M, f.N) or 0), f.M * f.N * f.K
  end }
