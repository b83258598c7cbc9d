-- SPDX-License-Identifier: Apache-2.0
--- The command line as plain tables, read from argparse's objects: what the man page and the completion are made of.
--   described = { text =, options = {option...}, verbs = {verb...} }
--   verb      = { name =, summary =, text =, options = {option...}, arguments = {argument...}, usage = one line }
--   option    = { names = {"-o", "--output"}, argument = what its value is called, or nil of flags, text =, needed =
-- boolean, repeated = boolean, default = text or nil, choices = list of texts or nil }
--   argument  = { argument =, text =, least = 0 or 1, several = boolean }

local described = {}

local function option_of(option)
  local takes = option._maxargs > 0
  return { names = table.move(option._aliases, 1, #option._aliases, 1, {}),
    argument = takes and option:_get_argname(1) or nil, text = option._description or "",
    needed = option._mincount > 0, repeated = option._maxcount > 1,
    default = option._show_default and type(option._default) == "string" and option._default or nil,
    choices = option._choices }
end

local function argument_of(argument)
  return { argument = argument:_get_argname(1), text = argument._description or "",
    least = math.min(argument._minargs, 1), several = argument._maxargs > 1 }
end

local function list(objects, make)
  local made = {}
  for i, object in ipairs(objects) do made[i] = make(object) end
  return made
end

local function verb_of(command)
  local usage = command:get_usage():gsub("^Usage: ", ""):gsub("%s+", " ")
  return { name = command._name, summary = command._summary or "", text = command._description or "",
    options = list(command._options, option_of), arguments = list(command._arguments, argument_of), usage = usage }
end

--- @param parser whose commands have all been set up
function described.of(parser)
  return { text = parser._description or "", options = list(parser._options, option_of),
    verbs = list(parser._commands, verb_of) }
end

return described
