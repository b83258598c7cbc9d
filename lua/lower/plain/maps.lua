-- SPDX-License-Identifier: Apache-2.0
--- Operations on maps: their norm, their means, convolutions of each channel by itself, and the gradients of these.

local group = require "lower.group"
local kernels = require "kernels.kernels"
local order = require "lower.plain.order"
local scalar = require "lower.plain.scalar"
local sums = require "lower.plain.sums"

local input = group.input

local maps = {}

-- mean and rstd of the map whose first row is number `m` of x.
local MOMENTS = [[
float mean = 0.0f, rstd = 0.0f;
for (size_t pass = 0; pass < 2; ++pass) {
    float all = 0.0f;
    for (size_t r = m; r < m + $rows; r += $line) {
        float part[16] = {0.0f};
        for (size_t i = r; i < r + $line; ++i) {
            for (size_t c = 0; c < $C; ++c) {
                const float value = @x[i * $ldx + c], d = value - mean;
                part[c % 16] = pass == 0 ? part[c % 16] + value : msa_fma(d, d, part[c % 16]);
            }
        }
        ]] .. scalar.indented(scalar.TREE, 8) .. [[

        all = all + part[0];
    }
    if (pass == 0) {
        mean = all / (float)($rows * $C);
    } else {
        rstd = 1.0f / msa_sqrt(all / (float)($rows * $C) + $eps);
    }
}]]

-- What all kinds of a map's norm know of it.
local function map_of(lower, op)
  local x = input(op, "x")
  local s, view = x.shape, lower:read(x)
  return { x = view }, { maps = s[1], rows = s[2] * s[3], line = s[3], C = s[4], ldx = view:ld(),
    eps = kernels.literal(op.eps) .. "f" }
end

function maps.mapnorm(lower, op)
  local views, n = map_of(lower, op)
  views.g = lower.values:norm(input(op, "gamma"), input(op, "beta"))
  views.y = lower:written(op)
  n.ldy, n.beta = views.y:ld(), kernels.round16(n.C)
  scalar.stage(lower, views, n, [[
for (size_t m = 0; m < $maps * $rows; m += $rows) {
    ]] .. scalar.indented(MOMENTS, 4) .. [[

    for (size_t i = m; i < m + $rows; ++i) {
        for (size_t c = 0; c < $C; ++c) {
            @y[i * $ldy + c] = msa_fma((@x[i * $ldx + c] - mean) * rstd, @g[c], @g[$beta + c]);
        }
    }
}]])
end

function maps.mapnorm_dx(lower, op)
  local views, n = map_of(lower, op)
  views.g = lower.values:gamma(input(op, "gamma"))
  views.dy, views.dx = lower:read(input(op, "dy")), lower:written(op)
  n.ldd, n.ldy = views.dy:ld(), views.dx:ld()
  scalar.stage(lower, views, n, [[
for (size_t m = 0; m < $maps * $rows; m += $rows) {
    ]] .. scalar.indented(MOMENTS, 4) .. [[

    float first = 0.0f, second = 0.0f;
    for (size_t r = m; r < m + $rows; r += $line) {
        for (size_t pass = 0; pass < 2; ++pass) {
            float part[16] = {0.0f};
            for (size_t i = r; i < r + $line; ++i) {
                for (size_t c = 0; c < $C; ++c) {
                    const float t = @dy[i * $ldd + c] * @g[c], h = (@x[i * $ldx + c] - mean) * rstd;
                    part[c % 16] = pass == 0 ? part[c % 16] + t : msa_fma(t, h, part[c % 16]);
                }
            }
            ]] .. scalar.indented(scalar.TREE, 12) .. [[

            if (pass == 0) {
                first = first + part[0];
            } else {
                second = second + part[0];
            }
        }
    }
    first = first / (float)($rows * $C);
    second = second / (float)($rows * $C);
    for (size_t i = m; i < m + $rows; ++i) {
        for (size_t c = 0; c < $C; ++c) {
            const float t = @dy[i * $ldd + c] * @g[c], h = (@x[i * $ldx + c] - mean) * rstd;
            @dx[i * $ldy + c] = msa_fma(-h, second, t - first) * rstd;
        }
    }
}]])
end

function maps.mapnorm_dgamma(lower, op)
  local views, n = map_of(lower, op)
  views.dy, views.dg = lower:read(input(op, "dy")), lower:written(op)
  n.ldd, n.block = views.dy:ld(), sums.BLOCK
  scalar.stage(lower, views, n, [[
for (size_t m = 0; m < $maps * $rows; m += $rows) {
    ]] .. scalar.indented(MOMENTS, 4) .. [[

    for (size_t c = 0; c < $C; ++c) {
        float own = 0.0f;
        for (size_t b = 0; b < $rows; b += $block) {
            float sum = 0.0f;
            for (size_t i = b; i < b + $block && i < $rows; ++i) {
                sum = msa_fma(@dy[(m + i) * $ldd + c], (@x[(m + i) * $ldx + c] - mean) * rstd, sum);
            }
            own = b == 0 ? sum : own + sum;
        }
        @dg[c] = m == 0 ? own : @dg[c] + own;
    }
}]])
end

--- The mean of all places of each image.
function maps.column_mean(lower, op)
  local s = input(op, "x").shape
  local views = { x = lower:read(input(op, "x")), y = lower:written(op) }
  scalar.stage(lower, views, { maps = s[1], rows = s[2] * s[3], C = s[4], ldx = views.x:ld(), ldy = views.y:ld(),
    share = kernels.literal(1 / (s[2] * s[3])) .. "f" }, [[
for (size_t m = 0; m < $maps; ++m) {
    for (size_t c = 0; c < $C; ++c) {
        float sum = 0.0f;
        for (size_t i = m * $rows; i < (m + 1) * $rows; ++i) {
            sum = sum + @x[i * $ldx + c];
        }
        @y[m * $ldy + c] = (sum < 0x1p-60f && sum > -0x1p-60f ? 0.0f : sum) * $share;
    }
}]])
end

-- Shapes of a convolution: of the image x, and of what is made of it.
local function convolution(op, from, to)
  return { images = from[1], height = from[2], width = from[3], C = from[4], down = to[2], across = to[3],
    side = op.side, stride = op.stride, half = op.side // 2 }
end

--- A convolution of each channel by itself. The places of a pixel, of those of x at row and column, begin `half`
-- before.
function maps.depthwise_conv(lower, op)
  local n = convolution(op, input(op, "x").shape, op.shape)
  local views = { x = lower:read(input(op, "x")), w = lower:read(input(op, "w")),
    b = lower.values:vector(input(op, "bias")), y = lower:written(op) }
  n.ldx, n.ldw, n.ldy = views.x:ld(), views.w:ld(), views.y:ld()
  scalar.stage(lower, views, n, [[
for (size_t i = 0; i < $images * $down * $across; ++i) {
    const size_t image = i / ($down * $across), top = i / $across % $down * $stride, left = i % $across * $stride;
    for (size_t c = 0; c < $C; ++c) {
        float sum = 0.0f;
        for (size_t tap = 0; tap < $side * $side; ++tap) {
            const size_t row = top + tap / $side, column = left + tap % $side;
            const bool inside = row >= $half && row < $height + $half && column >= $half && column < $width + $half;
            const float x = inside ? @x[((image * $height + row - $half) * $width + column - $half) * $ldx + c] : 0.0f;
            sum = msa_fma(x, @w[c * $ldw + tap], sum);
        }
        @y[i * $ldy + c] = sum + @b[c];
    }
}]])
end

function maps.depthwise_conv_dx(lower, op)
  local dy = input(op, "dy")
  local n = convolution(op, op.shape, dy.shape)
  local views = { dy = lower:read(dy), w = lower:read(input(op, "w")), dx = lower:written(op) }
  n.ldd, n.ldw, n.ldx = views.dy:ld(), views.w:ld(), views.dx:ld()
  scalar.stage(lower, views, n, [[
for (size_t i = 0; i < $images * $height * $width; ++i) {
    const size_t image = i / ($height * $width), y = i / $width % $height + $half, x = i % $width + $half;
    for (size_t c = 0; c < $C; ++c) {
        float sum = 0.0f;
        for (size_t tap = 0; tap < $side * $side; ++tap) {
            const size_t dy = y - tap / $side, dx = x - tap % $side; /* wraps where there is none */
            const bool is = y >= tap / $side && x >= tap % $side && dy % $stride == 0 && dx % $stride == 0
                && dy / $stride < $down && dx / $stride < $across;
            const float g = is
                ? @dy[((image * $down + dy / $stride) * $across + dx / $stride) * $ldd + c] : 0.0f;
            sum = msa_fma(g, @w[c * $ldw + tap], sum);
        }
        @dx[i * $ldx + c] = sum;
    }
}]])
end

function maps.depthwise_conv_dw(lower, op)
  local x, dy = input(op, "x"), input(op, "dy")
  local n = convolution(op, x.shape, dy.shape)
  local views = { x = lower:read(x), dy = lower:read(dy), dw = lower:written(op) }
  n.ldx, n.ldd, n.ldw, n.block = views.x:ld(), views.dy:ld(), views.dw:ld(), sums.BLOCK
  scalar.stage(lower, views, n, [[
for (size_t c = 0; c < $C; ++c) {
    for (size_t tap = 0; tap < $side * $side; ++tap) {
        float all = 0.0f, sum = 0.0f;
        for (size_t i = 0; i < $images * $down * $across; ++i) {
            const size_t image = i / ($down * $across);
            const size_t row = i / $across % $down * $stride + tap / $side;
            const size_t column = i % $across * $stride + tap % $side;
            const bool inside = row >= $half && row < $height + $half && column >= $half && column < $width + $half;
            const float x = inside ? @x[((image * $height + row - $half) * $width + column - $half) * $ldx + c] : 0.0f;
            sum = (i % $block == 0 ? 0.0f : sum) + @dy[i * $ldd + c] * x;
            if (i % $block == $block - 1 || i + 1 == $images * $down * $across) {
                all = i < $block ? sum : all + sum;
            }
        }
        @dw[c * $ldw + tap] = all < 0x1p-60f && all > -0x1p-60f ? 0.0f : all;
    }
}]])
end

return maps
