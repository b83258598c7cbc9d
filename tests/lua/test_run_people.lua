-- SPDX-License-Identifier: Apache-2.0
-- `run` for people: several images, JSON, label maps, classes of the truth, overlays; on the made-up model.

local spec = require "spec"
local describe, it, equal, refuses, holds = spec.describe, spec.it, spec.equal, spec.refuses, spec.holds
local sys, npy, tensor = spec.host "msagen.sys", spec.host "msagen.npy", spec.host "msagen.tensor"
if not (sys and npy and tensor) then return end

local json, png, contour = require "msagen.json", require "msagen.image", require "msagen.contour"
local verb = require "cli.verbs.run"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-run-people-")
sys.cleanup(work)
local flat = require("fake_folder").make(work .. "/flat", 1)

local function file(name, bytes)
  sys.write_file(work .. "/" .. name, bytes)
  return work .. "/" .. name
end

--- The verb as the command line calls it. @return exit status, standard output, standard error
local function run(args, dir)
  local out, err, say = {}, {}, print
  local stdout, stderr = io.stdout, io.stderr
  print = function(...) out[#out + 1] = table.concat({ ... }, "\t") .. "\n" end
  io.stdout = { write = function(_, ...) out[#out + 1] = table.concat { ... } end }
  io.stderr = { write = function(_, ...) err[#err + 1] = table.concat { ... } end, flush = function() end }
  args.dir, args.point = dir or flat, args.point or {}
  local ok, status = pcall(verb.run, args)
  print, io.stdout, io.stderr = say, stdout, stderr
  if not ok then error(status, 0) end
  return status, table.concat(out), table.concat(err)
end

-- An image whose columns from..to (from 0, the end excluded) are red, the only thing that the made-up model sees.
local function red(name, from, to)
  local row = ("\0\60\0"):rep(from) .. ("\200\0\0"):rep(to - from) .. ("\0\60\0"):rep(80 - to)
  npy.write(work .. "/" .. name, tensor.frombytes(row:rep(20), "u8", { 20, 80, 3 }))
  return work .. "/" .. name
end

local right, left = red("right.npy", 40, 80), red("left.npy", 0, 40)
local here = { 70, 10 }

describe("names of several images", function()
  local images = require "run.images"

  it("are those of the files", function()
    equal({ images.stem "a/b.c/scan.1.PNG" }, { "scan.1", ".png" })
    equal({ images.stem "x/hip.nii.gz" }, { "hip", ".nii.gz" })
    equal({ images.stem "series/" }, { "series", "" })
    equal({ images.stem ".png" }, { ".png", "" })
  end)

  it("place results", function()
    local image = { name = "s%1" }
    equal(images.output("--mask-out", "m/{name}_{name}.png", image, false, ".png"), "m/s%1_s%1.png")
    equal(images.output("--mask-out", "m", image, true, ".png"), "m/s%1.png")
    equal(images.output("--mask-out", "m.png", image, false, ".png"), "m.png")
    equal(images.output("--out", "all.d/", image, true, ""), "all.d/s%1")
    refuses(function() images.output("--mask-out", "m.png", image, true, ".png") end, "--mask-out m.png",
      "a name with {name} in it")
  end)

  it("must differ", function()
    sys.mkdir_p(work .. "/twice")
    npy.write(work .. "/twice/left.npy", npy.read(left))
    refuses(function() images.list { left, work .. "/twice" } end, "twice/left.npy", "different names", left)
    equal(select(2, images.list { left }), false)
    equal(select(2, images.list { work .. "/twice" }), true)
  end)
end)

describe("several images", function()
  it("have results of their own, from one option", function()
    local out = work .. "/masks"
    local status, text = run { image = { right, left }, point = { here }, mask_out = out, overlay_out = out
      .. "/{name}.overlay.png" }
    equal(status, 0)
    holds(text, ("image %s\nprompt 0: "):format(right), ("image %s\nprompt 0: "):format(left))
    equal(sys.list(out), { "left.npy", "left.overlay.png", "right.npy", "right.overlay.png" })
    local m = npy.read(out .. "/left.npy")
    equal({ m:get(10, 5), m:get(10, 75) }, { 255, 0 })
  end)

  it("may be a folder; what is wrong with one of them does not stop the others", function()
    local folder, out = work .. "/folder", work .. "/of-folder"
    sys.mkdir_p(folder)
    npy.write(folder .. "/a.npy", npy.read(right))
    npy.write(folder .. "/c.npy", npy.read(left))
    file("folder/b.png", "no picture")
    file("folder/readme.txt", "no image")
    local status, _, err = run { image = { folder }, point = { here }, mask_out = out, out = out .. ".all" }
    equal({ status, sys.list(out), sys.list(out .. ".all") }, { 1, { "a.npy", "c.npy" }, { "a", "c" } })
    holds(err, "b.png: image: expected PNG, JPEG, ")
    local document
    status, document, err = run { image = { folder }, point = { here }, json = true }
    document = json.decode(document)
    equal({ status, document.status, #document.images }, { 1, 1, 3 })
    equal({ document.images[2].status, document.images[2].name, document.images[3].status }, { "failed", "b", "ok" })
    holds(err, document.images[2].error)
  end)

  it("have truths and prompts of their own", function()
    local truths = work .. "/truths"
    sys.mkdir_p(truths)
    for name, path in pairs { right = right, left = left } do
      local status = run { image = { path }, point = { here }, mask_out = ("%s/%s.png"):format(truths, name) }
      equal(status, 0)
      file(name .. ".prompts.json", '[{"box":[1,2,3,4]}]')
    end
    local _, text = run { image = { right, left }, truth = truths, prompts = work .. "/{name}.prompts.json" }
    equal(select(2, text:gsub("Dice 1.0000, IoU 1.0000", "")), 2, text)
    local status, _, err = run { image = { right, left }, truth = truths, prompts = work .. "/{name}.json" }
    equal(status, 1)
    holds(err, "left.json", "right.json")
    os.remove(truths .. "/left.png")
    status, _, err = run { image = { right, left }, truth = truths, point = { here } }
    equal(status, 1)
    holds(err, "--truth", "called left, as the image, found none")
  end)

  it("write nothing twice, and over no image", function()
    npy.write(work .. "/right_a.npy", npy.read(left))
    local status, _, err = run { image = { right, work .. "/right_a.npy" }, point = { here },
      mask_out = work .. "/o/{name}_a.png", overlay_out = work .. "/o/{name}.png" }
    equal({ status, sys.list(work .. "/o") }, { 1, { "right.png", "right_a.png" } })
    holds(err, "--overlay-out", "right_a.png", "found that of --mask-out")
    refuses(function() run { image = { right, left }, point = { here }, mask_out = work .. "/left.npy" } end,
      "--mask-out", "a name with {name}")
    status, _, err = run { image = { right, left }, point = { here }, mask_out = work .. "/{name}.npy" }
    equal(status, 1)
    holds(err, "found --image " .. right, "found --image " .. left)
  end)
end)

describe("--json", function()
  local function document(args)
    args.json = true
    local status, text, err = run(args)
    equal({ status, err, select(2, text:gsub("\n", "")) }, { 0, "", 1 })
    return json.decode(text), text
  end

  it("tells size, place and outline", function()
    local path = work .. "/json.mask.npy"
    local args = { image = { right }, point = { here }, multimask = true, mask_out = path,
      spacing = { false, 0.5, 0.1 }, digest = true }
    local found, text = document(args)
    local one, mask = found.images[1].prompts[1], npy.read(path)
    local extent = contour.extent(mask:reshape { 1, 20, 80 })
    equal({ found.status, found.images[1].width, found.images[1].height, #found.images[1].digest }, { 0, 80, 20, 64 })
    equal({ one.pixels, one.area_mm2 }, { extent.pixels, extent.pixels / 20 })
    equal({ one.extent.x, one.extent.y }, { { extent.first[3], 80 }, { 0, 20 } })
    equal({ one.centroid.x, one.centroid.y }, { (extent.first[3] + 80) / 2, 10 })
    local x = extent.first[3]
    equal(one.contours, { { slice = 0, regions = { { outer = { { x, 0 }, { 80, 0 }, { 80, 20 }, { x, 20 } },
      holes = {} } } } })
    equal({ #one.predicted_iou[1], one.taken, one.masks }, { 3, { 2 }, 3 })
    equal({ found.images[1].spacing_mm[2], found.images[1].spacing_mm[1] }, { 0.5, json.null })
    equal(select(2, document(args)), text, "the same bytes")
    equal(found.images[1].outputs.mask, path)
  end)

  it("tells of empty masks and of truths", function()
    local truth = work .. "/json.truth.png"
    png.write_png(truth, tensor.frombytes((("\0"):rep(40) .. ("\255"):rep(40)):rep(20), "u8", { 20, 80 }))
    local black = red("black.npy", 0, 0)
    local one = document { image = { black }, point = { here }, truth = truth }.images[1].prompts[1]
    equal({ one.pixels, one.extent, one.centroid, one.contours, one.area_mm2 },
      { 0, json.null, json.null, {}, json.null })
    equal({ one.truth.dice, one.truth.iou, one.truth.hd95, one.truth.pixels, one.truth.unit },
      { 0.0, 0.0, json.null, 800, "pixels" })
  end)

  it("prints the error of one image as a document, too", function()
    local status, text, err = run { image = { work .. "/absent.png" }, point = { here }, json = true }
    equal({ status, json.decode(text).images[1].status }, { 1, "failed" })
    holds(err, "absent.png")
  end)
end)

describe("label maps", function()
  it("have later prompts over earlier ones, and classes where they are given", function()
    local prompts = file("three.json", '[{"box":[1,2,3,4],"class":7},{"box":[1,2,3,4],"multimask":true}]')
    local out = work .. "/labels.npy"
    local _, text = run { image = { right }, prompts = prompts, labels_out = out, overlay_out = work .. "/labels.png" }
    holds(text, ", cyan\n", ", orange\n")
    local labels = npy.read(out)
    equal({ labels.dtype, labels.shape, labels:get(10, 75), labels:get(10, 10) }, { "u8", { 20, 80 }, 2, 0 })
    prompts = file("one.json", '[{"box":[1,2,3,4],"class":7}]')
    run { image = { right }, prompts = prompts, labels_out = work .. "/l.png" }
    equal(png.read(work .. "/l.png"):get(10, 75, 0), 7)
    run { image = { right }, prompts = work .. "/three.json", labels_out = work .. "/l.nii.gz" }
    local volume = require("scans.nifti").read(work .. "/l.nii.gz", {})
    equal({ volume.values.shape, volume.values:get(0, 10, 75), volume.values:get(0, 10, 10) }, { { 1, 20, 80 }, 2, 0 })
    for text_of, words in pairs { ['[{"box":[1,2,3,4],"class":2},{"box":[1,2,3,4]}]'] = "a value of its own",
      ['[{"box":[1,2,3,4],"class":256}]'] = "1 to 255",
      ['[{"box":[1,2,3,4],"class":[1]}]'] = "class: expected a value" } do
      local wrong = file("wrong.json", text_of)
      refuses(function() run { image = { right }, prompts = wrong, labels_out = out } end, words)
    end
    refuses(function() run { image = { right }, labels_out = out } end, "--labels-out: expected a prompt")
  end)

  it("of a model with classes have the one of the largest logit", function()
    local planes = tensor.from({ 1, -1, 0, 5,  2, -1, 0, 4 }, { 1, 2, 1, 4 })
    equal(contour.classes(planes):totable(), { 2, 0, 0, 1 })
  end)
end)

describe("HD95", function()
  it("is in pixels, or in millimetres where all axes have a spacing", function()
    local truth, out = work .. "/hd.png", work .. "/hd.npy"
    run { image = { right }, point = { here }, mask_out = out }
    local mask = npy.read(out)
    local first = contour.extent(mask:reshape { 1, 20, 80 }).first[3]
    -- The same mask, begun three columns later: one border of two is 3 away.
    local row = ("\0"):rep(first + 3) .. ("\255"):rep(77 - first)
    png.write_png(truth, tensor.frombytes(row:rep(20), "u8", { 20, 80 }))
    for _, case in ipairs { { nil, "HD95 3.00 pixels" }, { { false, 1, 0.5 }, "HD95 1.50 mm" },
      { { 7, 1, 0.5 }, "HD95 1.50 mm" } } do
      local _, text = run { image = { right }, point = { here }, truth = truth, spacing = case[1] }
      holds(text, case[2])
    end
    local agreement, volume = require "run.agreement", mask:reshape { 1, 20, 80 }
    local two = tensor.frombytes(volume:tobytes() .. ("\0"):rep(1600), "u8", { 2, 20, 80 })
    local other = tensor.frombytes(("\0"):rep(1600) .. volume:tobytes(), "u8", { 2, 20, 80 })
    local found = agreement.of(two, other, { 4, 1, 1 })
    equal({ found.dice, found.unit, found.hd95 }, { 0.0, "mm", 4.0 })
    equal(agreement.of(two, other, { false, 2, 2 }).unit, "pixels")
    local none = tensor.frombytes(("\0"):rep(1600), "u8", { 1, 20, 80 })
    equal(agreement.of(none, none), { dice = 1, iou = 1, unit = "pixels", truth_pixels = 0 })
  end)
end)

describe("a truth of several classes", function()
  it("is compared class by class", function()
    local truth = work .. "/classes.png"
    png.write_png(truth, tensor.frombytes((("\1"):rep(40) .. ("\2"):rep(40)):rep(20), "u8", { 20, 80 }))
    local prompts = file("classes.json", '[{"box":[1,2,3,4],"class":1},{"box":[1,2,3,4],"class":"2"},'
      .. '{"box":[1,2,3,4],"class":9}]')
    local _, text = run { image = { right }, prompts = prompts, truth = truth }
    local dice = {}
    for value in text:gmatch "Dice (%S+)," do dice[#dice + 1] = tonumber(value) end
    equal({ #dice, dice[1] < 0.5, dice[2] > 0.7, dice[3] }, { 3, true, true, 0.0 }, text)
    refuses(function() run { image = { right }, point = { here }, truth = truth } end, "found values 1, 2",
      "--truth-inside")
  end)
end)

describe("--report-out", function()
  it("is a page with picture and table", function()
    local page = work .. "/page.html"
    local status, text = run { image = { right }, prompts = work .. "/three.json", report_out = page,
      truth = work .. "/json.truth.png", truth_inside = { require("run.truth").inside "any" },
      spacing = { false, 2, 3 } }
    equal(status, 0, text)
    local html = sys.read_file(page)
    holds(html, "<!DOCTYPE html>", "data:image/png;base64,", "prompt 0, cyan", "prompt 1, orange",
      ", y 0 to 20", "2 × 3 mm", "dotted: the expert")
    status = run { image = { right }, report_out = page }
    equal(status, 0)
    holds(sys.read_file(page), "no prompt asked for a mask")
    equal((run { bench = 1, report_out = page }), 2)
  end)
end)

describe("options of overlays", function()
  it("change what is drawn", function()
    local seen = {}
    local function drawn(args)
      args.image, args.point, args.overlay_out = { right }, { here }, work .. "/style.png"
      equal((run(args)), 0)
      local hash = require("msagen.sha256").hex(sys.read_file(work .. "/style.png"))
      local picture = png.read(work .. "/style.png")
      equal(seen[hash], nil)
      seen[hash] = true
      return picture
    end
    local both = drawn {}
    equal(both:get(30, 900, 0) < 200 and both:get(30, 900, 2) > 50, true, "tinted")
    equal(drawn { overlay = "contour" }:get(30, 900, 2), 0)
    equal(drawn { overlay = "fill", opacity = 1 }:get(30, 900, 0), 90)
    drawn { opacity = 0.7 }
    drawn { truth = work .. "/json.truth.png" }
  end)

  it("are refused without one", function()
    for _, args in ipairs { { overlay = "fill" }, { opacity = 1 },
      { overlay = "contour", opacity = 1, overlay_out = work .. "/x.png" } } do
      args.image, args.point = { right }, { here }
      equal((run(args)), 2)
    end
    equal((run { bench = 1, json = true }), 2)
  end)
end)

sys.remove_tree(work)
sys.keep(work)
