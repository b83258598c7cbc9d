-- SPDX-License-Identifier: Apache-2.0
--- Statements, branches and conditions that the test program of runtime/coverage does not reach in some builds, by
-- name: files and functions (patterns with *, names as with the prefix msa; nil: any) and what is in the line; why it
-- is not reached, and safe, the argument that it may stay.
local SIZES = "How often it runs follows from the sizes of this build's calls, which are constants, and from the "
  .. "number of a prompt's tokens, of which every one was tried."
local OTHER_SIZES = "Builds with other sizes reach it, where it is held against plain loops, bit for bit "
  .. "(test_kernels.lua)."

local PREPARED = "Of this build's attention the image's side is made ready once an image, where the decoder finds it."

local CLAMPED = "A place is below the input's side unless a quotient of sides were rounded by a whole pixel."
local CLAMPS = "Nothing beyond the input is read even then."

local KERNELS = { "msa_kernels.c", "msa_int8.h", "msa_bf16.h", "msa_simd.h" }
local function by_sizes(files, text, functions)
  return { files = files, functions = functions, text = text, why = SIZES, safe = OTHER_SIZES }
end
local OTHER_STEPS = "Training steps with other sizes reach it, where it is held against plain loops, bit for bit "
  .. "(test_training_kernels.lua)."
local function by_sizes_of_steps(text, functions)
  return { files = KERNELS, functions = functions, text = text, why = SIZES, safe = OTHER_STEPS }
end
local OTHER_LAYERS = "Training steps of other sizes reach it, whose digests are those of the plain loops "
  .. "(run_train_boards.lua)."
local function in_layers(text, functions)
  return { files = { "msa_train_layers.c" }, functions = functions, text = text, why = SIZES, safe = OTHER_LAYERS }
end
local FRAMES = "How often it runs follows from the sizes of this build's frame, picture and tables, which are "
  .. "constants, and from the lines that come at a time, of which as many were tried as make a difference."
local OTHER_FRAMES = "Front ends of other sizes reach it, of which golden cases and other boards say the same "
  .. "(run_front.lua)."
local function by_frames(files, text, functions)
  return { files = files, functions = functions, text = text, why = FRAMES, safe = OTHER_FRAMES }
end

return {
  { files = { "msa_check.c" }, functions = { "msa_check_environment" }, text = "the low byte first",
    why = "The computer that runs the test program has the low byte first, and so have all boards.",
    safe = "It refuses a machine on which the weights would be read wrongly." },
  { files = { "msa_encoder.c", "msa_train_layers.c" }, text = "if (status != MSA_OK) {",
    why = "A resizer refuses sides of 0 and room that is too small; here both are constants of the build, or sides "
      .. "that msa_resized_size makes, which are at least 1.", safe = "What it would refuse is handed on." },
  { files = { "msa_arith.h" }, functions = { "msa_from_bits" }, text = "{",
    why = "What calls it in this build stands between directives, for machines without an instruction that this one "
      .. "has.", safe = "Builds for machines without it reach it." },
  by_sizes(KERNELS, "keys - before < tile", { "msa_keys_*" }),
  by_sizes(KERNELS, "keys - first < tile", { "msa_values_*" }),
  by_sizes(KERNELS, "(j ^ 1) <", { "msa_keys_bf16_*" }),
  by_sizes(KERNELS, "if (steps % 2 == 1) {", { "msa_widen_bf16" }),
  by_sizes(KERNELS, "if (lane <= i && count - (i - lane) >=", { "msa_keys_*" }),
  by_sizes(KERNELS, "for (size_t j = 0; j <", { "msa_keys_*" }),
  by_sizes(KERNELS, "for (size_t i = whole; i < rows; ++i) {", { "msa_layernorm_*", "msa_normed_*", "msa_moments_*" }),
  by_sizes(KERNELS, "const size_t here = rows - i <", { "msa_softmax_*" }),
  by_sizes(KERNELS, "for (size_t r = here; r <", { "msa_softmax_*" }),
  by_sizes(KERNELS, "; k < padded; k += 16) {", { "msa_softmax_*" }),
  by_sizes(KERNELS, "; k < whole; k += ", { "msa_softmax_*" }),
  by_sizes(KERNELS, "for (size_t k = cols; k < padded; ++k) {", { "msa_softmax_*" }),
  by_sizes(KERNELS, "for (; k < count; ++k) {"),
  by_sizes(KERNELS, "for (; k < padded; ++k) {"),
  by_sizes(KERNELS, "int32_t msa_whole(float rounded)"),
  by_sizes_of_steps("block == 0 ? ", { "msa_column_sum_*", "msa_layernorm_dgamma_*" }),
  by_sizes_of_steps("if (whole < last) {", { "msa_softmax_rows_*" }),
  by_sizes_of_steps("for (size_t k = ", { "msa_softmax_rows_*", "msa_softmax_dx_*" }),
  by_sizes_of_steps("count = K - k < ", { "msa_transpose_panels_*" }),
  by_sizes_of_steps("(count == ", { "msa_transpose_panels_*" }),
  by_sizes_of_steps("count == 16 ? whole : 0; n < N", { "msa_transpose_panels_*" }),
  by_sizes_of_steps("const size_t high = lines - y <", { "msa_relative_sums_*" }),
  by_sizes_of_steps("const size_t wide = columns - x <", { "msa_relative_sums_*" }),
  by_frames({ "msa_simd.h" }, "{", { "msa_gather", "msa_vwhole", "msa_vpart", "msa_store_bytes",
    "msa_load_bits" }),
  by_frames({ "msa_arith.h" }, "{", { "msa_max", "msa_min", "msa_fma" }),
  by_frames(KERNELS, "(l < lines ? l : lines - 1)", { "msa_*_in" }),
  by_frames(KERNELS, "for (size_t c = done; c < columns; ++c) {", { "msa_*_in" }),
  by_frames(KERNELS, "columns >= ", { "msa_frame_reference" }),
  by_frames(KERNELS, "; c < columns", { "msa_frame_reference" }),
  by_frames(KERNELS, "for (; i < count; ++i) {", { "msa_scan_runs" }),
  by_frames(KERNELS, "for (; i + ", { "msa_scan_runs" }),
  by_frames(KERNELS, "for (; i < points; ++i) {", { "msa_lanes_fir_*" }),
  by_frames(KERNELS, "const size_t end = points - i <", { "msa_lanes_mean_*" }),
  by_frames(KERNELS, "for (; j < columns; ++j) {", { "msa_scan_grid" }),
  by_frames(KERNELS, "for (; j + ", { "msa_scan_grid" }),
  by_frames({ "msa_model.c" }, "count - taken <", { "take" }),
  by_frames({ "msa_model.c" }, "if (bytes == left) {", { "go_on" }),
  by_sizes({ "msa_encoder.c", "msa_decoder.c", "msa_train_layers.c" }, "const size_t end = left <"),
  in_layers("i < b + 64u && i < ", { "msa_masks_backward" }),
  in_layers("= m == 0 ? own : "),
  in_layers("const bool inside = row >= ", { "msa_merging_*" }),
  in_layers("const size_t end = t + "),
  in_layers("float sum = t == 0 ? 0.0f : "),
  by_sizes({ "msa_decoder.c" }, "&& i < count; i += "),
  { files = { "msa_decoder.c" }, text = "ready == NULL", why = PREPARED, safe = OTHER_SIZES },
  { files = { "msa_decoder.c" }, text = "= ready != NULL ? ready", why = PREPARED, safe = OTHER_SIZES },
  { files = { "msa_decoder.c" }, text = "mask == NULL ? arena",
    why = "This model has no mask prompt, which is refused.",
    safe = "Models that have one take both ways (run_golden.lua)." },
  { files = { "msa_area.c" }, text = "first > last ? last : first", why = CLAMPED, safe = CLAMPS },
  { files = { "msa_area.c" }, text = "b.low > in - 1u ? in - 1u", why = CLAMPED, safe = CLAMPS },
  { files = { "msa_area.c" }, text = "value > 255u ? 255u",
    why = "A mean of bytes would have to be rounded up by more than half a level.",
    safe = "It clips, as OpenCV does." },
}
