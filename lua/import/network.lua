-- SPDX-License-Identifier: Apache-2.0
--- The tensors that a file must hold: the walk of the network (lua/networks/) with sizes that the file is to tell.

local parameters = require "networks.parameters"
local sam = require "networks.sam"

local network = {}

-- A hostile file may promise millions of layers; this many missing tensors are proof enough.
local MOST_MISSING = 1000
local enough = {}

-- What a dialect says of its network.
local PROGRAM = { "encoder", "encoder_norm_eps", "decoder_norm_eps", "places", "relative", "class_position",
  "upscaling_norm" }

--- The fields of a network (networks/sam.lua) that a dialect says. @param n to be added to
function network.program(dialect, n)
  for _, key in ipairs(PROGRAM) do n[key] = dialect[key] end
  return n
end

--- Every tensor of the network, in the order in which its program registers them; cut short past a thousand missing
-- ones.
-- @param program { encoder = its name } and those of PROGRAM, networks/sam.lua's
-- @param counts the encoder's own, layers, hypernetworks, hyper_layers, iou_layers (each at least 1)
-- @param present set of the file's names
-- @return a list of declarations (networks/parameters.lua); in it sizes, parameters, the network's, and truncated where
-- it was cut short
function network.tensors(program, counts, traits, options, present)
  local list, missing = { sizes = sam.unknown_sizes(program.encoder) }, 0
  local function declare(entry)
    if not present[entry.name] and not entry.optional then
      if missing >= MOST_MISSING then error(enough, 0) end
      missing = missing + 1
    end
    list[#list + 1] = entry
  end
  local n = setmetatable(network.program(program, { sizes = list.sizes, depth = options.depth,
    encoder_adapters = traits.encoder_adapters, decoder_adapters = traits.decoder_adapters,
    conv_adapters = traits.conv_adapters }), { __index = counts })
  local walk = { declare = declare, present = function(name) return present[name] ~= nil end }
  local ok, problem = pcall(sam.declare, parameters.new(walk), n)
  list.parameters = ok and problem
  if not ok and problem ~= enough then error(problem, 0) end
  list.truncated = not ok
  return list
end

return network
