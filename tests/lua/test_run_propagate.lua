-- SPDX-License-Identifier: Apache-2.0
-- Prompts on one slice of a volume, alone and carried on to the slices beside it; on the made-up model, whose masks are
-- where a slice is red, and whose clicks are told.

local spec = require "spec"
local describe, it, equal, refuses, holds = spec.describe, spec.it, spec.equal, spec.refuses, spec.holds
local sys, npy, tensor = spec.host "msagen.sys", spec.host "msagen.npy", spec.host "msagen.tensor"
if not (sys and npy and tensor) then return end

local json = require "msagen.json"
local verb = require "cli.verbs.run"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-run-propagate-")
sys.cleanup(work)
local fake = require "fake_folder"
local deep, flat = fake.make(work .. "/deep", 3), fake.make(work .. "/flat", 1)

local function run(args, dir)
  local out, say, stdout = {}, print, io.stdout
  print = function(...) out[#out + 1] = table.concat({ ... }, "\t") .. "\n" end
  io.stdout = { write = function(_, ...) out[#out + 1] = table.concat { ... } end }
  args.dir, args.point = dir or deep, args.point or {}
  local ok, status = pcall(verb.run, args)
  print, io.stdout = say, stdout
  if not ok then error(status, 0) end
  return status, table.concat(out)
end

-- Slices of 64 x 64, a letter each: x all red, r and l the right and the left half, s a corner of 16 x 16, . none.
local SIDE = 64
local function volume(letters)
  local parts = {}
  for letter in letters:gmatch "." do
    for y = 0, SIDE - 1 do
      for x = 0, SIDE - 1 do
        local red = letter == "x" or letter == "r" and x >= 32 or letter == "l" and x < 32 or letter == "s" and x >= 48
          and y >= 48
        parts[#parts + 1] = red and "\200\0\0" or "\0\60\0"
      end
    end
  end
  npy.write(work .. "/volume.npy", tensor.frombytes(table.concat(parts), "u8", { #letters, SIDE, SIDE, 3 }))
  return work .. "/volume.npy"
end

-- The letters again that have a mask, `-` where it is empty.
local function found(path, letters)
  local mask, seen = npy.read(path), {}
  for s = 0, #letters - 1 do
    local any = mask:get(s, 60, 60) + mask:get(s, 4, 4) + mask:get(s, 60, 4)
    seen[s + 1] = any > 0 and letters:sub(s + 1, s + 1) or "-"
  end
  return table.concat(seen)
end

local function carried(letters, slice, more)
  local args = { image = volume(letters), point = { { 60, 60 } }, click_slice = slice, propagate = true, json = true,
    mask_out = work .. "/mask.npy" }
  for key, value in pairs(more or {}) do args[key] = value end
  local status, text = run(args, args.dir)
  equal(status, 0)
  return found(work .. "/mask.npy", letters), json.decode(text).images[1].prompts[1]
end

describe("a prompt on one slice of a volume", function()
  it("counts for that slice alone", function()
    local letters = "xxxxxxxx"
    for _, dir in ipairs { deep, flat } do
      for _, slice in ipairs { 0, 4, 7 } do
        local status, text = run({ image = volume(letters), box = { 1, 1, 60, 60 }, click_slice = slice,
          mask_out = work .. "/alone.npy", out = work .. "/alone", overlay_out = work .. "/alone.png" }, dir)
        equal({ status, found(work .. "/alone.npy", letters) }, { 0, ("-"):rep(slice) .. "x" .. ("-"):rep(7 - slice) })
        local logits, iou = npy.read(work .. "/alone/prompt_0.logits.npy"), npy.read(work .. "/alone/prompt_0.iou.npy")
        equal({ logits.shape, logits:get((slice + 1) % 8, 0, 3, 3), iou:get((slice + 1) % 8, 0) },
          { { 8, 1, 16, 16 }, -1000, 0 })
        equal(logits:get(slice, 0, 3, 3) > 0, true)
        holds(text, "prompt 0: 1 mask")
      end
    end
  end)

  it("of a file, each on its own", function()
    sys.write_file(work .. "/prompts.json", '[{"box":[1,2,30,40],"slice":6},{"points":[[9,9]],"labels":[1],"slice":1}]')
    local _, text = run { image = volume "xxxxxxxx", prompts = work .. "/prompts.json", json = true,
      labels_out = work .. "/labels.npy" }
    local labels, values = npy.read(work .. "/labels.npy"), {}
    for s = 0, 7 do values[s + 1] = labels:get(s, 9, 9) end
    equal(values, { 0, 2, 0, 0, 0, 0, 1, 0 })
    local prompts = json.decode(text).images[1].prompts
    equal({ prompts[1].slice, prompts[1].extent.slice, prompts[2].centroid.slice }, { 6, { 6, 7 }, 1.0 })
  end)

  it("is refused elsewhere", function()
    local image = volume "xxxx"
    refuses(function() run { image = image, point = { { 1, 1 } }, click_slice = 4 } end, "--click-slice 4", "0 to 3")
    for text, words in pairs { ['[{"box":[1,2,3,4],"slice":-1}]'] = "slice -1", ['[{"box":[1,2,3,4],"slice":"a"}]'] =
      "slice: expected the number", ['[{"box":[[1,2,3,4],[1,2,3,4],[1,2,3,4],[1,2,3,4]],"slice":0}]'] = "each of 4",
      } do
      sys.write_file(work .. "/wrong.json", text)
      refuses(function() run { image = image, prompts = work .. "/wrong.json" } end, words)
    end
    refuses(function() run { image = image, point = { { 1, 1 } }, propagate = true } end, "--propagate",
      "prompt 0 without")
  end)
end)

describe("--propagate", function()
  it("carries a prompt on to both sides, as far as there are masks, over the borders of subvolumes", function()
    for _, case in ipairs { { "xxxxxxxx", 4, "xxxxxxxx" }, { ".xxxrrx.", 4, "-xxxrrx-" }, { "x.xxxx.x", 3, "--xxxx--" },
      { "lrlrlrlr", 0, "lrlrlrlr" }, { "........", 2, "--------" }, { "x.......", 0, "x-------" },
      { ".......x", 7, "-------x" }, { "xxx.xxx.", 6, "----xxx-" } } do
      for _, dir in ipairs { deep, flat } do
        equal((carried(case[1], case[2], { dir = dir })), case[3], case[1])
      end
    end
  end)

  it("clicks on the inmost pixel of the mask before", function()
    local _, one = carried("xrlx.", 1)
    -- Of the right half, 32 to 63, the pixel 16 from every side; of equal ones the first.
    local at = {}
    for i, click in ipairs(one.clicks) do at[i] = ("%d: %g,%g"):format(click.slice, click.x, click.y) end
    local mask = npy.read(work .. "/mask.npy")
    local function inmost(slice) -- by brute force
      local best, depth = nil, -1
      local inside = {}
      for y = -1, SIDE do
        inside[y] = {}
        for x = -1, SIDE do
          inside[y][x] = x >= 0 and y >= 0 and x < SIDE and y < SIDE and mask:get(slice, y, x) > 0
        end
      end
      for y = 0, SIDE - 1 do
        for x = 0, SIDE - 1 do
          local nearest = inside[y][x] and math.huge or 0
          for v = -1, nearest > 0 and SIDE or -2 do
            for u = -1, SIDE do
              if not inside[v][u] then nearest = math.min(nearest, (u - x) ^ 2 + (v - y) ^ 2) end
            end
          end
          if nearest > depth then best, depth = ("%g,%g"):format(x + 0.5, y + 0.5), nearest end
        end
      end
      return best
    end
    equal(at, { "0: " .. inmost(1), "2: " .. inmost(1), "3: " .. inmost(2) })
  end)

  it("ends at a mask that is much smaller than the first, or where it is told", function()
    equal((carried("xxsxx", 0)), "xxsxx")
    equal((carried("xxsxx", 0, { propagate_least = 0.5 })), "xx---")
    equal((carried("sxxss", 3, { propagate_least = 1 })), "sxxss") -- of the first mask, which was small
  end)

  it("is said, and has every prompt by itself", function()
    sys.write_file(work .. "/two.json", '[{"points":[[60,60]],"labels":[1],"slice":6},{"box":[1,1,9,9],"slice":0}]')
    local args = { image = volume "xx..xxxx", prompts = work .. "/two.json", propagate = true, digest = true,
      out = work .. "/two", labels_out = work .. "/two.npy", overlay_out = work .. "/two.png", truth = nil }
    local status, text = run(args)
    equal(status, 0)
    equal(found(work .. "/two.npy", "22..1111"), "22--1111")
    equal({ npy.read(work .. "/two/embedding.npy").shape, npy.read(work .. "/two/prompt_1.iou.npy").shape },
      { { 8, 6, 4, 4 }, { 8, 1 } })
    args.digest, args.out = nil, nil
    local digest = text
    status, text = run(args)
    equal(status, 0)
    holds(text, "prompt 0: ", ", slices 4 to 7 from slice 6, cyan", ", slices 0 to 1 from slice 0, orange")
    holds(text, "IoU 0.0000 0.0000 0.0000 0.0000 0.5000 0.5000 0.5000 0.5000")
    args.digest = true
    equal(select(2, run(args)), digest)
  end)
end)

sys.remove_tree(work)
sys.keep(work)
