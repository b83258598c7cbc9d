-- SPDX-License-Identifier: Apache-2.0
--- Text templates: C with Lua between the lines.
-- A line whose first character other than blanks is `@`, followed by a blank or nothing, is a Lua statement;
-- in every other line `$(expression)` becomes the value of the expression, numbers without a fraction as integers.
-- Errors name the template and its line.
local template = {}

-- What templates are compiled to, by name and text: functions of what they see.
local cache = {}

-- The C text as Lua source: line n of the source is line n of the template, so that Lua's own messages are right.
local function translate(text)
  local out = {}
  for line in (text:sub(-1) == "\n" and text or text .. "\n"):gmatch("(.-)\n") do
    local statement = line:match("^%s*@%s(.*)$") or line:match("^%s*@$") and ""
    if statement then
      out[#out + 1] = statement
    else
      local pieces, at = {}, 1
      while true do
        local first, last = line:find("%$%b()", at)
        local plain = line:sub(at, first and first - 1)
        if plain ~= "" then pieces[#pieces + 1] = ("%q"):format(plain) end
        if not first then break end
        pieces[#pieces + 1] = "_text(" .. line:sub(first + 2, last - 1) .. ")"
        at = last + 1
      end
      pieces[#pieces + 1] = [["\n"]]
      out[#out + 1] = "_put(" .. table.concat(pieces, ", ") .. ")"
    end
  end
  return table.concat(out, "\n")
end

local function text_of(value)
  if value == nil then error("a substitution is nil", 2) end
  if math.type(value) == "float" and value == math.floor(value) and math.abs(value) < 2 ^ 53 then
    return ("%d"):format(value)
  end
  return tostring(value)
end

--- Render template text.
-- @param text the template; @param name its name for messages; @param env names the template sees
-- @param more others that it sees: Lua's own, unless given
-- @return the text
function template.render(text, name, env, more)
  local key = name .. "\0" .. text
  local chunk = cache[key]
  if not chunk then
    local message
    chunk, message = load("local _ENV = ... " .. translate(text), "@" .. name, "t")
    if not chunk then error(message, 0) end
    cache[key] = chunk
  end
  local out = {}
  local scope = setmetatable({
    _put = function(...)
      for i = 1, select("#", ...) do out[#out + 1] = (select(i, ...)) end
    end,
    _text = text_of,
  }, {
    __index = function(_, k)
      local v = env[k]
      if v == nil then v = (more or _G)[k] end
      if v == nil then error(("the template uses %s, which is not given"):format(k), 2) end
      return v
    end,
  })
  chunk(scope)
  return table.concat(out)
end

--- Render a file of the templates folder.
function template.file(folder, name, env, more)
  local path = folder .. "/" .. name
  local file, message = io.open(path, "rb")
  if not file then error(message, 0) end
  local text
  text, message = file:read "a"
  file:close()
  if not text then error(("%s: %s"):format(path, message), 0) end
  return template.render(text, name, env, more)
end

return template
