-- SPDX-License-Identifier: Apache-2.0
--- Text laid out in columns for a person: facts, tables and paragraphs, none wider than asked for. Widths are in
-- characters.
local layout = {}

local GAP, SPILL = 2, 4 -- blanks between columns, and before what stands below its row
local LEAST_LAST = 24 -- columns; with less room the last cells stand below their rows
local DOTS = "..."

local function length(text) return utf8.len(text) or #text end

-- The characters from one to another, of bytes where the text is no UTF-8.
local function part(text, from, to)
  if not utf8.len(text) then return text:sub(from, to) end
  return text:sub(utf8.offset(text, from), (utf8.offset(text, to + 1) or 0) - 1)
end

--- A text no wider than asked for: of a longer one, beginning and end.
function layout.shortened(text, width)
  local long = length(text)
  if long <= width then return text end
  local kept = math.max(width - #DOTS, 2)
  return part(text, 1, kept // 2) .. DOTS .. part(text, long - (kept - kept // 2) + 1, long)
end

--- A text in lines of a width, broken at blanks; a word that is longer has a line of its own.
-- @param first the width of the first line, where it differs
function layout.wrapped(text, width, first)
  local lines, line, room = {}, nil, first or width
  for word in text:gmatch "%S+" do
    if line and length(line) + 1 + length(word) > room then
      lines[#lines + 1], line, room = line, nil, width
    end
    line = line and line .. " " .. word or word
  end
  lines[#lines + 1] = line or ""
  return lines
end

--- A text behind a beginning, in lines; those after the first are indented as far, or by `indent`.
function layout.hanging(begin, text, width, indent)
  indent = indent or length(begin)
  local lines = layout.wrapped(text, width - indent, width - length(begin))
  for i, line in ipairs(lines) do
    lines[i] = (i == 1 and begin or (" "):rep(indent)) .. line
  end
  lines[1] = lines[1]:match "^(.-)%s*$"
  return lines
end

--- Lines put after others. @return the list that has all of them
function layout.append(lines, more) return table.move(more, 1, #more, #lines + 1, lines) end

local function padded(text, width, right)
  local blanks = (" "):rep(width - length(text))
  return right and blanks .. text or text .. blanks
end

-- Widths of all columns but the last, after the one that may be shortened has been.
local function widths_of(rows, how)
  local widths, sum = {}, 0
  for _, row in ipairs(rows) do
    for i = 1, #row - 1 do widths[i] = math.max(widths[i] or 0, length(row[i])) end
  end
  for _, width in ipairs(widths) do sum = sum + width + GAP end
  local over = sum - GAP - how.width
  if how.shorten and over > 0 then
    widths[how.shorten] = math.max(widths[how.shorten] - over, 2 + #DOTS)
    sum = sum - over
  end
  return widths, sum
end

--- Rows of texts, all with as many, as lines. The last cell is wrapped; where there is little room for it, it stands
-- below its row, and the heading goes without. The first row is the heading.
-- @param how { width =, right = { [column] = true } for numbers, shorten = the column whose texts may be, paint =
-- function(style, text) or nil }
function layout.table(rows, how)
  local widths, sum = widths_of(rows, how)
  local room, longest, lines = how.width - sum, 0, {}
  for _, row in ipairs(rows) do longest = math.max(longest, length(row[#row])) end
  local below = longest > room and room < LEAST_LAST
  for i, row in ipairs(rows) do
    local cells, last = {}, row[#row]
    for column, width in ipairs(widths) do
      local text = how.shorten == column and layout.shortened(row[column], width) or row[column]
      cells[column] = padded(text, width, how.right and how.right[column])
    end
    local begin = table.concat(cells, (" "):rep(GAP))
    if below then
      lines[#lines + 1] = begin:match "^(.-)%s*$"
      if last ~= "" and i > 1 then
        layout.append(lines, layout.hanging((" "):rep(SPILL), last, how.width))
      end
    else
      layout.append(lines, layout.hanging(begin .. (#cells > 0 and (" "):rep(GAP) or ""), last, how.width))
    end
    if i == 1 and how.paint then lines[1] = how.paint("heading", lines[1]) end
  end
  return lines
end

--- Facts, { what, text, style = of what or nil, shorten = true where the text may be }, as lines; texts are wrapped
-- behind a common column.
function layout.facts(rows, how)
  local widest, lines = 0, {}
  for _, row in ipairs(rows) do widest = math.max(widest, length(row[1])) end
  for _, row in ipairs(rows) do
    local text = row.shorten and layout.shortened(row[2], how.width - widest - GAP) or row[2]
    local hung = layout.hanging(padded(row[1], widest + GAP), text, how.width)
    if how.paint then hung[1] = how.paint(row.style or "heading", row[1]) .. hung[1]:sub(#row[1] + 1) end
    layout.append(lines, hung)
  end
  return lines
end

--- Bytes with their unit, to three digits or so: 104 B, 140.3 KiB, 8.8 MiB.
function layout.bytes(n)
  if n < 1024 then return ("%.0f B"):format(n) end
  for _, unit in ipairs { "KiB", "MiB", "GiB" } do
    n = n / 1024
    if n < 1023.95 or unit == "GiB" then return ("%.1f %s"):format(n, unit) end
  end
end

return layout
