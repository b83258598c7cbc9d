-- SPDX-License-Identifier: Apache-2.0
--- The known answer of msa_self_test: some layers on a fixed pattern with the build's own weights, computed here by the naive
-- kernels and on the device by the generated ones. Their CRC-32C must agree, since the arithmetic is defined to the bit.
-- Covered: a block of tokens of the first encoder MLP; one whole window of the first windowed attention; attention and MLP
-- of the decoder's first layer. Rows do not depend on each other, so here only some rows of the encoder's are computed.
local activations = require "activations"
local kernels = require "kernels"
local reference -- of the board's class; known.compute sets it

local known = {}

local function find(graph, kind, accept)
  for _, L in ipairs(graph.fused) do
    if L.kind == kind and (not accept or accept(L)) then return L end
  end
end

local function samples(n)
  local list, seen = {}, {}
  for _, i in ipairs { 0, n // 2, n - 1 } do
    if not seen[i] then list[#list + 1] = i end
    seen[i] = true
  end
  return list
end

local function f32_scale(s) return (string.unpack("<f", string.pack("<f", s))) end

local function linear(x, p) return reference.linear(x, p.weight:reshape { p.weight.shape[1], -1 }, p.bias) end

local function adapter(x, op)
  local p = op.params
  return reference.linear(reference[activations.of(op.act, "known answer: act").name](reference.linear(x, p.D_fc1_weight, p.D_fc1_bias)), p.D_fc2_weight, p.D_fc2_bias)
end

local function mlp_answer(L, crc)
  local rows, C = L.env.rows, L.env.C
  local norm, extra = L:op "layernorm", L:op "adapter"
  for _, i in ipairs(samples(rows)) do
    local x = reference.pattern(i * C, 1, C)
    local n = reference.layernorm(x, norm.params.weight, norm.params.bias, norm.eps)
    local y = linear(reference.gelu(linear(n, L:op("linear", 1).params)), L:op("linear", 2).params)
    if extra then y = reference.add(y, adapter(n, extra), f32_scale(L:op("add", 1).scale)) end
    crc = reference.crc32c(crc, reference.add(x, y))
  end
  return crc
end

-- Places of the sampled tokens in a window: they are tokens of the layer's first block as well.
local function window_samples(L)
  local side, grid = L.env.side, L.env.grid
  local rows = math.max(1, math.min(side, L.env.rows // grid))
  local columns = math.min(side, L.env.rows)
  local list, seen = {}, {}
  for _, place in ipairs { { 0, 0 }, { rows - 1, columns // 2 }, { rows - 1, columns - 1 } } do
    local i = place[1] * side + place[2]
    if not seen[i] then list[#list + 1] = { i = i, token = place[1] * grid + place[2] } end
    seen[i] = true
  end
  return list
end

local function window_answer(L, crc)
  local op, norm, extra = L:op "grid_attention", L:op "layernorm", L:op "adapter"
  local C, side = L.env.C, op.side
  local count = side * side
  local n = reference.layernorm(reference.pattern(0, count, C), norm.params.weight, norm.params.bias, norm.eps)
  local w, b = op.params.weight, op.params.bias
  local function part(x, i) return reference.linear(x, w:slice(1, i * C, C), b and b:slice(1, i * C, C)) end
  local k, v = part(n, 1), part(n, 2)
  for _, place in ipairs(window_samples(L)) do
    local i = place.i
    local x = reference.pattern(i * C, 1, C)
    local o = reference.attention(part(n:slice(1, i, 1), 0), k, v, { heads = op.heads, tile = kernels.key_tile(count, side), count = count, side = side, place = { i },
      rel_h = op.params.rel_pos_h, rel_w = op.params.rel_pos_w })
    local y = linear(o, L:op("linear").params)
    if extra then y = reference.add(y, adapter(y, extra)) end
    crc = reference.crc32c(crc, reference.add(x, y))
  end
  return crc
end

local function token_answer(self, mlp, crc)
  local rows, E = self.env.rows, self.env.E
  local op, norm = self:op "attention", self:op "layernorm"
  local p = op.params
  local x = reference.pattern(0, rows, E)
  local q, k, v = reference.linear(x, p.q_weight, p.q_bias), reference.linear(x, p.k_weight, p.k_bias), reference.linear(x, p.v_weight, p.v_bias)
  local o = reference.attention(q, k, v, { heads = op.heads, tile = kernels.key_tile(rows), count = rows })
  local y = reference.linear(o, p.out_weight, p.out_bias)
  if self.env.residual then y = reference.add(x, y) end
  x = reference.layernorm(y, norm.params.weight, norm.params.bias, norm.eps)
  norm = mlp:op "layernorm"
  y = linear(reference.relu(linear(x, mlp:op("linear", 1).params)), mlp:op("linear", 2).params)
  if mlp:op "adapter" then y = reference.add(y, adapter(x, mlp:op "adapter"), f32_scale(mlp:op("add", 1).scale)) end
  x = reference.layernorm(reference.add(x, y), norm.params.weight, norm.params.bias, norm.eps)
  return reference.crc32c(crc, x)
end

local function parts(graph)
  return { mlp = find(graph, "encoder_mlp"), window = find(graph, "encoder_attention", function(L) return L.env.whole_window ~= nil end),
    self = find(graph, "token_self_attention"), token_mlp = find(graph, "token_mlp") }
end

--- @return the layers that take part: mlp, window (or nil), self, token_mlp; samples(n); crcs, the expected CRC-32C of each bank
function known.compute(build)
  reference = require "msagen.reference".of(build.board.arithmetic)
  local answer = parts(build.graph)
  answer.samples, answer.window_samples, answer.crcs = samples, window_samples, {}
  for i, bank in ipairs(build.banks) do
    local p = parts(bank.graph)
    local crc = mlp_answer(p.mlp, 0)
    if p.window then crc = window_answer(p.window, crc) end
    answer.crcs[i] = ("0x%08xu"):format(token_answer(p.self, p.token_mlp, crc))
  end
  return answer
end

return known
