-- SPDX-License-Identifier: Apache-2.0
--- A picture of a frame whose lines are its columns and whose samples its rows, or nearly so: a line for each column, a
-- sample for each row, as numbers with `line_bits` and `sample_bits` behind the point, 32-bit whole numbers; what is
-- not in the rectangle of rows and columns is 0. Bilinear, samples before lines; floor(level + 1/2).
-- Request: width, pixels of the picture; first_row, rows, first_column, columns; lines, samples of the frame; ld from a
-- sample to the next; line_bits, sample_bits. @return the kernel f(frame, picture, lines, samples, row): row has room
-- for ld floats
local requests = require "kernels.requests"

return { request = requests.request(requests.sizes("width", "pixels", "rows", "columns", "lines", "samples", "ld",
    "line_bits", "sample_bits"), { first_row = requests.stride, first_column = requests.stride }),
  fresh = true, lanes = true,
  make = function(K, f)
    f.small = f.samples * f.ld < 1 << 24 -- places are floats
    return K:make("scan_grid", "msa_scan_grid", f, { { "width", "width" }, { "pixels", "pixels" },
      { "first_row", "first_row" }, { "rows", "rows" }, { "first_column", "first_column" }, { "columns", "columns" },
      { "line_count", "lines" }, { "sample_count", "samples" }, { "ld", "ld" } })
  end }
