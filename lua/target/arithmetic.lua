-- SPDX-License-Identifier: Apache-2.0
--- Classes of arithmetic (docs/arithmetic.md): what a result is to the bit is a function of board and precision.
local closed = require "support.closed"

local arithmetic = {}

-- A precision: the class in which a board computes it, by the class of its float32.
local PRECISIONS = {
  f32 = { ["f32-fma-1"] = "f32-fma-1", ["f32-muladd-1"] = "f32-muladd-1" },
  bf16 = { ["f32-fma-1"] = "bf16-1", ["f32-muladd-1"] = "bf16-muladd-1" },
  int8 = { ["f32-fma-1"] = "int8-dyn-1", ["f32-muladd-1"] = "int8-dyn-muladd-1" },
}

--- The names of precisions.
arithmetic.precisions = closed.sorted(PRECISIONS)

--- The names of classes.
arithmetic.classes = {}
for _, precision in ipairs(arithmetic.precisions) do
  for _, class in ipairs(closed.sorted(PRECISIONS[precision])) do
    table.insert(arithmetic.classes, PRECISIONS[precision][class])
  end
end

--- What a build has that does not say.
arithmetic.DEFAULT = "f32"

--- The class of a board's builds of a precision.
function arithmetic.class(board, precision)
  closed.member(precision, arithmetic.precisions, "precision")
  return PRECISIONS[precision][board.arithmetic]
end

--- Whether a class multiplies and adds with two roundings.
function arithmetic.rounds_twice(class)
  for _, by in pairs(PRECISIONS) do
    if by["f32-muladd-1"] == class then return true end
  end
  return false
end

return arithmetic
