-- SPDX-License-Identifier: Apache-2.0
--- A progress line on standard error, where that is a terminal; nothing elsewhere. Whatever else is written to standard
-- error in the meantime clears it first.
local layout = require "support.layout"
local sys = require "msagen.sys"
local terminal = require "support.terminal"

local progress = {}

local width = 0 -- of the line that is shown

--- Take the line away, if one is shown: what is written next stands in a line of its own.
function progress.clear()
  if width > 0 then io.stderr:write("\r", (" "):rep(width), "\r") end
  width = 0
end

--- Show how far something is.
function progress.show(text, done, total)
  local line = layout.shortened(("[%3d%%] %s"):format(total > 0 and done * 100 // total or 100, text),
    (sys.columns(2) or 80) - 1)
  io.stderr:write("\r", line, (" "):rep(math.max(0, width - #line)))
  io.stderr:flush()
  width = #line
end

--- Print a line of its own on standard error, wherever the progress is.
function progress.say(format, ...)
  progress.clear()
  terminal.say(nil, format:format(...))
  io.stderr:flush()
end

--- The same for a warning. @param about what it is about, or nil
function progress.warn(text, about)
  progress.clear()
  terminal.say("warning", (about and about .. ": " or "") .. text)
  io.stderr:flush()
end

local function nothing() end

--- @return show(text, done, total), finish()
function progress.begin()
  if not sys.isatty(2) then return nothing, nothing end
  return progress.show, progress.clear
end

return setmetatable(progress, { __call = progress.begin })
