-- SPDX-License-Identifier: Apache-2.0
--- Lowering: a graph's layers become steps. What a layer's operations are decides its nest, the loops that they stand
-- in.

local buffers = require "schedule.buffers"
local cores = require "schedule.cores"
local fail = require "support.fail"
local folder = require "support.folder"
local group = require "lower.group"
local layers = require "lower.layer"
local printer = require "emit.print"
local schema = require "support.schema"

local lower = {}

local does = schema.kind(function(value)
  if type(value) ~= "function" then return "a function" end
end)

-- What a nest is. The modules of lua/kernels/nests/, found by looking there, give a list of nests each.
--   name    of its own
--   fits    function(group) -> is a layer of these operations for it? One nest fits a layer, no more
--   kind    function(group) -> what layers of it are called in plans and profiles
--   lower   function(layer, ready) -> what others are told of the layer; further results are lower.layer's
--   pieces  its weights can come in pieces: true, or "images" where those of volumes cannot
local NEST = { name = { schema.text, true }, fits = { does, true }, kind = { does, true }, lower = { does, true },
  pieces = { schema.one_of(true, "images") } }

local nests = {}
for _, file in ipairs(folder.modules "kernels.nests") do
  for _, nest in ipairs(require("kernels.nests." .. file)) do
    schema.check(nest, NEST, ("lua/kernels/nests/%s.lua"):format(file))
    nests[#nests + 1] = nest
  end
end

--- The nest of a layer; a refusal of what has none, or several.
function lower.nest_of(one)
  local fitting, names = {}, {}
  for _, nest in ipairs(nests) do
    if nest.fits(one) then
      fitting[#fitting + 1], names[#names + 1] = nest, nest.name
    end
  end
  if #fitting == 1 then return fitting[1] end
  local kinds = {}
  for i, op in ipairs(one.ops) do kinds[i] = op.kind end
  fail("lower: layer %s: expected operations that one nest has loops for, found %s, which %s", one.label,
    table.concat(kinds, ", "), #names == 0 and "none has" or table.concat(names, " and ") .. " have")
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
  return lower.layer(label, draft, nil, nil).segment:bytes() > ctx.limit
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
-- @param ready { buffer, bytes }: where what is the image's alone may be found ready, or nil
-- @return { lowered = the step, segment, shared, own = bytes of scratch, buffers = name -> bytes, env, ready = { bytes,
-- macs } of what may be made ready, prepare = the step that makes it }
function lower.layer(label, ctx, private, ready)
  local one = ctx.groups[label]
  local nest = lower.nest_of(one)
  local layer = layers.new(one, ctx, private)
  layer.pieces, layer.limit = nest.pieces and in_pieces(label, nest, ctx) or false, ctx.limit
  local env, found, extra = nest.lower(layer, ready)
  env = env or {}
  local step, used, named = layer.step, {}, {}
  for buffer in pairs(layer.views) do used[buffer.name] = buffer.bytes end
  for _, each in ipairs { step, extra } do
    each:close()
    for stage in each:each_stage() do cores.split(stage, ctx.cores) end
    if not ctx.draft then
      local made = printer.new(ctx.kernels, require("schedule.split").loops(ctx.cores))
      for _, proc in ipairs(each.procs) do made:proc(proc) end
      cores.barriers(ctx.kernels, each)
    end
  end
  name_procs(env, named)
  return { lowered = step, group = one, segment = layer.segment, shared = step.shared.bytes, own = step:own(),
    buffers = used, env = named, ready = found, prepare = extra }
end

return lower
