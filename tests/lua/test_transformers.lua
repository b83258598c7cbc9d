-- SPDX-License-Identifier: Apache-2.0
-- Files of the transformers library: SAM under other names, config.json beside them, and several files for one
-- checkpoint.

local spec = require "spec"
local describe, it, equal, refuses, holds = spec.describe, spec.it, spec.equal, spec.refuses, spec.holds
local checkpoint = spec.host "msagen.checkpoint"
if not checkpoint then return end
local json, sys = require "msagen.json", require "msagen.sys"
local import, shards = require "import.import", require "import.shards"

local case = arg[0]:match("^(.*)/[^/]*$") .. "/../golden/hf-sam-2d"
local sam = arg[0]:match("^(.*)/[^/]*$") .. "/../golden/sam-2d/checkpoint.pth"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-transformers-")
sys.cleanup(work)
local whole = sys.read_file(case .. "/model.safetensors")
local config = json.decode(sys.read_file(case .. "/config.json"), "config.json")

-- A folder with the golden file and a config.json of its own, or none. @return the file's path
local function beside(name, text)
  local folder = work .. "/" .. name
  sys.mkdir_p(folder)
  sys.write_file(folder .. "/model.safetensors", whole)
  if text then sys.write_file(folder .. "/config.json", text) end
  return folder .. "/model.safetensors"
end

-- config.json with another value. @param value nil: the field is not there
local function changed(section, field, value)
  local copy = json.decode(json.encode(config), "copy")
  copy[section][field] = value
  return json.encode(copy)
end

local function account(path, options) return (import.account(checkpoint.open(path), options)) end

describe("a file of transformers", function()
  it("is recognised, and each of its tensors is used", function()
    local open = account(case .. "/model.safetensors")
    equal({ open.candidates, open.choices[1].option }, { { "hf-sam", "hf-medsam" }, "--dialect" })
    local m = account(case .. "/model.safetensors", { dialect = "hf-sam" })
    equal({ m.dialect, m.image_size, m.encoder.heads, m.encoder.window, m.decoder.heads },
      { "hf-sam", 192, 3, 5, config.mask_decoder_config.num_attention_heads })
    equal(m.encoder.global_list, config.vision_config.global_attn_indexes)
    for _, fate in ipairs(m.fates) do equal(fate.fate, "used", fate.name) end
    equal(#m.choices, 0)
  end)

  it("is no file of SAM's, and its names mean other tensors than SAM's", function()
    refuses(function() account(case .. "/model.safetensors", { dialect = "sam" }) end, "--dialect sam",
      "expected SAM's names, found transformers' names", "hf-sam")
    refuses(function() account(sam, { dialect = "hf-sam" }) end, "--dialect hf-sam", "transformers' names")
    refuses(function() account(case .. "/model.safetensors", { base = checkpoint.open(sam) }) end, "--base",
      "hf-sam are whole")
  end)

  it("has the epsilons of its program, or of config.json, in the decoder's layers", function()
    local function epsilons(m)
      local layer, block = m.parameters.decoder.layers[1], m.parameters.encoder.blocks[1]
      return { layer.norm1.eps, layer.norm4.eps, m.parameters.decoder.norm_final.eps, block.norm1.eps,
        m.parameters.encoder.neck.norm_1.eps }
    end
    equal(epsilons(account(beside("alone"))), { 1e-6, 1e-6, 1e-5, 1e-6, 1e-6 })
    equal(epsilons(account(beside("own", changed("mask_decoder_config", "layer_norm_eps", 1e-3)))),
      { 1e-3, 1e-3, 1e-5, 1e-6, 1e-6 })
    equal(epsilons(account(beside("other", changed("vision_config", "layer_norm_eps", 1e-4)))),
      { 1e-6, 1e-6, 1e-5, 1e-4, 1e-6 })
  end)

  it("gets from config.json what no tensor tells, unless an option says it", function()
    local path = beside("heads", changed("mask_decoder_config", "num_attention_heads", 4))
    equal(account(path).decoder.heads, 4)
    equal(account(path, { decoder_heads = 2 }).decoder.heads, 2)
    equal(account(beside("none")).decoder.heads, 8)
  end)

  for _, wrong in ipairs {
    { "window_size", 7, "vision_config.window_size: expected 5, as the tensors of ", "found 7" },
    { "num_attention_heads", 4, "vision_config.num_attention_heads: expected 3", "found 4" },
    { "num_attention_heads", -1, "expected a whole number from 1", "found -1" },
    { "num_attention_heads", "3", "found the text 3" },
    { "layer_norm_eps", 2, "expected a number between 0 and 1, found 2" },
    { "global_attn_indexes", 3, "expected a list of block numbers, found 3" },
    { "global_attn_indexes", { 1, 44 }, "--global-blocks: expected blocks 0 to 3, found 44" },
  } do
    it(("refuses a config.json whose %s is %s"):format(wrong[1], json.encode(wrong[2])), function()
      local path = beside("wrong", changed("vision_config", wrong[1], wrong[2]))
      refuses(function() account(path) end, table.unpack(wrong, 3))
    end)
  end

  it("refuses a config.json that is none", function()
    refuses(function() account(beside("text", "heads = 3")) end, "config.json", "not JSON")
    refuses(function() account(beside("list", "[1, 2]")) end, "config.json")
    refuses(function() account(beside("section", '{"vision_config": 3}')) end, "vision_config: expected an object",
      "found 3")
  end)
end)

-- The golden file's tensors in three files, and their index. @param change function(map, files) before they are written
local function sharded(name, change)
  local folder = work .. "/" .. name
  sys.mkdir_p(folder)
  local length = string.unpack("<I8", whole)
  local header = json.decode(whole:sub(9, 8 + length), "header")
  local map, files, names = {}, { {}, {}, {} }, {}
  for tensor in pairs(header) do names[#names + 1] = tensor ~= "__metadata__" and tensor or nil end
  table.sort(names)
  for i, tensor in ipairs(names) do
    map[tensor] = ("model-%05d-of-00003.safetensors"):format(i % 3 + 1)
    table.insert(files[i % 3 + 1], tensor)
  end
  if change then change(map, files) end
  for i, list in ipairs(files) do
    local own, data, at = {}, {}, 0
    for _, tensor in ipairs(list) do
      local one = header[tensor]
      local first, last = table.unpack(one.data_offsets)
      own[tensor] = { dtype = one.dtype, shape = one.shape, data_offsets = { at, at + last - first } }
      data[#data + 1], at = whole:sub(9 + length + first, 8 + length + last), at + last - first
    end
    local text = json.encode(own)
    sys.write_file(("%s/model-%05d-of-00003.safetensors"):format(folder, i),
      string.pack("<I8", #text) .. text .. table.concat(data))
  end
  sys.write_file(folder .. "/model.safetensors.index.json", json.encode { metadata = {}, weight_map = map })
  sys.write_file(folder .. "/config.json", json.encode(config))
  return folder .. "/model.safetensors.index.json"
end

describe("several files with an index", function()
  it("are one checkpoint", function()
    local path = sharded "three"
    local one, other = shards.open(path), checkpoint.open(case .. "/model.safetensors")
    equal(one.container, "state dict in 3 files")
    equal(#one:names(), #other:names())
    for _, name in ipairs(other:names()) do assert(one:tensor(name):equal(other:tensor(name)), name) end
    equal({ one:has "shared_image_embedding.positional_embedding", one:has "nothing" }, { true, false })
    equal(import.load(one, { dialect = "hf-sam" }).dialect, "hf-sam")
    local hash = one:sha256()
    equal(hash, shards.open(path):sha256())
    one:confirm()
    one:close()
    assert(hash ~= other:sha256() and #hash == 64)
    assert(hash ~= shards.open(sharded("moved", function(map, files)
      local tensor = table.remove(files[1])
      table.insert(files[2], tensor)
      map[tensor] = "model-00002-of-00003.safetensors"
    end)):sha256(), "another index, the same hash")
  end)

  it("are refused where they are not what the index says", function()
    local gone = "mask_decoder.iou_token.weight"
    refuses(function() shards.open(sharded("gone", function(_, files)
      for _, list in ipairs(files) do
        for i, name in ipairs(list) do
          if name == gone then table.remove(list, i) end
        end
      end
    end)) end, "index.json: weight_map: " .. gone, "found no such tensor there")
    refuses(function() shards.open(sharded("more", function(map) map[gone] = nil end)) end, gone,
      "expected in weight_map of")
    local path = sharded "absent"
    os.remove((path:gsub("model.safetensors.index.json", "model-00002-of-00003.safetensors")))
    refuses(function() shards.open(path) end, "model-00002-of-00003.safetensors")
  end)

  it("are files beside the index, and no others", function()
    for _, name in ipairs { "../model.safetensors", "/etc/passwd", "a/b", "", ".hidden" } do
      refuses(function() shards.open(sharded("outside", function(map) map["mask_decoder.iou_token.weight"] = name end))
      end, "weight_map: mask_decoder.iou_token.weight: expected the name of a file beside the index")
    end
    for i, text in ipairs { "{}", '{"weight_map": {}}', '{"weight_map": 3}', "[]", '{"weight_map": {"a": 3}}', "no" } do
      local path = ("%s/wrong_%d.index.json"):format(work, i)
      sys.write_file(path, text)
      refuses(function() shards.open(path) end, path)
    end
    refuses(function() shards.open(work .. "/nowhere.index.json") end, "nowhere.index.json", "No such file")
  end)

  it("are asked for where one of them is given", function()
    local path = sharded "single"
    local problem = select(2, pcall(account,
      (path:gsub("model.safetensors.index.json", "model-00001-of-00003.safetensors"))))
    holds(problem.msagen, "this looks like file 1 of 3: their index")
    assert(not problem.msagen:find "%-%-base")
  end)
end)
