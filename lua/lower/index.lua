-- SPDX-License-Identifier: Apache-2.0
--- Places that depend on loop variables: terms of whole numbers and variables under + - * / % (division rounds down, as
-- C's of numbers that are not negative). A term that says a number is one: x + 0, x * 1 and a bound variable fold away.

local Index = {}
Index.__index = Index

local index = {}

local function is_number(term) return math.type(term) == "integer" end

local function node(op, a, b) return setmetatable({ op = op, a = a, b = b }, Index) end

--- A variable. @param name as C knows it
function index.variable(name) return setmetatable({ op = "variable", name = name }, Index) end

local function same(a, b)
  if is_number(a) or is_number(b) then return a == b end
  if a.op ~= b.op then return false end
  if a.op == "variable" then return a.name == b.name end
  return same(a.a, b.a) and same(a.b, b.b)
end

local make = {}

make["+"] = function(a, b)
  if is_number(a) and is_number(b) then return a + b end
  if a == 0 then return b end
  if b == 0 then return a end
  -- Numbers gather at the end.
  if is_number(a) then a, b = b, a end
  if is_number(b) and a.op == "+" and is_number(a.b) then return make["+"](a.a, a.b + b) end
  return node("+", a, b)
end

make["-"] = function(a, b)
  if is_number(a) and is_number(b) then return a - b end
  if b == 0 then return a end
  if not is_number(a) and not is_number(b) and same(a, b) then return 0 end
  return node("-", a, b)
end

make["*"] = function(a, b)
  if is_number(a) and is_number(b) then return a * b end
  if is_number(a) then a, b = b, a end
  if b == 0 then return 0 end
  if b == 1 then return a end
  if is_number(b) and a.op == "*" and is_number(a.b) then return make["*"](a.a, a.b * b) end
  if is_number(b) and a.op == "+" and is_number(a.b) then return make["+"](make["*"](a.a, b), a.b * b) end
  return node("*", a, b)
end

make["/"] = function(a, b)
  if is_number(a) and is_number(b) then return a // b end
  if a == 0 or b == 1 then return a end
  if is_number(b) and a.op == "/" and is_number(a.b) then return node("/", a.a, a.b * b) end
  return node("/", a, b)
end

make["%"] = function(a, b)
  if is_number(a) and is_number(b) then return a % b end
  if a == 0 or b == 1 then return 0 end
  if is_number(b) and a.op == "%" and is_number(a.b) and a.b % b == 0 then return node("%", a.a, b) end
  return node("%", a, b)
end

Index.__add, Index.__sub, Index.__mul, Index.__idiv, Index.__mod = make["+"], make["-"], make["*"], make["/"], make["%"]

--- The term with some variables' values in their place. @param values { name = number or term }
function index.bind(term, values)
  if is_number(term) then return term end
  if term.op == "variable" then return values[term.name] or term end
  return make[term.op](index.bind(term.a, values), index.bind(term.b, values))
end

--- Whether a variable is in it.
function index.has(term, name)
  if is_number(term) then return false end
  if term.op == "variable" then return term.name == name end
  return index.has(term.a, name) or index.has(term.b, name)
end

--- Add the names of its variables to a set.
function index.names(term, set)
  if is_number(term) then return set end
  if term.op == "variable" then
    set[term.name] = true
    return set
  end
  index.names(term.a, set)
  return index.names(term.b, set)
end

-- The lowest and the highest of two ends each, under an operator; nil where nothing is said.
local range = {}
range["+"] = function(a, b, c, d) return a + c, b + d end
range["-"] = function(a, b, c, d) return a - d, b - c end
range["*"] = function(a, b, c, d) if a >= 0 and c >= 0 then return a * c, b * d end end
range["/"] = function(a, b, c, d) if a >= 0 and c == d then return a // c, b // c end end
range["%"] = function(a, b, c, d)
  if a < 0 or c ~= d then return nil end
  if a // c == b // c then return a % c, b % c end
  return 0, c - 1
end

--- The lowest and the highest value of a term, or nil where a variable's are not known.
-- @param ranges name -> { low, high }
function index.range(term, ranges)
  if is_number(term) then return term, term end
  if term.op == "variable" then
    local known = ranges[term.name]
    if known then return known[1], known[2] end
    return nil
  end
  local a, b = index.range(term.a, ranges)
  local c, d = index.range(term.b, ranges)
  if a and c then return range[term.op](a, b, c, d) end
end

local TIGHT = { ["+"] = 1, ["-"] = 1, ["*"] = 2, ["/"] = 2, ["%"] = 2 }

-- Of a number below 0, or a product with one, the same above 0: what is taken away, since a size_t is not negative.
local function taken(term)
  if is_number(term) then return term < 0 and -term or nil end
  return term.op == "*" and is_number(term.b) and term.b < 0 and make["*"](term.a, -term.b) or nil
end

-- `least` is how tight an operator must be to need no parentheses here.
local function text(term, least)
  if is_number(term) then return ("%d"):format(term) end
  if term.op == "variable" then return term.name end
  if term.op == "+" and taken(term.b) then return text(node("-", term.a, taken(term.b)), least) end
  if term.op == "+" and taken(term.a) then return text(node("-", term.b, taken(term.a)), least) end
  local tight = TIGHT[term.op]
  local words = ("%s %s %s"):format(text(term.a, tight), term.op, text(term.b, term.op == "+" and 1 or tight + 1))
  return tight < least and "(" .. words .. ")" or words
end

--- As C prints it, of size_t.
function index.text(term) return text(term, 1) end

return index
