-- SPDX-License-Identifier: Apache-2.0
--- Points of each lane as power, or as a grey level that is linear in dB. Request: from complex, amplitude or power, of
-- points ldx floats apart; to power or grey, in rows ldz apart; points; gamma: a level from 0 to 1 is raised to it.
-- Grey: w is { levels an octave of power; the level, 0 to 1, of power 2^e; e; gamma ln 2 }.
-- @return the kernel f(x, z, [w])
local requests = require "kernels.requests"
local schema = require "support.schema"

return { request = requests.request({ from = { schema.one_of("complex", "amplitude", "power"), true },
    to = { schema.one_of("power", "grey"), true } }, { points = requests.size, ldx = requests.size,
    ldz = requests.size, gamma = schema.flag }), lanes = true,
  make = function(K, f)
    return K:make("lanes_level", ("msa_%s_of_%s_f32"):format(f.to, f.from), { from = f.from, to = f.to,
      points = f.points, ldx = f.ldx, ldz = f.ldz, gamma = f.gamma or false },
      { { "points", "points" }, { "ldx", "ldx" }, { "ldz", "ldz" } })
  end }
