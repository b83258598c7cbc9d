-- SPDX-License-Identifier: Apache-2.0
--- The condition of the mask decoder at an image: how much a small change of the image embedding can change the logits
-- of the mask at most. All of it is in float64 and of the network that the checkpoint has, whatever the build's
-- precision.
--
-- With x the embedding of a slice, y the logits of the prompt's masks, J the derivative of y by x, s the largest
-- singular value of J: a small dx changes y by at most s |dx|, and relatively by at most k |dx| / |x|, where the
-- condition k is s |x| / |y|. (|.| is the root of the sum of squares.) s is found by power iteration: J v by a finite
-- difference, the transpose of J by the graph's own gradient. So s is a lower bound that is met by a direction that was
-- seen.
local csv = require "evaluate.csv"
local differentiate = require "graph.differentiate"
local expand = require "graph.passes.expand"
local interpretation = require "run.interpretation"
local interpreter = require "graph.interpreter"
local tensor = require "msagen.tensor"
local tokens = require "networks.tokens"

local condition = {}

-- Of a finite difference to both sides: so far that y changes by this share of |y|; of the first, whose s is not known,
-- relative to |x|.
local CHANGE, FIRST_STEP = 1e-7, 1e-9
local AGREES = 1e-4 -- relative: what such a difference may differ from the gradient by
local CLOSE, MOST = 1e-4, 60 -- two estimates of s that differ by less end the iteration; iterations at most

local function product(a, b)
  local sum = 0
  for i = 1, #a do sum = sum + a[i] * b[i] end
  return sum
end

local function norm(list) return math.sqrt(product(list, list)) end

local function scaled(list, factor)
  local out = {}
  for i = 1, #list do out[i] = factor * list[i] end
  return out
end

-- a + factor b.
local function moved(a, b, factor)
  local out = {}
  for i = 1, #a do out[i] = a[i] + factor * b[i] end
  return out
end

-- The same numbers between -1 and 1 in each run, by a linear congruence.
local function direction(count)
  local out, state = {}, 1
  for i = 1, count do
    state = (6364136223846793005 * state + 1442695040888963407)
    out[i] = (state >> 11) / 2 ^ 52 - 1
  end
  return scaled(out, 1 / norm(out))
end

local Decoder = {}
Decoder.__index = Decoder

--- The decoder at one embedding, differentiable; to be used within interpretation.in_class("float64").
-- @param it run.interpretation's in float64, which has encoded an image @param embedding of a slice [grid^2,out]
-- @param prompt of interpretation.prompt
local function decoder(it, embedding, prompt)
  local m, g = it.model, interpretation.graph(it.model, nil, it.R)
  expand(g, { live = function() return false end, wanted = { g.inputs.embedding } })
  local gradients = differentiate(g, { seeds = { [g.outputs.logits] = "dlogits" }, wanted = { g.inputs.embedding } })
  g:output("dembedding", gradients[g.inputs.embedding])
  local first, count = interpretation.chosen(m, prompt)
  -- Gradients are of all rows that tokens may have; those behind the prompt's count nothing.
  local given = it:given(embedding, prompt)
  local rows, prompts = given.tokens.shape[1], tokens.rows(m)
  if rows < prompts then
    local width, list = given.tokens.shape[2], given.tokens:totable()
    for i = rows * width + 1, prompts * width do list[i] = 0 end
    given.tokens = tensor.from(list, { prompts, width })
  end
  return setmetatable({ R = it.R, graph = g, given = given, rows = rows, shape = embedding.shape,
    pixels = 16 * m.grid * m.grid, masks = m.decoder.masks, first = first, count = count }, Decoder)
end

-- The logits of the prompt's masks at a list of numbers for the embedding.
function Decoder:logits(list, known)
  self.given.embedding = tensor.from(list, self.shape)
  local out = interpreter.run(self.R, self.graph, self.given, { "logits" }, nil, { known = known, count = self.rows })
  return out.logits:reshape { self.masks, self.pixels }:slice(1, self.first, self.count):totable()
end

-- The transpose of J times a list, at the embedding whose values are known.
function Decoder:transposed(list, known)
  local before, all = self.first * self.pixels, {}
  for i = 1, self.masks * self.pixels do all[i] = list[i - before] or 0 end
  self.given.dlogits = tensor.from(all, self.graph.inputs.dlogits.shape)
  local forward = {}
  for op, value in pairs(known) do forward[op] = value end
  return interpreter.run(self.R, self.graph, self.given, { "dembedding" }, nil, { known = forward,
    count = self.rows }).dembedding:totable()
end

-- s at an embedding x with logits y. @return s, iterations, s by the gradient in the last direction
local function largest_singular(self, x, y, known)
  local step, v, sigma, count, back = FIRST_STEP * norm(x), direction(#x), 0, 0, nil
  repeat
    local before, u = sigma, v
    local above, below = self:logits(moved(x, u, step), {}), self:logits(moved(x, u, -step), {})
    local jv = scaled(moved(above, below, -1), 0.5 / step)
    sigma, count = norm(jv), count + 1
    if sigma == 0 then return 0, count, 0 end
    step = CHANGE * norm(y) / sigma
    local transposed = self:transposed(jv, known)
    back = math.sqrt(math.max(0, product(u, transposed)))
    v = scaled(transposed, 1 / norm(transposed))
  until math.abs(sigma - before) <= CLOSE * sigma or count == MOST
  return sigma, count, back
end

--- @param it run.interpretation's in float64, which has encoded the image @param embedding of a slice [grid^2,out]
-- @param prompt of interpretation.prompt
-- @return { sigma = s, condition = k, embedding_norm = |x|, logits_norm = |y|, iterations, gradient = s by the gradient
--   alone, in the last direction: differs from s where gradient or difference is wrong }
function condition.of(it, embedding, prompt)
  return interpretation.in_class("float64", function()
    local self, known, x = decoder(it, embedding, prompt), {}, embedding:totable()
    local y = self:logits(x, known)
    local sigma, iterations, gradient = largest_singular(self, x, y, known)
    return { sigma = sigma, condition = sigma * norm(x) / norm(y), embedding_norm = norm(x), logits_norm = norm(y),
      iterations = iterations, gradient = gradient }
  end)
end

-- ---- beside the error of a build ----

-- |a - b| / |b|, and the largest difference of two numbers.
local function apart(a, b)
  local difference, most = moved(a, b, -1), 0
  for i = 1, #difference do most = math.max(most, math.abs(difference[i])) end
  return norm(difference) / norm(b), most
end

-- Where a mask's pixels are near its outline. @param error the largest of a logit
local function margins(truth, found, error)
  local least, at, within, other = math.huge, 1, 0, 0
  for i = 1, #truth do
    local margin = math.abs(truth[i])
    if margin < least then least, at = margin, i end
    within = within + (margin <= error and 1 or 0)
    other = other + ((truth[i] > 0) ~= (found[i] > 0) and 1 or 0)
  end
  return { least = least, at = at - 1, within = within, other = other }
end

--- The condition at each image, and the error of the build beside it.
-- @param runs of numerics.of: { name, it, prompt, truth, found = { embedding [grid^2,out], logits } }
-- @return a list of condition.of's in order, each also with image = name; embedding_error, logits_error relative to
--   |x| and |y|, bound = k embedding_error, largest_error of a logit; margin = { least = smallest |logit|, at = its
--   index from 0, within = pixels whose |logit| is at most largest_error, other = pixels whose mask is another },
--   pixels = how many
function condition.rows(runs)
  local list = {}
  for i, one in ipairs(runs) do
    local x = one.truth.embedding
    local row = condition.of(one.it, x, one.prompt)
    local truth, found = one.truth.logits:totable(), one.found.logits:totable()
    row.image, row.pixels = one.name, #truth
    row.embedding_error = apart(one.found.embedding:totable(), x:totable())
    row.bound = row.condition * row.embedding_error
    row.logits_error, row.largest_error = apart(found, truth)
    row.margin = margins(truth, found, row.largest_error)
    list[i] = row
  end
  return list
end

--- condition.csv. @param rows of condition.rows
function condition.csv(rows)
  local lines = { csv.line { "image", "condition", "sigma", "embedding_norm", "logits_norm", "iterations",
    "embedding_error", "bound_by_embedding", "logits_error", "largest_error", "smallest_margin", "element", "pixels",
    "pixels_within_error", "pixels_other" } }
  local function short(value) return ("%.3e"):format(value) end
  for i, one in ipairs(rows) do
    lines[i + 1] = csv.line { one.image, short(one.condition), short(one.sigma), short(one.embedding_norm),
      short(one.logits_norm), one.iterations, short(one.embedding_error), short(one.bound), short(one.logits_error),
      short(one.largest_error), short(one.margin.least), one.margin.at, one.pixels, one.margin.within,
      one.margin.other }
  end
  return table.concat(lines)
end

--- Whether gradient and finite difference agree on s. @param one of condition.rows
function condition.holds(one) return math.abs(one.gradient - one.sigma) <= AGREES * one.sigma end

--- The rows in a sentence, the worst first.
function condition.said(rows)
  local worst, largest, within, other, pixels = rows[1], 0, 0, 0, 0
  for _, one in ipairs(rows) do
    worst, largest = one.condition > worst.condition and one or worst, math.max(largest, one.largest_error)
    within, other, pixels = within + one.margin.within, other + one.margin.other, pixels + one.pixels
  end
  return ("%.1f at most (%s): an embedding that is wrong by 1e-6 of its size changes the logits by %.1e of theirs at "
    .. "most, to first order; the largest error of a logit is %.1e, %d of %d pixels are as near to the outline, %d "
    .. "came out on its other side"):format(worst.condition, worst.image, 1e-6 * worst.condition,
    largest, within, pixels, other)
end

return condition
