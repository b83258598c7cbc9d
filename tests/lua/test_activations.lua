-- SPDX-License-Identifier: Apache-2.0
-- A new activation is one entry of lua/graph/activations.lua and nothing else: models that use one are compiled for
-- every kind of board, and give what the interpreter of the graph gives, bit for bit.

local spec = require "spec"
local describe, it, equal, holds = spec.describe, spec.it, spec.equal, spec.holds
local sys = spec.host "msagen.sys"
if not sys then return end
local tier = require "tier"
local tiny = require "tiny_model"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-activations-")
sys.cleanup(work)

local ENTRIES = {
  relu6 = { "min(max(x, 0), 6)", "expressions.min(max(x, 0), 6)" },
  hard_swish = { "x min(max(x + 3, 0), 6) / 6", "x * expressions.min(max(x + 3, 0), 6) * (1 / 6)" },
  silu = { "x / (1 + exp(-x))", "x * expressions.select(x, 0, exp(-abs(x)), 1) / (1 + exp(-abs(x)))" },
}
local ENTRY = 'activations.%s = { formula = "%s",\n  value = function(x) return %s end }\n\n'

-- A dialect whose adapters have it: the tree's own ones have ReLU and GELU.
local DIALECT = [[
-- SPDX-License-Identifier: Apache-2.0
local dialect = {}
for key, value in pairs(require "import.dialects.msa-2025") do dialect[key] = value end
dialect.name, dialect.source, dialect.order = "with-%s", "a test", 9
dialect.adapter_activation = "%s"
return dialect
]]

local data = work .. "/data"
sys.mkdir_p(data .. "/lua")
for _, part in ipairs { "lua", "templates", "runtime", "boards" } do
  tiny.must { "cp", "-R", msagen.datadir .. "/" .. part, data }
end
do
  local path = data .. "/lua/graph/activations.lua"
  local before, after = sys.read_file(path):match "^(.-)(%-%- More vectors than these.*)$"
  assert(before, "lua/graph/activations.lua has no place for another entry")
  local more = {}
  for name, entry in pairs(ENTRIES) do
    more[#more + 1] = ENTRY:format(name, entry[1], entry[2])
    sys.write_file(("%s/lua/import/dialects/with-%s.lua"):format(data, name), DIALECT:format(name:gsub("_", "-"), name))
    if name:find "_" then
      sys.rename(("%s/lua/import/dialects/with-%s.lua"):format(data, name),
        ("%s/lua/import/dialects/with-%s.lua"):format(data, name:gsub("_", "-")))
    end
  end
  sys.write_file(path, before .. table.concat(more) .. after)
end

local image = work .. "/image.npy"
do
  local bytes = {}
  for i = 0, 61 * 47 * 3 - 1 do bytes[#bytes + 1] = string.char((i * i + i // 7) % 251) end
  require "msagen.npy".write(image, { dtype = "u8", shape = { 61, 47, 3 }, bytes = table.concat(bytes) })
end

local function command(...)
  local list = { tiny.program(), ... }
  list.env = { MSAGEN_DATADIR = data }
  return tiny.must(list)
end
local function digest(...)
  return assert(command(...):match "digest (%x+)", "no digest")
end

-- The best board of this CPU, vectors that flush subnormals, and in the full tier plain C of each class.
local chosen, of_one_class = {}, {}
do
  local natives = tiny.boards()
  for _, board in ipairs(natives) do
    if board == natives[#natives] or tier.full and board.isa.width == 1 then chosen[#chosen + 1] = board end
  end
  for _, board in ipairs(tiny.emulated()) do
    if board.isa.flushes and board.hosted then chosen[#chosen + 1] = board end
  end
  for _, board in ipairs(chosen) do
    if board.arithmetic == "f32-fma-1" then of_one_class[#of_one_class + 1] = board end
  end
end

describe("an entry of lua/graph/activations.lua is all that an activation takes:", function()
  local device = tiny.device(work, "late")
  local plain = {}
  for name in pairs(ENTRIES) do
    -- Below the full tier the one with a division and an exponential stands for all on all of these, and one in two of
    -- the others is built for one; in the quick one it stands for all on the best alone.
    local some = tier.full and of_one_class or { tier.chosen(of_one_class, name) }
    if not tier.full and name ~= tier.chosen({ "hard_swish", "relu6" }, "activations") then some = {} end
    if tier.quick then some = {} end
    for _, board in ipairs(name == "silu" and (tier.quick and { of_one_class[1] } or chosen) or some) do
      it(("%s on %s"):format(name, board.name), function()
        local options = { device.checkpoint, "--dialect", "with-" .. name:gsub("_", "-"), "--board", board.name,
          "--decoder-heads", tostring(device.decoder_heads), "--global-blocks", "1", "--resolution",
          tostring(device.resolution), "--classes", tostring(device.classes) }
        local dir = ("%s/%s_%s"):format(work, name, board.name)
        command("build", "-o", dir, table.unpack(options))
        holds(sys.read_file(dir .. "/msa_simd.h"), ("/* %s(x) = %s */"):format(name, ENTRIES[name][1]))
        holds(sys.read_file(dir .. "/msa_kernels.c"), ("msa_v%s("):format(name))
        tiny.must { "make", "-C", dir, "CFLAGS=-O0 -Wall -Wextra -Werror" }
        local prompt = { "--image", image, "--point", "20,30", "--digest" }
        local found = digest("run", dir, table.unpack(prompt))
        local expected = digest("interpret", table.unpack(table.move(prompt, 1, #prompt, #options + 1, options)))
        equal(found, expected)
        plain[board.arithmetic] = plain[board.arithmetic] or {}
        plain[board.arithmetic][name] = found
      end)
    end
  end

  it("each of which gives something else", function()
    for class, found in pairs(plain) do
      local seen = {}
      for name, hash in pairs(found) do
        assert(not seen[hash], ("%s: %s gives what %s gives"):format(class, name, seen[hash] or ""))
        seen[hash] = name
      end
    end
    assert(next(plain))
  end)

  it("but a name that something else has is refused", function()
    local path = data .. "/lua/graph/activations.lua"
    local text = sys.read_file(path)
    for _, wrong in ipairs { { "relu6", "exp", "exp: expected a name that nothing else has" },
      { "relu6", "Relu", "Relu: expected lower-case letters" } } do
      sys.write_file(path, (text:gsub("activations%." .. wrong[1], "activations." .. wrong[2])))
      local ok, problem = pcall(command, "boards")
      local said = ok and select(2, pcall(command, "plan", device.checkpoint, "--board", "generic-c99")) or problem
      holds(said, wrong[3])
    end
    sys.write_file(path, text)
  end)
end)
