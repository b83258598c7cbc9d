-- SPDX-License-Identifier: Apache-2.0
--- Products of whole numbers (int8-dyn-1) in steps: rows of floats quantised in scratch, and what takes them.

local integers = require "kernels.integers"

local wholes = {}

--- Scratch of so many rows of n numbers.
function wholes.take(K, pool, name, rows, n)
  local stride = integers.stride(K:integer(), n)
  return pool:take(name, rows * stride, stride, "i8")
end

--- The same memory as rows of floats, where a row's whole numbers take a row's place; nil where they do not fit.
function wholes.over(K, pool, name, view, n)
  if view.storage.kind ~= "own" and view.storage.kind ~= "shared" then return nil end
  if view.at ~= 0 or 4 * view:ld() < integers.at(K:integer(), n) + 4 then return nil end
  return pool:alias(view, name, 4 * view:ld(), "i8")
end

--- Quantise rows of n floats. @param s what their scales are multiplied by, or nil
function wholes.quantise(K, body, rows, n, from, to, s)
  body:call(K:quantise_rows { rows = rows, C = n, ldx = from:ld(), ldq = to:ld(), s = s }, from, to)
end

--- Rows q times panels w. @param pool of scratch @param how { N, K; bias: view or nil; act; residual; out; ldc }
-- @param to view of floats
function wholes.product(K, body, pool, rows, q, w, to, how)
  local name, room = K:gemm_int8 { M = rows, N = how.N, K = how.K, lda = q:ld(), ldc = how.ldc or to:ld(),
    bias = how.bias and true or nil, act = how.act, residual = how.residual, out = how.out }
  local arguments = { q, w, how.bias }
  if room > 0 then arguments[#arguments + 1] = pool:room(room) end
  arguments[#arguments + 1] = to
  body:call(name, table.unpack(arguments))
end

return wholes
