-- SPDX-License-Identifier: Apache-2.0
--- Masks at the size that a loss is taken at (MSA's out_size).
local augment = require "msagen.augment"
local resize = require "msagen.resize"

local targets = {}

-- 1 from 128 on.
local HALF = ("\0"):rep(128) .. ("\1"):rep(128)

--- What MSA trains on: Pillow's bilinear, divided by 255. Edges are soft.
-- @param mask u8 [H,W] or [D,H,W], 255 is inside  @return f32 [side,side] or [D,side,side], 0 to 1
function targets.soft(mask, side) return resize.mask(mask, side, side):scale(1 / 255) end

--- The same at the middle: u8, 1 from 128 on, else 0.
function targets.binary(mask, side) return augment.levels(resize.mask(mask, side, side), HALF) end

return targets
