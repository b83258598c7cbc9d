-- SPDX-License-Identifier: Apache-2.0
--- Tables of comma-separated values as RFC 4180 describes them: fields in quotes may hold commas, quotes (doubled) and
-- ends of lines. A byte order mark and CRLF are taken.
local closed = require "support.closed"
local fail = require "support.fail"

local csv = {}

local MAX_BYTES = 64 << 20
local MAX_FIELDS = 256

-- One field that begins at `at`: its text, where what follows it stands, and the lines within it.
local function field_at(text, at, path, line)
  if text:sub(at, at) ~= '"' then
    local last = text:find("[,\r\n]", at) or #text + 1
    local plain = text:sub(at, last - 1)
    if plain:find('"', 1, true) then
      fail("%s:%d: expected quotes around a whole field, found one within %s", path, line,
        (plain:sub(1, 60):gsub("%c", " ")))
    end
    return plain, last, 0
  end
  local from, pieces = at + 1, {}
  while true do
    local quote = text:find('"', from, true)
    if not quote then fail("%s:%d: expected a quote at the end of the field, found the end of the file", path, line) end
    pieces[#pieces + 1] = text:sub(from, quote - 1)
    if text:sub(quote + 1, quote + 1) ~= '"' then
      local next_byte = text:sub(quote + 1, quote + 1)
      if not next_byte:match "^[,\r\n]?$" then
        fail("%s:%d: expected a comma after a field in quotes, found %s", path, line, (next_byte:gsub("%c", " ")))
      end
      local value = table.concat(pieces, '"')
      return value, quote + 1, select(2, value:gsub("\n", ""))
    end
    from = quote + 2
  end
end

--- All rows of a text: a list of lists of fields, each with `line`, the number of its first line. Empty lines count as
-- none. @param path for messages
function csv.rows(text, path)
  local rows, at, line = {}, text:sub(1, 3) == "\xEF\xBB\xBF" and 4 or 1, 1
  while at <= #text do
    local row = { line = line }
    repeat
      local value, after, lines = field_at(text, at, path, line)
      row[#row + 1], line = value, line + lines
      if #row > MAX_FIELDS then fail("%s:%d: expected at most %d fields, found more", path, row.line, MAX_FIELDS) end
      local comma = text:sub(after, after) == ","
      at = after + (comma and 1 or 0)
    until not comma
    if text:sub(at, at) == "\r" then at = at + 1 end
    if text:sub(at, at) == "\n" then at, line = at + 1, line + 1
    elseif at <= #text then
      fail("%s:%d: expected the end of the line after its last field, found a carriage return alone", path, line)
    end
    if #row > 1 or row[1] ~= "" then rows[#rows + 1] = row end
  end
  return rows
end

--- The records of a file with a header: { [column] = text or nil where it is empty, line = number }.
-- @param columns { name = true where it is required, or false }
function csv.read(path, columns)
  local rows = csv.rows(require("msagen.sys").read_file(path, MAX_BYTES), path)
  local header, known, place = rows[1], closed.sorted(columns), {}
  if not header then fail("%s: expected a header %s, found an empty file", path, table.concat(known, ",")) end
  for i, name in ipairs(header) do
    if columns[name] == nil then
      fail("%s:1: expected columns among %s, found %s%s", path, table.concat(known, ", "),
        name == "" and "one without a name" or (name:sub(1, 60):gsub("%c", " ")), closed.hint(name, known))
    end
    if place[name] then fail("%s:1: expected each column once, found %s twice", path, name) end
    place[name] = i
  end
  for _, name in ipairs(known) do
    if columns[name] and not place[name] then fail("%s:1: expected a column %s, found none", path, name) end
  end
  local records = {}
  for r = 2, #rows do
    local row, record = rows[r], { line = rows[r].line }
    if #row ~= #header then
      fail("%s:%d: expected %d fields as in the header, found %d", path, row.line, #header, #row)
    end
    for name, i in pairs(place) do
      if row[i] ~= "" then record[name] = row[i] end
      if columns[name] and row[i] == "" then fail("%s:%d: %s: expected a text, found none", path, row.line, name) end
    end
    records[r - 1] = record
  end
  return records
end

--- A row as a line; what needs quotes gets them. @param values texts and numbers, false for an empty field
function csv.line(values)
  local texts = {}
  for i, value in ipairs(values) do
    local text = value and tostring(value) or ""
    texts[i] = text:find '[,"\r\n]' and '"' .. text:gsub('"', '""') .. '"' or text
  end
  return table.concat(texts, ",") .. "\n"
end

return csv
