-- SPDX-License-Identifier: Apache-2.0
-- The manifest's parts: which bytes of the blob hold which tensors, for every kind of build.
-- tests/run_oracle.lua checks more builds.

local spec = require "spec"
local describe, it, equal = spec.describe, spec.it, spec.equal
local sys, json = spec.host "msagen.sys", spec.host "msagen.json"
if not (sys and json) then return end
local parts, tiny = require "parts", require "tiny_model"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-parts-")
sys.cleanup(work)
local golden, demo = msagen.datadir .. "/tests/golden/", msagen.datadir .. "/demo/"

local function built(device)
  device.board = "generic-c99"
  tiny.build(device, work .. "/fw")
  return parts.check(work .. "/fw")
end

-- The parts of a manifest that `wanted` says true of, as texts.
local function tensors_of(manifest, wanted)
  local list = {}
  for _, part in ipairs(manifest.parts) do
    if wanted(part) then list[#list + 1] = ("%s: %s"):format(part.role, table.concat(part.tensors, " ")) end
  end
  return list
end

describe("parts", function()
  it("cover the blob, name every tensor of use and no other, and have the CRC of their bytes", function()
    for _, name in ipairs { "plain", "adapted", "late" } do built(tiny.device(work, name)) end
  end)

  it("of streamed weights are in the order in which they are fetched", function()
    local broad, device = tiny.device(work, "broad"), tiny.device(work, "adapted")
    broad.weights, device.weights = "stream", "stream"
    local manifest = built(broad)
    local copies = tensors_of(manifest, function(part)
      return part["function"] == "decoder_prepare" and part.role == "no_mask_embed"
    end)
    equal(copies, { "no_mask_embed: prompt_encoder.no_mask_embed.weight" })
    device.stream_buffer = 40000
    manifest = built(device)
    local inputs = tensors_of(manifest, function(part)
      return part.segment == "block_00_mlp" and part.role:find "^mlp_lin2_%d"
    end)
    assert(#inputs > 1 and inputs[1]:find("image_encoder.blocks.0.mlp.lin2.weight", 1, true), "the MLP is in one piece")
  end)

  it("of a volume have the depth branch's, with the tables that it resamples", function()
    local checkpoint = golden .. "msa-2023-3d/checkpoint.pth"
    local manifest = built { checkpoint = checkpoint, dialect = "msa-2023", depth = 6, resolution = 112 }
    local list = tensors_of(manifest, function(part)
      return part.segment == "block_00_attention" and part.role == "attn_depth_rel_pos_h"
    end)
    equal(list, { "attn_depth_rel_pos_h: image_encoder.blocks.0.attn.rel_pos_h" })
  end)

  it("of a folded weight name its LoRA pair: q's and v's rows, not k's", function()
    local checkpoint = golden .. "msa-2025-2d-lora/checkpoint.pth"
    local manifest = built { checkpoint = checkpoint, dialect = "msa-2025", resolution = 224 }
    local at = "image_encoder.blocks.0.attn.qkv."
    local list = tensors_of(manifest, function(part)
      return part.segment == "block_00_attention" and part.role:find "^attn_[qkv]_0$"
    end)
    local pair = ("%sweight %slora_A %slora_B"):format(at, at, at)
    equal(list, { "attn_q_0: " .. pair, ("attn_k_0: %sweight"):format(at), "attn_v_0: " .. pair })
  end)

  it("of banks are one's own or all banks'", function()
    local head, delta = demo .. "fetal-head/checkpoint.safetensors", demo .. "carotid/delta.safetensors"
    local banks = { { name = "head", checkpoint = head }, { name = "carotid", checkpoint = delta } }
    local manifest = built { banks = banks, base = head, dialect = "msa-paper" }
    local count = {}
    for _, part in ipairs(manifest.parts) do count[part.bank or "all"] = (count[part.bank or "all"] or 0) + 1 end
    assert(count.all > 0 and count.head > 0 and count.head == count.carotid, "parts of banks")
  end)

  it("of text prompts name the tensors of their file apart", function()
    local device = tiny.device(work, "plain")
    local width, bytes = tiny.shapes.plain.shape.out, {}
    for i = 1, width do bytes[i] = string.pack("<f", i / 8) end
    local header = json.encode { __metadata__ = { names = "liver" },
      phrases = { dtype = "F32", shape = json.array { 1, width }, data_offsets = json.array { 0, 4 * width } } }
    device.text_prompts = work .. "/texts.safetensors"
    sys.write_file(device.text_prompts, string.pack("<I8", #header) .. header .. table.concat(bytes))
    local manifest = built(device)
    local last = manifest.parts[#manifest.parts]
    equal({ last.role, last.text_prompts[1], #last.text_prompts }, { "prompt", "phrases", 1 })
  end)
end)
