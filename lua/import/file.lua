-- SPDX-License-Identifier: Apache-2.0
-- A checkpoint's tensors as the importer sees them: in file order, a wrapper's prefix that all share removed from their
-- names. A file of another network, one whose names lie under several prefixes, and one with two sets of weights are
-- refused here, by name.

local closed = require "support.closed"
local fail = require "support.fail"
local families = require "import.families"
local harmless = require "import.harmless"
local names = require "import.names"
local shapes = require "import.shapes"

local file = {}

local function begins(name, prefix) return name:sub(1, #prefix) == prefix end

-- Name -> the prefix of --ignore that it begins with. Of a file that is alone, each prefix must be one.
local function ignoring(ckpt, list, options)
  local of = {}
  for _, prefix in ipairs(options.ignore or {}) do
    local count = 0
    for _, name in ipairs(list) do
      if prefix ~= "" and begins(name, prefix) then of[name], count = prefix, count + 1 end
    end
    if prefix == "" or count == 0 and not (options.base or options.several) then
      fail("%s: --ignore: expected the beginning of a tensor's name, found %s, with which none begins", ckpt.path,
        prefix == "" and "an empty text" or names.show(prefix))
    end
  end
  return of
end

-- A file of another network, by the names of its tensors: the first thousands tell.
local MOST = 5000
local function refuse_family(ckpt, list)
  local described = {}
  for i = 1, math.min(#list, MOST) do described[i] = { name = list[i], shape = ckpt:tensor(list[i]).shape } end
  local family, one, mark = families.of(described)
  if not family then return end
  local found = mark.wanted and ("is %s; expected %s"):format(shapes.text(one.shape), mark.wanted)
    or "unknown tensor; expected those"
  fail("%s: %s%s%s of a file of segment-anything or the Medical SAM Adapter, found %s, %s", ckpt.path,
    names.show(one.name), mark.wanted and " " or ": ", found,
    family.name, family.say)
end

--- The prefixes under which SAM's parts lie: { prefix, count, keys = set of the names behind it }, the one with most
-- first.
local function groups(list)
  local found = {}
  for _, name in ipairs(list) do
    local prefix = names.wrapper(name)
    if prefix then
      local group = found[prefix]
      if not group then
        group = { prefix = prefix, count = 0, keys = {}, first = name }
        found[prefix], found[#found + 1] = group, group
      end
      group.count = group.count + 1
      group.keys[name:sub(#prefix + 1)] = true
    end
  end
  table.sort(found, function(a, b) return a.count > b.count or a.count == b.count and a.prefix < b.prefix end)
  return found
end

local function called(group) return group.prefix == "" and "." or (group.prefix:gsub("%.$", "")) end

-- Two groups are two sets of weights where a name occurs in both; else the file's names are wrapped in part.
local function refuse_groups(ckpt, found, wanted)
  local list, twice = {}, nil
  for i, group in ipairs(found) do
    list[i] = called(group)
    for key in pairs(found[1].keys) do
      if i > 1 and group.keys[key] and (not twice or key < twice) then twice = key end
    end
  end
  if twice then
    fail("%s: holds %d sets of weights: %s (%s is in more than one): expected --weights-key to say which one is "
      .. "meant, found %s", ckpt.path, #found,
      table.concat(list, ", "), names.show(twice), wanted and names.show(wanted) or "none")
  end
  local odd = found[2]
  fail("%s: %s: expected a name that begins with %s, as %s does and %d others do%s", ckpt.path, names.show(odd.first),
    found[1].prefix == "" and "image_encoder., prompt_encoder. or mask_decoder." or names.show(found[1].prefix),
      names.show(found[1].first), found[1].count - 1,
    odd.prefix ~= "" and ("; --ignore %s drops what is known to be of no use"):format(names.show(odd.prefix)) or "")
end

-- The prefix of the set of weights that is meant.
-- @param several whether the key may be meant for another file: one with a single set is then taken as it is
local function choose(ckpt, list, wanted, several)
  local found, known = groups(list), {}
  for i, group in ipairs(found) do known[i] = called(group) end
  local met = wanted == nil or ckpt.set == wanted or several
  for _, group in ipairs(found) do
    if wanted and called(group) == wanted then return group.prefix, found end
  end
  if not met then
    if ckpt.set and ckpt.set ~= "." then table.insert(known, 1, ckpt.set) end
    fail("%s: --weights-key: expected %s, found %s%s", ckpt.path, #known > 0 and closed.list(known)
      or "nothing, as the file has one set of weights", names.show(wanted),
      closed.hint(wanted, known))
  end
  if #found > 1 then refuse_groups(ckpt, found, wanted) end
  return found[1] and found[1].prefix or names.prefix(list) or "", found
end

-- What lies outside the chosen prefix: another set of weights, which was not chosen, or what has no place here.
local function outside(ckpt, name, prefix, found, list)
  local wrapper = names.wrapper(name)
  if wrapper and #found > 1 then return "of another set of weights: --weights-key chose " .. (prefix == "" and "."
    or (prefix:gsub("%.$", ""))) end
  local why = harmless.why(name)
  if why then return why end
  local with = 0
  for _, other in ipairs(list) do
    if begins(other, prefix) then with = with + 1 end
  end
  fail("%s: %s: expected a name that begins with %s, as %d others of the file do, found none; --ignore PREFIX drops "
    .. "tensors that are known to be of no use", ckpt.path,
    names.show(name), names.show(prefix), with)
end

--- An open checkpoint as {ckpt, path, role, prefix, keys, list}: list of {name, key, shape, dtype, tensor, file = role,
-- path}, key being the name without the wrapper's prefix; of tensors that do not count, `dropped` says why.
-- role: "checkpoint" or "base".
-- options: ignore (list of prefixes), weights_key (which of several sets of weights), base, several (banks): other
-- files that an option may be meant for
function file.read(ckpt, role, options)
  options = options or {}
  local found = { ckpt = ckpt, path = ckpt.path, role = role, list = {}, keys = {} }
  local all, kept, seen = ckpt:names(), {}, {}
  local ignored = ignoring(ckpt, all, options)
  for _, name in ipairs(all) do
    if not ignored[name] then kept[#kept + 1] = name end
  end
  refuse_family(ckpt, kept)
  local sets
  found.prefix, sets = choose(ckpt, kept, options.weights_key, options.base or options.several)
  for i, name in ipairs(all) do
    local tensor = ckpt:tensor(name)
    local one = { name = name, key = name, shape = tensor.shape, dtype = tensor.dtype, tensor = tensor, file = role,
      path = ckpt.path }
    if ignored[name] then
      one.dropped, one.ignored = ("--ignore %s"):format(ignored[name]), ignored[name]
    elseif begins(name, found.prefix) and (names.wrapper(name) or found.prefix) == found.prefix then
      one.key = name:sub(#found.prefix + 1)
      if seen[one.key] then fail("%s: %s: expected once, found twice", ckpt.path, names.show(name)) end
      seen[one.key] = true
      found.keys[#found.keys + 1] = one.key
    else
      one.dropped = outside(ckpt, name, found.prefix, sets, kept)
    end
    found.list[i] = one
  end
  return found
end

return file
