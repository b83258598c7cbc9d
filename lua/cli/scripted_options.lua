-- SPDX-License-Identifier: Apache-2.0
--- Options of a training that a script may give and the command line goes over; and how a training is run of them.
local fail = require "support.fail"
local sha256 = require "msagen.sha256"

local scripted = {}

local function declare(command, one)
  if one.flag then return command:flag(one.option, one.help) end
  local option = command:option(one.option, one.help):argname(one.argument):target(one.field)
  if one.convert then option:convert(one.convert) end
  if one.repeated then option:count "*" end
end

--- @param set options.of's (lua/train/options.lua)
function scripted.setup(command, set)
  command:argument("script", "A training script: it returns a table of these options, - being _ in their names. What "
    .. "the command line says goes over it."):argname "SCRIPT.lua":args "?"
  for _, one in ipairs(set.list) do
    if one.option and not one.image then declare(command, one) end
  end
  command:flag("--resume", "Go on from OUT.state, which the same training left.")
  require("cli.image_options").setup(command)
  command:flag("--trust", "Run the script with all of Lua: files, programs, modules.")
end

-- What the script says, paths relative to it.
local function of_script(args, set)
  if not args.script then return {} end
  local devices = require "cli.device_options"
  local given = devices.result(args.script, args.trust)
  if type(given) ~= "table" then
    fail("%s: expected the script to return a table of options, found %s", args.script, type(given))
  end
  for _, one in ipairs(set.list) do
    if one.path then given[one.field] = devices.beside(args.script, given[one.field]) end
  end
  return given
end

--- What script and command line ask for, completed. @return that, and the script's SHA-256, or nil
function scripted.asked(args, set, verb)
  local given = of_script(args, set)
  for _, one in ipairs(set.list) do
    local value = args[one.field]
    if one.field == "prepare" and value then value = value.text end
    if one.repeated and value and #value == 0 then value = nil end
    if value ~= nil then given[one.field] = value end
  end
  return set.completed(given, args.script or verb), args.script and sha256.file(args.script)
end

--- Run a training. @param train lua/train/training.lua's run, or one like it @return the program's result
function scripted.run(train, given, more)
  local progress = require "cli.progress"
  local show, finish = progress()
  more.show, more.warn = show, progress.warn
  function more.say(text)
    finish()
    print(text)
  end
  local ok, digest, files, run, who = pcall(train, given, more)
  finish()
  if not ok then error(digest, 0) end
  who:part_ways()
  if who.rank == 0 then
    if run.best then print(("best: step %d, %s"):format(run.best.step, files.best_path)) end
    print("digest " .. digest)
    who:finish(0)
  end
  return 0
end

return scripted
