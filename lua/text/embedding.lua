-- SPDX-License-Identifier: Apache-2.0
--- Embeddings of texts, by CLIP's text encoder in double precision: what is asked for now and then needs no build.

local interpreter = require "graph.interpreter"
local tensor = require "msagen.tensor"
local text_encoder = require "networks.text_encoder"

local embedding = {}

--- The place of a text's end in its tokens, from 1: where the model's last token is first, or the highest; nil where
-- there is none.
function embedding.end_of(m, tokens)
  local best
  for i, token in ipairs(tokens) do
    if m.last and token == m.last then return i end
    if not m.last and (not best or token > tokens[best]) then best = i end
  end
  return best
end

-- Rows that one run takes, beyond which texts wait for the next: each reads all weights.
local MOST = 2048

-- Parts of the list: from, to, and the lengths of its texts.
local function parts_of(m, list)
  local parts, rows = {}, 0
  for i, tokens in ipairs(list) do
    local length = embedding.end_of(m, tokens)
    if #parts == 0 or rows + length > MOST then
      parts[#parts + 1], rows = { from = i, lengths = {} }, 0
    end
    table.insert(parts[#parts].lengths, length)
    rows = rows + length
  end
  return parts
end

local function run(R, m, list, part, watch)
  local table_of, rows = m.tensor[m.parameters.tokens.name], {}
  for i, length in ipairs(part.lengths) do
    for k = 1, length do rows[#rows + 1] = R.packed(table_of:slice(1, list[part.from + i - 1][k], 1)) end
  end
  local graph = text_encoder.compute(m.parameters, m, part.lengths)
  return interpreter.run(R, graph, { tokens = R.stacked(rows) }, { "embedding" }, watch).embedding
end

local function embed(m, list, show)
  local R = require "msagen.reference".of "float64"
  local parts, out = parts_of(m, list), {}
  for p, part in ipairs(parts) do
    local layers, label = 0, nil
    out[p] = run(R, m, list, part, function(op)
      if op.label ~= label then
        layers, label = layers + 1, op.label
        show("encoding", (p - 1) * (2 * m.layers + 2) + layers, #parts * (2 * m.layers + 2))
      end
    end)
  end
  return R.stacked(out)
end

--- Embeddings [texts,embedding] as the encoder gives them, f64.
-- @param m a text encoder (import/clip.lua) @param list texts as lists of tokens, each with its end
-- @param show function(text, done, total)
function embedding.of(m, list, show) return tensor.in_double(embed, m, list, show) end

-- A row over its length.
local function unit(row)
  local values, sum = row:totable(), 0
  for _, value in ipairs(values) do sum = sum + value * value end
  local length = math.sqrt(sum)
  for i, value in ipairs(values) do values[i] = value / length end
  return tensor.from(values, { 1, #values })
end

local function prompts(found, projection)
  local R = require "msagen.reference".of "float64"
  local rows = {}
  for i = 1, found.shape[1] do rows[i] = unit(found:slice(1, i - 1, 1)) end
  local units = R.stacked(rows)
  return projection and R.product(units, projection) or units
end

--- Text prompts [texts,t] of embeddings: each of length 1, times a projection [t,embedding] if there is one; f64.
function embedding.prompts(found, projection) return tensor.in_double(prompts, found, projection) end

return embedding
