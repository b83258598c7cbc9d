-- SPDX-License-Identifier: Apache-2.0
-- Several targets in one build: banks give the digests of their separate builds and store the backbone once; a phrase
-- is one more token.
local sys = require "msagen.sys"
local json = require "msagen.json"
local checkpoint = require "msagen.checkpoint"
local npy = require "msagen.npy"
local cases = require "cases"
local masks = require "masks"
local tally = require "tally"

local head, carotid = tally.demo, tally.source .. "/demo/carotid"
local base, delta = tally.head, carotid .. "/delta.safetensors"
local expected = json.decode(sys.read_file(carotid .. "/expected.json"), "expected.json")
local point = ("%d,%d"):format(expected.point[1], expected.point[2])
local work = tally.folder "demo-targets"

local function build(name, ...)
  tally.must { tally.program, "build", "-o", work .. "/" .. name, "--dialect", expected.dialect, "--board", tally.best,
    ... }
end

local function digest(name, ...)
  local text = tally.must { tally.program, "run", work .. "/" .. name, "--image", carotid .. "/image.png", "--point",
    point, "--digest", ... }
  return text:match "digest (%x+)" or error("run printed no digest", 0)
end

tally.test("banks have the digests of their separate builds, and pass the self-test", function()
  local mask = work .. "/mask.png"
  cases.banks(work .. "/banks", function() end)
  digest("banks", "--bank", "carotid", "--mask-out", mask)
  assert(digest "banks" == digest("banks", "--bank", "head"), "the first bank is not the default")
  -- for their sizes
  build("head", base)
  local dice = masks.dice(masks.read(mask), masks.read(carotid .. "/truth.png"))
  assert(math.abs(dice - expected.dice_pytorch) <= 0.002,
    ("Dice %.4f, PyTorch's is %.4f"):format(dice, expected.dice_pytorch))
  return ("Dice %.4f"):format(dice)
end)

tally.test("banks store what they share once", function()
  local ours, bytes = sys.size(work .. "/banks/msa_weights.bin"), sys.size(work .. "/head/msa_weights.bin")
  local ckpt = checkpoint.open(delta)
  for _, name in ipairs(ckpt:names()) do
    if not name:find("Depth_Adapter", 1, true) then bytes = bytes + 4 * ckpt:tensor(name):numel() end -- unused in 2-D
  end
  assert(ours <= 1.02 * bytes, ("%d bytes for a backbone and two differences of %d"):format(ours, bytes))
  return ("%.3f of backbone and differences"):format(ours / bytes)
end)

tally.test("a phrase whose embedding is that of no point is a token of no point", function()
  local ckpt = checkpoint.open(base)
  local row = ckpt:tensor "prompt_encoder.not_a_point_embed.weight"
  local bytes = row:scale(0):tobytes() .. row:scale(1):tobytes()
  local header = json.encode { __metadata__ = { names = '["nothing","no point"]' },
    phrases = { dtype = "F32", shape = { 2, row:numel() }, data_offsets = { 0, #bytes } } }
  header = header .. (" "):rep(-#header % 8)
  sys.write_file(work .. "/texts.safetensors", string.pack("<I8", #header) .. header .. bytes)
  build("texts", base, "--text-prompts", work .. "/texts.safetensors")
  tally.must { "make", "-j2", "-C", work .. "/texts", "CFLAGS=-O0" }
  -- Tokens in another order: the same up to rounding.
  local function logits(name, ...)
    tally.must { tally.program, "run", work .. "/texts", "--image", head .. "/image.png", "--box", "100,100,400,400",
      "--out", work .. "/" .. name, ... }
    return npy.read(("%s/%s/prompt_0.logits.npy"):format(work, name)):totable()
  end
  local phrase, label, other = logits("phrase", "--text", "no point"), logits("label", "--point", "0,0,-1"),
    logits("other", "--text", "nothing")
  local same, apart, largest = 0, 0, 0
  for i, value in ipairs(phrase) do
    same, apart, largest = math.max(same, math.abs(value - label[i])), math.max(apart, math.abs(value - other[i])),
      math.max(largest, math.abs(value))
  end
  assert(same <= 1e-5 * largest, ("logits %.2g apart"):format(same))
  assert(apart > 1e-2 * largest, "another phrase gives the same")
end)

-- cases.csv of an evaluation, each row by its columns.
local function evaluated(name, set, ...)
  local out = ("%s/of-%s"):format(work, name)
  tally.must { tally.program, "evaluate", work .. "/" .. name, "--data", set, "--worst", "0", "-o", out, ... }
  local lines, list = require("evaluate.csv").rows(sys.read_file(out .. "/cases.csv"), "cases.csv"), {}
  for i = 2, #lines do
    list[i - 1] = {}
    for c, column in ipairs(lines[1]) do list[i - 1][column] = lines[i][c] end
  end
  return list
end

tally.test("a bank is evaluated", function()
  local row = evaluated("banks", carotid .. "/evaluate.csv", "--bank", "carotid")[1]
  assert(math.abs(row.dice - expected.dice_pytorch) <= 0.0005, "Dice " .. row.dice)
  return "Dice " .. row.dice
end)

tally.test("phrases are evaluated, each class by its own name", function()
  local set = work .. "/phrases.csv"
  sys.write_file(set, "image,label,case,class\n" .. ("%s/image.png,%s/truth.png,a,no point\n"):format(head, head)
    .. ("%s/image.png,%s/truth.png,b,nothing\n"):format(head, head))
  local list = evaluated("texts", set, "--text", "class", "--clicks", "0,1")
  assert(#list == 4, ("%d rows, not 2 cases at 0 and 1 click"):format(#list))
  for _, row in ipairs(list) do
    if row.clicks == "0" then
      tally.must { tally.program, "run", work .. "/texts", "--image", head .. "/image.png", "--text", row.class,
        "--mask-out", work .. "/phrase.npy" }
      local inside = 0
      for _, value in ipairs(npy.read(work .. "/phrase.npy"):totable()) do inside = inside + (value > 0 and 1 or 0) end
      assert(row.points == "" and inside == tonumber(row.mask_pixels), ("%s: %s pixels, run finds %d"):format(
        row.class, row.mask_pixels, inside))
    else assert(row.points ~= "" and tonumber(row.dice) > 0, row.class .. ": no click") end
  end
end)

return tally.finish()
