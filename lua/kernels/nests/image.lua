-- SPDX-License-Identifier: Apache-2.0
--- The image, resized and normalised a row at a time by the runtime, to tokens: a convolution with stride P as a matrix
-- product for each colour, plus the absolute position. Normalisation is a table of 256 values a colour, which is a part
-- of the weights or, where the picture's own range decides, made before the first row; what is beyond the picture is 0
-- after normalisation.

local kernels = require "kernels.kernels"
local layers = require "lower.layer"
local preparation = require "import.preparation"
local segment = require "lower.segment"
local stream = require "schedule.pieces"
local types = require "graph.types"

local input = layers.input

local nest = {}

local function resizer_of(layer) return preparation.resamplings[layer.model.resampling] end

-- The values that bytes of each colour become; nil where the picture decides.
local function levels_of(layer)
  local normalise = layer.model.normalise
  if not normalise.mean then return nil end
  return layer.parts:other("levels", function()
    layer.segment:vector("levels", 768, function() return preparation.levels(normalise) end, segment.of())
  end)
end

local function assertion(resizer, size)
  return ("/* The layout of memory and the runtime agree on the resizer's room. */\n"
    .. "typedef char msa_resizer_fits[%s(%d) <= %d ? 1 : -1];\n\n"):format(resizer.macro, size,
      (resizer.bytes(size) + 63) // 64 * 64)
end

-- The picture's size within the model's square, before any row of it.
local function sizes(body, size, longest)
  body:c({}, {}, function(text)
    local lines = size and ("uint32_t width = %d, height = %d;"):format(size, size) or ""
    if text.cores > 1 then
      lines = "const msa_image own = msa_image_of_core(image, (uint32_t)MSA_SLOT(core));\nimage = &own;\n" .. lines
    end
    if size and longest then
      lines = lines .. ("\nmsa_resized_size(image->width, image->height, %d, true, &width, &height);"):format(size)
    end
    return lines
  end)
end

-- A resizer for a slice, which begins with the core's first row of patches. Where the picture's range decides, each
-- core looks for it in all rows.
local function resizer(layer, body, n, slice, levels, loop)
  local how, range = resizer_of(layer), not layer.model.normalise.mean
  local costs = { pixels = range and n.size * n.size * how.pixel or nil }
  body:c(range and { n.work, n.row, levels } or { n.work }, costs,
    function(text)
      local lines = ("%s resizer;\n"
        .. "const msa_status status = %s_init(&resizer, image, %s, width, height, %s, %s(%d));"
        .. "\nif (status != MSA_OK) {\n    return status;\n}"):format(how.type, how.calls,
          slice == 0 and "0" or "(uint32_t)" .. text:place(slice), text:pointer(n.work), how.macro, n.size)
      if range then
        lines = lines .. ([==[

msa_range range = {255, 0};
for (uint32_t line = 0; line < %d%s; ++line) {
    %s_row(&resizer, %s);
    msa_range_add(&range, %s, (size_t)width * 3);
}
msa_range_levels(&range, %s);]==]):format(n.size, layer.model.resize == "longest" and " && line < height" or "",
          how.calls, text:pointer(n.row), text:pointer(n.row), text:pointer(levels))
      end
      if text.cores > 1 then
        lines = ("%s\nresizer.next = %s[core] * %d;"):format(lines, text:shares(loop()), n.patch)
      elseif range then
        lines = lines .. "\nresizer.next = 0;"
      end
      return lines
    end)
end

-- The pixels of a row of patches to a row a patch: colour by colour, row by row.
local function pixels(layer, body, n, a, levels, y)
  local size, patch, row, how = n.size, n.patch, n.row, resizer_of(layer)
  local padded = layer.model.resize == "longest"
  local colour = layer.model.normalise.reversed and "2 - c" or "c"
  body:c({ a, row, levels }, { pixels = size * patch * how.pixel }, function(text)
    local level = ("levels[c * 256 + %s[i * 3 + %s]]"):format(text:pointer(row), colour)
    local resize = ("%s_row(&resizer, %s);"):format(how.calls, text:pointer(row))
    if padded then
      level = ("inside && i < width ? %s : 0.0f"):format(level)
      resize = ("const bool inside = %s + line < height;\n    if (inside) {\n        %s\n    }"):format(
        text:place(y * patch), resize)
    end
    return ([==[
const float *const levels = %s;
for (uint32_t line = 0; line < %d; ++line) {
    %s
    for (uint32_t i = 0; i < %d; ++i) {
        float *const to = %s + i / %d * %d + line * %d + i %% %d;
        for (uint32_t c = 0; c < 3; ++c) {
            to[c * %d] = %s;
        }
    }
}]==]):format(text:pointer(levels), patch, resize, size, text:pointer(a), patch, a.storage.stride, patch, patch,
      patch * patch, level)
  end)
end

-- The same of a picture that is interpolated, whose rows are floats.
local function sampled_pixels(body, n, a, levels, y, slice)
  local size, patch, row = n.size, n.patch, n.row
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
  local levels = n.levels()
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
  local at_once = stream.group(grid, function(some) return types.bytes(types.BASE, some * grid * ldc) end, layer.limit)
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
  local levels = n.levels()
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

-- What both nests have: rows of the image, of which `resized` has the layer build from `patch` lines at a time, their
-- pixels being in `a`; levels(), the part or the scratch that they are looked up in; and where the resizer works.
local function rows_of_image(layer, patch, a, pool, by_row)
  local step, m, how = layer.step, layer.model, resizer_of(layer)
  local size = m.image_size
  local n = { size = size, patch = patch,
    row = pool:take("row", size * 3, nil, how.type and "u8" or nil) }
  if how.type then n.work = pool:take("resizing", math.max(how.bytes(size), 8), nil, "u8") end
  local made = not m.normalise.mean and pool:take("table", 768)
  step:parameter("const msa_image *image", "image")
  step.returns, step.before = "msa_status", how.type and assertion(how, size) or ""
  step:stage("units", function(body) sizes(body, how.type and size, m.resize == "longest") end)
  function n.levels() return made or step:part(levels_of(layer)) end
  -- Of every slice: build(body, slice, row of so many lines), the pixels then being in `a`.
  function n.resized(body, levels, build)
    body:each({ variable = "slice", to = m.depth }, function(each, slice)
      local loop
      if how.type then resizer(layer, each, n, slice, levels, function() return loop end) end
      loop = each:each(by_row, function(inner, top)
        local to = type(a) == "function" and a(slice, top) or a
        if how.type then pixels(layer, inner, n, to, levels, top)
        else sampled_pixels(inner, n, to, levels, top, slice) end
        build(inner, slice, top)
      end)
    end)
  end
  return n, { size = size, resizer = how.type and how, s = { resizer = n.work and n.work.storage.offset } }
end

--- The pixels as floats, in memory.
function nest.pixels(layer)
  local size, x = layer.model.image_size, layer:buffer(layer.group.outputs[1])
  local by_row = { variable = "top", to = size, units = { name = "rows" } }
  local n, env = rows_of_image(layer, 1, function(slice, top) return x:row((slice * size + top) * size) end,
    layer.step:pool(), by_row)
  local levels = n.levels()
  layer.step:stage("units", function(body) n.resized(body, levels, function() end) end)
  env.C, env.ldc = 3, x.storage.stride
  return env
end

function nest.image(layer)
  local one, step = layer.group, layer.step
  local conv, add = one:op "conv", one:op "add"
  local position, C, grid, P = input(add, "y"), conv.shape[4], conv.shape[3], conv.stride
  local x, pool, length = layer:buffer(one.outputs[1]), step:pool(), 3 * P * P
  local ldc = x.storage.stride
  local a = pool:take("a", grid * kernels.stride(length), kernels.stride(length))
  local y, product = pool:take("y", grid * ldc, ldc), pool:take("product", grid * ldc, ldc)
  local by_row = { variable = "top", to = grid, units = { name = "rows" } }
  local n, env = rows_of_image(layer, P, a, pool, by_row)
  local function positions(role, first, count)
    return layer.parts:other(role, function()
      layer.segment:rows(role, count * grid, C, ldc, function()
        return layer.parts.tensor_of(position):slice(1, first * grid, count * grid):rename(position.name)
      end, layer.parts.sources_of(position))
    end)
  end
  local lower = layer.pieces and in_pieces or whole
  n.conv, n.position, n.x, n.a, n.y, n.product, n.by_row, n.positions = conv, position, x, a, y, product, by_row,
    positions
  lower(layer, n)
  env.C, env.ldc = C, ldc
  return env
end

return { { name = "pixels", lower = nest.pixels, kind = function() return "pixels" end,
  fits = function(one) return one:op "pixels" ~= nil end },
  { name = "image", lower = nest.image, pieces = true, kind = function() return "patch_embed" end,
  fits = function(one)
    local op = one:op "conv"
    return op ~= nil and op.sums == "channel"
  end } }
