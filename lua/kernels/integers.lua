-- SPDX-License-Identifier: Apache-2.0
--- How whole numbers of lower precision lie: rows, and panels of what they are multiplied by.
--   a row     so many bytes of numbers, filled up to 16, then its scale, float32
--   panels    of 16 columns: [panel][steps][16] words of 32 bits, a word four numbers of 8 bits ("bytes") or two of 16
--             ("pairs"); then a scale a column, and for bytes -128 times the sum of each column

local integers = {}

local function round(n, to) return (n + to - 1) // to * to end

--- Numbers that a word holds.
integers.WORD = { bytes = 4, pairs = 2 }

--- Numbers of a row of n with its filling: where its scale is.
function integers.padded(n) return round(n, 16) end

--- Bytes from a row of n numbers to the next.
function integers.stride(n) return round(integers.padded(n) + 4, 64) end

--- Steps of a product over n numbers.
function integers.steps(n, form) return (n + integers.WORD[form] - 1) // integers.WORD[form] end

--- Bytes of the panels of a matrix (K, N), scales and sums included.
function integers.panels(K, N, form)
  return round(N, 16) * (4 * integers.steps(K, form) + (form == "bytes" and 8 or 4))
end

--- Bytes of a row of n numbers as the blob has it.
function integers.stored(n) return round(n + 4, 64) end

return integers
