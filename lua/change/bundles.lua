-- SPDX-License-Identifier: Apache-2.0
--- Two bundles that `msagen evidence` wrote: of which build, by which compiler, and which findings differ.
local closed = require "support.closed"
local csv = require "evaluate.csv"
local fail = require "support.fail"
local json = require "msagen.json"
local schema = require "support.schema"
local sha256 = require "msagen.sha256"
local sys = require "msagen.sys"

local bundles = {}

local ABOUT = "evidence.json"

local function is_null(value) return value == nil or value == json.null end

-- A list of tables with texts of these names.
local function tables_of(names)
  return schema.kind(function(list)
    if type(list) ~= "table" then return "a list" end
    for _, one in ipairs(list) do
      for _, name in ipairs(names) do
        if type(one) ~= "table" or type(one[name]) ~= "string" then return "tables with " .. closed.list(names) end
      end
    end
  end)
end

-- What is compared beside checks: what of the build, and what of its compiler.
local FACTS = { "version", "build", "manifest_sha256", "model_hash", "weights_sha256", "checkpoint_sha256", "board",
  "precision", "arithmetic" }
local FIELDS = { checks = { tables_of { "id", "status", "found" }, true }, images = { tables_of { "name" } } }
for _, name in ipairs(FACTS) do FIELDS[name] = { schema.text, true } end

--- Whether a path is a bundle.
function bundles.is(path) return sys.isdir(path) and sys.exists(path .. "/" .. ABOUT) end

-- Bytes of resources.csv by what they are of.
local function resources_of(path)
  local file, bytes = path .. "/resources.csv", {}
  if not sys.exists(file) then return bytes end
  for i, row in ipairs(csv.rows(sys.read_file(file), file)) do
    if i > 1 and row[2] then bytes[row[1]] = math.tointeger(tonumber(row[2])) end
  end
  return bytes
end

-- SHA-256 of its files, as SHA256SUMS has them, and the names of those that are others now.
local function sums_of(path)
  local sums, changed, file = {}, {}, path .. "/SHA256SUMS"
  for hash, name in (sys.exists(file) and sys.read_file(file) or ""):gmatch "(%x+)  ([%w._-]+)\n" do
    sums[name] = hash
    if sha256.file(path .. "/" .. name) ~= hash then changed[#changed + 1] = name end
  end
  if not sums[ABOUT] then fail("%s: expected the sums of a bundle's files, found none of %s", file, ABOUT) end
  return sums, changed
end

--- Open a bundle. @return { path, about = of evidence.json, resources, sums, changed }
function bundles.open(path)
  local file = path .. "/" .. ABOUT
  local about = json.decode(sys.read_file(file), file)
  if type(about) ~= "table" or about.generator ~= "msagen evidence" then
    fail("%s: expected what msagen evidence wrote, found another file", file)
  end
  schema.check_known(about, FIELDS, file)
  local sums, changed = sums_of(path)
  return { path = path, about = about, resources = resources_of(path), sums = sums, changed = changed }
end

-- Facts of a bundle by name.
local function facts_of(side)
  local facts, compiler = {}, side.about.compiler
  for _, name in ipairs(FACTS) do facts[name] = side.about[name] end
  for _, name in ipairs { "name", "version", "flags" } do
    local value = not is_null(compiler) and type(compiler) == "table" and compiler[name]
    facts["compiler " .. name] = type(value) == "string" and value or nil
  end
  for _, image in ipairs(side.about.images or {}) do
    facts["image " .. image.name] = type(image.sha256) == "string" and image.sha256 or "a folder"
    facts["mask of " .. image.name] = type(image.truth_sha256) == "string" and image.truth_sha256 or nil
  end
  return facts
end

local function findings_of(side)
  local found = {}
  for _, one in ipairs(side.about.checks) do found[one.id] = ("%s: %s"):format(one.status, one.found) end
  return found
end

-- What of two tables by name differs: { what, old, new }.
local function differing(old, new)
  local names, list = {}, {}
  for _, side in ipairs { old, new } do
    for name in pairs(side) do names[name] = true end
  end
  for _, name in ipairs(closed.sorted(names)) do
    if old[name] ~= new[name] then list[#list + 1] = { what = name, old = old[name], new = new[name] } end
  end
  return list
end

local function side_of(side)
  return { path = side.path, version = side.about.version, board = side.about.board, build = side.about.build,
    changed_by_hand = side.changed }
end

-- The verdict, by what differs first.
local function verdict(made, same)
  local compiler = false
  for _, one in ipairs(made.inputs) do
    if one.what == "build" or one.what == "weights_sha256" then return "another build" end
    compiler = compiler or one.what:find "^compiler" ~= nil
  end
  if compiler then return "another compiler" end
  return same and "identical" or "other findings"
end

--- Compare two bundles of bundles.open.
-- @return { kind = "evidence"; verdict = "identical", "other findings" (of one build and compiler), "another compiler"
--   (of one build), "another build"; inputs, checks, sizes = lists of { what, old, new } that differ; names = of files
--   whose bytes differ; old, new = { path, version, board, build, changed_by_hand } }
function bundles.compare(old, new)
  local made = { kind = "evidence", inputs = differing(facts_of(old), facts_of(new)),
    checks = differing(findings_of(old), findings_of(new)), sizes = differing(old.resources, new.resources),
    names = {}, old = side_of(old), new = side_of(new) }
  for i, one in ipairs(differing(old.sums, new.sums)) do made.names[i] = one.what end
  made.verdict = verdict(made, #made.names + #old.changed + #new.changed == 0)
  return made
end

return bundles
