-- SPDX-License-Identifier: Apache-2.0
--- What a plan of changes (FDA, "Marketing Submission Recommendations for a Predetermined Change Control Plan") needs
-- of a change: which evidence stands, what has to be verified again and by which command, what to record. A list of
-- { what = "stands", "again" or "record", text, command or nil, names = what it is about, or nil }.
local closed = require "support.closed"
local texts = require "change.texts"

local plan = {}

-- A word of a command as a shell takes it.
local function word(text)
  return text:find "^[%w_./+-]+$" and text or "'" .. text:gsub("'", "'\\''") .. "'"
end

local function counted(n) return n == 1 and "1 function" or ("%d functions"):format(n) end

local function adder(list)
  return function(what, text, command, names)
    list[#list + 1] = { what = what, text = text, command = command, names = names }
  end
end

-- Performance, which each kind of folder shows in its own way.
local function add_performance(add, found)
  local old, new = word(found.old.path), word(found.new.path)
  if found.kind == "network" then
    add("again", "performance on the locked test set, beside the old build's",
      ("msagen evaluate %s --data SET -o OUT --against %s"):format(new, old))
    add("again", "the digest of a reference image: a build's answer is the interpreter's, bit for bit",
      ("msagen run %s --image IMAGE --point X,Y --digest; msagen interpret CHECKPOINT OPTIONS --image IMAGE "
      .. "--point X,Y --digest"):format(new))
  elseif found.kind == "front end" then
    add("again", "the picture of recorded samples",
      ("msagen run %s --samples SAMPLES.npy --grey-out GREY.npy"):format(new))
  else
    add("again", "a training of recorded cases on the device, and what it leads to on the locked test set")
  end
  add("again", "self-test on the device: every CRC of the weights, and the known answers, by msa_self_test")
end

local function add_weights(add, found)
  local weights = found.weights
  if weights.equal then
    add("stands", "the weights: the same bytes")
    return
  end
  add("record", ("weights, SHA-256: %s, now %s"):format(weights.old.sha256 or "none", weights.new.sha256 or "none"))
  local old, new = found.old.checkpoint_sha256, found.new.checkpoint_sha256
  if old and old ~= new then
    add("record", ("checkpoint, SHA-256: %s, now %s"):format(old, new))
    add("record", "how the checkpoints came about, where msagen trained them",
      "msagen diff OLD.safetensors NEW.safetensors")
  end
end

-- The functions that have to be verified as units: names with their files.
local function units(files)
  local list = {}
  for _, one in ipairs(files) do
    if one.part == "product" and one.functions and texts.rank[one.class] >= texts.rank.code then
      for _, kind in ipairs { "changed", "added" } do
        for _, name in ipairs(one.functions[kind]) do list[#list + 1] = ("%s (%s)"):format(name, one.file) end
      end
    end
  end
  return list
end

-- Files of the product whose code differs beyond the functions that are named, and whether functions of the same text
-- are compiled to something else by that: it is in headers, in what stands beside functions, or in flags.
local function others(files)
  local list, felt = {}, false
  for _, one in ipairs(files) do
    local functions = one.functions
    local named = functions and #functions.added + #functions.removed + #functions.changed > 0
    local beside = functions and (functions.moved or one.directives or #one.macros > 0 or #one.declarations > 0)
    if one.part == "product" and texts.rank[one.class] >= texts.rank.code then
      if beside or not named then
        list[#list + 1] = one.state == "changed" and one.file or ("%s (%s)"):format(one.file, one.state)
      end
      felt = felt or beside and not one.facts or one.file:find "%.h$" and not one.facts
        or one.file == "Makefile" or one.file == "CMakeLists.txt"
    end
  end
  return list, felt
end

local function add_code(add, found)
  local new, named = word(found.new.path), units(found.files)
  local rest, felt = others(found.files)
  if found.same.functions > 0 and not felt then
    add("stands", ("unit verification of %s of the same text"):format(counted(found.same.functions)))
  elseif found.same.functions > 0 then
    add("again", ("unit verification of %s of the same text, compiled with other headers, macros or flags"):format(
      counted(found.same.functions)))
  end
  if #named > 0 then
    add("again", ("unit verification of %s of another text"):format(counted(#named)), nil, named)
  end
  if #rest > 0 then add("again", "review of what differs outside of functions", nil, rest) end
  if found.kind == "training step" then
    add("again", "code, constants and the deepest stack; times on the device")
    return
  end
  add("again", "code, constants and the deepest stack", "msagen sizes " .. new)
  if found.kind == "network" then
    add("again", "times on the device, layer by layer",
      ("msagen run %s --image IMAGE --point X,Y --profile PROFILE.json"):format(new))
  end
end

local function add_interface(add, found)
  for _, one in ipairs(found.sizes) do
    if one.old ~= one.new and one.what:find " bytes$" then
      add("again", ("the product's memory map: %s %s, now %s"):format(one.what, one.old or "none", one.new or "none"))
    end
  end
  local list = {}
  for _, one in ipairs(found.files) do
    if one.class == "interface" then list[#list + 1] = one.file end
  end
  add("again", "the product's own code, compiled against the headers and tested with them", nil, list)
end

local function add_by_hand(add, found)
  for _, side in ipairs { found.old, found.new } do
    for _, name in ipairs(side.changed_by_hand) do
      add("again", ("%s/%s was changed by hand: build the folder again"):format(side.path, name),
        ("msagen build CHECKPOINT OPTIONS -o %s"):format(word(side.path)))
    end
  end
end

--- Of two folders. @param found of change.differences
function plan.of(found)
  local list = {}
  local add, verdict = adder(list), found.verdict
  add_by_hand(add, found)
  if verdict == "identical" then
    add("stands", "all evidence: every file of the product, the test bench and the weights are the same bytes")
  elseif verdict == "only the test bench" then
    add("stands", "verification of code and weights: the product's are the same bytes")
    add("again", "what only the test bench showed: it is another program", found.kind == "network"
      and ("msagen evaluate %s --data SET -o OUT"):format(word(found.new.path)) or nil)
  elseif verdict == "only weights" then
    add("stands", ("verification of code: the same %s, constants, stack, arena and multiply-adds"):format(
      counted(found.same.functions)))
    add_weights(add, found)
    add_performance(add, found)
  else
    if verdict == "interface" then add_interface(add, found) end
    add_code(add, found)
    add_weights(add, found)
    add_performance(add, found)
  end
  for _, one in ipairs(found.asked) do
    if one.what == "version" then add("again", "validation of msagen as a tool: it is another version") end
  end
  return list
end

local function names_of(...)
  local set = {}
  for _, rows in ipairs { ... } do
    for _, one in ipairs(rows) do set[one.what] = true end
  end
  return closed.sorted(set)
end

--- Of two bundles. @param found of change.bundles
function plan.of_evidence(found)
  local list = {}
  local add = adder(list)
  for _, side in ipairs { found.old, found.new } do
    for _, name in ipairs(side.changed_by_hand) do
      add("again", ("%s/%s is not what SHA256SUMS says: collect the evidence again"):format(side.path, name))
    end
  end
  if found.verdict == "identical" then add("stands", "all evidence: the bundles are the same bytes")
  elseif found.verdict == "another build" then
    add("again", "what differs between the builds", "msagen diff OLD_BUILD NEW_BUILD")
  elseif found.verdict == "another compiler" then
    add("stands", "what was read off the C: its traceability, bounds of loops, operations, deviations from MISRA C")
    add("again", "what the compiled code shows: stack, sections, digests, the self-test on the device, its times")
    add("again", "evaluation of the compiler as a tool, and of its C library")
  end
  if #found.checks > 0 then
    local names = {}
    for i, one in ipairs(found.checks) do names[i] = one.what end
    add("record", "checks that found something else", nil, names)
  end
  return list
end

--- Of two trainings. @param found of change.trainings
function plan.of_training(found)
  local list = {}
  local add, new = adder(list), word(found.new.path)
  if found.verdict == "identical" then
    add("stands", "all evidence: the files are the same bytes")
    return list
  end
  if found.verdict == "same weights" then
    add("stands", "all evidence of weights: inputs, options and tensors are the same")
    add("again", "the build of the new file: its name and hash are in what is built",
      ("msagen build %s -o NEW; msagen diff OLD NEW"):format(new))
    return list
  end
  if found.altered then
    add("again", "the training: digests are the same and tensors differ, so a file was changed after its training")
  elseif found.verdict == "other weights" then
    add("again", "the training: inputs, options and seed are the same, and must lead to the same digest")
  else
    add("record", "what the training was made of and asked for, which differs", nil,
      names_of(found.inputs, found.options))
  end
  add("again", "the build of the new file, compared with the old one's",
    ("msagen build %s -o NEW; msagen diff OLD NEW"):format(new))
  add("again", "performance on the locked test set, beside the old build's",
    "msagen evaluate NEW --data SET -o OUT --against OLD")
  return list
end

return plan
