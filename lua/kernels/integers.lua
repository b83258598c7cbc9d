-- SPDX-License-Identifier: Apache-2.0
--- How whole numbers of lower precision lie, by a board's table of integer products (lua/target/integer).
--   a row     numbers of 8 or 16 bits, filled up to 16 of them, then their scale, float32
--   panels    of 16 columns, then a scale a column. Their forms:
--     bytes     [panel][steps][16] words of four numbers of 8 bits; behind the scales -128 times the sum of each
--               column. The blob has weights so
--     pairs     the same of two numbers of 16 bits
--     halves    bytes, without sums, filled up to 16 numbers, for rows of numbers of 14 bits in two halves of 7: of
--               each 16 numbers the upper ones, then the lower ones
--     columns   [panel][16][numbers], filled up to whole vectors: as wide as a row's
-- A board has weights and keys in the form `form` (bytes unless said), values in the form `values` (pairs).

local integers = {}

local function round(n, to) return (n + to - 1) // to * to end

--- Forms of a board's operands: "weights" (and keys) or "values".
function integers.form(integer, what)
  if what == "values" then return integer.values or "pairs" end
  return integer.form or "bytes"
end

--- Bytes of a number of a row: of tokens, or of weights of attention.
function integers.number(integer, what) return what == "values" and 2 or integer.number or 1 end

--- Numbers of a row of n with its filling.
function integers.padded(n) return round(n, 16) end

--- Bytes from a row's beginning to its scale.
function integers.at(integer, n) return integers.padded(n) * integers.number(integer) end

--- Bytes from a row of n numbers to the next.
function integers.stride(integer, n) return round(integers.at(integer, n) + 4, 64) end

--- Steps of a product over n numbers, in a form: words of 32 bits, or of columns vectors of 16 numbers.
function integers.steps(n, form)
  if form == "columns" then return integers.padded(n) // 16 end
  if form == "halves" then return integers.padded(n) // 4 end
  return form == "pairs" and (n + 1) // 2 or (n + 3) // 4
end

--- Bytes of a panel over n numbers. @param number bytes of one
function integers.panel(n, form, number)
  if form == "columns" then return 16 * integers.padded(n) * number end
  return 64 * integers.steps(n, form)
end

--- Bytes of the panels of a matrix (K, N), scales and sums included.
function integers.panels(K, N, form, number)
  local count = round(N, 16) // 16
  return count * (integers.panel(K, form, number) + (form == "bytes" and 128 or 64))
end

--- Bytes of a row of n numbers as the blob has it.
function integers.stored(n) return round(n + 4, 64) end

return integers
