-- SPDX-License-Identifier: Apache-2.0
--- What a network declares its tensors with, in the order in which its program registers them. Each declaration goes to
-- whoever runs the walk: import looks the tensor up in a file and fits its shape, synth makes one.
--   name     SAM's name for it
--   shape    numbers or sizes (networks/sizes.lua)
--   fate     "used", "folded" into another tensor, or "dead"; `why` says of what
--   optional the file need not have it
--   lora     how a LoRA pair of the same name is added to a weight: "plain", or "qkv" where it adapts q and v alone

local sizes = require "networks.sizes"

local Parameters = {}
Parameters.__index = Parameters

local parameters = {}

--- @param walk { declare = function(declaration), present = function(name): does the file have it?, known = are sizes
-- numbers? }
function parameters.new(walk)
  return setmetatable({ walk = walk, prefix = "", fate = "used", why = "" }, Parameters)
end

--- The same below a name.
function Parameters:at(name)
  return setmetatable({ walk = self.walk, prefix = self.prefix .. name .. ".", fate = self.fate, why = self.why,
    optional = self.optional }, Parameters)
end

--- The same with another fate: { fate =, why =, optional = }.
function Parameters:with(fields)
  return setmetatable({ walk = self.walk, prefix = self.prefix, fate = fields.fate or self.fate,
    why = fields.why or self.why,
    optional = fields.optional or self.optional }, Parameters)
end

--- A size of this part alone, which its first tensor tells; `value` where sizes are known.
function Parameters:size(name, value) return self.walk.known and value or sizes.unknown(name) end

function Parameters:present(name) return self.walk.present(self.prefix .. name) end

--- @return the declaration
function Parameters:tensor(name, ...)
  local declaration = { name = self.prefix .. name, shape = { ... }, fate = self.fate, why = self.why,
    optional = self.optional }
  self.walk.declare(declaration)
  return declaration
end

--- A weight and a bias of `width`. @return { weight =, bias = }
function Parameters:affine(name, width)
  return { weight = self:tensor(name .. ".weight", width), bias = self:tensor(name .. ".bias", width) }
end

--- A layer norm. @return { weight =, bias =, eps = }
function Parameters:norm(name, width, eps)
  local norm = self:affine(name, width)
  norm.eps = eps
  return norm
end

--- A linear map. @param lora how a LoRA pair is added, or nil where there is none @return { weight [outputs,inputs],
-- bias [outputs] }
function Parameters:linear(name, outputs, inputs, lora)
  local map = { weight = self:tensor(name .. ".weight", outputs, inputs), bias = self:tensor(name .. ".bias", outputs) }
  if lora and (self:present(name .. ".lora_A") or self:present(name .. ".lora_B")) then
    map.weight.lora = lora
    local layer = (self.prefix .. name):match "([%w_]+%.[%w_]+)$"
    local pair = self:with { fate = "folded", why = "into " .. layer .. ".weight, divided by its rank" }
    local rank = self:size("rank")
    -- The pair of qkv is q's and v's, one below the other.
    pair:tensor(name .. ".lora_B", lora == "qkv" and 2 * inputs or outputs, rank)
    pair:tensor(name .. ".lora_A", lora == "qkv" and 2 * rank or rank, inputs)
  end
  return map
end

--- A convolution of side x side; a transposed one has its inputs first. @param bias its length, or nil for none
function Parameters:convolution(name, outer, inner, side, bias)
  return { weight = self:tensor(name .. ".weight", outer, inner, side, side),
    bias = bias and self:tensor(name .. ".bias", bias) or nil }
end

return parameters
