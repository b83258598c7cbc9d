-- SPDX-License-Identifier: Apache-2.0
--- Operands of products in lower precision, in steps: rows of floats become rows of it in scratch, and what takes them.
--   int8  rows of whole numbers, each with its scale behind it (lua/kernels/integers.lua)
--   bf16  rows of 8 significant bits, which lie as rows of as many floats do (lua/kernels/kinds/round_rows.lua)

local integers = require "kernels.integers"
local stride = require("kernels.kernels").stride

local operands = {}

local take, over, make, product = {}, {}, {}, {}

function take.int8(K, pool, name, rows, n)
  local bytes = integers.stride(K:integer(), n)
  return pool:take(name, rows * bytes, bytes, "i8")
end

function take.bf16(_, pool, name, rows, n) return pool:take(name, rows * stride(n), stride(n)) end

function over.int8(K, pool, name, view, n)
  if view.storage.kind ~= "own" and view.storage.kind ~= "shared" then return nil end
  if view.at ~= 0 or 4 * view:ld() < integers.at(K:integer(), n) + 4 then return nil end
  return pool:alias(view, name, 4 * view:ld(), "i8")
end

function over.bf16(_, _, _, view) return view end

function make.int8(K, body, rows, n, from, to, s)
  body:call(K:quantise_rows { rows = rows, C = n, ldx = from:ld(), ldq = to:ld(), s = s }, from, to)
end

function make.bf16(K, body, rows, n, from, to, s)
  if s then body:call(K:rows("scale", { rows = rows, C = n, ldx = from:ld(), s = s }), from) end
  body:call(K:round_rows { rows = rows, C = n, ldx = from:ld(), ldy = to:ld() }, from, to)
end

-- Call a product with room where it takes some. @param list its arguments up to there
local function call(body, pool, kernel, room, to, list)
  if room > 0 then list[#list + 1] = pool:room(room) end
  list[#list + 1] = to
  body:call(kernel, table.unpack(list))
end

function product.int8(K, body, pool, rows, q, w, to, how)
  local kernel, room = K:gemm_int8 { M = rows, N = how.N, K = how.K, lda = q:ld(), ldc = how.ldc or to:ld(),
    bias = how.bias and true or nil, act = how.act, residual = how.residual, out = how.out }
  call(body, pool, kernel, room, to, { q, w, how.bias })
end

function product.bf16(K, body, pool, rows, q, w, to, how)
  local added = how.out == "next" or how.out == "last" -- taps of a convolution: each a chain of its own
  local kernel, room = K:gemm { M = rows, N = how.N, K = how.K, lda = q:ld(), ldc = how.ldc or to:ld(),
    init = how.keep and (how.bias and "keep_bias" or "keep") or how.bias and "bias" or "zero", act = how.act,
    residual = added or how.residual, precision = "bf16" }
  call(body, pool, kernel, room, to, { q, w, how.bias })
end

--- Scratch of so many rows of n numbers.
function operands.take(precision, ...) return take[precision](...) end

--- The memory of rows of floats as such rows, where one takes a row's place; nil where they do not fit.
function operands.over(precision, K, pool, name, view, n) return over[precision](K, pool, name, view, n) end

--- Rows of n floats become such rows. @param s what they are multiplied by, or nil: bf16 then loses the floats
function operands.make(precision, K, body, rows, n, from, to, s)
  make[precision](K, body, rows, n, from, to, s)
end

--- Rows q times panels w. @param pool of scratch @param how { N, K; bias: view or nil; act; residual; ldc; keep: sums
-- go on where those of `to` are, in bf16; out: as of lua/kernels/kinds/gemm_int8.lua } @param to view of floats
function operands.product(precision, K, body, pool, rows, q, w, to, how)
  product[precision](K, body, pool, rows, q, w, to, how)
end

return operands
