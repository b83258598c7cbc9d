-- SPDX-License-Identifier: Apache-2.0
--- A text as CLIP's tokeniser cleans it: the steps of ftfy but one, HTML's characters read twice, each white space one
-- space, lower case. Where ftfy would decode a text anew, it is refused.

local characters = require "text.characters"
local entities = require "text.entities"
local fail = require "support.fail"
local mojibake = require "text.mojibake"
local names = require "import.names"
local unicode = require "msagen.unicode"

-- Characters that stand for others: ligatures and digraphs of Latin letters, quotes, breaks of lines.
local PLAIN = { ["Ĳ"] = "IJ", ["ĳ"] = "ij", ["ŉ"] = "ʼn", ["Ǳ"] = "DZ", ["ǲ"] = "Dz", ["ǳ"] = "dz", ["Ǆ"] = "DŽ",
  ["ǅ"] = "Dž", ["ǆ"] = "dž", ["Ǉ"] = "LJ", ["ǈ"] = "Lj", ["ǉ"] = "lj", ["Ǌ"] = "NJ", ["ǋ"] = "Nj", ["ǌ"] = "nj",
  ["ﬀ"] = "ff", ["ﬁ"] = "fi", ["ﬂ"] = "fl", ["ﬃ"] = "ffi", ["ﬄ"] = "ffl", ["ﬅ"] = "ſt", ["ﬆ"] = "st",
  ["\u{3000}"] = " ", ["\u{2028}"] = "\n", ["\u{2029}"] = "\n", ["\u{85}"] = "\n" }
for code = 0xFF01, 0xFFEF do -- forms of full and half width
  local character = utf8.char(code)
  local normal = unicode.nfkc(character)
  if normal ~= character then PLAIN[character] = normal end
end

local QUOTES = { ["\u{2BC}"] = "'" }
for code = 0x2018, 0x201B do QUOTES[utf8.char(code)] = "'" end
for code = 0x201C, 0x201F do QUOTES[utf8.char(code)] = '"' end

-- Characters of control that are no white space.
local CONTROL = characters.set "\0-\8\11\14-\31\127\u{206A}-\u{206F}\u{FEFF}\u{FFF9}-\u{FFFC}"

local function refuse_mojibake(text, shown)
  local found = mojibake.find(text)
  if found then
    fail("%s: expected a text in UTF-8, found %s, as of a text that was read in another encoding than it was written "
      .. "in", shown, names.show(found))
  end
end

local function step(text, html, shown)
  if html then text = entities.read_plain(text) end
  refuse_mojibake(text, shown)
  text = text:gsub(utf8.charpattern, PLAIN):gsub(utf8.charpattern, QUOTES)
  text = text:gsub("\r\n", "\n"):gsub("\r", "\n")
  text = text:gsub("\27%[[%d;]*%a", "")
  text = text:gsub(utf8.charpattern, function(character) return CONTROL[utf8.codepoint(character)] and "" or nil end)
  return unicode.nfc(text)
end

-- Line by line; from the first < on, & is nothing of HTML's.
local function fixed(text, shown)
  local lines, html = {}, true
  for line in text:gmatch "[^\n]*\n?" do
    html = html and not line:find("<", 1, true)
    local before
    repeat
      before = line
      line = step(line, html, shown)
    until line == before
    lines[#lines + 1] = line
  end
  return table.concat(lines)
end

-- Runs of white space as one space each, none at the ends.
local function spaced(text)
  local words, word = {}, {}
  for _, code in utf8.codes(text .. " ") do
    if not characters.space[code] then word[#word + 1] = utf8.char(code)
    elseif #word > 0 then
      words[#words + 1] = table.concat(word)
      word = {}
    end
  end
  return table.concat(words, " ")
end

-- Far more than 77 tokens; the time that merges take grows with the square of a word.
local MOST_BYTES = 1 << 14

--- @param text UTF-8 @return as it is tokenised
return function(text)
  local shown = names.show(text)
  if #text > MOST_BYTES then fail("%s: expected a text of at most %d bytes, found %d", shown, MOST_BYTES, #text) end
  if not utf8.len(text) then fail("%s: expected a text in UTF-8, found other bytes", shown) end
  text = entities.read(entities.read(fixed(text, shown)))
  return characters.lower(spaced(text))
end
