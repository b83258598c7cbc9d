-- SPDX-License-Identifier: Apache-2.0
-- A checkpoint's tensors as the importer sees them: in file order, the DataParallel prefix removed from their names.

local fail = require "fail"
local names = require "import.names"

local file = {}

--- An open checkpoint as {ckpt, path, role, prefix, keys, list}: list of {name, key, shape, dtype, tensor, file = role, path}, key being
-- the name without "module."; role: "checkpoint" or "base".
function file.read(ckpt, role)
  local found = { ckpt = ckpt, path = ckpt.path, role = role, list = {}, keys = {} }
  local all, seen, odd = {}, {}
  for i, name in ipairs(ckpt:names()) do all[i] = name end
  found.prefix, odd = names.prefix(all)
  if not found.prefix then
    fail("%s: %s: expected a name beginning with module., as others of the file do; found none", ckpt.path, names.show(odd))
  end
  for i, name in ipairs(all) do
    local key = name:sub(#found.prefix + 1)
    if seen[key] then fail("%s: %s: expected once, found twice", ckpt.path, names.show(name)) end
    seen[key] = true
    local tensor = ckpt:tensor(name)
    found.list[i] = { name = name, key = key, shape = tensor.shape, dtype = tensor.dtype, tensor = tensor, file = role, path = ckpt.path }
    found.keys[i] = key
  end
  return found
end

return file
