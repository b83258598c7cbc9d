-- SPDX-License-Identifier: Apache-2.0
-- msagen train [SCRIPT.lua] --data SET --base FILE --dialect NAME -o OUT.safetensors: train a network on a data set;
-- msagen train --case DIR -o DIR: a case of training with known results.
local fail = require "support.fail"
local options = require "train.options"

local verb = {}

local CLASSES = { "f32-fma-1", "f32-muladd-1", "float64" }

local function declare(command, one)
  if one.flag then return command:flag(one.option, one.help) end
  local option = command:option(one.option, one.help):argname(one.argument):target(one.field)
  if one.convert then option:convert(one.convert) end
  if one.repeated then option:count "*" end
end

local function of_cases(command)
  local case = require "train.case"
  command:option("--case", "A folder in the format of golden training cases: case.json, checkpoint.pth, image.npy, "
    .. "target.npy. What came of it goes to the folder -o: loss.npy, grad.npy, delta_K.npy."):argname "DIR"
  command:option("--variant", "Another reading of the case, of which the gradient alone is made: "
    .. table.concat(case.variants, ", ") .. "."):argname "NAME":choices(case.variants)
  command:option("--interpret", "Not by generated code, but with the naive kernels that define each bit, in this class "
    .. "of arithmetic: " .. table.concat(CLASSES, ", ") .. "; the last of a case alone.")
    :argname "CLASS":choices(CLASSES)
end

function verb.setup(command)
  command:argument("script", "A training script: it returns a table of these options, - being _ in their names. What "
    .. "the command line says goes over it."):argname "SCRIPT.lua":args "?"
  for _, one in ipairs(options.list) do
    if one.option and not one.image then declare(command, one) end
  end
  command:flag("--resume", "Go on from OUT.state, which the same training left.")
  require("cli.image_options").setup(command)
  command:flag("--trust", "Run the script with all of Lua: files, programs, modules.")
  of_cases(command)
end

local function usage(text)
  require("support.terminal").say("error", text .. "; see msagen train --help")
  return 2
end

local function run_case(args)
  if not args.out then return usage "-o: expected a folder, found none" end
  local show, finish = require "cli.progress"()
  local about = { interpret = args.interpret, board = args.board, cores = args.cores }
  local ok, digest = pcall(require("train.case").trained, args.case, about, { out = args.out, variant = args.variant,
    progress = function(done, of) show("training", done, of) end })
  finish()
  if not ok then error(digest, 0) end
  print("digest " .. digest)
  return 0
end

-- What the script says, paths relative to it.
local function scripted(args)
  if not args.script then return {} end
  local devices = require "cli.device_options"
  local given = devices.result(args.script, args.trust)
  if type(given) ~= "table" then
    fail("%s: expected the script to return a table of options, found %s", args.script, type(given))
  end
  for _, one in ipairs(options.list) do
    if one.path then given[one.field] = devices.beside(args.script, given[one.field]) end
  end
  return given
end

-- What the options ask for together and cannot have; nil where nothing.
local function contradiction(args)
  if args.slice then return "--slice: expected whole volumes, found a slice" end
  if args.window and args.prepare then return "--window: expected instead of --prepare, found both" end
  if args.variant and not args.case then return "--variant: expected with --case, found without" end
  if args.interpret and args.board then return "--interpret: expected without --board, found both" end
  if args.interpret and args.cores then return "--interpret: expected without --cores, found both" end
  if args.interpret == "float64" and not args.case then
    return "--interpret float64: expected with --case, found without"
  end
end

local function asked(args)
  local given = scripted(args)
  for _, one in ipairs(options.list) do
    local value = args[one.field]
    if one.field == "prepare" and value then value = value.text end
    if one.repeated and value and #value == 0 then value = nil end
    if value ~= nil then given[one.field] = value end
  end
  return options.completed(given, args.script or "train")
end

-- Who computes: generated code, or the naive kernels.
local function trainer_of(args)
  return function(model, names, about)
    return require(args.interpret and "train.interpreted" or "train.generated").of(model, names, about)
  end
end

function verb.run(args)
  local problem = contradiction(args)
  if problem then return usage(problem) end
  if args.case then return run_case(args) end
  local progress = require "cli.progress"
  local show, finish = progress()
  local function say(text)
    finish()
    print(text)
  end
  local ok, digest, files, run, who = pcall(require("train.training").run, asked(args), { resume = args.resume,
    class = args.interpret, trainer = trainer_of(args), show = show, say = say, warn = progress.warn })
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

return verb
