-- SPDX-License-Identifier: Apache-2.0
-- What a person sees: columns that fit the terminal, and colours on terminals alone.

local spec = require "spec"
local describe, it, equal, holds = spec.describe, spec.it, spec.equal, spec.holds
local layout = require "support.layout"

local function longest(lines)
  local most = 0
  for _, line in ipairs(lines) do most = math.max(most, utf8.len(line)) end
  return most
end

describe("a text", function()
  it("is wrapped at blanks, and what follows a beginning is indented as far", function()
    equal(layout.wrapped("one two  three\nfour", 9), { "one two", "three", "four" })
    equal(layout.wrapped("", 9), { "" })
    equal(layout.wrapped("a disproportionate b", 9), { "a", "disproportionate", "b" })
    equal(layout.hanging("key  ", "one two three", 12), { "key  one two", "     three" })
    equal(layout.hanging("path: ", "one two three", 12, 2), { "path: one", "  two three" })
    equal(layout.hanging("key  ", "", 12), { "key" })
  end)

  it("is shortened in the middle, by characters and not by bytes", function()
    equal(layout.shortened("image_encoder", 13), "image_encoder")
    equal(layout.shortened("image_encoder", 10), "ima...oder")
    equal(layout.shortened("äöüäöüäöü", 7), "äö...öü")
    equal(layout.shortened("\xff\xff\xffabcdef", 7), "\xff\xff...ef")
  end)

  it("says bytes with their unit", function()
    local texts = {}
    for i, n in ipairs { 0, 104, 1023, 1024, 714752, 1048575, 9201664, 3 << 30, 5000 << 30 } do
      texts[i] = layout.bytes(n)
    end
    equal(texts, { "0 B", "104 B", "1023 B", "1.0 KiB", "698.0 KiB", "1.0 MiB", "8.8 MiB", "3.0 GiB", "5000.0 GiB" })
  end)
end)

describe("a table", function()
  local rows = { { "name", "n", "what" }, { "a", "1", "short" }, { "bcd", "234", "a longer text about it" } }

  it("has aligned columns, numbers at the right, the last wrapped", function()
    equal(layout.table(rows, { width = 80, right = { [2] = true } }),
      { "name    n  what", "a       1  short", "bcd   234  a longer text about it" })
    local long = { { "n", "what" }, { "1", "a text of more than forty characters, which is wrapped" } }
    equal(layout.table(long, { width = 40 }),
      { "n  what", "1  a text of more than forty characters,", "   which is wrapped" })
  end)

  it("has the last column below its rows where there is little room", function()
    equal(layout.table(rows, { width = 20 }), { "name  n", "a     1", "    short", "bcd   234", "    a longer text",
      "    about it" })
  end)

  it("shortens the column that may be", function()
    local wide = { { "tensor", "shape", "" }, { "image_encoder.blocks.0.attn.rel_pos_h", "[27,64]", "" } }
    equal(layout.table(wide, { width = 30, shorten = 1 }),
      { "tensor                 shape", "image_enc...rel_pos_h  [27,64]" })
  end)

  it("of facts has one column of texts, and paints what they are about", function()
    local function paint(style, text) return ("<%s %s>"):format(style, text) end
    equal(layout.facts({ { "file", "a.pth" }, { "warning", "so it is", style = "warning" } }, { width = 14,
      paint = paint }), { "<heading file>     a.pth", "<warning warning>  so it", "         is" })
    equal(layout.facts({ { "file", "a/long/path.pth", shorten = true } }, { width = 16 }), { "file  a/l....pth" })
  end)
end)

local sys = spec.host "msagen.sys"
if not sys then return end

local tiny = require "tiny_model"
local golden = msagen.datadir .. "/tests/golden/"

describe("80 columns", function()
  it("hold what inspect says of every golden checkpoint, tensors among it", function()
    local inspect, checkpoint = require "report.inspect", require "msagen.checkpoint"
    local seen = 0
    for _, case in ipairs(sys.list(golden)) do
      local path = ("%s%s/checkpoint.pth"):format(golden, case)
      if sys.exists(path) then
        seen = seen + 1
        local report = inspect.report(checkpoint.open(path))
        for _, part in ipairs { "text", "tensors_text" } do
          local most = longest(inspect[part](report, { width = 80 }))
          assert(most <= 80, ("%s: %s: %d columns"):format(case, part, most))
        end
      end
    end
    assert(seen > 20, seen)
  end)

  it("hold boards and a plan", function()
    local file = golden .. "msa-2023-3d/checkpoint.pth"
    for _, words in ipairs { { "boards" }, { "plan", file, "--depth", "5", "--board", "cortex-a53" },
      { "plan", file, "--depth", "5", "--board", "cortex-a53", "--weights", "stream" },
      { "inspect", file, file } } do
      local command = { tiny.program(), stdin = "/dev/null", stdout = "capture", stderr = "/dev/null",
        env = { COLUMNS = false } }
      local status, text = sys.spawn(layout.append(command, words))
      equal(status, 0)
      for line in text:gmatch "[^\n]+" do
        -- The path of the source tree is as long as it is.
        assert(utf8.len(line) <= 80 or line:find(file, 1, true), line)
      end
    end
  end)
end)

-- What is printed elsewhere.
local function output(words)
  local command = { tiny.program(), stdin = "/dev/null", stdout = "capture", stderr = "/dev/null",
    env = { COLUMNS = false } }
  local status, text = sys.spawn(layout.append(command, words))
  equal(status, 0)
  return text
end

-- What is printed on a terminal of so many columns, standard error among it.
local function on_terminal(words, columns, env)
  local command = layout.append({ "stty", "cols", tostring(columns), "&&", "exec", tiny.program() }, words)
  env.COLUMNS, env.LC_ALL = env.COLUMNS or false, "C"
  env.NO_COLOR = env.NO_COLOR or false
  local _, text = sys.spawn { "script", "-qec", table.concat(command, " "), "/dev/null", stdin = "/dev/null",
    stdout = "capture", stderr = "capture", env = env }
  return (text:gsub("\r", ""))
end

describe("a terminal", function()
  it("has colours, but not with NO_COLOR nor if it is dumb; nothing else has any", function()
    local refusal = "msagen: absent.pth: cannot be read: No such file or directory\n"
    equal(on_terminal({ "inspect", "absent.pth" }, 80, { TERM = "xterm" }),
      "\27[1;31mmsagen:\27[0m" .. refusal:sub(8))
    equal(on_terminal({ "inspect", "absent.pth" }, 80, { TERM = "xterm", NO_COLOR = "1" }), refusal)
    equal(on_terminal({ "inspect", "absent.pth" }, 80, { TERM = "dumb" }), refusal)
    equal(on_terminal({ "inspect", "absent.pth" }, 80, { TERM = false }), refusal)
    equal(on_terminal({ "bild" }, 80, { TERM = "xterm" }):sub(1, 18), "\27[1;31mmsagen:\27[0m")
    local _, text = sys.spawn { tiny.program(), "inspect", "absent.pth", stdin = "/dev/null", stdout = "capture",
      stderr = "capture", env = { TERM = "xterm", NO_COLOR = false } }
    equal(text, refusal)
  end)

  it("has long lines of a graph broken, as a pipe has not", function()
    local words = { "graph", golden .. "msa-2023-2d/checkpoint.pth", "--after", "lower" }
    local whole = output(words)
    local text = on_terminal(words, 80, { TERM = "dumb" })
    local broken = false
    for line in text:gmatch "[^\n]+" do
      broken = broken or line:find "^      +"
      assert(#line <= 80 or not line:match "^%s*%S.*%s%S", line)
    end
    assert(broken and #text > #whole)
    equal((text:gsub("%s+", "")), (whole:gsub("%s+", "")))
  end)

  it("has headings in bold, and warnings in yellow", function()
    local text = on_terminal({ "inspect", golden .. "msa-2023-2d/checkpoint.pth", "--tensors" }, 80,
      { TERM = "xterm" })
    holds(text, "\27[1mdialect\27[0m  ", "\n\27[33mwarning\27[0m  ", "\27[1mtensor ")
    holds(on_terminal({ "boards" }, 80, { TERM = "xterm" }), "\27[1mboard ", "\27[32m(the default here)\27[0m\n")
    equal(on_terminal({ "inspect", golden .. "msa-2023-2d/checkpoint.pth" }, 80, { TERM = "xterm", NO_COLOR = "1" })
      :find "\27", nil)
  end)

  it("is as wide as it says, or as COLUMNS does", function()
    local function widest(text)
      local lines = {}
      for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
      return longest(lines)
    end
    local narrow = widest(on_terminal({ "boards" }, 64, { TERM = "dumb" }))
    assert(narrow > 50 and narrow <= 66, narrow)
    assert(widest(on_terminal({ "boards" }, 200, { TERM = "dumb" })) > 100)
    assert(widest(on_terminal({ "boards" }, 200, { TERM = "dumb", COLUMNS = "64" })) <= 66)
  end)
end)
