-- SPDX-License-Identifier: Apache-2.0
--- The texts of two folders, file by file: what differs in each, from nothing to what a product sees.
--   build id     of the Makefile, by which the test bench says which build it is of
--   weights      names of the weights: SHA-256 of checkpoints, the model's hash as digits or as bytes
--   answers      the known answers' constants
--   comments     comments, blanks at the ends of lines, empty lines
--   code         all else
--   interface    of headers that a product includes: declarations, and macros but for those of the build's facts
local c_text = require "report.c_text"
local closed = require "support.closed"

local texts = {}

--- Classes of a file's difference, the weakest first.
texts.classes = { "build id", "weights", "answers", "comments", "code", "interface" }

texts.rank = {}
for i, class in ipairs(texts.classes) do texts.rank[class] = i end

-- Macros that say what was built, none that a product's code depends on; behind the prefix.
local FACTS = { MODEL_BUILD = true, MODEL_BOARD = true, MODEL_ARITHMETIC = true, MODEL_MACS_ENCODE = true,
  MODEL_MACS_DECODE = true, VERSION = true, VERSION_TEXT = true }

-- A text with names in place of the hashes that name the weights.
local function namer(manifest)
  local names = {}
  local function name(hash, as)
    if hash then names[hash] = as end
  end
  name(manifest.model_hash, "MODEL-HASH")
  for i, bank in ipairs(manifest.banks or {}) do name(bank.sha256, "BANK-" .. i) end
  name(manifest.checkpoint and manifest.checkpoint.sha256, "CHECKPOINT")
  local bytes = {}
  for byte in (manifest.model_hash or ""):gmatch "%x%x" do bytes[#bytes + 1] = "0x" .. byte end
  local listed = #bytes > 0 and table.concat(bytes, ",[%s\\]*")
  return function(text)
    text = text:gsub("%x+", names)
    return listed and text:gsub(listed, "MODEL-HASH") or text
  end
end

local function without_build(manifest)
  return function(text) return manifest.build and (text:gsub("%x+", { [manifest.build] = "BUILD" })) or text end
end

-- The constants of known answers.
local EXPECTED = "(static const uint32_t expected%[%d+%] = ){([^{}]*)}"

--- The known answers of a text of msa_known_answer.c, or nil.
function texts.answers(text)
  local _, list = text:match(EXPECTED)
  if not list then return nil end
  local found = {}
  for one in list:gmatch "0x(%x+)u" do found[#found + 1] = one end
  return found
end

local function without_answers(text) return (text:gsub(EXPECTED, "%1{}")) end

local function is_c(name) return name:find "%.[ch]$" ~= nil end

-- A text without comments; of make, CMake and pkg-config they begin with #.
local function bare(name, text)
  if is_c(name) or name:find "%.[Sb]$" or name:find "%.ld$" then return c_text.bare(text) end
  local lines = {}
  for line in (text .. "\n"):gmatch "(.-)[ \t]*\n" do
    if line ~= "" and not line:find "^#" then lines[#lines + 1] = line end
  end
  return table.concat(lines, "\n")
end

-- A list with a key for each member: its name, and of the second of a name and so on the number, too.
local function keyed(list)
  local map, order, seen = {}, {}, {}
  for i, one in ipairs(list) do
    seen[one.name] = (seen[one.name] or 0) + 1
    local key = seen[one.name] > 1 and ("%s (%d)"):format(one.name, seen[one.name]) or one.name
    map[key], order[i] = one, key
  end
  return map, order
end

-- What of two lists of named things was added, removed and changed. @param differs function(old, new)
local function paired(old, new, differs)
  local before, first = keyed(old)
  local after, second = keyed(new)
  local found = { added = {}, removed = {}, changed = {}, same = 0 }
  for _, key in ipairs(second) do
    if not before[key] then table.insert(found.added, key) end
  end
  for _, key in ipairs(first) do
    if not after[key] then table.insert(found.removed, key)
    elseif differs(before[key], after[key]) then table.insert(found.changed, key)
    else found.same = found.same + 1 end
  end
  found.any = #found.added + #found.removed + #found.changed > 0
  return found, before, after
end
texts.paired = paired

-- Things of a text with their old and new wording: { name, old = or nil, new = or nil }.
local function worded(old, new, said)
  local found, before, after = paired(old, new, function(a, b) return said(a) ~= said(b) end)
  local list = {}
  for _, key in ipairs(found.removed) do list[#list + 1] = { name = key, old = said(before[key]) } end
  for _, key in ipairs(found.changed) do
    list[#list + 1] = { name = key, old = said(before[key]), new = said(after[key]) }
  end
  for _, key in ipairs(found.added) do list[#list + 1] = { name = key, new = said(after[key]) } end
  return list
end

local function of_macro(one) return (one.parameters or "") .. (one.parameters and " " or "") .. one.value end
local function of_declaration(one) return one.text end

-- Lines of one text that the other has not, as often as it has them.
local function lines_without(text, other)
  local counts, list = {}, {}
  for line in (other .. "\n"):gmatch "(.-)\n" do counts[line] = (counts[line] or 0) + 1 end
  for line in (text .. "\n"):gmatch "(.-)\n" do
    counts[line] = (counts[line] or 0) - 1
    if counts[line] < 0 then list[#list + 1] = line end
  end
  return list
end

local function order_of(functions)
  local names = {}
  for i, one in ipairs(functions) do names[i] = one.name end
  return table.concat(names, "\n")
end

-- What differs in a C text whose code does.
local function structure(old, new, entry)
  local a, b = c_text.read(old), c_text.read(new)
  local functions = paired(a.functions, b.functions, function(x, y) return x.text ~= y.text end)
  entry.functions = { added = functions.added, removed = functions.removed, changed = functions.changed,
    same = functions.same, moved = not functions.any and order_of(a.functions) ~= order_of(b.functions) }
  entry.macros = worded(a.macros, b.macros, of_macro)
  entry.declarations = worded(a.declarations, b.declarations, of_declaration)
  entry.directives = table.concat(a.directives, "\n") ~= table.concat(b.directives, "\n")
end

-- Whether nothing differs beside a text's functions but macros that say what was built.
local function facts_alone(entry, prefix)
  if entry.directives or #entry.declarations > 0 then return false end
  for _, macro in ipairs(entry.macros) do
    local own = macro.name:match("^" .. prefix:upper() .. "_([%w_]+)$")
    if not FACTS[own or ""] then return false end
  end
  return true
end

-- How two texts of a file differ. @param sides two of { text, manifest } @param entry gets what differs
local function classify(name, sides, public, entry)
  local function both(change)
    for i, side in ipairs(sides) do
      local how = type(change) == "table" and change[i] or change
      side.text = how(side.text)
    end
    return sides[1].text == sides[2].text
  end
  local one, two = sides[1].manifest, sides[2].manifest
  if both { without_build(one), without_build(two) } then return "build id" end
  if both { namer(one), namer(two) } then return "weights" end
  if name:find "_known_answer%.c$" and both(without_answers) then return "answers" end
  local old, new = bare(name, sides[1].text), bare(name, sides[2].text)
  if is_c(name) then
    structure(sides[1].text, sides[2].text, entry)
    local functions = entry.functions
    local named = #functions.added + #functions.removed + #functions.changed > 0
    entry.facts = not named and #entry.macros > 0 and facts_alone(entry, one.prefix)
  end
  entry.lines = { removed = lines_without(old, new), added = lines_without(new, old) }
  if old == new then
    local functions = entry.functions
    local within = functions and #functions.changed > 0 -- their comments: a function is its bytes
    return within and "code" or "comments"
  end
  return public and not facts_alone(entry, one.prefix) and "interface" or "code"
end

-- The headers that a product includes: the library's own, msa_threads.h, and what these include.
local function public_headers(side)
  local found, prefix = {}, side.manifest.prefix
  local function add(name)
    if found[name] or not side.hashes[name] then return end
    found[name] = true
    for _, directive in ipairs(c_text.read(side:text(name)).directives) do
      add(directive:match '^#%s*include "([^"]+)"$' or "")
    end
  end
  for _, header in ipairs { "_model.h", "_train.h", "_threads.h" } do add(prefix .. header) end
  return found
end

--- Compare the files of two folders of change.folder.
-- @return list of what differs, by name: { file, part = "product" or "test bench", state = "added", "removed" or
-- "changed", class, and of C whose code differs: functions = { added, removed, changed: names; same = count; moved },
-- macros, declarations = lists of { name, old, new }, directives = boolean, facts = whether nothing but macros differs
-- that say what was built; lines = { removed, added } without comments }; and { files, functions = counts of those that
-- are the same }, functions of the product
function texts.compare(old, new)
  local public, other = public_headers(old), public_headers(new)
  for name in pairs(other) do public[name] = true end
  local all, list, same = {}, {}, { files = 0, functions = 0 }
  for _, side in ipairs { old, new } do
    for name in pairs(side.manifest.files) do all[name] = true end
  end
  for _, name in ipairs(closed.sorted(all)) do
    local benched = new.benched(name)
    local entry = { file = name, part = benched and "test bench" or "product", state = "changed" }
    local before, after = old.hashes[name], new.hashes[name]
    if before ~= after then
      if before and after then
        entry.class = classify(name, { { text = old:text(name), manifest = old.manifest },
          { text = new:text(name), manifest = new.manifest } }, public[name], entry)
      else
        entry.state, entry.class = before and "removed" or "added", public[name] and "interface" or "code"
        if is_c(name) then structure(old:text(name) or "", new:text(name) or "", entry) end
      end
      list[#list + 1] = entry
    elseif before then
      same.files = same.files + 1
    end
    local kept = not benched and is_c(name) and after and before
    if kept and before ~= after and entry.functions then same.functions = same.functions + entry.functions.same
    elseif kept and texts.rank[entry.class or "build id"] < texts.rank.code then
      same.functions = same.functions + #c_text.read(new:text(name)).functions
    end
  end
  return list, same
end

--- Constants of the library's header that differ: { name, old, new } of two folders.
function texts.constants(old, new)
  local lists = {}
  for i, side in ipairs { old, new } do
    lists[i] = {}
    for _, header in ipairs { "_model.h", "_train.h" } do
      local text = side:text(side.manifest.prefix .. header)
      if text then lists[i] = c_text.read(text).macros end
    end
  end
  return worded(lists[1], lists[2], of_macro)
end

return texts
