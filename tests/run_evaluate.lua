-- SPDX-License-Identifier: Apache-2.0
-- msagen evaluate as a whole: the demos' Dice, the same bytes whatever the number of processes, work that goes on where
-- it was stopped, layouts and classes, what is refused.
local sys = require "msagen.sys"
local json = require "msagen.json"
local image = require "msagen.image"
local tensor = require "msagen.tensor"
local tally = require "tally"

local work = tally.folder "evaluate"
local data = tally.source .. "/demo/data"

local function build(name, file, ...)
  local expected = json.decode(sys.read_file(("%s/demo/%s/expected.json"):format(tally.source, name)), name)
  local fw = work .. "/" .. name
  tally.must { tally.program, "build", file, "--dialect", expected.dialect, "--board", tally.best, "-o", fw, ... }
  return fw, expected
end

local count = 0
local function evaluated(fw, set, ...)
  count = count + 1
  local out = ("%s/out-%d"):format(work, count)
  tally.must { tally.program, "evaluate", fw, "--data", set, "-o", out, ... }
  return out
end

-- What msagen says where it refuses.
local function refused(words, ...)
  local status, text = sys.spawn { tally.program, "evaluate", stdin = "/dev/null", stdout = "capture",
    stderr = "capture", ... }
  assert(status == 1 or status == 2, ("expected a refusal, found exit status %d: %s"):format(status, text))
  assert(text:match "^msagen: [^\n]*\n$" and text:find(words, 1, true), ("expected %s, found %s"):format(words, text))
end

local function rows(out)
  local csv, list = require "evaluate.csv", {}
  local lines = csv.rows(sys.read_file(out .. "/cases.csv"), "cases.csv")
  for i = 2, #lines do
    list[i - 1] = {}
    for c, name in ipairs(lines[1]) do list[i - 1][name] = lines[i][c] end
  end
  return list
end

-- Every file of an evaluation that is to be the same, as one text.
local function all(out)
  local parts = {}
  for _, name in ipairs { "table.md", "table.csv", "cases.csv", "run.json", "index.html" } do
    parts[#parts + 1] = name .. "\n" .. sys.read_file(out .. "/" .. name)
  end
  for _, name in ipairs(sys.list(out .. "/worst")) do
    parts[#parts + 1] = name .. require("msagen.sha256").file(out .. "/worst/" .. name)
  end
  return table.concat(parts, "\n")
end

local function same(a, b)
  for _, name in ipairs { "table.md", "table.csv", "cases.csv", "run.json", "index.html" } do
    assert(sys.read_file(a .. "/" .. name) == sys.read_file(b .. "/" .. name), name .. " differs")
  end
  assert(all(a) == all(b), "worst/ differs")
end

local head, head_expected = build("fetal-head", tally.head)

tally.test("the demo's own prompt gives PyTorch's Dice", function()
  local out = evaluated(head, tally.demo .. "/evaluate.csv")
  local row = rows(out)[1]
  assert(row.clicks == "prompt" and math.abs(row.dice - head_expected.dice_pytorch) <= 0.0005,
    ("Dice %s, PyTorch's is %.4f"):format(row.dice, head_expected.dice_pytorch))
  return "Dice " .. row.dice
end)

tally.test("a volume of prompts a slice gives PyTorch's Dice", function()
  local hippocampus, expected = build("hippocampus", tally.volume, "--depth", "12", "--resolution", "128")
  local out = evaluated(hippocampus, tally.source .. "/demo/hippocampus/evaluate.csv")
  assert(math.abs(rows(out)[1].dice - expected.dice_pytorch) <= 0.0005, "Dice " .. rows(out)[1].dice)
  if not tally.full then return "Dice " .. rows(out)[1].dice end
  local both = evaluated(hippocampus, data .. "/hippocampus", "--prepare", "percentile:1/99")
  assert(#rows(both) == 6 * 2 * 3 and rows(both)[1].class == "Anterior", "other rows than 6 cases, 2 classes, 3 clicks")
end)

local whole
tally.test("clicks on a folder of images, with all that is written", function()
  whole = evaluated(head, data .. "/fetal-head", "--worst", "2")
  local list = rows(whole)
  assert(#list == 8 * 3 and list[1].class == "inside", "other rows than 8 cases and 3 clicks")
  local sums = { ["1"] = 0, ["3"] = 0, ["10"] = 0 }
  for _, row in ipairs(list) do
    sums[row.clicks] = sums[row.clicks] + row.dice / 8
    assert(tonumber(row.hd95_px) > 0 and row.empty == "none" and #row.mask_sha256 == 64, "a row lacks something")
    local clicks = select(2, row.points:gsub("%S+", ""))
    assert(clicks <= tonumber(row.clicks) and clicks > 0, "other clicks than asked for")
  end
  assert(sums["1"] > 0.9, ("mean Dice after a click is %.3f"):format(sums["1"]))
  local names = table.concat(sys.list(whole .. "/worst"), " ")
  assert(names:match "^01%-worst%-%d+%.png 02%-worst%-%d+%.png 03%-median%-%d+%.png sheet.png$", names)
  local table_md = sys.read_file(whole .. "/table.md")
  assert(table_md:find(("| %.3f |"):format(sums["3"]), 1, true), "table.md has another mean")
  return ("mean Dice %.4f, %.4f, %.4f"):format(sums["1"], sums["3"], sums["10"])
end)

tally.test("1, 2 and 5 processes give the same bytes; cases that one has done, others do not", function()
  for _, n in ipairs { 2, 5 } do
    local out = ("%s/parts-%d"):format(work, n)
    local command = { tally.program, "evaluate", head, "--data", data .. "/fetal-head", "-o", out, "--worst", "2" }
    for r = n, 1, -1 do
      local part = table.move(command, 1, #command, 1, {})
      part[#part + 1], part[#part + 2] = "--shard", "env"
      part.env = { OMPI_COMM_WORLD_RANK = tostring(r - 1), OMPI_COMM_WORLD_SIZE = tostring(n) }
      if r == 1 and n == 2 then
        command[#command + 1] = "--merge"
        refused("4 missing", table.unpack(command, 3))
        command[#command] = nil
      end
      assert(tally.must(part):find(("part %d of %d is done"):format(r, n), 1, true), "says nothing of its part")
    end
    command[#command + 1] = "--merge"
    tally.must(command)
    same(whole, out)
  end
end)

tally.test("what was stopped goes on where it was, and other work is not mixed in", function()
  local out = work .. "/stopped"
  local command = { tally.program, "evaluate", head, "--data", data .. "/fetal-head", "-o", out, "--worst", "2" }
  local part = table.move(command, 1, #command, 1, {})
  part[#part + 1], part[#part + 2] = "--shard", "1/2"
  tally.must(part)
  local path = out .. "/journal/part-1-of-2.jsonl"
  local text = sys.read_file(path)
  sys.write_file(path, text:sub(1, -40)) -- as of one that was killed while it wrote
  tally.must(command)
  same(whole, out)
  refused("other options", table.unpack({ head, "--data", data .. "/fetal-head", "-o", out, "--clicks", "1" }))
  refused("other data", table.unpack({ head, "--data", tally.demo .. "/evaluate.csv", "-o", out }))
  refused("expected an empty folder or one of msagen evaluate", head, "--data", data .. "/fetal-head", "-o", head)
end)

-- Images of two discs, values 1 and 2 of the mask; the third shows neither.
local function discs(root)
  sys.mkdir_p(root .. "/images")
  sys.mkdir_p(root .. "/masks")
  for i = 1, 3 do
    local pixels, labels = {}, {}
    for y = 0, 95 do
      for x = 0, 127 do
        local left, right = (x - 36) ^ 2 + (y - 48) ^ 2 < 400, (x - 92) ^ 2 + (y - 44) ^ 2 < 300
        local value = i < 3 and (left and 1 or right and 2) or 0
        labels[#labels + 1] = string.char(value)
        pixels[#pixels + 1] = string.char(60 + 70 * value, 60 + 70 * value, 60 + 60 * value)
      end
    end
    image.write_png(("%s/images/%d.png"):format(root, i), tensor.frombytes(table.concat(pixels), "u8", { 96, 128, 3 }))
    image.write_png(("%s/masks/%d.png"):format(root, i), tensor.frombytes(table.concat(labels), "u8", { 96, 128 }))
  end
end

tally.test("classes by value, an image without any, published rows, differences, MSA's own numbers", function()
  local root = work .. "/discs"
  discs(root)
  local out = evaluated(head, root, "--classes", "liver=1,spleen=2", "--clicks", "1", "--published", "amos")
  local list = rows(out)
  assert(#list == 6 and list[1].class == "liver" and list[2].class == "spleen", "other rows than 3 cases, 2 classes")
  assert(list[6].dice == "" and list[6].empty == "both" and list[6].points == "", "an absent class was clicked")
  local text = sys.read_file(out .. "/table.md")
  assert(text:find "MSA 1 point † | 0.968" and text:find "| liver | 1 click | Dice | 2 | 2 |", text)
  local other = evaluated(head, root, "--classes", "liver=1,spleen=2", "--clicks", "1", "--against", out, "--first",
    "random", "--seed", "3")
  assert(sys.read_file(other .. "/table.md"):find("## Differences: ", 1, true), "no differences")
  local msa = rows(evaluated(head, root, "--classes", "liver=1,spleen=2", "--mode", "msa"))
  assert(tonumber(msa[1].dice) > 0 and msa[1].hd95_px == "" and msa[6].points ~= "", "MSA's numbers are missing")
  refused("0 and one other value", head, "--data", root, "-o", work .. "/none")
end)

tally.test("another build is measured beside: one of other vectors differs by nothing", function()
  local other = "generic-c99"
  for _, board in ipairs(tally.boards) do
    if not board.missing and board.name ~= tally.best and board.arithmetic == tally.class[tally.best]
      and not board.plain then other = board.name end
  end
  local fw = work .. "/other"
  tally.must { tally.program, "build", tally.head, "--dialect", head_expected.dialect, "--board",
    other, "-o", fw }
  local out = evaluated(head, tally.demo .. "/evaluate.csv", "--clicks", "1,2", "--against", fw)
  local text = sys.read_file(out .. "/table.md"):match "## Differences: .*"
  local zeros = text and select(2, text:gsub("| Dice | 1 | 1 | 0%.000 |", ""))
  assert(zeros == 2, text or "no differences")
  assert(sys.exists(out .. "/against/journal/part-1-of-1.jsonl"), "its cases are not kept")
  local text = sys.read_file(out .. "/table.md")
  assert(text:find("Masks beside those of", 1, true), "no word of how alike masks are")
  assert(text:find("| 1.0000 | 1.0000 | 1.0000 | 1.0000 | 0.000 % | 0.000 % |", 1, true), "a build differs from itself")
end)

tally.test("what lower precision costs is said by layer, of the case whose masks agree least", function()
  local fw, data = work .. "/int8", tally.demo .. "/evaluate.csv"
  tally.must { tally.program, "build", tally.head, "--dialect", head_expected.dialect, "--precision", "int8", "-o", fw }
  local out = evaluated(fw, data, "--clicks", "1", "--against", head, "--layers", tally.head)
  local text = sys.read_file(out .. "/table.md"):match "## Error by layer\n.-\n\n([^#]*)" or ""
  local before, count = 0, 0
  for layer, own, after in text:gmatch "| ([%w_]+) | int8 | ([%d.]+) %% | ([%d.]+) %% |" do
    count = count + 1
    assert(tonumber(own) > 0.1 and tonumber(own) < 2 and tonumber(after) < 1, layer)
    before = math.max(before, tonumber(after))
  end
  local of_logits = tonumber(text:match "| logits |  |  | ([%d.]+) %% |")
  assert(count == 13 and of_logits and of_logits > 0 and of_logits < before, text)
  refused("--layers: expected --against", fw, "--data", data, "--layers", tally.head, "-o", work .. "/none")
  refused("found two in f32", head, "--data", data, "--against", head, "--layers", tally.head, "-o", work .. "/none")
  refused("expected the checkpoint that", fw, "--data", data, "--against", head, "--layers",
    tally.volume, "-o", work .. "/none")
end)

tally.test("of a model with a mask for each class each class has its own", function()
  local name, fw, root = "msa-2025-2d-two-class", work .. "/two", work .. "/discs"
  local cases = require "cases"
  local case = json.decode(sys.read_file(("%s/%s/case.json"):format(cases.folder, name)), name)
  tally.must(cases.build(name, case, tally.best, fw))
  local list = rows(evaluated(fw, root, "--classes", "liver=1,spleen=2", "--clicks", "1", "--worst", "0"))
  for i, class in ipairs { "liver", "spleen" } do
    local point = list[i].points:match "^(%S+)$"
    tally.must { tally.program, "run", fw, "--image", root .. "/images/1.png", "--point", point, "--upsampled-out",
      work .. "/up.npy" }
    local up = require("msagen.npy").read(work .. "/up.npy")
    assert(up.shape[2] == 2 and list[i].class == class, "no two classes")
    local inside = 0
    for _, v in ipairs(up:slice(2, i - 1, 1):totable()) do inside = inside + (v > 0 and 1 or 0) end
    assert(inside == tonumber(list[i].mask_pixels), ("%s: %s pixels, %d in its mask"):format(class,
      list[i].mask_pixels, inside))
  end
  refused("2 classes, as the model has, found 1", fw, "--data", data .. "/fetal-head", "-o", work .. "/none")
end)

tally.test("wrong commands and data sets are refused in a line", function()
  local set, out = data .. "/fetal-head", work .. "/none"
  refused("--data: expected a data set", head, "-o", out)
  refused("-o: expected a folder", head, "--data", set)
  refused("found nothing", head, "--data", work .. "/nothing", "-o", out)
  refused("rising order", head, "--data", set, "-o", out, "--clicks", "3,1")
  refused("at most 16", head, "--data", set, "-o", out, "--clicks", "1000")
  refused("expected with --text", head, "--data", set, "-o", out, "--clicks", "0,1")
  refused("--shard: expected R/N", head, "--data", set, "-o", out, "--shard", "3/2")
  refused("8 missing", head, "--data", set, "-o", work .. "/merged", "--merge")
  refused("did you mean btcv", head, "--data", set, "-o", out, "--published", "btvc")
  local bad = work .. "/bad"
  sys.mkdir_p(bad .. "/images")
  sys.mkdir_p(bad .. "/masks")
  sys.write_file(bad .. "/images/a.png", "no image")
  sys.write_file(bad .. "/masks/a.png", "no mask")
  refused("a: ", head, "--data", bad, "-o", out)
end)

-- Pictures of 1024 x 1024, all one file under many names, as many cases as it takes to see memory grow.
local function many(root, cases)
  sys.mkdir_p(root)
  local row, lines = {}, { "image,label,case,patient\n" }
  for x = 0, 1023 do row[x + 1] = string.char(x // 4, 40, 255 - x // 4) end
  image.write_png(root .. "/i.png", tensor.frombytes(table.concat(row):rep(1024), "u8", { 1024, 1024, 3 }))
  local inside = ("\0"):rep(300) .. ("\255"):rep(424) .. ("\0"):rep(300)
  local mask = ("\0"):rep(300 * 1024) .. inside:rep(424) .. ("\0"):rep(300 * 1024)
  image.write_png(root .. "/m.png", tensor.frombytes(mask, "u8", { 1024, 1024 }))
  for i = 1, cases do lines[i + 1] = ("i.png,m.png,c%03d,p%03d\n"):format(i, i) end
  sys.write_file(root .. "/d.csv", table.concat(lines))
  return root .. "/d.csv"
end

tally.deep("200 cases of 1024 x 1024 take no more memory than 10", function()
  local function peak(cases)
    local set = many(("%s/many-%d"):format(work, cases), cases)
    local status, text, bytes = sys.spawn { tally.program, "evaluate", head, "--data", set, "-o", work .. "/peak-"
      .. cases, "--worst", "0", "--clicks", "1", stdin = "/dev/null", stdout = "capture", stderr = "capture" }
    assert(status == 0, text)
    return bytes
  end
  local few, lots = peak(10), peak(200)
  assert(lots < 1.1 * few, ("%.0f MiB for 200 cases, %.0f for 10"):format(lots / 2 ^ 20, few / 2 ^ 20))
  return ("%.0f MiB, %.0f of 10"):format(lots / 2 ^ 20, few / 2 ^ 20)
end)

return tally.finish()
