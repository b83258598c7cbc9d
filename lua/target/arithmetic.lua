-- SPDX-License-Identifier: Apache-2.0
--- Classes of arithmetic (docs/arithmetic.md): what a result is to the bit is a function of board and precision.
local closed = require "support.closed"

local arithmetic = {}

-- A precision: the class in which a board computes it.
local PRECISIONS = {
  f32 = function(board) return board.arithmetic end,
}

--- The names of precisions.
arithmetic.precisions = closed.sorted(PRECISIONS)

--- What a build has that does not say.
arithmetic.DEFAULT = "f32"

--- The class of a board's builds of a precision.
function arithmetic.class(board, precision)
  closed.member(precision, arithmetic.precisions, "precision")
  return PRECISIONS[precision](board)
end

return arithmetic
