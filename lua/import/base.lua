-- SPDX-License-Identifier: Apache-2.0
-- A base (--base): the file that supplies what an adapter-only or delta file lacks, tensor by tensor under SAM's names.
--
-- What both files hold comes from the checkpoint. Of such tensors MSA's programs train the adapters, the LoRA pairs and
-- the whole decoder, so there the checkpoint's may differ; the rest of the image encoder and the prompt encoder are
-- frozen in every program, so a base that differs there is not the one that the file was trained on, and is refused. A
-- file with merged
-- LoRA pairs
-- differs in the weights that they were added to.

local dialects = require "import.dialects"
local fail = require "support.fail"
local names = require "import.names"
local shapes = require "import.shapes"

local base = {}

local MOST_NAMED = 3

local function frozen(sam_name, merged)
  if sam_name:match "^prompt_encoder%." then return true end
  if merged and (sam_name:match "%.attn%.qkv%.weight$" or sam_name:match "%.mlp%.lin[12]%.weight$") then
    return false
  end
  return sam_name:match "^image_encoder%." and not sam_name:match "%.%u%a*_Adapter%."
    and not sam_name:match "%.lora_%u$" and not sam_name:match "%.ranknum$"
end

--- The spelling of the base's own names, which need not be the checkpoint's: most bases are SAM's.
function base.spelling(file)
  local traits = names.traits(file)
  if not traits.network then
    fail("%s: expected tensors named image_encoder., prompt_encoder. and mask_decoder., found %s", file.path,
      file.keys[1] and ("%d others, the first %s"):format(#file.keys, names.show(file.keys[1])) or "no tensor")
  end
  local candidates = dialects.candidates(traits)
  if not candidates[1] then
    fail("%s: dialect: expected the marks of one of %s, found a mixture: %s", file.path, dialects.list(dialects.all()),
      dialects.describe(traits))
  end
  return candidates[1].spelling
end

--- What the two files show together. SAM's spelling in the base says nothing of the checkpoint; a later one does.
function base.traits(checkpoint, file)
  local own, other = names.traits(checkpoint), names.traits(file)
  local function spelled(mark, late)
    if own[mark] ~= "none" then return own[mark] end
    return other[mark] == late and late or "none"
  end
  local places = own.naming == "sam" and other.naming == "adapted_places" -- which adapters alone do not show
  return {
    naming = places and other.naming or own.naming, stem = own.stem, rel = spelled("rel", "rel"),
    mlp = spelled("mlp", "layers"),
    encoder_adapters = own.encoder_adapters or other.encoder_adapters,
    decoder_adapters = own.decoder_adapters or other.decoder_adapters,
    conv_adapters = own.conv_adapters or other.conv_adapters, lora = own.lora or other.lora, network = own.network,
  }
end

--- The same numbers, whatever they are stored as; what was read of the files is let go.
function base.same_values(a, b)
  local same
  if a.dtype == b.dtype then
    same = a:equal(b)
  else
    same = a:scale(1):equal(b:scale(1))
  end
  a:forget()
  b:forget()
  return same
end

--- Refuse a base that the checkpoint was not trained on. pairs_: array of {sam = name, own = tensor of the checkpoint,
-- other = the base's};
-- merged: the checkpoint is taken for one whose LoRA pairs were merged.
-- A table of zeros that the base spells otherwise is exempt: 2024's loader drops SAM's tables for their names and keeps
-- its own zeros.
function base.verify(path, file, pairs_, merged)
  local differing = {}
  for _, pair in ipairs(pairs_) do
    local own, other = pair.own, pair.other
    local dropped = own.key ~= other.key and own.key:match "%.rel_[hw]$" and own.tensor:is_zero()
    if frozen(pair.sam, merged) and not dropped then
      if shapes.text(own.shape) ~= shapes.text(other.shape) then
        fail("%s: %s is %s; expected %s, as in %s, since it is frozen in training", file.path, names.show(other.name),
          shapes.text(other.shape),
          shapes.text(own.shape), path)
      end
      if not base.same_values(own.tensor, other.tensor) then differing[#differing + 1] = names.show(other.name) end
    end
  end
  if #differing > 0 then
    local more = #differing - MOST_NAMED
    fail("%s: %s%s: expected the values in %s, as %s frozen in training, found others: it was trained on another base",
      file.path,
      table.concat(differing, ", ", 1, math.min(#differing, MOST_NAMED)), more > 0 and (" and %d more"):format(more)
        or "", path,
      #differing == 1 and "it is" or "they are")
  end
end

return base
