-- SPDX-License-Identifier: Apache-2.0
-- Another encoder is files that are added: tests/added/ is laid over a copy of the tree, and what it describes is
-- written by synth, inspected, planned, built and run, and equals the interpreter.

local spec = require "spec"
local describe, it, equal, holds = spec.describe, spec.it, spec.equal, spec.holds
local sys, json = spec.host "msagen.sys", spec.host "msagen.json"
if not sys then return end
local tiny = require "tiny_model"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-added-")
sys.cleanup(work)

local data, added = work .. "/data", msagen.datadir .. "/tests/added"
sys.mkdir_p(data)
for _, part in ipairs { "lua", "templates", "runtime", "boards" } do
  tiny.must { "cp", "-R", msagen.datadir .. "/" .. part, data }
end

-- Lay the added files over the copy. @return their names
local function lay(folder)
  local list = {}
  for _, name in ipairs(sys.list(added .. "/" .. folder)) do
    local path = folder .. "/" .. name
    if name:find(".", 1, true) then
      assert(not sys.exists(data .. "/" .. path), path .. " is in the tree already")
      sys.mkdir_p(data .. "/" .. folder)
      sys.write_file(data .. "/" .. path, sys.read_file(added .. "/" .. path))
      list[#list + 1] = path
    else table.move(lay(path), 1, 1000, #list + 1, list) end
  end
  return list
end
local files = lay "lua"
table.move(lay "templates", 1, 1000, #files + 1, files)

local function command(...)
  local list = { tiny.program(), ... }
  list.env = { MSAGEN_DATADIR = data }
  return tiny.must(list)
end

local checkpoint, image, prompts = work .. "/mixer.safetensors", work .. "/image.npy", work .. "/prompts.json"
command("synth", "--arch", "mixer_tiny", "--dialect", "mixer", "--resolution", "64", "--seed", "3", "-o", checkpoint)
local bytes = {}
for i = 0, 61 * 47 * 3 - 1 do bytes[#bytes + 1] = string.char((i * i + i // 7) % 251) end
require "msagen.npy".write(image, { dtype = "u8", shape = { 61, 47, 3 }, bytes = table.concat(bytes) })
sys.write_file(prompts, '[{"points":[[20,30],[5.5,60]],"labels":[1,0],"multimask":true},{"box":[3,4,40,50.5]}]')

local function interpreted(board)
  return command("interpret", checkpoint, "--board", board, "--image", image, "--prompts", prompts,
    "--digest"):match "digest (%x+)"
end

-- The folder of a build for a board, compiled, and the digest of a run, which begins with the self-test.
local function digest(board, name, ...)
  local dir = work .. "/" .. board .. name
  command("build", checkpoint, "--board", board, "-o", dir, ...)
  tiny.must { "make", "-C", dir, "CFLAGS=-O0 -Wall -Wextra -Werror" }
  return command("run", dir, "--image", image, "--prompts", prompts, "--digest"):match "digest (%x+)", dir
end

describe("an added encoder", function()
  it("is nothing but new files, of networks, graph, kernels, and a dialect that names it", function()
    local seen = {}
    for _, path in ipairs(files) do
      local place = path:match "^lua/(%l+)/" or path:match "^(templates)/kernels/"
      assert(place == "networks" or place == "graph" or place == "kernels" or place == "templates"
        or path == "lua/import/dialects/mixer.lua", path)
      seen[place] = true
    end
    equal(seen, { networks = true, graph = true, kernels = true, templates = true, import = true })
  end)

  it("is inspected, and its graph printed", function()
    holds(command("inspect", checkpoint), "dialect", "mixer", "2 blocks, width 40, window 4")
    holds(command("graph", checkpoint), "biased_attention", "depthwise")
    holds(command("plan", checkpoint, "--board", "cortex-a53"), "mixer, 64 x 64, cortex-a53")
  end)

  local boards = { "generic-c99" }
  local best = tiny.boards()
  boards[2] = best[#best].name
  for _, board in ipairs(tiny.emulated()) do
    if board.isa.flushes then boards[3] = boards[3] or board.name end
  end
  for i, board in ipairs(boards) do
    if i > 1 or require "tier".full then it("gives the interpreter's bits on " .. board, function()
      if not spec.compiles() then return end
      local expected = interpreted(board)
      assert(expected and #expected == 64)
      local found, dir = digest(board, "")
      equal(found, expected)
      local manifest = json.decode(sys.read_file(dir .. "/manifest.json"), "manifest.json")
      equal({ manifest.encoder.kind, manifest.encoder.window }, { "mixer", 4 })
      holds(sys.read_file(dir .. "/msa_known_answer.c"), "block_00_conv, whole", "block_00_attention, whole")
    end) end
  end

  it("gives them on several cores with weights that are fetched", function()
    if not spec.compiles() then return end
    local board = boards[2]
    equal(digest(board, "-both", "--cores", "3", "--weights", "stream"), interpreted(board))
  end)
end)
