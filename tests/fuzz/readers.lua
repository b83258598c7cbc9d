-- SPDX-License-Identifier: Apache-2.0
-- What fuzz_lua.c feeds: readers in Lua of files and words that users or strangers give. In FOLDER a reader finds the
-- input's text as the file that it asks for, and some more that it needs; the folder itself is none.
-- Called with a reader's name.
-- @return function(text, seed) -> another text or nil, where the reader has such a thing, and function(text), which
-- raises an error where the reader neither takes the text nor refuses it as an error of the user's, which
-- gen/bindings/host.c shows in one line
local json = require "msagen.json"
local sha256 = require "msagen.sha256"
local sys = require "msagen.sys"

local FOLDER = "/input"
local text, files

-- ---- files that are none ----

local function stands_in(name, answer)
  local real = sys[name]
  sys[name] = function(path, ...)
    if path == FOLDER or path:sub(1, #FOLDER + 1) == FOLDER .. "/" then return answer(path, ...) end
    return real(path, ...)
  end
end

local function name_of(path) return path:sub(#FOLDER + 2) end
local function there(path) return path == FOLDER or files[name_of(path)] ~= nil end
local function read(path)
  local found = files[name_of(path)]
  return found == true and text or found or require "support.fail"("%s: cannot be read", path)
end
stands_in("exists", there)
stands_in("isdir", function(path) return path == FOLDER end)
stands_in("identity", function(path)
  if path == FOLDER then return path, "folder" end
  if there(path) then return path, "file" end
end)
stands_in("size", function(path) return there(path) and #read(path) or nil end)
stands_in("realpath", function(path) return path end)
stands_in("readlink", function() end)
stands_in("mtime_ns", function(path) return there(path) and 1 or nil end)
stands_in("folder", function() return { mount = false, uid = 0, gid = 0 } end)
stands_in("read_file", read)
stands_in("read_file_or_pipe", read)
stands_in("list", function()
  local names = {}
  for name in pairs(files) do names[#names + 1] = name end
  table.sort(names)
  return names
end)

-- ---- JSON with another value somewhere ----

local OTHERS = { 0, -1, 1, 2.5, 1e308, math.maxinteger, "", "x", "1", "../x", true, false, json.null }

-- Every place in a value: { holder, key } each.
local function places(value, list)
  for key, member in pairs(value) do
    list[#list + 1] = { value, key }
    if type(member) == "table" then places(member, list) end
  end
  return list
end

local CHANGES = {
  function(holder, key, random) holder[key] = OTHERS[random(#OTHERS)] end,
  function(holder, key, random, all)
    local other = all[random(#all)]
    holder[key] = other[1][other[2]]
  end,
  function(holder, key) holder[key] = json.array { holder[key] } end,
  function(holder, key) holder[key] = { x = holder[key] } end,
  function(holder, key) holder[key] = json.array {} end,
  function(holder, key) if math.type(key) then table.remove(holder) else holder[key] = nil end end,
  function(holder, key) if math.type(key) then table.insert(holder, holder[key]) else holder.x = holder[key] end end,
}

local function changed(given, random)
  local whole = { json.decode(given, "x") }
  local all = places(whole, {})
  for _ = 1, random(3) do
    local place = all[random(#all)]
    CHANGES[random(#CHANGES)](place[1], place[2], random, all)
  end
  return json.encode(whole[1])
end

-- One line of several, behind the mark of a journal.
local function changed_line(given, random)
  local lines = {}
  for line in given:gmatch "[^\n]+" do lines[#lines + 1] = line end
  local i = random(#lines)
  local mark, rest = lines[i]:match "^(!?)(.*)$"
  lines[i] = mark .. changed(rest, random)
  return table.concat(lines, "\n")
end

local function changer(change)
  return function(given, seed)
    math.randomseed(seed)
    local ok, result = pcall(change, given, math.random)
    return ok and result or nil
  end
end

-- ---- readers: { files = name -> true where it has the input's text, or a text; read, which takes it from there;
-- change = function(text, random), where not bytes alone are changed } ----

local readers = {}

local function command_line()
  local argparse = require "argparse"
  local function never() error "the command line is parsed, and nothing run" end
  local caught
  package.loaded.argparse = function(...)
    local parser = argparse(...)
    rawset(parser, "pparse", function()
      caught = parser
      return false, "caught"
    end)
    return parser
  end
  local say = require "support.terminal".say
  require "support.terminal".say = function() end
  assert(loadfile(msagen.datadir .. "/lua/cli.lua"))("run", "--caught")
  require "support.terminal".say, package.loaded.argparse = say, argparse
  rawset(caught, "pparse", nil)
  require "cli.verbs.run".run = never
  return caught
end

local MODEL = { max_points = 16, grid = 4, texts = { "liver" } }

local function checked(list, volume)
  local prompts = require "run.prompts"
  for _, prompt in ipairs(list) do
    prompt.mask = nil -- fuzz_npy
    prompts.check(prompt, 40, 30, volume, MODEL)
    prompts.pack(prompt, 0, volume)
  end
end

readers.prompts = { files = { ["x.json"] = true }, change = changed, read = function()
  local slices = #text % 2 == 0 and 1 or 3
  checked(require "run.prompts".from_file(FOLDER .. "/x.json", slices), slices)
end }

-- The words of `msagen run DIR`, a line each.
local parser
readers.command_line = { files = {}, read = function()
  parser = parser or command_line()
  local words = { "run", "dir" }
  for word in text:gmatch "[^\n\0]+" do words[#words + 1] = word end
  for _, word in ipairs(words) do
    if ("--version"):find(word, 1, true) == 1 or word:find "^%-%-?h" then return end -- these end the program
  end
  local ok, args = parser:pparse(words)
  if not ok then
    assert(not args:find "%.lua:%d+:", args)
    return
  end
  checked(require "run.prompts".from_options(args), 1)
end }

readers.board = { files = { ["x.lua"] = true }, read = function()
  require "target.boards".named(FOLDER .. "/x.lua")
end }

readers.isa = { files = { ["y.lua"] = true }, read = function()
  require "target.boards".named({ name = "x", like = "generic-c99", isa = "y.lua" }, "x.lua", FOLDER)
end }

readers.script = { files = { ["x.lua"] = true }, read = function()
  local schema, fields = require "support.schema", require "compiler.options".fields
  for _, one in ipairs(require "cli.device_options".devices { input = FOLDER .. "/x.lua" }) do
    schema.check(one.device, fields, FOLDER .. "/x.lua")
  end
end }

-- What linker scripts are made from.
readers.template = { files = { ["x.ld"] = true }, read = function()
  require "support.sandbox".run(FOLDER .. "/x.ld", { template = true, names = { "ipairs", "string", "tostring" },
    data = { board = { name = "x", memories = { { name = "flash", bytes = 1024 } } } } })
end }

readers.csv = { files = { ["x.csv"] = true, ["a.png"] = "", ["b.png"] = "" }, read = function()
  require "evaluate.datasets".open(FOLDER .. "/x.csv", {})
end }

-- A list is that of folds.
local NNUNET = [[{"channel_names":{"0":"CT"},"labels":{"background":0,"x":1},"file_ending":".png",
  "dataset":{"a":{"images":["a.png"],"label":"b.png"}}}]]
readers.dataset = { files = { ["a.png"] = "", ["b.png"] = "" }, change = changed, read = function()
  local folds = text:sub(1, 1) == "["
  files["dataset.json"], files["splits_final.json"] = folds and NNUNET or text, folds and text or nil
  require "evaluate.datasets".open(FOLDER, { split = folds and "val:0" or nil })
end }

-- Of a generated folder: as `run`, `diff` and a `build` over it read it.
readers.manifest = { files = { ["manifest.json"] = true, ["msa_model.c"] = "" }, change = changed, read = function()
  local first, problem = pcall(require "change.folder".open, FOLDER)
  local others = { pcall(require "emit.output_folder".open, FOLDER) }
  if not others[1] then error(others[2], 0) end
  if not first then error(problem, 0) end
end }

-- Lines of an evaluation's journal; those behind an exclamation mark get the sum that they need.
readers.journal = { files = {}, change = changed_line, read = function()
  local lines = (text .. "\n"):gsub("([^\n]*)\n", function(line)
    local value = line:match "^!(.*)$"
    return value and ("%s %s\n"):format(sha256.hex(value):sub(1, 16), value) or line .. "\n"
  end)
  files = { ["part-1-of-1.jsonl"] = lines }
  local journal = require "evaluate.journal"
  journal.folder = function() return FOLDER end
  journal.collect("out", { model = "m", data = "d", options = "o" }, { { name = "a" }, { name = "b" } })
end }

-- What lies beside checkpoints, or in them.
readers.config = { files = { ["config.json"] = true, ["open_clip_config.json"] = true, ["x.index.json"] = true,
  ["case.json"] = true }, change = changed, read = function()
    local clip, problems = require "import.clip_config", {}
    local function try(open, ...)
      local ok, problem = pcall(open, ...)
      problems[#problems + 1] = not ok and problem or nil
    end
    try(require "import.transformers".config, FOLDER .. "/x")
    try(clip.of_transformers, FOLDER .. "/x")
    try(clip.of_open_clip, FOLDER .. "/x")
    try(require "import.shards".open, FOLDER .. "/x.index.json")
    try(require "train.case".read, FOLDER)
    try(function()
      local names = require "import.text"
      names.check_names("x", names.read_names("x", { names = text }), "x")
    end)
    try(require "import.trained".options, { path = "x", metadata = { generator = "msagen train", options = text } })
    for _, problem in ipairs(problems) do
      if type(problem) ~= "table" then error(problem, 0) end
    end
    if problems[1] then error(problems[1], 0) end
  end }

local name = ...
local one = readers[name] or error(("MSAGEN_READER: expected a reader's name, found %s"):format(name), 0)
return one.change and changer(one.change), function(given)
  text, files = given, one.files
  local ok, problem = pcall(one.read)
  if ok then return end
  local line = type(problem) == "table" and problem.msagen
  if type(line) ~= "string" then error(problem, 0) end
  if line == "" then error("expected a line, found an empty one", 0) end
end
