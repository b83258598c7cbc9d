-- SPDX-License-Identifier: Apache-2.0
--- The activations, an entry each; whoever emits, counts, costs or computes one reads it here, and refuses a name that
-- has no entry.
--   vector       operation of msa_simd.h that does it to a vector
--   in_registers whether a tile of a product does it before it stores: those that need more registers take the stored
-- result once more
--   exact        field of msa_tile_shape that asks the scalar tile for it, where vectors flush subnormals; nil where
-- the tile does not do it
--   counted      what it is called among counted operations
--   arithmetic   multiplications and multiply-adds in a product's epilogue, a vector; divisions: likewise
--   instructions of an element-wise pass, beside load, store and divisions, a vector
--   code         instructions of its inline function
-- The naive kernel that it is held against is msagen.reference's function of the same name; operations of a graph have
-- its name, too.
local closed = require "support.closed"

local activations = {
  none = { in_registers = true, arithmetic = 0, divisions = 0, instructions = 0, code = 0 },
  relu = { vector = "msa_vrelu", in_registers = true, exact = "relu", counted = "relu", arithmetic = 0, divisions = 0,
    instructions = 1, code = 1 },
  gelu = { vector = "msa_vgelu", in_registers = false, counted = "gelu", arithmetic = 22, divisions = 1,
    instructions = 28, code = 33 },
}

local all = {}
for name, entry in pairs(activations) do
  entry.name = name
  all[#all + 1] = name
end
table.sort(all)

local computed = {}
for _, name in ipairs(all) do
  if name ~= "none" then computed[#computed + 1] = name end
end

return {
  names = all,         -- "none" among them
  computed = computed, -- those that compute something
  entries = activations,
  --- The entry of a name; a refusal that begins with `where` for what is none.
  of = function(name, where) return activations[closed.member(name, all, where)] end,
}
