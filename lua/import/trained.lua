-- SPDX-License-Identifier: Apache-2.0
--- What a file that `msagen train` wrote tells of its network: options of a build that the tensors leave open.

local fail = require "support.fail"
local json = require "msagen.json"
local schema = require "support.schema"

local trained = {}

local WRITER = "msagen train"
local TELLS = { "dialect", "resolution", "depth", "chunk", "classes", "decoder_heads", "global_blocks", "click_order" }
local UNSAID = { depth = 1, click_order = "xy" } -- what a training does that says nothing of them

--- Options completed by what the file tells; what was given goes over it. Any other file tells nothing.
-- @param ckpt an open checkpoint @param options of import.load, or nil @return options
function trained.options(ckpt, options)
  local metadata = ckpt.metadata or {}
  if metadata.generator ~= WRITER then return options or {} end
  local ok, found = pcall(json.decode, metadata.options or "", "options")
  if not ok or type(found) ~= "table" then
    fail("%s: __metadata__: options: expected a JSON object, as %s writes it, found %s", ckpt.path, WRITER,
      schema.shown(metadata.options))
  end
  local told, fields = {}, require("compiler.options").fields
  for _, name in ipairs(TELLS) do
    if name == "dialect" then told.dialect = metadata.dialect
    elseif found[name] == nil then told[name] = UNSAID[name]
    else told[name] = found[name] end
    local expected, shown = nil, nil
    if told[name] ~= nil then expected, shown = fields[name][1](told[name]) end
    if expected then
      fail("%s: __metadata__: %s: expected %s, found %s", ckpt.path, name, expected, shown or schema.shown(told[name]))
    end
    if math.type(told[name]) == "float" then told[name] = math.tointeger(told[name]) end
  end
  for name, value in pairs(options or {}) do told[name] = value end
  return told
end

return trained
