-- SPDX-License-Identifier: Apache-2.0
--- The operations that a graph may hold (docs/compiler.md says what each computes): of each kind the roles of its
-- tensors and its attributes. A closed
-- set: an operation, role or attribute that nobody would read is refused instead.
local activations = require "activations"
local closed = require "closed"
local fail = require "fail"
local preparation = require "import.preparation"
local schema = require "schema"

local whole, flag, number, one_of = schema.whole(0, math.maxinteger), schema.flag, schema.number, schema.one_of
local side = one_of("tokens", "image")
local act = { one_of(table.unpack(activations.computed)), true }

local function roles(text)
  local list = {}
  for role in text:gmatch "%S+" do list[#list + 1] = role end
  return list
end

local affine = roles "weight bias"
local down_up = roles "D_fc1_weight D_fc1_bias D_fc2_weight D_fc2_bias"

local operations = {
  patch_embed = { affine, { patch = { whole, true }, resize = {
    one_of(table.unpack(closed.sorted(preparation.resizes))), true }, normalise = { schema.table, true } } },
  add_table = { roles "table", {} },
  layernorm = { affine, { eps = { number, true } } },
  window = { roles "pad", { size = { whole, true }, pad = { one_of("zero", "norm1_bias"), true } } },
  unwindow = { {}, { size = { whole, true } } },
  grid_attention = { roles "weight bias rel_pos_h rel_pos_w", { heads = { whole, true }, side = { whole, true },
    block = { whole, true } } },
  depth_attention = { down_up, { act = act, windows = { whole, true }, side = { whole, true }, length = { whole,
    true } } },
  linear = { affine, {} },
  adapter = { down_up, { act = act, skip = { flag, true } } },
  add = { {}, { scale = { number } } },
  conv3x3 = { roles "weight", {} },
  add_dense_prompt = { roles "0.weight 0.bias 1.weight 1.bias 3.weight 3.bias 4.weight 4.bias 6.weight 6.bias no_mask",
    { eps = { number, true } } },
  attention = { roles "q_weight q_bias k_weight k_bias v_weight v_bias out_weight out_bias",
    { heads = { whole, true }, from = { side, true }, to = { side, true }, query_position = { flag, true },
      key_position = { flag, true } } },
  prompt_adapter = { roles "D_fc1_weight D_fc1_bias D_fcp_weight D_fcp_bias D_fc2_weight D_fc2_bias", {} },
  token_heads = { roles "%d_%d_weight %d_%d_bias iou_%d_weight iou_%d_bias", { hyper = { schema.table, true }, iou = {
    schema.table, true } } },
  conv_transpose2x2 = { affine, {} },
  mask_product = { {}, {} },
}
for _, name in ipairs(activations.computed) do operations[name] = { {}, {} } end

local names = closed.sorted(operations)
local OWN = { kind = true, layer = true, inputs = true, outputs = true, params = true }

local function plain(role) return (role:gsub("%d+", "%%d")) end

local function of(kind, where) return operations[kind] or closed.member(kind, names, where) end

return {
  table = operations,
  --- An operation's roles and attributes; a refusal that begins with `where` for what is none.
  of = of,
  --- Refuse an operation of unknown kind, or with a role or an attribute that its kind has not.
  check = function(op)
    local where = ("graph: layer %s: %s"):format(op.layer, tostring(op.kind))
    local known, attributes = of(op.kind, ("graph: layer %s"):format(op.layer)), {}
    for role, tensor in pairs(op.params) do
      local fits = false
      for _, one in ipairs(known[1]) do fits = fits or one == role or one == plain(role) end
      if not fits then
        fail("%s: expected tensors %s, found %s for %s%s", where, #known[1] > 0 and closed.list(known[1]) or "none",
          role, tensor.name, closed.hint(role, known[1]))
      end
    end
    for key, value in pairs(op) do
      if not OWN[key] then attributes[key] = value end
    end
    schema.check(attributes, known[2], where)
  end,
}
