-- SPDX-License-Identifier: Apache-2.0
-- msagen pretrain [SCRIPT.lua] --data FOLDER --objective NAME --base FILE -o OUT.safetensors: train an encoder on
-- pictures without masks; msagen pretrain --case DIR -o DIR: a case with known results.
local options = require "train.pretrain_options"
local scripted = require "cli.scripted_options"
local training_case = require "cli.training_case"

local verb = {}

function verb.setup(command)
  scripted.setup(command, options)
  training_case.setup(command, "A folder in the format of golden cases of pre-training. What came of it goes to the "
    .. "folder -o: loss.npy, grad.npy, delta_K.npy.")
end

-- Who computes: generated code, or the naive kernels.
local function trainer_of(args)
  return function(model, name, about)
    return require(args.interpret and "train.passes" or "train.generated_passes").of(model, name, about)
  end
end

function verb.run(args)
  local problem = training_case.contradiction(args)
  if problem then
    require("support.terminal").say("error", problem .. "; see msagen pretrain --help")
    return 2
  end
  if args.case then return training_case.run("pretrain", args) end
  local asked, script = scripted.asked(args, options, "pretrain")
  return scripted.run(require("train.pretraining").run, asked, { resume = args.resume, script = script,
    class = args.interpret, trainer = trainer_of(args) })
end

return verb
