-- SPDX-License-Identifier: Apache-2.0
--- What a table may hold: for each field its kind, and whether it is required. Tables that people write (boards,
-- instruction sets, dialects), those that a manifest is, and requests of the compiler's own parts are checked alike: an
-- unknown field or value is refused in one line that names
-- table, field, what was expected, what was found, and the nearest name.
--
-- A schema is a table: field = { kind, required }. A kind is called with a value and gives nothing where the value is
-- one, else what was expected (and what was found, where that is not the value). `names` of a kind lists the values of
-- a closed set, `fields` is the schema of a table, `item` the kind of a list's members: by these, tests find every
-- closed set of a schema.
local closed = require "support.closed"
local fail = require "support.fail"

local schema = {}

local Kind = {}
Kind.__index = Kind
function Kind:__call(value) return self.test(value) end

local function kind(test, more)
  local made = setmetatable({ test = test }, Kind)
  for key, value in pairs(more or {}) do made[key] = value end
  return made
end

--- A kind by its test: function(value) -> nil, or what was expected (and found).
schema.kind = kind

--- A value as a message shows it: short, and in one line.
function schema.shown(value)
  if value == nil then return "none" end
  if type(value) == "string" and tonumber(value) then return ("the text %s"):format(value:gsub("%c", " ")) end
  if type(value) == "string" then return value == "" and "an empty text" or ((#value > 60 and value:sub(1, 57) .. "..."
    or value):gsub("%c", " ")) end
  if value ~= value then return "NaN" end
  if math.type(value) == "float" then return ("%.14g"):format(value) end
  return type(value) == "table" and "a table" or type(value) == "function" and "a function" or tostring(value)
end
local shown = schema.shown

schema.text = kind(function(value)
  if type(value) ~= "string" or value == "" or value:find "%c" then return "a text in one line" end
end)

schema.flag = kind(function(value)
  if type(value) ~= "boolean" then return "true or false" end
end)

schema.number = kind(function(value)
  if math.type(value) == nil or value ~= value or value == math.huge or value == -math.huge then return "a number" end
end)

--- A whole number; as a float, too, where it is one.
function schema.whole(least, most)
  return kind(function(value)
    local n = not schema.number(value) and math.tointeger(value)
    if n and n >= least and n <= most then return nil end
    return most < math.maxinteger and ("a whole number from %d to %d"):format(least, most)
      or ("a whole number, at least %d"):format(least)
  end)
end

--- One of a closed set of values.
function schema.one_of(...)
  local allowed, texts = { ... }, {}
  for i, name in ipairs(allowed) do texts[i] = tostring(name) end
  return kind(function(value)
    for _, name in ipairs(allowed) do
      if name == value then return nil end
    end
    return closed.list(texts), shown(value) .. closed.hint(value, texts)
  end, { names = allowed })
end

--- A list of at least so many members of a kind. @param what members are called, "texts" unless said
function schema.list_of(item, least, what)
  return kind(function(value)
    local expected = ("a list of %s%s"):format(least > 0 and "one or more " or "", what or "texts")
    if type(value) ~= "table" or #value < least then return expected, type(value) == "table" and "an empty one"
      or nil end
    local count = 0
    for _ in pairs(value) do count = count + 1 end
    if count ~= #value then return expected, "a table with other keys" end
    for i, member in ipairs(value) do
      local problem, found = item(member)
      if problem then return problem .. (" as number %d"):format(i), found or shown(member) end
    end
  end, { item = item })
end

--- The same, each member once.
function schema.set_of(item, least, what)
  local list = schema.list_of(item, least, what)
  return kind(function(value)
    local expected, found = list(value)
    if expected then return expected, found end
    local seen = {}
    for _, member in ipairs(value) do
      if seen[member] then return ("each of the %s once"):format(what or "texts"), shown(member) .. " twice" end
      seen[member] = true
    end
  end, { item = item })
end

local a_table = kind(function(value)
  if type(value) ~= "table" then return "a table" end
end)

--- A table with fields of its own.
function schema.record(fields) return kind(a_table.test, { fields = fields }) end

--- A table that somebody else checks.
schema.table = a_table

local function check_value(key, one, value, where)
  local expected, found = one[1](value)
  if value == nil and not one[2] then return end
  if expected then fail("%s: %s: expected %s, found %s", where, key, expected, value ~= nil and found
    or shown(value)) end
  if one[1].fields then schema.check(value, one[1].fields, where .. ": " .. key) end
end

--- Refuse a table that has an unknown field, lacks a required one, or has one that is not of its kind.
-- @param where what messages begin with
function schema.check(value, fields, where)
  local known = closed.sorted(fields)
  local keys, names = {}, {}
  for key in pairs(value) do
    names[#names + 1] = shown(key)
    keys[names[#names]] = key
  end
  table.sort(names)
  for _, name in ipairs(names) do
    if not fields[keys[name]] then
      fail("%s: expected one of the fields %s, found %s%s", where, table.concat(known, ", "), name,
        closed.hint(keys[name], known))
    end
  end
  for _, key in ipairs(known) do check_value(key, fields[key], value[key], where) end
end

--- The same for a table with more fields than are of interest here: those that nobody reads are let pass.
function schema.check_known(value, fields, where)
  for _, key in ipairs(closed.sorted(fields)) do
    local one = fields[key]
    check_value(key, one[1].fields and { a_table, one[2] } or one, value[key], where)
    if value[key] ~= nil and one[1].fields then schema.check_known(value[key], one[1].fields, where .. ": " .. key) end
  end
end

return schema
