-- SPDX-License-Identifier: Apache-2.0
--- Gradients of an attention, set by set and head by head (docs/arithmetic.md). What a head has of a set is gathered
-- first, so that products find rows and panels; weights of 64 queries at a time are there twice: as p, and as ds.

local group = require "lower.group"
local kernels = require "kernels.kernels"
local order = require "lower.plain.order"
local sets = require "lower.plain.sets"
local sums = require "lower.plain.sums"

local input, round16, stride = group.input, kernels.round16, kernels.stride

local gradients = {}

local BLOCK = sums.BLOCK

-- Sizes and scratch of a kind's proc.
local function room_of(lower, s, kind, rel)
  local padded = s:padded(kind)
  local n = { T = kind.height * kind.width, D = s.dpad, d = s.d, padded = padded,
    kh = padded and s.side_h or kind.height, kw = padded and s.side_w or kind.width }
  if s.op.grid then n.keys = n.kh * n.kw else n.keys, n.kh, n.kw = s.keys, 1, s.keys end
  n.M = math.min(BLOCK, n.T)
  n.lds = stride(math.max(round16(n.keys), (n.kh - 1) * n.kw + round16(n.kw)))
  n.ldt, n.ldr = stride(n.M), stride(math.max(n.kh, n.kw) + 16)
  local pool = lower.step:pool(true)
  local function take(name, rows, ld) n[name] = pool:take(name, rows * ld, ld) end
  for _, name in ipairs { "qs", "dout", "dq" } do take(name, n.T, n.D) end
  for _, name in ipairs { "keys_rows", "values_rows", "dk", "dv" } do take(name, n.keys, n.D) end
  for _, name in ipairs { "kp", "vp" } do take(name, round16(n.keys), n.d) end
  take("p", n.M, n.lds)
  take("ds", n.M, n.lds)
  take("turned", n.keys, n.ldt)
  if rel then
    for _, name in ipairs { "rh", "rw", "drh", "drw" } do take(name, n.T, n.ldr) end
    take("qu", n.T, n.D)
  end
  return n
end

-- The rows of a set's head, gathered.
local function gather(lower, s, kind, n, body, from, h, lds)
  local K = lower.K
  local function rows(role, to, fields, pad)
    fields.height, fields.width, fields.d, fields.ldx = kind.height, kind.width, s.d, lds[role]
    fields.ld_row, fields.ldz = s.grid_w * lds[role], n.D
    if not s.op.grid and (role == "k" or role == "v") then fields.width = s.keys end
    if pad then
      fields.side_h, fields.side_w = s.side_h, s.side_w
      return body:call(K:set_rows(fields), from[role] + h * s.d, pad + h * s.d, to)
    end
    if fields.both then return body:call(K:set_rows(fields), from[role] + h * s.d, n.qu, to) end
    body:call(K:set_rows(fields), from[role] + h * s.d, to)
  end
  rows("q", n.qs, { s = 1 / math.sqrt(s.d), both = n.rh ~= nil or nil })
  rows("dout", n.dout, {})
  rows("k", n.keys_rows, {}, n.padded and from.k_pad)
  rows("v", n.values_rows, {}, n.padded and from.v_pad)
  body:call(K:rows_to_panels { rows = n.keys, d = s.d, ldx = n.D }, n.keys_rows, n.kp)
  body:call(K:rows_to_panels { rows = n.keys, d = s.d, ldx = n.D }, n.values_rows, n.vp)
end

-- A block of queries, `first` the first of them: dq, and its part of dk and dv.
local function block(lower, s, n, body, first, M, begins, count)
  local K = lower.K
  local function at(name) return n[name]:row(first) end
  local function call(kernel, ...)
    local arguments = { ... }
    if s.counted then arguments[#arguments + 1] = count end
    body:call(kernel, table.unpack(arguments))
  end
  if n.rh then
    body:call(K:relative_fill { M = M, side_h = n.kh, side_w = n.kw, ldr = n.ldr, lds = n.lds }, at "rh", at "rw", n.p)
  end
  body:call(K:gemm { M = M, N = n.keys, K = n.d, lda = n.D, ldc = n.lds, init = n.rh and "keep" or "zero" }, at "qs",
    n.kp, n.p)
  call(K:softmax_rows { M = M, keys = n.keys, ld = n.lds, counted = s.counted or nil }, n.p)
  body:call(K:gemm { M = M, N = n.keys, K = n.d, lda = n.D, ldc = n.lds }, at "dout", n.vp, n.ds)
  call(K:softmax_dx { M = M, keys = n.keys, ldp = n.lds, ldd = n.lds, counted = s.counted or nil }, n.p, n.ds)
  for _, one in ipairs { { n.p, "dout", n.dv }, { n.ds, "qs", n.dk } } do
    body:call(K:transpose_rows { rows = M, C = n.keys, ldx = n.lds, ldz = n.ldt }, one[1], n.turned)
    body:call(K:gemm { M = n.keys, N = n.d, K = M, lda = n.ldt, ldb = n.D, bps = 16, ldc = n.D,
      residual = not begins or nil }, n.turned, at(one[2]), one[3])
  end
  body:call(K:gemm { M = M, N = n.d, K = n.keys, lda = n.lds, ldb = n.D, bps = 16, ldc = n.D }, n.ds, n.keys_rows,
    at "dq")
  body:call(K:rows("scale", { rows = M, C = n.d, ldx = n.D, s = 1 / math.sqrt(n.d) }), at "dq")
  if n.rh then
    body:call(K:relative_sums { M = M, side_h = n.kh, side_w = n.kw, lds = n.lds, ldr = n.ldr }, n.ds, at "drh",
      at "drw")
  end
end

-- Results to where they belong.
local function hand_out(lower, s, kind, n, body, to, h, lds, wants)
  local K = lower.K
  local function back(view, name, width)
    body:call(K:set_rows_back { height = kind.height, width = width or kind.width, d = s.d, ldx = lds.to,
      ld_row = s.grid_w * lds.to, ldz = n.D, side_w = s.op.grid and name ~= "dq" and n.kw or nil }, view,
      to[name] + h * s.d)
  end
  back(n.dq, "dq")
  back(n.dk, "dk", not s.op.grid and s.keys)
  back(n.dv, "dv", not s.op.grid and s.keys)
  if wants.pads and n.padded then
    for _, one in ipairs { { n.dk, to.k_sum }, { n.dv, to.v_sum } } do
      body:call(K:pad_sum { height = kind.height, width = kind.width, side_h = s.side_h, side_w = s.side_w, d = s.d,
        ldz = n.D }, one[1], one[2] + h * n.D)
    end
  end
end

local function relative(lower, s, kind, n, body, from, to, h, wants)
  local K, tables = lower.K, sets.relative
  local fields = { rows = kind.height, width = kind.width, side_h = s.side_h, side_w = s.side_w, d = s.d, ldr = n.ldr }
  assert(n.kh == s.side_h and n.kw == s.side_w, "relative positions of whole windows")
  fields.ldz = n.D
  body:call(K:relative_dq(fields), n.drh, n.drw, from.rows_turned, from.columns_turned, n.dq, 0)
  if wants.rel then
    fields.ldz, fields.ldq = nil, n.D
    body:call(K:relative_drel(fields), n.qu, n.drh, n.drw, to.h_sum + h * ((2 * s.side_h - 1) * n.D),
      to.w_sum + h * ((2 * s.side_w - 1) * n.D), 0)
  end
  return tables
end

-- What a proc is given, in order: names, and rows' distances.
local function given_of(s, kind, lds, rel, wants)
  local list = { { "q", lds.q }, { "k", lds.k }, { "v", lds.v }, { "dout", lds.dout } }
  local function add(names)
    for _, name in ipairs(names) do list[#list + 1] = { name, 1 } end
  end
  if s:padded(kind) then add { "k_pad", "v_pad" } end
  if rel then add { "rows_table", "columns_table", "rows_turned", "columns_turned" } end
  local written = { { "dq", lds.to }, { "dk", lds.to }, { "dv", lds.to } }
  table.move(written, 1, 3, #list + 1, list)
  if wants.pads and s:padded(kind) then add { "k_sum", "v_sum" } end
  if wants.rel then add { "h_sum", "w_sum" } end
  return list
end

local function proc_of(lower, s, kind, lds, rel, wants)
  local n = room_of(lower, s, kind, rel)
  local given = given_of(s, kind, lds, rel, wants)
  local base = s.op.grid and ("msa_attend_dx_%dx%d_of_%d"):format(kind.height, kind.width, s.side_h)
    or ("msa_attend_dx_%d_to_%d"):format(n.T, n.keys)
  return lower.step:proc(base, ("Gradients of attention of %d queries to %d keys, for some heads of %d."):format(n.T,
    n.keys, s.d), function(proc, body)
    local at = {}
    for _, one in ipairs(given) do at[one[1]] = proc:pointer(one[1] .. "_at", lower.like(one[2])) end
    local first, last = proc:number "head", proc:number "end"
    local count = s.counted and proc:number "count"
    body:each({ variable = "h", from = first, to = last }, function(head, h)
      gather(lower, s, kind, n, head, at, h, lds)
      if rel then
        sets.relative.on(lower.K, { at.rows_table, at.columns_table }, s.side_h, s.side_w, s.d, n.D):products(head,
          n.qu, n.rh, n.rw, 0, kind.height, kind.width)
      end
      block(lower, s, n, head, 0, n.M, true, count)
      if n.T >= 2 * BLOCK then
        head:each({ variable = "b", from = 1, to = n.T // BLOCK }, function(inner, b)
          block(lower, s, n, inner, b * BLOCK, BLOCK, false, count)
        end)
      end
      if n.T > BLOCK and n.T % BLOCK > 0 then
        block(lower, s, n, head, n.T // BLOCK * BLOCK, n.T % BLOCK, false, count)
      end
      if rel then relative(lower, s, kind, n, head, at, at, h, wants) end
      hand_out(lower, s, kind, n, head, at, h, lds, wants)
    end)
  end)
end

-- Sums over sets, a head's beside the other's, to rows of the result.
local function sums_to(lower, view, from, s, rows)
  local back = lower.K:set_rows_back { height = 1, width = rows, d = s.d, ldx = view:ld(), ld_row = rows * view:ld(),
    ldz = s.dpad }
  lower:parted { { variable = "head", to = s.heads, of = "heads", build = function(body, h)
    body:call(back, from + h * (rows * s.dpad), view + h * s.d)
  end } }
end

function gradients.attention_dqkv(lower, op)
  local s = sets.of(lower, op)
  local wants, lds, view = { pads = op.pads or false, rel = op.rel or false }, {}, {}
  for _, role in ipairs { "q", "k", "v" } do view[role] = lower:read(input(op, role)) end
  view.dout = lower:read(input(op, "do"))
  local tables = s:tables()
  if tables then
    view.rows_table, view.columns_table = tables[1], tables[2]
    view.rows_turned = lower:turned(tables[1], s.d, 2 * s.side_h - 1, sets.relative.width(s.side_h))
    view.columns_turned = lower:turned(tables[2], s.d, 2 * s.side_w - 1, sets.relative.width(s.side_w))
  end
  for _, role in ipairs { "k_pad", "v_pad" } do
    view[role] = input(op, role) and lower.values:vector(input(op, role))
  end
  local result, nq, nk = lower:written(op), order.rows(input(op, "q")), order.rows(input(op, "k"))
  view.dq, view.dk, view.dv = result, result:row(nq), result:row(nq + nk)
  for name, one in pairs(view) do lds[name] = one:ld() end
  lds.to = result:ld()
  local own = {}
  local function sum(name, rows)
    own[#own + 1] = { name, rows, lower:zeroed(name, s.heads * rows * s.dpad) }
    view[name] = own[#own][3]
  end
  if wants.pads then
    sum("k_sum", 1)
    sum("v_sum", 1)
  end
  if wants.rel then
    sum("h_sum", 2 * s.side_h - 1)
    sum("w_sum", 2 * s.side_w - 1)
  end
  for _, kind in ipairs(s.kinds) do
    kind.proc = proc_of(lower, s, kind, lds, tables ~= nil, wants)
    kind.given = given_of(s, kind, lds, tables ~= nil, wants)
  end
  local moving = { "q", "k", "v", "dout", "dq", "dk", "dv" }
  local distances = {}
  for i, name in ipairs(moving) do distances[i] = lds[name] end
  s:units(distances, function(kind, body, at, head, last)
    local arguments = {}
    for i, one in ipairs(kind.given) do
      local moved
      for n, name in ipairs(moving) do moved = moved or name == one[1] and at[n] end
      arguments[i] = view[one[1]] + (moved or 0)
    end
    table.move({ head, last, s.counted and sets.COUNT or nil }, 1, 3, #arguments + 1, arguments)
    body:run(kind.proc, table.unpack(arguments))
  end, wants.pads or wants.rel)
  local row = nq + 2 * nk
  for _, one in ipairs(own) do
    sums_to(lower, result:row(row), one[3], s, one[2])
    row = row + one[2]
  end
end

return gradients
