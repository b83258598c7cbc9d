-- SPDX-License-Identifier: Apache-2.0
--- Sets of characters, and texts as lists of them. Texts are UTF-8.

local unicode = require "msagen.unicode"

local characters = {}

--- The code points of a text.
function characters.codes(text)
  local list = {}
  for _, code in utf8.codes(text) do list[#list + 1] = code end
  return list
end

--- The set of the characters of a text, in which a dash between two stands for all from the one to the other, and of
-- further sets.
function characters.set(text, ...)
  local set, list, i = {}, characters.codes(text), 1
  while i <= #list do
    local last = list[i + 1] == 45 and list[i + 2] or list[i] -- 45 is a dash
    for code = list[i], last do set[code] = true end
    i = i + (list[i + 1] == 45 and 3 or 1)
  end
  for _, other in ipairs { ... } do
    for code in pairs(other) do set[code] = true end
  end
  return set
end

--- What Python takes for white space.
characters.space = characters.set("\t-\r\x1C-\x20\u{85}\u{A0}\u{1680}\u{2000}-\u{200A}\u{2028}\u{2029}\u{202F}"
  .. "\u{205F}\u{3000}")

local function cached(of, with)
  return setmetatable(with or {}, { __index = function(set, code)
    set[code] = of(code)
    return set[code]
  end })
end

-- Letters and numbers of Unicode 15, which the library may not know.
characters.letter = cached(unicode.is_letter, characters.set("\u{1123F}\u{11240}\u{11F02}\u{11F04}-\u{11F10}"
  .. "\u{11F12}-\u{11F33}\u{1B132}\u{1B155}\u{1DF25}-\u{1DF2A}\u{1E030}-\u{1E06D}\u{1E4D0}-\u{1E4EB}"
  .. "\u{1342F}\u{13441}-\u{13446}\u{2B739}\u{31350}-\u{323AF}"))
characters.number = cached(unicode.is_number, characters.set
  "\u{11F50}-\u{11F59}\u{1D2C0}-\u{1D2D3}\u{1E4F0}-\u{1E4F9}")

--- What Python's \w is.
characters.word = cached(function(code)
  return code == 95 or characters.letter[code] or characters.number[code] -- 95 is _
end)

local SIGMA, SMALL, FINAL = 0x3A3, 0x3C3, 0x3C2

-- The nearest character on one side that case does not pass over, if it has a case.
local function cased_beside(list, at, by)
  at = at + by
  while list[at] and unicode.is_case_ignorable(list[at]) do at = at + by end
  return list[at] ~= nil and unicode.is_cased(list[at])
end

--- A text in lower case; a sigma behind a letter and before none is a final one.
function characters.lower(text)
  local list = characters.codes(text)
  local out = table.move(list, 1, #list, 1, {})
  for i, code in ipairs(list) do
    if code == SIGMA then
      out[i] = cased_beside(list, i, -1) and not cased_beside(list, i, 1) and FINAL or SMALL
    end
    out[i] = utf8.char(out[i])
  end
  return unicode.lower(table.concat(out))
end

return characters
