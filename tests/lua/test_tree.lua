-- SPDX-License-Identifier: Apache-2.0
-- The tree of sources as a whole: modules require each other in no circle, and nothing lies loose.

local spec = require "spec"
local describe, it, equal = spec.describe, spec.it, spec.equal
local sys = spec.host "msagen.sys"

-- The modules of lua/: name -> text.
local function modules()
  local found = {}
  local function walk(folder, prefix)
    for _, name in ipairs(sys.list(folder)) do
      local stem = name:match "^(.+)%.lua$"
      if stem then found[prefix .. stem] = sys.read_file(folder .. "/" .. name)
      elseif not name:find(".", 1, true) then walk(folder .. "/" .. name, prefix .. name .. ".") end
    end
  end
  walk(msagen.datadir .. "/lua", "")
  return found
end

-- A path from a module to itself, or nil. @param requires name -> list of names
local function circle(requires)
  local state, path = {}, {}
  local function visit(name)
    if state[name] == "done" then return nil end
    path[#path + 1] = name
    if state[name] == "open" then return table.concat(path, " -> ") end
    state[name] = "open"
    for _, other in ipairs(requires[name] or {}) do
      local found = visit(other)
      if found then return found end
    end
    state[name], path[#path] = "done", nil
  end
  for name in pairs(requires) do
    local found = visit(name)
    if found then return found end
  end
end

describe("the modules", function()
  it("require each other in no circle, nor in functions", function()
    local texts, requires = modules(), {}
    for name, text in pairs(texts) do
      requires[name] = {}
      for other in text:gmatch "require%s*%(?%s*[\"']([%w_.-]+)[\"']" do
        if texts[other] then table.insert(requires[name], other) end
      end
    end
    assert(#requires["compiler.compiler"] > 5, "requires are found")
    equal(circle(requires), nil)
    equal(circle { a = { "b" }, b = { "c" }, c = { "b" } } ~= nil, true)
  end)

  it("lie in the folder of their stage, but for the entry", function()
    local loose = {}
    for name in pairs(modules()) do
      if not name:find(".", 1, true) then loose[#loose + 1] = name end
    end
    equal(loose, { "cli" })
  end)
end)
