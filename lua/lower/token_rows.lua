-- SPDX-License-Identifier: Apache-2.0
--- Operations on the few tokens of a prompt. One core does them, a chunk of tokens at a time; of several, each makes a
-- part of the columns of every linear map in float32, since most of the time goes into fetching its weights.

local kernels = require "kernels.kernels"
local layers = require "lower.layer"
local rows = require "lower.rows"

local input, stride = layers.input, kernels.stride

local FEWEST = 2 -- panels of a part: tiles are so wide where rows are few

local token_rows = {}

-- Columns of a linear map that a core makes; nil where one does all of it.
local function part_of(layer, op)
  if layer.ctx.cores == 1 or layer.pieces or op.kind ~= "linear" or op.value or op.precision or input(op, "start") then
    return nil
  end
  local panels, parts = op.shape[#op.shape] / 16, nil
  for n = 2, panels // FEWEST do
    if panels % n == 0 and (parts or 0) < layer.ctx.cores then parts = n end
  end
  return parts and 16 * math.tointeger(panels / parts)
end

local function name_of(layer, op)
  local linear = op.kind == "act" and input(op, "x") or op
  return linear.kind == "linear" and layer.parts:role(input(linear, "w")) or op.kind
end

-- Runs of operations: { columns = of a part, or false, ops }.
local function runs_of(layer, ops)
  local list, taken, set = {}, {}, {}
  for _, op in ipairs(ops) do set[op] = true end
  for _, op in ipairs(ops) do
    local columns = part_of(layer, op) or false
    if columns then
      local act = layer.group:only_user(op)
      act = act and act.kind == "act" and set[act] and act
      list[#list + 1] = { columns = columns, ops = { op, act or nil }, gives = act or op }
      taken[act or op] = true
    elseif not taken[op] then
      if not list[#list] or list[#list].columns then list[#list + 1] = { columns = false, ops = {} } end
      table.insert(list[#list].ops, op)
    end
  end
  return list
end

-- Memory of all tokens for a value.
local function place_of(layer, op)
  local pool, ld = layer.step.shared, stride(op.shape[#op.shape])
  return pool:take(rows.free_name(pool, name_of(layer, op)), layer.ctx.token_rows * ld, ld)
end

-- Of each value that runs take, the last one that does; and memory of all tokens for what a run gives to later ones.
local function lives_of(layer, runs, bound)
  local made_in, last, places = {}, {}, {}
  for r, run in ipairs(runs) do
    for _, op in ipairs(run.ops) do
      made_in[op] = r
      for _, value in ipairs(op.inputs) do last[value] = r end
    end
  end
  for _, run in ipairs(runs) do
    for _, op in ipairs(run.ops) do
      if (last[op] or 0) > made_in[op] then places[op] = bound[op] or place_of(layer, op) end
    end
  end
  return last, places
end

--- Do operations on the prompt's tokens, as stages of the layer's step.
-- @param ops in order @param place function(work, i): it places what they take and binds what is wanted, at token i
-- @param finish nil, or function(body, i): what else is done with a chunk, after all of them
function token_rows.run(layer, ops, place, finish)
  local ctx, step = layer.ctx, layer.step
  local chunk = ctx.token_chunk
  local chunks = { variable = "i", to = ctx.token_rows, by = chunk, counted = true }
  local bound = rows.new(layer, nil, step.shared, chunk, ops)
  place(bound, 0)
  local runs = runs_of(layer, ops)
  local last, places = lives_of(layer, runs, bound.bound)
  local function on_chunk(body, i, r, column)
    local run = runs[r]
    local work = rows.new(layer, body, step.shared, chunk, run.ops)
    place(work, i)
    for value, view in pairs(places) do
      local at = work.bound[value] or view:row(i)
      if work.set[value] then work:bind(value, at) else work:place(value, at, 0, false) end
    end
    for value in pairs(work.mine) do work.mine[value] = work.mine[value] and (last[value] or r) <= r end
    if column then work:only_columns(column, run.columns) end
    work:run()
  end
  for r, run in ipairs(runs) do
    if run.columns then
      step:stage("units", function(body)
        local parts = { variable = "n", to = run.ops[1].shape[2], by = run.columns,
          units = { name = "columns", apart = true } }
        body:each(parts, function(inner, n)
          inner:each(chunks, function(innermost, i) on_chunk(innermost, i, r, n) end)
        end)
      end)
    else
      step:stage("zero", function(body)
        body:each(chunks, function(inner, i)
          on_chunk(inner, i, r)
          if finish and r == #runs then finish(inner, i) end
        end)
      end)
    end
  end
  if finish and runs[#runs].columns then
    step:stage("zero", function(body) body:each(chunks, finish) end)
  end
end

return token_rows
