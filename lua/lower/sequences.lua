-- SPDX-License-Identifier: Apache-2.0
--- The depth branch of an encoder block in a volume: the block's attention on sequences along the depth, each laid out
-- as a small grid, then the depth adapter. What forms a sequence is the gather's to say (graph/moves.lua): runs of
-- consecutive entries, an entry being a window of a slice, padding included, at each place in the window.

local kernels = require "kernels.kernels"
local layers = require "lower.layer"
local projections = require "lower.projections"
local relative = require "lower.relative"
local rows = require "lower.rows"
local operands = require "lower.operands"

local input = layers.input
local stride = kernels.stride

-- Tokens that are worked on at a time, at most: whole sequences, at as many places as divide a window's side.
local AT_ONCE = 128

local sequences = {}

-- The token of a sequence's member: loops over places and members with what `build` does to each.
local function each_member(body, s, places, run, place, build)
  body:each({ variable = "p", to = places }, function(inner, p)
    inner:each({ variable = "i", to = s.length }, function(member, i)
      local entry = member:let("entry", run * s.length + i)
      local slice = entry // (s.windows * s.windows)
      local window = member:let("window", entry % (s.windows * s.windows))
      local y = member:let("y", window // s.windows * s.side + place // s.side)
      local c = member:let("c", window % s.windows * s.side + place % s.side + p)
      build(member, (slice * s.grid + y) * s.grid + c, p * s.length + i, { { y, "<", s.grid }, { c, "<", s.grid } })
    end)
  end)
end

-- The same of whole numbers.
local function attention_int8_of(layer, pool, a, s, dh, dw, rel, count, ldc)
  local K, t = layer.K, { ldr = stride(math.max(dh, dw)) }
  t.n, t.o = pool:take("n", count * ldc, ldc), pool:take("o", count * ldc, ldc)
  t.whole = operands.over("int8", K, pool, "n_int8", t.n, a.C) or operands.take("int8", K, pool, "n_int8", count, a.C)
  for _, name in ipairs { "q", "k", "v" } do t[name] = pool:take(name, count * a.dpad, a.dpad) end
  t.queries = operands.over("int8", K, pool, "queries", t.q, a.d)
  local packed, values_bytes = K:keys_int8 { keys = s.length, row = dw, d = a.d }, nil
  t.values, values_bytes = K:values_int8 { keys = s.length, row = dw, d = a.d }
  t.kp, t.vp = pool:take("kp", packed.bytes, nil, "i8"), pool:take("vp", values_bytes, nil, "i8")
  if rel then
    t.rh, t.rw = pool:take("rh", s.length * t.ldr, t.ldr), pool:take("rw", s.length * t.ldr, t.ldr)
  end
  local sizes
  t.attend, sizes = K:attend_int8 { M = s.length, keys = s.length, row = dw, d = a.d, ldq = t.queries:ld(), ldo = ldc,
    rel = rel and { n = dw, ld = t.ldr } }
  t.logits, t.acc, t.stat = pool:take("logits", sizes.s), pool:take("acc", sizes.o), pool:take("stat", sizes.stat)
  t.norm = K:layernorm { rows = 1, C = a.C, ldx = ldc, ldy = ldc, eps = a.eps }
  t.place = packed.place { count = s.length, k_stride = a.dpad }
  return t
end

-- Scratch and kernels of the attention within a sequence, whose places are `count` tokens at a time.
local function attention_of(layer, pool, a, s, dh, dw, rel, count, ldc)
  if a.precision == "int8" then return attention_int8_of(layer, pool, a, s, dh, dw, rel, count, ldc) end
  local K, t = layer.K, { ldr = stride(math.max(dh, dw)) }
  t.n, t.o = pool:take("n", count * ldc, ldc), pool:take("o", count * ldc, ldc)
  for _, name in ipairs { "q", "k", "v" } do t[name] = pool:take(name, count * a.dpad, a.dpad) end
  local packed = K[a.precision == "bf16" and "keys_bf16" or "keys"](K, { keys = s.length, row = dw, d = a.d })
  t.kp, t.vp = pool:take("kp", packed.k), pool:take("vp", packed.v)
  if rel then
    t.rh, t.rw = pool:take("rh", s.length * t.ldr, t.ldr), pool:take("rw", s.length * t.ldr, t.ldr)
  end
  local sizes
  t.attend, sizes = K:attend { precision = a.precision, M = s.length, keys = s.length, row = dw, d = a.d, ldq = a.dpad,
    ldo = ldc, rel = rel and { n = dw, ld = t.ldr } }
  t.logits, t.acc, t.stat = pool:take("logits", sizes.s), pool:take("acc", sizes.o), pool:take("stat", sizes.stat)
  t.norm = K:layernorm { rows = 1, C = a.C, ldx = ldc, ldy = ldc, eps = a.eps }
  t.place = packed.place { count = s.length, k_stride = a.dpad }
  t.scale = K:rows("scale", { rows = s.length, C = a.d, ldx = a.dpad, s = 1 / math.sqrt(a.d) })
  return t
end

-- Attention of all heads within each of `places` sequences, from norms to o.
local function attend_all(layer, body, pool, t, a, s, rel, dh, dw, places, ldc)
  if a.precision then operands.make(a.precision, layer.K, body, places * s.length, a.C, t.n, t.whole or t.n) end
  body:each({ variable = "h", to = a.heads }, function(head, h)
    for _, part in ipairs { "q", "k", "v" } do
      projections.one(layer, head, a, part, h, places * s.length, t.whole or t.n, t[part], pool)
    end
    head:each({ variable = "p", to = places }, function(inner, p)
      local here = p * (s.length * a.dpad)
      local queries = t.q + here
      if t.whole then
        inner:call(t.place, 0, t.k + here, t.kp)
        inner:call(t.values, t.v + here, t.vp)
      else inner:call(t.place, 0, t.k + here, t.v + here, t.kp, t.vp) end
      if rel then rel:products(inner, t.q + here, t.rh, t.rw, 0, dh, dw) end
      if t.whole then
        queries = t.queries + p * (s.length * t.queries:ld())
        operands.make("int8", layer.K, inner, s.length, a.d, t.q + here, queries, 1 / math.sqrt(a.d))
      else
        inner:call(t.scale, t.q + here)
        if a.precision then operands.make(a.precision, layer.K, inner, s.length, a.d, t.q + here, t.q + here) end
      end
      local arguments = { queries, t.kp, t.vp }
      if rel then table.move({ t.rh, t.rw }, 1, 2, 4, arguments) end
      table.move({ t.logits, t.acc, t.stat, t.o + p * (s.length * ldc) + h * a.d }, 1, 4, #arguments + 1, arguments)
      inner:call(t.attend, table.unpack(arguments))
    end)
  end)
end

--- Add a layer's branch: a stage of its own, whose result is memory that all cores share.
-- @param op its attention @param back the gather that brings its result to the tokens @param a the block's projections
-- @return { kernel = its proc, view = of its result, ... sizes }
function sequences.branch(layer, op, back, a, x)
  local one, step, gather = layer.group, layer.step, input(input(op, "q"), "x")
  local s, ldc, dh, dw = gather.sequences, x.storage.stride, op.grid[1], op.grid[2]
  local padded = s.windows * s.side > s.grid
  local rel = relative.of(layer, op, dh, dw, a.dpad)
  local fill = padded and layer.parts:vector(input(gather, "fill"))
  local places = layers.divisor(s.side, s.length, AT_ONCE)
  local count, groups = places * s.length, s.side * s.side // places
  local runs, set = s.slices * s.windows * s.windows // s.length, one:closure(input(back, "x"))
  for value in pairs(one:closure(op)) do set[value] = nil end
  local depth, pool = step.shared:take("depth", s.slices * s.grid * s.grid * ldc, ldc), step:pool(true)
  local t = attention_of(layer, pool, a, s, dh, dw, rel, count, ldc)
  local what = ("depth = adapted attention on sequences of %d tokens, laid out as %d x %d, at %d places."):format(
    s.length, dh, dw, places)
  local proc = step:proc(("msa_depth_%dx%d_of_%d"):format(dh, dw, s.side), what, function(proc, body)
    local from, to, unit = proc:pointer("x", x), proc:pointer("depth", depth), proc:number "unit"
    local run, place = body:let("run", unit // groups), body:let("place", unit % groups * places)
    each_member(body, s, places, run, place, function(member, token, row, inside)
      local function normed(inner) inner:call(t.norm, from + token * ldc, step:part(a.norm), t.n + row * ldc) end
      if not padded then return normed(member) end
      member:when(inside, normed, function(beyond) beyond:copy(t.n + row * ldc, step:part(fill), a.C) end)
    end)
    attend_all(layer, body, pool, t, a, s, rel, dh, dw, places, ldc)
    local work = rows.new(layer, body, pool, count, one:ordered(set))
    work:place(op, t.o, 0, false)
    work:bind(input(back, "x"), t.n)
    work:run()
    each_member(body, s, places, run, place, function(member, token, row, inside)
      local function put(inner) inner:copy(to + token * ldc, t.n + row * ldc, a.C) end
      if padded then member:when(inside, put) else put(member) end
    end)
  end)
  step:stage("units", function(body)
    body:each({ variable = "unit", to = runs * groups, units = { name = "places" } }, function(inner, unit)
      inner:run(proc, x, depth, unit)
    end)
  end)
  return { kernel = proc, view = depth, after = one:ordered(set), units = runs * groups, groups = groups,
    places = places, windows = s.windows, side = s.side, length = s.length, dh = dh, dw = dw }
end

return sequences
