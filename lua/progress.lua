-- SPDX-License-Identifier: Apache-2.0
--- A progress line on standard error, where that is a terminal; nothing elsewhere.
local sys = require "msagen.sys"

local progress = {}
local shown = 0 -- characters of the line that stands there

local function finish()
  if shown > 0 then io.stderr:write("\r", (" "):rep(shown), "\r") end
  shown = 0
end

--- Print a line of its own on standard error, wherever the progress is.
function progress.say(format, ...)
  finish()
  io.stderr:write("msagen: ", format:format(...), "\n")
  io.stderr:flush()
end

--- @return show(text, done, total), finish()
function progress.begin()
  if not sys.isatty(2) then return function() end, function() end end
  local function show(text, done, total)
    local line = ("[%3d%%] %s"):format(total > 0 and done * 100 // total or 100, text)
    io.stderr:write("\r", line, (" "):rep(math.max(0, shown - #line)))
    io.stderr:flush()
    shown = #line
  end
  return show, finish
end

return setmetatable(progress, { __call = progress.begin })
