-- SPDX-License-Identifier: Apache-2.0
--- Persistence: what is kept of the frames before becomes keep z + (1 - keep) x. Request: rows, C columns, ld of both;
-- keep from 0 to 1, C's text. @return the kernel f(x, z, first): the first frame is kept whole
local requests = require "kernels.requests"
local schema = require "support.schema"

return { request = requests.request(requests.sizes("rows", "C", "ld"), { keep = schema.number }), lanes = true,
  make = function(K, f)
    return K:make("frame_persist", "msa_frame_persist_f32", { rows = f.rows, C = f.C, ld = f.ld,
      share = ("%a"):format(string.unpack("f", string.pack("f", 1 - f.keep))) .. "f" },
      { { "rows", "rows" }, { "columns", "C" }, { "ld", "ld" } })
  end }
