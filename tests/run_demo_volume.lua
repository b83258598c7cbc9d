-- SPDX-License-Identifier: Apache-2.0
-- The volume demo on the best board, in the full tier on every one: Dice against the expert, agreement with PyTorch,
-- one digest; and a longer volume in pieces.
local sys = require "msagen.sys"
local json = require "msagen.json"
local npy = require "msagen.npy"
local tensor = require "msagen.tensor"
local masks = require "masks"
local tally = require "tally"

local demo = tally.source .. "/demo/hippocampus"
local work = tally.folder "demo-volume"
local expected = json.decode(sys.read_file(demo .. "/expected.json"), "expected.json")

--- A mask as masks.dice takes it, slices one below the other.
local function read(path)
  local t = npy.read(path)
  local mask = { height = t.shape[1] * t.shape[2], width = t.shape[3], path = path }
  for i, value in ipairs(t:totable()) do mask[i] = value > 0 end
  return mask
end

local truth, pytorch = read(demo .. "/truth.npy"), read(demo .. "/mask_pytorch.npy")

local first = {} -- by class of arithmetic
for _, board in ipairs(tally.boards) do
  if not tally.full and board.name ~= tally.best then goto next end
  local title = "volume demo on " .. board.name
  local fw, mask_path = work .. "/" .. board.name, work .. "/mask.npy"
  if board.missing then
    tally.skip(title, board.missing)
  else
    tally.test(title .. ": Dice and mask", function()
      tally.must { tally.program, "build", tally.volume, "--dialect", expected.dialect, "--depth",
        tostring(expected.depth), "--board", board.name, "-o", fw }
      local digest = tally.must { tally.program, "run", fw, "--image", demo .. "/volume.npy", "--prompts",
        demo .. "/prompts.json", "--mask-out", mask_path,
        "--out", work .. "/" .. board.name .. ".got", "--digest" }:match "digest (%x+)"
      assert(digest, "run printed no digest")
      local class = board.arithmetic
      first[class] = first[class] or { board = board.name, digest = digest }
      assert(digest == first[class].digest, "another digest than " .. first[class].board)
      local mask = read(mask_path)
      local dice, agreement = masks.dice(mask, truth), masks.agreement(mask, pytorch)
      assert(math.abs(dice - expected.dice_pytorch) <= 0.002,
        ("Dice %.4f, PyTorch's is %.4f"):format(dice, expected.dice_pytorch))
      assert(agreement >= 0.999, ("%.3f %% of the pixels as PyTorch"):format(100 * agreement))
      local logits = npy.read(work .. "/" .. board.name .. ".got/prompt_0.logits.npy")
      local theirs = npy.read(demo .. "/logits.npy")
      assert(logits:numel() == theirs:numel(), "another number of logits than PyTorch's")
      local largest, apart = 0, 0
      local ours = logits:totable()
      for i, value in ipairs(theirs:totable()) do
        largest, apart = math.max(largest, math.abs(value)), math.max(apart, math.abs(value - ours[i]))
      end
      assert(apart <= 2e-4 * largest, ("logits %.2g from PyTorch's, which reach %.2g"):format(apart, largest))
      return ("Dice %.4f, %.3f %% of the pixels as PyTorch"):format(dice, 100 * agreement)
    end)
  end
  ::next::
end

tally.test("a volume of twice the depth and three slices is run in three pieces", function()
  local fw, volume = work .. "/" .. tally.best, npy.read(demo .. "/volume.npy")
  local depth, bytes, slice = expected.depth, volume:tobytes(), volume:numel() // expected.depth
  -- The last piece is the volume again: it begins three slices before the second ends.
  local long = bytes .. bytes:sub(1, 3 * slice) .. bytes
  npy.write(work .. "/long.npy", tensor.frombytes(long, "u8", { 2 * depth + 3, volume.shape[2], volume.shape[3], 3 }))
  local prompt = json.decode(sys.read_file(demo .. "/prompts.json"), "prompts.json")[1]
  local points, labels = json.array {}, json.array {}
  for s = 1, 2 * depth + 3 do
    local from = s <= depth and s or s <= depth + 3 and s - depth or s - depth - 3
    points[s], labels[s] = prompt.points[from], prompt.labels[from]
  end
  sys.write_file(work .. "/long.json", json.encode(json.array { { points = points, labels = labels } }))
  tally.must { tally.program, "run", fw, "--image", work .. "/long.npy", "--prompts", work .. "/long.json",
    "--mask-out", work .. "/long.mask.npy" }
  local mask, once = npy.read(work .. "/long.mask.npy"), npy.read(work .. "/mask.npy")
  assert(mask.shape[1] == 2 * depth + 3, "another number of slices")
  for _, at in ipairs { 0, depth + 3 } do
    assert(mask:slice(1, at, depth):equal(once), ("slices from %d are not those of the volume alone"):format(at))
  end
end)
return tally.finish()
