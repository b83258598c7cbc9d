-- SPDX-License-Identifier: Apache-2.0
-- Writes checkpoints that nobody should: ZIP, pickle and safetensors bytes put together by hand, honest or lying.
local M = {}

local crc_table = {}
for i = 0, 255 do
  local c = i
  for _ = 1, 8 do c = c & 1 == 1 and 0xEDB88320 ~ (c >> 1) or c >> 1 end
  crc_table[i] = c
end

--- CRC-32 as ZIP has it.
local function crc32(bytes)
  local c = 0xFFFFFFFF
  for i = 1, #bytes do c = crc_table[(c ~ bytes:byte(i)) & 255] ~ (c >> 8) end
  return c ~ 0xFFFFFFFF
end

--- A ZIP of stored members {{name, bytes}, ...}; data 64-byte aligned, as torch.save does it.
function M.zip(members)
  local parts, directory, at = {}, {}, 0
  for _, member in ipairs(members) do
    local name, bytes = member[1], member[2]
    local crc, size = crc32(bytes), #bytes
    local padding = -(at + 30 + #name + 4) % 64
    local common = string.pack("<I2I2I2I2I2I4I4I4I2", 20, 0, 0, 0, 33, crc, size, size, #name)
    local head = "PK\3\4" .. common .. string.pack("<I2", padding + 4) .. name .. "FB" .. string.pack("<I2", padding)
      .. ("Z"):rep(padding)
    directory[#directory + 1] = "PK\1\2" .. string.pack("<I2", 20) .. common
      .. string.pack("<I2I2I2I2I4I4", 0, 0, 0, 0, 0, at) .. name
    parts[#parts + 1] = head .. bytes
    at = at + #head + size
  end
  local central = table.concat(directory)
  return table.concat(parts) .. central ..
    "PK\5\6" .. string.pack("<I2I2I2I2I4I4I2", 0, 0, #members, #members, #central, at, 0)
end

local function text(s) return "X" .. string.pack("<I4", #s) .. s end
local function integer(n) return "J" .. string.pack("<i4", n) end
local function tuple(values)
  local parts = {}
  for i, v in ipairs(values) do parts[i] = integer(v) end
  return "(" .. table.concat(parts) .. "t"
end

--- The pickle of a state dict {{name=, shape=, offset=, stride=}, ...} of float32 tensors, all views of storage "0" of
-- `storage` elements.
function M.state_dict(tensors, storage)
  local parts = { "\x80\x02}(" }
  for _, t in ipairs(tensors) do
    local stride, step = {}, 1
    for i = #t.shape, 1, -1 do
      stride[i] = step
      step = step * t.shape[i]
    end
    parts[#parts + 1] = text(t.name) .. "ctorch._utils\n_rebuild_tensor_v2\n((" .. text "storage"
      .. "ctorch\nFloatStorage\n" ..
      text "0" .. text "cpu" .. integer(storage) .. "tQ" .. integer(t.offset or 0) .. tuple(t.shape)
        .. tuple(t.stride or stride) ..
      "\x89ccollections\nOrderedDict\n)RtR"
  end
  parts[#parts + 1] = "u."
  return table.concat(parts)
end

--- A .pth of such a state dict; the storage holds `bytes` (default: as many zeros as the tensors need).
function M.pth(tensors, storage, bytes)
  return M.zip {
    { "archive/data.pkl", M.state_dict(tensors, storage) },
    { "archive/data/0", bytes or ("\0"):rep(4 * storage) },
    { "archive/version", "3\n" },
  }
end

--- A .pth whose pickle is these bytes.
function M.pth_of_pickle(pickle)
  return M.zip { { "archive/data.pkl", pickle }, { "archive/version", "3\n" } }
end

--- A pickle that calls os.system(command) when it is loaded by a program that executes what it reads.
function M.system_call(module, command)
  return "\x80\x02c" .. module .. "\nsystem\n" .. text(command) .. "\x85R."
end

--- A safetensors file: the header's JSON text as given, then the data.
function M.safetensors(header, data, claimed_length)
  return string.pack("<I8", claimed_length or #header) .. header .. data
end

--- The same bytes with the bit `bit` of the byte at offset `at` (from 0) inverted.
function M.flip(bytes, at, bit)
  return bytes:sub(1, at) .. string.char(bytes:byte(at + 1) ~ (1 << (bit or 0))) .. bytes:sub(at + 2)
end

return M
