-- SPDX-License-Identifier: Apache-2.0
--- A model as a whole, computed by the graph's interpreter: the embedding and logits that generated code must give, bit
-- for bit.

local emit = require "emit.emit"
local inputs = require "graph.inputs"
local interpreter = require "graph.interpreter"
local precision = require "compiler.precision"
local prompts = require "run.prompts"
local sam = require "networks.sam"
local tensor = require "msagen.tensor"
local tokens = require "networks.tokens"

local Interpretation = {}
Interpretation.__index = Interpretation

local interpretation = {}

local function graph_of(m, tables, device)
  return (precision.of(device, "interpret"):apply(sam.compute(m.parameters, m,
    function() return tables.position.parts[1].make() end, tokens.rows(m))))
end

--- The graph of a model description with tensors (import.load). @param device what says its precisions, or nil
-- @param R naive kernels that tables are made by, nil: those of all builds
function interpretation.graph(m, device, R) return graph_of(m, emit.tables(m, nil, R), device) end

--- @param m a model description with tensors
-- @param class of arithmetic: "f32-fma-1", "f32-muladd-1"; or "float64", an oracle, where all of it, m's import
-- included, is to run within interpretation.in_class
-- @param watch interpreter.run's, or nil
-- @param device what says the layers' precisions (compiler/precision.lua), or nil
function interpretation.of(m, class, watch, device)
  local R = require "msagen.reference".of(class)
  local tables = emit.tables(m, nil, class == "float64" and R or nil)
  return setmetatable({ R = R, model = m, graph = graph_of(m, tables, device), watch = watch,
    rows = R.packed(tables.prompt.parts[1].make()) }, Interpretation)
end

--- What body(...) gives, tensors that it computes being of the class's type: nothing of float64 is rounded to float32.
function interpretation.in_class(class, body, ...)
  if class == "float64" then return tensor.in_double(body, ...) end
  return body(...)
end

--- The prompt of one slice, from 1, of run.prompts', as `decode` takes it. @param side of logits
function interpretation.prompt(prompt, slice, side)
  local places, labels, points = prompts.slice(prompt, "points", slice), prompts.slice(prompt, "labels", slice), nil
  for i, place in ipairs(places or {}) do
    points = points or {}
    points[i] = { place[1], place[2], math.tointeger(labels[i]) }
  end
  local mask = prompt.mask
  return { points = points, box = prompts.slice(prompt, "box", slice), text = prompt.text_index,
    multimask = prompt.multimask,
    mask = mask and mask.tensor:slice(1, mask.slices == 1 and 0 or (slice - 1) * side * side, side * side) }
end

--- Encode an image u8 [depth,H,W,3]. @return the embedding as a matrix [slices grid^2,out]
function Interpretation:encode(image)
  local width, height = image.shape[3], image.shape[2]
  local bytes = image:tobytes()
  local given = inputs.image(self.model, width, height, function(slice, x, y, c)
    return bytes:byte(((slice * height + y) * width + x) * 3 + c + 1)
  end)
  self.width, self.height = width, height
  self.embedding = interpreter.run(self.R, self.graph, { image = given }, { "embedding" }, self.watch).embedding
  return self.embedding
end

--- Which of the decoder's masks are a prompt's. @return the first, from 0, and how many
function interpretation.chosen(m, prompt)
  if m.classes then return 0, m.classes end
  if prompt.multimask and m.decoder.masks > 1 then return 1, m.decoder.masks - 1 end
  return 0, 1
end

--- What the decoder is given of a slice's embedding and a prompt, as `decode` takes it.
function Interpretation:given(embedding, prompt)
  local m, side = self.model, 4 * self.model.grid
  return { tokens = inputs.tokens(self.R, m, self.rows, self.width, self.height, prompt), embedding = embedding,
    mask_prompt = prompt.mask and prompt.mask:reshape { side * side, 1 } or nil }
end

--- Decode a prompt of a slice. @param prompt points {{x, y, label}...}, box, text, mask: a tensor of (4 grid)^2 logits,
-- multimask
-- @return logits [masks,(4 grid)^2] and scores [1,masks] of those that the prompt asks for
function Interpretation:decode(slice, prompt)
  local m, R = self.model, self.R
  local places, side = m.grid * m.grid, 4 * m.grid
  local given = self:given(self.embedding:slice(1, slice * places, places), prompt)
  local out = interpreter.run(R, self.graph, given, { "logits", "scores" }, self.watch)
  local first, count = interpretation.chosen(m, prompt)
  return out.logits:reshape { m.decoder.masks, side * side }:slice(1, first, count), out.scores:slice(2, first, count)
end

--- The embedding as `run` writes it: [slices,out,grid,grid].
function Interpretation:embedding_by_channel()
  local m = self.model
  return self.embedding:reshape { m.depth, m.grid * m.grid, m.out }:permute { 1, 3, 2 }:reshape { m.depth, m.out,
    m.grid, m.grid }
end

--- Everything of an image and prompts, as `run` writes it: a list of { name, tensor, is it part of the digest }.
-- @param list of run.prompts, checked @param image u8 [depth,H,W,3] @param show function(what, done, total)
function Interpretation:results(list, image, show)
  local m, side, out = self.model, 4 * self.model.grid, {}
  show("encoding", 0, #list + 1)
  self:encode(image)
  out[1] = { "embedding", self:embedding_by_channel(), true }
  for k, prompt in ipairs(list) do
    show("decoding", k, #list + 1)
    local logits, scores = {}, {}
    for slice = 1, m.depth do
      logits[slice], scores[slice] = self:decode(slice - 1, interpretation.prompt(prompt, slice, side))
    end
    local masks = scores[1].shape[2]
    out[#out + 1] = { ("prompt_%d.logits"):format(k - 1),
      self.R.stacked(logits):reshape { m.depth, masks, side, side }, true }
    out[#out + 1] = { ("prompt_%d.iou"):format(k - 1), self.R.stacked(scores):reshape { m.depth, masks }, false }
  end
  return out
end

--- The digest of results, as `run --digest` prints it.
function interpretation.digest(results)
  local hash = require("msagen.sha256").new()
  for _, one in ipairs(results) do
    if one[3] then hash:update(one[2]:tobytes()) end
  end
  return hash:hex()
end

return interpretation
