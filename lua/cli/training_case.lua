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
  command:option("--interpret", "Not by generated code, but with the naive kernels that define each bit, in this class "
    .. "of arithmetic: " .. table.concat(CLASSES, ", ") .. "; the last of a case alone.")
    :argname "CLASS":choices(CLASSES)
end

--- What the options of a training ask for together and cannot have; nil where nothing.
function training_case.contradiction(args)
  if args.slice then return "--slice: expected whole volumes, found a slice" end
  if args.window and args.prepare then return "--window: expected instead of --prepare, found both" end
  if args.variant and not args.case then return "--variant: expected with --case, found without" end
  if args.interpret and args.board then return "--interpret: expected without --board, found both" end
  if args.interpret and args.cores then return "--interpret: expected without --cores, found both" end
  if args.interpret == "float64" and not args.case then
    return "--interpret float64: expected with --case, found without"
  end
end

--- @param verb its name @return the program's result
function training_case.run(verb, args)
  if not args.out then
    require("support.terminal").say("error", ("-o: expected a folder, found none; see msagen %s --help"):format(verb))
    return 2
  end
  local show, finish = require "cli.progress"()
  require "train.pretrain_case"
  local about = { interpret = args.interpret, board = args.board, cores = args.cores }
  local ok, digest = pcall(require("train.case").trained, args.case, about, { out = args.out, variant = args.variant,
    progress = function(done, of) show("training", done, of) end })
  finish()
  if not ok then error(digest, 0) end
  print("digest " .. digest)
  return 0
end

return training_case
