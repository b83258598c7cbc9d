-- SPDX-License-Identifier: Apache-2.0
-- MSA's own evaluation: which dialects have it, and the truth shrunk as Pillow shrinks it.

local spec = require "spec"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses
local npy, sys = spec.host "msagen.npy", spec.host "msagen.sys"
if not npy then return end

local msa, tensor = require "evaluate.msa", require "msagen.tensor"

local function bytes_of(numbers)
  local list = {}
  for i, v in ipairs(numbers) do list[i] = math.floor(v * 255 + 0.5) end
  return list
end

describe("the truth of MSA's evaluation", function()
  it("has the soft edges of Pillow's bilinear resize", function()
    -- Image.fromarray(a).resize((3, 3), Image.BILINEAR) by Pillow 9.4 of a 7 x 5 picture with a block of 255.
    local rows = {}
    for y = 0, 4 do
      for x = 0, 6 do rows[#rows + 1] = string.char(x >= 2 and x < 6 and y >= 1 and y < 4 and 255 or 0) end
    end
    equal(bytes_of(msa.shrunk(table.concat(rows), 5, 7, 3)), { 24, 103, 70, 55, 240, 164, 24, 103, 70 })
    equal(bytes_of(msa.shrunk(("\255"):rep(9), 3, 3, 3)), { 255, 255, 255, 255, 255, 255, 255, 255, 255 })
  end)
end)

describe("a row of MSA's", function()
  it("is the mean over slices, of which an empty one counts 1", function()
    local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-msa-")
    sys.cleanup(work)
    -- Two slices of 4 x 4: the first as the truth and far from all thresholds, the second empty in both.
    local logits, truth = {}, {}
    for i = 0, 31 do
      local inside = i % 4 < 2 and i < 16
      logits[i + 1], truth[i + 1] = inside and 30 or -30, inside and "\255" or "\0"
    end
    npy.write(work .. "/l.npy", tensor.from(logits, { 2, 1, 4, 4 }))
    local row = { dice = 0, iou = 0, hd95_pooled = 3 }
    msa.replace(row, work .. "/l.npy", tensor.frombytes(table.concat(truth), "u8", { 2, 4, 4 }), "msa-2023", 0)
    equal(row, { dice = 1.0, iou = 1.0 })
    msa.replace(row, work .. "/l.npy", tensor.frombytes(("\255"):rep(32), "u8", { 2, 4, 4 }), "msa-2023", 0)
    local dice = ((16 + 1e-4) / (24 + 1e-4) + 1e-4 / (16 + 1e-4)) / 2
    assert(math.abs(row.dice - dice) < 1e-6, ("expected %.7f, found %.7f"):format(dice, row.dice))
  end)
  it("is of MSA's dialects alone", function()
    equal({ msa.version "msa-paper", msa.version "msa-mobile-2025" }, { "msa-2023", "msa-2025" })
    refuses(function() msa.version "medsam" end, "--mode msa", "medsam")
  end)
end)
