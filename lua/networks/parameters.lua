-- SPDX-License-Identifier: Apache-2.0
--- What a network declares its tensors with, in the order in which its program registers them. Each declaration goes to
-- whoever runs the walk: import looks the tensor up in a file and fits its shape, synth makes one.
--   name     SAM's name for it
--   shape    numbers or sizes (networks/sizes.lua)
--   fate     "used", "folded" into another tensor, or "dead"; `why` says of what
--   optional the file need not have it
--   lora     how LoRA tensors of the same name are added to a weight: "plain", "qkv" where they adapt q and v alone, or
--            "svd" where they are AdaLoRA's (Zhang et al. 2023)

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

--- A linear map. @param lora how LoRA tensors are added, or nil where there are none; AdaLoRA's are known by lora_E
-- @return { weight [outputs,inputs], bias [outputs], pair = { a, b }: a LoRA pair's, nil where there is none }
function Parameters:linear(name, outputs, inputs, lora)
  local map = { weight = self:tensor(name .. ".weight", outputs, inputs), bias = self:tensor(name .. ".bias", outputs) }
  local svd = lora and self:present(name .. ".lora_E")
  local pair = lora and lora ~= "svd" and (self:present(name .. ".lora_A") or self:present(name .. ".lora_B"))
  if not svd and not pair then return map end
  map.weight.lora = svd and "svd" or lora
  local layer, rank = (self.prefix .. name):match "([%w_]+%.[%w_]+)$", self:size("rank")
  local folded = self:with { fate = "folded", why = ("into %s.weight, divided by its rank"):format(layer) }
  -- The pair of qkv is q's and v's, one below the other.
  local two = map.weight.lora == "qkv"
  local b = folded:tensor(name .. ".lora_B", two and 2 * inputs or outputs, rank)
  local a = folded:tensor(name .. ".lora_A", two and 2 * rank or rank, inputs)
  if not svd then map.pair = { a = a, b = b } end
  if svd then
    folded:tensor(name .. ".lora_E", rank, 1)
    folded:tensor(name .. ".ranknum", 1)
  end
  return map
end

--- A convolution of side x side; a transposed one has its inputs first. @param bias its length, or nil for none
function Parameters:convolution(name, outer, inner, side, bias)
  return { weight = self:tensor(name .. ".weight", outer, inner, side, side),
    bias = bias and self:tensor(name .. ".bias", bias) or nil }
end

return parameters
