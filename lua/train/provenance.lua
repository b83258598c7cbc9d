-- SPDX-License-Identifier: Apache-2.0
--- How weights came about: the class of arithmetic, what a saved state must be of, what a file tells; and where the
-- code lies that computed them.
local arithmetic = require "target.arithmetic"
local boards = require "target.boards"
local json = require "msagen.json"
local sys = require "msagen.sys"

local provenance = {}

--- The class of arithmetic of the board that options name.
function provenance.class(o)
  local board = o.board and boards.named(o.board, "--board") or boards.best()
  return arithmetic.class(board, "f32")
end

--- What a state must be of to be resumed, and what a file tells of how it was made: of the options those that are not
-- as they are by default, so that an option that comes to be changes no file.
-- @param generator the command @param o options, completed @param list their entries (lua/train/options.lua)
-- @param of { base, data, script (nil where there is none): hashes; arithmetic: the class; dialect }
function provenance.told(generator, o, list, of)
  local binding = { base = of.base, data = of.data, arithmetic = of.arithmetic, version = msagen.version }
  local spoken = {}
  for _, one in ipairs(list) do
    local value = o[one.field]
    if value ~= nil and one.binds then
      binding[one.field] = json.encode(value)
      if one.default == nil or binding[one.field] ~= json.encode(one.default) then spoken[one.field] = value end
    end
  end
  if o.schedule == "cosine" then binding.steps = tostring(o.steps) end
  spoken.steps = o.steps
  return binding, { generator = generator, version = msagen.version, dialect = of.dialect, base_sha256 = of.base,
    data_sha256 = of.data, script_sha256 = of.script, arithmetic = of.arithmetic, seed = tostring(o.seed),
    options = json.encode(spoken) }
end

--- A trainer. Of several ranks the first compiles; the others start what it made.
-- @param who of train.exchange @param make function({ dir, errors, jobs, progress, compiled }) -> the trainer
function provenance.compiled(who, show, make)
  local together = who.count > 1
  local folder = together and who.folder or sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-train-")
  if who.rank == 0 then sys.cleanup(together and folder .. "/code" or folder) end
  local function made(compiled)
    show("compiling", 0, 1)
    return make { dir = folder .. "/code", errors = ("%s/errors-%d"):format(folder, who.rank), jobs = sys.nproc(),
      compiled = compiled, progress = function(done, total) show("compiling", done or 0, total or 1) end }
  end
  local trainer = who.rank == 0 and made(false)
  if together then who:numbers(who.rank == 0 and { 1 } or {}, function(rank) return rank == 0 and 1 or 0 end) end
  return trainer or made(true)
end

return provenance
