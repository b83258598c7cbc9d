-- SPDX-License-Identifier: Apache-2.0
-- luahost dice.lua MASK.png TRUTH.png: prints the Dice coefficient of two masks, four decimals.
local masks = require "masks"
local a, b = ...
print(("%.4f"):format(masks.dice(masks.read(a), masks.read(b))))
