-- SPDX-License-Identifier: Apache-2.0
--- A picture of a frame by a place in it for each pixel: runs of neighbouring pixels, each { first pixel, how many },
-- and for each of their pixels, run after run, line and sample as numbers with `line_bits` and `sample_bits` behind the
-- point, all 32-bit whole numbers; pixels in no run are 0. Bilinear, samples before lines; floor(level + 1/2).
-- Request: runs; pixels of the picture; lines, samples of the frame; ld from a sample to the next; line_bits,
-- sample_bits. @return the kernel f(frame, picture, runs, lines, samples)
local requests = require "kernels.requests"

return { request = requests.sizes("runs", "pixels", "lines", "samples", "ld", "line_bits", "sample_bits"),
  fresh = true, lanes = true,
  make = function(K, f)
    f.small = f.samples * f.ld < 1 << 24 -- places are floats
    return K:make("scan_runs", "msa_scan_runs", f, { { "runs", "runs" }, { "pixels", "pixels" },
      { "line_count", "lines" }, { "sample_count", "samples" }, { "ld", "ld" } })
  end }
