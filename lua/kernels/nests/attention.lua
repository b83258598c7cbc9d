-- SPDX-License-Identifier: Apache-2.0
--- Attention whose queries or keys are a prompt's tokens: each with its projections, adapters, residual and norm.
-- Tokens are as many as a prompt may have at most; those past its count weigh nothing.
-- What is the image's alone may be found ready (lua/schedule/ready.lua): it then comes by a pointer, or is made here
-- where that is NULL.

local index = require "lower.index"
local kernels = require "kernels.kernels"
local layers = require "lower.layer"
local rows = require "lower.rows"
local steps = require "lower.steps"
local token_rows = require "lower.token_rows"
local print = require "emit.print"
local types = require "graph.types"

local input = layers.input
local stride = kernels.stride

local COUNT = index.variable "count"

local nest = {}

-- What the three kinds share: the operation, its projections, sizes.
local function parts_of(layer)
  local one = layer.group
  local op = one:op "attention"
  local a = { op = op, q = input(op, "q"), k = input(op, "k"), v = input(op, "v"), heads = op.heads }
  a.inner = a.q.shape[#a.q.shape]
  a.d, a.ld = a.inner // a.heads, stride(a.inner)
  local before = {}
  for _, part in ipairs { "q", "k", "v" } do before[part] = one:closure(a[part]) end
  a.before = before
  a.after = {}
  for _, each in ipairs(one.ops) do
    if each ~= op and not (before.q[each] or before.k[each] or before.v[each]) then a.after[#a.after + 1] = each end
  end
  return a
end

-- The views of the layer's inputs for a strip of rows: of the prompt's tokens at `i`, of the image's at `t`.
local function place_inputs(layer, work, i, t, dies)
  for _, value in ipairs(layer.group.inputs) do
    local at
    if value.counted then at = i else at = t end
    if at then work:place(value, layer:given(value):row(at), 0, dies and layer:gives_up(value)) end
  end
  if t and layer.position then work:place(layer.position_value, layer.position:row(t), 0, false) end
end

-- What is made before the attention and needed after it, too, takes the place of what it is made of: value -> buffer.
local function keep(layer, work, a)
  local kept = {}
  layer.kept = layer.kept or {}
  for value in pairs(work.set) do
    if work.last[value] == math.huge and value ~= a.q and value ~= a.k and value ~= a.v then
      for _, from in ipairs(value.inputs) do
        if layer:gives_up(from) then kept[value] = layer:buffer(from) end
      end
      layer.kept[value] = true
    end
  end
  return kept
end

local function operations_before(layer, a, wanted)
  local set = {}
  for part in pairs(wanted) do layer.group:closure(a[part], set) end
  return layer.group:ordered(set)
end

-- The operations of some parts on a strip, each result to its view: { [part] = view }.
local function before(layer, body, pool, count, a, wanted, i, t)
  local work = rows.new(layer, body, pool, count, operations_before(layer, a, wanted))
  place_inputs(layer, work, i, t, false)
  for part, view in pairs(wanted) do work:bind(a[part], view) end
  for value, buffer in pairs(keep(layer, work, a)) do work:bind(value, buffer:row(i)) end
  work:run()
end

-- The same of the prompt's tokens, as stages. @param finish of token_rows.run
local function tokens_before(layer, a, wanted, finish)
  local ops = operations_before(layer, a, wanted)
  local kept = keep(layer, rows.new(layer, nil, layer.step.shared, layer.ctx.token_chunk, ops), a)
  token_rows.run(layer, ops, function(work, i)
    place_inputs(layer, work, i, nil, false)
    for part, view in pairs(wanted) do work:bind(a[part], view:row(i)) end
    for value, buffer in pairs(kept) do work:bind(value, buffer:row(i)) end
  end, finish)
end

-- Places of what follows attention, on a strip whose rows of its result are `o`.
local function place_after(layer, work, a, o, i, t)
  place_inputs(layer, work, i, t, true)
  for value in pairs(layer.kept or {}) do
    local from
    for _, one in ipairs(value.inputs) do
      if layer:gives_up(one) then from = layer:buffer(one) end
    end
    work:place(value, from:row(i), 0, true)
  end
  work:place(a.op, o, 0, true)
  for _, value in ipairs(layer.group.outputs) do work:bind(value, layer:buffer(value):row(value.counted and i or t)) end
end

local function after(layer, body, pool, count, a, o, t)
  local work = rows.new(layer, body, pool, count, a.after)
  place_after(layer, work, a, o, nil, t)
  work:run()
end

local function tokens_after(layer, a, o)
  token_rows.run(layer, a.after, function(work, i) place_after(layer, work, a, o:row(i), i, nil) end)
end

local function scale(layer, body, count, a, q)
  body:call(layer.K:rows("scale", { rows = count, C = a.inner, ldx = a.ld, s = 1 / math.sqrt(a.d) }), q)
end

-- Scratch of one attention of `rows` queries.
local function attend_scratch(pool, sizes)
  return pool:take("logits", sizes.s), pool:take("acc", sizes.o), pool:take("stat", sizes.stat)
end

--- Among the tokens themselves.
local function among_tokens(layer, a)
  local ctx, step, K = layer.ctx, layer.step, layer.K
  local most, chunk, pool = ctx.token_rows, ctx.token_chunk, step.shared
  local q, k, v = pool:take("q", most * a.ld, a.ld), pool:take("k", most * a.ld, a.ld),
    pool:take("v", most * a.ld, a.ld)
  local packed = K:keys { keys = most, d = a.d }
  local several = ctx.cores > 1
  local own = several and step:pool() or pool
  local kp, vp = own:take("kp", packed.k), own:take("vp", packed.v)
  local o = pool:take("o", most * a.ld, a.ld)
  local attend, sizes = K:attend { M = chunk, keys = most, d = a.d, ldq = a.ld, ldo = a.ld, counted = true }
  local logits, acc, stat = attend_scratch(own, sizes)
  local place = packed.place { count = most, k_stride = a.ld }
  local chunks = { variable = "i", to = most, by = chunk, counted = true }
  step:stage("zero", function(body)
    body:zero(k, most * a.ld)
    body:zero(v, most * a.ld)
  end)
  tokens_before(layer, a, { q = q, k = k, v = v }, function(inner, i) scale(layer, inner, chunk, a, q:row(i)) end)
  step:stage(several and "units" or "zero", function(body)
    body:each({ variable = "h", to = a.heads, units = several and { name = "heads" } }, function(head, h)
      head:call(place, 0, k + h * a.d, v + h * a.d, kp, vp)
      head:each(chunks, function(inner, i)
        inner:call(attend, q:row(i) + h * a.d, kp, vp, logits, acc, stat, o:row(i) + h * a.d, COUNT)
      end)
    end)
  end)
  tokens_after(layer, a, o)
  return { chunk = chunk }
end

-- Keys and values of the image's tokens, of all heads, to kp and vp.
local function image_side(layer, body, a, pool, packed, kp, vp)
  local ctx, K = layer.ctx, layer.K
  local tokens, strip = ctx.model.grid * ctx.model.grid, ctx.strip_rows
  local place = packed.place { count = strip, k_stride = a.ld }
  local k, v
  body:each({ variable = "t", to = tokens, by = strip, units = { name = "strips" } }, function(inner, t)
    local function both(part_k, part_v) before(layer, inner, pool, strip, a, { k = part_k, v = part_v }, nil, t) end
    k, v = pool:take("k", strip * a.ld, a.ld), pool:take("v", strip * a.ld, a.ld)
    both(k, v)
    inner:each({ variable = "h", to = a.heads }, function(head, h)
      head:call(place, t, k + h * a.d, v + h * a.d, kp + h * packed.k, vp + h * packed.v)
    end)
  end)
end

--- Tokens to image.
local function to_image(layer, a)
  local ctx, step, K = layer.ctx, layer.step, layer.K
  local most, chunk, tokens = ctx.token_rows, ctx.token_chunk, ctx.model.grid * ctx.model.grid
  local shared, side = step.shared, step:pool()
  local packed = K:keys { keys = tokens, d = a.d }
  local kp, vp = shared:take("kp", a.heads * packed.k), shared:take("vp", a.heads * packed.v)
  local q, o = shared:take("q", most * a.ld, a.ld), shared:take("o", most * a.ld, a.ld)
  local attend, sizes = K:attend { M = chunk, keys = tokens, d = a.d, ldq = a.ld, ldo = a.ld }
  local chunks = { variable = "i", to = most, by = chunk, counted = true }
  local keys, values = kp, vp
  step:stage("units", function(body)
    if not layer.ready then return image_side(layer, body, a, side, packed, kp, vp) end
    body:when("ready == NULL", function(inner) image_side(layer, inner, a, side, packed, kp, vp) end)
    keys = body:choose("k_image", "ready != NULL", layer.ready, kp)
    values = body:choose("v_image", "ready != NULL", layer.ready + a.heads * packed.k, vp)
  end)
  tokens_before(layer, a, { q = q }, function(inner, i) scale(layer, inner, chunk, a, q:row(i)) end)
  local logits, acc, stat = attend_scratch(step:pool(), sizes)
  step:stage("units", function(body)
    body:each({ variable = "h", to = a.heads, units = { name = "heads" } }, function(head, h)
      head:each(chunks, function(inner, i)
        inner:call(attend, q:row(i) + h * a.d, keys + h * packed.k, values + h * packed.v, logits, acc, stat,
          o:row(i) + h * a.d)
      end)
    end)
  end)
  tokens_after(layer, a, o)
  return { chunk = chunk, strip = ctx.strip_rows, heads = a.heads },
    { scratch = true, bytes = types.bytes(types.BASE, a.heads * (packed.k + packed.v)),
    macs = tokens * 2 * a.inner * layer.model.out }, function(body, pool, ready)
    image_side(layer, body, a, pool, packed, ready, ready + a.heads * packed.k)
  end
end

-- Queries of a strip of the image's tokens, scaled, to q.
local function image_queries(layer, body, a, pool, q, t)
  before(layer, body, pool, layer.ctx.strip_rows, a, { q = q }, nil, t)
  scale(layer, body, layer.ctx.strip_rows, a, q)
end

--- Image to tokens.
local function to_tokens(layer, a)
  local ctx, step, K = layer.ctx, layer.step, layer.K
  local most, chunk, strip, tokens = ctx.token_rows, ctx.token_chunk, ctx.strip_rows, ctx.model.grid * ctx.model.grid
  local pool = step:pool()
  local k, v = pool:take("k", most * a.ld, a.ld), pool:take("v", most * a.ld, a.ld)
  -- As many keys as the prompt may have, or one chunk of them for the usual few; where prompts are so many places they
  -- are never few.
  local sizes, largest = {}, nil
  local few = most > chunk and not (ctx.model.places and ctx.click_tokens > chunk)
  for i, keys in ipairs(few and { chunk, most } or { most }) do
    local packed = K:keys { keys = keys, d = a.d }
    local attend, need = K:attend { M = strip, keys = keys, d = a.d, ldq = a.ld, ldo = a.ld, counted = true }
    sizes[i] = { packed = packed, place = packed.place { count = keys, k_stride = a.ld }, attend = attend }
    largest = { packed = packed, need = need }
  end
  local kp, vp = pool:take("kp", a.heads * largest.packed.k), pool:take("vp", a.heads * largest.packed.v)
  local fresh = pool:take("q", strip * a.ld, a.ld)
  local logits, acc, stat = attend_scratch(pool, largest.need)
  local o = pool:take("o", strip * a.ld, a.ld)
  local function by_size(body, build)
    if #sizes == 1 then return build(body, sizes[1]) end
    body:when(("count <= %d"):format(chunk), function(few) build(few, sizes[1]) end,
      function(many) build(many, sizes[2]) end)
  end
  step:stage("all", function(body)
    body:zero(k, most * a.ld)
    body:zero(v, most * a.ld)
    body:each({ variable = "i", to = most, by = chunk, counted = true }, function(inner, i)
      before(layer, inner, pool, chunk, a, { k = k:row(i), v = v:row(i) }, i, nil)
    end)
    by_size(body, function(inner, size)
      inner:each({ variable = "h", to = a.heads }, function(head, h)
        head:call(size.place, 0, k + h * a.d, v + h * a.d, kp + h * size.packed.k, vp + h * size.packed.v)
      end)
    end)
  end)
  step:stage("units", function(body)
    body:each({ variable = "t", to = tokens, by = strip, units = { name = "strips" } }, function(inner, t)
      local q = fresh
      if layer.ready then
        inner:when("ready == NULL", function(made) image_queries(layer, made, a, pool, fresh, t) end)
        q = inner:choose("queries_of", "ready != NULL", layer.ready:row(t), fresh)
      else image_queries(layer, inner, a, pool, fresh, t) end
      by_size(inner, function(sized, size)
        sized:each({ variable = "h", to = a.heads }, function(head, h)
          head:call(size.attend, q + h * a.d, kp + h * size.packed.k, vp + h * size.packed.v, logits, acc, stat,
            o + h * a.d, COUNT)
        end)
      end)
      after(layer, inner, pool, strip, a, o, t)
    end)
  end)
  local queries = { bytes = types.bytes(types.BASE, tokens * a.ld), macs = tokens * a.inner * layer.model.out }
  return { strip = strip, chunk = chunk }, queries, function(body, own, ready)
    body:each({ variable = "t", to = tokens, by = strip, units = { name = "strips" } }, function(inner, t)
      image_queries(layer, inner, a, own, ready:row(t), t)
    end)
  end
end

-- Where in the encoder's last moments its image's side is made: a step of its own, with the same weights.
local function preparing(layer, a, build)
  local step = steps.new(layer.group.label .. "_prepare", layer.segment)
  step.part_views, step.of = layer.step.part_views, layer.step
  layer.step, layer.views, step.names = step, {}, {}
  if layer.position then step:parameter("const float *position", "position", layer.position.storage.stride) end
  local ready = step:parameter("float *ready", "ready", a.ld)
  local pool = step:pool()
  step:stage("units", function(body) build(body, pool, ready) end)
  return step
end

--- What an attention is called: by whose queries meet whose keys.
function nest.kind(one)
  local op = one:op "attention"
  local from, to = input(op, "q").counted, input(op, "k").counted
  return from and to and "token_self_attention" or from and "token_to_image" or "image_to_token"
end

--- @param ready whether what is the image's alone may be found ready
function nest.attention(layer, ready)
  local a = parts_of(layer)
  local among = a.q.counted and a.k.counted
  for _, op in ipairs(layer.group.ops) do
    for _, value in ipairs(op.inputs) do
      if value.kind == "constant" and value.name == "position" then layer.position_value = value end
    end
  end
  if layer.position_value then
    layer.position = layer.step:parameter("const float *position", "position", stride(layer.position_value.shape[2]))
  end
  if among then return among_tokens(layer, a) end
  if ready then
    layer.ready = layer.step:parameter("const float *ready", function(at)
      return ("mask == NULL ? %s : NULL"):format(print.slice("arena", at[ready.buffer], ready.bytes))
    end, a.ld)
  end
  local step = layer.step
  local env, found, build = (a.q.counted and to_image or to_tokens)(layer, a)
  local extra
  -- What the tokens have changed is not there before them.
  if layer.group:depends(a.q.counted and a.k or a.q, "tokens") then found = nil end
  if ready then
    extra = preparing(layer, a, build)
    layer.step = step
  end
  return env, found, extra
end

return { { name = "attention", lower = nest.attention, kind = nest.kind,
  fits = function(one)
    local op = one:op "attention"
    return op ~= nil and not op.grid and not op.causal
  end } }
