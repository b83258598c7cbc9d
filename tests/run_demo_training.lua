-- SPDX-License-Identifier: Apache-2.0
-- The demos were trained by msagen: each file says so; their scripts begin with nothing that training
-- left, and train them again; more clicks make unseen images better. In the full tier all of it, byte for byte.
local sys = require "msagen.sys"
local json = require "msagen.json"
local checkpoint = require "msagen.checkpoint"
local sha256 = require "msagen.sha256"
local tally = require "tally"

local work = tally.folder "demo-training"
local carotid, hippocampus = tally.source .. "/demo/carotid", tally.source .. "/demo/hippocampus"
local CLASS = "f32-fma-1" -- the demos' arithmetic
local fma = tally.class[tally.best] == CLASS

local function expected_of(folder) return json.decode(sys.read_file(folder .. "/expected.json"), folder) end

-- The parts of the training: script, base (nil: the script's own), and what came of it.
local head_expected, carotid_expected = expected_of(tally.demo), expected_of(carotid)
local volume_expected = expected_of(hippocampus)
local first = head_expected.training.first
local PARTS = {
  { name = "first", script = tally.demo .. "/train.lua", facts = first },
  { name = "fetal-head", script = tally.demo .. "/refine.lua", facts = head_expected.training, from_first = true,
    file = tally.head, data = "data/fetal-head", expected = head_expected },
  { name = "carotid", script = carotid .. "/train.lua", facts = carotid_expected.training, from_first = true,
    file = carotid .. "/delta.safetensors", data = "data/carotid/evaluate.csv", expected = carotid_expected,
    build = { "--base", tally.head } },
  { name = "hippocampus", script = hippocampus .. "/train.lua", facts = volume_expected.training, file = tally.volume,
    data = "data/hippocampus/evaluate.csv", expected = volume_expected,
    evaluate = { "--prepare", "percentile-trunc:1/99@kij" } },
}

local function train(script, out, ...)
  return tally.must { tally.program, "train", script, "-o", out, ... }:match "digest (%x+)" or error("no digest", 0)
end

-- Mean Dice after each number of clicks.
local function measured(fw, data, ...)
  local out, sums, count = fw .. "-results", {}, {}
  tally.must { tally.program, "evaluate", fw, "--data", data, "--clicks", "1,3,10", "--worst", "0", "-o", out,
    ... }
  local lines = require("evaluate.csv").rows(sys.read_file(out .. "/cases.csv"), "cases.csv")
  local at = {}
  for i, name in ipairs(lines[1]) do at[name] = i end
  for i = 2, #lines do
    local n = tonumber(lines[i][at.clicks])
    sums[n], count[n] = (sums[n] or 0) + lines[i][at.dice], (count[n] or 0) + 1
  end
  return { sums[1] / count[1], sums[3] / count[3], sums[10] / count[10] }
end

for _, part in ipairs(PARTS) do
  local base = part.from_first and { "--base", tally.head } or {}
  tally.test(part.name .. ": its script trains", function()
    if not fma then return "another arithmetic" end
    local out = ("%s/%s-two.safetensors"):format(work, part.name)
    local digest = train(part.script, out, "--steps", "2", table.unpack(base))
    assert(digest == part.facts.digest_of_two_steps, "another digest after two steps: " .. digest)
    local options = json.decode(checkpoint.open(out).metadata.options, "options")
    assert(options.validate_every == nil and options.eps == nil, "the file tells options that nobody asked for")
    if part.file then
      local theirs = json.decode(checkpoint.open(part.file).metadata.options, "options")
      options.steps = theirs.steps
      assert(json.encode(options) == json.encode(theirs), "the file says other options than its script")
    end
    if not part.from_first then
      assert(checkpoint.open(out).metadata.base_sha256 == part.facts.base_sha256, "another backbone")
    end
  end)
  if not part.file then goto next end

  tally.test(part.name .. ": the file says how it was made", function()
    local metadata = checkpoint.open(part.file).metadata
    assert(metadata.generator == "msagen train" and metadata.arithmetic == CLASS, "made by something else")
    assert(metadata.training_digest == part.facts.digest, "another training")
    assert(metadata.base_sha256 == (part.from_first and first.sha256 or part.facts.base_sha256), "another base")
    assert(sha256.file(part.file) == part.facts.sha256, "another file than expected.json says")
    return ("%s steps"):format(metadata.step)
  end)

  tally.test(part.name .. ": more clicks are better", function()
    local fw = work .. "/" .. part.name
    tally.must { tally.program, "build", part.file, "--board", tally.best, "-o", fw,
      table.unpack(part.build or {}) } -- the file says the rest
    local dice = measured(fw, tally.source .. "/demo/" .. part.data, table.unpack(part.evaluate or {}))
    local said = ("Dice %.4f, %.4f, %.4f after 1, 3, 10 clicks"):format(table.unpack(dice))
    for i, value in ipairs(dice) do assert(math.abs(value - part.facts.dice_unseen[i]) < 0.002, said) end
    assert(dice[1] < dice[2] and dice[2] < dice[3], said)
    return said
  end)
  ::next::
end

tally.test("nothing that training left is where it begins", function()
  local other = work .. "/other.safetensors"
  local bytes = sys.read_file(tally.head)
  local own = checkpoint.open(tally.head):tensor("mask_decoder.iou_token.weight"):tobytes()
  local at = bytes:find(own, 1, true)
  assert(at and not bytes:find(own, at + 1, true), "the tensor is not found")
  sys.write_file(other, bytes:sub(1, at - 1) .. ("\0"):rep(#own) .. bytes:sub(at + #own))
  local a, b = work .. "/a.safetensors", work .. "/b.safetensors"
  train(PARTS[1].script, a, "--steps", "1")
  train(PARTS[1].script, b, "--steps", "1", "--base", other)
  assert(sys.read_file(a) == sys.read_file(b), "another start, other bytes")
end)

tally.deep("the whole training gives the same bytes", function()
  if not fma then return "another arithmetic" end
  local made
  for _, part in ipairs(PARTS) do
    local out = ("%s/%s-whole.safetensors"):format(work, part.name)
    local base = part.from_first and { "--base", made } or {}
    assert(train(part.script, out, table.unpack(base)) == part.facts.digest, part.name .. ": another digest")
    assert(sha256.file(out) == part.facts.sha256, part.name .. ": other bytes")
    if part.facts == first then made = out end
  end
end)

return tally.finish()
