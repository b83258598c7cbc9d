-- SPDX-License-Identifier: Apache-2.0
--- Full checkpoints with values made up (gen/tensor/synth.c): the walk of the network (lua/networks/) with known sizes,
-- under the names and in the order in which each dialect's program saves it.

local dialects = require "import.dialects"
local encoders = require "networks.encoders"
local names = require "import.names"
local parameters = require "networks.parameters"
local program = require "import.network"
local sam = require "networks.sam"

local synth = {}

--- Shapes by name, of all encoders; what they do not say is common to them.
synth.architectures = {}
for _, name in ipairs(encoders.names) do
  for key, shape in pairs(encoders.named(name, "synth").architectures or {}) do
    shape.encoder = name
    synth.architectures[key] = shape
  end
end
local common = { patch = 16, window = 14, out = 256, decoder_mlp = 2048, masks = 4 }

--- Sorted names, for messages and --help.
local function sorted(t)
  local list = {}
  for name in pairs(t) do list[#list + 1] = name end
  table.sort(list)
  return list
end
synth.architecture_names = sorted(synth.architectures)
synth.dialect_names = {}
for i, dialect in ipairs(dialects.all()) do synth.dialect_names[i] = dialect.name end
table.sort(synth.dialect_names)

local function holds(list, value)
  for _, one in ipairs(list) do
    if one == value then return true end
  end
  return false
end

-- The network of a shape, as the dialect's program builds it.
local function network(shape, dialect)
  local E = shape.out
  local n = encoders.named(dialect.encoder, "synth").synthetic(shape, dialect)
  program.program(dialect, n)
  n.layers, n.hypernetworks, n.hyper_layers, n.iou_layers = 2, shape.masks, 3, 3
  n.encoder_adapters = holds(dialect.marks.encoder_adapters, true)
  n.conv_adapters = holds(dialect.marks.conv_adapters or {}, true)
  n.decoder_adapters = holds(dialect.marks.decoder_adapters, true)
  n.depth = 2
  for name, size in pairs { decoder_mlp = shape.decoder_mlp, out = E, mask_in1 = 4, mask_in2 = 16, upscaled1 = E // 4,
    upscaled2 = E // 8, cross = E // 2, masks = shape.masks, hyper = E, iou = E } do n.sizes[name] = size end
  return n
end

-- Within each module its own tensors come before those of its parts, the rest as declared: the order of PyTorch's state
-- dicts.
local function as_saved(list)
  local out = {}
  local function module(prefix, from, to)
    local parts, own = {}, {}
    for i = from, to do
      local rest = list[i].name:sub(#prefix + 1)
      local part = rest:match "^([^.]+)%."
      if not part then own[#own + 1] = list[i]
      elseif parts[#parts] and parts[#parts].name == part then parts[#parts].to = i
      else parts[#parts + 1] = { name = part, from = i, to = i } end
    end
    table.move(own, 1, #own, #out + 1, out)
    for _, part in ipairs(parts) do module(prefix .. part.name .. ".", part.from, part.to) end
  end
  module("", 1, #list)
  return out
end

--- Every tensor of a file of `dialect`, in the order that torch.save would give it: an array of {name=, shape=}.
-- @param shape resolution, dim, blocks, heads, global; optionally patch, window, out, decoder_mlp, masks
function synth.tensors(shape, dialect)
  local full, list = {}, {}
  for key, value in pairs(common) do full[key] = value end
  for key, value in pairs(shape) do full[key] = value end
  dialect = dialects.named(dialect, "--dialect")
  local _, to_file = names.speller(dialect.spelling)
  sam.declare(parameters.new { known = true, present = function() return false end,
    declare = function(entry) list[#list + 1] = { name = entry.name, shape = entry.shape } end }, network(full,
      dialect))
  list = as_saved(list)
  for _, one in ipairs(list) do one.name = to_file(one.name) end
  return list
end

--- Write the file. options: arch, resolution (pixels), dialect (nil: whose the architecture is), seed, out (path),
-- progress (function(done, count)) or nil.
function synth.write(options)
  local fail = require "support.fail"
  local architecture, resolution = synth.architectures[options.arch], options.resolution
  local dialect = dialects.named(options.dialect or architecture.dialect or "sam", "--dialect")
  local patch, encoder = architecture.patch or common.patch, dialect.encoder
  if architecture.encoder ~= encoder then
    fail("--arch %s: expected an architecture of the encoder %s, as dialect %s has it, found one of %s", options.arch,
      encoder, dialect.name, architecture.encoder)
  end
  if resolution < patch or resolution > 16384 or resolution % patch ~= 0 then
    fail("--resolution %d: a multiple of the patch, %d, from %d to 16384 expected", resolution, patch, patch)
  end
  local shape = { resolution = resolution }
  for key, value in pairs(architecture) do shape[key] = value end
  require "msagen.synth".write(options.out, synth.tensors(shape, dialect.name), options.seed, options.progress)
end

return synth
