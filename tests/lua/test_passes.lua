-- SPDX-License-Identifier: Apache-2.0
-- Passes that need no numbers: fuse, prune. Memory has a file of its own.

local spec = require "spec"
local describe, it, equal, holds = spec.describe, spec.it, spec.equal, spec.holds
local graph, network, import, fake = require "graph", require "network", require "import", require "fake_checkpoint"
local fuse, prune = require "passes.fuse", require "passes.prune"

local function model_of(dialect, zero)
  local list = fake.model(dialect)
  for _, one in ipairs(list) do
    if zero and one[1]:match(zero) then one.zero = true end
  end
  return import.load(fake.open(list), { dialect = dialect, resolution = dialect == "msa-2024" and 224 or nil })
end

--- A graph of one layer with operations of these kinds.
local function one_layer(...)
  local g = graph.new()
  g:value("image", 16, 8)
  g:value("tokens", 5, 8)
  for _, kind in ipairs { ... } do
    local name, queries, keys = kind:match "^(%w+):(%w+):(%w+)$"
    g:op(name or kind, "layer", name and { queries, keys } or { "image" }, { "image" }, { from = queries, to = keys })
  end
  return g, { grid = 4 }
end

describe("fuse", function()
  it("covers every layer of every dialect", function()
    for _, dialect in ipairs { "sam", "msa-2023", "msa-2024", "msa-paper" } do
      local model = model_of(dialect)
      local g = fuse(network.build(model), model)
      local names, operations = {}, 0
      for i, L in ipairs(g.fused) do
        names[i] = L.kind
        operations = operations + #L
        assert(not names[L.name], L.name .. " twice")
        names[L.name] = true
      end
      equal(operations, #g.ops, "operations")
      equal({ names[1], names[2], names[3], names[#g.fused] }, { "patch_embed", "encoder_attention", "encoder_mlp", "masks" })
      assert(names.decoder_final_token_to_image)
    end
  end)

  it("refuses a layer that no pattern covers, naming it and its operations", function()
    for _, kinds in ipairs { { "gelu" }, { "layernorm", "linear" }, { "layernorm", "linear", "gelu", "linear", "add", "add", "add" }, { "patch_embed" }, { "no_such_operation" },
      { "attention:tokens:image" }, { "attention:image:image", "add", "layernorm" } } do
      local g, model = one_layer(table.unpack(kinds))
      local ok, problem = pcall(fuse, g, model)
      assert(not ok, table.concat(kinds, " ") .. " was fused")
      holds(problem, "layer", (kinds[1]:gsub(":.*", "")))
    end
  end)

  it("tells the attentions of the decoder by who attends to whom", function()
    for kinds, expected in pairs { ["attention:tokens:tokens add layernorm"] = "token_self_attention", ["attention:tokens:image add layernorm"] = "token_to_image",
      ["attention:image:tokens add layernorm"] = "image_to_token", ["attention:tokens:image prompt_adapter add layernorm"] = "token_to_image",
      ["attention:image:tokens add adapter add layernorm"] = "image_to_token" } do
      local list = {}
      for word in kinds:gmatch "%S+" do list[#list + 1] = word end
      local g, model = one_layer(table.unpack(list))
      equal(fuse(g, model).fused[1].kind, expected)
    end
  end)

  it("gives operations by kind and number", function()
    local g, model = one_layer("layernorm", "linear", "gelu", "linear", "add")
    local L = fuse(g, model).fused[1]
    equal(L.kind, "encoder_mlp")
    assert(L:op "linear" == g.ops[2] and L:op("linear", 2) == g.ops[4] and L:op("linear", 3) == nil and L:op "adapter" == nil)
  end)
end)

describe("prune", function()
  local function tables(zero)
    local model = model_of("msa-2024", zero)
    local g = prune(network.build(model), model)
    local left = 0
    for op in g:each "grid_attention" do
      if op.params.rel_pos_h or op.params.rel_pos_w then left = left + 1 end
    end
    return left, g.pruned
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
