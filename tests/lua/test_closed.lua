-- SPDX-License-Identifier: Apache-2.0
-- Closed sets: which name a slip of the pen is taken for, and what a refusal says.

local spec = require "spec"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses
local closed = require "support.closed"

describe("the nearest name", function()
  it("is found through one or two slips", function()
    local names = { "first", "multimask", "longest", "squash", "msa-2023", "x86-64-avx2", "x86-64-avx512", "cortex-m7",
      "relu", "gelu" }
    for slip, name in pairs { frist = "first", longset = "longest", squahs = "squash", ["msa2023"] = "msa-2023",
      multimsk = "multimask",
      ["x86_64_avx2"] = "x86-64-avx2", ["X86-64-AVX512"] = "x86-64-avx512", ["cortexm7"] = "cortex-m7", relu6 = "relu",
        avx512 = "x86-64-avx512" } do
      equal(closed.nearest(slip, names), name, slip)
    end
  end)

  it("is none where nothing is near, or the value is no text", function()
    for _, value in ipairs { "", "-", "tensorflow", ("a"):rep(100000), 7, true, {} } do
      equal(closed.nearest(value, { "first", "multimask", "longest" }), nil)
    end
  end)

  it("is none where a beginning is that of two names", function()
    equal(closed.nearest("cortex", { "cortex-a53", "cortex-m55" }), nil)
    equal(closed.nearest("cortex-m", { "cortex-a53", "cortex-m55" }), "cortex-m55")
  end)
end)

describe("a member of a closed set", function()
  it("is given back", function() equal(closed.member("b", { "a", "b" }, "x"), "b") end)

  it("is refused with the set and the nearest name otherwise", function()
    refuses(function() closed.member("longset", { "longest", "squash" }, "my.lua: resize") end,
      "my.lua: resize: expected longest or squash, found longset (did you mean longest?)")
    refuses(function() closed.member(nil, { "a", "b", "c" }, "x") end, "x: expected a, b or c, found none")
    refuses(function() closed.member("two\nlines", { "a" }, "x") end, "x: expected a, found two lines")
    refuses(function() closed.member({}, { "a" }, "x") end, "found a table")
  end)
end)
