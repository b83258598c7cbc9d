-- SPDX-License-Identifier: Apache-2.0
--- The options of a pre-training: those of trainings (lua/train/options.lua) that it has, and its own.
local closed = require "support.closed"
local objectives = require "train.objectives"
local options = require "train.options"
local schema = require "support.schema"
local synth = require "networks.synth"

local entry, like, number, one_of, whole = options.entry, options.like, options.number, options.one_of, options.whole

-- Names of objectives, no two of them alike, nor with heads of the same names.
local function objectives_of(text)
  local list, prefixes = {}, {}
  for word in (tostring(text) .. ","):gmatch "([^,]*)," do
    local objective = objectives.table[word]
    if not objective then
      return nil, ("expected %s, found %s%s"):format(closed.list(objectives.names), word,
        closed.hint(word, objectives.names))
    end
    if prefixes[objective.prefix] then
      return nil, ("expected one of %s and %s, whose heads have the same names, found both"):format(
        prefixes[objective.prefix], word)
    end
    prefixes[objective.prefix], list[#list + 1] = word, word
  end
  return list
end

-- What a script says of it: a list, or the text.
local objectives_kind = schema.kind(function(value)
  local list, why = objectives_of(type(value) == "table" and table.concat(value, ",") or value)
  if not list then return (why:gsub("^expected ", ""):gsub(", found .*$", "")) end
end)

local OWN = "Default: the objective's own."

local list = {
  like("data", { help = "Pictures to train on: a folder of them, or a data set as of msagen evaluate, whose masks are "
    .. "not looked at." }),
  like("split", { help = "Of the data set the part to train on, as of evaluate; of a folder a folder in it." }),
  like "channel",
  entry("objective", { objectives_kind, objectives_of }, "NAME,...", "What the encoder is trained on: "
    .. closed.list(objectives.names) .. "; of several each has a step in turn."),
  like("base", { help = "The network to begin with; heads of an earlier pre-training are gone on with." }),
  entry("arch", { one_of(synth.architecture_names) }, "NAME", "In place of --base random numbers of this architecture: "
    .. closed.list(synth.architecture_names) .. "."),
  like("dialect", { help = "Whose file it is, where names do not tell; of --arch whose it is to be." }),
  like("resolution", { help = "Side of the square that pictures are resized to. Default: the base's own; of --arch "
    .. "1024." }),
  like "global_blocks",
  entry("mask_ratio", { number(0, true, 1) }, "SHARE", "Of mae and mae-grid the share of patches that is removed. "
    .. "Default: 0.75."),
  entry("moved", { number(0, true, 1) }, "SHARE", "Of shed the share of places that are moved. Default: 0.15."),
  entry("temperature", { number(0, true) }, "T", "Of emix what similarities are divided by. Default: 0.2."),
  entry("features", { whole(1) }, "N", "Of emix the width of features. Default: 128."),
  entry("mae_width", { whole(4) }, "N", "Of mae the width of its decoder. Default: 512."),
  entry("mae_heads", { whole(1) }, "N", "Of mae attention heads of its decoder. Default: 16."),
  entry("mae_blocks", { whole(1) }, "N", "Of mae blocks of its decoder. Default: 8."),
  like("augment", { help = "Random changes of pictures: none (default), mild, or steps such as flip:0.5,rotate:10." }),
  like("optimiser", { help = "adam or adamw. Default: adamw." }),
  like("learning_rate", { default = false, help = "Default: of mae and mae-grid 1.5e-4 for each 256 pictures of a "
    .. "batch, else 1e-4." }),
  like("betas", { default = false, help = "Decay of the moments. " .. OWN }),
  like("eps", { default = false, help = "Default: 1e-8." }),
  like("decay", { help = "Weight decay. " .. OWN }),
  like("decay_on", { default = false, help = "Which tensors decay: all, or matrices: those of two or more dimensions. "
    .. OWN }),
  like "clip",
  like("schedule", { default = false, help = "Of the learning rate, as of train. Default: of mae and mae-grid cosine, "
    .. "else constant." }),
  like("warm_up", { default = false, help = "Steps over which the learning rate rises. Default: of mae and mae-grid 40 "
    .. "times all pictures, at most a tenth of the steps; else 0." }),
  like "steps", like "batch",
  like("seed", { help = "Of every random number: order, choices, augmentation, what is made. Default: 0." }),
  like "save_every", like "cache", like "weights_key", like "cores", like "board", like "arena_limit",
  like("out", { help = "The file to write: the network, and heads under pretrain.; beside it OUT.csv, OUT.png and "
    .. "OUT.state." }),
}
for _, field in ipairs { "prepare", "window", "image_bits", "frame", "axis" } do list[#list + 1] = like(field) end

local pretrain_options = options.of(list, { data = "pictures", objective = closed.list(objectives.names),
  out = "a file" })

local completed = pretrain_options.completed

--- As options.of's; `objective` is a list of names.
function pretrain_options.completed(given, where)
  local all = completed(given, where)
  if type(all.objective) == "string" then all.objective = objectives_of(all.objective) end
  return all
end

return pretrain_options
