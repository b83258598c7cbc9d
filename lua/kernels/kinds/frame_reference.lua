-- SPDX-License-Identifier: Apache-2.0
--- What lanes_level takes as w where the largest power of a frame is its reference. Request: rows, C columns, ldx;
-- full: the highest level. @return the kernel f(x, w, z): z as lanes_level's w, of which w[0] and w[3] are w's
local requests = require "kernels.requests"
local schema = require "support.schema"

return { request = requests.request(requests.sizes("rows", "C", "ldx"), { full = schema.number }), fresh = true,
  lanes = true,
  make = function(K, f)
    return K:make("frame_reference", "msa_frame_reference", { rows = f.rows, C = f.C, ldx = f.ldx,
      full = ("%.1ff"):format(f.full or 255) }, { { "rows", "rows" }, { "columns", "C" }, { "ldx", "ldx" } })
  end }
