-- SPDX-License-Identifier: Apache-2.0
--- The layout of one layer's weights: parts at fixed places, in the order in which the layer reads them.
-- Offsets are in bytes from the segment's start. Layers of the same shape get the same layout, so they share kernels.
-- Parts that all banks have in common come first; behind them the others, once a bank. The offset of such a part reads
-- "bank + n" in the generated text, where bank is the chosen bank's distance.
local closed = require "support.closed"
local deferred = require "import.deferred"
local integers = require "kernels.integers"
local types = require "graph.types"

local segment = {}
segment.__index = segment

--- Names of the checkpoint's tensors that a part is made of: what the manifest says of it (`parts`).
-- @param ... tensors, lists of such names, or nothing where a tensor may be absent
function segment.of(...)
  local names, seen = {}, {}
  for i = 1, select("#", ...) do
    local one = select(i, ...)
    local list = not one and {} or type(one) == "table" and not one.shape and one or deferred.sources(one)
    for _, name in ipairs(list) do
      if not seen[name] then names[#names + 1], seen[name] = name, true end
    end
  end
  return names
end

local function round16(n) return (n + 15) // 16 * 16 end -- elements of a vector, columns of panels

-- Where a bank's own part lies: a number that is known once the segment is complete.
local place = {}
place.__index = place
function place.__sub(a, b)
  if type(b) == "number" then return setmetatable({ segment = a.segment, n = a.n - b }, place) end
  return a.n - b.n
end

--- A place of segment.at in bytes from the segment's start: a bank's own, without the bank's distance.
function segment.bytes_to(at) return type(at) == "number" and at or at.segment.shared + at.n end

--- @param private set of roles that differ between banks, or nil
function segment.new(private)
  return setmetatable({ parts = {}, by_role = {}, at = {}, shared = 0, own = 0, private = private or {} }, segment)
end

local function add(self, role, count, part)
  assert(not self.at[role], role)
  part.type = part.type or types.BASE
  part.role, part.bytes, part.private = role, types.bytes(part.type, count), self.private[role] or false
  if part.private then
    self.at[role], part.offset = setmetatable({ segment = self, n = self.own }, place), self.own
    self.own = self.own + types.lines(part.bytes)
  else
    self.at[role], part.offset = self.shared, self.shared
    self.shared = self.shared + types.lines(part.bytes)
  end
  self.parts[#self.parts + 1], self.by_role[role] = part, part
  return self.at[role]
end

--- What follows is a piece of its own, to be fetched by itself (lua/schedule/fetches.lua). One that is held stays as
-- long as the layer works.
-- @return the piece, which gets `work` where the layer's work with it is another than a multiply-add a token for each
-- element, like those of the other pieces
function segment:piece(held)
  self.pieces = self.pieces or {}
  self.pieces[#self.pieces + 1] = { first = self.shared, held = held or false }
  return self.pieces[#self.pieces]
end

--- The pieces from one to another come twice, all of them once before the first comes again.
function segment:again(from, to) self.repeated = { from, to } end

--- Numbers of the pieces in the order in which they come.
function segment:order()
  local list, from, to = {}, table.unpack(self.repeated or { 0, 0 })
  for i = 1, #self.pieces do
    list[#list + 1] = i
    for k = from, i == to and to or from - 1 do list[#list + 1] = k end
  end
  return list
end

--- Bytes of the n-th piece.
function segment:piece_bytes(n)
  return (self.pieces[n + 1] and self.pieces[n + 1].first or self.shared) - self.pieces[n].first
end

--- The piece that a part is in, or nil where there are none.
function segment:piece_of(role)
  local found
  for _, piece in ipairs(self.pieces or {}) do
    if piece.first <= self.at[role] then found = piece end
  end
  return found
end

--- Elements from a part to another of its type.
function segment:elements_between(from, to) return types.elements(self:type_of(from), self.at[to] - self.at[from]) end

--- The type of a part's elements.
function segment:type_of(role) return self.by_role[role].type end

--- A matrix [K,N] in panels of 16 columns. `make` gives the tensor when the blob is written, `from` says of
-- what it is made (segment.of).
function segment:panels(role, K, N, make, from)
  return add(self, role, (N + 15) // 16 * 16 * K, { kind = "panels", K = K, N = N, make = make, from = from })
end

--- The same in bf16: a step of a panel is 16 pairs of numbers.
function segment:panels_bf16(role, K, N, make, from)
  return add(self, role, (N + 15) // 16 * 16 * ((K + 1) // 2 * 2), { kind = "panels_bf16", type = "bf16", K = K, N = N,
    make = make, from = from })
end

--- A vector of n elements, filled up with zeros to a multiple of 16.
function segment:vector(role, n, make, from)
  return add(self, role, round16(n), { kind = "vector", n = n, make = make, from = from })
end

--- n whole numbers of 32 bits, which no rounding touches. @param make gives their bytes
function segment:words(role, n, make)
  return add(self, role, n, { kind = "words", type = "u32", n = n, make = make, from = {} })
end

--- Weights [N,K], columns `first` to first + count - 1 of them, as panels of whole numbers with scales and sums
-- (lua/kernels/integers.lua).
function segment:panels_int8(role, N, first, count, make, from)
  return add(self, role, integers.panels(count, N, "bytes", 1), { kind = "panels_int8", type = "i8", K = count, N = N,
    first = first, make = make, from = from })
end

--- A matrix [R,N] of which each row is whole numbers with a scale.
function segment:rows_int8(role, R, N, make, from)
  return add(self, role, R * integers.stored(N), { kind = "rows_int8", type = "i8", R = R, N = N,
    stride = integers.stored(N), make = make, from = from })
end

--- A matrix [R,N], rows `stride` apart.
function segment:rows(role, R, N, stride, make, from)
  return add(self, role, R * stride, { kind = "rows", R = R, N = N, stride = stride, make = make, from = from })
end

--- A linear map's weight [N,K] as panels and its bias, if there is one.
function segment:linear(role, weight, bias)
  local N, K = weight.shape[1], weight:numel() // weight.shape[1]
  self:panels(role, K, N, function()
    return weight:reshape { N, K }:transpose():rename(weight.name)
  end, segment.of(weight))
  if bias then self:vector(role .. "_bias", N, function() return bias end, segment.of(bias)) end
  return N, K
end

--- Outputs [first, first + n) of a linear map's weight [N,K], as panels.
function segment:outputs(role, weight, first, n)
  local N = weight.shape[1]
  local K = weight:numel() // N
  return self:panels(role, K, n, function()
    return weight:reshape { N, K }:slice(1, first, n):transpose():rename(weight.name)
  end, segment.of(deferred.sources(weight, first, n)))
end

--- Inputs [first, first + n) of it.
function segment:inputs(role, weight, first, n)
  local N = weight.shape[1]
  return self:panels(role, n, N, function()
    return weight:reshape { N, weight:numel() // N }:slice(2, first, n):transpose():rename(weight.name)
  end, segment.of(weight))
end

--- Numbers [first, first + n) of a vector.
function segment:range(role, vector, first, n)
  return self:vector(role, n, function() return vector:slice(1, first, n):rename(vector.name) end, segment.of(vector))
end

--- Gamma and beta of a layer norm, beta a multiple of 16 behind.
function segment:norm(role, params)
  local n = params.weight:numel()
  -- One part, so that both stay together: kernels find beta by its distance.
  self:rows(role, 2, n, round16(n), function()
    return { params.weight, params.bias }
  end, { segment.of(params.weight), segment.of(params.bias) })
  return n
end

--- What tells one layout from another: kernels that know a layer's offsets are shared between equal ones.
function segment:signature()
  local list = {}
  for i, part in ipairs(self.parts) do
    list[i] = ("%s%s%d"):format(part.role, part.private and "*" or "@", part.offset)
  end
  return table.concat(list, " ")
end

--- Bytes of all banks together.
function segment:bytes(banks) return self.shared + self.own * (banks or 1) end

--- Segments of several layers one after the other, as one. It has no parts of its own.
local series = {}
series.__index = series

function segment.series(list) return setmetatable({ list = list, parts = {}, own = 0 }, series) end

function series:bytes(banks)
  local sum = 0
  for _, one in ipairs(self.list) do sum = sum + one:bytes(banks) end
  return sum
end

--- Bytes from the start to the n-th.
function series:before(n, banks)
  local sum = 0
  for i = 1, n - 1 do sum = sum + self.list[i]:bytes(banks) end
  return sum
end

function series:write(blob, others)
  local first, parts = nil, {}
  for i, one in ipairs(self.list) do
    local same = {}
    for k, other in ipairs(others or {}) do same[k] = other.list[i] end
    local offset, more = one:write(blob, same)
    first = first or offset
    table.move(more, 1, #more, #parts + 1, parts)
  end
  return first, parts
end

-- A part's bytes as they lie in the blob.
local function record(role, layout, shape, from, offset, bytes, crc)
  return { role = role, layout = layout, shape = shape, tensors = from, offset = offset, bytes = bytes, crc = crc }
end

-- Write a part. @return what of it lies where: one record, or one for each of a norm's two vectors
local function write_part(blob, part, tensor)
  local role, from = part.role, part.from or error(("segment part %s: what is it made of?"):format(part.role))
  if part.kind == "panels" or part.kind == "panels_bf16" then
    return record(role, part.kind, { part.K, part.N }, from, blob[part.kind](blob, tensor))
  end
  if part.kind == "vector" then
    return record(role, "vector", { part.n }, from, blob:vector(tensor, round16(part.n)))
  end
  if part.kind == "panels_int8" then
    return record(role, "panels_int8", { part.K, part.N }, from, blob:panels_int8(tensor, part.first, part.K))
  end
  if part.kind == "rows_int8" then
    local one = record(role, "rows_int8", { part.R, part.N }, from, blob:rows_int8(tensor, part.stride))
    one.stride = part.stride
    return one
  end
  if part.kind == "words" then return record(role, "words", { part.n }, from, blob:bytes(tensor)) end
  closed.member(part.kind, { "panels", "panels_bf16", "panels_int8", "rows", "rows_int8", "vector", "words" },
    ("segment: part %s"):format(role))
  if type(tensor) ~= "table" then
    local one = record(role, "rows", { part.R, part.N }, from, blob:rows(tensor, part.stride))
    one.stride = part.stride
    return one
  end
  local gamma = record(role, "vector", { part.N }, from[1], blob:vector(tensor[1], part.stride))
  return gamma, record(role .. "_bias", "vector", { part.N }, from[2], blob:vector(tensor[2], part.stride))
end

--- Whether two parts of the same role hold the same numbers.
function segment.equal(a, b)
  local x, y = a.make(), b.make()
  if type(x) == "table" then
    for i, row in ipairs(x) do
      if not row:equal(y[i]) then return false end
    end
    return true
  end
  return x:equal(y)
end

--- Write the parts to a blob whose segment has been begun.
-- @param others the same layer's segments of the other banks, in order
-- @return the segment's place in the blob, bytes, and its parts in order: { role, layout, shape, stride of rows in
-- elements, tensors, offset in the blob, bytes, crc, bank (from 1) where it is one's own }
function segment:write(blob, others)
  local first, parts = nil, {}
  local function put(part, planned, bank)
    local before = #parts
    for _, one in ipairs { write_part(blob, part, part.make()) } do
      one.bank = bank
      parts[#parts + 1] = one
    end
    local offset = parts[before + 1].offset
    first = first or offset
    if offset - first ~= planned then
      error(("segment part %s lies at %d, planned at %d"):format(part.role, offset - first, planned))
    end
  end
  for _, part in ipairs(self.parts) do
    if not part.private then put(part, part.offset) end
  end
  if self.own > 0 then
    for bank = 0, #(others or {}) do
      local from = bank == 0 and self.parts or others[bank].parts
      for i, part in ipairs(self.parts) do
        if part.private then put(from[i], self.shared + bank * self.own + part.offset, bank + 1) end
      end
    end
  end
  return first, parts
end

--- Write a blob of this segment alone. @param name of the segment @return the blob's report, with `at`, the segment's
-- place in it, and its parts
function segment:write_alone(path, arithmetic, name)
  if #self.parts == 0 then -- a blob holds something
    self:vector("nothing", 1, function() return require("msagen.tensor").zeros({ 1 }, "f32") end, {})
  end
  local blob = require("msagen.blob").create(path, { arith = arithmetic, version = 1 })
  local ok, result = pcall(function()
    blob:segment(name)
    local at, parts = self:write(blob)
    local report = blob:close()
    report.at, report.parts = at, parts
    return report
  end)
  if not ok then
    blob:abort()
    error(result, 0)
  end
  return result
end

return segment
