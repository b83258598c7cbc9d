-- SPDX-License-Identifier: Apache-2.0
-- Passes that need no numbers: prune. Lowering and memory have files of their own.

local spec = require "spec"
local describe, it, equal, holds = spec.describe, spec.it, spec.equal, spec.holds
local import, fake = require "import.import", require "fake_checkpoint"
local prune = require "graph.passes.prune"

local function model_of(dialect, zero)
  local list = fake.model(dialect)
  for _, one in ipairs(list) do
    if zero and one[1]:match(zero) then one.zero = true end
  end
  return import.load(fake.open(list), { dialect = dialect, resolution = dialect == "msa-2024" and 224 or nil })
end

describe("prune", function()
  local function tables(zero)
    local model = model_of("msa-2024", zero)
    local program = prune({ models = { model } }, model)
    local left = model.encoder.blocks
    for i = 0, model.encoder.blocks - 1 do
      local name = ("image_encoder.blocks.%d.attn.rel_pos_"):format(i)
      if program.without[name .. "h"] and program.without[name .. "w"] then left = left - 1 end
    end
    return left, program.pruned
  end

  it("drops relative positions that are all zero, and says so", function()
    local left, pruned = tables "%.rel_[hw]$"
    equal(left, 0)
    local dropped = {}
    for _, p in ipairs(pruned) do
      if p.what:find("relative positions", 1, true) then
        dropped[#dropped + 1] = p
        assert(p.macs > 0)
        holds(p.tensors[1], "rel_h")
        holds(p.tensors[2], "rel_w")
      end
    end
    equal(#dropped, 4)
  end)

  it("accounts for depth adapters of a build of one slice", function()
    local _, pruned = tables(nil)
    local names = {}
    for _, p in ipairs(pruned) do
      for _, name in ipairs(p.tensors) do names[#names + 1] = name end
    end
    equal(#names, 4 * 4, "tensors")
    for _, name in ipairs(names) do holds(name, "Depth_Adapter") end
  end)

  it("keeps those that are not", function()
    local left, pruned = tables(nil)
    equal(left, 4)
    for _, p in ipairs(pruned) do assert(not p.what:find("relative positions", 1, true), p.what) end
    equal((tables "%.rel_h$"), 4) -- one axis of the two still counts
    equal((tables "blocks%.1%.attn%.rel_[hw]$"), 3)
  end)
end)
