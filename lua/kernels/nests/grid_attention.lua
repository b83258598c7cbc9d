-- SPDX-License-Identifier: Apache-2.0
--- Attention of an image's tokens among themselves, windowed or global. A window is addressing: its tokens are read and
-- written where they lie in the grid. Places of a window beyond the grid are never computed; their key and value are
-- constants of the build. Heads of windows are the units of work, each to its columns of o; projection, adapter and
-- residual follow, a strip of tokens at a time. At full length there are x, o, and what comes along the depth.

local integers = require "kernels.integers"
local kernels = require "kernels.kernels"
local layers = require "lower.layer"
local projections = require "lower.projections"
local relative = require "lower.relative"
local rows = require "lower.rows"
local stream = require "schedule.pieces"
local operands = require "lower.operands"
local sequences = require "lower.sequences"

local input = layers.input
local round16, stride = kernels.round16, kernels.stride

-- Norms of a window are kept where they fit a second-level cache, else made anew for each tile of each head, from their
-- moments.
local KEPT_BYTES = 640 * 1024
-- Tokens of a tile of queries, at most: whole rows of a window, as many as divide its height.
local TILE = 128

local nest = {}

--- Whether the norms of a window of so many tokens are kept.
function nest.keeps(tokens, C) return tokens * stride(C) * 4 <= KEPT_BYTES end

--- The windows of a grid by their kind: full ones, those cut at the right, at the bottom, and in the corner.
-- @return list of { height, width, y0, y1, x0, x1 = windows from, before; windows }
function nest.kinds(grid, side)
  local along = (grid + side - 1) // side
  local rest, list = grid - (along - 1) * side, {}
  local function add(cut_y, cut_x)
    local function from(cut) return cut and along - 1 or 0 end
    local function to(cut) return (cut or rest == side) and along or along - 1 end
    local kind = { height = cut_y and rest or side, width = cut_x and rest or side, y0 = from(cut_y), y1 = to(cut_y),
      x0 = from(cut_x), x1 = to(cut_x) }
    kind.windows = (kind.y1 - kind.y0) * (kind.x1 - kind.x0)
    if kind.windows > 0 then list[#list + 1] = kind end
  end
  add(false, false)
  if rest < side then
    add(false, true)
    add(true, false)
    add(true, true)
  end
  return list
end

-- The attention of `rows` queries of a kind of windows. @param make K.attend or K.attend_int8 @param ldq of queries
-- @param k_pad_stride of a head's padding key
-- @return function(inner, { queries, keys, values }, h, out) that calls it; and where relative positions lie, or false
local function attention_call(layer, a, kind, op, rel, pool, make, rows, ldq, ldo, k_pad_stride)
  local K, step, grid = layer.K, layer.step, op.grid[2]
  local height, width, side = kind.height, kind.width, op.window or op.grid[1]
  local pads = height * width < side * side
  -- Rows of relative positions are read in whole vectors, from the first padding column on as well.
  local ldr = stride(math.max(side, width + round16(side - width)))
  local attend, sizes = make(K, { precision = a.precision == "bf16" and "bf16" or nil, M = rows,
    keys = height * width, row = width, d = a.d, ldq = ldq, ldo = ldo,
    out_row = width < grid and { n = width, ld = grid * ldo } or nil, rel = rel and { n = width, ld = ldr },
    pad = pads and { side = side, height = height, width = width } })
  local rh, rw = rel and pool:take("rh", rows * ldr, ldr), rel and pool:take("rw", rows * ldr, ldr)
  local logits, acc, stat = pool:take("logits", sizes.s), pool:take("acc", sizes.o), pool:take("stat", sizes.stat)
  return function(inner, arguments, h, out)
    local function add(...) table.move({ ... }, 1, select("#", ...), #arguments + 1, arguments) end
    if rel then add(rh, rw) end
    if pads then add(step:part(a.k_pad) + h * k_pad_stride, step:part(a.v_pad) + h * a.dpad) end
    add(logits, acc, stat, out)
    inner:call(attend, table.unpack(arguments))
  end, rh, rw
end

-- Layer norms of a window's rows. Where norms are not kept, moments are, from one look at all rows.
-- @param kept whether norms are @param ldn of norms
-- @return function(body, x of tokens in a line, the line, to): their norms; function(body, x, to the next line): first
local function norms_of(layer, a, kind, pool, x, kept, ldn)
  local K, step, width, ldc = layer.K, layer.step, kind.width, x.storage.stride
  local moments = not kept and pool:take("moments", 2 * kind.height * width)
  local fields = { rows = width, C = a.C, ldx = ldc, ldy = ldn, eps = a.eps, moments = moments and "given" or nil }
  local norm = K:layernorm(fields)
  local function one(body, from, row, to)
    if not moments then return body:call(norm, from, step:part(a.norm), to) end
    body:call(norm, from, step:part(a.norm), moments + row * (2 * width), to)
  end
  local function begin(body, from, to_next)
    if not moments then return end
    local find = K:layernorm { rows = width, C = a.C, ldx = ldc, ldy = ldn, eps = a.eps, moments = "kept" }
    body:each({ variable = "r", to = kind.height }, function(each, r)
      each:call(find, from + r * to_next, moments + r * (2 * width))
    end)
  end
  return one, begin
end

-- The same of windows whose norms, keys, values and weights are whole numbers: of floats there is a line of norms, and
-- a head's values.
local function window_proc_int8(layer, a, kind, op, rel, x, o)
  local K, step, grid = layer.K, layer.step, op.grid[2]
  local height, width, side = kind.height, kind.width, op.window or op.grid[1]
  local qr, pool = layers.divisor(height, width, TILE), step:pool(true)
  local M, T, ldc = qr * width, height * width, x.storage.stride
  local kept, pads = T * integers.stride(K:integer(), a.C) <= KEPT_BYTES, T < side * side
  local packed = K:keys_int8 { keys = T, row = width, d = a.d }
  local values, values_bytes = K:values_int8 { keys = T, row = width, d = a.d }
  local n = operands.take("int8", K, pool, "n", kept and T or M, a.C)
  local line = pool:take("line", width * ldc, ldc)
  local kp, vp = pool:take("kp", packed.bytes, nil, "i8"), pool:take("vp", values_bytes, nil, "i8")
  local q, v = pool:take("q", M * a.dpad, a.dpad), pool:take("v", T * a.dpad, a.dpad)
  local queries = operands.over("int8", K, pool, "queries", q, a.d)
  local attend, rh, rw = attention_call(layer, a, kind, op, rel, pool, K.attend_int8, M, queries:ld(), ldc,
    integers.stored(a.d))
  local norm, begin = norms_of(layer, a, kind, pool, x, kept, ldc)
  local place = packed.place { count = M, k_stride = a.dpad }
  local base = ("msa_attention_int8_%dx%d_of_%d"):format(height, width, side)
  local what = ("o = attention within %d x %d places%s, for some heads of %d, in whole numbers."):format(side, side,
    pads and (", the first %d x %d of them tokens"):format(height, width) or "", a.d)
  return step:proc(base, what, function(proc, body)
    local from, to = proc:pointer("x", x), proc:pointer("o", o)
    local function norms(inner, first, count)
      inner:each({ variable = "r", to = count }, function(each, r)
        norm(each, from + (first + r) * (grid * ldc), first + r, line)
        operands.make("int8", K, each, width, a.C, line, n + r * (width * n:ld()))
      end)
    end
    local function here(y) return kept and n + y * (width * n:ld()) or n end
    begin(body, from, grid * ldc)
    if kept then norms(body, 0, height) end
    local first, last = proc:number "head", proc:number "end"
    body:each({ variable = "h", from = first, to = last }, function(head, h)
      head:each({ variable = "y", to = height, by = qr }, function(inner, y)
        if not kept then norms(inner, y, qr) end
        projections.one(layer, inner, a, "k", h, M, here(y), q, pool)
        projections.one(layer, inner, a, "v", h, M, here(y), v + y * (width * a.dpad), pool)
        inner:call(place, y * width, q, kp)
      end)
      head:call(values, v, vp)
      head:each({ variable = "y", to = height, by = qr }, function(inner, y)
        if not kept and qr < height then norms(inner, y, qr) end
        projections.one(layer, inner, a, "q", h, M, here(y), q, pool)
        if rel then rel:products(inner, q, rh, rw, y, qr, width) end
        operands.make("int8", K, inner, M, a.d, q, queries, 1 / math.sqrt(a.d))
        attend(inner, { queries, kp, vp }, h, to + y * (grid * ldc) + h * a.d)
      end)
    end)
  end)
end

-- The proc of one kind of windows, in float32 or bf16: heads from `head` on, before `end`.
local function window_proc(layer, a, kind, op, rel, x, o)
  if a.precision == "int8" then return window_proc_int8(layer, a, kind, op, rel, x, o) end
  local K, step, grid = layer.K, layer.step, op.grid[2]
  local height, width, side = kind.height, kind.width, op.window or op.grid[1]
  local qr, pool = layers.divisor(height, width, TILE), step:pool(true)
  local M, T, ldc = qr * width, height * width, x.storage.stride
  local kept, pads = nest.keeps(T, a.C), T < side * side
  local packed = K[a.precision == "bf16" and "keys_bf16" or "keys"](K, { keys = T, row = width, d = a.d })
  local n = pool:take("n", (kept and T or M) * ldc, ldc)
  local kp, vp = pool:take("kp", packed.k), pool:take("vp", packed.v)
  local q, v = pool:take("q", M * a.dpad, a.dpad), pool:take("v", M * a.dpad, a.dpad)
  local attend, rh, rw = attention_call(layer, a, kind, op, rel, pool, K.attend, M, a.dpad, ldc, a.dpad)
  local norm, begin = norms_of(layer, a, kind, pool, x, kept, ldc)
  local place = packed.place { count = M, k_stride = a.dpad }
  local scale = K:rows("scale", { rows = M, C = a.d, ldx = a.dpad, s = 1 / math.sqrt(a.d) })
  local base = ("msa_attention%s_%dx%d_of_%d"):format(a.precision and "_" .. a.precision or "", height, width, side)
  local what = ("o = attention within %d x %d places%s, for some heads of %d%s."):format(side, side,
    pads and (", the first %d x %d of them tokens"):format(height, width) or "", a.d,
    a.precision and ", in " .. a.precision or "")
  return step:proc(base, what, function(proc, body)
    local from, to = proc:pointer("x", x), proc:pointer("o", o)
    local function norms(inner, first, count)
      inner:each({ variable = "r", to = count }, function(each, r)
        local row = n + r * (width * ldc)
        norm(each, from + (first + r) * (grid * ldc), first + r, row)
        if a.precision then operands.make(a.precision, K, each, width, a.C, row, row) end
      end)
    end
    begin(body, from, grid * ldc)
    if kept then norms(body, 0, height) end
    local first, last = proc:number "head", proc:number "end"
    body:each({ variable = "h", from = first, to = last }, function(head, h)
      head:each({ variable = "y", to = height, by = qr }, function(inner, y)
        if not kept then norms(inner, y, qr) end
        local here = kept and n + y * (width * ldc) or n
        projections.one(layer, inner, a, "k", h, M, here, q, pool)
        projections.one(layer, inner, a, "v", h, M, here, v, pool)
        inner:call(place, y * width, q, v, kp, vp)
      end)
      head:each({ variable = "y", to = height, by = qr }, function(inner, y)
        if not kept and qr < height then norms(inner, y, qr) end
        projections.one(layer, inner, a, "q", h, M, kept and n + y * (width * ldc) or n, q, pool)
        if rel then rel:products(inner, q, rh, rw, y, qr, width) end
        inner:call(scale, q)
        if a.precision then operands.make(a.precision, K, inner, M, a.d, q, q) end
        attend(inner, { q, kp, vp }, h, to + y * (grid * ldc) + h * a.d)
      end)
    end)
  end)
end

-- Projection, adapter and residual of a strip of tokens.
local function project_proc(layer, ops, op, back, x, o, depth)
  local value = layer.group.outputs[1]
  local strip = layer.ctx.strip_of(value)
  local pool = layer.step:pool(true)
  local C = value.shape[#value.shape]
  return layer.step:proc(("msa_project_%dx%d"):format(strip, C), ("x += projection of o, %d tokens."):format(strip),
    function(proc, body)
      local from = proc:pointer("o", o)
      local along = depth and proc:pointer("depth", depth)
      local to = proc:pointer("x", x)
      local work = rows.new(layer, body, pool, strip, ops)
      work:place(op, from, 0, false)
      if back then work:place(back, along, 0, false) end
      work:place(layer.group.inputs[1], to, 0, true)
      work:bind(value, to)
      work:run()
    end)
end

-- Multiply-adds that padding would have cost.
local function saved(layer, kinds, a, side, rel, hidden)
  local sum, whole = 0, side * side
  local function cost(queries, keys)
    return queries * (4 * a.C * a.C + 2 * a.C * keys + (rel and 2 * side * a.C or 0) + 2 * a.C * hidden)
  end
  for _, kind in ipairs(kinds) do
    local T = kind.height * kind.width
    sum = sum + layer.model.depth * kind.windows * (cost(whole, whole) - cost(T, T < whole and T + 1 or T))
  end
  return sum
end

-- The attention over the grid, the one along the depth or nil, what that gives, and the operations that follow.
local function taken_apart(one)
  local main, along, back
  for _, op in ipairs(one.ops) do
    if op.kind == "attention" then
      if input(input(op, "q"), "x").kind == "gather" then along = op else main = op end
    elseif op.kind == "gather" then back = op end
  end
  if not along then back = nil end
  local before, after = one:closure(main), {}
  if back then one:closure(back, before) end
  for _, op in ipairs(one.ops) do
    if not before[op] then after[#after + 1] = op end
  end
  return main, along, back, after
end

-- The width of the adapter that follows the projection, or 0.
local function hidden_of(after)
  local count, width = 0, 0
  for _, op in ipairs(after) do
    if op.kind == "linear" then
      count = count + 1
      if count == 2 then width = op.shape[#op.shape] end
    end
  end
  return width
end

-- Heads in groups, each with its q, k and v.
local function heads_in_pieces(layer, a)
  a.group = stream.group(a.heads, function(n) return 3 * n * stream.weight_bytes(a.C, a.d, a.precision) end,
    layer.limit)
  for h = 0, a.heads - 1 do
    if h % a.group == 0 then layer.segment:piece().heads = a.group end
    for _, part in ipairs { "q", "k", "v" } do
      local role = layer.parts:head(a[part .. "_w"], h, a.d, a.precision)
      if h == 0 then a[part] = { first = role, step = 0 } end
      if h == 1 and a.group > 1 then a[part].step = layer.segment:elements_between(a[part].first, role) end
    end
  end
end

-- The projection by its columns, which all tokens meet in turn; an adapter takes it whole.
local function project_in_pieces(layer, after, op, x, o, each_strip)
  local step, strip, proj = layer.step, layer.ctx.strip_of(layer.group.outputs[1]), after[1]
  local w, bias, C = input(proj, "w"), input(proj, "bias"), proj.shape[#proj.shape]
  local ldc, rest = x.storage.stride, table.move(after, 2, #after, 1, {})
  local y = #rest > 1 and step.shared:take("y", layers.rows_of(proj) * ldc, ldc) or nil
  local columns, count, role = stream.columns(layer, w, C, proj.precision)
  local product = stream.product(layer, step:pool(), strip, columns, C, proj.precision)
  step:around("column", count, function(column)
    step:fetch()
    each_strip(function(body, t)
      product(body, o:row(t), step:part(role), bias and step:part(layer.parts:role(bias)) + column * columns,
        (y or x):row(t) + column * columns, not y)
    end)
  end)
  if not y then return end
  layer.segment:piece()
  step:fetch()
  local pool = step:pool()
  each_strip(function(body, t)
    local work = rows.new(layer, body, pool, strip, rest)
    work:place(proj, y:row(t), 0, true)
    work:place(layer.group.inputs[1], x:row(t), 0, true)
    work:bind(layer.group.outputs[1], x:row(t))
    work:run()
  end)
end

-- The stages of attention and of what follows it, slice by slice, or where weights come in pieces group by group.
local function stages(layer, n)
  local step, grid, a, ldc = layer.step, n.grid, n.a, n.x.storage.stride
  local heads = a.group or a.heads
  -- The windows of a grid that begins at `here`, heads from `head` on.
  local function windows(here, head)
    step:stage("units", function(body)
      for _, kind in ipairs(n.kinds) do
        local across, T = kind.x1 - kind.x0, kind.height * kind.width
        body:each({ variable = "window", to = kind.windows, units = { name = "heads", inner = heads, first = "head",
          last = "end", cost = T * (3 * a.C + 2 * T) } }, function(inner, window, first, last)
          local at = inner:let("at", window // across * (n.side * grid * ldc) + window % across * (n.side * ldc)
            + (kind.y0 * n.side * grid + kind.x0 * n.side) * ldc)
          inner:run(kind.proc, here + at, n.o + at, head + first, head + last)
        end)
      end
    end)
  end
  local function each_strip(build)
    step:stage("units", function(body)
      body:each({ variable = "t", to = grid * grid, by = layer.ctx.strip_of(layer.group.outputs[1]),
        units = { name = "tokens" } }, build)
    end)
  end
  if layer.pieces then
    step:around("group", a.heads // a.group, function(group)
      step:fetch()
      windows(n.x, group * a.group)
    end)
    return project_in_pieces(layer, n.after, n.op, n.x, n.o, each_strip)
  end
  step:around("slice", layer.model.depth, function(slice)
    local here = n.x + slice * (grid * grid * ldc)
    windows(here, 0)
    each_strip(function(inner, t)
      local arguments = { n.o:row(t) }
      if n.depth then arguments[2] = (n.depth.view + slice * (grid * grid * ldc)):row(t) end
      arguments[#arguments + 1] = here:row(t)
      inner:run(n.project, table.unpack(arguments))
    end)
  end)
end

-- What padding would have cost goes to what was pruned.
local function report(layer, n, rel)
  local without = saved(layer, n.kinds, n.a, n.side, rel, hidden_of(n.after))
  if without > 0 then
    table.insert(layer.ctx.pruned, { layer = layer.group.label, macs = without, tensors = {},
      what = "window padding: no queries, one key and one value" })
  end
end

function nest.attention(layer)
  local one, step = layer.group, layer.step
  local op, along, back, after = taken_apart(one)
  local norm = input(input(op, "q"), "x")
  if layer.pieces then layer.segment:piece(true) end
  local n = { op = op, after = after, grid = op.grid[1], side = op.window or op.grid[1],
    x = layer:buffer(one.outputs[1]), a = projections.of(layer, op, norm) }
  local ldc = n.x.storage.stride
  n.o, n.kinds = step.shared:take("o", n.grid * n.grid * ldc, ldc), nest.kinds(n.grid, n.side)
  local rel = relative.of(layer, op, n.side, n.side, n.a.dpad)
  n.depth = along and sequences.branch(layer, along, back, n.a, n.x)
  if layer.pieces then
    local bias = input(after[1], "bias")
    if bias then layer.parts:vector(bias) end
    heads_in_pieces(layer, n.a)
  end
  for _, kind in ipairs(n.kinds) do
    kind.proc = window_proc(layer, n.a, kind, op, rel, n.x, n.o)
    kind.name, kind.heads = kind.proc, kind.windows * (n.a.group or n.a.heads)
  end
  n.project = not layer.pieces and project_proc(layer, after, op, back, n.x, n.o, n.depth and n.depth.view) or nil
  stages(layer, n)
  report(layer, n, rel)
  local found = { main = op, norm = norm, after = after, along = along, back = back,
    along_after = n.depth and n.depth.after }
  return { ops = found, kinds = n.kinds, project = n.project, depth = n.depth or false, side = n.side, grid = n.grid,
    C = n.a.C, d = n.a.d, heads = n.a.heads, ldc = ldc, rows = layer.ctx.strip_of(layer.group.outputs[1]),
    s = { o = n.o.storage.offset, depth = n.depth and n.depth.view.storage.offset } }
end

return { { name = "grid_attention", lower = nest.attention, pieces = "images",
  kind = function() return "encoder_attention" end,
  fits = function(one)
    local op = one:op "attention"
    return op ~= nil and op.grid ~= nil
  end } }
