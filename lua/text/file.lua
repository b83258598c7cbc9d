-- SPDX-License-Identifier: Apache-2.0
--- A file of text prompts, as --text-prompts reads it (lua/import/text.lua): prompts, beside them the embeddings that
-- they are made of, and their names.

local json = require "msagen.json"
local sys = require "msagen.sys"

local file = {}

--- Write it. @param names texts @param tensors list of { name, tensor }, whose numbers are rounded to float32
function file.write(path, names, tensors)
  local header = { '"__metadata__":' .. json.encode { format = "pt", names = json.encode(json.array(names)) } }
  local parts, at = {}, 0
  for i, one in ipairs(tensors) do
    parts[i] = one[2]:scale(1):tobytes()
    header[i + 1] = ('%s:{"dtype":"F32","shape":[%s],"data_offsets":[%d,%d]}'):format(json.encode(one[1]),
      table.concat(one[2].shape, ","), at, at + #parts[i])
    at = at + #parts[i]
  end
  local text = "{" .. table.concat(header, ",") .. "}"
  text = text .. (" "):rep(-#text % 8)
  sys.write_file(path, string.pack("<I8", #text) .. text .. table.concat(parts))
end

return file
