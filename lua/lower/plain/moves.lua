-- SPDX-License-Identifier: Apache-2.0
--- Operations that compute nothing, or nothing but sums of what they move.

local affine = require "lower.plain.affine"
local group = require "lower.group"
local order = require "lower.plain.order"

local input = group.input

local moves = {}

-- Rows from places that a list says; zeros, or a row that is given, where it names none.
local function rows_by(lower, op, x, index, most, fill)
  local to = lower:written(op)
  local copies, empty = affine.of(index, most)
  local width, source = order.width(op), fill and lower.values:vector(fill)
  local loops = affine.loops(copies, function(body, at, from, rows)
    if x:ld() == to:ld() then return body:copy(to:row(at), x:row(from), (rows - 1) * to:ld() + width) end
    body:each({ variable = "r", to = rows }, function(each, r) each:copy(to:row(at + r), x:row(from + r), width) end)
  end)
  for _, loop in ipairs(affine.loops(empty, function(body, at, _, rows)
    if not source then return body:zero(to:row(at), rows * to:ld()) end
    body:each({ variable = "r", to = rows }, function(each, r) each:copy(to:row(at + r), source, width) end)
  end)) do loops[#loops + 1] = loop end
  lower:parted(loops)
end

function moves.gather(lower, op)
  local x = input(op, "x")
  rows_by(lower, op, lower:read(x), op.index(), order.rows(x), input(op, "fill"))
end

--- Matrices one below the other.
function moves.concat(lower, op)
  local to, at, list = lower:written(op), 0, {}
  for i, x in ipairs(op.inputs) do list[i] = lower:read(x) end
  local loops = {}
  for i, x in ipairs(op.inputs) do
    local first, rows, width = at, order.rows(x), order.width(x)
    loops[i] = { variable = "r", to = rows, of = "rows", build = function(body, r)
      body:copy(to:row(first + r), list[i]:row(r), width)
    end }
    at = at + rows
  end
  lower:parted(loops)
end

--- Rows at a place among zeros.
function moves.place(lower, op)
  local x = input(op, "x")
  local each = order.rows(op) // op.shape[1]
  local index, first, rows = {}, op.first * each, order.rows(x)
  for i = 0, order.rows(op) - 1 do index[i + 1] = i >= first and i < first + rows and i - first or rows end
  rows_by(lower, op, lower:read(x), index, rows)
end

-- Row and column, in rows of so many, of the element with these indexes in a shape.
local function place_in(shape, indexes, width)
  local row, column, inner, i = 0, 0, 1, #shape
  while i > 0 and inner * shape[i] <= width and width % (inner * shape[i]) == 0 and inner < width do
    column, inner, i = column + indexes[i] * inner, inner * shape[i], i - 1
  end
  if inner == width then
    local far = 1
    for k = i, 1, -1 do
      row, far = row + indexes[k] * far, far * shape[k]
    end
    return row, column
  end
  local flat, far = 0, 1
  for k = #shape, 1, -1 do
    flat, far = flat + indexes[k] * far, far * shape[k]
  end
  return flat // width, flat % width
end

-- Elements one by one: dimensions in another order. What comes from another shape, and what goes to another one, is
-- never there in between.
-- @param turn the permutation @param op what has memory: it, or the shape that follows
local function elements(lower, op, turn)
  local x = input(turn, "x")
  local before = order.is_virtual(x, lower.users) and input(x, "x") or x
  local from, to = lower:read(before), lower:written(op)
  local a, b = order.width(before), order.width(op)
  local indexes, go = {}, nil
  local function loop(dimension)
    return { variable = ("i%d"):format(dimension), to = turn.shape[dimension], of = "parts",
      build = function(body, i)
        indexes[dimension] = turn.shape[dimension] == 1 and 0 or i
        go(body, dimension + 1)
      end }
  end
  function go(body, dimension)
    if dimension > #turn.shape then
      local source = {}
      for i, of in ipairs(turn.order) do source[of] = indexes[i] end
      local row, column = place_in(x.shape, source, a)
      local to_row, to_column = place_in(turn.shape, indexes, b)
      return body:assign(to:row(to_row) + to_column, from:row(row) + column)
    end
    local inner = loop(dimension)
    body:each(inner, inner.build)
  end
  lower:parted { loop(1) }
end

--- Dimensions in another order: a matrix is turned by a kernel.
function moves.permute(lower, op)
  local x = input(op, "x")
  local rows, width = order.rows(x), order.width(x)
  local turned = #op.shape == 2 and op.order[1] == 2 and not order.is_virtual(x, lower.users)
  if not turned then return elements(lower, op, op) end
  local from, to = lower:read(x), lower:written(op)
  lower:turn(from, rows, width, to)
end

--- The same numbers in rows of another width.
function moves.reshape(lower, op)
  local x = input(op, "x")
  if order.is_virtual(x, lower.users) then return elements(lower, op, x) end
  local from, to, a, b = lower:read(x), lower:written(op), order.width(x), order.width(op)
  lower:parted { { variable = "r", to = order.rows(op), of = "rows", build = function(body, r)
    body:each({ variable = "c", to = b }, function(each, c)
      local row, column = place_in({ order.rows(op), b }, { r, c }, a)
      each:assign(to:row(r) + c, from:row(row) + column)
    end)
  end } }
end

--- Rows that several places of a list take: sums in its order, from +0.
function moves.scatter(lower, op)
  local x = input(op, "x")
  local from, to, width, C = lower:read(x), lower:written(op), order.width(op), order.width(op)
  local index = op.index()
  lower:stage("zero", function(body)
    body:zero(to, order.rows(op) * to:ld())
    for i, at in ipairs(index) do
      if at < order.rows(op) then
        body:call(lower.K:rows("add", { rows = 1, C = C, ldx = from:ld(), ldy = to:ld() }), from:row(i - 1), to:row(at))
      end
    end
  end)
  assert(width == C)
end

--- a where an input is given, else b.
function moves.select(lower, op)
  local a, b, to = lower:read(input(op, "a")), lower:read(input(op, "b")), lower:written(op)
  local count = order.rows(op) * to:ld()
  local given = lower:condition(op.given)
  lower:stage("zero", function(body)
    body:when(given, function(inner) inner:copy(to, a, count) end,
      function(inner) inner:copy(to, b, count) end)
  end)
end

--- x where that holds, else zeros.
function moves.taken(lower, op)
  local x, to = lower:read(input(op, "x")), lower:written(op)
  local count = order.rows(op) * to:ld()
  local function copied(inner) inner:copy(to, x, count) end
  local function none(inner) inner:zero(to, count) end
  local given = lower:condition(op.given)
  lower:stage("zero", function(body)
    body:when(given, op.holds and copied or none, op.holds and none or copied)
  end)
end

--- Rows of tokens: features, and where an index says so a row of a table on top.
function moves.embed(lower, op)
  local features, rows = lower:read(input(op, "features")), lower:read(input(op, "table"))
  local index, to = lower:read(input(op, "index")), lower:written(op)
  lower:stage("zero", function(body)
    body:c({ features, rows, index, to }, {}, function(text)
      return ([==[
for (size_t i = 0; i < %d; ++i) {
    const float at = %s[i * %d];
    const float *const row = at < 0.0f ? NULL : %s + (size_t)at * %d;
    for (size_t c = 0; c < %d; ++c) {
        const float feature = %s[i * %d + c];
        %s[i * %d + c] = row != NULL ? feature + row[c] : feature;
    }
}]==]):format(order.rows(op), text:pointer(index), index:ld(), text:pointer(rows), rows:ld(), order.width(op),
        text:pointer(features), features:ld(), text:pointer(to), to:ld())
    end)
  end)
end

--- The sum of what is of each row of the table, in the order of the tokens.
function moves.embed_dtable(lower, op)
  local dy, index, to = lower:read(input(op, "dy")), lower:read(input(op, "index")), lower:written(op)
  lower:stage("zero", function(body)
    body:zero(to, order.rows(op) * to:ld())
    body:c({ dy, index, to }, {}, function(text)
      return ([==[
for (size_t i = 0; i < %d; ++i) {
    const float at = %s[i * %d];
    if (at >= 0.0f) {
        float *const sum = %s + (size_t)at * %d;
        for (size_t c = 0; c < %d; ++c) {
            sum[c] = sum[c] + %s[i * %d + c];
        }
    }
}]==]):format(order.rows(input(op, "dy")), text:pointer(index), index:ld(), text:pointer(to), to:ld(), order.width(op),
        text:pointer(dy), dy:ld())
    end)
  end)
end

return moves
