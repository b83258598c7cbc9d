-- SPDX-License-Identifier: Apache-2.0
-- What tests make pages of: an evaluation of made-up cases, some of whose names and values are as bad as they can be.
local data = {}

data.classes = { "left kidney", "liver", "oesophagus and everything beside it", "<b>tumour & 'edge'</b>" }

local LONG = "_abdomen_portal_venous_axial_reconstruction_kernel_B30f"

--- @param classes, count, clicks: names of classes or {}, cases of each, list of numbers
-- @return rows, cases, as report.evaluation_page takes them
function data.evaluation(classes, count, clicks)
  local state, rows, cases = 1, {}, {}
  local function random()
    state = state * 48271 % 2147483647
    return state / 2147483647
  end
  for c = 1, math.max(1, #classes) do
    rows[#rows + 1] = { method = "MSA", clicks = 1, class = classes[c], mean = 0.893, published = true }
    for _, n in ipairs(clicks) do
      local sum = 0
      for i = 1, count do
        local dice = i % 40 == 0 and 0.0 or 1 - (random() * random()) ^ (0.6 + n / 8) * (0.5 + c / 8)
        sum = sum + dice
        cases[#cases + 1] = { case = ("patient_%03d%s"):format(i, i % 2 == 0 and LONG or ""), patient = "P" .. i // 4,
          class = classes[c], clicks = n, dice = i == 9 and 0 / 0 or dice, iou = dice / (2 - dice),
          hd95 = dice > 0 and (i == 7 and 1 / 0 or 40 * (1 - dice)) or nil }
      end
      local mean = count > 0 and sum / count or nil
      rows[#rows + 1] = { method = "this build", clicks = n, class = classes[c], n = count, mean = mean,
        low = mean and mean - 0.02, high = mean and mean + 0.015, median = mean, worst = count > 0 and 0.0 or nil,
        iou = mean, hd95 = mean and 40 * (1 - mean), hd95_n = count }
    end
  end
  return rows, cases
end

return data
