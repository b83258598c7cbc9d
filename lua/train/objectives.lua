-- SPDX-License-Identifier: Apache-2.0
--- What an encoder is pre-trained on. Each objective is a table (lua/train/objectives/):
--   prefix     of its head's tensors' names
--   sizes      of its head and of its choices, where nobody says anything
--   optimiser, rate(batch), schedule, warm_up_epochs   its own, where nobody says anything
--   check(m, sizes)  refuses sizes, or nil
--   declare(p, m, sizes) -> head;  compute(t, e, head, m, sizes, parts) -> the prediction, as a graph
--   choose(key, m, sizes)   what a picture's pass is given, at random: { index, back: rows of numbers; shares, partner:
--                           of e-Mix; marked: places removed, or moved, a boolean each }
--   loss       of msagen.pretrain; pairs: it is of the whole batch

local closed = require "support.closed"
local differentiate = require "graph.differentiate"
local encoders = require "networks.encoders"
local expand = require "graph.passes.expand"
local fail = require "support.fail"
local graph = require "graph.ssa"
local kinds = require "graph.kinds"
local network = require "train.network"
local parameters = require "networks.parameters"
local shapes = require "import.shapes"
local starts = require "train.starts"
local terms = require "networks.terms"

local objectives = {}

--- Objectives by the names that options and cases have.
objectives.table = { mae = require "train.objectives.mae", ["mae-grid"] = require "train.objectives.mae_grid",
  emix = require "train.objectives.emix", shed = require "train.objectives.shed" }

objectives.names = closed.sorted(objectives.table)

--- An objective by its name. @param where what a refusal begins with
function objectives.named(name, where)
  closed.member(name, objectives.names, where)
  return objectives.table[name]
end

-- ---- heads ----

--- The head of an objective.
-- @param m the model description @param given function(name) -> its tensor, or nil: made of the seed
-- @return its parameters; list of { name, shape, tensor }
function objectives.head(objective, m, sizes, given, seed)
  local list = {}
  local p = parameters.new { known = true, present = function() return false end, declare = function(one)
    local value = given and given(one.name)
    if value then
      if #value.shape ~= #one.shape or kinds.product(value.shape) ~= kinds.product(one.shape) then
        fail("%s: %s is %s; expected %s, by the sizes of the head: give those that it was made with", m.source.path,
          one.name, shapes.text(value.shape), shapes.text(one.shape))
      end
    end
    list[#list + 1] = { name = one.name, shape = one.shape,
      tensor = value or starts.tensor(one.name, one.shape, seed or 0) }
  end }
  return objective.declare(p:at(objective.prefix:sub(1, -2)), m, sizes), list
end

-- ---- the network ----

local function check(m, name)
  local parts = encoders.named(m.encoder.kind, "pretrain").parts
  if not parts then
    fail("%s: pretrain: expected an encoder of patches that blocks of one width follow, found %s", m.source.path,
      m.encoder.kind)
  end
  if m.depth ~= 1 then fail("pretrain: expected a network for images, found one for %d slices", m.depth) end
  if name == "mae" then
    for _, b in ipairs(m.parameters.encoder.blocks) do
      if b.conv_adapter then
        fail("%s: --objective mae: expected blocks without convolutions, as the patches that are kept are no grid, "
          .. "found some: mae-grid, emix and shed can be had", m.source.path)
      end
    end
  end
  return parts
end

-- The tensors of the encoder that may train: not LoRA pairs, which are of what is adapted.
local function encoder_names(m)
  local list = {}
  for _, name in ipairs(require("train.sets").all(m)) do
    if name:find "^image_encoder%." and not name:find "%.lora_%u$" then list[#list + 1] = name end
  end
  return list
end

--- Names of all that an objective trains, the encoder's in its file's order, then the head's; not all need have a
-- gradient.
function objectives.names_of(m, head)
  local list = encoder_names(m)
  for _, one in ipairs(head) do list[#list + 1] = one.name end
  return list
end

--- The graph of an objective: forward, and the gradients of what trains. Beside what compute says it has the input
-- dprediction and the outputs prediction and, by network.gradient(name), gradients.
-- @param m a model description with tensors (import.load)
-- @param options sizes: nil: the objective's; head: function(name) -> tensor, or nil; seed
-- @return as network.of, with objective, name, sizes, head = list of { name, shape, tensor }
function objectives.network(m, name, options)
  local objective, parts = objectives.named(name, "--objective"), check(m, name)
  local sizes = setmetatable(options.sizes or {}, { __index = objective.sizes })
  if objective.check then objective.check(m, sizes) end
  local h, head = objectives.head(objective, m, sizes, options.head, options.seed)
  local live, tensors = {}, setmetatable({}, { __index = m.tensor })
  for _, one in ipairs(head) do tensors[one.name] = one.tensor end
  local names = objectives.names_of(m, head)
  for _, one in ipairs(names) do live[one] = true end
  local g = graph.new()
  local t = terms.of(g, setmetatable({ tensor = tensors }, { __index = m }), function(one)
    return live[one] or false
  end)
  local prediction = g:output("prediction", objective.compute(t, m.parameters.encoder, h, m, sizes, parts))
  local function is_live(value) return live[value.name] or false end
  expand(g, { live = is_live })
  local found = differentiate(g, { seeds = { [prediction] = "dprediction" }, live = is_live })
  local net = { graph = g, encodes = true, parameters = {}, without = {}, floats = 0, objective = objective,
    name = name, sizes = sizes, head = head }
  network.add_parameters(net, names, function(value) return found[value] end)
  return net
end

return objectives
