-- SPDX-License-Identifier: Apache-2.0
--- Products of whole numbers (int8-dyn-1) in steps: rows of floats quantised in scratch, and what takes them.

local integers = require "kernels.integers"

local wholes = {}

--- Scratch of so many rows of n numbers.
function wholes.take(pool, name, rows, n)
  return pool:take(name, rows * integers.stride(n), integers.stride(n), "i8")
end

--- The same memory as rows of floats, where a row's whole numbers take a row's place; nil where they do not fit.
function wholes.over(pool, name, view, n)
  if view.storage.kind ~= "own" and view.storage.kind ~= "shared" then return nil end
  if view.at ~= 0 or 4 * n < integers.padded(n) + 4 then return nil end
  return pool:alias(view, name, 4 * view:ld(), "i8")
end

--- Quantise rows of n floats. @param s what their scales are multiplied by, or nil
function wholes.quantise(K, body, rows, n, from, to, s)
  body:call(K:quantise_rows { rows = rows, C = n, ldx = from:ld(), ldq = to:ld(), s = s }, from, to)
end

--- Rows q times panels w. @param how { N, K; bias: view or nil; act; residual; out } @param to view of floats
function wholes.product(K, body, rows, q, w, to, how)
  local name = K:gemm_int8 { M = rows, N = how.N, K = how.K, lda = q:ld(), ldc = how.ldc or to:ld(),
    bias = how.bias and true or nil, act = how.act, residual = how.residual, out = how.out }
  if how.bias then body:call(name, q, w, how.bias, to) else body:call(name, q, w, to) end
end

return wholes
