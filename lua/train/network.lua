-- SPDX-License-Identifier: Apache-2.0
--- A network that is trained, as a graph: forward, and the gradients of what trains.
-- Beside the inputs and outputs of networks/sam.lua in training it has
--   inputs   dembedding, dlogits, diou: gradients of the outputs embedding, logits and scores
--   outputs  dembedding: gradient of the decoder's input embedding, where the encoder trains; of each trained tensor
--            its gradient, by network.gradient(name)
-- Gradients of the encoder's tensors follow from dembedding, those of all others from dlogits and diou.

local differentiate = require "graph.differentiate"
local emit = require "emit.emit"
local expand = require "graph.passes.expand"
local fail = require "support.fail"
local kinds = require "graph.kinds"
local sam = require "networks.sam"
local tokens = require "networks.tokens"

local network = {}

--- The name of the output that is a tensor's gradient.
function network.gradient(name) return "gradient of " .. name end

-- The declared tensors of the graph, by name.
local function parameters_of(g)
  local found = {}
  for _, op in ipairs(g.values) do
    if op.kind == "parameter" then found[op.name] = op end
  end
  return found
end

--- Put what trains into a network, in order, its gradients being outputs of the graph.
-- @param net { graph, parameters, without, floats = 0 } @param names of what trains @param gradient function(parameter)
-- -> its gradient's value, or nil
function network.add_parameters(net, names, gradient)
  local declared = parameters_of(net.graph)
  for _, name in ipairs(names) do
    local value = declared[name]
    local dx = value and gradient(value)
    if dx then
      net.graph:output(network.gradient(name), dx)
      local count = kinds.product(value.shape)
      net.parameters[#net.parameters + 1] = { name = name, shape = value.shape, offset = net.floats, count = count,
        encodes = name:find("image_encoder.", 1, true) == 1, tensor = value.tensor }
      net.floats = net.floats + count
    else
      net.without[#net.without + 1] = name
    end
  end
end

local function is_encoder(name) return name:find("image_encoder.", 1, true) == 1 end

--- @param m a model description with tensors (import.load) @param names what trains (train/sets.lua)
-- @param options R: naive kernels that the grid's positions are made by, nil: those of all builds; scores: false where
-- the loss has no use for the predicted scores, whose tensors then have no gradient; from: "embedding" where there is
-- no encoder, and the output embedding is the input of that name
-- @return { graph, encodes: does the encoder train, parameters = those that gradients reach, in order, each { name,
-- shape, offset, count: floats among all of them, encodes }, without = names of the others, floats = of all }
function network.of(m, names, options)
  options = options or {}
  local live = {}
  for _, name in ipairs(names) do
    if name:find "%.lora_E$" then
      fail("%s: %s: expected adapters or LoRA pairs to train, found AdaLoRA's tensors", m.source.path, name)
    end
    live[name] = true
  end
  local tables = emit.tables(m, nil, options.R)
  local g = sam.compute(m.parameters, m, function() return tables.position.parts[1].make() end, tokens.rows(m),
    function(name) return live[name] or false end)
  local function is_live(value) return live[value.name] or false end
  local declared, encodes = parameters_of(g), false
  for _, name in ipairs(names) do encodes = encodes or is_encoder(name) and declared[name] ~= nil end
  if options.from == "embedding" then
    if encodes then
      fail("--from embedding: expected tensors of the prompt encoder and the mask decoder to train, found some of the "
        .. "image encoder")
    end
    g.outputs.embedding = g.inputs.embedding
  end
  local wanted = encodes and { g.inputs.embedding } or {}
  expand(g, { live = is_live, wanted = wanted })
  local seeds = { [g.outputs.logits] = "dlogits", [g.outputs.scores] = options.scores ~= false and "diou" or nil }
  local found = { [false] = differentiate(g, { seeds = seeds, live = is_live, wanted = wanted }) }
  if encodes then
    g:output("dembedding", found[false][g.inputs.embedding])
    found[true] = differentiate(g, { seeds = { [g.outputs.embedding] = "dembedding" }, live = is_live })
  end
  local net = { graph = g, encodes = encodes, parameters = {}, without = {}, floats = 0 }
  network.add_parameters(net, names, function(value)
    local is_of = found[is_encoder(value.name)]
    return is_of and is_of[value]
  end)
  return net
end

return network
