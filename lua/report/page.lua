-- SPDX-License-Identifier: Apache-2.0
--- A page of HTML in one file: elements whose texts are escaped by the way they are made, the document around them, its
-- style, and tables, figures and numbers as all pages have them. Nothing is loaded from elsewhere and no script is run;
-- the document's own policy says so, too. The same calls give the same bytes.
--
-- A node is { markup = text }. Children of an element are nodes, texts and numbers, which are escaped, or lists of
-- these; false and nil are left out.
local closed = require "support.closed"
local style = require "report.style"

local page = {}

-- Elements without an end, as far as pages have them.
local VOID = { meta = true, img = true, br = true }

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }
local REPLACED = "\u{FFFD}"

-- Controls of C1, of the direction of writing, and line separators: what would make a name look like another.
local function hidden(code)
  return code >= 0x80 and code <= 0x9F or code >= 0x200E and code <= 0x200F or code >= 0x2028 and code <= 0x202E
    or code >= 0x2066 and code <= 0x2069 or code == 0xFEFF or code >= 0xFFFE and code <= 0xFFFF
end

-- Bytes that are no UTF-8, and characters that would not be seen, each as one that says so.
local function readable(text)
  local out, at = {}, 1
  while at <= #text do
    local good, bad = utf8.len(text, at)
    local last = good and #text or bad - 1
    for _, code in utf8.codes(text:sub(at, last)) do out[#out + 1] = hidden(code) and REPLACED or utf8.char(code) end
    if bad then out[#out + 1] = REPLACED end
    at = last + 2
  end
  return table.concat(out)
end

--- Any text as HTML shows it, in content and in attributes.
function page.escape(text)
  if text:find "[\128-\255]" then text = readable(text) end
  text = text:gsub("[\0-\8\11-\31\127]", REPLACED)
  return (text:gsub("[&<>\"']", ENTITIES))
end

local function add(out, child)
  if not child then return end
  if type(child) ~= "table" then out[#out + 1] = page.escape(tostring(child))
  elseif child.markup then out[#out + 1] = child.markup
  else
    for _, one in ipairs(child) do add(out, one) end
  end
end

--- An element. @param attributes name -> text, number, or true for one without a value; or nil
-- @return a node
function page.element(name, attributes, ...)
  local out = { "<", name }
  for _, key in ipairs(closed.sorted(attributes or {})) do
    local value = attributes[key]
    if value == true then out[#out + 1] = " " .. key
    elseif value then out[#out + 1] = (' %s="%s"'):format(key, page.escape(tostring(value))) end
  end
  out[#out + 1] = ">"
  for i = 1, select("#", ...) do add(out, (select(i, ...))) end
  if not VOID[name] then out[#out + 1] = ("</%s>"):format(name) end
  return { markup = table.concat(out) }
end

local h = page.element

-- ---- numbers ----

local NONE = "–"

--- Whether a value is a number that can be shown.
function page.finite(value)
  return math.type(value) ~= nil and value == value and value ~= math.huge and value ~= -math.huge
end

--- A number with so many decimals; a dash for what is none, or not defined.
function page.decimal(value, digits)
  if not page.finite(value) then return NONE end
  local text = ("%." .. digits .. "f"):format(value)
  if not text:find "[1-9]" then text = text:gsub("^%-", "") end
  return (text:gsub("^%-", "\u{2212}"))
end

--- A whole number in groups of three; a dash for what is none.
function page.whole(value)
  local whole = page.finite(value) and math.tointeger(value)
  if not whole then return NONE end
  local digits = ("%d"):format(whole):gsub("^%-", "")
  local text = digits:reverse():gsub("(%d%d%d)", "%1 "):reverse():gsub("^ ", ""):gsub(" ", "\u{202F}")
  return (whole < 0 and "\u{2212}" or "") .. text
end

--- Bytes as people read them.
function page.bytes(value)
  if not page.finite(value) then return NONE end
  local unit, size = "B", value
  for _, larger in ipairs { "KiB", "MiB", "GiB" } do
    if size >= 1024 then unit, size = larger, size / 1024 end
  end
  return unit == "B" and page.whole(value) .. "\u{A0}B" or ("%.1f\u{A0}%s"):format(size, unit)
end

-- ---- parts of a page ----

--- A section with its heading; nothing where it has no content.
function page.section(id, title, ...)
  return h("section", { id = id }, h("h2", nil, title), ...)
end

--- A paragraph for people: what a picture means, what is missing.
function page.note(...) return h("p", { class = "note" }, ...) end

-- @param texts whether cells stand below each other on a narrow page: each says its column then, and what it is, which
-- a browser takes from a table's layout
local function row_of(columns, cells, class, texts)
  local out = {}
  for i, column in ipairs(columns) do
    out[i] = h(i == 1 and "th" or "td", { class = column.number and "number" or column.class,
      scope = i == 1 and "row" or nil, role = texts and (i == 1 and "rowheader" or "cell") or nil,
      ["data-column"] = texts and i > 1 and column.name or nil }, cells[i])
  end
  return h("tr", { class = class, role = texts and "row" or nil }, out)
end

-- Whether a table is of texts: what two columns of words hold is read by rows.
local function is_of_texts(columns)
  local count = 0
  for _, column in ipairs(columns) do count = count + (column.class == "word" and 1 or 0) end
  return count >= 2
end

--- A table that scrolls in a box of its own where the page is narrower; of texts, its rows' cells stand below each
-- other there.
-- @param t { caption, columns = {{ name, number = right-aligned, class }...}, rows = {{ cells..., class = of the
-- row }...}, wide = as wide as the page }
function page.table(t)
  local head, rows, texts = {}, {}, is_of_texts(t.columns)
  local function role(name) return texts and name or nil end
  for i, column in ipairs(t.columns) do
    head[i] = h("th", { scope = "col", class = column.number and "number" or column.class,
      role = role "columnheader" }, column.name)
  end
  for i, cells in ipairs(t.rows) do rows[i] = row_of(t.columns, cells, cells.class, texts) end
  return h("figure", { class = t.wide and "wide" or "table" }, t.caption and h("figcaption", nil, t.caption),
    h("div", { class = "scroll", role = "region", tabindex = 0, ["aria-label"] = t.caption },
      h("table", { class = role "texts", role = role "table" }, h("thead", { role = role "rowgroup" },
        h("tr", { role = role "row" }, head)), h("tbody", { role = role "rowgroup" }, rows))))
end

--- Names with values, in order. @param list {{ name, value }...}
function page.facts(list)
  local out = {}
  for i, one in ipairs(list) do out[i] = h("div", nil, h("dt", nil, one.name), h("dd", nil, one.value)) end
  return h("dl", { class = "facts" }, out)
end

--- What is seen only when it is asked for.
function page.details(summary, ...) return h("details", nil, h("summary", nil, summary), ...) end

local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

-- Two digits of base 64 for each 12 bits.
local TWO = {}
for i = 0, 4095 do
  local high, low = i >> 6, i & 63
  TWO[i] = DIGITS:sub(high + 1, high + 1) .. DIGITS:sub(low + 1, low + 1)
end

local function base64(bytes)
  local out, whole = {}, #bytes // 3 * 3
  for i = 1, whole, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    out[#out + 1] = TWO[a << 4 | b >> 4] .. TWO[(b & 15) << 8 | c]
  end
  local a, b = bytes:byte(whole + 1, whole + 2)
  if b then out[#out + 1] = TWO[a << 4 | b >> 4] .. TWO[(b & 15) << 8]:sub(1, 1) .. "="
  elseif a then out[#out + 1] = TWO[a << 4] .. "==" end
  return table.concat(out)
end

--- Pictures side by side. @param list {{ title, caption, png = bytes, alt = text instead of both }...}
function page.pictures(list)
  local out = {}
  for i, one in ipairs(list) do
    assert(one.png:sub(1, 8) == "\137PNG\r\n\26\n" and #one.png >= 24, "page: a picture is a PNG")
    local width, height = (">I4I4"):unpack(one.png, 17)
    local alt = one.alt or one.caption and ("%s. %s"):format(one.title, one.caption) or one.title
    out[i] = h("figure", { class = "picture" },
      h("img", { src = "data:image/png;base64," .. base64(one.png), alt = alt, width = width, height = height }),
      h("figcaption", nil, h("b", nil, one.title), one.caption and h("br"), one.caption))
  end
  return h("div", { class = "gallery" }, out)
end

--- The document.
-- @param t { title, subtitle, footer, sections = {{ id, title, ... nodes }...} }: a section without nodes is left out
-- @return the text of the file
function page.document(t)
  local links, sections = {}, {}
  for _, s in ipairs(t.sections) do
    if s[1] then
      links[#links + 1] = h("li", nil, h("a", { href = "#" .. s.id }, s.title))
      sections[#sections + 1] = page.section(s.id, s.title, s)
    end
  end
  local policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
  local head = h("head", nil, h("meta", { charset = "utf-8" }),
    h("meta", { ["http-equiv"] = "Content-Security-Policy", content = policy }),
    h("meta", { name = "viewport", content = "width=device-width, initial-scale=1" }),
    h("meta", { name = "color-scheme", content = "light dark" }), h("title", nil, t.title),
    h("style", nil, { markup = style.text }))
  local body = h("body", nil, h("header", nil, h("h1", nil, t.title), t.subtitle and h("p", nil, t.subtitle),
    #links > 1 and h("nav", { ["aria-label"] = "Sections" }, h("ul", nil, links))),
    h("main", nil, sections), h("footer", nil, t.footer))
  return "<!DOCTYPE html>\n" .. h("html", { lang = "en" }, head, body).markup .. "\n"
end

return page
