-- SPDX-License-Identifier: Apache-2.0
--- Who computes a training: code that is generated for a board of this CPU, compiled and run in a folder of its own; or
-- the interpreter, which defines each bit of it. lua/train/interpreted.lua says what a trainer is.

local sys = require "msagen.sys"

local trainers = {}

--- @param model its description @param names what trains
-- @param about interpret: the class of arithmetic, or float64, in which the interpreter computes it; nil for generated
-- code, of a board (nil: the best one), cores, arena_limit; scores: does the loss use predicted ones; batch: pictures
-- of a step; target_side: pixels of the targets; jobs of make
-- @return the trainer, and a function that ends it
function trainers.of(model, names, about)
  if about.interpret then
    return require("train.interpreted").of(model, names, { class = about.interpret, scores = about.scores }),
      function() end
  end
  local scratch = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-train-")
  sys.cleanup(scratch)
  local trainer = require("train.generated").of(model, names, { dir = scratch .. "/trainer", board = about.board,
    cores = about.cores, arena_limit = about.arena_limit, scores = about.scores, batch = about.batch,
    target_side = about.target_side, jobs = about.jobs, where = "train" })
  return trainer, function() trainer:close() end
end

return trainers
