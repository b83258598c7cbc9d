-- SPDX-License-Identifier: Apache-2.0
--- Lowering: a graph's layers become steps. What a layer's operations are decides its nest, the loops that they stand
-- in.

local buffers = require "schedule.buffers"
local cores = require "schedule.cores"
local fail = require "support.fail"
local group = require "lower.group"
local layers = require "lower.layer"
local printer = require "emit.print"
local attention = require "kernels.nests.attention"
local grid_attention = require "kernels.nests.grid_attention"
local heads = require "kernels.nests.heads"
local image = require "kernels.nests.image"
local neck = require "kernels.nests.neck"
local row_nests = require "kernels.nests.rows"

local lower = {}

-- The nest of a layer: what it is recognised by, the first that fits. pieces: its weights can come in pieces, true, or
-- "images" for those of volumes cannot. kind: what layers of it are called in plans and profiles.
local NESTS = {
  { name = "grid_attention", kind = function() return "encoder_attention" end, fits = function(one)
    local op = one:op "attention"
    return op and op.grid
  end, lower = grid_attention.attention, pieces = "images" },
  { name = "image", kind = function() return "patch_embed" end, fits = function(one)
    local op = one:op "conv"
    return op and op.sums == "channel"
  end, lower = image.image, pieces = true },
  { name = "neck", kind = function() return "neck" end, fits = function(one)
    local op = one:op "conv"
    return op and op.sums == "tap"
  end, lower = neck.neck, pieces = "images" },
  { name = "heads", kind = function() return "heads" end, fits = function(one) return one:op "concat" end,
    lower = heads.heads, pieces = true },
  { name = "attention", kind = attention.kind, fits = function(one)
    local op = one:op "attention"
    return op and not op.grid
  end, lower = attention.attention },
  { name = "select", kind = function() return "dense_prompt" end, fits = function(one) return one:op "select" end,
    lower = row_nests.select },
  { name = "masks", kind = function() return "masks" end, fits = function(one) return one:op "conv_transpose" end,
    lower = row_nests.masks },
  { name = "counted", kind = function() return "token_mlp" end, fits = function(one) return one.outputs[1].counted
    and not one:op "attention" end,
    lower = row_nests.counted, pieces = true },
  { name = "blocks", kind = function() return "encoder_mlp" end, fits = function(one) return not one:op "attention"
    and not one:op "conv" and not one:op "slice" end,
    lower = function(layer) return row_nests.blocks(layer, "x += MLP of x's norm, %d tokens.") end, pieces = true },
}

--- The nest of a layer; a refusal of what has none.
function lower.nest_of(one)
  for _, nest in ipairs(NESTS) do
    if nest.fits(one) then return nest end
  end
  local kinds = {}
  for i, op in ipairs(one.ops) do kinds[i] = op.kind end
  fail("lower: layer %s: expected operations that some nest has loops for, found %s", one.label,
    table.concat(kinds, ", "))
end

--- What all layers of a graph share: its groups by label, and the memory between them.
function lower.context(graph, fields)
  local list, by_label = group.list(graph)
  fields.order, fields.groups, fields.buffers, fields.macs = list, by_label, buffers.assign(graph, list),
    graph:macs(fields.click_tokens)
  return fields
end

-- Whether a layer's weights have to come in pieces: all of them are more than a buffer may hold.
local function in_pieces(label, nest, ctx)
  if not ctx.limit or nest.pieces == "images" and ctx.model.depth > 1 then return false end
  local draft = setmetatable({ limit = false, kernels = ctx.draft_kernels, draft = true, pruned = {} },
    { __index = ctx })
  return lower.layer(label, draft, nil, nil).segment:floats() > ctx.limit
end

-- What others are told of a layer, procs by their names.
local function name_procs(env, named)
  for key, value in pairs(env) do
    if type(value) == "table" and value.parameters then named[key] = value.name or value.base
    elseif type(value) == "table" and not value.storage and key ~= "ops" and key ~= "after" then
      named[key] = {}
      name_procs(value, named[key])
    else named[key] = value end
  end
end

--- Lower a layer. @param private roles that differ between banks, or nil
-- @param ready { buffer, floats }: where what is the image's alone may be found ready, or nil
-- @return { lowered = the step, segment, shared, own = floats of scratch, buffers = name -> floats, env, ready = {
-- floats, macs } of what may be made ready, prepare = the step that makes it }
function lower.layer(label, ctx, private, ready)
  local one = ctx.groups[label]
  local nest = lower.nest_of(one)
  local layer = layers.new(one, ctx, private)
  layer.pieces, layer.limit = nest.pieces and in_pieces(label, nest, ctx) or false, ctx.limit
  local env, found, extra = nest.lower(layer, ready)
  env = env or {}
  local step, used, named = layer.step, {}, {}
  for buffer in pairs(layer.views) do used[buffer.name] = buffer.floats end
  for _, each in ipairs { step, extra } do
    for stage in each:each_stage() do cores.split(stage, ctx.cores) end
    if not ctx.draft then
      local made = printer.new(ctx.kernels, require("schedule.split").loops(ctx.cores))
      for _, proc in ipairs(each.procs) do made:proc(proc) end
      cores.barriers(ctx.kernels, each)
    end
  end
  name_procs(env, named)
  return { lowered = step, group = one, segment = layer.segment, shared = step.shared.size, own = step:own(),
    buffers = used, env = named, ready = found, prepare = extra }
end

return lower
