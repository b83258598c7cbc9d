-- SPDX-License-Identifier: Apache-2.0
--- Encoder attention, windowed or global: norm1, q, k and v, attention with decomposed relative positions, projection, the
-- space adapter, residual. A window is addressing: its tokens are read and written where they lie in the grid. Padding
-- tokens are never computed; their key and value are constants of the build.
-- Two phases: the heads of all windows, each to its columns of o; then projection and residual, a block of tokens at a time. At
-- full length there are x, o, and keys and values of one head for each core.
-- Weights that come in pieces turn the loops: a group of heads meets all windows before the next, and the projection's columns all tokens;
-- an adapter then needs the whole projection at full length, too.
local deferred = require "import.deferred"
local depths = require "layers.depth_branch"
local kernels = require "kernels"
local segment = require "segment"
local stream = require "stream"
local scratch = require "scratch"
local tensor = require "msagen.tensor"

local round16, stride = kernels.round16, kernels.stride
local split = require("cores").split

local KEPT_BYTES = 640 * 1024

-- Rows of the grid that one query tile takes: as many as divide the window's height, about 128 tokens.
local function tile_rows(height, width)
  local best = 1
  for rows = 1, height do
    if height % rows == 0 and rows * width <= 128 then best = rows end
  end
  return best
end

-- q, k or v of one head as a [C,d] matrix, and what it is made of.
local function head_matrix(weight, d, first)
  local function make() return weight:slice(1, first, d):transpose():rename(weight.name) end
  return make, deferred.sources(weight, first, d)
end

local reversed = depths.reversed

local layer = {}

--- Whether the norms of a window of so many tokens are kept: where they fit a second-level cache.
function layer.keeps(tokens, C) return tokens * stride(C) * 4 <= KEPT_BYTES end

--- The pieces behind what is held: heads in groups, each with its q, k and v, then the projection's columns.
-- @return heads and columns of a piece, and places: the layer's in what is held, a group's and the columns' in their piece
function layer.pieces(L, ctx, seg, dpad)
  local op, proj = L:op "grid_attention", L:op "linear"
  local C, heads, weight = ctx.model.dim, op.heads, op.params.weight
  local d = C // heads
  local w = setmetatable({}, { __index = seg.at })
  local bias = proj.params.bias
  if bias then seg:vector("proj_bias", C, function() return bias end, segment.of(bias)) end
  local group = stream.group(heads, function(n) return n * 3 * C * dpad end, ctx.limit)
  for h = 0, heads - 1 do
    if h % group == 0 then seg:piece().heads = group end
    for i, part in ipairs { "q", "k", "v" } do
      seg:panels(part .. h, C, d, head_matrix(weight, d, (i - 1) * C + h * d))
      if h < 2 then w[part .. h] = seg:inside(part .. h) + (h == 1 and group == 1 and 3 * C * dpad or 0) end
    end
  end
  local unit = C % 16 == 0 and 16 or C
  local columns = unit * stream.group(C // unit, function(n) return C * round16(n * unit) end, ctx.limit)
  for c = 0, C - 1, columns do
    seg:piece()
    seg:outputs("proj_" .. c, proj.params.weight, c, columns)
  end
  return group, columns, w
end

function layer.prepare(L, ctx)
  local m, K = ctx.model, ctx.kernels
  local op, norm, proj = L:op "grid_attention", L:op "layernorm", L:op "linear"
  local adapter, window = L:op "adapter", L:op "window"
  local C, g, heads, side = m.dim, m.grid, op.heads, op.side
  local d = C // heads
  local dpad, ldc = round16(d), stride(C)
  local weight, bias = op.params.weight, op.params.bias
  local rel_h, rel_w = op.params.rel_pos_h, op.params.rel_pos_w
  local has_rel = rel_h ~= nil

  local table_width = round16(side - 1 + round16(side))
  local function lay_out(in_pieces)
    local seg = segment.new(L.private)
    if in_pieces then seg:piece(true) end
    seg:norm("norm", norm.params)
    for i, part in ipairs { "q", "k", "v" } do
      local base = (i - 1) * C
      for h = 0, in_pieces and -1 or heads - 1 do seg:panels(part .. h, C, d, head_matrix(weight, d, base + h * d)) end
      -- One row of biases a head, filled up to whole panels.
      seg:rows(part .. "_bias", heads, d, dpad, function()
        if not bias then return tensor.zeros { heads, d } end
        return bias:slice(1, base, C):reshape { heads, d }:rename(bias.name)
      end, segment.of(bias))
    end
    if window and g % side ~= 0 then -- the same for every padding token: one row a head
      for i, part in ipairs { "k", "v" } do
        local base = i * C
        seg:rows(part .. "_pad", heads, d, dpad, function()
          local b = bias and bias:slice(1, base, C):reshape { heads, d } or tensor.zeros { heads, d }
          if window.pad == "zero" then return b:rename(weight.name) end
          local n = window.params.pad
          return n:reshape { 1, C }:matmul(weight:slice(1, base, C):transpose()):reshape { heads, d }:add(b):rename(weight.name)
        end, window.pad == "zero" and segment.of(bias)
          or segment.of(window.params.pad, deferred.sources(weight, base, C), bias))
      end
    end
    if has_rel then
      seg:rows("rel_h", d, 2 * side - 1, table_width, reversed(rel_h), segment.of(rel_h))
      seg:rows("rel_w", d, 2 * side - 1, table_width, reversed(rel_w), segment.of(rel_w))
    end
    local group, columns, w, hidden = nil, nil, seg.at, nil
    if in_pieces then
      group, columns, w = layer.pieces(L, ctx, seg, dpad)
    else
      seg:linear("proj", proj.params.weight, proj.params.bias)
    end
    if adapter then
      hidden = adapter.params.D_fc1_weight.shape[1]
      if in_pieces then seg:piece() end
      seg:linear("fc1", adapter.params.D_fc1_weight, adapter.params.D_fc1_bias)
      seg:linear("fc2", adapter.params.D_fc2_weight, adapter.params.D_fc2_bias)
    end
    return seg, group, columns, w, hidden
  end
  local in_pieces = false
  local seg, group, columns, w, hidden = lay_out(false)
  if ctx.in_pieces(seg:floats()) and m.depth == 1 then
    in_pieces = true
    seg, group, columns, w, hidden = lay_out(true)
  end
  L.segment = seg
  local depth = L:op "depth_attention" and depths.prepare(L, ctx, seg)
  local cores, rows = ctx.cores, ctx.block_rows
  local ldh = hidden and stride(hidden) or 0
  local shared = scratch.new()
  shared:take("o", g * g * ldc)
  if in_pieces and adapter then shared:take("y", g * g * ldc) end
  if depth then shared:take("depth", depth.floats) end
  local own = depth and depth.own or 0

  -- The kinds of windows: full ones, those cut at the right, at the bottom, and in the corner.
  local along = (g + side - 1) // side
  local rest = g - (along - 1) * side
  local macs, saved = 0, 0
  local function window_kernel(height, width)
    local qr = tile_rows(height, width)
    local M, T = qr * width, height * width
    local pads = T < side * side
    -- Norms that are not kept are made anew for each tile of each head.
    local kept = layer.keeps(T, C)
    -- Rows of relative positions are read in whole vectors, from the first padding column on as well.
    local ldq, ldr = dpad, stride(math.max(side, width + round16(side - width)))
    local packed = K:keys { keys = T, row = width, d = d }
    local s = scratch.new()
    s:take("n", (kept and T or M) * ldc)
    s:take("kp", packed.k)
    s:take("vp", packed.v)
    s:take("q", M * dpad)
    s:take("v", M * dpad)
    local attend, sizes = K:attend { M = M, keys = T, row = width, d = d, ldq = ldq, ldo = ldc, out_row = width < g and { n = width, ld = g * ldc } or nil,
      rel = has_rel and { n = width, ld = ldr }, pad = pads and { side = side, height = height, width = width } }
    if has_rel then
      s:take("rh", M * ldr)
      s:take("rw", M * ldr)
    end
    s:take("logits", sizes.s)
    s:take("acc", sizes.o)
    s:take("stat", sizes.stat)
    own = math.max(own, s.size)
    local f = { height = height, width = width, side = side, grid = g, heads = heads, C = C, d = d, dpad = dpad, ldc = ldc, ldq = ldq, ldr = ldr, qr = qr, M = M, T = T,
      table_width = table_width, has_rel = has_rel, layout = seg:signature(), bank = seg:bank_parameter(), pads = pads, kept = kept, group = group or false }
    f.s, f.w = s.at, w
    f.norm = K:layernorm { rows = width, C = C, ldx = ldc, ldy = ldc, eps = norm.eps }
    f.project = K:gemm { M = M, N = d, K = C, lda = ldc, ldc = dpad, init = "bias" }
    f.place = packed.place { count = M, k_stride = dpad }
    f.attend = attend
    if has_rel then
      f.rel_row = K:gemm { M = width, N = side, K = d, lda = ldq, ldb = table_width, bps = 16, ldc = ldr }
      f.rel_column = K:gemm { M = qr, N = side, K = d, lda = width * ldq, ldb = table_width, bps = 16, ldc = width * ldr }
    end
    f.scale = K:rows("scale", { rows = M, C = d, ldx = ldq, s = 1 / math.sqrt(d) })
    return K:make("window", ("msa_attention_%dx%d_of_%d"):format(height, width, side), f)
  end
  local kinds, costs = {}, {}
  local function kind(y, x)
    local height, width = y and rest or side, x and rest or side
    kinds[#kinds + 1] = { height = height, width = width, name = window_kernel(height, width), y0 = y and along - 1 or 0, y1 = y and along or (rest < side and along - 1 or along),
      x0 = x and along - 1 or 0, x1 = x and along or (rest < side and along - 1 or along) }
    local last = kinds[#kinds]
    last.windows = (last.y1 - last.y0) * (last.x1 - last.x0)
    local count, T, whole = m.depth * last.windows, height * width, side * side
    local function cost(queries, keys) return queries * (4 * C * C + 2 * C * keys + (has_rel and 2 * side * C or 0) + (hidden and 2 * C * hidden or 0)) end
    macs = macs + count * cost(T, T < whole and T + 1 or T)
    saved = saved + count * (cost(whole, whole) - cost(T, T < whole and T + 1 or T))
    for _ = 1, last.windows * (group or heads) do costs[#costs + 1] = T * (3 * C + 2 * T) end
  end
  local cut = rest < side
  if not cut or along > 1 then kind(false, false) end
  if cut then
    if along > 1 then
      kind(false, true)
      kind(true, false)
    end
    kind(true, true)
  end
  -- One split over the heads of all windows, of whatever kind; each kind has its part of it.
  local bounds, before = split(#costs, cores, function(i) return costs[i + 1] end), 0
  for _, k in ipairs(kinds) do
    k.bounds, k.heads = {}, k.windows * (group or heads)
    for c, b in ipairs(bounds) do k.bounds[c] = math.min(math.max(b - before, 0), k.heads) end
    before = before + k.heads
  end

  local s = scratch.new()
  s:take("y", rows * ldc)
  if adapter then
    s:take("hidden", rows * ldh)
    s:take("a", rows * ldc)
  end
  own = math.max(own, s.size)
  L.scratch = { shared = shared.size, own = own }
  L.barriers = true
  L.buffers = { x = m.depth * g * g * ldc }
  L.macs = macs + (depth and depth.macs or 0)
  if saved > 0 then
    local pruned = ctx.graph.pruned
    pruned[#pruned + 1] = { layer = L.name, what = "window padding: no queries, one key and one value", tensors = {}, macs = saved }
  end
  L.env = { depth = depth or false, kinds = kinds, side = side, grid = g, ldc = ldc, C = C, slices = m.depth, heads = heads, d = d, adapter = adapter ~= nil,
    rows = rows, tokens = g * g, s = shared.at }
  if in_pieces then
    local env, has_bias = L.env, proj.params.bias ~= nil
    L.segment, L.template = seg, "encoder_attention_pieces"
    env.group, env.columns, env.p, env.own_s, env.out_bias = group, columns, w, s.at, has_bias
    local head = (macs / (g * g) - C * C - 2 * C * (hidden or 0)) / heads -- multiply-adds a token
    for _, piece in ipairs(seg.pieces) do piece.work = piece.heads and piece.heads * head end
    env.out = K:gemm { M = rows, N = columns, K = C, lda = ldc, ldc = ldc, init = has_bias and "bias" or "zero", residual = not adapter }
    if adapter then
      for _, role in ipairs { "fc1", "fc1_bias", "fc2", "fc2_bias" } do w[role] = seg:inside(role) end
      env.down = K:gemm { M = rows, N = hidden, K = C, lda = ldc, ldc = ldh, init = "bias", act = adapter.act }
      env.up = K:gemm { M = rows, N = C, K = hidden, lda = ldh, ldc = ldc, init = "bias" }
      env.add = K:rows("add2", { rows = rows, C = C, ldx = ldc, ldy = ldc, ldz = ldc })
    end
    return
  end
  local out = { rows = rows, C = C, ldc = ldc, s = s.at, w = seg.at, layout = seg:signature(), bank = seg:bank_parameter(), adapter = adapter ~= nil, depth = depth ~= nil,
    out = K:gemm { M = rows, N = C, K = C, lda = ldc, ldc = ldc, init = proj.params.bias and "bias" or "zero" }, out_bias = proj.params.bias ~= nil }
  if adapter then
    out.down = K:gemm { M = rows, N = hidden, K = C, lda = ldc, ldc = ldh, init = "bias", act = adapter.act }
    out.up = K:gemm { M = rows, N = C, K = hidden, lda = ldh, ldc = ldc, init = "bias" }
    out.add = K:rows(depth and "add3" or "add2", { rows = rows, C = C, ldx = ldc, ldy = ldc, ldz = ldc, ldv = depth and ldc or 0 })
  else
    out.add = K:rows(depth and "add2" or "add", { rows = rows, C = C, ldx = ldc, ldy = ldc, ldz = depth and ldc or 0 })
  end
  L.env.project = K:make("project", ("msa_project_%dx%d"):format(rows, C), out)
end

return layer
