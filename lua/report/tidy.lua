-- SPDX-License-Identifier: Apache-2.0
--- Findings of clang-tidy 14 with `cert-*` and `bugprone-*`, as lua/report/misra.lua has those of MISRA C: a record for
-- each check, or for each reason. rule: the check's name; the other fields as there.
-- docs/misra.md is made of these (tests/run_misra.lua --accept).
local SANITIZED = "AddressSanitizer and UndefinedBehaviorSanitizer over builds and the C API (run_generated.lua)"

return {
  { rule = "bugprone-easily-swappable-parameters", about = "no neighbours of one type that a call may swap",
    files = { "msa_kernels.c", "msa_decoder.c", "msa_int8.h", "msa_known_answer.c" },
    why = "Rows, columns and strides are all of size_t, sums and operands of one vector.",
    safe = "Calls of kernels are generated, from the one place that knows their order.",
    verified = "every kernel against plain loops, bit for bit (test_kernels.lua); every build against the interpreter "
      .. "(run_golden.lua)" },
  { rule = "bugprone-easily-swappable-parameters", about = "no neighbours of one type that a call may swap",
    files = { "msa.h", "msa_model.c", "msa_hooks.c", "msa_image_line.c", "msa_check.c", "msa_crc32c.c", "msa_mask.c" },
    why = "Width before height, slice before row, data before its size: the order that C interfaces have.",
    safe = "Each parameter's name and order are documented where it is declared.",
    verified = "the C API with every status (tests/api/calls.h), on images that are not square" },
  { rule = "bugprone-easily-swappable-parameters", about = "no neighbours of one type that a call may swap",
    files = { "msa_image.c", "msa_resize.c", "msa_upsample.c", "msa_prompt.c", "msa_area.c", "msa_bicubic.c",
      "msa_fundus.c", "msa_nearest.c", "msa_places.c", "msa_sample.c", "msa_spline.c" },
    why = "Sizes of what comes in and goes out, x and y, low and high are of one type.",
    safe = "Each has one or two calls, in generated code or in the same file.",
    verified = "golden cases of each resizer, on images that are not square (run_golden.lua)" },
  { rule = "bugprone-implicit-widening-of-multiplication-result", about = "no product that is widened afterwards",
    files = { "msa_encoder.c", "msa_kernels.c", "msa_known_answer.c", "msa_model.c" },
    why = "Generated indices are products of constants, or of a constant and a place in a constant table.",
    safe = "They are places in floats or bytes of one layer's rows, far below 2^31; a product of constants that is not "
      .. "is an error of the compiler (-Woverflow).", verified = SANITIZED .. "; lua/schedule/memory.lua" },
  { rule = "bugprone-implicit-widening-of-multiplication-result", about = "no product that is widened afterwards",
    files = { "msa_resize.c", "msa_spline.c", "msa_fundus.c", "msa_sample.c" },
    why = "They are 2 or 3 times a side of an image, or a place in a table of weights of one axis.",
    safe = "Sides are at most 16384 (MSA_MAX_SIDE), so none comes near 2^31.",
    verified = "tests/c/test_resize.c, tests/run_front.lua; " .. SANITIZED },
  { rule = "bugprone-reserved-identifier", about = "no reserved name", files = { "msa_threads.c" },
    why = "POSIX asks for _POSIX_C_SOURCE.", safe = "It has the value that POSIX gives.", verified = "inspection" },
  { rule = "cert-dcl37-c", about = "no reserved name", files = { "msa_threads.c" },
    why = "The same finding, by CERT's number.", safe = "As above.", verified = "inspection" },
  { rule = "cert-dcl51-cpp", about = "no reserved name", files = { "msa_threads.c" },
    why = "The same finding, by CERT's number for C++.", safe = "As above.", verified = "inspection" },
}
