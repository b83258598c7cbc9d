-- SPDX-License-Identifier: Apache-2.0
-- Templates: C text with Lua between the lines.

local spec = require "spec"
local describe, it, equal, holds = spec.describe, spec.it, spec.equal, spec.holds
local template = require "support.template"

local function render(text, env) return template.render(text, "a.c", env or {}) end

--- body raises a text that holds each of the pieces.
local function raises(body, ...)
  local ok, problem = pcall(body)
  assert(not ok, "expected an error, found none")
  holds(problem, ...)
end

describe("template", function()
  it("leaves plain text as it is, line by line", function()
    equal(render "int a;\n\n  b[3] = \"\\n\";\n", "int a;\n\n  b[3] = \"\\n\";\n")
    equal(render "no newline at the end", "no newline at the end\n")
    equal(render "a $ b, $a, 100%\n", "a $ b, $a, 100%\n")
    equal(render "\n", "\n")
  end)

  it("substitutes values", function()
    equal(render("x[$(n)] = $(f(n));\n", { n = 3, f = function(n) return ("%dU"):format(n * 2) end }), "x[3] = 6U;\n")
    equal(render("$(a)$(b)\n", { a = 1, b = 2 }), "12\n")
    equal(render("$(f(g(1), (2)))\n", { f = function(a, b) return a + b end, g = function(x) return x * 10 end }),
      "12\n")
    equal(render("$(yes) $(no)\n", { yes = true, no = false }), "true false\n")
  end)

  it("writes whole numbers without a fraction", function()
    equal(render("$(12 / 4) $(2.0 ^ 40) $(0.5) $(-7.0) $(7 // 2)\n"), "3 1099511627776 0.5 -7 3\n")
  end)

  it("runs statements between the lines", function()
    equal(render("@ for i = 1, 3 do\nc$(i);\n@ end\n"), "c1;\nc2;\nc3;\n")
    equal(render("  @ if on then\nyes\n@ else\nno\n@ end\n", { on = false }), "no\n")
    equal(render("@ local x = 4\n$(x)\n"), "4\n")
    equal(render("@ local function two()\na\nb\n@ end\n@ two()\n@ two()\n"), "a\nb\na\nb\n")
  end)

  it("takes an @ for Lua only at the start and before a blank", function()
    equal(render "a @ b\n@x\n", "a @ b\n@x\n")
    equal(render "@\na\n", "a\n")
  end)

  it("sees Lua's own names, and what it is given before them", function()
    equal(render("$(math.max(1, 2)) $(type)\n", { type = "mine" }), "2 mine\n")
  end)

  it("keeps one rendering from the next", function()
    local text = "@ count = (count or 0) + 1\n$(count)\n"
    raises(function() return render(text) end, "count") -- even reading an unset name is an error
    equal(render("@ made = 1\n$(made)\n"), "1\n")
    equal(rawget(_G, "made"), nil)
    raises(function() return render "$(made)\n" end, "made")
  end)

  it("names the template and its line in every error", function()
    raises(function() return render "a\nb $(missing)\n" end, "a.c:2:", "missing", "not given")
    raises(function() return render("a\n\n$(t.x)\n", { t = {} }) end, "a.c:3:", "nil")
    raises(function() return render "a\n@ for\n" end, "a.c:2:")
    raises(function() return render "a\n@ if true then\nb\n" end, "a.c:", "end")
    raises(function() return render "a\n\n\n@ error 'told'\n" end, "a.c:4:", "told")
    raises(function() return render("$(1 + {})\n") end, "a.c:1:")
  end)

  it("reads files, and says which is missing", function()
    local folder = msagen.datadir .. "/templates"
    holds(template.file(folder, "weights.S", {}), ".incbin")
    raises(function() return template.file(folder, "absent.c", {}) end, "absent.c")
  end)
end)
