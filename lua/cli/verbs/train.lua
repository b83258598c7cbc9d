-- SPDX-License-Identifier: Apache-2.0
-- msagen train --case DIR -o DIR: a case of training with known results.
local verb = {}

local CLASSES = { "f32-fma-1", "f32-muladd-1", "float64" }

function verb.setup(command)
  local case = require "train.case"
  command:option("--case", "A folder in the format of golden training cases: case.json, checkpoint.pth, image.npy, "
    .. "target.npy."):argname "DIR"
  command:option("--variant", "Another reading of the case, of which the gradient alone is made: "
    .. table.concat(case.variants, ", ") .. "."):argname "NAME":choices(case.variants)
  command:option("--interpret", "The arithmetic in which the naive kernels compute it: "
    .. table.concat(CLASSES, ", ") .. "."):argname "CLASS":choices(CLASSES):default "f32-fma-1"
  command:option("-o --output", "A folder for loss.npy, grad.npy and delta_K.npy."):argname "DIR"
end

local function usage(text)
  require("support.terminal").say("error", text .. "; see msagen train --help")
  return 2
end

function verb.run(args)
  if not args.case then return usage "--case: expected a folder, found none" end
  if not args.output then return usage "-o: expected a folder, found none" end
  local show, finish = require "cli.progress"()
  local digest = require("train.case").interpreted(args.case, args.interpret, { out = args.output,
    variant = args.variant, progress = function(done, of) show("training", done, of) end })
  finish()
  print("digest " .. digest)
  return 0
end

return verb
