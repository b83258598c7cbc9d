-- SPDX-License-Identifier: Apache-2.0
--- A finite symmetric filter along the points of each lane: y[i] = sum of w[j] x[i + j]. Request: points of y; taps,
-- an odd number.
-- @return the kernel f(x, y, w): x has taps - 1 points more than y; of w the first half and the middle are read
local requests = require "kernels.requests"

return { request = requests.sizes("points", "taps"), fresh = true, lanes = true,
  make = function(K, f)
    -- Sums that are in registers at a time, beside a tap and a point.
    local most = K.isa.flushes and 4 or (K.board.registers or K.isa.registers) >= 32 and 12 or 6
    return K:make("lanes_fir", "msa_lanes_fir_f32", { points = f.points, taps = f.taps, sums = most },
      { { "points", "points" }, { "taps", "taps" } })
  end }
