-- SPDX-License-Identifier: Apache-2.0
--- The options of a training, an entry each, as those of devices are (lua/compiler/options.lua): what training scripts
-- may say, and what the command line offers with its help.
--   field, kind, option, argument, help, convert, repeated, path   as there; flag: takes no value
--   default   where nobody says anything; nil: it depends, as the help says
--   binds     whether a resumed training must have it alike
local augment = require "train.augment"
local closed = require "support.closed"
local fail = require "support.fail"
local losses = require "train.losses"
local prompts = require "train.prompts"
local rates = require "train.rates"
local schema = require "support.schema"
local sets = require "train.sets"

local options = {}

local MOST = 1 << 31

local function whole(least)
  return schema.whole(least, MOST), function(text)
    local n = math.tointeger(tonumber(text))
    if not n or n < least or n > MOST then
      return nil, ("expected a whole number from %d to %d, found %s"):format(least, MOST, text)
    end
    return n
  end
end

-- A number, finite and at least or above the least.
local function number(least, above, below)
  local function wrong(n)
    return not n or n ~= n or n == math.huge or n < least or above and n == least or below and n >= below
  end
  local what = ("a number %s %g%s"):format(above and "above" or "of at least", least,
    below and (" and below %g"):format(below) or "")
  return schema.kind(function(value) if wrong(tonumber(value)) then return what end end), function(text)
    if wrong(tonumber(text)) then return nil, ("expected %s, found %s"):format(what, text) end
    return tonumber(text)
  end
end

local function one_of(names)
  return schema.one_of(table.unpack(names)), function(text)
    for _, name in ipairs(names) do
      if name == text then return text end
    end
    return nil, ("expected %s, found %s%s"):format(closed.list(names), text, closed.hint(text, names))
  end
end

-- A text that a function reads, or refuses with nil and why.
local function parsed(parse)
  return schema.kind(function(value)
    local ok, why = nil, "a text"
    if type(value) == "string" then ok, why = parse(value) end
    if not ok then return (why:gsub("^expected ", ""):gsub(", found .*$", "")) end
  end), function(text)
    local ok, why = parse(text)
    if not ok then return nil, why end
    return text
  end
end

local function augmentation(text)
  local ok, problem = pcall(augment.parse, text, "")
  if ok then return true end
  return nil, type(problem) == "table" and (problem.msagen:gsub("^: ", "")) or tostring(problem)
end

local function clicks_of(text)
  local list = {}
  for word in (text .. ","):gmatch "([^,]*)," do
    local n = math.tointeger(tonumber(word))
    if not n or n < 1 or n > 16 or list[#list] and n <= list[#list] then
      return nil, ("expected numbers from 1 to 16 in rising order, found %s"):format(text)
    end
    list[#list + 1] = n
  end
  return list
end

-- All but text, which images of a data set do not have.
local MODES = {}
for _, name in ipairs(closed.sorted(prompts.MODES)) do
  if name ~= "text" then MODES[#MODES + 1] = name end
end

--- MSA's prompts of volumes: in each slice a click anywhere on a class, which is the slice's target.
options.CLICKED = "msa-clicked"
table.insert(MODES, options.CLICKED)
table.sort(MODES)

local function entry(field, kinds, argument, help, more)
  local one = { field = field, kind = kinds[1], convert = kinds[2], argument = argument, help = help,
    option = "--" .. field:gsub("_", "-"), binds = true }
  for key, value in pairs(more or {}) do one[key] = value end
  return one
end

local TEXT, FLAG = { schema.text }, { schema.flag }
local PARTS = { schema.kind(function(value)
  if type(value) == "string" then return nil end
  return schema.list_of(schema.text, 1, "sets, tensors or patterns")(value)
end) }

options.list = {
  entry("data", TEXT, "SET", "What to train on: a data set as of msagen evaluate: a folder with dataset.json, a CSV, "
    .. "or images/ and masks/.", { path = true, binds = false }),
  entry("split", TEXT, "NAME", "Of the data set the part to train on, as of evaluate: train:FOLD, a value of column "
    .. "split, a folder."),
  entry("channel", { whole(0) }, "N", "Which channel, from 0, of a data set with several."),
  entry("labels", TEXT, "NAME=V,...", "Classes of masks in images/ and masks/ by their values, V or V+W."),
  entry("base", TEXT, "FILE", "The network to begin with: SAM's file, or one that has adapters already.",
    { path = true, binds = false }),
  entry("dialect", TEXT, "NAME", "Which program's network is trained, such as msa-2025 or sam; its adapters are made "
    .. "where the base lacks them."),
  entry("resolution", { whole(1) }, "PX", "Side of the square that images are resized to. Default: the base's own."),
  entry("depth", { whole(1) }, "D", "Slices of a volume. Default: 1."),
  entry("chunk", { schema.kind(function() end) }, "N|none", "Slices that the depth branch takes at a time.",
    { convert = function(text) return text == "none" and text or math.tointeger(tonumber(text)) end }),
  entry("classes", { whole(1) }, "N", "Masks of the network, a class of the data set each. Default: 1."),
  entry("decoder_heads", { whole(1) }, "N", "Attention heads of the mask decoder. Default: 8."),
  entry("global_blocks", { schema.list_of(schema.whole(0, MOST), 0, "numbers of blocks"), function(text)
    local list = {}
    for word in text:gmatch "[^,]+" do list[#list + 1] = math.tointeger(tonumber(word)) or false end
    return list
  end }, "LIST", "Encoder blocks with global attention, from 0, where no tensor tells."),
  entry("click_order", { one_of { "xy", "rc" } }, "ORDER", "How the network is given clicks: xy (default), or rc (row, "
    .. "column), as MSA did before April 2025."),
  entry("lora", { whole(1) }, "R", "Train LoRA pairs of rank R in place of adapters."),
  entry("train", PARTS, "SET", "What trains: " .. closed.list(sets.names)
    .. ", a tensor's name or a Lua pattern; repeated. Default: "
    .. "what the dialect's program trains.", { repeated = true }),
  entry("anew", PARTS, "SET", "What does not begin as the base has it but as random numbers of the seed: sets, tensors "
    .. "or patterns, as --train; repeated. Default: nothing.", { repeated = true }),
  entry("init", { one_of { "program", "identity" } }, "HOW", "How adapters that are made begin: as the program has it "
    .. "(noise, default), or giving nothing.", { default = "program" }),
  entry("loss", { schema.kind(function(value)
    if type(value) == "table" then return nil end
    return schema.one_of(table.unpack(losses.names))(value)
  end), select(2, one_of(losses.names)) }, "NAME", "bce (MSA's for images), dicece (MSA's for volumes) or "
    .. "sam (focal, Dice and predicted IoU). Default: the dialect's program's."),
  entry("out_size", { whole(1) }, "T", "Side that logits and masks are compared at; at least that of the logits. "
    .. "Default: the dialect's program's."),
  entry("edges", { one_of { "soft", "hard" } }, "HOW", "Whether the edges of resized masks stay between 0 and 1 (MSA's "
    .. "programs; default there), or are cut at the half."),
  entry("prompts", { one_of(MODES) }, "MODE", "What the network is asked: " .. closed.list(MODES) .. ". Default: the "
    .. "dialect's program's."),
  entry("text_prompts", TEXT, "FILE", "Embeddings of the classes' names, as msagen embed writes them: with --prompts "
    .. "text, its default, the network is asked by them. A projection of them trains, too.",
    { path = true, binds = false }),
  entry("rounds", { whole(1) }, "N", "Prompts for each mask, of modes that let it be chosen."),
  entry("feedback", { one_of { "none", "logits" } }, "HOW", "Whether prompts of a mask after the first come with the "
    .. "last logits as a mask prompt: logits (default where the network takes them), or none, as builds are asked "
    .. "unless --feedback says otherwise."),
  entry("empty", { one_of { "skip", "negative" } }, "HOW", "Images that do not show a class: left out (default), or "
    .. "trained on with a click outside (default of msa-2025)."),
  entry("augment", { parsed(augmentation) }, "SPEC", "Random changes of pictures and masks: none (default), mild, "
    .. "decathlon, or steps such as flip:0.5,rotate:10."),
  entry("optimiser", { one_of { "adam", "adamw" } }, "NAME", "Default: adam; adamw with --loss sam."),
  entry("learning_rate", { number(0, true) }, "LR", "Default: 1e-4.", { default = 1e-4 }),
  entry("betas", { schema.list_of(schema.number, 2, "numbers"), function(text)
    local a, b = text:match "^([%d.]+),([%d.]+)$"
    a, b = tonumber(a), tonumber(b)
    if not a or not b or a >= 1 or b >= 1 then return nil, ("expected B1,B2 below 1, found %s"):format(text) end
    return { a, b }
  end }, "B1,B2", "Decay of the moments. Default: 0.9,0.999.", { default = { 0.9, 0.999 } }),
  entry("eps", { number(0, true) }, "E", "Default: 1e-8.", { default = 1e-8 }),
  entry("decay", { number(0) }, "W", "Weight decay. Default: 0; 0.1 with --optimiser adamw."),
  entry("decay_on", { one_of { "all", "matrices" } }, "WHAT", "Which tensors decay: all (default), or those of two or "
    .. "more dimensions.", { default = "all" }),
  entry("clip", { number(0, true) }, "NORM", "Scale gradients of a larger norm down to it. Default: not."),
  entry("schedule", { parsed(rates.parse) }, "RULE", "Of the learning rate: constant (default), cosine, step:N,F or "
    .. "step:N1+N2,F (times F every N steps, or at these).", { default = "constant" }),
  entry("warm_up", { whole(0) }, "N", "Steps over which the learning rate rises. Default: 0.", { default = 0 }),
  entry("steps", { whole(1) }, "N", "Updates in all. Default: 1000.", { default = 1000, binds = false }),
  entry("batch", { whole(1) }, "B", "Images of an update. Default: 8.", { default = 8 }),
  entry("seed", { whole(0) }, "N", "Of every random number: order, prompts, augmentation, what is made. Default: 0.",
    { default = 0 }),
  entry("validation", TEXT, "SPLIT|N", "A split to measure on, or so many cases of the set that are held out, by "
    .. "patient; the best weights are kept. Default: none."),
  entry("validate_every", { whole(1) }, "N", "Steps between validations; there is one at the end, too. Default: 100.",
    { default = 100 }),
  entry("clicks", { schema.list_of(schema.whole(1, 16), 1, "numbers of clicks"), clicks_of }, "N,N,...", "After how "
    .. "many clicks to measure. Default: 1; 1,3,10 with prompts of several rounds."),
  entry("delta", FLAG, nil, "Write the trained tensors alone: a small file that build takes with --base.",
    { flag = true }),
  entry("save_every", { whole(1) }, "N", "Steps between saved states. Default: 50.", { default = 50, binds = false }),
  entry("cache", { whole(0) }, "MIB", "Memory for pictures that are read once. Default: 512.",
    { default = 512, binds = false }),
  entry("weights_key", TEXT, "KEY", "Which set of weights of the base is meant, where it holds several."),
  entry("cores", { whole(1) }, "N", "Cores of this machine that share the work; the bits are the same. Default: 1.",
    { binds = false }),
  entry("arena_limit", { whole(1) }, "BYTES", "Memory of the training step; what does not fit is computed again, and "
    .. "the bits are the same. Default: nothing is computed again.", { binds = false }),
  entry("board", { schema.kind(function(value)
    if type(value) ~= "table" and schema.text(value) then return "a board's name, file or table" end
  end) }, "NAME|FILE.lua", "What the training step is compiled for; its class of arithmetic is that of the weights' "
    .. "bits. Default: the best board for this CPU.",
    { binds = false }),
  entry("out", TEXT, "OUT.safetensors", "The file to write; beside it OUT.best.safetensors, OUT.csv, OUT.png and "
    .. "OUT.state.", { option = "-o", path = true, binds = false }),
}

-- How a scan becomes a picture: what msagen.evaluate's command line says of it, too (lua/cli/image_options.lua).
for _, field in ipairs { "prepare", "window", "image_bits", "frame", "axis" } do
  local numeric = field == "image_bits" or field == "frame"
  options.list[#options.list + 1] = { field = field, kind = numeric and schema.whole(0, MOST) or schema.text,
    binds = true, image = true }
end

--- What options need whoever offers them: list of entries; what is required, field -> what was expected.
-- @return { list, fields = field -> { kind } for lua/support/schema.lua, completed = see below }
function options.of(list, required)
  local self = { list = list, fields = {} }
  for _, one in ipairs(list) do self.fields[one.field] = { one.kind } end
  --- Check what a script or a command line gave, and fill in what has a default.
  -- @param where what messages begin with  @return a table of all fields that have a value
  function self.completed(given, where)
    schema.check(given, self.fields, where)
    local all = {}
    for _, one in ipairs(list) do
      all[one.field] = given[one.field]
      if all[one.field] == nil then all[one.field] = one.default end
    end
    for _, one in ipairs(list) do
      local what = all[one.field] == nil and required[one.field]
      if what then fail("%s: expected %s, found none", one.field == "out" and "-o" or "--" .. one.field, what) end
    end
    return all
  end
  return self
end

local of_training = options.of(options.list, { data = "a data set", base = "a file", dialect = "a program's name",
  out = "a file" })
options.fields, options.completed = of_training.fields, of_training.completed

--- The entry of a field, some of what it says being other.
function options.like(field, more)
  for _, one in ipairs(options.list) do
    if one.field == field then
      local copy = {}
      for key, value in pairs(one) do copy[key] = value end
      for key, value in pairs(more or {}) do copy[key] = value end
      if more and more.default == false then copy.default = nil end
      return copy
    end
  end
  error("options: no " .. field)
end

--- What entries are made with: kinds with their conversions.
options.entry, options.whole, options.number, options.one_of = entry, whole, number, one_of

return options
