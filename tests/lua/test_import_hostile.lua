-- SPDX-License-Identifier: Apache-2.0
-- Import of damaged files: whatever names, shapes and dtypes say, the answer is a model or one line, never an internal
-- error.

local spec = require "spec"
local fake = require "fake_checkpoint"
local import = require "import.import"
local describe, it = spec.describe, spec.it

local state = 12345
local function random(n)
  state = (state * 1103515245 + 12345) & 0x7fffffff
  return (state >> 8) % n + 1
end

local sizes = { 0, 1, 2, 3, 5, 7, 24, 63, 64, 127, 1 << 20, math.maxinteger, -1 }
local dtypes = { "i64", "u8", "bool", "f16", "f64" }
local parts = { "lora_A", "image_encoder", "blocks.7", "rel_h", "mlp.fc", "module.", "D_fc1", "\0", "\xff\xfe",
  "weight", "0", "" }

local changes = {
  function(list, i) list[i][2][random(4)] = sizes[random(#sizes)] end,
  function(list, i) list[i][2] = {} end,
  function(list, i) table.insert(list[i][2], random(#list[i][2] + 1), sizes[random(#sizes)]) end,
  function(list, i) table.remove(list[i][2]) end,
  function(list, i) list[i][3] = dtypes[random(#dtypes)] end,
  function(list, i) table.remove(list, i) end,
  function(list, i) list[i][1] = list[i][1]:gsub("%a+", parts[random(#parts)], 1) end,
  function(list, i)
    local at = random(#list[i][1])
    list[i][1] = list[i][1]:sub(1, at) .. parts[random(#parts)] .. list[i][1]:sub(at + random(3))
  end,
  function(list, i) list[#list + 1] = { list[i][1] .. "." .. parts[random(#parts)], { sizes[random(#sizes)] } } end,
  function(list, i) list[i], list[1] = list[1], list[i] end,
  function(list) fake.prefixed(list, "module.") end,
}

local function options()
  local names = { "sam", "msa-2023", "msa-2024", "msa-2025", "msa-paper" }
  local chosen = {}
  if random(6) == 1 then chosen.dialect = names[random(#names)] end
  if random(8) == 1 then chosen.resolution = sizes[random(#sizes)] * 16 end
  if random(8) == 1 then chosen.classes = sizes[random(#sizes)] end
  if random(8) == 1 then chosen.depth = sizes[random(6)] end
  if random(8) == 1 then chosen.global_blocks = { sizes[random(#sizes)], 1 } end
  return chosen
end

-- Holes in a shape stand for a reader's mistake, not for a file: close them.
local function whole(list)
  for _, one in ipairs(list) do
    local shape = {}
    for d = 1, 8 do
      if one[2][d] then shape[#shape + 1] = one[2][d] end
    end
    one[2] = shape
  end
  return list
end

local function unique(list)
  local seen, kept = {}, {}
  for _, one in ipairs(list) do
    if not seen[one[1]] then
      seen[one[1]] = true
      kept[#kept + 1] = one
    end
  end
  return kept
end

describe("a damaged file", function()
  it("is imported or refused in one line", function()
    local refused, taken = 0, 0
    for _, dialect in ipairs { "sam", "msa-2023", "msa-2024", "msa-paper" } do
      for round = 1, 150 do
        local list = fake.model(dialect, { blocks = 2, global = { 1 }, lora = dialect == "msa-2024" and round % 3 == 0
          and 2 or nil,
          encoder_adapters = dialect ~= "sam" and not (dialect == "msa-2024" and round % 3 == 0) })
        for _ = 1, random(3) do changes[random(#changes)](list, random(#list)) end
        local ckpt = fake.open(unique(whole(list)))
        local chosen = options()
        if round % 4 == 0 then
          local base = fake.model(random(2) == 1 and "sam" or dialect, { blocks = 2, global = { 1 } })
          if random(2) == 1 then changes[random(#changes)](base, random(#base)) end
          chosen.base = fake.open(unique(whole(base)), "base.pth")
        end
        local ok, problem = pcall(import.account, ckpt, chosen)
        if ok then
          taken = taken + 1
        elseif type(problem) == "table" and problem.msagen and not problem.msagen:find "[%c\127]"
          and #problem.msagen < 2000 then
          refused = refused + 1
        else
          error(("%s, round %d: %s"):format(dialect, round, type(problem) == "table" and problem.msagen or problem))
        end
      end
    end
    assert(refused > 300 and taken > 10, ("%d refused, %d taken"):format(refused, taken))
  end)
end)
