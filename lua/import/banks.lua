-- SPDX-License-Identifier: Apache-2.0
-- Banks: several models in one build. What they share, and whether one program can serve them all.
--
-- One program means the same shapes and the same preparation; only numbers may differ. Models are account()'s or
-- load()'s.

local bases = require "import.base"
local encoders = require "networks.encoders"
local fail = require "support.fail"
local names = require "import.names"
local shapes = require "import.shapes"

local banks = {}

-- What is folded into a weight, by the end of its name.
local FOLDED = { "lora_B", "lora_A", "lora_E", "ranknum" }

--- All that the compiler takes from a model but the tensors, in the order in which a difference is best told.
-- The dialect is not among them: files of two dialects are banks of one build where nothing below differs.
local fields = {
  { "resolution", "image_size" }, { "patch", "patch" }, { "depth", "depth" }, { "chunk", "chunk" },
    { "volumes", "volumes" },
  { "encoder", "encoder", "kind" }, { "width of the embedding", "out" },
  { "adapters", "adapters" }, { "adapter activation", "adapter_activation" }, { "adapter scale", "adapter_scale" },
  { "window padding", "pad" }, { "normalisation", "normalise", "kind" }, { "resampling", "resampling" },
  { "resize", "resize" }, { "what masks are enlarged from", "mask_from" },
  { "square that masks are enlarged to", "mask_square" }, { "click order", "click_order" },
  { "mask prompt's first width", "prompt", "mask_in1" }, { "mask prompt's second width", "prompt", "mask_in2" },
  { "number of mask tokens", "decoder", "masks" }, { "mask rule", "mask_rule" }, { "classes", "classes" },
  { "heads of the decoder", "decoder", "heads" }, { "layers of the decoder", "decoder", "layers" },
  { "mlp of the decoder", "decoder", "mlp" }, { "cross attention's width", "decoder", "cross" },
  { "layers of the IoU head", "decoder", "iou_layers" }, { "width of the IoU head", "decoder", "iou" },
  { "layers of the hypernetworks", "decoder", "hyper_layers" }, { "width of the hypernetworks", "decoder", "hyper" },
  { "first up-scaled width", "decoder", "upscaled1" }, { "second up-scaled width", "decoder", "upscaled2" },
  { "activation of the decoder", "decoder", "activation" }, { "norm of the up-scaled image", "upscaling_norm" },
  { "places of a prompt", "places" }, { "clicks' side", "click_side" }, { "up-sampling of logits", "upsample" },
  { "whether 0 is inside a mask", "zero_inside" },
  { "first self-attention", "first_self_attention" }, { "position in the decoder's queries", "position_stays" },
}

local function spoken(value)
  if value == nil then return "none" end
  if type(value) == "table" then return #value > 0 and table.concat(value, ",") or "none" end
  if type(value) == "boolean" then return value and "yes" or "no" end
  return tostring(value)
end

-- Those of a model: its encoder's own behind the encoder.
local function fields_of(model)
  local list = {}
  for _, field in ipairs(fields) do
    list[#list + 1] = field
    if field[3] == "kind" and field[2] == "encoder" then
      for _, own in ipairs(encoders.named(model.encoder.kind, "banks").words) do
        list[#list + 1] = { own[1], "encoder", own[2] }
      end
    end
  end
  return list
end

local function field_of(model, field)
  local value = model[field[2]]
  if field[3] and value then value = value[field[3]] end
  return spoken(value)
end

--- The tensors that a model computes with: array of {name, shape, from, why}, and by name. `shape` is the build's,
-- `pair` the LoRA tensors folded in.
local function computing(model)
  local list, by_name, entries = {}, {}, {}
  for _, entry in ipairs(model.entries) do entries[entry.name] = entry end
  for _, entry in ipairs(model.entries) do
    if entry.found and entry.fate == "used" then
      local shape = entry.found.shape
      local resize = entry.resize
      if resize and resize[1] == "bicubic" then
        shape = { 1, resize[3], resize[3], shape[4] }
      elseif resize then
        shape = { resize[3], shape[2] }
      end
      local one = { name = entry.name, shape = shape, found = entry.found, resize = resize, folded = {} }
      for i, part in ipairs(FOLDED) do
        local other = entries[(entry.name:gsub("weight$", part))]
        one.folded[i] = other and other.fate == "folded" and other.found
      end
      list[#list + 1], by_name[one.name] = one, one
    end
  end
  return list, by_name
end

--- The first thing that keeps models[i] from being a bank beside models[1]: i, what, found, expected; nil if nothing
-- does.
local function obstacle(models)
  local list, first = computing(models[1])
  for i = 2, #models do
    for _, field in ipairs(fields_of(models[1])) do
      local expected, found = field_of(models[1], field), field_of(models[i], field)
      if expected ~= found then return i, field[1], found, expected end
    end
    local others, other = computing(models[i])
    for _, one in ipairs(list) do
      local found = other[one.name]
      local expected = shapes.text(one.shape)
      if not found then return i, names.show(one.found.name), "missing", expected end
      if shapes.text(found.shape) ~= expected then
        return i, names.show(found.found.name), shapes.text(found.shape), expected
      end
    end
    for _, one in ipairs(others) do
      if not first[one.name] then return i, names.show(one.found.name), shapes.text(one.shape), "no such tensor" end
    end
  end
end

--- Refuse models that no one program can serve: a line that names bank, field or tensor, what was expected and found.
-- bank_names: one for each model.
function banks.check(models, bank_names)
  local i, what, found, expected = obstacle(models)
  if i then
    fail("%s: bank %s: %s is %s; expected %s, as in bank %s", models[i].source.path, names.show(bank_names[i]), what,
      found, expected, names.show(bank_names[1]))
  end
end

local function elements(shape)
  local n = 1
  for _, size in ipairs(shape) do n = n * size end
  return n
end

local function same_found(a, b)
  if not a or not b then return not a and not b end
  return shapes.text(a.shape) == shapes.text(b.shape) and bases.same_values(a.tensor, b.tensor)
end

--- The build gets the same numbers of both: file's values, what is folded in, what it is resampled to.
local function same(a, b)
  if shapes.text(a.shape) ~= shapes.text(b.shape) or not same_found(a.found, b.found) then return false end
  for i = 1, #FOLDED do
    if not same_found(a.folded[i], b.folded[i]) then return false end
  end
  return true
end

--- What models share, tensor by tensor under SAM's names; a tensor at a time is read. Bytes are the build's: 4 a value.
-- Gives {files = array of {path, tensors, bytes, private_tensors, private_bytes}, tensors = array of {name, shape,
-- bytes, shared}, shared_tensors, shared_bytes, separate_bytes, and either together_bytes and saved_bytes, or obstacle:
-- why they are no banks of one build}.
function banks.compare(models)
  local lists, by_name = {}, {}
  for i, model in ipairs(models) do lists[i], by_name[i] = computing(model) end
  local report = { files = {}, tensors = {}, shared_tensors = 0, shared_bytes = 0, separate_bytes = 0 }
  for i, model in ipairs(models) do
    report.files[i] = { path = names.show(model.source.path), tensors = #lists[i], bytes = 0, private_tensors = 0,
      private_bytes = 0 }
  end

  local seen = {}
  for _, list in ipairs(lists) do
    for _, one in ipairs(list) do
      if not seen[one.name] then
        seen[one.name] = true
        local shared = true
        for i = 1, #models do
          shared = shared and by_name[i][one.name] and (by_name[i][one.name] == one or same(one, by_name[i][one.name]))
            or false
        end
        local bytes = 4 * elements(one.shape)
        report.tensors[#report.tensors + 1] = { name = one.name, shape = one.shape, bytes = bytes, shared = shared }
        if shared then
          report.shared_tensors, report.shared_bytes = report.shared_tensors + 1, report.shared_bytes + bytes
        end
        for i, file in ipairs(report.files) do
          local own = by_name[i][one.name]
          if own then
            local size = 4 * elements(own.shape)
            file.bytes = file.bytes + size
            report.separate_bytes = report.separate_bytes + size
            if not shared then
              file.private_tensors, file.private_bytes = file.private_tensors + 1, file.private_bytes + size
            end
          end
        end
      end
    end
  end

  local i, what, found, expected = obstacle(models)
  if i then
    report.obstacle = ("%s: %s is %s; expected %s, as in %s"):format(report.files[i].path, what, found, expected,
      report.files[1].path)
  else
    report.saved_bytes = (#models - 1) * report.shared_bytes
    report.together_bytes = report.separate_bytes - report.saved_bytes
  end
  return report
end

return banks
