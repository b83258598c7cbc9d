-- SPDX-License-Identifier: Apache-2.0
--- Expressions of a straight piece of code as a graph without cycles: equal ones are one node, and each is simplified
-- as it is made. What a node computes is the definition, the same on every board: nothing is rearranged later but what
-- lua/signal/codelets.lua fuses, by the graph alone.
--
-- A node is { op, a, b, id }: "load" (of a name), "add", "sub" (a - b), "times" (a constant and a node), "product" (two
-- nodes), "negative", or "number".

local expressions = {}

local Graph = {}
Graph.__index = Graph

--- An empty graph.
function expressions.new() return setmetatable({ nodes = {}, of = {} }, Graph) end

local function key_of(op, a, b)
  local function word(x) return type(x) == "table" and "n" .. x.id or type(x) == "number" and ("%a"):format(x) or x end
  return ("%s %s %s"):format(op, word(a), b ~= nil and word(b) or "")
end

local function node(self, op, a, b)
  local key = key_of(op, a, b)
  local made = self.of[key]
  if not made then
    made = { op = op, a = a, b = b, id = #self.nodes + 1 }
    self.nodes[made.id], self.of[key] = made, made
  end
  return made
end

local function is_number(x, value) return x.op == "number" and x.a == value end

--- A number that is known.
function Graph:number(value) return node(self, "number", value + 0.0) end

--- What is in memory under a name.
function Graph:load(name) return node(self, "load", name) end

function Graph:negative(x)
  if x.op == "negative" then return x.a end
  if x.op == "number" then return self:number(x.a == 0 and 0 or -x.a) end
  return node(self, "negative", x)
end

--- a + b.
function Graph:add(a, b)
  if is_number(a, 0) then return b end
  if is_number(b, 0) then return a end
  if b.op == "negative" then return self:sub(a, b.a) end
  if a.op == "negative" then return self:sub(b, a.a) end
  if a.id > b.id then a, b = b, a end
  return node(self, "add", a, b)
end

local function is_product(x) return x.op == "times" or x.op == "product" end

--- a - b. Where it is there already the other way around, that is negated; a product is taken from what is none, which
-- one fused step does.
function Graph:sub(a, b)
  if is_number(b, 0) then return a end
  if is_number(a, 0) then return self:negative(b) end
  if a == b then return self:number(0) end
  if b.op == "negative" then return self:add(a, b.a) end
  if a.op == "negative" then return self:negative(self:add(a.a, b)) end
  if is_product(a) and not is_product(b) or self.of[key_of("sub", b, a)] then
    return self:negative(node(self, "sub", b, a))
  end
  return node(self, "sub", a, b)
end

--- A constant times x: constants are above 0, so that those of either sign are one.
function Graph:times(c, x)
  if c == 0 or is_number(x, 0) then return self:number(0) end
  if c < 0 then return self:negative(self:times(-c, x)) end
  if c == 1 then return x end
  if x.op == "negative" then return self:negative(self:times(c, x.a)) end
  return node(self, "times", c, x)
end

--- a b.
function Graph:product(a, b)
  if is_number(a, 0) or is_number(b, 0) then return self:number(0) end
  if a.op == "negative" then return self:negative(self:product(a.a, b)) end
  if b.op == "negative" then return self:negative(self:product(a, b.a)) end
  return node(self, "product", a, b)
end

--- The nodes that outputs need, in the order in which they were made, but each input only where it is first needed.
-- @param outputs list of nodes @return list, and node -> how many take it
function Graph:needed(outputs)
  local uses, list, seen = {}, {}, {}
  local function count(x)
    uses[x] = (uses[x] or 0) + 1
    if uses[x] > 1 then return end
    if type(x.a) == "table" then count(x.a) end
    if type(x.b) == "table" then count(x.b) end
  end
  for _, x in ipairs(outputs) do count(x) end
  local function put(x)
    if seen[x] then return end
    seen[x] = true
    if type(x.a) == "table" then put(x.a) end
    if type(x.b) == "table" then put(x.b) end
    list[#list + 1] = x
  end
  for _, x in ipairs(self.nodes) do
    if uses[x] and x.op ~= "load" then put(x) end
  end
  for _, x in ipairs(outputs) do put(x) end
  return list, uses
end

return expressions
