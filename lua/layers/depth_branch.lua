-- SPDX-License-Identifier: Apache-2.0
--- The depth branch of an encoder block in a volume: the block's attention on sequences along the depth, each laid out as a
-- small grid, then the depth adapter. What forms a sequence is the operation's to say: runs of consecutive entries, an
-- entry being a window of a slice (padding included), at each place in the window.
local find_grid = require "import.depth".grid
local kernels = require "kernels"
local scratch = require "scratch"
local segment = require "segment"
local tensor = require "msagen.tensor"

local round16, stride = kernels.round16, kernels.stride

local branch = {}

--- A table of relative positions as attention reads it, [d, 2 side - 1]: column j is row 2 side - 2 - j, so that the keys of
-- a query at y are the columns from side - 1 - y on.
function branch.reversed(t)
  return function()
    local rows, d = t.shape[1], t.shape[2]
    local out = {}
    for j = 0, d - 1 do
      for i = rows - 1, 0, -1 do out[#out + 1] = t:get(i, j) end
    end
    return tensor.from(out, { d, rows }):rename(t.name)
  end
end

function branch.resampled(t, side)
  local rows = 2 * side - 1
  return t.shape[1] == rows and t or t:resample_linear(rows):rename(t.name)
end

-- Places of a window that are worked on at a time: a divisor of its width, about 128 tokens with their sequences.
local function places_at_once(side, length)
  local best = 1
  for n = 1, side do
    if side % n == 0 and n * length <= 128 then best = n end
  end
  return best
end

--- Adds the branch's weights to the attention layer's segment and makes its kernel.
-- @return { kernel, floats of the result, own = floats of a core's scratch, units of work, macs }
function branch.prepare(L, ctx, seg)
  local m, K = ctx.model, ctx.kernels
  local op, main, norm, proj, window = L:op "depth_attention", L:op "grid_attention", L:op "layernorm", L:op "linear", L:op "window"
  local C, g, heads = m.dim, m.grid, main.heads
  local d, length, side, windows = C // heads, op.length, op.side, op.windows
  local dpad, ldc = round16(d), stride(C)
  local dh, dw = find_grid(length)
  local rel_h, rel_w = main.params.rel_pos_h, main.params.rel_pos_w
  local padded = windows * side > g
  if rel_h then
    local function table_of(role, t, side)
      seg:rows(role, d, 2 * side - 1, round16(side - 1 + round16(side)), function()
        return branch.reversed(branch.resampled(t, side))()
      end, segment.of(t))
    end
    table_of("depth_rel_h", rel_h, dh)
    table_of("depth_rel_w", rel_w, dw)
  end
  local pad = window and window.pad == "norm1_bias" and window.params.pad
  if padded then seg:vector("depth_pad", C, function() return pad or tensor.zeros { C } end, segment.of(pad)) end
  local p = op.params
  local hidden = seg:linear("depth_fc1", p.D_fc1_weight, p.D_fc1_bias)
  seg:linear("depth_fc2", p.D_fc2_weight, p.D_fc2_bias)

  local places = places_at_once(side, length)
  local rows = places * length
  local ldh, ldr = stride(hidden), stride(math.max(dh, dw))
  local packed = K:keys { keys = length, row = dw, d = d }
  local attend, sizes = K:attend { M = length, keys = length, row = dw, d = d, ldq = dpad, ldo = ldc, rel = rel_h and { n = dw, ld = ldr } }
  local s = scratch.new()
  s:take("n", rows * ldc)
  s:take("o", rows * ldc)
  s:take("q", rows * dpad)
  s:take("k", rows * dpad)
  s:take("v", rows * dpad)
  s:take("kp", packed.k)
  s:take("vp", packed.v)
  s:take("rh", length * ldr)
  s:take("rw", length * ldr)
  s:take("logits", sizes.s)
  s:take("acc", sizes.o)
  s:take("stat", sizes.stat)
  s:take("y", rows * ldc)
  s:take("hidden", rows * ldh)
  local f = { C = C, grid = g, side = side, windows = windows, slices = m.depth, length = length, runs = m.depth * windows * windows // length, places = places, rows = rows,
    heads = heads, d = d, dpad = dpad, dh = dh, dw = dw, ldc = ldc, ldr = ldr, hidden = hidden, padded = padded, has_rel = rel_h ~= nil,
    width_h = round16(dh - 1 + round16(dh)), width_w = round16(dw - 1 + round16(dw)), s = s.at, w = seg.at, layout = seg:signature(), bank = seg:bank_parameter(),
    norm = K:layernorm { rows = 1, C = C, ldx = ldc, ldy = ldc, eps = norm.eps },
    project = K:gemm { M = rows, N = d, K = C, lda = ldc, ldc = dpad, init = "bias" },
    scale = K:rows("scale", { rows = rel_h and length or rows, C = d, ldx = dpad, s = 1 / math.sqrt(d) }),
    place = packed.place { count = length, k_stride = dpad }, attend = attend,
    out = K:gemm { M = rows, N = C, K = C, lda = ldc, ldc = ldc, init = proj.params.bias and "bias" or "zero" }, out_bias = proj.params.bias ~= nil,
    down = K:gemm { M = rows, N = hidden, K = C, lda = ldc, ldc = ldh, init = "bias", act = op.act },
    up = K:gemm { M = rows, N = C, K = hidden, lda = ldh, ldc = ldc, init = "bias" } }
  if rel_h then
    f.rel_row = K:gemm { M = dw, N = dh, K = d, lda = dpad, ldb = f.width_h, bps = 16, ldc = ldr }
    f.rel_column = K:gemm { M = dh, N = dw, K = d, lda = dw * dpad, ldb = f.width_w, bps = 16, ldc = dw * ldr }
  end
  f.groups = side * side // places
  local tokens = m.depth * windows * windows * side * side
  return { kernel = K:make("depth", ("msa_depth_%dx%d_of_%d"):format(dh, dw, side), f), floats = round16(m.depth * g * g * ldc), own = s.size, units = f.runs * f.groups, groups = f.groups, places = places, windows = windows, side = side, length = length,
    dh = dh, dw = dw,
    macs = tokens * (4 * C * C + 2 * C * length + (rel_h and C * (dh + dw) or 0) + 2 * C * hidden) }
end

return branch
