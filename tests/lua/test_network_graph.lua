-- SPDX-License-Identifier: Apache-2.0
-- The graph of a network: what it is made of is a closed set, its multiply-adds are those of the layers, and it can be
-- printed.
-- That it computes the right bits is tests/run_golden.lua's, by `msagen interpret`.

local spec = require "spec"
local describe, it, equal, refuses, holds = spec.describe, spec.it, spec.equal, spec.refuses, spec.holds
local sys = spec.host "msagen.sys"
if not sys then return end
local compiler, interpretation, ssa, tiny = require "compiler.compiler", require "run.interpretation",
  require "graph.ssa",
  require "tiny_model"
local group, import, fake = require "lower.group", require "import.import", require "fake_checkpoint"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-network-graph-")
sys.cleanup(work)

local function device(name, depth)
  local one = tiny.device(work, name)
  one.board, one.depth = "generic-c99", depth
  return one
end

local function graph_of(one) return interpretation.graph(compiler.models(one, "test")[1]) end

describe("the graph of a network", function()
  for _, case in ipairs { { "plain" }, { "adapted" }, { "adapted", 3 }, { "wide" }, { "late" } } do
    it(("has the multiply-adds of the encoder's layers: %s, depth %d"):format(case[1], case[2] or 1), function()
      local one = device(case[1], case[2])
      local by_label, compared = graph_of(one):macs(), 0
      for _, L in ipairs(compiler.schedule(one, "test", true).graph.fused) do
        if L.name:match "^block_" or L.name == "neck" or L.name == "patch_embed" then
          equal({ L.name, by_label[L.name] }, { L.name, math.tointeger(L.macs) or L.macs })
          compared = compared + 1
        end
      end
      assert(compared > 4, "too few layers")
    end)
  end

  local function model_of(dialect)
    local late = dialect:match "^msa%-202[45]" ~= nil
    return import.load(fake.open(fake.model(dialect == "msa-2025" and "msa-2024" or dialect)), { dialect = dialect,
      resolution = late and 224 or nil })
  end

  for _, dialect in ipairs { "sam", "msa-2023", "msa-2024", "msa-2025", "msa-paper" } do
    it("uses every tensor that import calls used, and none that it calls dead: " .. dialect, function()
      local model, used = model_of(dialect), {}
      for _, op in ipairs(interpretation.graph(model).values) do
        local names = op.kind == "parameter" and require "import.deferred".sources(op.tensor) or op.sources or {}
        for _, name in ipairs(names) do used[name] = true end
      end
      for _, fate in ipairs(model.fates) do
        -- Rows that tokens are made of are no operation's: they go to the prompt's table.
        local row = fate.name:match "point_embeddings" or fate.name:match "not_a_point"
          or fate.name:match "iou_token" or fate.name:match "mask_tokens"
        local wanted = (fate.fate == "used" or fate.fate == "resampled") and not row
        assert(not wanted or used[fate.name], fate.name .. " is said to be used")
        assert(fate.fate ~= "dead" or not used[fate.name], fate.name .. " is said to be dead")
      end
    end)
  end

  it("has the dialects' differences, and no others", function()
    local function count(dialect, kind, attribute)
      local n = 0
      for _, op in ipairs(interpretation.graph(model_of(dialect)).values) do
        if op.kind == kind and (not attribute or op[attribute]) then n = n + 1 end
      end
      return n
    end
    -- Four blocks, two of them windowed; an adapter has two maps, the prompt's three.
    local plain = count("sam", "linear")
    for dialect, maps in pairs { ["msa-2023"] = 2 * 8, ["msa-2025"] = 2 * 8, ["msa-paper"] = 2 * 10 + 3 } do
      equal({ dialect, count(dialect, "linear") - plain, count(dialect, "attention", "window") }, { dialect, maps, 2 })
    end
    local function first_attention(dialect)
      local kinds = {}
      for _, op in ipairs(interpretation.graph(model_of(dialect)).values) do
        if op.label == "decoder_0_self_attention" and op.kind == "add" then kinds[#kinds + 1] = op.kind end
      end
      return kinds
    end
    equal(first_attention "msa-2023", {}) -- replaces the queries
    equal(first_attention "msa-2024", { "add" })
  end)

  it("pads windows as the dialect does", function()
    local function sources(dialect)
      for _, op in ipairs(interpretation.graph(model_of(dialect)).values) do
        local pad = op.kind == "attention" and op.window and group.input(op, "k_pad")
        if pad then return table.concat(pad.sources, " ") end
      end
    end
    equal(sources "sam", "image_encoder.blocks.0.attn.qkv.bias") -- of zeros
    holds(sources "msa-2023", "image_encoder.blocks.0.norm1.bias", "image_encoder.blocks.0.attn.qkv.weight")
  end)

  it("is text, a line a value, and a graph for Graphviz", function()
    local g = graph_of(device "adapted")
    local text, dot = g:text(), g:dot()
    local _, lines = text:gsub("\n", "")
    equal(lines, #g.values + 3)
    holds(text, "patch_embed: %1 f32 [1,", "= conv(", "attention(", "output embedding = %", "output logits = %",
      "image_encoder.neck.0.weight")
    local macs = 0
    for n in text:gmatch "; (%d+) multiply%-adds" do macs = macs + n end
    equal(macs, select(2, g:macs()))
    local _, opened = dot:gsub("{", "")
    local _, closed = dot:gsub("}", "")
    equal(opened, closed)
    holds(dot, "digraph {", 'label = "block_00_attention"', " -> ")
  end)
end)

describe("an operation", function()
  it("has a type, and moves each input and its result once", function()
    local g = ssa.new()
    g:layer "one"
    local x, w, b = g:input("x", { 6, 5 }), g:input("w", { 3, 5 }), g:input("b", { 3 })
    local y = g:reshape(g:linear(x, w, b), { to = { 3, 6 } })
    equal(y.type, "f32")
    holds(g:text(), "%4 f32 [6,3] = linear(%1, %2, %3); 90 multiply-adds, 264 bytes\n",
      "%5 f32 [3,6] = reshape(%4)\n", "%1 f32 [6,5] = input() x\n")
  end)
end)

describe("msagen graph --after", function()
  local device_ = tiny.device(work, "late")
  local function graph(...)
    return tiny.must { tiny.program(), "graph", device_.checkpoint, "--dialect", device_.dialect, "--decoder-heads",
      "4",
      "--global-blocks", "1", "--resolution", "40", "--classes", "17", "--board", "generic-c99", ... }
  end
  it("shows what each pass leaves", function()
    local plain, pruned = graph(), graph("--after", "prune")
    holds(plain, "patch_embed: %1 f32 [1,40,40,3] = input() image\n")
    equal(select(2, pruned:gsub("= attention%(", "")), select(2, plain:gsub("= attention%(", "")))
    local steps, memory = graph("--after", "lower", "--cores", "2"), graph("--after", "memory")
    holds(steps, "block_00_attention: encoder_attention, encode 1;", "parted among cores", "cores meet",
      "stage: core 0", "heads: heads, decode 10;")
    assert(not steps:find "\nbuffer ", "places before memory is planned")
    holds(memory, "\nbuffer x: ", "\nbuffer embedding: ")
  end)
  it("shows gradients, of what trains", function()
    local all, some = graph("--after", "differentiate"), graph("--after", "differentiate", "--train",
      "mask_decoder%.output_upscaling%..*", "--train", "mask_decoder.transformer.norm_final_attn.bias")
    holds(all, "block_00_attention_backward: %", "= attention_dqkv(", "output dembedding = %",
      "output gradient of image_encoder.blocks.1.MLP_Adapter.D_fc1.weight = %")
    holds(some, "output gradient of mask_decoder.output_upscaling.3.weight = %", "masks_backward: %")
    equal(select(2, some:gsub("\noutput gradient of ", "")), 7)
    assert(not some:find "attention_dqkv", "no attention passes gradients on")
    holds(graph("--after", "differentiate", "--dot"), "digraph {", 'label = "heads_backward"')
    equal((pcall(graph, "--after", "prune", "--train", "masks")), false)
    equal((pcall(graph, "--after", "differentiate", "--train", "maskss")), false)
  end)
  it("refuses what no pass is", function()
    equal((pcall(graph, "--after", "fuse")), false)
    equal((pcall(graph, "--after", "lower", "--dot")), false)
  end)
end)

describe("a graph", function()
  local function graph()
    local g = ssa.new()
    g:layer "test"
    return g, g:input("x", { 4, 8 })
  end
  it("refuses what no operation has", function()
    local g, x = graph()
    refuses(function() g:value("lineer", { x = x }) end, "graph: test", "lineer", "linear")
    refuses(function() g:act(x, { f = "relu6" }) end, "graph: test: act", "relu6")
    refuses(function() g:layernorm(x, x, x, { epsilon = 1 }) end, "graph: test: layernorm", "epsilon")
  end)
  it("asks for its inputs, and for shapes that fit", function()
    local g, x = graph()
    local ok, why = pcall(g.add, g, x)
    equal(ok, false)
    holds(why, "expected an input y, found none")
    equal((pcall(g.linear, g, x, g:input("w", { 3, 7 }))), false)
    equal(g:linear(x, g:input("v", { 3, 8 })).shape, { 4, 3 })
  end)
end)
