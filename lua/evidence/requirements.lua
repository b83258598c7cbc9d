-- SPDX-License-Identifier: Apache-2.0
--- What a build is required to do: each requirement with an identifier that stays, where it comes from, what of a build
-- fulfils it, and which tests of msagen cover it. Identifiers are never given again; one that falls away is retired.
--   id, text, source    source: the paper's section, or the page of docs/ that is the contract
--   kinds   kinds of layers (manifest.json: layers) that fulfil it
--   files   files of the folder, without prefix and ending, whose functions fulfil it
--   tests   files below tests/; golden = true: and the golden cases of the build's dialect
local SAM, MSA = "arXiv 2304.02643", "arXiv 2304.12620"

local function requirement(id, text, source, fields)
  fields.id, fields.text, fields.source = id, text, source
  return fields
end

local NETWORK = { "run_golden.lua", "run_boards.lua", "run_precision.lua" }
local function network(id, text, source, ...)
  return requirement(id, text, source, { kinds = { ... }, tests = NETWORK, golden = true })
end

local API = { "run_generated.lua", "api/calls.h" }

return {
  network("NET-01", "An image's patches become tokens with absolute positions.", SAM .. " appendix A, image encoder",
    "patch_embed", "pixels", "convolution", "interleave", "depthwise_convolution"),
  network("NET-02", "Encoder blocks attend within windows or globally, with relative positions; adapters and, of "
    .. "volumes, the branch along the depth are part of it.", MSA .. ", SD-Trans and adapters",
    "encoder_attention"),
  network("NET-03", "Each encoder block has an MLP, with its adapter.", MSA .. ", adapters", "encoder_mlp",
    "gate"),
  network("NET-04", "The neck gives the image embedding.", SAM .. " appendix A, image encoder", "neck", "upscaling"),
  network("NET-05", "Prompts become tokens, and a mask prompt is added to the embedding.",
    SAM .. " appendix A, prompt encoder", "dense_prompt"),
  network("NET-06", "Tokens attend to each other.", SAM .. " appendix A, mask decoder", "token_self_attention"),
  network("NET-07", "Tokens attend to the image.", SAM .. " appendix A, mask decoder", "token_to_image"),
  network("NET-08", "Tokens pass an MLP, with its adapter.", SAM .. " appendix A, mask decoder", "token_mlp"),
  network("NET-09", "The image attends to the tokens.", SAM .. " appendix A, mask decoder", "image_to_token"),
  network("NET-10", "Perceptrons on tokens give the predicted IoU and each mask's weights.",
    SAM .. " appendix A, mask decoder", "heads"),
  network("NET-11", "Up-scaled image tokens and the masks' weights give logits.", SAM .. " appendix A, mask decoder",
    "masks"),
  network("NET-12", "What the decoder needs of the image alone is made once an encode, with the same bits.",
    "docs/memory.md", "prepare"),
  requirement("IMG-01", "An image of any size is resized and normalised as the checkpoint's program does.",
    "docs/run.md", { files = { "image", "resize", "area", "spline", "bicubic", "nearest", "range", "sample",
      "image_line", "resampled" }, tests = { "run_golden.lua", "c/test_resize.c", "c/test_image.c",
        "c/test_preparation.c" } }),
  requirement("IMG-02", "Logits are enlarged to the image's size and become a mask, bits, or a contour.",
    "docs/run.md", { files = { "upsample", "mask", "bicubic", "contour" },
      tests = { "c/test_mask.c", "c/test_contour.c", "run_golden.lua" } }),
  requirement("PRM-01", "Points, boxes and texts become the tokens of a prompt; what is not allowed is refused.",
    "docs/prompts.md", { files = { "prompt", "places" }, tests = { "c/test_prompt.c", "run_golden.lua" } }),
  requirement("ARI-01", "Every operation is defined to the bit, by one class of arithmetic on all boards.",
    "docs/arithmetic.md", { files = { "kernels", "kernels.h", "simd.h", "arith.h", "int8.h", "bf16.h" },
      tests = { "lua/test_kernels.lua", "lua/test_float64.lua", "c/test_arith.c", "run_boards.lua" } }),
  requirement("API-01", "Calls in any order answer, or refuse with a status and leave the session as documented.",
    "docs/folder.md", { files = { "model", "encoder", "decoder", "internal.h", "model.h", "runtime.h", "msa.h",
      "status" }, tests = API }),
  requirement("API-02", "Weights are checked on opening; damage and other builds' weights are refused.",
    "docs/blob.md", { files = { "check", "crc32c", "weights" },
      tests = { "c/test_check.c", "c/test_crc.c", "run_faults.lua" } }),
  requirement("API-03", "The self-test computes a known answer with the build's functions and weights.",
    "docs/safety.md", { files = { "known_answer" },
      tests = { "run_generated.lua", "lua/test_known_answer.lua", "lua/test_mutants.lua" } }),
  requirement("API-04", "A product follows layers by hooks, and may count a core's cycles.", "docs/boards.md",
    { files = { "hooks", "cycles" }, tests = { "run_generated.lua", "c/test_bare_cycles.c" } }),
  requirement("API-05", "Several cores share the work by a fixed table.", "docs/cores.md",
    { files = { "cores", "threads", "threads.h" }, tests = { "run_cores.lua", "c/test_threads.c" } }),
  requirement("API-06", "Weights may come in pieces through hooks.", "docs/streaming.md",
    { files = { "stream" }, tests = { "run_stream.lua" } }),
  requirement("FRT-01", "A front end turns a probe's or a camera's samples into the network's picture.",
    "docs/ultrasound.md", { files = { "front", "front.h", "fundus", "fundus.h" }, tests = { "run_front.lua" } }),
  requirement("BRD-01", "Start-up code of a board without an operating system prepares memory and float unit.",
    "docs/boards.md", { files = { "start", "memory", "dwt" }, tests = { "run_bare.lua", "c/test_bare_start.c",
      "c/test_bare_cycles.c" } }),
}
