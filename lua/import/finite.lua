-- SPDX-License-Identifier: Apache-2.0
-- A NaN or an infinity in a tensor that a build uses: refused with the file, the tensor under its own name, and the
-- place in it.

local fail = require "support.fail"
local names = require "import.names"

local finite = {}

-- "[1,0]" for a flat index.
local function place(shape, at)
  local list = {}
  for d = #shape, 1, -1 do
    list[d] = at % shape[d]
    at = at // shape[d]
  end
  return "[" .. table.concat(list, ",") .. "]", list
end

-- Refuse a tensor of a file that has one; `found` is what import.file says of it.
local function check_found(found)
  local ok, at = (found.dtype == "f64" and found.tensor:scale(1) or found.tensor):finite() -- beyond a float is infinite
  if ok then return end
  local text, index = place(found.shape, at)
  local value = found.tensor:get(table.unpack(index))
  fail("%s: %s: expected finite values, found %s at %s", found.path, names.show(found.name), value ~= value and "NaN"
    or value > 0 and "infinity" or "-infinity", text)
end

--- Refuse a model's tensor by SAM's name.
function finite.check(model, name)
  for _, entry in ipairs(model.entries or {}) do
    if entry.name == name and entry.found then check_found(entry.found) end
  end
end

-- The weight, without .weight, that a tensor of that name is folded into.
local function folded_into(name) return name:match "^(.*)%.lora_%u$" or name:match "^(.*)%.ranknum$" end

--- Say of a refusal of the blob's ("NAME: element [..] is NaN; ...") which file's tensor it is about.
-- @param models those of all banks
function finite.located(models, problem)
  local name = type(problem) == "table" and tostring(problem.msagen):match "^(.-): element %["
  if not name then return problem end
  for _, model in ipairs(models) do
    for _, entry in ipairs(model.entries or {}) do
      local found = entry.found
      -- What is folded into a weight has a name of its own.
      local weight = name:match "^(.*)%.weight$"
      if found and (found.name == name or weight and folded_into(found.name) == weight) then
        local ok, told = pcall(check_found, found)
        if not ok then return told end
      end
    end
  end
  return { msagen = ("%s: %s"):format(models[1].source.path, problem.msagen) }
end

return finite
