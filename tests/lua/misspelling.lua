-- SPDX-License-Identifier: Apache-2.0
-- Every slip of the pen that a schema must notice, found in the schema itself: a new field is tested without another
-- line here.

local spec = require "spec"
local closed = require "support.closed"

local function copy(value)
  if type(value) ~= "table" then return value end
  local made = {}
  for key, one in pairs(value) do made[key] = copy(one) end
  return made
end

-- Two letters exchanged, or one more: a word that is not in the list.
local function slip(word, names)
  local taken = {}
  for _, name in ipairs(names) do taken[tostring(name)] = true end
  for _, candidate in ipairs { word:gsub("^(.)(.)", "%2%1"), word:gsub("(.)(.)$", "%2%1"), word .. "e", word .. "q" } do
    if type(candidate) == "string" and candidate ~= word and not taken[candidate] then return candidate end
  end
end

-- The kind of a field's closed set, and whether it is that of a list's members.
local function closed_set(kind)
  if kind.names then return kind.names, false end
  if kind.item and kind.item.names then return kind.item.names, true end
end

local function inside(whole, path)
  for _, key in ipairs(path) do whole = whole[key] end
  return whole
end

local function given(whole, path)
  for _, key in ipairs(path) do whole = whole ~= nil and whole[key] or nil end
  return whole ~= nil
end

--- Hold all slips against a check.
-- @param sample a table that the check takes  @param fields its schema  @param check function(table) that refuses with
-- an error of the user's
-- @param where what each refusal begins with
-- @param open whether unknown fields are let pass, as of a file that others read, too
-- @return how many slips were tried
return function(sample, fields, check, where, open)
  local tried = 0
  local function refused(path, change, ...)
    local one = copy(sample)
    change(inside(one, path))
    local ok, problem = pcall(check, one)
    local what = table.concat(path, ".")
    if ok then error(("%s: %s: a slip is not noticed: %s"):format(where, what, table.concat({ ... }, ", ")), 0) end
    if type(problem) ~= "table" then error(("%s: %s: an internal error: %s"):format(where, what, tostring(problem)),
      0) end
    spec.holds(problem.msagen, where, ...)
    tried = tried + 1
  end
  local function walk(schema, path)
    local known = closed.sorted(schema)
    for _, key in ipairs(known) do
      local kind, required = schema[key][1], schema[key][2]
      local wrong = slip(key, known)
      if not open then refused(path, function(t) t[wrong] = t[key] == nil and true or t[key] end,
        "expected one of the fields", wrong) end
      if required then refused(path, function(t) t[key] = nil end, key, "expected", "found none") end
      local callable = not kind(function() end)
      refused(path, function(t)
        if callable then t[key] = 7 else t[key] = function() end end
      end, key, "expected", callable and "found 7" or "found a function")
      local names, in_list = closed_set(kind)
      for _, name in ipairs(names or {}) do
        if type(name) == "string" then
          local other = slip(name, names)
          refused(path, function(t) t[key] = in_list and { other } or other end, key, name, "found " .. other)
        end
      end
      local deeper = table.move(path, 1, #path, 1, {})
      deeper[#deeper + 1] = key
      if kind.fields and given(sample, deeper) then walk(kind.fields, deeper) end
    end
  end
  walk(fields, {})
  return tried
end
