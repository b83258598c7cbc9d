-- SPDX-License-Identifier: Apache-2.0
--- The terminal that a person reads: how wide it is, and what is in colour. Colour is on terminals alone, and never
-- where NO_COLOR is set or TERM is dumb.
local terminal = {}

local WIDTH, NARROWEST, WIDEST = 80, 40, 1000

-- SGR's numbers (ECMA-48, 8.3.117): bold, green, yellow, bold red.
local STYLES = { heading = "1", best = "32", warning = "33", error = "1;31" }

local function system()
  local ok, sys = pcall(require, "msagen.sys")
  return ok and sys or nil
end

--- Columns of what is written to standard output: what COLUMNS says, else the terminal's, else 80; at least 40.
function terminal.columns()
  local sys = system()
  local said = math.tointeger(tonumber(os.getenv "COLUMNS" or ""))
  local width = said and said > 0 and said or sys and sys.columns(1) or WIDTH
  return math.max(NARROWEST, math.min(width, WIDEST))
end

--- Whether a file descriptor is a terminal.
function terminal.is(fd)
  local sys = system()
  return sys ~= nil and sys.isatty(fd)
end

--- Whether what is written to a file descriptor may have colours.
function terminal.coloured(fd)
  local refused, kind = os.getenv "NO_COLOR", os.getenv "TERM"
  if refused and refused ~= "" or not kind or kind == "" or kind == "dumb" then return false end
  return terminal.is(fd)
end

--- @return paint(style, text) -> the text as it is written to a file descriptor; a style is heading, best, warning or
-- error
function terminal.painter(fd)
  local coloured = terminal.coloured(fd)
  return function(style, text)
    local numbers = STYLES[style] or error("terminal: no style " .. tostring(style), 2)
    return coloured and ("\27[%sm%s\27[0m"):format(numbers, text) or text
  end
end

--- A line of its own on standard error, "msagen: TEXT". @param style error or warning; nil of what only should be known
function terminal.say(style, text)
  local paint = style and terminal.painter(2) or function(_, plain) return plain end
  local begin = paint(style, "msagen:")
  io.stderr:write(begin, " ", style == "warning" and paint(style, "warning:") .. " " or "", text, "\n")
end

return terminal
