-- SPDX-License-Identifier: Apache-2.0
-- msagen train [SCRIPT.lua] --data SET --base FILE --dialect NAME -o OUT.safetensors: train a network on a data set;
-- msagen train --case DIR -o DIR: a case of training with known results.
local options = require "train.options"
local scripted = require "cli.scripted_options"
local training_case = require "cli.training_case"

local verb = {}

function verb.setup(command)
  scripted.setup(command, options)
  training_case.setup(command, "A folder in the format of golden training cases: case.json, checkpoint.pth, image.npy, "
    .. "target.npy. What came of it goes to the folder -o: loss.npy, grad.npy, delta_K.npy.")
end

local function usage(text)
  require("support.terminal").say("error", text .. "; see msagen train --help")
  return 2
end

-- Who computes: generated code, or the naive kernels.
local function trainer_of(args)
  return function(model, names, about)
    return require(args.interpret and "train.interpreted" or "train.generated").of(model, names, about)
  end
end

function verb.run(args)
  local problem = training_case.contradiction(args)
  if problem then return usage(problem) end
  if args.case then return training_case.run("train", args) end
  local asked, script = scripted.asked(args, options, "train")
  return scripted.run(require("train.training").run, asked, { resume = args.resume, script = script,
    class = args.interpret, trainer = trainer_of(args) })
end

return verb
