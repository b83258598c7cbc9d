-- SPDX-License-Identifier: Apache-2.0
--- What trains: sets of a network's tensors, by SAM's names. Of each dialect the default is what its program trains:
-- field training.trained of its table (lua/import/dialects/), the names of some of these sets; everything unless said.

local closed = require "support.closed"
local fail = require "support.fail"

local sets = {}

local function begins(name, prefix) return name:sub(1, #prefix) == prefix end

-- It is nothing before it is trained.
local function is_text(name) return name == "prompt_encoder.text_projection.weight" end
local function of_encoder(name) return begins(name, "image_encoder.") end
local function of_prompts(name) return begins(name, "prompt_encoder.") end
local function of_masks(name) return begins(name, "mask_decoder.") or is_text(name) end
local function is_adapter(name) return name:find("Adapter", 1, true) ~= nil end

-- What the paper leaves as it is in the decoder: all of the first layer but its adapters, and the tokens.
local function of_paper(name)
  if of_encoder(name) then return is_adapter(name) end
  if begins(name, "mask_decoder.transformer.layers.0.") then return is_adapter(name) end
  return of_masks(name) and not name:find "^mask_decoder%.%l+_tokens?%.weight$"
end

--- Each a function of SAM's name:
--   adapters    adapters of the encoder, and the mask decoder
--   lora        LoRA pairs of the encoder, and the mask decoder
--   masks       the mask decoder
--   decoder     prompt encoder and mask decoder
--   encoder     the image encoder
--   paper       adapters, and of the mask decoder all but its first layer and the tokens (Wu et al. 2023, section 2.3)
--   everything  all three
-- A projection of texts, where there is one, is in each of them but the encoder.
sets.table = {
  adapters = function(name) return of_encoder(name) and is_adapter(name) or of_masks(name) end,
  lora = function(name) return of_encoder(name) and name:find "%.lora_[ABE]$" ~= nil or of_masks(name) end,
  masks = of_masks,
  decoder = function(name) return of_prompts(name) or of_masks(name) end,
  encoder = of_encoder,
  paper = of_paper,
  everything = function() return true end,
}

sets.names = closed.sorted(sets.table)

-- Tensors that no gradient reaches by any program: statistics, and the matrix of random frequencies.
local FIXED = { "%.running_mean$", "%.running_var$", "%.ranknum$", "%.positional_encoding_gaussian_matrix$" }

local function trainable(name)
  for _, pattern in ipairs(FIXED) do
    if name:find(pattern) then return false end
  end
  return true
end

--- The tensors of a model that may train, in the order in which its program registers them.
-- @param model a model description (import/import.lua) @return list of SAM's names
function sets.all(model)
  local list = {}
  for _, entry in ipairs(model.entries) do
    if entry.found and trainable(entry.name) then list[#list + 1] = entry.name end
  end
  return list
end

--- The word for what a model's program trains.
sets.DEFAULT = "default"

--- The names of the sets that a model's program trains: where the file has LoRA pairs, these in place of adapters.
function sets.default(model)
  local list = {}
  for i, name in ipairs(model.training.trained or { "everything" }) do
    list[i] = name == "adapters" and model.lora and "lora" or name
  end
  return list
end

-- The test of one word: a set, a tensor's name, or a Lua pattern that is to fit all of a name.
local function test_of(word, all, where)
  if type(word) ~= "string" then
    fail("%s: expected the name of a set, of a tensor, or a pattern, found %s", where, type(word))
  end
  if sets.table[word] then return sets.table[word] end
  local known = table.move(sets.names, 1, #sets.names, 2, { sets.DEFAULT })
  for _, name in ipairs(all) do
    if name == word then return function(other) return other == word end end
    known[#known + 1] = name
  end
  local whole = "^" .. word .. "$"
  for _, name in ipairs(all) do
    local ok, found = pcall(string.find, name, whole)
    if not ok then fail("%s: expected a set, a tensor or a pattern of Lua's, found %s", where, word) end
    if found then return function(other) return other:find(whole) ~= nil end end
  end
  if not trainable(word) then fail("%s: expected tensors that can train, found %s, which is fixed", where, word) end
  fail("%s: expected %s, or tensors of the file, found %s, which is none%s", where, closed.list(sets.names), word,
    closed.hint(word, known))
end

--- What trains of a model.
-- @param wanted nil or "default": what its program trains; else the name of a set, of a tensor, or a Lua pattern that
-- fits all of a name, or a list of these
-- @param where what a refusal begins with
-- @return list of SAM's names, in the order in which the program registers them; set { [name] = true }
function sets.of(model, wanted, where)
  local all, list, set, tests = sets.all(model), {}, {}, {}
  if wanted == nil then wanted = sets.DEFAULT end
  if type(wanted) ~= "table" then wanted = { wanted } end
  for _, word in ipairs(wanted) do
    local words = word == sets.DEFAULT and sets.default(model) or { word }
    for _, one in ipairs(words) do tests[#tests + 1] = test_of(one, all, where) end
  end
  for _, name in ipairs(all) do
    for _, test in ipairs(tests) do
      if test(name) and not set[name] then list[#list + 1], set[name] = name, true end
    end
  end
  if #list == 0 then fail("%s: expected tensors to train, found none", where) end
  return list, set
end

return sets
