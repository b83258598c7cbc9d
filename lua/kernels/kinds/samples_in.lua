-- SPDX-License-Identifier: Apache-2.0
--- Lines of samples to lanes: number c of line l becomes lane l of vector c, times its gain where one is asked for.
-- Lanes without a line get what the last line has. Request: type of a sample (lua/signal/samples.lua), C of a line;
-- gain. @return the kernel f(x, z, [w,] lines, bytes from a line to the next), lines at most the lanes of a vector
local requests = require "kernels.requests"
local samples = require "signal.samples"
local schema = require "support.schema"

return { request = requests.request({ type = { schema.one_of(table.unpack(samples.names)), true },
    C = { requests.size, true } }, { gain = schema.flag }), fresh = true, lanes = true,
  make = function(K, f)
    return K:make("samples_in", ("msa_%s_in"):format(f.type), { C = f.C, type = f.type, gain = f.gain or false,
      value = samples.of[f.type].value }, { { "columns", "C" } })
  end }
