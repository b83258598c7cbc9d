-- SPDX-License-Identifier: Apache-2.0
--- What --case of msagen train and of msagen pretrain does.
local training_case = {}

training_case.CLASSES = { "f32-fma-1", "f32-muladd-1", "float64" }

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
