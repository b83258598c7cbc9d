-- SPDX-License-Identifier: Apache-2.0
--- The options of a device, an entry each: what the compiler checks, build scripts may say, and the command line offers
-- with its help, is read here.
--   field     its name in a build script
--   kind      of its value (lua/support/schema.lua)
--   option    its name on the command line; nil where it is a script's alone
--   argument  what the command line calls its value
--   help      a line about it
--   convert   function(text) -> value, or nil and what was expected; nil: the text itself
--   repeated  may be given several times, and is a list
--   path      names a file; a script's are relative to it
--   training  of builds of the training step alone: of msagen build with --train

local arithmetic = require "target.arithmetic"
local closed = require "support.closed"
local losses = require "train.losses"
local rules = require "scans.rules"
local schema = require "support.schema"
local split = require "schedule.split"
local fetches = require "schedule.fetches"
local train_sets = require "train.sets"

local above_0 = schema.kind(function(value)
  if math.type(value) ~= "integer" or value < 1 then return "a whole number above 0" end
end)

local function integer(text)
  local n = math.tointeger(tonumber(text))
  if not n or n < 1 then return nil, ("expected a whole number above 0, found %s"):format(text) end
  return n
end

local function block_list(text)
  local list = {}
  for piece in (text .. ","):gmatch "([^,]*)," do
    local n = math.tointeger(tonumber(piece))
    if not n or n < 0 then return nil, ("expected block numbers separated by commas, found %s"):format(text) end
    list[#list + 1] = n
  end
  return list
end

local function one_of(...)
  local allowed = { ... }
  return function(text)
    for _, a in ipairs(allowed) do
      if a == text then return text end
    end
    return nil, ("expected %s, found %s"):format(table.concat(allowed, " or "), text)
  end
end

local function slices(text)
  if text == "none" then return text end
  local n = integer(text)
  return n, not n and ("expected a whole number above 0, or none, found %s"):format(text) or nil
end

-- What is to train: a word, or a list of them.
local sets_list = schema.kind(function(value)
  if not schema.text(value) then return nil end
  return schema.list_of(schema.text, 1, "sets, tensors or patterns")(value)
end)

local function bank(text)
  local name, path = text:match "^([^=]+)=(.+)$"
  if not name then return nil, ("expected NAME=FILE, found %s"):format(text) end
  return { name = name, checkpoint = path }
end

local function rule(text)
  local parsed, problem = rules.parse(text)
  return parsed and text, problem
end

local board = schema.kind(function(value)
  if type(value) ~= "table" and schema.text(value) then return "a board's name, file or table" end
end)
local chunk = schema.kind(function(value)
  if value ~= "none" and math.type(value) ~= "integer" then return "a whole number above 0, or none" end
end)
local cores = schema.kind(function(value)
  if math.type(value) ~= "integer" or value < 1 or value > split.MOST then return ("1 to %d"):format(split.MOST) end
end)
local identifier = schema.kind(function(value)
  if type(value) ~= "string" or not value:match "^%a[%w_]*$" then return "a C identifier" end
end)
local buffer = schema.kind(function(value)
  if math.type(value) ~= "integer" or value < fetches.HEADER_BYTES then
    return ("%d bytes at least"):format(fetches.HEADER_BYTES)
  end
end)

local options = {}

options.list = {
  { field = "checkpoint", kind = schema.text, path = true },
  { field = "frontend", kind = schema.table }, -- what stands before the network, or alone: lua/signal/front.lua
  { field = "name", kind = schema.text }, -- of the device's folder, in a list of devices
  { field = "board", kind = board, option = "--board", argument = "NAME|FILE.lua",
    help = "What to compile for: one that msagen boards lists, or a board's file of your own. "
      .. "Default: the best board for this CPU." },
  { field = "resolution", kind = above_0, option = "--resolution", argument = "PX", convert = integer,
    help = "Side of the square that images are resized to, pixels. Default: the file's own." },
  { field = "depth", kind = above_0, option = "--depth", argument = "D", convert = integer,
    help = "Slices of a volume. Default: 1." },
  { field = "precision", kind = schema.one_of(table.unpack(arithmetic.precisions)), option = "--precision",
    argument = "NAME", convert = one_of(table.unpack(arithmetic.precisions)),
    help = ("Arithmetic of the encoder's products: %s. Default: f32."):format(closed.list(arithmetic.precisions)) },
  { field = "layer_precision", kind = schema.table }, -- of layers by name: lua/compiler/precision.lua
  { field = "equalise", kind = schema.flag },
  { field = "dialect", kind = schema.text, option = "--dialect", argument = "NAME",
    help = "Which program trained the file; needed only where the tensors do not tell." },
  { field = "classes", kind = above_0, option = "--classes", argument = "N", convert = integer,
    help = "Classes that a 2024 or 2025 file was trained for. Default: 1." },
  { field = "cores", kind = cores, option = "--cores", argument = "N", convert = integer,
    help = ("Cores that share the work, 1 to %d; the bits are the same. Default: 1."):format(split.MOST) },
  { field = "chunk", kind = chunk, option = "--chunk", argument = "N|none", convert = slices,
    help = "Slices that the depth branch takes at a time, or none. Default: the depth." },
  { field = "decoder_heads", kind = above_0, option = "--decoder-heads", argument = "N", convert = integer,
    help = "Attention heads of the mask decoder. Default: 8." },
  { field = "global_blocks", kind = schema.list_of(schema.whole(0, math.maxinteger), 0, "numbers of blocks"),
    option = "--global-blocks", argument = "LIST", convert = block_list,
    help = "Encoder blocks with global attention, from 0; needed only where no tensor tells." },
  { field = "click_order", kind = schema.one_of("xy", "rc"), option = "--click-order", argument = "ORDER",
    convert = one_of("xy", "rc"), help = "How the weights expect clicks: xy (default) or rc (row, column)." },
  { field = "prepare", kind = rules.kind, option = "--prepare", argument = "RULE", convert = rule,
    help = "What is done to a scan's values before the network sees them, such as window:40/400, lung, medsam-ct, "
      .. "percentile:0.5/99.5; noted in the manifest. "
      .. "docs/preparation.md lists the rules." },
  { field = "base", kind = schema.text, path = true, option = "--base", argument = "FILE",
    help = "The backbone (a SAM checkpoint) of files that hold adapters only, or differences." },
  { field = "banks", kind = schema.table, option = "--bank", argument = "NAME=FILE", convert = bank, repeated = true,
    help = "A target of its own on a common backbone; repeated. msagen run --bank NAME chooses." },
  { field = "text_prompts", kind = schema.text, path = true, option = "--text-prompts", argument = "FILE.safetensors",
    help = "Embeddings of phrases, one of which may be a prompt: a matrix [n, E], or [n, t] with a projection [E, t], "
      .. "and names." },
  { field = "weights", kind = schema.one_of("mapped", "stream"), option = "--weights", argument = "HOW",
    convert = one_of("mapped", "stream"),
    help = "mapped (default), or stream: the layers fetch their weights through hooks of the product, each while the "
      .. "one before works." },
  { field = "stream_buffer", kind = buffer, option = "--stream-buffer", argument = "BYTES", convert = integer,
    help = "With --weights stream: bytes that each of the two buffers may have at most. Default: as large as the "
      .. "layers' weights." },
  { field = "guards", kind = schema.one_of("none", "full"), option = "--guards", argument = "WHICH",
    convert = one_of("none", "full"),
    help = "none (default), or full: a CRC over all that an encode leaves in the arena, where a sample is looked at "
      .. "else, and lines at the arena's ends that nothing may write." },
  { field = "weights_key", kind = schema.text, option = "--weights-key", argument = "KEY",
    help = "Which set of weights is meant, where a training file holds several: the key, or the names' prefix, under "
      .. "which it lies." },
  { field = "ignore", kind = schema.list_of(schema.text, 0, "beginnings of names"), option = "--ignore",
    argument = "PREFIX", repeated = true,
    help = "Drop the tensors whose names begin so, which are known to be of no use; repeated." },
  { field = "train", kind = sets_list, option = "--train", argument = "SET", repeated = true, training = true,
    help = "Not inference but the training step, of what is to train: " .. closed.list(train_sets.names)
      .. ", default (what the program of the file trains), a tensor's name or a Lua pattern; repeated. Options below "
      .. "are for it where they say so." },
  { field = "loss", kind = schema.one_of(table.unpack(losses.names)), option = "--loss", argument = "NAME",
    convert = one_of(table.unpack(losses.names)), training = true,
    help = "Of --train: the loss that the step is for: " .. closed.list(losses.names) .. ". Only with sam predicted "
      .. "IoU has gradients. Default: that of the file's program." },
  { field = "batch", kind = above_0, option = "--batch", argument = "B", convert = integer, training = true,
    help = "Of --train: images of an update at most. Default: 1." },
  { field = "target_side", kind = above_0, option = "--target-side", argument = "T", convert = integer, training = true,
    help = "Of --train: pixels a side that targets have at most. Default: the side of images." },
  { field = "from", kind = schema.one_of("image", "embedding"), option = "--from", argument = "WHAT",
    convert = one_of("image", "embedding"), training = true,
    help = "Of --train: what the step begins with: image (default), or embedding, which the product has of an "
      .. "inference build: no encoder then." },
  { field = "arena_limit", kind = above_0, option = "--arena-limit", argument = "BYTES", convert = integer,
    training = true, help = "Of --train: of the arena; what of the forward pass does not fit is computed again. "
      .. "Default: no limit; on bare metal what the board has." },
  { field = "lora", kind = above_0, option = "--lora", argument = "R", convert = integer, training = true,
    help = "Of --train: LoRA pairs of rank R are made in place of adapters, where the file has neither." },
  { field = "init", kind = schema.one_of("program", "identity"), option = "--init", argument = "HOW",
    convert = one_of("program", "identity"), training = true,
    help = "Of --train: how what is made begins: as the program has it (noise, default), or giving nothing." },
  { field = "seed", kind = schema.whole(0, 1 << 31), option = "--seed", argument = "N", training = true,
    convert = function(text)
      local n = math.tointeger(tonumber(text))
      if not n or n < 0 or n > 1 << 31 then
        return nil, ("expected a whole number from 0 to %d, found %s"):format(1 << 31, text)
      end
      return n
    end, help = "Of --train: of the random numbers of what is made. Default: 0." },
  { field = "prefix", kind = identifier, option = "--prefix", argument = "NAME",
    help = "Prefix of all names, so that one program can hold several models. Default: msa." },
}

--- field -> { kind }: what lua/support/schema.lua checks a device by.
options.fields = {}
local by_field = {}
for _, one in ipairs(options.list) do
  options.fields[one.field], by_field[one.field] = { one.kind }, one
end

--- The entry of a field.
function options.of(field) return by_field[field] or error("options: no field " .. tostring(field)) end

return options
