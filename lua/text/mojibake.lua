-- SPDX-License-Identifier: Apache-2.0
--- Whether a text was read in another encoding than it was written in ("SjÃ¶gren"): sequences of characters that hardly
-- anyone means. The sets and sequences are those by which ftfy 6.3.1 (Apache-2.0, Copyright 2023 Robyn Speer) tells.

local characters = require "text.characters"

local mojibake = {}

local set, NOTHING = characters.set, {}

local c1 = set "\u{80}-\u{9F}"
local common = set "\u{A0}\u{AD}·´–—―…’"
local bad = set "¦¤¨¬¯¸ƒˆˇ˘˛˜†‡‰⌐◊\u{FFFD}ªº"
local law = set "¶§"
local currency = set "¢£¥₧€"
local opening = set "¡«¿©΄΅‘‚“„•‹\u{F8FF}"
local closing = set "®»˝”›™"
local numeric = set "²³¹±¼½¾×µ÷⁄∂∆∏∑√∞∩∫≈≠≡≤≥№"
local faces = set "Ò-ÖÙ-Üò-öø-üŐŌŪŲ°"
local capital = set "À-ÑØÜÝĂĀĄĆČĎĐĘĚĒĖĞĢİĪĶĹĽŁĻŃŇŅŒŘŚŞŠŢŤŮŰŸŹŻŽҐ"
local small = set "ßà-ñăąāćčďđęěēėğģįīķĺľłļœŕśşšťüźżžґﬁﬂ"
local plain_capital = set "ÞΑ-ΩΆΈΉΊΌΎΏΪΫЁ-Я"
local plain_small = set "α-ωάέήίΰа-џ"
local box = set "│┌┐┘├┤┬┼═-╬▀▄█▌▐░▒▓"

local latin, latin_small = set "a-zA-Z", set "a-z"
local function any(...) return set("", ...) end
local function but(other)
  return setmetatable({}, { __index = function(_, code) return not other[code] end })
end

local letters = any(small, capital)
local marks = any(opening, closing)
local signs = any(letters, box, marks, currency, numeric, law)
local windows_1251 = set "ВГРС"
local windows_1253 = set "ΒΓΞΟ"
local between = any(c1, bad, marks, currency, set "°")
local arabic = any(common, currency, bad, numeric, opening, set "ŸŠ®°µ»")
local accented_a = set "ÂÃ"

-- Each a sequence of sets.
local SEQUENCES = {
  { c1 },
  { any(bad, signs), bad },
  { latin, any(plain_small, plain_capital), bad },
  { bad, signs },
  { any(small, plain_small, box, closing, currency, numeric), capital },
  { any(box, closing, currency, numeric), small },
  { any(small, box, closing), currency },
  { characters.space, capital, currency },
  { any(capital, box), any(numeric, law) },
  { any(letters, box, currency, closing), opening, numeric },
  { any(letters, currency, numeric, box, law), closing, opening },
  { any(currency, numeric, box), opening },
  { latin_small, capital, any(opening, currency) },
  { box, faces },
  { any(letters, currency, numeric, marks, law), box },
  { box, closing },
  { letters, marks, characters.word },
  { set "Œœ", but(latin) },
  { capital, set "°" },
  { set "ÂÃÎÐ", any(marks, set "€œŠš¢£Ÿž\u{A0}\u{AD}®©°·»–—´") },
  { set "×", set "²³" },
  { set "ØÙ", arabic, set "ØÙ", arabic },
  { set "à", set "²µ¹¼½¾" },
  { set "√", set "±∂†≠®™´≤≥¥µø" },
  { set "≈", set "°¢" },
  { set "‚", set "Ä", set "ìîïòôúùû†°¢π" },
  { set "‚", set "âó", set "àä°ê" },
  { set "в", set "Ђ" },
  { windows_1251, any(between, set "µ"), windows_1251 },
  { set "Г", set "ў", set "В", set "Ђ", set "В", but(set "\n"), any(latin, set " ") },
  { set "Ã", set "\u{A0}¡" },
  { latin_small, accented_a, set " " },
  { latin_small, characters.space, accented_a, set " " },
  { any(latin_small, set ".,?!", closing), set "Â", any(set " ", marks) },
  { set "β", set "€", set "™\u{A0}Ά\u{AD}®°" },
  { windows_1253, between, windows_1253 },
  { set "ā", set "€" },
  first = { { accented_a, set " " } }, -- where a text begins
}

local function is_at(list, at, sequence)
  for i = 1, #sequence do
    if not list[at + i - 1] or not sequence[i][list[at + i - 1]] then return false end
  end
  return true
end

--- The first such sequence in a text, as a text; nil where there is none.
function mojibake.find(text)
  if not text:find "[\x80-\xFF]" then return nil end
  local list = characters.codes(text)
  for at = 1, #list do
    for _, sequences in ipairs { SEQUENCES, at == 1 and SEQUENCES.first or NOTHING } do
      for _, sequence in ipairs(sequences) do
        if is_at(list, at, sequence) then return utf8.char(table.unpack(list, at, at + #sequence - 1)) end
      end
    end
  end
end

return mojibake
