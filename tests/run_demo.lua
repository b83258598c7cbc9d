-- SPDX-License-Identifier: Apache-2.0
-- The demo as it is shipped on the best board, in the full tier on every one:
-- Dice against the expert, agreement with PyTorch's mask, one digest, a profile, and no compilation where nothing
-- changed.
local sys = require "msagen.sys"
local json = require "msagen.json"
local masks = require "masks"
local profiled = require "profiled"
local tally = require "tally"

local work = tally.folder "demo"
local expected = json.decode(sys.read_file(tally.demo .. "/expected.json"), "expected.json")
local truth = masks.read(tally.demo .. "/truth.png")
local pytorch = masks.read(tally.demo .. "/mask_pytorch.png")
local point = ("%d,%d"):format(expected.point[1], expected.point[2])

local first, refined = {}, {} -- by class of arithmetic
for _, board in ipairs(tally.boards) do
  if not tally.full and board.name ~= tally.best then goto next end
  local title = "demo on " .. board.name
  local fw, mask_path = work .. "/" .. board.name, work .. "/mask.png"
  local run = { tally.program, "run", fw, "--image", tally.demo .. "/image.png", "--point", point, "--mask-out",
    mask_path, "--digest" }
  if board.missing then
    tally.skip(title, board.missing)
  else
    tally.test(title .. ": Dice and mask", function()
      tally.must { tally.program, "build", tally.head, "--dialect", expected.dialect, "--board",
        board.name, "-o", fw }
      local digest = tally.must(run):match "digest (%x+)"
      assert(digest, "run printed no digest")
      local class = board.arithmetic
      first[class] = first[class] or { board = board.name, digest = digest }
      assert(digest == first[class].digest, "another digest than " .. first[class].board)
      local mask = masks.read(mask_path)
      local dice, agreement = masks.dice(mask, truth), masks.agreement(mask, pytorch)
      assert(math.abs(dice - expected.dice_pytorch) <= 0.002,
        ("Dice %.4f, PyTorch's is %.4f"):format(dice, expected.dice_pytorch))
      assert(agreement >= 0.999, ("%.3f %% of the pixels as PyTorch"):format(100 * agreement))
      return ("Dice %.4f, %.3f %% of the pixels as PyTorch"):format(dice, 100 * agreement)
    end)
    tally.test(title .. ": three clicks where mask and truth differ", function()
      local text = tally.must { tally.program, "run", fw, "--image", tally.demo .. "/image.png", "--truth",
        tally.demo .. "/truth.png", "--refine", "3",
        "--mask-out", mask_path, "--digest" }
      local dice, best, least = {}, nil, 0
      for k, value, mark in text:gmatch "clicks (%d) dice (0%.%d+) (%a*) +at %d+%.5,%d+%.5 %a+\n" do
        dice[tonumber(k)] = value
        if mark == "best" then best = value end
        least = math.max(least, tonumber(value))
      end
      assert(#dice == 3 and text:match "feedback none\ndigest ", "expected three lines of Dice, found " .. text)
      assert(best and tonumber(best) == least, "the best step is not marked")
      assert(tonumber(dice[3]) >= tonumber(dice[1]), "three clicks are worse than one: " .. text)
      local got = ("%.4f"):format(masks.dice(masks.read(mask_path), truth))
      assert(got == best, ("the mask has Dice %s, the best line says %s"):format(got, best))
      local class = board.arithmetic
      refined[class] = refined[class] or text
      assert(text == refined[class], "other clicks or another digest than " .. first[class].board)
      return "Dice " .. table.concat(dice, ", ")
    end)
    tally.test(title .. ": profile", function()
      local p, text = profiled.of(fw, work, "--bench", "2", "--image", tally.demo .. "/image.png")
      assert(p.repetitions == 2 and p.image == "given", "another image or number of runs")
      assert(text:match("^encode_ms [%d.]+\ndecode_ms [%d.]+\narena_bytes %d+\nweights_bytes %d+\n"
        .. "macs_encode %d+\nmacs_decode %d+\npeak "), "the bench's lines are not the first: " .. text:sub(1, 200))
      assert(math.abs(p.encode.wall_ms - text:match "encode_ms ([%d.]+)") < 1e-9, "another encode_ms than the bench's")
      return ("encode %.0f %%, decode %.0f %% of %.1f GMAC/s"):format(p.encode.percent_of_peak,
        p.decode.percent_of_peak, p.peak.fma_gmacs_per_s)
    end)
    if not tally.full and board.name ~= tally.best then goto next end
    tally.test(title .. ": a second run compiles nothing, an older object is renewed", function()
      local runner = fw .. "/runner/msa_run"
      local before = sys.mtime_ns(runner)
      tally.must(run)
      assert(sys.mtime_ns(runner) == before, "compiled again")
      tally.must { "touch", fw .. "/msa_model.c" }
      tally.must(run)
      assert(sys.mtime_ns(runner) ~= before, "msa_model.c is newer, and was not compiled")
    end)
  end
  ::next::
end

tally.test("overlay and upsampled logits have the image's size", function()
  local fw = work .. "/" .. tally.best
  tally.must { tally.program, "run", fw, "--image", tally.demo .. "/image.png", "--point", point,
    "--overlay-out", work .. "/overlay.png", "--upsampled-out", work .. "/up.npy" }
  local overlay = require("msagen.image").read(work .. "/overlay.png")
  assert(overlay.shape[1] == 512 and overlay.shape[2] == 512, "overlay is not 512x512")
  local up = require("msagen.npy").read(work .. "/up.npy")
  local h, w = up.shape[#up.shape - 1], up.shape[#up.shape]
  assert(h == 512 and w == 512, ("upsampled logits are %dx%d"):format(w, h))
end)
return tally.finish()
