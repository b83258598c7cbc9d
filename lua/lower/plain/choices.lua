-- SPDX-License-Identifier: Apache-2.0
--- Rows that are chosen at run time (lua/graph/ops/choices.lua).

local group = require "lower.group"
local order = require "lower.plain.order"

local input = group.input

local choices = {}

--- Rows that an index says.
function choices.pick(lower, op)
  local x, index, to = lower:read(input(op, "x")), lower:read(input(op, "index")), lower:written(op)
  lower:stage("zero", function(body)
    body:c({ x, index, to }, {}, function(text)
      return ([==[
for (size_t i = 0; i < %d; ++i) {
    const float *const row = %s + (size_t)%s[i * %d] * %d;
    for (size_t c = 0; c < %d; ++c) {
        %s[i * %d + c] = row[c];
    }
}]==]):format(order.rows(op), text:pointer(x), text:pointer(index), index:ld(), x:ld(), order.width(op),
        text:pointer(to), to:ld())
    end)
  end)
end

--- A sum of two, each times its share.
function choices.mix(lower, op)
  local x, y, shares = lower:read(input(op, "x")), lower:read(input(op, "y")), lower:read(input(op, "shares"))
  local to = lower:written(op)
  lower:stage("zero", function(body)
    body:c({ x, y, shares, to }, {}, function(text)
      return ([==[
for (size_t i = 0; i < %d; ++i) {
    for (size_t c = 0; c < %d; ++c) {
        const float own = %s[i * %d + c] * %s[0], other = %s[i * %d + c] * %s[1];
        %s[i * %d + c] = own + other;
    }
}]==]):format(order.rows(op), order.width(op), text:pointer(x), x:ld(), text:pointer(shares), text:pointer(y), y:ld(),
        text:pointer(shares), text:pointer(to), to:ld())
    end)
  end)
end

--- Each number times the first share.
function choices.weigh(lower, op)
  local x, shares, to = lower:read(input(op, "x")), lower:read(input(op, "shares")), lower:written(op)
  lower:stage("zero", function(body)
    body:c({ x, shares, to }, {}, function(text)
      return ([==[
for (size_t i = 0; i < %d; ++i) {
    for (size_t c = 0; c < %d; ++c) {
        %s[i * %d + c] = %s[i * %d + c] * %s[0];
    }
}]==]):format(order.rows(op), order.width(op), text:pointer(to), to:ld(), text:pointer(x), x:ld(),
        text:pointer(shares))
    end)
  end)
end

return choices
