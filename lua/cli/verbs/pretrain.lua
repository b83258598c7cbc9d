-- SPDX-License-Identifier: Apache-2.0
-- msagen pretrain --data FOLDER --objective NAME --base FILE -o OUT.safetensors: train an encoder on pictures without
-- masks; msagen pretrain --case DIR -o DIR: a case with known results.
local training_case = require "cli.training_case"

local verb = {}

local CLASSES = training_case.CLASSES

function verb.setup(command)
  local case = require "train.case"
  command:option("--case", "A folder in the format of golden cases of pre-training. What came of it goes to the folder "
    .. "-o: loss.npy, grad.npy, delta_K.npy."):argname "DIR"
  command:option("--variant", "Another reading of the case, of which the gradient alone is made: broadcast."):argname
    "NAME":choices(case.variants)
  command:option("--interpret", "Compute with the naive kernels that define each bit, in this class of arithmetic: "
    .. table.concat(CLASSES, ", ") .. "; the last of a case alone."):argname "CLASS":choices(CLASSES)
  command:option("--board", "Whose generated code computes. Default: the best board for this CPU."):argname "NAME"
  command:option("-o --output", "The folder of --case."):target "out":argname "DIR"
end

function verb.run(args)
  return training_case.run("pretrain", args)
end

return verb
