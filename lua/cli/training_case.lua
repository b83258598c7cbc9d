-- SPDX-License-Identifier: Apache-2.0
--- What --case of msagen train and of msagen pretrain does.
local training_case = {}

local CLASSES = { "f32-fma-1", "f32-muladd-1", "float64" }

--- Declare the options. @param help of --case
function training_case.setup(command, help)
  local case = require "train.case"
  command:option("--case", help):argname "DIR"
  command:option("--variant", "Another reading of the case, of which the gradient alone is made: "
    .. table.concat(case.variants, ", ") .. "."):argname "NAME":choices(case.variants)
  command:option("--interpret", "Compute with the naive kernels that define each bit, in this class of arithmetic: "
    .. table.concat(CLASSES, ", ") .. "; the last of a case alone."):argname "CLASS":choices(CLASSES)
end

--- What the options of a training ask for together and cannot have; nil where nothing.
function training_case.contradiction(args)
  if args.slice then return "--slice: expected whole volumes, found a slice" end
  if args.window and args.prepare then return "--window: expected instead of --prepare, found both" end
  if args.variant then return "--variant: expected with --case, found without" end
  if args.interpret == "float64" then return "--interpret float64: expected with --case, found without" end
end

--- @param verb its name @return the program's result
function training_case.run(verb, args)
  if not args.out then
    require("support.terminal").say("error", ("-o: expected a folder, found none; see msagen %s --help"):format(verb))
    return 2
  end
  local show, finish = require "cli.progress"()
  require "train.pretrain_case"
  local digest = require("train.case").trained(args.case, { interpret = args.interpret, board = args.board }, {
    out = args.out, variant = args.variant, progress = function(done, of) show("training", done, of) end })
  finish()
  print("digest " .. digest)
  return 0
end

return training_case
