-- SPDX-License-Identifier: Apache-2.0
--- What training draws random numbers for. A number's key is that of (seed, step, image, use, ...), so no two uses
-- share numbers, and a use that is added changes none of the others. Numbers are never given again.
local closed = require "support.closed"
local random = require "msagen.random"

local uses = {}

uses.NUMBERS = {
  order = 1,             -- images of an epoch; step: the epoch
  target = 2,            -- which of an image's targets is trained
  augment = 3,
  anywhere = 4,          -- a click on a mask that is empty
  click = 5,             -- one on a mask
  class = 6,             -- of a volume's slice, by a pixel
  random_clicks = 7,
  iterative_click = 8,
  start_over = 9,
  wrong_click = 10,
  point_or_box = 11,
  box = 12,
  silent = 13,           -- which iteration has no new click
  start = 14,            -- values that parameters start with; image: the parameter's number
  projection = 15,       -- of text embeddings, its start
  masked = 16,           -- patches that MAE removes
  mix = 17,              -- e-Mix's shares
  partner = 18,          -- e-Mix's permutation of the batch; image: 0
  moved = 19,            -- patches that ShED moves
  held_out = 20,         -- patients whose cases are for validation
}

local names = closed.sorted(uses.NUMBERS)

--- The key of a use.
-- @param key { seed, step, image }, whole numbers from 0
-- @param use a name of uses.NUMBERS  @param ... further parts: target, slice, round
function uses.key(key, use, ...)
  local number = uses.NUMBERS[use] or closed.member(use, names, "use of random numbers")
  return random.key(key.seed, key.step, key.image, number, ...)
end

return uses
