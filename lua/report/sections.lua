-- SPDX-License-Identifier: Apache-2.0
--- The sections that pages of an evaluation and of a run share: memory over time, time per layer, how it was made.
-- Each is a list of nodes with `id` and `title`, as page.document takes it.
local charts = require "report.charts"
local page = require "report.page"

local sections = {}

local h = page.element

--- One line about a model, for a page's head. @param m build_facts.model
function sections.model_line(m)
  local words = {}
  local function put(text) words[#words + 1] = text end
  if m.dialect then put(m.dialect) end
  if m.input_size then put(("%d × %d%s"):format(m.input_size, m.input_size,
    (m.depth or 1) > 1 and (" × %d slices"):format(m.depth) or "")) end
  if m.board then put("board " .. m.board) end
  if m.arena_bytes then put("arena " .. page.bytes(m.arena_bytes)) end
  if m.weights_bytes then put("weights " .. page.bytes(m.weights_bytes)) end
  return table.concat(words, " · ")
end

local function moment(memory, i)
  local layer = memory.layers and memory.layers[i]
  return layer and ("%s: %s"):format(memory.moments[i], layer) or memory.moments[i]
end

--- Memory over time. @param memory as build_facts.memory gives it, or nil
function sections.memory(memory)
  local out = { id = "memory", title = "Memory over time" }
  if not memory then return out end
  local rows = {}
  for i, b in ipairs(memory.buffers) do
    rows[i] = { b.name, page.whole(b.offset), page.whole(b.bytes), moment(memory, b.first), moment(memory, b.last) }
  end
  local words = ("The arena is one block of %s bytes that the product declares; the generated code allocates nothing. "
    .. "A rectangle is a buffer: up and down its addresses, from left to right the layers in which it lives."):format(
      page.whole(memory.bytes))
  if memory.bound then
    words = words .. (memory.bound == memory.bytes
      and " No layout can be smaller: that is the largest sum of what lives at once."
      or (" The largest sum of what lives at once, below which no layout can be: %s bytes."):format(
        page.whole(memory.bound)))
  end
  out[1] = h("p", nil, words)
  out[2] = h("figure", { class = "wide" }, h("figcaption", nil, "Buffers of the arena: address by layer"),
    charts.memory_map(memory))
  out[3] = page.details(("All %s buffers as a table"):format(page.whole(#memory.buffers)), page.table {
    caption = "Buffers of the arena, in bytes", rows = rows, columns = { { name = "buffer", class = "name" },
      { name = "address", number = true }, { name = "bytes", number = true }, { name = "from", class = "name" },
      { name = "to", class = "name" } } })
  return out
end

-- ---- time per layer ----

-- What bars are of: the parts of a layer's bar.
local PARTS = { measured = function(L) return { L.ms } end,
  predicted = function(L) return { L.product_cycles, L.other_cycles } end,
  macs = function(L) return { L.macs } end }

local BARS = { measured = "time", predicted = "cycles", macs = "work" }

local function total(parts)
  local sum = 0
  for _, part in ipairs(parts) do sum = sum + part end
  return sum
end

-- Layers added up by kind, in the order in which kinds come.
local function by_kind(layers)
  local list, seen = {}, {}
  for _, L in ipairs(layers) do
    local kind = seen[L.kind]
    if not kind then
      kind = { count = 0, kind = L.kind }
      seen[L.kind], list[#list + 1] = kind, kind
    end
    kind.count = kind.count + 1
    for _, key in ipairs { "macs", "ms", "product_cycles", "other_cycles" } do
      if L[key] then kind[key] = (kind[key] or 0) + L[key] end
    end
  end
  for _, kind in ipairs(list) do kind.name = ("%s × %d"):format(kind.kind, kind.count) end
  return list
end

local NUMBERS = {
  measured = { "ms", function(L) return page.decimal(L.ms, 3) end },
  predicted = { "10⁶ cycles", function(L) return page.decimal((L.product_cycles + L.other_cycles) / 1e6, 3) end },
}

local function layer_table(layers, basis, caption)
  local rows, sums, most, all = {}, {}, 0, 0
  for i, L in ipairs(layers) do
    sums[i] = total(PARTS[basis](L))
    most, all = math.max(most, sums[i]), all + sums[i]
  end
  local number = NUMBERS[basis]
  for i, L in ipairs(layers) do
    local parts = PARTS[basis](L)
    for k, part in ipairs(parts) do parts[k] = most > 0 and part / most or 0 end
    rows[i] = { L.name, charts.bar(parts) }
    if number then rows[i][3] = number[2](L) end
    table.insert(rows[i], all > 0 and page.decimal(100 * sums[i] / all, 1) or page.decimal())
    table.insert(rows[i], page.decimal(L.macs / 1e6, 2))
  end
  local columns = { { name = "layer", class = "name" }, { name = BARS[basis], class = "chart" } }
  if number then columns[3] = { name = number[1], number = true } end
  columns[#columns + 1] = { name = "%", number = true }
  columns[#columns + 1] = { name = "10⁶ multiply-adds", number = true }
  return page.table { caption = caption, columns = columns, rows = rows, wide = true }
end

local CLOCKS = { cpu = "processor time", wall = "the time of day", cycles = "cycles at the board's nominal clock" }

-- What the numbers are, in words.
local function basis_of(layers, how)
  if layers.basis == "measured" then
    return ("Measured on %s image: milliseconds by %s, medians of %s%s."):format(
      layers.image == "given" and "a given" or "a synthetic", CLOCKS[layers.clock] or "an unknown clock",
      page.whole(layers.repetitions), layers.emulated and ", under an emulator: times are not the board's" or "")
  end
  local words = ("Not measured: no profile was made (%s). "):format(how or "msagen run DIR --profile FILE.json")
  if layers.basis == "macs" then return words .. "Bars are multiply-adds, which are not time." end
  local hz = layers.hz and (" At the board's nominal %.4g GHz, 10⁶ cycles are %.3g ms."):format(layers.hz / 1e9,
    1e9 / layers.hz) or ""
  return words .. "Bars are the plan's prediction in cycles of the core that has most to do: first multiply-adds, then "
    .. "norms, softmax, activations and moves; waiting for memory is not in it." .. hz
end

--- Time per layer. @param layers as build_facts.layers gives them, or nil
-- @param how the command that measures them, or nil
function sections.layers(layers, how)
  local out = { id = "layers", title = "Time per layer" }
  if not layers then return out end
  out[1] = h("p", nil, basis_of(layers, how))
  local words = { encode = "Encode", decode = (layers.depth or 1) > 1 and "Decode, one click of one slice"
    or "Decode, one click" }
  for _, phase in ipairs { "encode", "decode" } do
    out[#out + 1] = layer_table(by_kind(layers[phase]), layers.basis, words[phase] .. ": kinds of layers")
  end
  local tables = {}
  for i, phase in ipairs { "encode", "decode" } do
    tables[i] = layer_table(layers[phase], layers.basis, words[phase] .. ": all layers")
  end
  out[#out + 1] = page.details(("All %d layers"):format(#layers.encode + #layers.decode), tables)
  return out
end

--- How it was made. @param made list of { name, value }
function sections.made(made)
  local out = { id = "made", title = "How it was made" }
  if made and #made > 0 then out[1] = page.facts(made) end
  return out
end

return sections
