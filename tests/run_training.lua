-- SPDX-License-Identifier: Apache-2.0
-- msagen train as a whole, with the small networks of tests/golden-train: what it reports is what evaluate measures of
-- the build, files go through import again, killed runs end in the same bytes, what is wrong is refused in a line.
local sys = require "msagen.sys"
local image = require "msagen.image"
local checkpoint = require "msagen.checkpoint"
local tally = require "tally"

package.path = tally.tests .. "/lua/?.lua;" .. package.path
local work = tally.folder "training"
local discs = work .. "/discs"
require "made_discs"(discs, 9)
local rows = { "image,label,patient,split\n" }
for i = 1, 9 do
  rows[i + 1] = ("images/c%d.png,masks/c%d.png,p%d,%s\n"):format(i, i, i // 2, i < 3 and "val" or "train")
end
sys.write_file(discs .. "/discs.csv", table.concat(rows))

local function golden(name) return ("%s/golden-train/%s/checkpoint.pth"):format(tally.tests, name) end

local class = require("target.arithmetic").class(require("target.boards").best(), "f32")

local FILES = { "safetensors", "best.safetensors", "csv", "png", "state" }

local count = 0
local function place()
  count = count + 1
  return ("%s/out-%d"):format(work, count)
end

-- A command that trains into OUT.safetensors, by the naive kernels, which begin sooner than what is compiled.
local function command(out, ...)
  return { tally.program, "train", "--interpret", class, "--data", discs .. "/discs.csv", "--split", "train", "--base",
    golden "msa-2023-2d", "--dialect", "msa-2023", "--batch", "2", "-o", out .. ".safetensors", ... }
end

local function trained(...)
  local out = place()
  return out, tally.must(command(out, ...))
end

local function same(a, b)
  for _, ending in ipairs(FILES) do
    assert(sys.read_file(a .. "." .. ending) == sys.read_file(b .. "." .. ending), ending .. " differs")
  end
end

-- As `same`, of a training that a script asked for: its weights' files tell the script's hash besides.
local function same_but_script(a, b, script)
  for _, ending in ipairs(FILES) do
    local one, other = a .. "." .. ending, b .. "." .. ending
    if ending:find "safetensors" then
      local left, right = checkpoint.open(one), checkpoint.open(other)
      local told = left.metadata
      assert(not told.script_sha256, "there was no script")
      told.script_sha256 = script
      for key, text in pairs(right.metadata) do assert(told[key] == text, key) end
      for key, text in pairs(told) do assert(right.metadata[key] == text, key) end
      assert(table.concat(left:names(), " ") == table.concat(right:names(), " "), "other tensors")
      for _, name in ipairs(left:names()) do assert(left:tensor(name):equal(right:tensor(name)), name) end
    else
      assert(sys.read_file(one) == sys.read_file(other), ending .. " differs")
    end
  end
end

-- The rows of a CSV as tables.
local function table_of(path)
  local lines, list = require("evaluate.csv").rows(sys.read_file(path), path), {}
  for i = 2, #lines do
    list[i - 1] = {}
    for c, name in ipairs(lines[1]) do list[i - 1][name] = lines[i][c] end
  end
  return list
end

local ASKED = { "--validation", "val", "--steps", "6", "--validate-every", "3", "--save-every", "2", "--clicks", "1,3" }
local whole, said = trained(table.unpack(ASKED))

-- The means that evaluate has of the build of OUT.safetensors are those of the last row of OUT.csv.
local function check_validation(out, dialect, data, ...)
  local fw, measured = out .. "-fw", out .. "-evaluated"
  tally.must { tally.program, "build", out .. ".safetensors", "--dialect", dialect, "--board", tally.best, "-o", fw,
    ... }
  tally.must { tally.program, "evaluate", fw, "--data", data, "--split", "val", "--clicks", "1,3", "-o", measured }
  local sums, own = {}, table_of(out .. ".csv")
  local last = own[#own]
  for _, row in ipairs(table_of(measured .. "/cases.csv")) do
    local of = sums[row.clicks] or { dice = 0, iou = 0, n = 0 }
    sums[row.clicks] = of
    of.dice, of.iou, of.n = of.dice + tonumber(row.dice), of.iou + tonumber(row.iou), of.n + 1
  end
  for _, clicks in ipairs { "1", "3" } do
    for _, name in ipairs { "dice", "iou" } do
      local found, theirs = tonumber(last[("%s_%s"):format(name, clicks)]), sums[clicks][name] / sums[clicks].n
      assert(found > 0 and math.abs(found - theirs) < 2e-6, ("%s after %s clicks: %.7f, evaluate: %.7f"):format(name,
        clicks, found, theirs))
    end
  end
  return "Dice " .. last.dice_1
end

tally.test("what it reports of its validation is what evaluate measures of the build", function()
  return check_validation(whole, "msa-2023", discs .. "/discs.csv")
end)

tally.deep("the same of fitted pictures with logits as mask prompts, and of probabilities", function()
  for _, dialect in ipairs { "sam", "medsam" } do
    local out = place()
    tally.must { tally.program, "train", "--interpret", class, "--data", discs .. "/discs.csv", "--split", "train",
      "--validation", "val", "--clicks", "1,3", "--base", golden "sam-2d-loss", "--dialect", dialect, "--steps", "2",
      "--batch", "2", "-o", out .. ".safetensors" }
    check_validation(out, dialect, discs .. "/discs.csv")
  end
end)

tally.test("the file goes through import, and holds the weights of its digest", function()
  local file = checkpoint.open(whole .. ".safetensors")
  local told = file.metadata
  assert(said:find("digest " .. told.training_digest, 1, true) and told.step == "6" and told.seed == "0")
  assert(told.base_sha256 == require("msagen.sha256").file(golden "msa-2023-2d"))
  local model = require("import.import").load(require("import.shards").open(whole .. ".safetensors"),
    { dialect = told.dialect })
  local net = require("train.network").of(model, (require("train.sets").of(model, nil, "test")), { scores = false })
  local parts = {}
  for i, one in ipairs(net.parameters) do parts[i] = one.tensor:tobytes() end
  assert(require("msagen.sha256").hex(table.concat(parts)) == told.training_digest, "other weights than the digest's")
  local base, moved = checkpoint.open(golden "msa-2023-2d"), 0
  assert(#file:names() <= #base:names())
  for _, name in ipairs(file:names()) do
    local equal = file:tensor(name):equal(base:tensor(name))
    local frozen = name:find "^prompt_encoder" or name:find "^image_encoder" and not name:find "Adapter"
    assert(equal or not frozen, name .. " is frozen, and has moved")
    if not equal then moved = moved + 1 end
  end
  assert(moved > 50, "tensors train")
  return moved .. " tensors moved"
end)

tally.test("the loss falls, and its curve is drawn", function()
  local out = trained("--steps", "40", "--learning-rate", "3e-3")
  local list = table_of(out .. ".csv")
  assert(#list == 40 and tonumber(list[40].loss) < tonumber(list[1].loss) / 1.5,
    ("loss went from %s to %s"):format(list[1].loss, list[40].loss))
  local picture = image.read(out .. ".png")
  assert(picture.shape[1] == 600 and picture.shape[2] == 1000)
  assert(not sys.exists(out .. ".best.safetensors"), "without validation nothing is the best")
  return ("from %s to %s"):format(list[1].loss, list[40].loss)
end)

tally.test("killed at any moment and resumed, it ends in the same bytes", function()
  local out, kills = place(), 0
  for _, pause in ipairs(tally.full and { 0.3, 0.5, 0.4, 0.7, 0.6, 0.35, 0.45 } or { 0.45, 0.6 }) do
    local full = command(out, table.unpack(ASKED))
    if sys.exists(out .. ".state") then full[#full + 1] = "--resume" end
    table.move({ "timeout", "-s", "KILL", tostring(pause) }, 1, 4, 1, table.move(full, 1, #full, 5))
    full.stdin, full.stdout, full.stderr = "/dev/null", "capture", "capture"
    if sys.spawn(full) ~= 0 then kills = kills + 1 end
  end
  local last = command(out, table.unpack(ASKED))
  if sys.exists(out .. ".state") then last[#last + 1] = "--resume" end
  tally.must(last)
  same(whole, out)
  return kills .. " times killed"
end)

-- What sends a signal to a command as soon as a file is there, and waits for its end.
local WHEN = [[file=$1; shift; "$@" & pid=$!
while [ ! -e "$file" ] && kill -0 $pid 2> /dev/null; do sleep 0.02; done
kill -TERM $pid 2> /dev/null; wait $pid]]

tally.test("generated code writes the same files, stopped by a signal and resumed, too", function()
  local out, said_of = place(), ""
  local function run(before, ...)
    local full = command(out, table.unpack(ASKED))
    table.remove(full, 3)
    table.remove(full, 3)
    table.move({ "--arena-limit", "2000000", "--cores", "2" }, 1, 4, #full + 1, full)
    table.move({ ... }, 1, select("#", ...), #full + 1, full)
    table.move(full, 1, #full, #before + 1, before)
    before.stdin, before.stdout, before.stderr = "/dev/null", "capture", "capture"
    local status, text = sys.spawn(before)
    said_of = text
    return status
  end
  local status = run { "sh", "-c", WHEN, "sh", out .. ".state" }
  local step = said_of:match "stopped after step (%d+) of 6: %-%-resume goes on"
  assert(status == 0 or step, said_of)
  assert(run({}, "--resume") == 0, said_of)
  same(whole, out)
  return step and "stopped after step " .. step or "it was done before"
end)

tally.test("all of SAM, with pictures that are fitted and augmented, trains to the same bytes by both", function()
  local outs = { place(), place() }
  for i, out in ipairs(outs) do
    tally.must { tally.program, "train", "--data", discs, "--base", golden "sam-2d-loss", "--dialect", "sam", "--steps",
      "2", "--batch", "2", "--augment", "mild", "-o", out .. ".safetensors", i == 1 and "--interpret" or nil,
      i == 1 and class or nil }
  end
  for _, ending in ipairs { "safetensors", "csv", "state" } do
    assert(sys.read_file(outs[1] .. "." .. ending) == sys.read_file(outs[2] .. "." .. ending), ending .. " differs")
  end
end)

tally.test("cases with known results by generated code have the digests of the naive kernels", function()
  local known = require("msagen.json").decode(sys.read_file(tally.tests .. "/golden-train/digests.json"), "digests")
  local names = require("support.closed").sorted(known[class])
  for _, name in ipairs(tally.full and names or { tally.chosen(names, "generated") }) do
    local text = tally.must { tally.program, "train", "--case", ("%s/golden-train/%s"):format(tally.tests, name), "-o",
      work .. "/case" }
    assert(text:match "^digest (%x+)" == known[class][name], name .. " has another digest")
  end
end)

tally.test("the trained tensors alone, with the base, are the same build", function()
  local delta = trained("--steps", "6", "--delta")
  local function blob(name, ...)
    local fw = work .. "/" .. name
    tally.must { tally.program, "build", "--dialect", "msa-2023", "--board", tally.best, "-o", fw, ... }
    return sys.read_file(fw .. "/msa_weights.bin")
  end
  assert(blob("delta", delta .. ".safetensors", "--base", golden "msa-2023-2d")
    == blob("same", whole .. ".safetensors"), "another blob")
  assert(sys.size(delta .. ".safetensors") < sys.size(whole .. ".safetensors") / 2, "a small file")
end)

tally.test("a script says the same as the command line", function()
  local out = place()
  sys.write_file(work .. "/train.lua", ([[
local steps = 2 * 3
return { data = "discs/discs.csv", split = "train", base = %q, dialect = "msa-2023", batch = 2, steps = steps,
  validation = "val", validate_every = 3, save_every = 1, clicks = { 1, 3 } }
]]):format(golden "msa-2023-2d"))
  tally.must { tally.program, "train", "--interpret", class, work .. "/train.lua", "--save-every", "2", "-o",
    out .. ".safetensors" }
  same_but_script(whole, out, require("msagen.sha256").file(work .. "/train.lua"))
end)

tally.test("volumes, LoRA pairs, SAM's iterations and augmentation train", function()
  local function once(out, ...)
    local words = { tally.program, "train", "--interpret", class, "--steps", "1", "-o", out .. ".safetensors", ... }
    tally.must(words)
  end
  once(place(), "--data", tally.source .. "/demo/data/hippocampus", "--prepare", "percentile:1/99", "--base",
    golden "msa-2023-3d", "--dialect", "msa-2023", "--depth", "4", "--batch", "1", "--validation", "1")
  once(place(), "--data", tally.source .. "/demo/data/hippocampus", "--prepare", "percentile:1/99", "--base",
    golden "msa-2023-3d", "--dialect", "msa-2023", "--depth", "4", "--batch", "1", "--prompts", "point")
  local lora = place()
  once(lora, "--data", discs, "--base", golden "msa-2025-2d-lora", "--dialect", "msa-2025", "--resolution", "112",
    "--global-blocks", "1", "--batch", "2")
  local file, pairs_moved = checkpoint.open(lora .. ".safetensors"), 0
  local base = checkpoint.open(golden "msa-2025-2d-lora")
  for _, name in ipairs(file:names()) do
    if name:find "lora_" and not file:tensor(name):equal(base:tensor(name)) then pairs_moved = pairs_moved + 1 end
  end
  assert(pairs_moved > 0, "LoRA pairs train")
  local iterated = place()
  once(iterated, "--data", discs, "--base", golden "sam-2d-loss", "--dialect", "sam", "--batch", "1", "--augment",
    "mild")
  assert(tonumber(table_of(iterated .. ".csv")[1].loss) > 1, "eleven prompts add up")
end)

tally.test("asked by texts, a network and a projection of them train, and a build is asked by the same", function()
  local names, out, fw, values = work .. "/names.safetensors", place(), work .. "/texts", {}
  for i = 1, 2 * 20 do values[i] = (i * 7) % 11 - 5 end
  local raw = require("msagen.tensor").from(values, { 2, 20 })
  require("msagen.safetensors").write(names, { { "prompts", require("text.embedding").prompts(raw):scale(1) },
    { "embeddings", raw } }, { { "names", '["inside","nothing"]' } })
  local asked = command(out, "--text-prompts", names, "--steps", "6", "--validation", "val", "--validate-every", "3")
  tally.must(asked)
  tally.must { tally.program, "build", out .. ".safetensors", "--dialect", "msa-2023", "--board", tally.best,
    "--text-prompts", names, "-o", fw }
  local told = tally.must { tally.program, "run", fw, "--image", discs .. "/images/c1.png", "--text", "inside",
    "--digest" }
  local interpreted = tally.must { tally.program, "interpret", out .. ".safetensors", "--dialect", "msa-2023",
    "--board", tally.best, "--text-prompts", names, "--image", discs .. "/images/c1.png", "--text", "inside",
    "--digest" }
  local digest = told:match "digest (%x+)"
  assert(digest and digest == interpreted:match "digest (%x+)", told)
  return "Dice " .. table_of(out .. ".csv")[6].dice_text
end)

local function refused(words, ...)
  local status, text = sys.spawn { tally.program, "train", stdin = "/dev/null", stdout = "capture", stderr = "capture",
    ... }
  assert(status == 1 or status == 2, ("expected a refusal, found exit status %s: %s"):format(status, text))
  local last = text:match "msagen: [^\n]*\n$"
  assert(last and not last:find("warning:", 1, true) and last:find(words, 1, true), ("expected %s, found %s"):format(
    words, text))
end

tally.test("what is wrong is refused in a line, and nothing is left", function()
  local out = place()
  local rest = { "--data", discs, "--base", golden "msa-2023-2d", "--dialect", "msa-2023", "-o", out .. ".safetensors" }
  local function with(words, ...)
    local list = table.move({ ... }, 1, select("#", ...), #rest + 1, table.move(rest, 1, #rest, 1, {}))
    refused(words, table.unpack(list))
  end
  refused("--data: expected a data set, found none", "--base", "x")
  refused("--base: expected a file, found none", "--data", discs)
  refused("-o: expected a file, found none", "--data", discs, "--base", "x", "--dialect", "sam")
  with("--loss: expected bce, dicece or sam, found dice", "--loss", "dice")
  with("--schedule: expected constant, cosine", "--schedule", "linear")
  with("--learning-rate: expected a number above 0", "--learning-rate", "0")
  with("--augment: expected", "--augment", "flp")
  with("--train: expected", "--train", "adapter")
  with("--lora: expected with --dialect", "--lora", "4")
  with("found no such file", "--resume")
  with("--validation 9: expected fewer cases", "--validation", "9")
  with("--split none", "--split", "none")
  with("--out-size: expected at least the side of the logits, 28, found 20", "--out-size", "20")
  with("unknown option --step", "--step", "3")
  with("--slice: expected whole volumes", "--slice", "3")
  refused("expected a name that ends with .safetensors", table.unpack { "--data", discs, "--base",
    golden "msa-2023-2d", "--dialect", "msa-2023", "-o", out .. ".pth" })
  refused("expected a folder that exists, found none: " .. work .. "/nowhere", table.unpack { "--data", discs, "--base",
    golden "msa-2023-2d", "--dialect", "msa-2023", "-o", work .. "/nowhere/a.safetensors" })
  sys.write_file(work .. "/wrong.lua", "return { data = \"discs\", bach = 2 }")
  refused("found bach (did you mean batch?)", work .. "/wrong.lua")
  for _, ending in ipairs(FILES) do assert(not sys.exists(out .. "." .. ending), ending .. " is left") end
  refused("another seed: expected 3, found 0", table.unpack(command(whole, "--validation", "val", "--resume", "--steps",
    "9", "--clicks", "1,3", "--validate-every", "3", "--seed", "3"), 3))
end)

tally.test("the last logits come as a mask prompt unless --feedback none", function()
  local function digest(...)
    local _, text = trained("--steps", "2", "--prompts", "centre", "--rounds", ...)
    return text:match "digest (%x+)"
  end
  assert(digest("2", "--feedback", "none") ~= digest "2", "the option changes nothing")
  assert(digest("2", "--feedback", "logits") == digest "2", "logits are not the default")
  assert(digest("1", "--feedback", "none") == digest "1", "a prompt alone has none")
end)

tally.test("parts begin anew, whatever the base has there", function()
  local out, text = trained("--steps", "1", "--anew", "masks", "--train", "masks")
  local again = command(place(), "--steps", "1", "--anew", "masks", "--train", "masks")
  for i, word in ipairs(again) do
    if word == "--base" then again[i + 1] = out .. ".safetensors" end
  end
  local digest = text:match "digest (%x+)"
  assert(digest == tally.must(again):match "digest (%x+)", "the base's own masks count")
  assert(digest ~= select(2, trained("--steps", "1", "--train", "masks")):match "digest (%x+)", "nothing began anew")
end)

tally.test("a state that is not done is not overwritten", function()
  local out = place()
  tally.must(command(out, "--steps", "2"))
  refused("found the state of a training after step 2", table.unpack(command(out, "--steps", "3"), 3))
  tally.must(command(out, "--steps", "3", "--resume"))
  local straight = trained("--steps", "3")
  assert(sys.read_file(out .. ".safetensors") == sys.read_file(straight .. ".safetensors"), "other weights")
end)

return tally.finish()
