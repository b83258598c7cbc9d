-- SPDX-License-Identifier: Apache-2.0
--- Sums over rows: gradients of weights, of biases, of norms. A block of rows is a chain of its own; blocks are added
-- in order. Cores share columns of the result, never rows that are summed.

local group = require "lower.group"
local kernels = require "kernels.kernels"
local order = require "lower.plain.order"
local strips = require "lower.plain.strips"

local input, round16, stride = group.input, kernels.round16, kernels.stride

local BLOCK = 64 -- rows, by definition
local OUTPUTS = 128 -- rows of a weight's gradient that a core makes at a time, at most

local sums = { BLOCK = BLOCK }

-- Blocks of rows of which the last may be shorter. @param build function(body, first row, rows, block)
local function each_block(body, rows, build)
  local whole = rows // BLOCK
  if whole > 0 then
    body:each({ variable = "block", to = whole }, function(inner, b) build(inner, b * BLOCK, BLOCK, b) end)
  end
  if rows % BLOCK > 0 then build(body, whole * BLOCK, rows % BLOCK, whole) end
end

--- dy^T x.
function sums.linear_dw(lower, op)
  local dy, x = lower:read(input(op, "dy")), lower:read(input(op, "x"))
  local N, K, rows = op.shape[1], op.shape[2], order.rows(input(op, "x"))
  local to, pool = lower:written(op), lower.step:pool()
  local chunk = strips.size(N, OUTPUTS, lower.cores)
  local lda = stride(math.min(rows, BLOCK))
  local a = pool:take(lower:name "dy", chunk * lda, lda)
  lower:parted { { variable = "n", to = N, by = chunk, of = "outputs", build = function(body, n)
    local function block(inner, first, count, residual)
      inner:call(lower.K:transpose_rows { rows = count, C = chunk, ldx = dy:ld(), ldz = lda }, dy:row(first) + n, a)
      inner:call(lower.K:gemm { M = chunk, N = K, K = count, lda = lda, ldb = x:ld(), bps = 16, ldc = to:ld(),
        residual = residual }, a, x:row(first), to:row(n))
    end
    local first = math.min(rows, BLOCK)
    block(body, 0, first, false)
    if rows >= 2 * BLOCK then
      body:each({ variable = "block", from = 1, to = rows // BLOCK }, function(inner, b)
        block(inner, b * BLOCK, BLOCK, true)
      end)
    end
    if rows > BLOCK and rows % BLOCK > 0 then block(body, rows // BLOCK * BLOCK, rows % BLOCK, true) end
  end } }
end

function sums.column_sum(lower, op)
  local x, C, rows = lower:read(input(op, "x")), order.width(op), order.rows(input(op, "x"))
  local to = lower:written(op)
  lower:columns(C, function(body, c, columns)
    each_block(body, rows, function(inner, first, count, block)
      inner:call(lower.K:column_sum { rows = count, C = columns, ldx = x:ld() }, x:row(first) + c, to + c, block)
    end)
  end)
end

function sums.layernorm_dgamma(lower, op)
  local dy, x = lower:read(input(op, "dy")), lower:read(input(op, "x"))
  local C, rows, to = order.width(op), order.rows(input(op, "x")), lower:written(op)
  lower:stage("zero", function(body)
    each_block(body, rows, function(inner, first, count, block)
      inner:call(lower.K:layernorm_dgamma { rows = count, C = C, ldx = x:ld(), ldy = dy:ld(), eps = op.eps },
        dy:row(first), x:row(first), to, block)
    end)
  end)
end

sums.round16 = round16

return sums
