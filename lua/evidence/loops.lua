-- SPDX-License-Identifier: Apache-2.0
--- Bounds of the loops of generated C, read off its text: how often each runs at most, whatever it is given. A bound is
-- a number, an entry of a constant table, a parameter that has numbers in all calls, or a constant made of these.
local loops = {}

-- ---- expressions: an upper bound, or nil ----

local Parser = {}
Parser.__index = Parser

function Parser:peek() return self.tokens[self.at] end

function Parser:take()
  self.at = self.at + 1
  return self.tokens[self.at - 1]
end

local CAST = { size_t = true, uint32_t = true, uint16_t = true, uint8_t = true, int32_t = true, int = true }

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

-- Of a choice the larger bound.
function Parser:expression()
  local value = sum(self)
  local compared = self:peek()
  if compared == "<" or compared == ">" or compared == "<=" or compared == ">=" or compared == "==" or compared == "!="
  then
    self:take()
    sum(self)
    value = UNKNOWN
  end
  if self:peek() == "?" then
    self:take()
    local yes = self:expression()
    self:take()
    local no = self:expression()
    return { math.min(yes[1], no[1]), both(yes[2], no[2], math.max) }
  end
  return value
end

-- @param look function(name, is it an entry of a table) -> value
local function evaluate(text, look)
  local p = setmetatable({ tokens = tokens_of(text), at = 1, look = look }, Parser)
  local value = p:expression()
  return p.at > #p.tokens and value or UNKNOWN
end

-- ---- functions ----

-- What stands between commas that no parenthesis holds.
local function split(list)
  local out, depth, first = {}, 0, 1
  for at, c in list:gmatch "()([(),])" do
    if c == "(" then depth = depth + 1 elseif c == ")" then depth = depth - 1
    elseif depth == 0 then
      out[#out + 1] = list:sub(first, at - 1)
      first = at + 1
    end
  end
  out[#out + 1] = list:sub(first)
  return out
end

-- The largest entry of a constant table.
local function table_of(words)
  local most
  for word in words:gmatch "[%w_]+" do
    local n = number_of(word)
    if not n then return UNKNOWN end
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

-- A function's parameters, constants, tables and loops.
local function parsed(f)
  local head = f.text:match "^[^{]*"
  local made = { f = f, parameters = {}, constants = {}, tables = {}, loops = {} }
  for i, one in ipairs(split(head:match "%((.*)%)" or "")) do
    made.parameters[one:match "([%w_]+)[%s%[%]%d]*$" or i] = i
  end
  for name, words in f.text:gmatch "static const uint%d+_t ([%w_]+)%[%d+%]%s*=%s*{([^}]*)}" do
    made.tables[name] = table_of(words)
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

-- Whether a function gives a parameter another value.
local function assigned(text, name)
  local body = text:match "{.*$" or ""
  return body:find("%f[%w_]" .. name .. " [-+*/%%&|^]?= ") or body:find("%f[%w_]" .. name .. " ?[<>][<>]= ")
    or body:find("[-+][-+]" .. name .. "%f[^%w_]") or body:find("%f[%w_]" .. name .. "[-+][-+]")
end

local Bounds = {}
Bounds.__index = Bounds

-- What a name is at most within a function; of a parameter over all calls.
function Bounds:look(made, name, entry, depth)
  if depth > 12 then return UNKNOWN end
  if entry then return made.tables[name] or UNKNOWN end
  local constant = made.constants[name]
  if constant then
    return evaluate(constant, function(one, of_table) return self:look(made, one, of_table, depth + 1) end)
  end
  local place = made.parameters[name]
  if place and assigned(made.f.text, name) then return UNKNOWN end
  if place then return self:parameter(made, name, place, depth + 1) end
  return UNKNOWN
end

function Bounds:parameter(made, name, place, depth)
  local key = made.f.key .. "\n" .. name
  if self.known[key] ~= nil then return self.known[key] end
  self.known[key] = UNKNOWN -- of a call within itself nothing is known
  local low, high, any = math.huge, 0, false
  for _, call in ipairs(self.calls[made.f.key] or {}) do
    local value = call.arguments[place] and evaluate(call.arguments[place], function(one, of_table)
      return self:look(call.from, one, of_table, depth + 1)
    end) or UNKNOWN
    any, low = true, math.min(low, value[1])
    high = high and value[2] and math.max(high, value[2])
  end
  self.known[key] = any and { low, high } or UNKNOWN
  return self.known[key]
end

-- How often a loop runs at most, or nil.
function Bounds:trips(made, header)
  local first, condition, step = header:match "^(.-);(.-);(.*)$"
  local variable, start = (first or ""):match "([%w_]+) = (.+)$"
  if not variable then return nil end
  local function value(text)
    return evaluate(text, function(one, of_table) return self:look(made, one, of_table, 0) end)
  end
  local by = step:match "%+= (.+)$"
  local most
  for one in (condition .. "&&"):gmatch "(.-)&&" do
    local name, limit = one:match "^%s*([%w_]+) < (.-)%s*$"
    if name == variable then
      local high = value(limit)[2]
      most = high and math.min(most or high, high) or most
    end
  end
  if not most then return nil end
  local each = by and math.max(value(by)[1], 1) or 1
  return math.max(0, (most - value(start)[1] + each - 1) // each)
end

-- Calls of each function: key -> list of { from, arguments }.
local function calls_of(all, of)
  local calls = {}
  for _, made in ipairs(all) do
    local body = made.f.text:match "^[^{]*({.*)$" or ""
    for name, arguments in body:gmatch "([%a_][%w_]*)(%b())" do
      for _, key in ipairs { made.f.file .. ":" .. name, name } do
        if of.by_key[key] and made.f.calls[key] then
          calls[key] = calls[key] or {}
          table.insert(calls[key], { from = made, arguments = split(arguments:sub(2, -2)) })
          break
        end
      end
    end
  end
  return calls
end

--- The loops of some files' functions.
-- @param of evidence.text's @param stems set of files
-- @return a list in order of { name, file, line, header, trips = at most, or nil where no bound was found }
function loops.of(of, stems)
  local all, out = {}, {}
  for i, f in ipairs(of.functions) do all[i] = parsed(f) end
  local self = setmetatable({ known = {}, calls = calls_of(all, of) }, Bounds)
  for _, made in ipairs(all) do
    if stems[made.f.stem] then
      for _, loop in ipairs(made.loops) do
        out[#out + 1] = { name = made.f.name, file = made.f.file, line = loop.line, header = loop.header,
          trips = self:trips(made, loop.header) }
      end
    end
  end
  return out
end

return loops
