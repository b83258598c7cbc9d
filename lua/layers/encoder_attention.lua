-- SPDX-License-Identifier: Apache-2.0
--- Encoder attention, windowed or global: norm1, q, k and v, attention with decomposed relative positions, projection, the
-- space adapter, residual. A window is addressing: its tokens are read and written where they lie in the grid. Padding
-- tokens are never computed; their key and value are constants of the build.
local depths = require "layers.depth_branch"
local kernels = require "kernels"
local segment = require "segment"
local scratch = require "scratch"
local tensor = require "msagen.tensor"

local round16, stride = kernels.round16, kernels.stride

-- Rows of the grid that one query tile takes: as many as divide the window's height, about 128 tokens.
local function tile_rows(height, width)
  local best = 1
  for rows = 1, height do
    if height % rows == 0 and rows * width <= 128 then best = rows end
  end
  return best
end

-- q, k or v of one head as a [C,d] matrix.
local function head_matrix(weight, d, first)
  return function() return weight:slice(1, first, d):transpose():rename(weight.name) end
end

local reversed = depths.reversed

local layer = {}

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

  local seg = segment.new(L.private)
  seg:norm("norm", norm.params)
  for i, part in ipairs { "q", "k", "v" } do
    local base = (i - 1) * C
    for h = 0, heads - 1 do seg:panels(part .. h, C, d, head_matrix(weight, d, base + h * d)) end
    -- One row of biases a head, filled up to whole panels.
    seg:rows(part .. "_bias", heads, d, dpad, function()
      if not bias then return tensor.zeros { heads, d } end
      return bias:slice(1, base, C):reshape { heads, d }:rename(bias.name)
    end)
  end
  if window and g % side ~= 0 then -- the same for every padding token: one row a head
    for i, part in ipairs { "k", "v" } do
      local base = i * C
      seg:rows(part .. "_pad", heads, d, dpad, function()
        local b = bias and bias:slice(1, base, C):reshape { heads, d } or tensor.zeros { heads, d }
        if window.pad == "zero" then return b:rename(weight.name) end
        local n = window.params.pad
        return n:reshape { 1, C }:matmul(weight:slice(1, base, C):transpose()):reshape { heads, d }:add(b):rename(weight.name)
      end)
    end
  end
  local table_width = round16(side - 1 + round16(side))
  if has_rel then
    seg:rows("rel_h", d, 2 * side - 1, table_width, reversed(rel_h))
    seg:rows("rel_w", d, 2 * side - 1, table_width, reversed(rel_w))
  end
  seg:linear("proj", proj.params.weight, proj.params.bias)
  local hidden
  if adapter then
    hidden = adapter.params.D_fc1_weight.shape[1]
    seg:linear("fc1", adapter.params.D_fc1_weight, adapter.params.D_fc1_bias)
    seg:linear("fc2", adapter.params.D_fc2_weight, adapter.params.D_fc2_bias)
  end
  L.segment = seg
  local depth = L:op "depth_attention" and depths.prepare(L, ctx, seg)
  L.scratch = depth and depth.floats or 0

  -- The kinds of windows: full ones, those cut at the right, at the bottom, and in the corner.
  local along = (g + side - 1) // side
  local rest = g - (along - 1) * side
  local macs, saved = 0, 0
  local function window_kernel(height, width)
    local qr = tile_rows(height, width)
    local M, T = qr * width, height * width
    local block = M
    local ldh = hidden and stride(hidden) or 0
    local pads = T < side * side
    -- Rows of relative positions are read in whole vectors, from the first padding column on as well.
    local ldq, ldr = dpad, stride(math.max(side, width + round16(side - width)))
    local packed = K:keys { keys = T, row = width, d = d }
    local s = scratch.new()
    s:take("n", T * ldc)
    s:take("o", T * ldc)
    s:take("kp", packed.k)
    s:take("vp", packed.v)
    s:take("q", M * dpad)
    s:take("v", M * dpad)
    local attend, sizes = K:attend { M = M, keys = T, row = width, d = d, ldq = ldq, ldo = ldc, rel = has_rel and { n = width, ld = ldr },
      pad = pads and { side = side, height = height, width = width } }
    if has_rel then
      s:take("rh", M * ldr)
      s:take("rw", M * ldr)
    end
    -- The projection and the adapter follow the last attention: they share its scratch.
    local tail = scratch.new()
    tail.size = s.at.kp
    s:take("logits", sizes.s)
    s:take("acc", sizes.o)
    s:take("stat", sizes.stat)
    tail:take("y", block * ldc)
    if adapter then
      tail:take("hidden", block * ldh)
      tail:take("a", block * ldc)
    end
    for name, at in pairs(tail.at) do s.at[name] = at end
    L.scratch = math.max(L.scratch, (depth and depth.scratch or 0) + math.max(s.size, tail.size))
    local f = { height = height, width = width, side = side, grid = g, heads = heads, C = C, d = d, dpad = dpad, ldc = ldc, ldq = ldq, ldr = ldr, qr = qr, M = M, T = T,
      K_size = packed.k, V_size = packed.v, table_width = table_width, has_rel = has_rel, adapter = adapter ~= nil, hidden = hidden or 0, ldh = ldh,
      layout = seg:signature(), bank = seg:bank_parameter(), pads = pads }
    f.s, f.w = s.at, seg.at
    f.norm = K:layernorm { rows = width, C = C, ldx = ldc, ldy = ldc, eps = norm.eps }
    f.project = K:gemm { M = M, N = d, K = C, lda = ldc, ldc = dpad, init = "bias" }
    f.place = packed.place { count = M, k_stride = dpad }
    f.attend = attend
    if has_rel then
      f.rel_row = K:gemm { M = width, N = side, K = d, lda = ldq, ldb = table_width, bps = 16, ldc = ldr }
      f.rel_column = K:gemm { M = qr, N = side, K = d, lda = width * ldq, ldb = table_width, bps = 16, ldc = width * ldr }
    end
    f.scale = K:rows("scale", { rows = M, C = d, ldx = ldq, s = 1 / math.sqrt(d) })
    f.out = K:gemm { M = block, N = C, K = C, lda = ldc, ldc = ldc, init = proj.params.bias and "bias" or "zero" }
    f.out_bias = proj.params.bias ~= nil
    f.depth = depth ~= nil
    if adapter then
      f.down = K:gemm { M = block, N = hidden, K = C, lda = ldc, ldc = ldh, init = "bias", act = adapter.act }
      f.up = K:gemm { M = block, N = C, K = hidden, lda = ldh, ldc = ldc, init = "bias" }
      f.add = K:rows(depth and "add3" or "add2", { rows = width, C = C, ldx = ldc, ldy = ldc, ldz = ldc, ldv = depth and ldc or 0 })
    else
      f.add = K:rows(depth and "add2" or "add", { rows = width, C = C, ldx = ldc, ldy = ldc, ldz = depth and ldc or 0 })
    end
    return K:make("window", ("msa_attention_%dx%d_of_%d"):format(height, width, side), f)
  end
  local kinds = {}
  local function kind(y, x)
    local height, width = y and rest or side, x and rest or side
    kinds[#kinds + 1] = { name = window_kernel(height, width), y0 = y and along - 1 or 0, y1 = y and along or (rest < side and along - 1 or along),
      x0 = x and along - 1 or 0, x1 = x and along or (rest < side and along - 1 or along) }
    local last = kinds[#kinds]
    local count, T, whole = m.depth * (last.y1 - last.y0) * (last.x1 - last.x0), height * width, side * side
    local function cost(queries, keys) return queries * (4 * C * C + 2 * C * keys + (has_rel and 2 * side * C or 0) + (hidden and 2 * C * hidden or 0)) end
    macs = macs + count * cost(T, T < whole and T + 1 or T)
    saved = saved + count * (cost(whole, whole) - cost(T, T < whole and T + 1 or T))
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
  -- What the self-test runs: one whole window, if there is one of a moderate size.
  local whole = not depth and (not cut or along > 1) and side * side <= 1024 and kinds[1].name or nil
  L.env = { whole_window = whole, adapter = adapter ~= nil, depth = depth or false, kinds = kinds, side = side, grid = g, ldc = ldc, C = C, slices = m.depth, heads = heads, d = d }
  L.buffers = { x = m.depth * g * g * ldc }

  L.macs = macs + (depth and depth.macs or 0)
  if saved > 0 then
    local pruned = ctx.graph.pruned
    pruned[#pruned + 1] = { layer = L.name, what = "window padding: no queries, one key and one value", tensors = {}, macs = saved }
  end
end

return layer
