-- SPDX-License-Identifier: Apache-2.0
--- The image, resized and normalised a row at a time by the runtime, to tokens: a convolution with stride P as a matrix
-- product for each colour, plus the absolute position. Normalisation is a table of 256 values a colour; what is beyond
-- the picture is 0 after normalisation.

local kernels = require "kernels.kernels"
local layers = require "lower.layer"
local segment = require "lower.segment"
local stream = require "schedule.pieces"
local tensor = require "msagen.tensor"

local input = layers.input

local nest = {}

--- MSA_RESIZE_WORK_BYTES of runtime/msa_runtime.h; the generated text asserts that it is enough.
function nest.resizer_bytes(size) return 4 * (2 * 16384 + 3 * size) + 16 * size + 32768 + 12 * size end

-- The values that bytes of each colour become.
local function levels_of(layer)
  local normalise = layer.model.normalise
  return layer.parts:other("levels", function()
    layer.segment:vector("levels", 768, function()
      local t = {}
      for c = 1, 3 do
        for v = 0, 255 do t[#t + 1] = (v - normalise.mean[c]) / normalise.std[c] end
      end
      return tensor.from(t, { 768 })
    end, segment.of())
  end)
end

local function assertion(size)
  return ("/* The layout of memory and the runtime agree on the resizer's room. */\n"
    .. "typedef char msa_resizer_fits[MSA_RESIZE_WORK_BYTES(%d) <= %d ? 1 : -1];\n\n"):format(size,
      (nest.resizer_bytes(size) + 63) // 64 * 64)
end

-- The picture's size within the model's square, before any row of it.
local function sizes(body, size, longest)
  body:c({}, {}, function()
    local lines = ("uint32_t width = %d, height = %d;"):format(size, size)
    if longest then
      lines = lines .. ("\nmsa_resized_size(image->width, image->height, %d, true, &width, &height);"):format(size)
    end
    return lines
  end)
end

-- A resizer for a slice, which begins with the core's first row of patches.
local function resizer(body, size, patch, slice, work, loop)
  body:c({ work }, {}, function(text)
    local lines = ("msa_resizer resizer;\n"
      .. "const msa_status status = msa_resize_init(&resizer, image, %s, width, height, %s, MSA_RESIZE_WORK_BYTES(%d));"
      .. "\nif (status != MSA_OK) {\n    return status;\n}"):format(
        slice == 0 and "0" or "(uint32_t)" .. text:place(slice), text:pointer(work), size)
    if text.cores > 1 then
      lines = ("%s\nresizer.next = %s[core] * %d;"):format(lines, text:shares(loop()), patch)
    end
    return lines
  end)
end

-- The pixels of a row of patches to a row a patch: colour by colour, row by row.
local function pixels(body, size, patch, a, row, levels, y)
  body:c({ a, row, levels }, { pixels = size * patch }, function(text)
    return ([==[
const float *const levels = %s;
for (uint32_t line = 0; line < %d; ++line) {
    const bool inside = %s + line < height;
    if (inside) {
        msa_resize_row(&resizer, %s);
    }
    for (uint32_t i = 0; i < %d; ++i) {
        float *const to = %s + i / %d * %d + line * %d + i %% %d;
        for (uint32_t c = 0; c < 3; ++c) {
            to[c * %d] = inside && i < width ? levels[c * 256 + %s[i * 3 + c]] : 0.0f;
        }
    }
}]==]):format(text:pointer(levels), patch, text:place(y * patch), text:pointer(row), size, text:pointer(a), patch,
      a.storage.stride, patch, patch, patch * patch, text:pointer(row))
  end)
end

-- The same of a picture that is interpolated, whose rows are floats.
local function sampled_pixels(body, size, patch, a, row, levels, y, slice)
  body:c({ a, row, levels }, { pixels = size * patch }, function(text)
    return ([==[
const float *const levels = %s;
float *const line_of = %s;
for (uint32_t line = 0; line < %d; ++line) {
    msa_sample_row(image, %s, %d, (uint32_t)(%s + line), levels, line_of);
    for (uint32_t i = 0; i < %d; ++i) {
        float *const to = %s + i / %d * %d + line * %d + i %% %d;
        for (uint32_t c = 0; c < 3; ++c) {
            to[c * %d] = line_of[i * 3 + c];
        }
    }
}]==]):format(text:pointer(levels), text:pointer(row), patch, slice == 0 and "0" or "(uint32_t)" .. text:place(slice),
      size, text:place(y * patch), size, text:pointer(a), patch, a.storage.stride, patch, patch, patch * patch)
  end)
end

-- The three products of a row of patches, one after the other, to y: C columns of them, by a part, from a bias on.
local function project(layer, body, conv, C, part, bias, a, y, product)
  local K, grid, P = layer.K, conv.shape[3], conv.stride
  local length = 3 * P * P
  local function by(init)
    return K:gemm { M = grid, N = C, K = P * P, lda = a.storage.stride, ldc = y.storage.stride, bps = length * 16,
      init = init }
  end
  if bias then body:call(by "bias", a, part, bias, y) else body:call(by "zero", a, part, y) end
  local add = K:rows("add", { rows = grid, C = C, ldx = product.storage.stride, ldy = y.storage.stride })
  for c = 1, 2 do
    body:call(by "zero", a + c * P * P, part + c * P * P * 16, product)
    body:call(add, product, y)
  end
end

-- Columns of the projection at a time, for which the image is resized anew; then positions, some rows of the grid at a
-- time.
local function in_pieces(layer, n)
  local step, segment, parts, m, K = layer.step, layer.segment, layer.parts, layer.model, layer.K
  local grid, P, w, bias, ldc = n.conv.shape[3], n.conv.stride, input(n.conv, "w"), input(n.conv, "bias"),
    n.x.storage.stride
  segment:piece(true)
  local levels = step:part(levels_of(layer))
  local held = bias and step:part(parts:vector(bias))
  local columns, count, role = stream.columns(layer, w, 3 * P * P)
  step:around("column", count, function(column)
    step:fetch()
    step:stage("units", function(body)
      n.resized(body, levels, function(inner, slice, top)
        local to = n.x:row((slice * grid + top) * grid) + column * columns
        project(layer, inner, n.conv, columns, step:part(role), held and held + column * columns, n.a, to, n.product)
      end)
    end)
  end)
  local at_once = stream.group(grid, function(some) return some * grid * ldc end, layer.limit)
  for top = 0, grid - 1, at_once do
    segment:piece().work = 0 -- of multiply-adds: there is no time to fetch another in
    n.positions(("%s_%d"):format(parts:role(n.position), top), top, at_once)
  end
  local add = K:rows("add", { rows = grid, C = w.shape[1], ldx = ldc, ldy = ldc })
  step:around("part", grid // at_once, function(part)
    step:fetch()
    step:stage("units", function(body)
      body:each({ variable = "slice", to = m.depth }, function(each, slice)
        each:each(n.by_row, function(inner, top)
          inner:when({ { top, ">=", part * at_once }, { top, "<", (part + 1) * at_once } }, function(here)
            here:call(add, step:part(parts:role(n.position) .. "_0") + (top - part * at_once) * (grid * ldc),
              n.x:row((slice * grid + top) * grid))
          end, nil, at_once / grid)
        end)
      end)
    end)
  end)
end

-- All of the projection at once, then the position.
local function whole(layer, n)
  local step, grid, w, bias = layer.step, n.conv.shape[3], input(n.conv, "w"), input(n.conv, "bias")
  local ldc, C = n.x.storage.stride, w.shape[1]
  local levels = step:part(levels_of(layer))
  local part = step:part(layer.parts:panels(w))
  local held = bias and step:part(layer.parts:vector(bias))
  local position = step:part(n.positions(layer.parts:role(n.position), 0, grid))
  local sum = layer.K:rows("sum", { rows = grid, C = C, ldx = ldc, ldy = ldc, ldz = ldc })
  step:stage("units", function(body)
    n.resized(body, levels, function(inner, slice, top)
      project(layer, inner, n.conv, C, part, held, n.a, n.y, n.product)
      inner:call(sum, n.y, position + top * (grid * ldc), n.x:row((slice * grid + top) * grid))
    end)
  end)
end

-- What both nests have: rows of the image, which `build` gets of `P` lines at a time. `a` takes their pixels.
local function rows_of_image(layer, P, a, pool, by_row)
  local step, m = layer.step, layer.model
  local size = m.image_size
  step:parameter("const msa_image *image", "image")
  step.returns = "msa_status"
  if m.resize == "sampled" then
    local row = pool:take("row", size * 3)
    return function(body, levels, build)
      body:each({ variable = "slice", to = m.depth }, function(each, slice)
        each:each(by_row, function(inner, top)
          sampled_pixels(inner, size, P, type(a) == "function" and a(slice, top) or a, row, levels, top, slice)
          build(inner, slice, top)
        end)
      end)
    end
  end
  local row, work = pool:take("row", size * 3, nil, "u8"), pool:take("resizing", nest.resizer_bytes(size), nil, "u8")
  step.before = assertion(size)
  step:stage("units", function(body) sizes(body, size, m.resize == "longest") end)
  -- Of every slice: build(body, slice, row of so many lines), the pixels then being in `a`.
  return function(body, levels, build)
    body:each({ variable = "slice", to = m.depth }, function(each, slice)
      local loop
      resizer(each, size, P, slice, work, function() return loop end)
      loop = each:each(by_row, function(inner, top)
        pixels(inner, size, P, type(a) == "function" and a(slice, top) or a, row, levels, top)
        build(inner, slice, top)
      end)
    end)
  end, work.storage.offset
end

--- The pixels as floats, in memory.
function nest.pixels(layer)
  local size, x = layer.model.image_size, layer:buffer(layer.group.outputs[1])
  local by_row = { variable = "top", to = size, units = { name = "rows" } }
  local resized, offset = rows_of_image(layer, 1, function(slice, top) return x:row((slice * size + top) * size) end,
    layer.step:pool(), by_row)
  local levels = layer.step:part(levels_of(layer))
  layer.step:stage("units", function(body) resized(body, levels, function() end) end)
  return { C = 3, ldc = x.storage.stride, size = size, s = { resizer = offset } }
end

function nest.image(layer)
  local one, step, m = layer.group, layer.step, layer.model
  local conv, add = one:op "conv", one:op "add"
  local position, C, grid, P, size = input(add, "y"), conv.shape[4], conv.shape[3], conv.stride, m.image_size
  local x, pool, length = layer:buffer(one.outputs[1]), step:pool(), 3 * P * P
  local ldc = x.storage.stride
  local a = pool:take("a", grid * kernels.stride(length), kernels.stride(length))
  local y, product = pool:take("y", grid * ldc, ldc), pool:take("product", grid * ldc, ldc)
  local by_row = { variable = "top", to = grid, units = { name = "rows" } }
  local resized, offset = rows_of_image(layer, P, a, pool, by_row)
  local function positions(role, first, count)
    return layer.parts:other(role, function()
      layer.segment:rows(role, count * grid, C, ldc, function()
        return layer.parts.tensor_of(position):slice(1, first * grid, count * grid):rename(position.name)
      end, layer.parts.sources_of(position))
    end)
  end
  local lower = layer.pieces and in_pieces or whole
  lower(layer, { conv = conv, position = position, x = x, a = a, y = y, product = product, by_row = by_row,
    resized = resized, positions = positions })
  return { C = C, ldc = ldc, size = size, s = { resizer = offset } }
end

return { { name = "pixels", lower = nest.pixels, kind = function() return "pixels" end,
  fits = function(one) return one:op "pixels" ~= nil end },
  { name = "image", lower = nest.image, pieces = true, kind = function() return "patch_embed" end,
  fits = function(one)
    local op = one:op "conv"
    return op ~= nil and op.sums == "channel"
  end } }
