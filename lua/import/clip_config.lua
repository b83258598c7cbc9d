-- SPDX-License-Identifier: Apache-2.0
--- What stands in files beside a CLIP checkpoint and in no tensor: heads, activation, eps. Two libraries write one
-- each: transformers config.json, open_clip open_clip_config.json.

local fail = require "support.fail"
local schema = require "support.schema"

local config = {}

local MOST_BYTES = 1 << 20

-- The object that a file beside the checkpoint holds, and its path; nil where there is none.
local function object_beside(path, name)
  local sys, json = require "msagen.sys", require "msagen.json"
  local beside = (path:match "^(.*/)[^/]*$" or "") .. name
  if not sys.exists(beside) then return nil end
  local bytes = sys.size(beside)
  if bytes > MOST_BYTES then fail("%s: expected at most %d bytes, found %d", beside, MOST_BYTES, bytes) end
  local whole = json.decode(sys.read_file(beside), beside)
  if type(whole) ~= "table" or whole[1] ~= nil then
    fail("%s: expected a JSON object, found %s", beside, type(whole) == "table" and "a list" or schema.shown(whole))
  end
  return whole, beside
end

-- A field that is there and not null, of a kind.
local function field(values, name, kind, path)
  local value = values[name]
  if value == nil or value == require("msagen.json").null then return nil end
  local expected, shown = kind(value)
  if expected then fail("%s: %s: expected %s, found %s", path, name, expected, shown or schema.shown(value)) end
  return value
end

local heads = schema.whole(1, 1024)
local eps = schema.kind(function(value)
  if math.type(value) == nil or not (value > 0 and value < 1) then return "a number between 0 and 1" end
end)
local token = schema.whole(0, math.maxinteger)

local ACTIVATIONS = { quick_gelu = "quick_gelu", gelu = "gelu" }

-- Of old files this number means the highest token.
local HIGHEST = 2

--- Of transformers: { path, heads, activation, eps, last = the end's token, nil where that is the highest }; nil where
-- there is no config.json. What it leaves out is as in the smallest CLIP.
function config.of_transformers(path)
  local whole, beside = object_beside(path, "config.json")
  if not whole then return nil end
  local values = field(whole, "text_config_dict", schema.table, beside)
    or field(whole, "text_config", schema.table, beside) or whole
  local act = field(values, "hidden_act", schema.text, beside) or "quick_gelu"
  if not ACTIVATIONS[act] then
    fail("%s: hidden_act: expected quick_gelu or gelu, found %s", beside, schema.shown(act))
  end
  local last = field(values, "eos_token_id", token, beside)
  return { path = beside, heads = field(values, "num_attention_heads", heads, beside) or 8,
    activation = ACTIVATIONS[act], eps = field(values, "layer_norm_eps", eps, beside),
    last = last ~= HIGHEST and last or nil }
end

-- Fields of open_clip's text_cfg that make another encoder, and the values with which they do not.
local OTHERS = { { "hf_model_name" }, { "hf_tokenizer_name" }, { "embed_cls", false }, { "no_causal_mask", false },
  { "pool_type", "argmax" }, { "proj_bias", false }, { "proj_type", "linear" }, { "ls_init_value" },
  { "act_kwargs" }, { "tokenizer_kwargs" } }

--- Of open_clip: the same; nil where there is no open_clip_config.json.
function config.of_open_clip(path)
  local whole, beside = object_beside(path, "open_clip_config.json")
  if not whole then return nil end
  local null = require("msagen.json").null
  local model = field(whole, "model_cfg", schema.table, beside) or whole
  local text = field(model, "text_cfg", schema.table, beside) or {}
  for _, other in ipairs(OTHERS) do
    local value = text[other[1]]
    if value ~= nil and value ~= null and value ~= other[2] and (type(value) ~= "table" or next(value)) then
      fail("%s: %s: expected CLIP's own text encoder and tokeniser, found %s: another one", beside, other[1],
        schema.shown(value))
    end
  end
  local norm = field(text, "norm_kwargs", schema.table, beside) or {}
  return { path = beside, heads = field(text, "heads", heads, beside), eps = field(norm, "eps", eps, beside),
    activation = field(model, "quick_gelu", schema.flag, beside) and "quick_gelu" or "gelu" }
end

return config
