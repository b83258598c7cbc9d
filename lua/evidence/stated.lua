-- SPDX-License-Identifier: Apache-2.0
--- Bounds of loops whose headers do not say them, by function: how often one runs at most in a call of the interface
-- with the build's own weights, and an image and a mask of no more pixels a side than the network takes. Of each what
-- its header has in it, and expressions of numbers, parameters and constants of msa_model.h: the first that has a bound
-- counts, "all ..." of all times together that a call of the function comes to the loop, "ever ..." of all calls of the
-- function together, within one of the interface. Functions of the same name in two files have the file before it.
local closed = require "support.closed"

local IMAGE = { "MSA_MODEL_INPUT_SIZE" }
local TAPS = { "3" } -- 2 * ceil(scale) + 1 at a scale of 1
local ROW = { "3 * MSA_MODEL_INPUT_SIZE" }
local ONE, NONE = { "1" }, { "0" }
local LARGEST = "MSA_MODEL_LARGEST_SEGMENT"

local OF = {
  msa_sqrt = { ["bit >= 0"] = { "25" } },
  fingerprint = { ["kept[k].count"] = { "2048" } }, -- a step of count / 1024, and of 1 at least
  msa_image_row = { ["image->width"] = IMAGE },
  triangle_at = { ["t.count"] = TAPS },
  msa_resize_init = { out_width = IMAGE, ["t.count"] = TAPS },
  horizontal = { out_width = IMAGE, ["k < count"] = TAPS },
  msa_resize_row = { length = ROW, ["t.count"] = TAPS },
  msa_nearest_row = { out_width = IMAGE },
  -- By areas: at these sizes no pixel is made of more than one.
  narrowed = { out_width = IMAGE, ["c.whole"] = ONE },
  add_row = { out_width = ROW },
  area_row = { length = ROW, ["c.whole"] = ONE },
  whole_row = { ["a->whole_y"] = ONE, length = ROW },
  linear_row = { out_width = IMAGE },
  -- By splines: where nothing shrinks, the Gaussian has no radius. Each source row is made once: the rows that an
  -- output row needs go on with it, and are fewer than slots.
  falling = { ["k >= 1"] = { "14" }, ["k < n"] = NONE },
  mirrored = { ["while"] = { "MSA_SPLINE_REACH" } }, -- in a picture of two pixels
  gaussian = { ["k = 1"] = NONE, ["k = 0"] = ONE },
  prefiltered = { ["k = 1"] = { "MSA_SPLINE_REACH" }, ["at = 0"] = { "MSA_SPLINE_REACH + 1" }, ["k = -"] = ONE },
  bounds = { ["s->height"] = IMAGE, ["s->width"] = ROW },
  msa_spline_init = { out_width = IMAGE },
  blurred = { ["x < width"] = IMAGE, ["k <= radius"] = NONE },
  prefilter = { ["k <= REACH"] = { "MSA_SPLINE_REACH + 1" }, ["x < count"] = IMAGE, ["x > 0u"] = IMAGE },
  ["msa_spline.c:horizontal"] = { ["c < 3u"] = { "ever 3 * MSA_MODEL_INPUT_SIZE" }, out_width = IMAGE },
  msa_spline_row = { length = ROW, ["at = -reach"] = { "2 * MSA_SPLINE_REACH + 4" } },
  msa_range_add = { count = ROW },
  msa_upsample_row = { ["u->width"] = IMAGE },
  -- Each side of a pixel between mask and none is on one outline, and the largest is walked along twice.
  walk = { ["do"] = { "ever 4 * MSA_MODEL_INPUT_SIZE * (MSA_MODEL_INPUT_SIZE + 1)" } },
  msa_contour = { MSA_MASK_ROW_BYTES = { "MSA_MODEL_INPUT_SIZE * (MSA_MODEL_INPUT_SIZE / 8 + 1)" },
    ["y < height"] = IMAGE, ["x < width"] = IMAGE },
  blend_row = { ["x < count"] = IMAGE },
  small_row = { ["u->side"] = { "MSA_MODEL_MASK_SIDE" } },
  msa_mask_bits = { ["u->height"] = IMAGE, ["u->width"] = IMAGE, bytes = IMAGE },
  msa_finite = { count = { "MSA_MODEL_MASKS * MSA_MODEL_MASK_SIDE * MSA_MODEL_MASK_SIDE * MSA_MODEL_DEPTH" } },
  msa_prompt_check = { points = { "MSA_MODEL_DEPTH * MSA_MODEL_MAX_POINTS" },
    ["prompt->slices"] = { "MSA_MODEL_DEPTH" } },
  msa_prompt_tokens = { ["table->output_tokens"] = { "MSA_MODEL_TOKENS" },
    ["prompt->point_count"] = { "MSA_MODEL_MAX_POINTS" } },
  msa_place_tokens = { ["table->output_tokens"] = { "MSA_MODEL_TOKENS" }, ["places->count"] = { "MSA_MODEL_TOKENS" } },
  put_features = { half = { "MSA_MODEL_OUT" }, ["table->out"] = { "MSA_MODEL_OUT" } },
  put_place = { half = { "MSA_MODEL_OUT" } },
  test_all = { ["s->bank"] = { "MSA_MODEL_BANKS" } },
  go_on = { ["while"] = { "MSA_MODEL_SEGMENTS + 1" } }, -- each pass ends a segment, or the call
  all_zero = { ["i < to"] = { "4096" } }, -- where the first segment begins
  msa_top = { ["; k < count"] = { "63" } }, -- what four vectors leave
  msa_quantise_by = { ["; k < count;"] = { "15" }, ["k < padded"] = { "padded - count" } },
  join = { ["i > 0u"] = { "32" } },
  -- Streams of 2^20 down to 2^9 bytes: of the longest as many as there are, of each other one at most.
  msa_crc32c = { STREAM_LEAST = { "12" }, ["3u * length"] = { "bytes / 3145728 + 1", LARGEST .. " / 3145728 + 1" },
    ["p != end"] = { "all bytes / 12", "all " .. LARGEST .. " / 12" },
    ["bytes >= sizeof(crc_word)"] = { "bytes / 4", LARGEST .. " / 4" }, ["bytes > 0u"] = { "7" } },
}

-- What a name in a function is at most.
local NAMES = { msa_check_header = { segments = "MSA_MODEL_SEGMENTS" }, hand_out = { ["c.count"] = "MSA_MODEL_MASKS" },
  msa_exact_tile = { ["tile->rows"] = "tile.1", ["tile->columns"] = "tile.2" } } -- the struct's first and second

local stated = {}

local function of_function(list, f)
  return list[f.file:gsub("^%w+_", "msa_") .. ":" .. f.name] or list[f.name] or list[f.name:gsub("^%w+_", "msa_")] or {}
end

--- @param f of evidence.text's @param header of a loop @return a list of expressions
function stated.of(f, header)
  local list = of_function(OF, f)
  for _, words in ipairs(closed.sorted(list)) do
    if header:find(words, 1, true) then return list[words] end
  end
  return {}
end

--- @param name in a function @return an expression of what it is at most, or nil
function stated.name(f, name) return of_function(NAMES, f)[name] end

return stated
