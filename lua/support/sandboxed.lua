-- SPDX-License-Identifier: Apache-2.0
-- What runs in a sandbox's own process and Lua state (gen/bindings/sandbox.c): gets what lua/support/sandbox.lua asks,
-- runs the text, returns what became of it.
-- There is nothing of msagen's here to be reached, and of Lua neither files nor processes; `load` is this program's
-- alone.
local asked = ...
local CHUNK = "\2" -- stands for the text's path in messages
local load, pcall, type, concat, tostring, select, error = load, pcall, type, table.concat, tostring, select, error
local PRINTED = 65536 -- bytes

string.dump = nil
math.randomseed(1)

local given = {}
for _, name in ipairs(asked.names) do given[name] = _G[name] end
for name, value in pairs(asked.data) do given[name] = value end

local printed, room = {}, PRINTED
if asked.script then
  function given.print(...)
    local words = {}
    for i = 1, select("#", ...) do words[i] = tostring((select(i, ...))) end
    local line = concat(words, "\t") .. "\n"
    room = room - #line
    if room >= 0 then printed[#printed + 1] = line end
  end
  function given.msagen.device(t)
    if type(t) ~= "table" then error("msagen.device: expected a table, found " .. type(t), 2) end
    return t
  end
end

local function run()
  if asked.template then
    local template = load(asked.template, "=template", "t")()
    return template.render(asked.text, CHUNK, {}, given)
  end
  setmetatable(given, { __metatable = false, __index = function(_, name) error("\3" .. tostring(name), 2) end })
  local chunk, message = load(asked.text, "=" .. CHUNK, "t", given)
  if not chunk then error(message, 0) end
  return (chunk())
end

local ok, value = pcall(run)
if not ok then value = type(value) == "string" and value or "expected an error's text, found a " .. type(value) end
return { ok = ok, value = value, printed = concat(printed) }
