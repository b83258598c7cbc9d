-- SPDX-License-Identifier: Apache-2.0
--- The files of a training. For OUT.safetensors:
--   OUT.safetensors       the weights after the last saved step, as the dialect's program would save them
--   OUT.best.safetensors  those of the best validation
--   OUT.csv, OUT.png      how it went
--   OUT.state             all that a resumed run needs, with a checksum; its bytes are a safetensors file's
-- Each is written whole or not at all. The state comes last: what it says is done is in the other files.
local closed = require "support.closed"
local curve = require "train.curve"
local fail = require "support.fail"
local json = require "msagen.json"
local loop = require "train.loop"
local safetensors = require "msagen.safetensors"
local schema = require "support.schema"
local sys = require "msagen.sys"
local tensor = require "msagen.tensor"

local outputs = {}
outputs.__index = outputs

local KIND = "msagen training state"
local ENDING = ".safetensors"
local SAVED = { "parameters", "first", "second" }

--- @param path OUT.safetensors
-- @param options { exported = function(trainer) -> list of { name, tensor }: what a file holds; facts = { [key] =
--   text } for its metadata; binding = { [field] = text }: what a state must be of to be resumed }
function outputs.new(path, options)
  if path:sub(-#ENDING) ~= ENDING or #path == #ENDING then
    fail("-o %s: expected a name that ends with %s, found another", path, ENDING)
  end
  local folder = path:match "^(.*)/[^/]*$"
  if folder and folder ~= "" and not sys.isdir(folder) then
    fail("-o %s: expected a folder that exists, found none: %s", path, folder)
  end
  sys.sweep(folder == "" and "/" or folder or ".") -- a training that is complete writes nothing, and would not
  local stem = path:sub(1, -#ENDING - 1)
  return setmetatable({ path = path, best_path = stem .. ".best" .. ENDING, state_path = stem .. ".state",
    csv_path = stem .. ".csv", png_path = stem .. ".png", ranks_path = stem .. ".ranks", exported = options.exported,
    facts = options.facts, binding = options.binding }, outputs)
end

-- Pairs of a table in the order of its keys, after what safetensors files of PyTorch have.
local function pairs_of(facts)
  local list = { { "format", "pt" } }
  for _, key in ipairs(closed.sorted(facts)) do list[#list + 1] = { key, facts[key] } end
  return list
end

local function write_weights(self, path, run, trainer)
  local facts = { step = tostring(run.step), training_digest = loop.digest(trainer) }
  for key, value in pairs(self.facts) do facts[key] = value end
  safetensors.write(path, self.exported(trainer), pairs_of(facts))
end

--- The weights of the best validation so far.
function outputs:best(run, trainer) write_weights(self, self.best_path, run, trainer) end

-- ---- the state ----

local function hash_of(list, metadata)
  local hash, piece = require("msagen.sha256").new(), 1 << 20
  for _, pair in ipairs(metadata) do hash:update(("%s\n%s\n"):format(pair[1], pair[2])) end
  for _, one in ipairs(list) do
    hash:update(("%s %d\n"):format(one[1], one[2]:numel()))
    for at = 0, one[2]:numel() - 1, piece do
      hash:update(one[2]:slice(1, at, math.min(piece, one[2]:numel() - at)):tobytes())
    end
  end
  return hash:hex()
end

-- Lines of the history, as numbers one after the other.
local function history_tensor(history)
  local parts = {}
  for i, line in ipairs(history) do parts[i] = string.pack("<ddd", line[1], line[2], line[3]) end
  return tensor.frombytes(table.concat(parts), "f64", { 3 * #history })
end

local function history_of(values)
  local list, bytes = {}, values:tobytes()
  for at = 1, #bytes, 24 do list[#list + 1] = { (string.unpack("<d", bytes, at)), (string.unpack("<d", bytes, at + 8)),
    (string.unpack("<d", bytes, at + 16)) } end
  return list
end

local function save_state(self, run, trainer)
  local list = { { "history", history_tensor(run.history) } }
  for _, kind in ipairs(SAVED) do
    local values = trainer:values(kind)
    list[#list + 1] = { kind, values:reshape { values:numel() } }
  end
  local metadata = { { "kind", KIND }, { "binding", json.encode(self.binding) }, { "step", tostring(run.step) },
    { "best", json.encode(run.best or json.null) }, { "validations", json.encode(json.array(run.validations)) } }
  metadata[#metadata + 1] = { "sha256", hash_of(list, metadata) }
  safetensors.write(self.state_path, list, metadata)
end

--- All files of a step but the best weights.
function outputs:save(run, trainer)
  write_weights(self, self.path, run, trainer)
  sys.write_file(self.csv_path, curve.csv(run))
  require("msagen.image").write_png(self.png_path, curve.picture(run))
  save_state(self, run, trainer)
  local folder = self.path:match "^(.*)/[^/]*$"
  sys.sync(folder == "" and "/" or folder or ".")
end

local whole, several = schema.whole(0, math.maxinteger), schema.table
local a_validation = schema.kind(function(value)
  local kinds = { step = whole, clicks = several, dice = several, iou = several }
  for name, kind in pairs(kinds) do
    if type(value) ~= "table" or kind(value[name]) then return "step, clicks, dice and iou" end
  end
end)
local STATE = { step = { whole, true }, binding = { several, true },
  best = { schema.record { step = { whole, true }, score = { schema.number, true } } },
  validations = { schema.list_of(a_validation, 0, "validations"), true } }

-- What the metadata says, { step, binding, best, validations }: the checksum is no secret.
local function decoded(metadata, path)
  local state = { step = math.tointeger(tonumber(metadata.step)) }
  for _, field in ipairs { "binding", "best", "validations" } do
    local value = json.decode(metadata[field] or "null", path)
    if value ~= json.null then state[field] = value end
  end
  schema.check_known(state, STATE, path)
  return state
end

-- What the state's file says, its checksum tried. @return that, and its tensors: { name, values } each
local function read(self)
  local path, list = self.state_path, {}
  local ok, file = pcall(require("msagen.checkpoint").open, path)
  local metadata = ok and file.metadata or {}
  if metadata.kind ~= KIND then
    fail("%s: expected the state of a training, found another file: remove it to begin anew", path)
  end
  for i, name in ipairs { "history", table.unpack(SAVED) } do
    if not file:has(name) then fail("%s: expected a tensor %s, found none", path, name) end
    list[i] = { name, file:tensor(name) }
  end
  local pairs_found = {}
  for i, key in ipairs { "kind", "binding", "step", "best", "validations" } do
    pairs_found[i] = { key, metadata[key] or "" }
  end
  if hash_of(list, pairs_found) ~= metadata.sha256 then
    fail("%s: expected an undamaged state, found another checksum: remove it to begin anew", path)
  end
  local history = list[1][2]
  if history.dtype ~= "f64" or history:numel() % 3 ~= 0 then
    fail("%s: history: expected three f64 a step, found %d %s", path, history:numel(), history.dtype)
  end
  return decoded(metadata, path), list
end

-- Refuse the state of another training.
local function check_binding(self, theirs)
  for _, field in ipairs(closed.sorted(self.binding)) do
    if theirs[field] ~= self.binding[field] then
      fail("--resume: %s is of a training with another %s: expected %s, found %s", self.state_path,
        field:gsub("_", " "), self.binding[field], tostring(theirs[field] or "none"))
    end
  end
end

--- Go on from the saved state. @return the run for loop.run, the trainer having its values
function outputs:resume(trainer)
  if not sys.exists(self.state_path) then
    fail("--resume: expected %s, which a training leaves, found no such file", self.state_path)
  end
  local state, list = read(self)
  check_binding(self, state.binding)
  for i = 2, #list do
    local count = trainer:values(list[i][1]):numel()
    if list[i][2]:numel() ~= count then
      fail("%s: %s: expected %d numbers, as many as train, found %d", self.state_path, list[i][1], count,
        list[i][2]:numel())
    end
    trainer:set(list[i][1], list[i][2])
  end
  trainer:set("step", state.step)
  return { step = state.step, history = history_of(list[1][2]), best = state.best, validations = state.validations }
end

--- How far the training went that a state's file is of, in steps; nil where there is none.
function outputs:begun()
  if not sys.exists(self.state_path) then return nil end
  return read(self).step
end

--- Where a training begins: anew, or at the saved state. @return the run for loop.run
function outputs:start(trainer, resumes, steps)
  if resumes then return self:resume(trainer) end
  local step = self:begun()
  if step and step < steps then
    fail("-o %s: expected another name or --resume, found the state of a training after step %d", self.path, step)
  end
  return { step = 0, history = {}, validations = {} }
end

return outputs
