-- SPDX-License-Identifier: Apache-2.0
--- Attention of rows that are there whole: to o, set by set and head by head.

local group = require "lower.group"
local kernels = require "kernels.kernels"
local layers = require "lower.layer"
local order = require "lower.plain.order"
local sets = require "lower.plain.sets"

local input, round16, stride = group.input, kernels.round16, kernels.stride

local attention = {}

local TILE = 128 -- queries of a tile, at most: whole rows of a window

-- A head's columns of some rows. What lies beside them is another head's, or other memory that another core may be
-- writing: it is not read where vectors are wider than a head.
local function queries(body, K, from, to, shape)
  if shape.C % 16 == 0 then return body:call(K:rows("scaled", shape), from, to) end
  body:each({ variable = "row", to = shape.rows }, function(inner, row)
    inner:copy(to + row * shape.ldz, from + row * shape.ldx, shape.C)
  end)
end

-- The proc of one kind of sets: heads from `head` on, before `end`.
local function proc_of(lower, s, kind, lds, tables)
  local K, step, d, dpad = lower.K, lower.step, s.d, s.dpad
  local height, width, keys, pool = kind.height, kind.width, s:keys_of(kind), step:pool(true)
  local qr = layers.divisor(height, width, TILE)
  local along = height == 1 and not s.op.grid and layers.divisor(width, 1, TILE) or width
  local M, rel, pads = qr * along, tables ~= nil, s:padded(kind)
  local row = s.op.grid and width or nil
  local packed = K:keys { keys = keys, row = row, d = d }
  local kp, vp, q = pool:take("kp", packed.k), pool:take("vp", packed.v), pool:take("q", M * dpad, dpad)
  local ldr = stride(math.max(s.side_w, s.side_h, width + round16(s.side_w - width)))
  local attend, sizes = K:attend { M = M, keys = keys, row = row, d = d, ldq = dpad, ldo = lds.o,
    counted = s.counted or nil,
    out_row = s.op.grid and width < s.grid_w and { n = width, ld = s.grid_w * lds.o } or nil,
    rel = rel and { n = width, ld = ldr } or nil, pad = pads and { side = s.side_h, height = height, width = width }
    or nil }
  local rh, rw = rel and pool:take("rh", M * ldr, ldr), rel and pool:take("rw", M * ldr, ldr)
  local logits, acc, stat = pool:take("logits", sizes.s), pool:take("acc", sizes.o), pool:take("stat", sizes.stat)
  local base = s.op.grid and ("msa_attend_%dx%d_of_%d"):format(height, width, s.side_h)
    or ("msa_attend_%d_to_%d"):format(width, keys)
  return step:proc(base, ("o = attention of %d queries to %d keys, for some heads of %d."):format(height * width, keys,
    d), function(proc, body)
    local from = {}
    for _, name in ipairs { "q", "k", "v" } do from[name] = proc:pointer(name .. "_rows", lower.like(lds[name])) end
    local k_pad = pads and proc:pointer("k_pad", lower.like(1))
    local v_pad = pads and proc:pointer("v_pad", lower.like(1))
    local t = rel and { proc:pointer("rows_table", lower.like(1)), proc:pointer("columns_table", lower.like(1)) }
    local to = proc:pointer("o", lower.like(lds.o))
    local products = rel and sets.relative.on(K, t, s.side_h, s.side_w, d, dpad)
    local first, last = proc:number "head", proc:number "end"
    local count = s.counted and proc:number "count"
    body:each({ variable = "h", from = first, to = last }, function(head, h)
      local rows, per = s.op.grid and height or 1, s.op.grid and width or keys
      head:each({ variable = "y", to = rows }, function(inner, y)
        inner:call(packed.place { count = per, k_stride = lds.k, v_stride = lds.v }, y * per,
          from.k + y * (s.grid_w * lds.k) + h * d, from.v + y * (s.grid_w * lds.v) + h * d, kp, vp)
      end)
      head:each({ variable = "y", to = height, by = qr }, function(by_rows, y)
        by_rows:each({ variable = "x", to = width, by = along }, function(inner, x)
          inner:each({ variable = "r", to = qr }, function(each, r)
            queries(each, K, from.q + (y + r) * (s.grid_w * lds.q) + x * lds.q + h * d, q + r * (along * dpad),
              { rows = along, C = d, ldx = lds.q, ldz = dpad, s = 1 })
          end)
          if rel then products:products(inner, q, rh, rw, y, qr, width) end
          inner:call(K:rows("scale", { rows = M, C = d, ldx = dpad, s = 1 / math.sqrt(d) }), q)
          local arguments = { q, kp, vp }
          if rel then table.move({ rh, rw }, 1, 2, 4, arguments) end
          if pads then table.move({ k_pad + h * d, v_pad + h * d }, 1, 2, #arguments + 1, arguments) end
          table.move({ logits, acc, stat, to + y * (s.grid_w * lds.o) + x * lds.o + h * d }, 1, 4, #arguments + 1,
            arguments)
          if count then arguments[#arguments + 1] = count end
          inner:call(attend, table.unpack(arguments))
        end)
      end)
    end)
  end)
end

function attention.attention(lower, op)
  local s = sets.of(lower, op)
  local tables = s:tables()
  local view = {}
  for _, role in ipairs { "q", "k", "v" } do view[role] = lower:read(input(op, role)) end
  view.o = lower:written(op)
  local lds, pads = {}, {}
  for name, one in pairs(view) do lds[name] = one:ld() end
  for _, role in ipairs { "k_pad", "v_pad" } do
    pads[role] = input(op, role) and lower.values:vector(input(op, role))
  end
  for _, kind in ipairs(s.kinds) do kind.proc = proc_of(lower, s, kind, lds, tables) end
  local list = { lds.q, lds.k, lds.v, lds.o }
  s:units(list, function(kind, body, at, head, last)
    local arguments = { view.q + at[1], view.k + at[2], view.v + at[3] }
    if s:padded(kind) then table.move({ pads.k_pad, pads.v_pad }, 1, 2, 4, arguments) end
    if tables then table.move(tables, 1, 2, #arguments + 1, arguments) end
    table.move({ view.o + at[4], head, last, s.counted and sets.COUNT or nil }, 1, 4, #arguments + 1, arguments)
    body:run(kind.proc, table.unpack(arguments))
  end)
end

attention.input, attention.order = input, order

return attention
