-- SPDX-License-Identifier: Apache-2.0
-- The command line: `msagen VERB ...`. Each verb is lua/cli/verbs/VERB.lua and returns
-- { setup = function(command), run = function(args) -> exit status }.
local verbs = {
  { "inspect", "show what a checkpoint holds: dialect, network, what is dropped" },
  { "boards", "list the boards that can be built for" },
  { "synth", "write a checkpoint of synthetic weights at full size" },
  { "plan", "say how long, how large and where a build will be, before it is made" },
  { "build", "compile a checkpoint to C for a board" },
  { "diff", "say what differs between two builds, and what has to be verified again" },
  { "sizes", "say what a build takes of a device: code, constants, arena, weights and the deepest stack" },
  { "run", "segment an image with what was built" },
  { "evaluate", "measure what was built on a data set: Dice, IoU, HD95" },
  { "interpret", "segment an image with the naive kernels that define each bit, to compare" },
  { "evidence", "say of one build what an assessor asks: traced, bounded, measured" },
  { "train", "train a network on a data set, and keep how its weights came about" },
  { "pretrain", "train an encoder on pictures without masks" },
  { "convert", "write an image file of any format as NPY, PNG or NIfTI" },
  { "metrics", "say how well one mask is another: Dice, IoU, distances in millimetres" },
  { "clicks", "say where a user would click on what is wrong with a mask" },
  { "graph", "print what a checkpoint's network computes" },
  { "embed", "make text prompts of phrases, by CLIP's text encoder" },
  { "fft", "transform lines of numbers by generated code" },
  { "phantom", "make synthetic lines for an ultrasound front end" },
}

local argparse = require "argparse"
local closed = require "support.closed"
local terminal = require "support.terminal"
local arguments = { ... }

local WIDTH = 80

-- How the host program begins the line of an error.
msagen.error_begins = terminal.painter(2)("error", "msagen:")

local verb_names = {}
for i, verb in ipairs(verbs) do verb_names[i] = verb[1] end

--- Print a usage error as one line; the exit status says that nothing was tried.
local function usage_error(message, command)
  local line = message:gsub("%c", " ")
  terminal.say("error", ("%s; see msagen %s--help"):format(line, command and command .. " " or ""))
  return 2
end

local parser = argparse("msagen", "Compiles trained Medical SAM Adapter checkpoints to C.")
  :usage_max_width(WIDTH)
  :help_max_width(WIDTH)
parser:command_target "verb"
parser:require_command(true)
parser:flag("--version", "Print the version and exit."):action(function()
  print("msagen " .. msagen.version)
  os.exit(0, true)
end)

-- Only the verb asked for is loaded, except for its line in the general help.
local chosen
for _, argument in ipairs(arguments) do
  for _, name in ipairs(verb_names) do
    if argument == name then chosen = argument end
  end
  if chosen or argument:sub(1, 1) ~= "-" then break end
end

-- What a value is refused with begins with the option's name.
local function named(option, convert)
  return function(text)
    local ok, value, why = pcall(convert, text)
    if not ok then value, why = nil, type(value) == "table" and value.msagen or tostring(value) end
    if value ~= nil then return value end
    why = why or ("expected another value, found %s"):format(text)
    return nil, why:find(option, 1, true) == 1 and why or option .. ": " .. why
  end
end

-- Choices are a closed set: argparse would list them without what was found.
local function one_of(choices)
  return function(text)
    for _, choice in ipairs(choices) do
      if text == choice then return text end
    end
    return nil, ("expected %s, found %s%s"):format(closed.list(choices), text, closed.hint(text, choices))
  end
end

-- What holds for every option of a verb. Returns the names of all, and { [name] = true } of those that take a value.
local function complete(command)
  local names, valued = {}, {}
  for _, option in ipairs(command._options) do
    local aliases = option._aliases
    local convert = option._convert or option._choices and one_of(option._choices)
    if convert then option:convert(named(aliases[#aliases], convert)) end
    option._choices = nil
    if option._maxcount == 1 then option:overwrite(false) end
    for _, name in ipairs(aliases) do
      names[#names + 1] = name
      valued[name] = option._minargs > 0
    end
  end
  return names, valued
end

-- `--point -5,10`: what follows an option that takes a value is that value, if its dash begins no short option.
local function joined(list, valued)
  local result, i = {}, 1
  while i <= #list do
    local word, next_word = list[i], list[i + 1]
    if word == "--" then return table.move(list, i, #list, #result + 1, result) end
    local dashed = next_word and next_word:match "^%-[^-]" and valued[next_word:sub(1, 2)] == nil
    if dashed and valued[word] and word:sub(1, 2) == "--" then
      result[#result + 1] = word .. "=" .. next_word
      i = i + 1
    else
      result[#result + 1] = word
    end
    i = i + 1
  end
  return result
end

-- argparse's message, with near names as everywhere else.
local function explained(message, names)
  message = message:gsub("\nDid you mean.*$", "")
  local option, verb = message:match "^unknown option '(.*)'$", message:match "^unknown command '(.*)'$"
  if option then return ("unknown option %s%s"):format(option, #option > 3 and closed.hint(option, names) or "") end
  if verb then
    return ("unknown command %s: expected %s%s"):format(verb, closed.list(verb_names), closed.hint(verb, verb_names))
  end
  message = message:gsub("^option '(%-[%w-]+)' must be used .*1 time$", "%1: expected once, found twice")
  return (message:gsub("^option '(%-[%w-]+)' requires an argument$", "%1: expected a value, found none"))
end

-- What the build writes of the command line, none of the verbs: msagen document manual|completion.
local documented = arguments[1] == "document" and closed.member(arguments[2], { "completion", "manual" }, "document")

local run
local option_names, valued = { "--help", "--version" }, {}
for _, verb in ipairs(verbs) do
  local name, summary = verb[1], verb[2]
  local command = parser:command(name, (summary:gsub("^%l", string.upper) .. ".")):summary(summary)
  local module = (name == chosen or documented) and require("cli.verbs." .. name)
  if module then module.setup(command) end
  if name == chosen then
    option_names, valued = complete(command)
    run = module.run
  end
end
if documented then
  io.stdout:write(require("cli." .. documented)(require("cli.described").of(parser)))
  return 0
end

local ok, args = parser:pparse(joined(arguments, valued))
if not ok then return usage_error(explained(args, option_names), chosen) end

local status = run(args)
return math.type(status) == "integer" and status or 0
