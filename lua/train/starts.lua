-- SPDX-License-Identifier: Apache-2.0
--- Networks that begin with random numbers: tensors that no file has, and checkpoints that have them.

local dialects = require "import.dialects"
local fail = require "support.fail"
local kinds = require "graph.kinds"
local random = require "msagen.random"
local sha256 = require "msagen.sha256"
local synth = require "networks.synth"
local tensor = require "msagen.tensor"

local starts = {}

local ROOT3 = math.sqrt(3) -- numbers spread equally up to it have deviation 1

local NOISE = { "mask_token$", "pos_embed$", "_token[s]?%.weight$", "_embed%.weight$", "point_embeddings%.%d%.weight$" }

-- How far numbers spread, or false and the one number that all are.
local function spread(name, shape)
  if name:find "rel_pos_%l$" or name:find "%.lora_B$" or name:find "running_mean$" then return false, 0 end
  if name:find "running_var$" then return false, 1 end
  if name:find "gaussian_matrix$" then return ROOT3 end
  for _, pattern in ipairs(NOISE) do
    if name:find(pattern) then return 0.02 * ROOT3 end
  end
  if #shape < 2 then return false, name:find "weight$" and 1 or 0 end
  local places = kinds.product(shape, 3)
  return math.sqrt(6 / (places * (shape[1] + shape[2])))
end

--- The numbers that a tensor begins with, of its name and a seed: norms 1 and 0, biases and tables of relative
-- positions 0; tokens and positions noise of deviation 0.02; maps equally spread up to sqrt(6 / (inputs + outputs))
-- (Glorot and Bengio 2010).
function starts.tensor(name, shape, seed)
  local most, value = spread(name, shape)
  if value == 0 then return tensor.zeros(shape) end
  if value then return random.uniform(0, shape, value, value) end
  local key = random.key(seed, math.tointeger(tonumber("0x" .. sha256.hex(name):sub(1, 16))))
  return random.uniform(key, shape, -most, most)
end

-- ---- checkpoints ----

local Checkpoint = {}
Checkpoint.__index = Checkpoint

function Checkpoint:names() return table.move(self.order, 1, #self.order, 1, {}) end
function Checkpoint:has(name) return self.of[name] ~= nil end
function Checkpoint:sha256() return self.hash end
function Checkpoint:tensor(name) return self.of[name] or fail("%s: holds no tensor %s", self.path, name) end

local function put(self, name, value)
  if not self.of[name] then self.order[#self.order + 1] = name end
  self.of[name] = value:rename(name)
end

--- What synth.tensors wants of a shape, as a checkpoint (import/shards.lua) of numbers of a seed.
-- @param shape networks/synth.lua's @param dialect whose names it has @param path what messages call it
-- @param file an open checkpoint whose tensors it has in place of random ones, or nil
function starts.checkpoint(shape, dialect, seed, path, file)
  local self = setmetatable({ path = path, format = "safetensors", container = "random numbers", metadata = {},
    order = {}, of = {} }, Checkpoint)
  for _, one in ipairs(synth.tensors(shape, dialect)) do
    put(self, one.name, file and file:has(one.name) and file:tensor(one.name)
      or starts.tensor(one.name, one.shape, seed))
  end
  for _, name in ipairs(file and file:names() or {}) do put(self, name, file:tensor(name)) end
  self.hash = file and file:sha256() or sha256.hex(("%s %s %d"):format(path, dialect, seed))
  return self
end

--- A published architecture's. @param arch its name @param dialect a name, or nil: whose it is @param resolution
function starts.architecture(arch, dialect, resolution, seed)
  local shape = { resolution = resolution }
  for key, value in pairs(synth.architectures[arch]) do shape[key] = value end
  dialect = dialects.named(dialect or shape.dialect or "sam", "--dialect")
  local patch = shape.patch or 16
  if shape.encoder ~= dialect.encoder then
    fail("--arch %s: expected an architecture of the encoder %s, as dialect %s has it, found one of %s", arch,
      dialect.encoder, dialect.name, shape.encoder)
  end
  if resolution % patch ~= 0 then
    fail("--resolution %d: expected a multiple of the patch, %d, found another", resolution, patch)
  end
  return starts.checkpoint(shape, dialect.name, seed, ("--arch %s"):format(arch)), dialect.name
end

return starts
