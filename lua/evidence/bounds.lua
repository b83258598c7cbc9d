-- SPDX-License-Identifier: Apache-2.0
--- What sizes in generated C are at most: expressions of numbers, constants, tables and names whose bounds are known,
-- and of a function its parameters, constants, constant tables and loops.
local split = require "kernels.operations".split

local bounds = {}

-- ---- expressions: an upper bound, or nil ----

local Parser = {}
Parser.__index = Parser

function Parser:peek() return self.tokens[self.at] end

function Parser:take()
  self.at = self.at + 1
  return self.tokens[self.at - 1]
end

local CAST = { size_t = true, uint32_t = true, uint16_t = true, uint8_t = true, int32_t = true, int = true }

local BYTES = { float = 4, uint32_t = 4, uint16_t = 2, uint8_t = 1, int8_t = 1 }

-- Words, operators of two signs, then single ones.
local function tokens_of(text)
  local list, at = {}, 1
  while at <= #text do
    local word = text:match("^[%w_]+", at) or text:match("^[<>=!]=", at) or text:match("^&&", at)
      or text:match("^%->", at) or text:match("^%S", at)
    if word then list[#list + 1] = word end
    at = at + math.max(1, word and #word or 1)
  end
  return list
end

local function number_of(word)
  local digits = word:match "^(%d+)[uUlL]*$" or word:match "^(0x%x+)[uUlL]*$"
  return digits and math.tointeger(tonumber(digits))
end

-- A value is { low, high }; high nil: unknown.
local UNKNOWN = { 0, nil }
bounds.UNKNOWN = UNKNOWN

local function primary(p)
  local word = p:take()
  if word == "(" then
    if CAST[p:peek() or ""] and p.tokens[p.at + 1] == ")" then
      p.at = p.at + 2
      return primary(p)
    end
    local value = p:expression()
    p:take()
    return value
  end
  local size = word == "sizeof" and p:peek() == "(" and p.tokens[p.at + 2] == ")" and BYTES[p.tokens[p.at + 1]]
  if size then
    p.at = p.at + 3
    return { size, size }
  end
  local n = word and number_of(word)
  if n then return { n, n } end
  if word and word:match "^[%a_]" then
    if p:peek() == "[" then
      local depth = 0
      repeat
        local one = p:take()
        depth = depth + (one == "[" and 1 or one == "]" and -1 or 0)
      until depth == 0 or not one
      return p.look(word, true)
    end
    while p:peek() == "." or p:peek() == "->" do word = word .. p:take() .. (p:take() or "") end
    return p.look(word, false)
  end
  return UNKNOWN
end

local function both(a, b, f) return a and b and f(a, b) or nil end

local function product(p)
  local value = primary(p)
  while p:peek() == "*" or p:peek() == "/" or p:peek() == "%" do
    local op, other = p:take(), primary(p)
    if op == "*" then value = { value[1] * other[1], both(value[2], other[2], function(a, b) return a * b end) }
    elseif op == "/" then
      local least = math.max(other[1], 1)
      value = { other[2] and other[2] > 0 and value[1] // other[2] or 0, value[2] and value[2] // least }
    else value = { 0, other[2] and math.max(other[2] - 1, 0) or value[2] } end
  end
  return value
end

local function sum(p)
  local value = product(p)
  while p:peek() == "+" or p:peek() == "-" do
    local op, other = p:take(), product(p)
    if op == "+" then value = { value[1] + other[1], both(value[2], other[2], function(a, b) return a + b end) }
    else value = { 0, value[2] and math.max(value[2] - other[1], 0) } end
  end
  return value
end

local COMPARES = { ["<"] = true, [">"] = true, ["<="] = true, [">="] = true, ["=="] = true, ["!="] = true }

-- A part of an expression, and its words.
local function part(p, rule)
  local from = p.at
  local value = rule(p)
  return value, table.concat(p.tokens, " ", from, math.min(p.at - 1, #p.tokens))
end

-- Of a choice the larger bound; of x < y ? x : y the smaller one.
function Parser:expression()
  local value, left = part(self, sum)
  local compared, other, right = self:peek(), nil, nil
  if COMPARES[compared or ""] then
    self:take()
    other, right = part(self, sum)
  end
  if self:peek() ~= "?" then return other and UNKNOWN or value end
  self:take()
  local yes, first = part(self, Parser.expression)
  self:take()
  local no, second = part(self, Parser.expression)
  if compared == "<" and first == left and second == right then
    local most = yes[2] and no[2] and math.min(yes[2], no[2]) or yes[2] or no[2]
    return { math.min(yes[1], no[1]), most }
  end
  return { math.min(yes[1], no[1]), both(yes[2], no[2], math.max) }
end

--- The bounds of an expression: { low, high }, high nil where none is known.
-- @param look function(name, is it an entry of a table) -> value
function bounds.evaluate(text, look)
  local p = setmetatable({ tokens = tokens_of(text), at = 1, look = look }, Parser)
  local value = p:expression()
  return p.at > #p.tokens and value or UNKNOWN
end

-- ---- functions ----

-- The largest entry of a constant table.
local function table_of(words)
  local most
  for word in words:gmatch "[%w_]+" do
    local n = number_of(word)
    if not n then return bounds.UNKNOWN end
    most = math.max(most or 0, n)
  end
  return { 0, most }
end

-- The loops of a function by their lines; a header may go on over some.
local function add_loops(made, f)
  local lines, count = {}, 0
  for line in (f.text .. "\n"):gmatch "([^\n]*)\n" do
    count = count + 1
    lines[count] = line
  end
  local function add(i, header) made.loops[#made.loops + 1] = { line = f.last - count + i, header = header } end
  for i, line in ipairs(lines) do
    local from = line:find "for %("
    local joined = from and line:sub(from) or ""
    for k = i + 1, math.min(i + 3, count) do
      if from and not joined:find "^for %b()" then joined = joined .. " " .. lines[k] end
    end
    for header in joined:gmatch "for (%b())" do add(i, header:sub(2, -2)) end
    if line:find "while %(" or line:find "%f[%w]do {" then add(i, "while") end
  end
end

--- A function's parameters, constants, tables, structs of numbers (in order, false for what is none) and loops.
-- @param f of evidence.text's
function bounds.parsed(f)
  local head = f.text:match "^[^{]*"
  local made = { f = f, parameters = {}, constants = {}, tables = {}, structs = {}, loops = {} }
  for i, one in ipairs(split(head:match "%((.*)%)" or "")) do
    made.parameters[one:match "([%w_]+)[%s%[%]%d]*$" or i] = i
  end
  for name, words in f.text:gmatch "static const uint%d+_t ([%w_]+)%[%d+%]%s*=%s*{([^}]*)}" do
    made.tables[name] = table_of(words)
  end
  for name, words in f.text:gmatch "static const [%w_]+ ([%w_]+) = {([^{}]*)};" do
    made.structs[name] = {}
    for word in words:gmatch "[^%s,]+" do table.insert(made.structs[name], number_of(word) or false) end
  end
  for name, expression in f.text:gmatch "const %w+_t ([%w_]+) = ([^;{]-);" do
    for one in (name .. " = " .. expression):gmatch "[^,]+" do
      local key, value = one:match "^%s*([%w_]+) = (.+)$"
      if key then made.constants[key] = value end
    end
  end
  for list in f.text:gmatch "enum {([^}]*)}" do
    for name, value in list:gmatch "([%w_]+) = (%w+)" do made.constants[name] = value end
  end
  add_loops(made, f)
  return made
end

--- How often a loop runs at most, or nil. @param header between its parentheses @param look of evaluate
-- @return trips, the loop's variable, its bounds, its step at least
function bounds.trips(header, look)
  local first, condition, step = header:match "^(.-);(.-);(.*)$"
  local variable, start = (first or ""):match "([%w_]+) = (.+)$"
  if not variable then return nil end
  local most
  for one in (condition .. "&&"):gmatch "(.-)&&" do
    local name, limit = one:match "^%s*([%w_]+) < (.-)%s*$"
    local high = name == variable and bounds.evaluate(limit, look)[2]
    if high then most = math.min(most or high, high) end
  end
  if not most then return nil end
  local by = step:match "%+= (.+)$"
  local each, low = by and math.max(bounds.evaluate(by, look)[1], 1) or 1, bounds.evaluate(start, look)[1]
  return math.max(0, (most - low + each - 1) // each), variable, { low, math.max(most - 1, 0) }, each
end

return bounds
