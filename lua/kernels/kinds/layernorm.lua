-- SPDX-License-Identifier: Apache-2.0
--- Layer norm of rows. Request: rows of C; ldx, ldy; eps; moments, what becomes of each row's mean and 1 / deviation:
-- kept (and no y made) or given, two floats a row.
-- @return the kernel f(x, gamma_beta, y), f(x, moments) or f(x, gamma_beta, moments, y); beta lies C rounded up to 16
-- behind gamma
local requests = require "kernels.requests"
local schema = require "support.schema"

local request = requests.sizes("rows", "C", "ldx", "ldy")
request.eps = { schema.number, true }
request.moments = { schema.one_of("kept", "given") }

-- Passes over a row: of NORM instructions an element all take, of its loads, and of stores.
local PASSES = { all = { 1, 3, 1 }, kept = { 0.5, 2, 0 }, given = { 0.5, 3, 1 } }

return { request = request, fresh = true,
  make = function(K, f)
    local words = { kept = "msa_moments_f32_%d", given = "msa_normed_f32_%d" }
    return K:make("layernorm", (words[f.moments] or "msa_layernorm_f32_%d"):format(f.C), { rows = f.rows, C = f.C,
      ldx = f.ldx, ldy = f.ldy, gap = K.round16(f.C), eps = K.literal(f.eps), moments = f.moments or false },
      { { "rows", "rows" }, { "ldx", "ldx" }, { f.moments ~= "kept" and "ldy", "ldy" },
        { f.moments ~= "given" and "eps", "eps" } })
  end,
  cycles = function(core, f)
    local work, loads, stores = table.unpack(PASSES[f.moments or "all"])
    return 0, core:vectors(f.rows * f.gap, work * core.NORM, loads, stores)
      + (f.moments == "given" and 0 or f.rows * core.ROW), 0
  end }
