-- SPDX-License-Identifier: Apache-2.0
-- Prompts: files of them, what is refused of them, and how they are packed for the test bench.

local spec = require "spec"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses
local sys, npy, tensor = spec.host "msagen.sys", spec.host "msagen.npy", spec.host "msagen.tensor"
if not (sys and npy and tensor) then return end

local prompts = require "run.prompts"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-prompts-")
sys.cleanup(work)

local function file(name, bytes)
  sys.write_file(work .. "/" .. name, bytes)
  return work .. "/" .. name
end

local flat, volume = { grid = 4, depth = 1, max_points = 3, texts = { "liver", "left kidney" } },
  { grid = 4, depth = 2, max_points = 3, texts = {} }

local function parsed(text, depth)
  return prompts.from_file(file("prompts.json", text), depth or 1)
end

local function checked(text, model)
  local list = parsed(text, (model or flat).depth)
  for _, prompt in ipairs(list) do prompts.check(prompt, 100, 50, (model or flat).depth, model or flat) end
  return list
end

describe("prompt files", function()
  it("hold points, boxes and masks", function()
    local list = checked [=[[{"points":[[1,2],[100,50.0]],"labels":[1,-1],"multimask":true},
      {"box":[0,0,7,8],"points":null}]]=]
    equal(#list, 2)
    equal({ list[1].points, list[1].labels, list[1].slices, list[1].multimask },
      { { { { 1, 2 }, { 100, 50.0 } } }, { { 1, -1 } }, 1, true })
    equal({ list[2].box, list[2].points }, { { { 0, 0, 7, 8 } } })
  end)

  it("may have an axis of slices", function()
    local list = checked('[{"points":[[[1,2]],[[3,4]]],"labels":[[1],[0]],"box":[1,2,3,4]},'
      .. '{"box":[[1,2,3,4],[5,6,7,8]]}]', volume)
    equal({ list[1].slices, prompts.slice(list[1], "points", 2), prompts.slice(list[1], "box", 2) },
      { 2, { { 3, 4 } }, { 1, 2, 3, 4 } })
    equal({ list[2].slices, prompts.slice(list[2], "box", 2) }, { 2, { 5, 6, 7, 8 } })
    equal(checked('[{"points":[[1,2]],"labels":[1]}]', volume)[1].slices, 1)
  end)

  it("are refused where they say something else", function()
    for _, case in ipairs {
      { "[", "not JSON" }, { "{}", "array", "object" }, { "[7]", "prompt 0", "object", "7" },
        { '[{},{"pionts":[[1,2]]}]', "prompt 1", "pionts" },
      { '[{"points":[[1,2]]}]', "labels" }, { '[{"labels":[1]}]', "points" },
        { '[{"points":[],"labels":[]}]', "[n,2]" },
      { '[{"points":[1,2],"labels":[1]}]', "[n,2]" }, { '[{"points":[[1,2,3]],"labels":[1]}]', "point 1", "3" },
      { '[{"points":[[1,"2"]],"labels":[1]}]', "point 1", "2" }, { '[{"points":[[1,2]],"labels":[1,1]}]', "labels" },
      { '[{"points":[[1,2]],"labels":[[1],[1]]}]', "1 slices", "2" }, { '[{"points":"x","labels":[1]}]', "x" },
      { '[{"box":[1,2,3]}]', "box", "x0" }, { '[{"box":[1,2,3,null]}]', "box", "null" }, { '[{"box":{}}]', "box" },
      { '[{"mask":true}]', "mask", "NPY" }, { '[{"text":7}]', "text", "7" },
        { '[{"text":"spleen"}]', "prompt 0: text", "liver, left kidney", "spleen" },
        { '[{"mask":"absent.npy"}]', "absent.npy" }, { '[{"multimask":1}]', "multimask", "1" },
      { '[{"points":[[101,2]],"labels":[1]}]', "101,2" }, { '[{"points":[[1,-0.5]],"labels":[1]}]', "1,-0.5" },
        { '[{"points":[[1,2]],"labels":[2]}]', "label", "2" },
      { '[{"points":[[1,1],[1,1],[1,1],[1,1]],"labels":[1,1,1,1]}]', "3 points", "4" },
        { '[{"box":[5,5,4,6]}]', "swapped" }, { '[{"box":[5,5,101,6]}]', "101" },
    } do
      refuses(function() checked(case[1]) end, table.unpack(case, 2))
    end
  end)

  it("name masks that must fit the model", function()
    local good = tensor.from({ table.unpack(setmetatable({}, { __index = function(_, i) return i end }), 1, 256) },
      { 1, 1, 16, 16 })
    npy.write(work .. "/mask.npy", good)
    local list = checked(('[{"mask":"%s/mask.npy"}]'):format(work))
    equal({ list[1].mask.tensor:get(255), list[1].mask.slices }, { 256.0, 1 })
    equal(#prompts.pack(list[1], 0, 1), 16 + 4 * 256)
    equal(checked(('[{"mask":"%s/mask.npy","box":[[1,2,3,4],[1,2,3,4]]}]'):format(work), volume)[1].slices, 2)
    npy.write(work .. "/mask.npy", good:reshape { 1, 8, 32 })
    refuses(function() checked(('[{"mask":"%s/mask.npy"}]'):format(work)) end, "[16,16]", "[1,8,32]")
    npy.write(work .. "/mask.npy", tensor.from({ 1 / 0 }, { 1 }):reshape { 1, 1 })
    refuses(function() checked(('[{"mask":"%s/mask.npy"}]'):format(work)) end, "[16,16]")
    refuses(function()
      checked(('[{"mask":"%s"}]'):format(file("mask.png", "\x89PNG")))
    end, "prompt 0: mask", "mask.png", "NPY file of float32 logits [16,16]")
  end)

  it("are packed for the runner in the order that msa_run.c tells", function()
    local list = checked('[{"points":[[1,2],[3,4],[5,6]],"labels":[1,0,-1],"box":[[1,2,3,4],[5,6,7,8]],'
      .. '"multimask":true}]', volume)
    equal(prompts.pack(list[1], 0, 2), string.pack("<I4I4I4I4", 1 | 4, 2, 3, 0)
      .. string.pack("<ffffff", 1, 2, 3, 4, 5, 6):rep(2) .. "\1\0\255\1\0\255\0\0"
      .. string.pack("<ffffffff", 1, 2, 3, 4, 5, 6, 7, 8))
  end)

  it("may be a phrase, alone or beside others", function()
    local list = checked '[{"text":"left kidney"},{"text":"liver","points":[[1,2]],"labels":[1]}]'
    equal(prompts.pack(list[1], 0, 1), string.pack("<I4I4I4I4", 8, 1, 0, 1))
    equal(prompts.pack(list[2], 0, 1), string.pack("<I4I4I4I4ff", 8, 1, 1, 0, 1, 2) .. "\1\0\0\0")
    refuses(function() checked('[{"text":"liver"}]', volume) end, "--text-prompts", "without")
  end)

  it("are cut for the subvolumes of a volume", function()
    local numbers = {}
    for i = 1, 3 * 256 do numbers[i] = i end
    npy.write(work .. "/mask.npy", tensor.from(numbers, { 3, 16, 16 }))
    local list = parsed(('[{"points":[[[1,2]],[[3,4]],[[5,6]]],"labels":[[1],[0],[1]],"mask":"%s/mask.npy"},'
      .. '{"box":[1,2,3,4]}]'):format(work), 3)
    for _, prompt in ipairs(list) do prompts.check(prompt, 100, 50, 3, volume) end
    local packed = prompts.pack(list[1], 1, 2)
    equal(packed:sub(1, 36), string.pack("<I4I4I4I4ffff", 2, 2, 1, 0, 3, 4, 5, 6) .. "\0\1\0\0")
    equal({ #packed, (string.unpack("<f", packed, 37)), (string.unpack("<f", packed, #packed - 3)) },
      { 36 + 4 * 512, 257.0, 768.0 })
    equal(prompts.pack(list[2], 1, 2), string.pack("<I4I4I4I4ffff", 1, 1, 0, 0, 1, 2, 3, 4))
    refuses(function() parsed('[{"box":[[1,2,3,4],[1,2,3,4]]}]', 3) end, "3 slices", "2")
  end)
end)

sys.remove_tree(work)
sys.keep(work)
