-- SPDX-License-Identifier: Apache-2.0
--- Rows of a sensor with a Bayer pattern to rows of a picture, red, green, blue, as they come. Request: width, height;
-- pattern, the colours of the first two rows; demosaic; type of a sample; curve.
-- @return the kernel f(samples, picture, ring, rows, w, row): row `row` of the sensor has come; written are the rows
-- whose neighbours are there. ring, which lasts from row to row, and rows: `room`; w is { black, a number a colour of a
-- sample above it, 3 x 3 to the picture's colours }
local requests = require "kernels.requests"
local samples = require "signal.samples"
local schema = require "support.schema"

local function stride(width) return (width + 4 + 31) // 16 * 16 end

local COLOUR = { R = 0, G = 1, B = 2 }

-- Of a row of the pattern: the colours of its columns, which of them is green, the other one, and the one that only the
-- rows beside it have.
local function row_of(pattern, parity)
  local colours = { COLOUR[pattern:sub(2 * parity + 1, 2 * parity + 1)], COLOUR[pattern:sub(2 * parity + 2,
    2 * parity + 2)] }
  local own = colours[1] == 1 and colours[2] or colours[1]
  return { colours = colours, green = colours[1] == 1 and 0 or 1, own = own, other = 2 - own }
end

return { request = requests.request(requests.sizes("width", "height"), {
    pattern = schema.one_of("RGGB", "BGGR", "GRBG", "GBRG"), demosaic = schema.one_of("bilinear", "malvar"),
    type = schema.one_of("uint16", "uint8"), curve = schema.one_of("srgb", "linear") }), lanes = true,
  make = function(K, f)
    return K:make("bayer_rows", "msa_bayer_" .. f.demosaic, { width = f.width, height = f.height, pattern = f.pattern,
      demosaic = f.demosaic, type = f.type, curve = f.curve, value = samples.of[f.type].value,
      stride = stride(f.width), row_of = row_of }, {})
  end, room = { ring = function(width) return 5 * stride(width) end,
    rows = function(width) return 3 * stride(width) end } }
