-- SPDX-License-Identifier: Apache-2.0
--- A build measured on a data set: cases dealt, done, noted as they are done, and what they come to written at the end.
local closed = require "support.closed"
local datasets = require "evaluate.datasets"
local deal = require "evaluate.deal"
local fail = require "support.fail"
local journal = require "evaluate.journal"
local json = require "msagen.json"
local one_case = require "evaluate.one_case"
local outputs = require "evaluate.outputs"
local progress = require "cli.progress"
local sha256 = require "msagen.sha256"
local sys = require "msagen.sys"

local evaluation = {}

local DEFAULT_CLICKS = { plain = { 1, 3, 10 }, msa = { 1 } }

-- The clicks of a model that takes fewer are those that it takes.
local function clicks_of(args, folder)
  local most = math.min(folder.places or folder.max_points, folder.max_points)
  local list = {}
  for _, n in ipairs(args.clicks or DEFAULT_CLICKS[args.mode]) do
    if n <= most then list[#list + 1] = n
    elseif args.clicks then fail("--clicks %d: expected at most %d, as many as the build takes", n, most) end
  end
  return list
end

local function feedback_of(args, folder)
  if folder.places and args.feedback == "logits" then
    fail("--feedback logits: expected none, as this model has no mask prompt, found logits")
  end
  return args.feedback or closed.member(folder.feedback or "none", { "none", "logits" },
    folder.path .. "/manifest.json: feedback")
end

-- How each case is done, apart from the folder.
local function asked(args, folder)
  local random = args.mode == "msa" and "random" or nil
  local options = { clicks = clicks_of(args, folder), ignore_prompts = args.clicks ~= nil, first = args.first or random
    or "centre", feedback = feedback_of(args, folder), empty = args.empty or random or "none", mode = args.mode,
    text = args.text, multimask = require("run.prompts").several(args), seed = 0,
    how = require("cli.image_options").read(args, folder.prepare) }
  if options.first == "random" or options.empty == "random" then options.seed = args.seed end
  if options.clicks[1] == 0 and not args.text then fail("--clicks 0: expected with --text, found without") end
  if args.text and args.text ~= "class" then
    require("run.prompts").named(args.text, folder.texts, "--text", "--text-prompts")
  end
  return options
end

-- The model as run.json and the tables name it.
local function model_of(folder, args)
  local checkpoint = type(folder.checkpoint) == "table" and folder.checkpoint or {}
  local dialect, hash = tostring(checkpoint.dialect or "model"), tostring(checkpoint.sha256 or "")
  local precision = folder.precision ~= "f32" and ", " .. folder.precision or ""
  return { name = ("%s %s%s%s"):format(dialect, hash:sub(1, 8), precision, args.bank and ", " .. args.bank or ""),
    dialect = dialect, checkpoint_sha256 = hash, manifest_sha256 = sha256.file(folder:file "manifest.json"),
    weights_sha256 = sha256.file(folder:file(folder.weights)), board = folder.board, arithmetic = folder.arithmetic,
    precision = folder.precision, input_size = folder.input_size, depth = folder.depth, bank = args.bank }
end

local function has_prompts(set)
  for _, case in ipairs(set.cases) do
    for _, class in ipairs(case.classes) do
      if class.prompt then return true end
    end
  end
  return false
end

-- A model with a mask for each class has those of the data set, in the order of their values.
local function check_classes(set, folder)
  local classes = folder.classes or 0
  for _, case in ipairs(classes > 1 and set.cases or {}) do
    if #case.classes ~= classes then
      fail("--data %s: expected %d classes, as the model has, found %d of case %s", set.path, classes, #case.classes,
        case.name)
    end
  end
end

-- How images are read and prepared, as texts.
local function told_of_image(how)
  local told = {}
  for key, value in pairs(how) do told[key] = type(value) == "table" and value.text or value end
  return told
end

local function choose_bank(folder, args)
  if not args.bank then return end
  local names = {}
  for i, bank in ipairs(folder.banks) do names[i] = bank.name end
  folder.bank = require("run.prompts").named(args.bank, names, "--bank", "--bank")
end

local function counting(what)
  local show, finish = progress()
  local function count(done, total)
    show(("%s %d of %d"):format(what, done + 1, total), done, total)
  end
  return count, finish
end

-- What --against compares with: another build, measured in a folder within this one's; or nil, where it is a finished
-- evaluation.
local function second_of(args)
  if not args.against or not sys.exists(args.against .. "/manifest.json") then return nil end
  local other = {}
  for key, value in pairs(args) do other[key] = value end
  other.dir, other.out, other.against, other.layers = args.against, args.out .. "/against", nil, nil
  return evaluation.open(other)
end

--- Open model and data, and say what binds the results to them.
-- @param args of the command line
function evaluation.open(args)
  local folder = require("run.folder").open(args.dir)
  choose_bank(folder, args)
  outputs.check(args.out)
  local self = { args = args, out = args.out, folder = folder, options = asked(args, folder) }
  self.set = datasets.open(args.data, { split = args.split, classes = args.classes, channel = args.channel })
  check_classes(self.set, folder)
  for _, note in ipairs(self.set.notes) do progress.say("%s: %s", args.data, note) end
  folder:compile(args.modified)
  self.model = model_of(folder, args)
  local show, finish = counting "reading case"
  local data = datasets.hash(self.set, show)
  finish()
  self.second = second_of(args)
  self.options.beside = self.second and self.second.folder
  self.told = { clicks = json.array(self.options.clicks), first = self.options.first, empty = self.options.empty,
    feedback = self.options.feedback, mode = self.options.mode, clicks_seed = self.options.seed,
    text = self.options.text, multimask = self.options.multimask,
    own_prompts = not self.options.ignore_prompts and has_prompts(self.set),
    image = told_of_image(self.options.how), beside = self.second and self.second.model.manifest_sha256 or nil }
  self.binding = { model = sha256.hex(json.encode(self.model)), data = data,
    options = json.encode { told = self.told, version = msagen.version } }
  self.options.folder, self.options.dialect = folder, self.model.dialect
  if args.layers then self.layers = require("evaluate.layers").open(self, args.layers) end
  if args.mode == "msa" then require("evaluate.msa").version(self.model.dialect) end
  return self
end

-- "3 min left", from how long the cases so far took.
local function time_left(began, done, total)
  if done == 0 then return "" end
  local seconds = (sys.monotonic_ns() - began) / 1e9 / done * (total - done)
  if seconds < 90 then return (", %.0f s left"):format(seconds) end
  if seconds < 5400 then return (", %.0f min left"):format(seconds / 60) end
  return (", %.1f h left"):format(seconds / 3600)
end

-- A case in a folder of its own, so nothing of it is left.
local function done_apart(case, options)
  local scratch = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-evaluate-")
  local ok, result = pcall(one_case.perform, case, options, scratch)
  sys.remove_tree(scratch)
  sys.keep(scratch)
  collectgarbage()
  if ok then return result end
  if type(result) == "table" and result.msagen then result.msagen = ("%s: %s"):format(case.name, result.msagen) end
  error(result, 0)
end

-- Do this process's cases that no process has done. @return whether this process merges
local function perform(self, who)
  local log = journal.open(self.out, who, self.binding)
  local show, finish = progress()
  local began, fresh, gone = sys.monotonic_ns(), 0, 0
  local options = { folder = journal.folder(self.out), warn = progress.warn,
    noted = function(case) return journal.has(self.out, case.name) end }
  local ok, merges = pcall(deal.each, self.set.cases, who, options, function(case, done, total)
    if log.done[case.name] then
      gone = gone + 1
      return
    end
    local left = time_left(began, fresh, total - gone)
    show(("case %d of %d, %s%s"):format(done + 1, total, case.name, left), done, total)
    log:add(done_apart(case, self.options))
    fresh = fresh + 1
  end)
  finish()
  log:close()
  if not ok then error(merges, 0) end
  return merges
end

--- Do this process's cases that no process has done.
-- @return whether this process merges, and which part of how many it was: { rank = from 0, count, together }
function evaluation.perform(self)
  local who = deal.who(self.args.shard)
  sys.mkdir_p(journal.folder(self.out))
  if self.second then perform(self.second, who) end
  local merges = perform(self, who)
  deal.part(who, journal.folder(self.out))
  return merges, who
end

-- A finished evaluation's results, by the journal that it left.
local function finished(self, path)
  local run = path .. "/run.json"
  if not sys.exists(run) then
    fail("--against %s: expected a folder that msagen build wrote or msagen evaluate finished, found neither "
      .. "manifest.json nor run.json", path)
  end
  local about = json.decode(sys.read_file(run), run)
  if type(about) ~= "table" or about.generator ~= "msagen evaluate" or type(about.model) ~= "table" then
    fail("--against %s: expected run.json of msagen evaluate, found another file", path)
  end
  local theirs = type(about.data) == "table" and about.data.sha256
  local mode = type(about.options) == "table" and about.options.mode
  if theirs ~= self.binding.data or mode ~= self.args.mode then
    fail("--against %s: expected an evaluation of the same data in mode %s, found %s", path, self.args.mode,
      theirs ~= self.binding.data and "other data" or "mode " .. tostring(mode))
  end
  return { name = tostring(about.model.name), results = journal.everything(path) }
end

--- The classes that no case shows.
function evaluation.unseen(made)
  local list = {}
  for c, class in ipairs(made.classes) do
    local of = made.cells.dice[1]
    if of and of.cells[c].n == 0 and made.cases > 0 then list[#list + 1] = class end
  end
  return list
end

--- Write what all cases come to; a case that is missing or there twice is an error. @return of outputs.write
function evaluation.merge(self)
  local results = journal.collect(self.out, self.binding, self.set.cases)
  local second = self.second
  if second then
    self.against = { name = second.model.name,
      results = journal.collect(second.out, second.binding, second.set.cases) }
  elseif self.args.against then self.against = finished(self, self.args.against) end
  if self.layers then self.layer_errors = require("evaluate.layers").of(self, self.layers, results) end
  local show, finish = counting "drawing"
  local made, about = outputs.write(self, results, function(target)
    return require("evaluate.worst").write(results, self.set.cases, self.args.worst, self.options, target, show)
  end)
  finish()
  return made, about
end

return evaluation
