-- SPDX-License-Identifier: Apache-2.0
-- The command line: `msagen VERB ...`. Each verb is lua/verbs/VERB.lua and returns { setup = function(command), run = function(args) -> exit status }.
local verbs = {
  { "inspect", "show what a checkpoint holds: dialect, shapes, every tensor's fate" },
  { "boards", "list the boards that can be built for" },
  { "synth", "write a checkpoint of synthetic weights at full size" },
  { "plan", "say how long, how large and where a build will be, before it is made" },
  { "build", "compile a checkpoint to C for a board" },
  { "sizes", "say what a build takes of a device: code, constants, arena, weights and the deepest stack" },
  { "run", "segment an image with what was built" },
}

local argparse = require "argparse"
local arguments = { ... }

--- Print a usage error as one line; the exit status says that nothing was tried.
local function usage_error(message, command)
  io.stderr:write(("msagen: %s; see msagen %s--help\n"):format(message:gsub("%c", " "), command and command .. " " or ""))
  return 2
end

local parser = argparse("msagen", "Compiles trained Medical SAM Adapter checkpoints to C.")
  :usage_max_width(100)
  :help_max_width(100)
parser:command_target "verb"
parser:require_command(true)
parser:flag("--version", "Print the version and exit."):action(function()
  print("msagen " .. msagen.version)
  os.exit(0, true)
end)

-- Only the verb asked for is loaded, except for its line in the general help.
local chosen
for _, argument in ipairs(arguments) do
  for _, verb in ipairs(verbs) do
    if argument == verb[1] then chosen = argument end
  end
  if chosen or argument:sub(1, 1) ~= "-" then break end
end

local run
for _, verb in ipairs(verbs) do
  local name, summary = verb[1], verb[2]
  local command = parser:command(name, (summary:gsub("^%l", string.upper) .. ".")):summary(summary)
  if name == chosen then
    local module = require("verbs." .. name)
    module.setup(command)
    run = module.run
  end
end

local ok, args = parser:pparse(arguments)
if not ok then return usage_error(args, chosen) end

local status = run(args)
return math.type(status) == "integer" and status or 0
