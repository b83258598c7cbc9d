-- SPDX-License-Identifier: Apache-2.0
--- Charts as SVG within a page: functions of data alone, the same bytes for the same data. A picture is stretched to
-- the width that it gets, so what is read is HTML beside it; only the map of memory has texts inside, where they fit.
local page = require "report.page"

local charts = {}

local h = page.element

-- A coordinate: at most three decimals.
local function at(value)
  local text = ("%.3f"):format(value):gsub("%.?0+$", "")
  return text == "-0" and "0" or text
end

local function stretched(class, width, height, label, ...)
  return h("svg", { class = class, viewBox = ("0 0 %s %s"):format(at(width), at(height)), preserveAspectRatio = "none",
    role = label and "img" or nil, ["aria-label"] = label, ["aria-hidden"] = not label and "true" or nil }, ...)
end

local function path(class, d) return h("path", { class = class, d = d, ["vector-effect"] = "non-scaling-stroke" }) end

-- ---- distributions of values from 0 to 1 ----

local BINS, RUG = 20, 1000

--- The values that are numbers from 0 to 1, in order, and how many are not.
function charts.shares(values, count)
  local list, left = {}, 0
  for i = 1, count or #values do
    local v = values[i]
    if page.finite(v) and v >= 0 and v <= 1 then list[#list + 1] = v else left = left + 1 end
  end
  table.sort(list)
  return list, left
end

--- The middle of a sorted list; nil of an empty one.
function charts.median(sorted)
  local n = #sorted
  if n == 0 then return nil end
  return n % 2 == 1 and sorted[n // 2 + 1] or (sorted[n // 2] + sorted[n // 2 + 1]) / 2
end

-- How many of the values are in each bin; 1 is in the last.
local function counts_of(sorted)
  local counts = {}
  for i = 1, BINS do counts[i] = 0 end
  for _, v in ipairs(sorted) do
    local i = math.min(BINS, v * BINS // 1 + 1) // 1 | 0
    counts[i] = counts[i] + 1
  end
  return counts
end

local function bars_path(counts, most)
  local d = {}
  for i, count in ipairs(counts) do
    if count > 0 then
      local top = 96 * count / most
      d[#d + 1] = ("M%s 100v-%sh%sv%sz"):format(at(100 * (i - 1) / BINS + 0.3), at(top), at(100 / BINS - 0.6), at(top))
    end
  end
  return table.concat(d)
end

-- A tick for each value, as far apart as can be seen.
local function ticks_path(sorted)
  local d, last = {}, nil
  for _, v in ipairs(sorted) do
    local place = (v * RUG + 0.5) // 1
    if place ~= last then d[#d + 1] = ("M%s 0v10"):format(at(place * 100 / RUG)) end
    last = place
  end
  return table.concat(d)
end

-- The mean and its interval.
local function spread(cell)
  local function x(value) return at(100 * math.min(1, math.max(0, value))) end
  local out = {}
  if page.finite(cell.low) and page.finite(cell.high) then
    out[1] = path("interval", ("M%s 5H%s"):format(x(cell.low), x(cell.high)))
  end
  if page.finite(cell.mean) then out[#out + 1] = path("mean", ("M%s 5h0"):format(x(cell.mean))) end
  return out[1] and stretched("spread", 100, 10, nil, out)
end

local function one_distribution(cell, sorted, left, most)
  local median = charts.median(sorted)
  local out = { h("p", { class = "label" }, cell.label) }
  if not median then
    out[2] = page.note(left > 0 and ("No value is defined (%s undefined)."):format(page.whole(left)) or "No cases.")
    return h("div", nil, out)
  end
  local said = ("%s case%s, median %s, from %s to %s%s"):format(page.whole(#sorted), #sorted == 1 and ""
    or "s", page.decimal(median, 3), page.decimal(sorted[1], 3), page.decimal(sorted[#sorted], 3),
    left > 0 and (", %s undefined"):format(page.whole(left)) or "")
  out[2] = h("p", { class = "note" }, said)
  out[3] = stretched("histogram", 100, 100, ("Histogram, %s: %s"):format(cell.label, said),
    path("bar", bars_path(counts_of(sorted), most)), path("median", ("M%s 0V100"):format(at(100 * median))))
  out[4] = stretched("rug", 100, 10, nil, path("tick", ticks_path(sorted)))
  out[5] = spread(cell)
  out[6] = h("div", { class = "axis", ["aria-hidden"] = "true" }, h("span", nil, "0"), h("span", nil, "0.5"),
    h("span", nil, "1"))
  return h("div", nil, out)
end

--- Histograms side by side, of one scale: bars, a tick a case, median, mean with its interval.
-- @param cells list of { label, values = numbers from 0 to 1 (others are counted as undefined), count = of them where
-- some may be nil, mean, low, high }
function charts.distributions(cells)
  local sorted, left, most, out = {}, {}, 1, {}
  for i, cell in ipairs(cells) do
    sorted[i], left[i] = charts.shares(cell.values, cell.count)
    for _, count in ipairs(counts_of(sorted[i])) do most = math.max(most, count) end
  end
  for i, cell in ipairs(cells) do out[i] = one_distribution(cell, sorted[i], left[i], most) end
  return h("div", { class = "cells" }, out)
end

-- ---- bars ----

--- A bar in a cell of a table, of one or two parts. @param parts lengths from 0 to 1, together at most 1
function charts.bar(parts)
  local out, x = {}, 0
  for i, part in ipairs(parts) do
    if part > 0 then
      out[#out + 1] = h("rect", { class = i == 1 and "bar" or "bar2", x = at(100 * x), y = 0, width = at(100 * part),
        height = 10 })
    end
    x = x + part
  end
  return stretched("bars", 100, 10, nil, out)
end

-- ---- the map of memory ----

-- Pixels: the map's height, as style.lua has it, and its least widths on phones, on tablets and on desks; a letter and
-- a line of the labels.
local HEIGHT, WIDTHS, LETTER, LINE = 360, { 225, 515, 930 }, 6.4, 14

-- What a label is drawn as: upright or along, and from which width on. nil where it fits nowhere.
local function fitting(label, width, height)
  local length = utf8.len(label)
  length = (length or #label) * LETTER + 8
  for size, pixels in ipairs(WIDTHS) do
    if height * HEIGHT >= LINE and width * pixels >= length then return "along", size end
    if width * pixels >= LINE + 2 and height * HEIGHT >= length then return "upright", size end
  end
end

local SIZES = { nil, "wide1", "wide2" }

local function label_of(label, x, y, width, height)
  local how, size = fitting(label, width, height)
  if not how then return nil end
  local words = { class = SIZES[size], ["aria-hidden"] = "true" }
  if how == "along" then words.x, words.y = 4, 12
  else words.transform = "translate(4 4) rotate(90)" end
  return h("svg", { x = at(100 * x) .. "%", y = at(100 * y) .. "%", width = at(100 * width) .. "%",
    height = at(100 * height) .. "%" }, h("text", words, label))
end

local KINDS = { { "value", "values that layers leave to others" }, { "scratch", "scratch of one layer" },
  { "result", "kept to the end: what results are read from" }, { "weights", "weights that are fetched" } }

local function legend(memory)
  local seen, out = {}, {}
  for _, b in ipairs(memory.buffers) do seen[b.kind] = true end
  for _, kind in ipairs(KINDS) do
    if seen[kind[1]] then
      out[#out + 1] = h("li", nil, h("svg", { viewBox = "0 0 10 10", ["aria-hidden"] = "true" },
        h("rect", { class = kind[1], x = 0, y = 0, width = 10, height = 10 })), kind[2])
    end
  end
  return h("ul", { class = "legend" }, out)
end

local function rectangles(memory)
  local boxes, labels, moments = {}, {}, #memory.moments
  for _, b in ipairs(memory.buffers) do
    local x, width = (b.first - 1) / moments, (b.last - b.first + 1) / moments
    local y, height = 1 - (b.offset + b.bytes) / memory.bytes, b.bytes / memory.bytes
    boxes[#boxes + 1] = h("rect", { class = b.kind, x = at(100 * x) .. "%", y = at(100 * y) .. "%",
      width = at(100 * width) .. "%", height = at(100 * height) .. "%" },
      h("title", nil, ("%s: %s at %s, %s"):format(b.name, page.bytes(b.bytes), page.whole(b.offset),
        b.first == b.last and "in " .. memory.moments[b.first]
          or ("from %s to %s"):format(memory.moments[b.first], memory.moments[b.last]))))
    labels[#labels + 1] = label_of(b.label or b.name, x, y, width, height)
  end
  return boxes, labels
end

--- Addresses over time: a rectangle for each buffer, as long as it lives.
-- @param memory as build_facts.memory gives it
function charts.memory_map(memory)
  local boxes, labels = rectangles(memory)
  local lines, phases, moments = {}, {}, #memory.moments
  for i, phase in ipairs(memory.phases) do
    local x = at(100 * (phase.first - 1) / moments) .. "%"
    if i > 1 then lines[#lines + 1] = h("line", { class = "phase", x1 = x, x2 = x, y1 = 0, y2 = "100%" }) end
    phases[i] = h("span", { style = ("width:%s%%"):format(at(100 * (phase.last - phase.first + 1) / moments)) },
      phase.name)
  end
  local said = ("Map of the arena: %s, %s buffers, %s moments"):format(page.bytes(memory.bytes),
    page.whole(#memory.buffers), page.whole(moments))
  return h("div", nil, h("div", { class = "map" },
    h("div", { class = "addresses", ["aria-hidden"] = "true" }, h("span", nil, page.bytes(memory.bytes)),
      h("span", nil, "0")),
    h("svg", { class = "arena", role = "img", ["aria-label"] = said }, boxes, lines, labels),
    h("div", { class = "phases" }, phases)), legend(memory))
end

return charts
