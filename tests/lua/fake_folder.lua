-- SPDX-License-Identifier: Apache-2.0
--- The made-up model (tests/c/fake) as `msagen build` would leave it: its logits are the red of a patch less 0.5 and a
-- tenth for each mask.
local sys = require "msagen.sys"
local fake = {}

local function fake_weights()
  local crc32c = require "msagen.reference".crc32c
  local segment = string.pack("<ffffff", 1, 1, 1, 1, 1, 1):rep(11)
  segment = segment .. ("\0"):rep(832 - 192 - #segment)
  local row = string.pack("<I8I8I4I4", 192, #segment, crc32c(0, segment), 0)
  local hash = {}
  for i = 1, 32 do hash[i] = string.char(i) end
  local head = string.pack("<c8I4I4I8I4I4c16", "MSAGENW\0", 1, 128, 832, 1, crc32c(0, row),
    "f32-fma-1") .. table.concat(hash)
  return head .. ("\0"):rep(128 - #head) .. row .. ("\0"):rep(192 - 128 - #row) .. segment
end

local RUNNER = { "msa_run", "msa_run_alone", "msa_run_bench", "msa_run_clicks", "msa_run_map", "msa_run_model",
  "msa_run_npy", "msa_run_peak", "msa_run_profile", "msa_run_propagate", "msa_run_refine", "msa_run_weights" }
local makefile = ([[
C = msa_check msa_crc32c msa_image msa_image_line msa_resize msa_upsample msa_prompt msa_status msa_model layers \
	runner/RUNNER
OBJECTS = ${C:=.o}
runner/msa_run: ${OBJECTS}
	echo linked >> made
	gcc -o $@ ${OBJECTS}
${OBJECTS}: msa_model.h msa_internal.h Makefile
.c.o:
	gcc -std=c99 -O0 -I. -DMSA_MODEL_DEPTH=%d -c -o $@ $<
]]):gsub("RUNNER", table.concat(RUNNER, " runner/"))

--- Have the manifest say that the folder's files are what msagen wrote.
function fake.trust(path)
  local json, manifest, files = require("msagen.json"), path .. "/manifest.json", {}
  for _, name in ipairs(require("run.made").list(path)) do
    if name:match "%.[ch]$" or name == "Makefile" then
      files[name] = require("msagen.sha256").hex(sys.read_file(path .. "/" .. name))
    end
  end
  local m = json.decode(sys.read_file(manifest), manifest)
  m.files = files
  sys.write_file(manifest, json.encode(m))
end

--- Write such a folder for a depth. @param more fields of its manifest, or nil  @return its path
function fake.make(path, depth, more)
  sys.mkdir_p(path .. "/runner")
  local sources = { "msa.h", "msa_arith.h", "msa_runtime.h", "msa_check.c", "msa_crc32c.c", "msa_image.c",
    "msa_image_line.c", "msa_resize.c", "msa_upsample.c", "msa_prompt.c", "msa_status.c", "runner/msa_run.h",
    "runner/msa_run_clicks.h" }
  for _, file in ipairs(RUNNER) do sources[#sources + 1] = ("runner/%s.c"):format(file) end
  for _, source in ipairs(sources) do
    sys.write_file(path .. "/" .. source, sys.read_file(msagen.datadir .. "/runtime/" .. source))
  end
  for _, header in ipairs { "msa_model.h", "msa_internal.h", "layers.h" } do
    sys.write_file(path .. "/" .. header, sys.read_file(msagen.datadir .. "/tests/c/fake/" .. header))
  end
  sys.write_file(path .. "/msa_model.c", require("fake_model")(1, depth))
  local isa = require("target.boards").named("generic-c99").isa
  sys.write_file(path .. "/msa_simd.h", require("support.template").file(msagen.datadir .. "/templates", "simd.h",
    { isa = isa, made_by = "", flags = "" }))
  sys.write_file(path .. "/layers.c", '#include "layers.h"\n')
  sys.write_file(path .. "/Makefile", makefile:format(depth))
  sys.write_file(path .. "/msa_weights.bin", fake_weights())
  local manifest = { generator = "msagen",
    runner = "runner/msa_run", weights = "msa_weights.bin", input_size = 64,
    depth = depth, grid = 4, max_points = 16, feedback = "none", files = { ["layers.c"] = "", Makefile = "" },
      arena_bytes = 320000, weights_bytes = 832, macs_encode = 1, macs_decode = 2,
      banks = { { name = "head" }, { name = "carotid" } },
    texts = { "liver", "left kidney" },
      buffers = { { name = "all", first = "encode 0", last = "results", offset = 0, bytes = 320000 } },
      layers = { { name = "patches", kind = "patch_embed", phase = "encode", number = 0, macs = 1, bytes = 3 },
      { name = "lights", kind = "masks", phase = "decode", number = 0, macs = 2, bytes = 4 } } }
  for field, value in pairs(more or {}) do manifest[field] = value end
  sys.write_file(path .. "/manifest.json", require("msagen.json").encode(manifest))
  fake.trust(path)
  return path
end

return fake
