-- SPDX-License-Identifier: Apache-2.0
--- The kernels that a build needs: asked for by shape, in the order of their first use. Sizes are in floats; rows of a
-- buffer lie its `ld` apart.
-- Kernels that differ in numbers alone are one C function: strides and numbers of rows are its arguments, behind all
-- others. A kernel is such a function with its numbers, and the word for it is both: `kernels:call` writes it in C.
local activations = require "graph.activations"
local ahead = require "kernels.ahead"
local closed = require "support.closed"
local literal = require("graph.expressions").literal
local flushing = require "kernels.flushing"
local folder = require "support.folder"
local operations = require "kernels.operations"
local requests = require "kernels.requests"
local schema = require "support.schema"
local sys = require "msagen.sys"
local template = require "support.template"
local tiles = require "kernels.tiles"

local kernels = {}
kernels.__index = kernels

--- @param isa an instruction set's table; @param board the board's table; @param folder the templates' folder
function kernels.new(isa, board, folder)
  return setmetatable({ isa = isa, board = board, folder = folder, texts = {}, prototypes = {}, named = {}, names = {},
    firsts = {}, tilings = {}, products = {}, signatures = {}, described = {}, functions = {}, lowers = {}, sizes = {},
    integer_sizes = {}, cores = 1 }, kernels)
end

local function round16(n) return (n + 15) // 16 * 16 end
kernels.round16, kernels.literal = round16, literal

--- A row stride for rows of n floats: a multiple of 16 that is an odd number of cache lines, so that the rows of a tile
-- do not fall into the same sets of the first-level cache.
function kernels.stride(n)
  local lines = (n + 15) // 16
  return (lines % 2 == 0 and lines > 1) and (lines + 1) * 16 or lines * 16
end

-- A word for a field that tells two kernels of one shape apart: its value, behind its name where that is a number.
local function word_of(field, value)
  if value == true then return field end
  if value == false then return "no_" .. field end
  return (math.type(value) and field .. value or tostring(value)):gsub("[^%w]", "_")
end

-- The name of a kernel: its shape where that is free, else the shape and in what it differs from the first of that
-- shape.
function kernels:unique(base, fields)
  local first = self.firsts[base]
  if not first then
    self.firsts[base], self.names[base] = fields, true
    return base
  end
  local words = { base }
  for _, field in ipairs(closed.sorted(fields)) do
    local value = fields[field]
    if field ~= "formula" and field ~= "tiles" and type(value) ~= "table" and type(value) ~= "function"
      and value ~= first[field] then
      words[#words + 1] = word_of(field, value)
    elseif type(value) == "table" and value.ld and not (type(first[field]) == "table"
      and first[field].ld == value.ld) then
      words[#words + 1] = word_of(field, value.ld)
    end
  end
  -- Without relative positions kinds of windows differ in what is padding alone.
  if self.names[table.concat(words, "_")] and fields.pad then
    words[#words + 1] = ("pad%dx%d"):format(fields.pad.height, fields.pad.width)
  end
  local name = table.concat(words, "_")
  if self.names[name] then error("kernels: two of one name: " .. name) end
  self.names[name] = true
  return name
end

-- The templates of kernels, for a message.
local function templates(folder)
  local list = {}
  for _, name in ipairs(require "msagen.sys".list(folder .. "/kernels")) do list[#list + 1] = name:match "^(.+)%.c$" end
  return list
end

-- The text of a function with its prototype on one line, or where that is too long on as few as it takes, whatever
-- lines it has in the template.
local function opened(name, text)
  return (text:gsub("([%w ]*void " .. name .. "%b())\n{", function(prototype)
    return require("emit.print").prototype((prototype:gsub("%s+", " "):gsub(" ([,)])", "%1"))) .. "\n{"
  end, 1))
end

-- Kernels that write what they do not read.
local FRESH = { gemm = true, rows_sum = true, rows_scaled = true, rows_sumscaled = true, rows_times = true }

-- Kernels that compute in scalars where vectors flush subnormals.
local LANES = { row_moments = true }

-- What tells a function from others of its template: its fields but for those that are arguments.
local function key_of(file, fields)
  local parts = {}
  for k, v in pairs(fields) do
    if type(v) ~= "table" and type(v) ~= "function" then parts[#parts + 1] = k .. "=" .. tostring(v) end
    if k == "pad" and v then parts[#parts + 1] = ("pad=%d,%d,%d"):format(v.side, v.height, v.width) end
    if (k == "rel" or k == "out_row") and v then parts[#parts + 1] = ("%s=%d,%d"):format(k, v.n, v.ld) end
  end
  table.sort(parts)
  return file .. " " .. table.concat(parts, " ")
end

-- What several templates have alike: text of templates/pieces/FILE.c, without the last line's end.
-- @param scope of the template that it is a part of
local function pieces(folder, scope)
  return function(file, more)
    return (template.file(folder, "pieces/" .. file .. ".c", setmetatable(more, { __index = scope })):gsub("\n$", ""))
  end
end

-- Render file once for a key. @return the function's name
function kernels:write(file, base, fields, fresh)
  local key = key_of(file, fields)
  local name = self.named[key]
  if name then return name end
  if not sys.exists(("%s/kernels/%s.c"):format(self.folder, file)) then
    closed.member(file, templates(self.folder), "kernels: template")
  end
  name = self:unique(base, fields)
  self.named[key] = name
  local lanes = self.isa.flushes and LANES[file]
  local scope = setmetatable({ name = name, W = lanes and 1 or self.isa.width, kernels = self,
    integer = self.board.integer, round16 = round16, cores = self.cores,
    flushes = self.isa.flushes ~= nil }, { __index = fields })
  scope.piece = pieces(self.folder, scope)
  local text = template.file(self.folder, "kernels/" .. file .. ".c", setmetatable({}, {
    __index = function(_, k) local v = scope[k] if v == nil then return rawget(_G, k) end return v end,
  }))
  text = opened(name, text)
  if lanes then text = flushing.scalar(text)
  elseif self.isa.flushes then text = flushing.checked(self, file, text) end
  self.texts[#self.texts + 1] = require("emit.print").fitted(text)
  self:declare(name, text, fresh)
  return name
end

-- A kernel: a function of a template, and its numbers.
-- @param fields of the kernel @param numbers of them, those that are arguments, in order: { parameter, field }; false
-- for one that the function need not know
-- @return the word for it
function kernels:make(file, base, fields, numbers)
  local constant, words, bound, list = {}, {}, {}, {}
  for k, v in pairs(fields) do constant[k] = v end
  for _, one in ipairs(numbers or {}) do
    local value = fields[one[2]]
    constant[one[2]] = nil
    if one[1] then
      local text = type(value) == "string" and value .. "f" or ("%d"):format(value)
      list[#list + 1], words[#words + 1], bound[one[1]] = text, ("%s=%s"):format(one[1], text), value
    end
  end
  local name = self:write(file, base, constant, FRESH[file] and not fields.keep and not fields.residual)
  local kernel = #list > 0 and ("%s(%s)"):format(name, table.concat(words, ", ")) or name
  if not self.functions[kernel] then
    self.functions[kernel] = { name = name, numbers = list, bound = bound }
    self.described[kernel] = { file = file, fields = fields }
    local all = self.signatures[name]
    if all then self.signatures[kernel] = table.move(all, 1, #all - #list, 1, {}) end
  end
  return kernel
end

--- The instruction set's products of whole numbers, from whose header on the kernels are.
function kernels:integer()
  self.lowers.int8 = true
  return self.board.integer
end

--- The instruction that multiplies pairs in bf16, or nil where the board has none: then such products are float32's, of
-- floats with 8 significant bits.
function kernels:dot_bf16()
  self.lowers.bf16 = true
  return self.board.bf16
end

--- Whether kernels are written in that instruction.
function kernels:multiplies_pairs() return self.lowers.bf16 ~= nil and self.board.bf16 ~= nil end

--- How an attention's operands lie, in floats. @param precision "bf16", or nil: float32 @param tile keys of a tile
-- @return { steps of a product with keys, rows of a tile of values, paired }
function kernels:attention_operands(precision, d, tile)
  local paired = precision == "bf16" and self:dot_bf16() ~= nil
  return { steps = paired and (d + 1) // 2 or d, rows = paired and (tile + 1) // 2 or tile, paired = paired }
end

--- A product of attention, whose sums go on from what c holds or not: in float32 the chain begins there, in bf16 the
-- chain's end is added to it. @param f as of gemm @return the kernel
function kernels:attention_product(precision, f, goes_on)
  f.precision, f.packed = precision or nil, precision and true or nil
  f.init, f.residual = goes_on and not precision and "keep" or nil, goes_on and precision and true or nil
  local kernel = self:gemm(f)
  return kernel
end

--- Headers of what kernels of lower precision are written in, those that are needed.
function kernels:headers()
  local list = {}
  for _, name in ipairs(closed.sorted(self.lowers)) do list[#list + 1] = ("msa_%s.h"):format(name) end
  return list
end

--- A square of vectors transposed, where the instruction set interleaves lanes: what other kernels' texts call.
function kernels:square()
  return self:make("transpose_square", "msa_transpose_lanes", {})
end

--- C of a call: the kernel's function on these arguments, and its numbers.
function kernels:call(kernel, ...)
  local words, of = { ... }, self.functions[kernel]
  if of then table.move(of.numbers, 1, #of.numbers, #words + 1, words) end
  return ("%s(%s)"):format(of and of.name or kernel, table.concat(words, ", "))
end

-- The prototype of a kernel's text, which opens it; a long one takes several lines.
function kernels:declare(name, text, fresh)
  local prototype = ("\n" .. text):match "\n(void [%w_]+%b())\n{"
  if not prototype then return end -- a tile, which its product alone calls
  self.prototypes[#self.prototypes + 1] = prototype .. ";"
  local signature = {}
  for word in prototype:match("%b()"):sub(2, -2):gsub("%s+", " "):gmatch "[^,]+" do
    signature[#signature + 1] = { const = not word:find "%*" or word:find "const %w+ %*" ~= nil, text = word,
      fresh = fresh }
  end
  self.signatures[name] = signature
end

--- The parameters of a kernel in order, but for its numbers: { const = it is not written through, fresh = nor read
-- before it is written, text }.
function kernels:signature(kernel)
  return self.signatures[kernel] or error("kernels: no kernel " .. tostring(kernel))
end

--- A function of the steps' own (lua/lower): one of the same text is there once.
-- @param base its name, which says its shape @param owner the layer that has it first, to tell it from others of that
-- shape @param what a comment @param parameters, body C @return its name
function kernels:proc(base, owner, what, parameters, body)
  local key = table.concat({ "proc", base, parameters, body }, "\n")
  local name = self.named[key]
  if name then return name end
  name = self.names[base] and ("%s_of_%s"):format(base, owner) or base
  if self.names[name] then error("kernels: two of one name: " .. name) end
  self.names[name], self.named[key] = true, name
  local opening = require("emit.print").prototype(("void %s(%s)"):format(name, parameters))
  self.texts[#self.texts + 1] = ("/* %s */\n%s\n{\n%s\n}\n\n"):format(what, opening, body)
  self:declare(name, self.texts[#self.texts])
  return name
end

-- What a product or a tile does, for its name.
local function suffix_of(f)
  local words = {}
  if f.keep then words[1] = "_keep" end
  if f.bias then words[#words + 1] = "_bias" end
  if f.act ~= "none" then words[#words + 1] = "_" .. f.act end
  if f.residual then words[#words + 1] = "_residual" end
  if f.ldb ~= 16 then words[#words + 1] = "_ldb" .. f.ldb end
  if f.left ~= "" then words[#words + 1] = "_" .. f.left end
  if f.ahead then words[#words + 1] = "_ahead" .. f.ahead end
  return table.concat(words)
end

-- Where lanes multiply, what a block of k leaves for a loop step by step: "tail", or all of it, "short".
local function left_of(isa, block)
  local left = isa.fma_lane and block.count % isa.width or 0
  return left == 0 and "" or block.count < isa.width and "short" or "tail"
end

local function columns_of(column) return column.np * 16 // (column.parts or 1) end

-- One tile of block b of a product: the first block starts the sums, the last one has the epilogue. What a stored panel
-- in parts goes through once more waits for all of them.
local function tile(self, f, b, mr, column)
  local ends, left = b == #f.blocks, left_of(self.isa, f.blocks[b])
  local act = ends and (f.activation.in_registers or not column.parts) and f.act or "none"
  local fields = { MR = mr, N = columns_of(column), ldb = f.ldb, cps = f.cps, keep = b > 1 or f.keep,
    paired = f.paired,
    bias = ends and f.bias, act = act, activation = activations.entries[act],
    residual = ends and f.residual, left = left, ahead = f.ahead,
    lanes = self.isa.fma_lane and left ~= "short" or false, rest = not self.isa.fma_lane or left ~= "" }
  return self:write("tile", ("msa_tile_%s_%dx%d%s"):format(f.paired and "bf16" or "f32", mr, fields.N,
    suffix_of(fields)), fields)
end

-- Floats of the next group of panels that each step of a tile fetches ahead, or false. Panels must follow each other.
local function ahead_of(board, f)
  local panel = f.widened and 32 * ((f.K + 1) // 2) or 16 * f.steps
  local share = f.bps == panel and ahead(board, f, f.panels, f.steps, f.widened and 32 or 64)
  return share and share // 4
end

-- Requests: what a layer may ask of a kernel. Anything else is refused, so that no request is granted in part.
local size, stride, sizes, request = requests.size, requests.stride, requests.sizes, requests.request

--- What each request may hold, a schema a kind of kernel.
kernels.requests = {
  gemm = request(sizes("M", "N", "K", "lda", "ldc"),
    { ldb = size, bps = size, cps = size, init = schema.one_of("zero", "bias", "keep", "keep_bias"),
    act = schema.one_of(table.unpack(activations.names)), residual = schema.flag, precision = schema.one_of "bf16",
    packed = schema.flag, tiling = schema.kind(function(value)
      if type(value) ~= "table" then return "a tiling" end
    end) }),
}

-- Element-wise kernels, and what each needs beside rows and C.
local ELEMENTWISE = { sum = { "ldx", "ldy", "ldz" }, add = { "ldx", "ldy" }, add2 = { "ldx", "ldy", "ldz" },
  add3 = { "ldx", "ldy", "ldz", "ldv" },
  sumscaled = { "ldx", "ldy", "ldz", "s" }, addscaled = { "ldx", "ldy", "ldz", "s" }, multiply = { "ldx", "ldz" },
  scale = { "ldx", "s" },
  scaled = { "ldx", "ldz", "s" }, times = { "ldx", "ldy", "ldz" } }
for _, act in ipairs(activations.computed) do ELEMENTWISE[act] = { "ldx" } end
for kind, needed in pairs(ELEMENTWISE) do
  local fields = request(sizes("rows", "C"), { ldx = stride, ldy = stride, ldz = stride, ldv = stride,
    s = schema.number })
  for _, name in ipairs(needed) do fields[name][2] = true end
  kernels.requests["rows " .. kind] = fields
end

-- What is false is not asked for.
local function check(kind, f)
  local asked = {}
  for key, value in pairs(f) do
    if value ~= false then asked[key] = value end
  end
  schema.check(asked, kernels.requests[kind], "kernels: " .. kind)
end

-- Panels of pairs are made panels of floats in scratch, a group of them and a block of k at a time: all rows meet one
-- before the next comes, and no block parts a pair. @return bytes of the scratch
local function widen(f)
  local widest, most = 0, (f.blocks[1].count + 1) // 2 * 2
  f.order, f.blocks = "columns", {}
  for first = 0, f.K - 1, most do
    f.blocks[#f.blocks + 1] = { first = first, count = math.min(most, f.K - first) }
  end
  for _, column in ipairs(f.columns) do widest = math.max(widest, column.np) end
  return widest * f.blocks[1].count * 64
end

--- c (M,N) = act(a b), act(a b + bias) or act(c + a b).
-- M, N, K; lda, ldc; ldb = 16 and bps = K * 16 unless b is not packed; cps = 16 unless c is in panels;
-- init "zero", "bias" (one more argument, added last), "keep" (c is where the sums start) or "keep_bias"; act one of
-- lua/graph/activations.lua;
-- residual: c is added to the result, after the bias. Writes whole panels: c has room for N rounded up to 16.
-- precision "bf16": a as lua/kernels/kinds/round_rows.lua has it, b as the blob has it, or with `packed` as
-- lua/kernels/kinds/keys_bf16.lua has it; one more argument before c where the kernel takes scratch
-- @param f.tiling how to cut it, instead of the cheapest tiling of lua/kernels/tiles.lua
-- @return name of void f(a, b, [bias,] c), and bytes of its scratch, 0 where it takes none
function kernels:gemm(f)
  check("gemm", f)
  local tiling, lowered, steps = f.tiling, f.precision == "bf16", f.K
  local paired = lowered and self:dot_bf16() ~= nil
  local blob = lowered and not f.packed
  if paired then steps = (f.K + 1) // 2 end
  f = { M = f.M, N = f.N, K = f.K, steps = steps, lda = f.lda, ldb = f.ldb or 16, ldc = f.ldc, cps = f.cps or 16,
    bps = f.bps or (paired and 16 * steps or blob and 32 * ((f.K + 1) // 2) or 16 * f.K), paired = paired,
    widened = blob and not paired, b_type = blob and "uint16_t" or "float",
    init = f.init or "zero", act = f.act or "none", residual = f.residual or false, panels = (f.N + 15) // 16 }
  f.activation = activations.entries[f.act]
  f.keep, f.bias = tiles.keeps(f.init), tiles.biased(f.init)
  assert(not (f.residual and (f.keep or f.act ~= "none")))
  local sum = (f.keep and "c + a b" or "a b") .. (f.bias and " + bias" or "")
  f.formula = f.act == "none" and sum or ("%s(%s)"):format(f.act, sum)
  tiling = tiling or self:tiling(f)
  f.tiling, f.rows, f.columns, f.blocks, f.order = tiling, tiling.rows, tiling.columns, tiling.blocks, tiling.order
  local room = f.widened and widen(f) or 0
  f.ahead = ahead_of(self.board, f)
  f.type = blob and "bf16" or paired and "bf16 pairs" or "f32"
  return self:listed(self:product(f), f), room
end

--- A product, by its kernel's name, goes on the list of those that `explain` tells. @return the name
function kernels:listed(name, f)
  if not self.draft and not self.products[name] then
    self.products[name] = f
    self.products[#self.products + 1] = name
  end
  return name
end

-- The kernel of a product that has its tiling: where ranges and blocks end are numbers, like all that it is as long as.
function kernels:product(f)
  local words, names, kinds = {}, {}, math.min(#f.blocks, 3)
  f.tile = function(b, mr, column) return tile(self, f, b, mr, column) end
  -- Tiles are written before the product that calls them; blocks between the first and the last are alike.
  for kind = 1, kinds do
    for _, row in ipairs(f.rows) do
      for _, column in ipairs(f.columns) do
        names[#names + 1] = f.tile(kind == kinds and #f.blocks or kind, row.mr, column)
        if kind == 1 then words[#words + 1] = ("%dx%d"):format(row.mr, columns_of(column)) end
      end
    end
  end
  local numbers = { { "rows", "M" }, { "panels", "panels" }, { "steps", "steps" }, { "lda", "lda" }, { "bps", "bps" },
    { "ldc", "ldc" }, { false, "N" }, { false, "K" } }
  local function number(name, value)
    f[name] = value
    numbers[#numbers + 1] = { name, name }
  end
  if #f.rows > 1 then number("upper", f.rows[1].last) end
  if #f.columns > 1 then number("wide", f.columns[1].last) end
  if #f.blocks > 1 then
    number("block", f.blocks[1].count)
    number("last", f.blocks[#f.blocks].first)
  end
  f.tiles, f.kinds = table.concat(names, " "), kinds
  local first, last = left_of(self.isa, f.blocks[1]), left_of(self.isa, f.blocks[#f.blocks])
  f.left = first == last and last
    or ("%s_then_%s"):format(first == "" and "even" or first, last == "" and "even" or last)
  return self:make("gemm", ("msa_gemm_%s_%s%s%s%s%s"):format(f.b_type == "uint16_t" and "bf16" or f.paired and "pairs"
    or "f32", table.concat(words, "_"), suffix_of(f), f.widened and "_widened" or "",
    f.order == "rows" and "_rows_first" or "", f.kinds > 1 and "_in_blocks" or ""), f, numbers)
end

-- Ranges of rows and columns with their tiles.
local function ranges_of(f)
  local rows, columns = {}, {}
  for k, range in ipairs(f.tiling.rows) do rows[k] = { first = range.first, last = range.last, tile = range.mr } end
  for k, range in ipairs(f.tiling.columns) do
    columns[k] = { first = range.first * 16, last = range.last * 16, tile = range.np * 16 // (range.parts or 1) }
  end
  return rows, columns
end

-- What only products of floats have: where a block of k ends, and what a count of the text finds.
local function of_floats(one, f, counter, of)
  one.k_blocks = {}
  for k, block in ipairs(f.blocks) do one.k_blocks[k] = block.count end
  one.ldb, one.init, one.predicted = f.ldb, f.init, f.tiling.operations
  one.counted = counter:count(of.name, of.bound)
end

--- What the manifest says of the matrix products, in the order of their first use: type, shape, tiling, what the model
-- expects of a call, and of floats what its text does.
-- @param prefix that stands for msa in the names
function kernels:explain(prefix)
  local list, texts = {}, {}
  for _, text in ipairs(self.texts) do
    if text:find("void msa_tile_", 1, true) or text:find("void msa_gemm_", 1, true)
      or text:find "static void msa_[%w_]+_x16%(" then
      texts[#texts + 1] = text
    end
  end
  local counter = operations.counter(texts)
  for i, name in ipairs(self.products) do
    local f, of = self.products[name], self.functions[name]
    local rows, columns = ranges_of(f)
    list[i] = { name = of.name:gsub("^msa", prefix or "msa"), type = f.type, M = f.M, N = f.N, K = f.K, lda = f.lda,
      bps = f.bps, ldc = f.ldc, cps = f.cps, act = f.act, residual = f.residual, out = f.out,
      tile = { rows[1].tile, columns[1].tile }, rows = rows, columns = columns, order = f.order,
      predicted_cycles = math.floor(f.tiling.cycles + 0.5),
      macs_per_cycle = math.floor(100 * f.M * f.N * f.K / f.tiling.cycles + 0.5) / 100 }
    if f.type ~= "int8" then of_floats(list[i], f, counter, of) end
  end
  return list
end

--- Rows of b that a tile of `mr` rows and `vectors` vectors loads at once.
function kernels:held(mr, vectors) return tiles.held(self.isa, self.board.core, mr, vectors) end

-- The tiling of a product: worked out once for a shape.
function kernels:tiling(f)
  local steps = f.steps or f.K
  local key = ("%d %d %d %s %s %s"):format(f.M, f.panels, steps, f.init, f.act, f.residual)
  self.tilings[key] = self.tilings[key] or tiles.tiling(self.isa, self.board, { M = f.M, panels = f.panels, K = steps,
    init = f.init, act = f.act, residual = f.residual }, self.sizes)
  return self.tilings[key]
end

--- The key tile of f32-fma-1: whole rows of a grid, about 256 keys. It is part of the definition: no board may change
-- it.
function kernels.key_tile(keys, row)
  row = row or 1
  return math.min(keys, math.max(1, 256 // row) * row)
end

--- Element-wise kernels on `rows` rows of C; `kind` names the template: "sum" (z = x + y), "add" (y += x), "add2" (z +=
-- x + y), "add3" (z += (x + y) + v), "sumscaled" (z = y + s x), "addscaled" (z += x + s y), "multiply" (z = x y + 0, y
-- one row),
-- "scale" (x *= s), "scaled" (z = s x), "times" (z = x y), or an activation (x = f(x)).
function kernels:rows(kind, f)
  if not ELEMENTWISE[kind] then closed.member(kind, closed.sorted(ELEMENTWISE), "kernels: rows") end
  check("rows " .. kind, f)
  local entry, width, numbers = activations.entries[kind], round16(f.C), { { "rows", "rows" } }
  local fields = { act = entry and kind or false, vector = entry and entry.vector or false, width = width,
    rows = f.rows }
  for i, name in ipairs(ELEMENTWISE[kind]) do
    numbers[i + 1] = { name, name }
    fields[name] = name == "s" and literal(f.s) or f[name]
  end
  return self:make(entry and "rows_act" or "rows_" .. kind, ("msa_%s_f32_%d"):format(kind, width), fields, numbers)
end

-- The modules of lua/kernels/kinds/, found by looking there: a kind of kernels each, asked for by
-- kernels:NAME(request).
--   request  fields of a request, as above
--   make     function(kernels, request) -> the kernel, and what else who asks needs to know
--   cycles   function(core, fields) -> cycles of products, cycles of the rest, multiply-adds of a call
--            (lua/estimate/predict.lua); fields: the kernel's. Absent where no step calls it, only kernels do
--   fresh    it writes what it does not read
--   room     functions of sizes: floats that its scratch takes, by its name
--   lanes    where vectors flush subnormals it computes in scalars: nobody need ask
-- Its template has its name.
local callable = schema.kind(function(value)
  if type(value) ~= "function" then return "a function" end
end)
local KIND = { request = { schema.table, true }, make = { callable, true }, cycles = { callable },
  fresh = { schema.flag }, lanes = { schema.flag }, room = { schema.table } }

--- name -> kind, of those.
kernels.kinds = {}
for _, name in ipairs(folder.modules "kernels.kinds") do
  local kind = require("kernels.kinds." .. name)
  local where = ("lua/kernels/kinds/%s.lua"):format(name)
  schema.check(kind, KIND, where)
  if kernels[name] then error(where .. ": expected a name of its own, found that of another kind", 0) end
  kernels.kinds[name], kernels.requests[name] = kind, kind.request
  FRESH[name], LANES[name] = kind.fresh, kind.lanes
  kernels[name] = function(self, f)
    check(name, f)
    return kind.make(self, f)
  end
end

return kernels
