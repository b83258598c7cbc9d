-- SPDX-License-Identifier: Apache-2.0
-- The graph and the network built of it: shapes, order, layers, and that every tensor of a checkpoint is asked for.

local spec = require "spec"
local describe, it, equal, holds = spec.describe, spec.it, spec.equal, spec.holds
local graph, network, import, fake = require "graph", require "network", require "import", require "fake_checkpoint"

local function model_of(dialect, changes, options)
  options = options or {}
  options.dialect = dialect
  if dialect ~= "sam" and dialect ~= "msa-2023" and dialect ~= "msa-paper" then options.resolution = options.resolution or 224 end
  return import.load(fake.open(fake.model(dialect == "msa-2025" and "msa-2024" or dialect, changes)), options)
end

describe("graph", function()
  it("holds values of fixed shape and operations on them", function()
    local g = graph.new()
    g:value("a", 2, 3)
    g:value("b", 2, 3)
    g:op("gelu", "first", { "a" }, { "b" }, { scale = 0.5 })
    equal(g.values.a, { name = "a", rows = 2, width = 3 })
    equal(g:dump(), "first: gelu(a[2,3]) -> b[2,3]  scale=0.5\n")
  end)

  it("refuses a name twice, and operations on what is not there", function()
    local g = graph.new()
    g:value("a", 1, 1)
    assert(not pcall(g.value, g, "a", 1, 1))
    assert(not pcall(g.op, g, "add", "x", { "a", "b" }, { "a" }))
    assert(not pcall(g.op, g, "add", "x", { "a" }, { "b" }))
  end)

  it("groups operations by layer, in order", function()
    local g = graph.new()
    g:value("a", 1, 1)
    for _, layer in ipairs { "one", "one", "two", "one" } do g:op("relu", layer, { "a" }, { "a" }) end
    local names = {}
    for i, L in ipairs(g:layers()) do names[i] = L.name .. #L end
    equal(names, { "one2", "two1", "one1" })
    local count = 0
    for op in g:each "relu" do
      count = count + 1
      op.seen = true
    end
    equal(count, 4)
  end)
end)

describe("network", function()
  for _, dialect in ipairs { "sam", "msa-2023", "msa-2024", "msa-2025", "msa-paper" } do
    it("runs in order and uses every tensor that import calls used: " .. dialect, function()
      local model = model_of(dialect)
      local g = network.build(model)
      local made = { image = true, mask_prompt = true, position = true, tokens = true }
      local used = {}
      for _, op in ipairs(g.ops) do
        for _, name in ipairs(op.inputs) do assert(made[name], op.layer .. " reads " .. name .. " before it is made") end
        for _, name in ipairs(op.outputs) do made[name] = true end
        for _, t in pairs(op.params) do used[t.name] = true end
      end
      for _, name in ipairs(g.value_order) do assert(made[name], name .. " is never made") end
      for _, fate in ipairs(model.fates) do
        -- Rows that tokens are made of are no operation's: they go to the prompt's table.
        local table_row = fate.name:match "point_embeddings" or fate.name:match "not_a_point" or fate.name:match "gaussian" or fate.name:match "iou_token" or fate.name:match "mask_tokens"
        if (fate.fate == "used" or fate.fate == "resampled") and not table_row then assert(used[fate.name], fate.name .. " is said to be used") end
        if fate.fate == "dead" then assert(not used[fate.name], fate.name .. " is said to be dead") end
      end
    end)
  end

  it("has the dialects' differences, and no others", function()
    local function count(dialect, kind)
      local n = 0
      for _ in network.build(model_of(dialect)):each(kind) do n = n + 1 end
      return n
    end
    -- Four blocks, two of them windowed.
    for dialect, expected in pairs { sam = { 0, 0, 2 }, ["msa-2023"] = { 8, 0, 2 }, ["msa-2025"] = { 8, 0, 2 }, ["msa-paper"] = { 10, 1, 2 } } do
      equal({ count(dialect, "adapter"), count(dialect, "prompt_adapter"), count(dialect, "window") }, expected, dialect)
    end
    local function first_attention(dialect)
      local kinds = {}
      for _, op in ipairs(network.build(model_of(dialect)).ops) do
        if op.layer == "decoder_0_self_attention" then kinds[#kinds + 1] = op.kind end
      end
      return kinds
    end
    equal(first_attention "msa-2023", { "attention", "layernorm" }) -- replaces the queries
    equal(first_attention "msa-2024", { "attention", "add", "layernorm" })
  end)

  it("pads windows as the dialect does", function()
    local function pad(dialect)
      local op = network.build(model_of(dialect)):each "window" ()
      return op.pad, op.params.pad and op.params.pad.name
    end
    equal({ pad "sam" }, { "zero" })
    equal({ pad "msa-2023" }, { "norm1_bias", "image_encoder.blocks.0.norm1.bias" })
  end)

  it("can be read", function()
    local text = network.build(model_of "sam"):dump()
    holds(text, "block_00_attention: layernorm(x[196,24]) -> block_00_norm1[196,24]", "bias:image_encoder.blocks.0.norm1.bias",
      "grid_attention(block_00_windows[225,24])", "neck: conv3x3(", "masks: mask_product(")
    equal(text, network.build(model_of "sam"):dump())
  end)
end)
