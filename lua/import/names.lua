-- SPDX-License-Identifier: Apache-2.0
-- Names of a checkpoint's tensors: the DataParallel prefix, what the names show of the dialect, and a dialect's
-- spelling.

local names = {}

--- A name as it may be printed: one line, no control characters, UTF-8 where it was.
function names.show(name)
  local text = tostring(name)
  if utf8.len(text) then
    text = text:gsub("[%c\127]", function(c) return ("\\x%02x"):format(c:byte()) end)
  else
    text = text:gsub("[%c\127-\255]", function(c) return ("\\x%02x"):format(c:byte()) end)
  end
  if #text > 200 then
    text = text:gsub("[\128-\255]", "?"):sub(1, 197) .. "..."
  end
  return text
end

--- The prefix that all names share ("module.", repeated or absent), and the first name without it if only some have it.
function names.prefix(list)
  local prefix = ""
  while #list > 0 do
    local candidate, with, without = prefix .. "module.", 0, nil
    for _, name in ipairs(list) do
      if name:sub(1, #candidate) == candidate then
        with = with + 1
      else
        without = without or name
      end
    end
    if with == 0 then break end
    if without then return nil, without end
    prefix = candidate
  end
  return prefix
end

local PARTS = { image_encoder = true, prompt_encoder = true, mask_decoder = true, vision_encoder = true,
  shared_image_embedding = true }

--- What stands before SAM's part in a name: "module.", "model_ema.module." or ""; nil where the name is of no part.
function names.wrapper(name)
  local at = 1
  for word, behind in name:gmatch "([^.]*)%.()" do
    if PARTS[word] then return name:sub(1, at - 1) end
    at = behind
  end
end

--- One more than the largest index N in names `head .. N .. "."`; 0 if there is none.
-- Indices of five digits and more are no layers of ours: such names stay unknown.
function names.count(list, head)
  local count = 0
  for _, name in ipairs(list) do
    if name:sub(1, #head) == head then
      local digits = name:match("^(%d+)%.", #head + 1)
      if digits and #digits <= 4 and (digits == "0" or digits:sub(1, 1) ~= "0") then
        count = math.max(count, math.tointeger(tonumber(digits)) + 1)
      end
    end
  end
  return count
end

-- The encoder that names are of.
local function naming(seen)
  local sams = seen.places and (seen.encoder_fc and "places" or "adapted_places") or "sam"
  local found = seen.tiny and "tinyvit" or (seen.encoder or seen.places) and sams or seen.vision and "transformers"
    or "none"
  if seen.places and (seen.tiny or seen.vision or seen.encoder_fc and seen.encoder_lin) then return "both" end
  return (seen.encoder and 1 or 0) + (seen.vision and 1 or 0) > 1 and "both" or found
end

local function either(a, b, name_a, name_b)
  if a and b then return "both" end
  return a and name_a or b and name_b or "none"
end

--- What a file's tensors show: the marks that dialects are told by. All but one are in the names.
-- @param file its `list` of { key = name without prefix, shape = }
function names.traits(file)
  local seen = {}
  for _, one in ipairs(file.list) do
    local name = one.key
    local block = name:match("^image_encoder%.blocks%.%d+%.(.*)$")
      or name:match("^vision_encoder%.layers%.%d+%.(.*)$")
      or name:match("^image_encoder%.layers%.%d+%.blocks%.%d+%.(.*)$")
    if block then
      if block:match("^attn%.rel_pos_[hw]$") then seen.rel_pos = true end
      if block:match("^attn%.rel_[hw]$") then seen.rel = true end
      if block:match("^%u%a*_Adapter%.") then seen.encoder_adapters = true end
      if block:match("^Adapter%.%l+%.") then seen.conv_adapters = true end
      if block:match("%.lora_%u$") then seen.lora = true end
      if block:match("^mlp%.fc%d%.") then seen.encoder_fc = true end
      if block:match("^mlp%.lin%d%.") then seen.encoder_lin = true end
    end
    local layer = name:match("^mask_decoder%.transformer%.layers%.%d+%.(.*)$")
    if layer then
      if layer:match("^mlp%.lin%d%.") then seen.lin = true end
      if layer:match("^mlp%.layers%.") or layer:match("^mlp%.fc%.") then seen.layers = true end
      if layer:match("^%u%a*_Adapter%.") then seen.decoder_adapters = true end
    end
    if name:match("^image_encoder%.") then seen.encoder = true end
    if name:match("^image_encoder%.patch_embed%.seq%.") or name:match("^image_encoder%.layers%.%d+%.") then
      seen.tiny = true
    end
    if name == "image_encoder.patch_embed.seq.0.c.weight" then
      seen.stem = one.shape[4] == 1 and 1 or 3
    end
    if name:match("^vision_encoder%.") then seen.vision = true end
    if name:match("^prompt_encoder%.") then seen.prompt = true end
    if name:match("^prompt_encoder%.invalid_points%.") then seen.places = true end
    if name:match("^mask_decoder%.final_output_upscaling_layers%.") then seen.places = true end
    if name:match("^mask_decoder%.") then seen.decoder = true end
  end
  return {
    naming = naming(seen),
    rel = either(seen.rel_pos, seen.rel, "rel_pos", "rel"),
    mlp = either(seen.lin, seen.layers, "lin", "layers"),
    stem = seen.stem or "none",
    encoder_adapters = seen.encoder_adapters or false,
    decoder_adapters = seen.decoder_adapters or false,
    conv_adapters = seen.conv_adapters or false,
    lora = seen.lora or false,
    network = seen.encoder or seen.vision or seen.prompt or seen.decoder or false,
  }
end

local function template(text)
  return "^" .. text:gsub("[%.%-]", "%%%0"):gsub("N", "(%%d+)") .. "$"
end

--- Two functions from a dialect's spelling table: file name -> SAM's name, and back.
function names.speller(spelling)
  local function translate(from, to)
    local rules = {}
    for _, pair in ipairs(spelling) do
      rules[#rules + 1] = { template(pair[from]), (pair[to]:gsub("N", "%%1")) }
    end
    return function(name)
      for _, rule in ipairs(rules) do
        local other, hits = name:gsub(rule[1], rule[2])
        if hits > 0 then return other end
      end
      return name
    end
  end
  return translate(1, 2), translate(2, 1)
end

return names
