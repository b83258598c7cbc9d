-- SPDX-License-Identifier: Apache-2.0
--- An image with the outlines of mask and truth, and its clicks.
local overlay = require "msagen.overlay"

local picture = {}

--- Draw.
-- @param image u8 [1,H,W,3]  @param mask, truth u8 [1,H,W]
-- @param marks { points, labels, box, numbered }
-- @return u8 [H,W,3]
function picture.draw(image, mask, truth, marks)
  local with_truth = overlay.draw(image, truth, { {} })
  return overlay.draw(with_truth:reshape(image.shape), mask, { marks })
end

return picture
