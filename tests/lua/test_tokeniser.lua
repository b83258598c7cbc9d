-- SPDX-License-Identifier: Apache-2.0
-- CLIP's tokeniser: OpenAI's own tokens of the golden strings, and what Python's ftfy, html, str.lower and regex make
-- of others.

local spec = require "spec"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses
local json = spec.host "msagen.json"
if not json then return end
local clean = require "text.clean"
local sys = require "msagen.sys"
local tokeniser = require "text.tokeniser"

local function tokens(text) return (tokeniser.tokens(text)) end

describe("golden strings", function()
  local path = msagen.datadir .. "/tests/golden-clip/tokeniser/case.json"
  for i, case in ipairs(json.decode(sys.read_file(path), path).cases) do
    it(("%d, %.40s"):format(i, case.text:gsub("%c", " ")), function()
      local needs = table.concat(case.needs or {}, " ")
      if needs:find "fix_encoding" then
        refuses(function() tokens(case.text) end, case.text, "another encoding")
      elseif case.text == "<|endoftext|>" then
        refuses(function() tokens(case.text) end, "<|endoftext|>: expected a text without")
      else
        local list, count = tokeniser.tokens(case.text)
        equal(list, case.ids)
        equal(count, case.truncated_from or #case.ids)
        equal(clean(case.text), case.clean)
      end
    end)
  end
end)

describe("the tables", function()
  it("are those whose source data/clip/README.md says", function()
    equal(require "msagen.sha256".file(msagen.datadir .. "/data/clip/merges.txt.gz"),
      "eae7c322bbb1b0d9c834e42e76001df44e2c345292481ead88d21fca8c1733e0")
    equal(tokeniser.count(), 49408)
  end)
  it("that are no gzip are refused", function()
    local folder = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-tokeniser-")
    sys.cleanup(folder)
    local gzip, whole = require "msagen.gzip", sys.read_file(msagen.datadir .. "/data/clip/merges.txt.gz")
    sys.write_file(folder .. "/short.gz", whole:sub(1, 5000))
    sys.write_file(folder .. "/bad.gz", whole:sub(1, 5000) .. "x" .. whole:sub(5002))
    for _, name in ipairs { "short", "bad" } do
      refuses(function() gzip.read(("%s/%s.gz"):format(folder, name)) end, name .. ".gz", "damaged")
    end
    refuses(function() gzip.read(folder .. "/none.gz") end, "none.gz", "cannot be read")
    sys.remove_tree(folder)
  end)
end)

describe("texts are cleaned:", function()
  local function becomes(text, expected)
    it(("%q"):format(text), function() equal(clean(text), expected) end)
  end
  -- HTML: with semicolons alone while no < is there, and then twice as HTML itself has it
  becomes("&AMP &ampx &amp;amp;lt; &EACUTE; &#x2019; &#150; &notit; &bogus; &", "& &x < é ' – ¬it; &bogus; &")
  becomes("<b>&EACUTE;&NotEqualTilde;</b> &#0; &#1; &#xD800; &#99999999999;",
    "<b>&eacute;≂̸</b> \u{FFFD} \u{FFFD} \u{FFFD}")
  becomes("R&D &#x;&#;", "r&d &#x;&#;")
  -- ftfy
  becomes("ŉ Ǆ ﬃ ﬅ ｶﾞ ￦ ‚‟‛", "'n dž ffi ſt ガ ₩ '\"'")
  becomes("a\27[1;31mb\1\u{FEFF}c\u{FFFC}\u{206A}d", "abcd")
  becomes("a\rb\r\nc\u{2029}d\u{1680}e\u{202F}f\u{205F}", "a b c d e f")
  becomes("a\u{200B}b \u{AD}", "a\u{200B}b \u{AD}")
  becomes("u\u{308}\u{304} \u{1100}\u{1161}\u{11A8} \u{212B} \u{2126}", "ǖ 각 å ω")
  -- lower case
  becomes("ΟΔΟΣ. Σ ΣΑΣ' ΑΣ\u{301} Α'Σ Σ's", "οδος. σ σας' ας\u{301} α'ς σ's")
  becomes("İI ẞ ǅ Ⓐ Ⅷ Ა", "i̇i ß dž ⓐ ⅷ ა")
end)

describe("words", function()
  it("are contractions, letters, single numbers, and all else", function()
    equal(tokens "it’S 'ſ x²½ 'n\u{345}'t", tokens "it 's 'ſ x ² ½ ' n 't")
    equal(tokens "ab12 3.5!?", tokens "ab 1 2 3 . 5 !?")
  end)
  it("that mean the start are its token", function()
    equal(tokens "a<|StartOfText|>b", { 49406, 320, 49406, 321, 49407 })
  end)
  it("that mean the end are refused, however they are written", function()
    for _, text in ipairs { "a <|endoftext|> b", "<|ENDOFTEXT|>", "&lt;|endoftext|&gt;" } do
      refuses(function() tokens(text) end, text .. ": expected a text without <|endoftext|>")
    end
  end)
  it("beyond the context are left out, but for the end", function()
    local list, count = tokeniser.tokens("optic disc optic disc", 4)
    equal(list, { 49406, 24755, 10712, 49407 })
    equal(count, 6)
  end)
end)

describe("a text in the wrong encoding is refused:", function()
  for _, text in ipairs { "MÃ©niÃ¨re", "donâ€™t", "SjÃ¶gren", "5 Âµm", "37 Â°C", "Ð´Ð¸ÑÐº", "naÃ¯ve", "Â£5", "fÃ¼r",
    "вЂњdisc", "â€œdisc", "na√Øve √±", "caf\u{C3}\u{A9}", "a\u{92}b" } do
    it(text, function() refuses(function() tokens(text) end, "another encoding") end)
  end
  it("or one without end", function()
    refuses(function() tokens(("x"):rep(20000)) end, "expected a text of at most 16384 bytes, found 20000")
  end)
  it("bytes that are no UTF-8", function() refuses(function() tokens "a\xE9b" end, "a\\xe9b", "UTF-8") end)
end)

describe("a text in the right encoding is none of these:", function()
  for _, text in ipairs { "échographie de l’épaule", "œdème", "Größe ±2 µm", "Å", "3 cm²", "½–¾ × 5", "37 °C", "Її Ці",
    "«élan»", "CAFÉ – “été”", "Müller’s", "ΔΙΣΚΟΣ", "naïve", "ß-carotene", "視神経乳頭", "≥ 5 mm", "†", "n° 5", "§ 4" } do
    it(text, function() assert(#tokens(text) > 2) end)
  end
end)
