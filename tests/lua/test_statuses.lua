-- SPDX-License-Identifier: Apache-2.0
-- Every status of runtime/msa.h: docs/safety.md says in its order what it means for a session and for the device, and
-- msa_status_text has words for it.

local spec = require "spec"
local describe, it, equal = spec.describe, spec.it, spec.equal
local sys = spec.host "msagen.sys"

-- The statuses that a header declares, in order; their numbers must be those from 0 on, each once.
local function declared(text)
  local list, numbers = {}, {}
  for name, number in text:match "typedef enum msa_status {(.-)} msa_status;":gmatch "%f[%w_](MSA_[%w_]+) = (%d+)" do
    list[#list + 1], numbers[#list + 1] = name, math.tointeger(number)
  end
  for i, number in ipairs(numbers) do equal(number, i - 1, list[i]) end
  return list
end

-- What is wrong with the table of a page: a list of texts.
local function wrong(page, statuses)
  local list, at = {}, 0
  local section = page:match "\n## Every status\n(.-)\n## " or ""
  for row in section:gmatch "%f[^\n]|([^\n]*)|%f[\n]" do
    local name, cells = row:match "^ `(MSA_[%w_]+)` |", {}
    for cell in (row .. "|"):gmatch "([^|]*)|" do cells[#cells + 1] = cell:match "^%s*(.-)%s*$" end
    if name then
      at = at + 1
      if statuses[at] ~= name then list[#list + 1] = ("%s in place of %s"):format(name, statuses[at] or "none") end
      for i = 1, math.max(4, #cells) do
        if i > 4 or cells[i] == nil or cells[i] == "" then list[#list + 1] = ("%s: cell %d"):format(name, i) end
      end
    end
  end
  for i = at + 1, #statuses do list[#list + 1] = statuses[i] .. " is missing" end
  return list
end

describe("statuses", function()
  local statuses = declared(sys.read_file(msagen.datadir .. "/runtime/msa.h"))
  local page = sys.read_file(msagen.datadir .. "/docs/safety.md")

  it("have a row each in docs/safety.md: cause, the session after it, what the device does", function()
    equal(#statuses > 30, true)
    equal(wrong(page, statuses), {})
  end)

  it("are missed there, or one too many, or without an answer", function()
    local function found(pattern, by)
      local changed, count = page:gsub(pattern, by, 1)
      equal(count, 1, pattern)
      return #wrong(changed, statuses) > 0
    end
    equal(found("\n| `MSA_E_NAN` |[^\n]*", ""), true)
    equal(found("\n(| `MSA_E_)CAPACITY`( |[^\n]*)", "%0\n%1OTHER`%2"), true)
    equal(found("\n| `MSA_E_CAPACITY` |[^\n]*", ""), true)
    equal(found("(\n| `MSA_E_CRC` |[^\n]*|)[^\n|]*|\n", "%1 |\n"), true)
    equal(found("(\n| `MSA_E_CRC` |[^\n]*|)[^\n|]*|\n", "%1\n"), true)
  end)

  it("have words in runtime/msa_status.c", function()
    local text, words = sys.read_file(msagen.datadir .. "/runtime/msa_status.c"), {}
    for name in text:gmatch "case (MSA_[%w_]+):%s*return \"" do words[name] = (words[name] or 0) + 1 end
    for _, name in ipairs(statuses) do equal({ name, words[name] }, { name, 1 }) end
  end)
end)
