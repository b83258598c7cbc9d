-- SPDX-License-Identifier: Apache-2.0
--- What two builds were asked for, and how large they came out.
local closed = require "support.closed"

local asked = {}

-- Facts of a manifest that a build was asked for, or that follow from its checkpoint; in the order of the answer.
local FIELDS = { "version", "board", "precision", "arithmetic", "input_size", "depth", "cores", "batch", "target_side",
  "from", "prefix", "classes", "click_order", "mask_rule", "mask_from", "mask_square", "best_of_several", "feedback",
  "resampling", "resize", "normalise", "preparation", "prepare", "texts", "frontend", "encoder", "layer_precision",
  "equalised" }
local OF_CHECKPOINT = { "dialect", "sha256", "base_sha256", "format", "container", "weights_key" }
local OF_MAKEFILE = { "CC", "AR", "CFLAGS", "MSA_CFLAGS" }

-- A value as a text, or nil. Tables are as JSON has them.
local function said(value)
  if value == nil or type(value) == "string" then return value end
  if type(value) == "table" then return next(value) ~= nil and require "msagen.json".encode(value) or nil end
  if math.type(value) == "float" then return ("%.14g"):format(value) end
  return tostring(value)
end

-- A Makefile's variable, its lines joined.
local function variable(text, name)
  return ("\n" .. text:gsub("\\\n", " ")):match("\n" .. name .. " = ([^\n]*)")
end

-- All that was asked for: name -> text, and the names in order.
local function facts_of(side)
  local manifest, facts, order = side.manifest, {}, {}
  local function put(name, value)
    if not facts[name] then order[#order + 1] = name end
    facts[name] = said(value)
  end
  for _, field in ipairs(FIELDS) do put(field, manifest[field]) end
  for _, field in ipairs(OF_CHECKPOINT) do put("checkpoint " .. field, (manifest.checkpoint or {})[field]) end
  local banks = {}
  for i, bank in ipairs(manifest.banks or {}) do banks[i] = ("%s=%s"):format(bank.name, bank.sha256 or "?") end
  put("banks", #banks > 0 and table.concat(banks, " ") or nil)
  local options = manifest.device or {}
  for _, field in ipairs(closed.sorted(options)) do put("option " .. field, options[field]) end
  local text = side:text "Makefile"
  local prefix = manifest.prefix:upper()
  for _, name in ipairs(OF_MAKEFILE) do
    put("Makefile " .. name, text and variable(text, (name:gsub("^MSA_", prefix .. "_"))))
  end
  return facts, order
end

--- @return list of { what, old, new }: what differs, texts or nil
function asked.differences(old, new)
  local before, first = facts_of(old)
  local after, second = facts_of(new)
  local seen, list = {}, {}
  for _, names in ipairs { first, second } do
    for _, name in ipairs(names) do
      if not seen[name] and before[name] ~= after[name] then
        list[#list + 1] = { what = name, old = before[name], new = after[name] }
      end
      seen[name] = true
    end
  end
  return list
end

--- @return list of { what, old, new }: numbers, or nil where a folder has none
function asked.sizes(old, new)
  local list = {}
  local function put(what, of)
    local a, b = of(old.manifest), of(new.manifest)
    if a or b then list[#list + 1] = { what = what, old = a, new = b } end
  end
  for _, one in ipairs { { "arena bytes", "arena_bytes" }, { "weights bytes", "weights_bytes" },
    { "multiply-adds of encode", "macs_encode" }, { "multiply-adds of decode", "macs_decode" },
    { "multiply-adds of a step", "macs" } } do
    put(one[1], function(manifest) return manifest[one[2]] end)
  end
  put("layers", function(manifest) return manifest.layers and #manifest.layers end)
  put("steps of the front end", function(manifest) return manifest.steps and #manifest.steps end)
  return list
end

return asked
