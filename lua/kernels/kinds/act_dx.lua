-- SPDX-License-Identifier: Apache-2.0
--- The gradient of an activation by its input: z = dy f'(x). Request: f, an activation that has one; rows of C; ldx,
-- ldy (of dy), ldz. @return the kernel f(dy, x, z); z may be dy or x. Padding of rows comes from padding.
local activations = require "graph.activations"
local requests = require "kernels.requests"
local schema = require "support.schema"

local request = requests.sizes("rows", "C", "ldx", "ldy", "ldz")
local differentiable = {}
for _, name in ipairs(activations.computed) do
  if activations.entries[name].gradient then differentiable[#differentiable + 1] = name end
end
request.f = { schema.one_of(table.unpack(differentiable)), true }

return { request = request, fresh = true, lanes = true,
  make = function(K, f)
    local entry, lanes = activations.entries[f.f], K.isa.flushes ~= nil
    local name = (lanes and entry.scalar or entry.vector) .. "_dx"
    return K:make("act_dx", ("msa_%s_dx_f32"):format(f.f), { act = f.f, formula = entry.formula, call = name,
      derivative = lanes and entry.gradient_steps:scalar(name) or entry.gradient_steps:vector(name), rows = f.rows,
      width = K.round16(f.C), ldx = f.ldx, ldy = f.ldy, ldz = f.ldz }, { { "rows", "rows" }, { "width", "width" },
      { "ldx", "ldx" }, { "ldy", "ldy" }, { "ldz", "ldz" } })
  end,
  cycles = function(core, f)
    local cost = activations.entries[f.act].gradient_steps:cost()
    return 0, core:vectors(f.rows * f.width, cost.instructions + 1, 2, 1, cost.divisions), 0
  end }
