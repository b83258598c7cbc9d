-- SPDX-License-Identifier: Apache-2.0
--- Operations of the layers that known answers take apart, by the naive kernels of gen/reference.c.

local interpret = {}

local function f32(s) return (string.unpack("<f", string.pack("<f", s))) end

--- A linear map, of whatever shape its weight is stored in.
function interpret.linear(R, x, p) return R.linear(x, p.weight:reshape { p.weight.shape[1], -1 }, p.bias) end

--- An adapter's two maps with its activation between them; what it is added to is the caller's.
function interpret.adapter(R, x, op)
  local p = op.params
  return R.linear(R[op.act](R.linear(x, p.D_fc1_weight, p.D_fc1_bias)), p.D_fc2_weight, p.D_fc2_bias)
end

--- x + s y in one multiply-add, or x + y where there is no scale.
function interpret.add(R, x, y, scale) return R.add(x, y, scale and f32(scale)) end

--- Nine products on shifted rows, each a sum of its own; x has the neighbours of one place, row by row, a row of zeros
-- where there is none.
-- @return [1,outputs]
function interpret.conv3x3(R, x, weight)
  local cout, cin, y = weight.shape[1], weight.shape[2], nil
  for tap = 0, 8 do
    local one = R.linear(R.rows(x, { tap }), weight:slice(3, tap // 3, 1):slice(4, tap % 3, 1):reshape { cout, cin })
    y = y and R.add(y, one) or one
  end
  return y
end

return interpret
