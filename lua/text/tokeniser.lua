-- SPDX-License-Identifier: Apache-2.0
--- CLIP's tokeniser: a text is cleaned and cut into words, whose bytes become the tokens of a table of merges, the
-- lowest-ranked pair first. data/clip/README.md says where the table is from.

local characters = require "text.characters"
local clean = require "text.clean"
local fail = require "support.fail"
local gzip = require "msagen.gzip"
local names = require "import.names"

local tokeniser = { context = 77, last = 49407 } -- tokens of a text; that of its end

local START, END = "<|startoftext|>", "<|endoftext|>"
local LAST = "</w>" -- behind a word's last symbol

-- Bytes as symbols, in the order of their tokens: those that can be printed stand for themselves, others for characters
-- from U+0100 on.
local function byte_symbols()
  local order, symbol, other = {}, {}, 0x100
  for _, range in ipairs { { 0x21, 0x7E }, { 0xA1, 0xAC }, { 0xAE, 0xFF } } do
    for byte = range[1], range[2] do
      order[#order + 1], symbol[byte] = byte, utf8.char(byte)
    end
  end
  for byte = 0, 255 do
    if not symbol[byte] then
      order[#order + 1], symbol[byte] = byte, utf8.char(other)
      other = other + 1
    end
  end
  return order, symbol
end

-- { symbol = of a byte, rank = of "a b", id = of a symbol, count = of tokens }
local function read_table()
  local path, order, t = msagen.datadir .. "/data/clip/merges.txt.gz", nil, { rank = {}, id = {} }
  order, t.symbol = byte_symbols()
  local id = 0
  local function add(symbol)
    t.id[symbol] = id
    id = id + 1
  end
  for _, byte in ipairs(order) do add(t.symbol[byte]) end
  for _, byte in ipairs(order) do add(t.symbol[byte] .. LAST) end
  local rank, first = 0, true
  for line in gzip.read(path):gmatch "[^\n]+" do
    local a, b = line:match "^(%S+) (%S+)$"
    if not first then
      if not a then fail("%s: expected two symbols in line %d, found %s", path, rank + 2, names.show(line)) end
      t.rank[line], rank = rank, rank + 1
      add(a .. b)
    end
    first = false
  end
  add(START)
  add(END)
  t.count = id
  return t
end

local the_table
local function tables()
  the_table = the_table or read_table()
  return the_table
end

-- ---- words ----

local CONTRACTIONS = { "'s", "'t", "'re", "'ve", "'m", "'ll", "'d" }

-- Without regard to case this mark is a letter, and so none of "all else", but it is no letter: no word has it.
local IOTA_BELOW = 0x345

-- Small letters that are the same without regard to case: the long s.
local function folded(text) return (text:gsub("ſ", "s")) end

-- Whether `what` stands at a place of the text; what it is there, or nil.
local function stands(text, at, what)
  local behind = utf8.offset(text, utf8.len(what) + 1, at)
  local there = behind and text:sub(at, behind - 1)
  return there and folded(there) == what and there or nil
end

local function fixed_word(text, at)
  for _, what in ipairs { START, END, table.unpack(CONTRACTIONS) } do
    local there = stands(text, at, what)
    if there then return there end
  end
end

local function kind(code)
  return characters.letter[code] and "letter" or characters.number[code] and "number"
    or (characters.space[code] or code == IOTA_BELOW) and "nothing" or "other"
end

-- The words of a clean text: what is special, contractions, letters, each number by itself, runs of all else.
local function words_of(text)
  local list, at = {}, 1
  while at <= #text do
    local word = fixed_word(text, at)
    if not word then
      local of, behind = kind(utf8.codepoint(text, at)), utf8.offset(text, 2, at)
      while behind <= #text and of ~= "number" and kind(utf8.codepoint(text, behind)) == of do
        behind = utf8.offset(text, 2, behind)
      end
      word = text:sub(at, behind - 1)
      if of == "nothing" then word, at = nil, behind end
    end
    if word then
      list[#list + 1] = word
      at = at + #word
    end
  end
  return list
end

-- ---- merges ----

-- The place of the pair that is merged first, and its text; nil where there is none.
local function lowest(symbols, rank)
  local best, pair
  for i = 1, #symbols - 1 do
    local one = symbols[i] .. " " .. symbols[i + 1]
    if rank[one] and (not best or rank[one] < best) then best, pair = rank[one], one end
  end
  return pair
end

local function merged(symbols, pair)
  local out, i = {}, 1
  while i <= #symbols do
    if symbols[i + 1] and symbols[i] .. " " .. symbols[i + 1] == pair then
      out[#out + 1], i = symbols[i] .. symbols[i + 1], i + 2
    else
      out[#out + 1], i = symbols[i], i + 1
    end
  end
  return out
end

-- The tokens of a word, behind those of a list.
local function add_tokens(t, word, list)
  if word == START or word == END then
    list[#list + 1] = t.id[word]
    return
  end
  local symbols = {}
  for i = 1, #word do symbols[i] = t.symbol[word:byte(i)] end
  symbols[#symbols] = symbols[#symbols] .. LAST
  while true do
    local pair = lowest(symbols, t.rank)
    if not pair then break end
    symbols = merged(symbols, pair)
  end
  for _, symbol in ipairs(symbols) do list[#list + 1] = t.id[symbol] end
end

--- How many tokens there are.
function tokeniser.count() return tables().count end

--- The tokens of a text, from the start's to the end's. A longer text than `context` tokens keeps its first ones, and
-- the end. @return the tokens, and how many there were
function tokeniser.tokens(text, context)
  local t, cleaned = tables(), clean(text)
  local list = { t.id[START] }
  for _, word in ipairs(words_of(cleaned)) do
    if word == END then
      fail("%s: expected a text without %s, which ends every text, found it inside", names.show(text), END)
    end
    add_tokens(t, word, list)
  end
  list[#list + 1] = t.id[END]
  local count = #list
  context = context or tokeniser.context
  if count > context then
    list = table.move(list, 1, context - 1, 1, {})
    list[context] = t.id[END]
  end
  return list, count
end

return tokeniser
