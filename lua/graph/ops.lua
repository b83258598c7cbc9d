-- SPDX-License-Identifier: Apache-2.0
--- The primitive operations of a graph. The modules of lua/graph/ops/, found by looking there, give entries by kind. A
-- closed set: an unknown kind, input or attribute is refused.
--   roles       names of its inputs in order; "?" behind those that may be left out, "..." for any number of one role
--   attributes  { name = { kind of value, required } }: lua/support/schema.lua
--   shape       function(op, v) -> the result's shape, v being the inputs by role
--   type        function(op, v) -> the type of its elements (lua/graph/types.lua); that of the first input unless given
--   macs        function(op, v) -> multiply-adds; of what is counted, for as many as there may be
--   bytes       function(op, v) -> bytes moved where nothing stays between operations; unless given, each input read
--               and the result written once. What a build moves, and its cycles, are read off its steps
--               (lua/estimate/costs.lua, predict.lua), since both are the tiles' and the caches'
--   counted     function(op, v) -> is the result's first dimension counted; as the first input's unless given
--   run         function(R, op, v, context) -> the result as a matrix [rows,width], v being the inputs' matrices by
--               role, R the defined arithmetic of a class (gen/reference/reference.c), or float64; absent for what
--               comes from outside. context is the interpreter's (lua/graph/interpreter.lua), or nil
-- An operation has one of these three (tests/lua/test_gradients.lua asks for it):
--   gradient    function(g, op, v, dy, wants) -> gradients of its inputs by role, of operations that it adds to g, v
--               being the inputs, dy the result's gradient, and wants[role] whether an input's is needed; of as many
--               numbers as the input
--   expand      function(g, op, v, live) -> the same value of operations that have gradients, bit for bit; parameters
--               for which live(parameter) holds stay values, of others constants are made
--   no_gradient why neither is there
-- Bits are defined by these, one after the other: x + (p + a) is two additions in that order.

local closed = require "support.closed"
local folder = require "support.folder"
local kinds = require "graph.kinds"
local schema = require "support.schema"
local types = require "graph.types"

local FIELDS = { roles = { schema.list_of(schema.text, 0), true }, attributes = { schema.table, true },
  shape = { kinds.callable }, type = { kinds.callable }, macs = { kinds.callable, true }, bytes = { kinds.callable },
  counted = { kinds.callable }, run = { kinds.callable }, gradient = { kinds.callable }, expand = { kinds.callable },
  no_gradient = { schema.text } }

local ops = {}
for _, file in ipairs(folder.modules "graph.ops") do
  for kind, entry in pairs(require("graph.ops." .. file)) do
    local where = ("lua/graph/ops/%s.lua: %s"):format(file, kind)
    schema.check(entry, FIELDS, where)
    if ops[kind] then error(where .. ": expected a kind of its own, found one of two files", 0) end
    ops[kind] = entry
  end
end

local function moved(op, v)
  local sum = types.bytes(op.type, kinds.product(op.shape))
  for _, input in pairs(v) do sum = sum + types.bytes(input.type, kinds.product(input.shape)) end
  return sum
end

local names = closed.sorted(ops)
for kind, entry in pairs(ops) do
  entry.kind, entry.optional, entry.least, entry.bytes = kind, {}, 0, entry.bytes or moved
  for i, role in ipairs(entry.roles) do
    local plain = role:gsub("%?$", "")
    entry.optional[plain] = plain ~= role
    if plain == role then entry.least = i end
    entry.roles[i] = plain
  end
end

return {
  table = ops,
  names = names,
  --- The entry of a kind; a refusal that begins with `where` for what is none.
  of = function(kind, where) return ops[kind] or closed.member(kind, names, where) end,
}
