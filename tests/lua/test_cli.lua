-- SPDX-License-Identifier: Apache-2.0
-- The command line of every verb: what is refused is named, near names are suggested, numbers may be negative, and
-- nothing is given twice.

local spec = require "spec"
local describe, it, equal = spec.describe, spec.it, spec.equal
local sys = spec.host "msagen.sys"
if not sys then return end

local program = require("tiny_model").program()

-- One line on standard error, status 2 (or 1), that has each of the words.
local function refused(status, command, ...)
  local words = { program }
  for word in command:gmatch "%S+" do words[#words + 1] = word end
  words.stdin, words.stdout, words.stderr, words.env = "/dev/null", "capture", "capture", { COLUMNS = "80" }
  local got, output = sys.spawn(words)
  equal(got, status, output)
  equal(output:match "^msagen: [^\n]+\n$" ~= nil, true, output)
  for _, word in ipairs { ... } do equal(output:find(word, 1, true) ~= nil, true, ("%s in %s"):format(word, output)) end
end

describe("a value that is none", function()
  it("is refused with its option's name, what was expected, and what was found", function()
    for _, case in ipairs {
      { "--precision int9", "f32 or int8", "int9" }, { "--resolution 0", "above 0", "0" },
        { "--depth x", "above 0", "x" },
        { "--cores -2", "above 0", "-2" },
      { "--chunk some", "or none", "some" }, { "--decoder-heads 1.5", "above 0", "1.5" },
        { "--click-order yx", "xy or rc", "yx" }, { "--weights streams", "mapped or stream", "streams" },
      { "--global-blocks 1,b", "block numbers", "1,b" }, { "--stream-buffer -1", "above 0", "-1" },
        { "--classes none", "above 0", "none" }, { "--bank x", "NAME=FILE", "x" },
    } do
      local option = case[1]:match "^%S+"
      for _, verb in ipairs { "build", "plan" } do
        refused(2, ("%s x.pth %s%s"):format(verb, verb == "build" and "-o fw " or "", case[1]), option .. ": expected ",
          case[2], "found " .. case[3])
      end
    end
    for _, case in ipairs {
      { "--refine 0", "1 to 1000" }, { "--seed -1", "from 0" }, { "--bench x", "found x" }, { "--point 1", "X,Y" },
        { "--box 1,2", "X0,Y0,X1,Y1" }, { "--image-bits 17", "8 to 16" },
      { "--feedback logit", "none or logits", "did you mean logits" }, { "--truth-inside red", "R,G,B" },
    } do refused(2, "run fw " .. case[1], case[1]:match "^%S+" .. ": expected ", table.unpack(case, 2)) end
    refused(2, "synth --seed 1 -o f --arch vit_bb",
      "--arch: expected med2d, tiny_vit, vit_b, vit_h, vit_l, vit_s or vit_t", "found vit_bb",
      "did you mean vit_b?")
    refused(2, "synth --seed 1x --arch vit_b -o f", "--seed: expected", "found 1x")
    refused(2, "synth --seed 1 --arch vit_b -o f --dialect msa-2205", "--dialect: expected", "did you mean msa-2025?")
    refused(2, "run fw --image", "--image: expected a value, found none")
    refused(2, "embed x --activation quikc-gelu", "--activation: expected quick-gelu or gelu",
      "did you mean quick-gelu?")
    refused(2, "embed x --heads 0", "--heads: expected", "found 0")
    refused(2, "embed x -o y", "--clip: expected a file, found none")
    refused(2, "embed x --clip y", "-o: expected a file, found none")
    refused(2, "embed x --tokens --projection y", "--projection: expected with -o, found without")
  end)
end)

describe("a name that is none", function()
  it("is refused, and a near one suggested", function()
    refused(2, "bild x.pth", "unknown command bild", "did you mean build?")
    refused(2, "segment", "unknown command segment", "inspect, boards")
    refused(2, "run fw --mask-uot m.png", "unknown option --mask-uot (did you mean --mask-out?)")
    refused(2, "build x.pth --bord cortex-m7 -o fw", "--bord (did you mean --board?)")
    refused(2, "plan x.pth --zzzzzzzz", "unknown option --zzzzzzzz;")
    refused(1, "build absent.pth --board stm32h7 -o fw", "--board", "did you mean cortex-m7?")
  end)
end)

describe("what is given twice", function()
  it("is refused, where the last would win without a word", function()
    for _, command in ipairs { "run fw --truth a.png --truth b.png", "run fw --out a --out a",
      "run fw --box 1,2,3,4 --box=1,2,3,4", "build x.pth --depth 1 --depth 2 -o fw",
      "plan x.pth --board a --board b", "build x.pth -o a -o b", "sizes fw --cc a --cc b",
        "inspect x.pth --base a --base b", "synth --seed 1 --seed 2 --arch vit_b -o f" } do
      refused(2, command, command:match "(%-%S+) %S+ %-" .. ": expected once, found twice")
    end
  end)
end)

describe("a negative number", function()
  it("is its option's value, and no option", function()
    for _, case in ipairs { "--point -5,10", "--point -.5,10", "--point -inf,3", "--box -1,2,3,4",
      "--point 3,4 --point -5,10" } do
      refused(2, "run fw " .. case, "--image: expected a file")
    end
    refused(2, "run fw --point -5", "--point: expected X,Y", "found -5")
    refused(2, "run fw --point -x,3", "--point: expected X,Y", "found -x,3")
    refused(2, "run fw --image -h -x", "--image: expected a value, found none")
  end)
end)

describe("help", function()
  it("is no wider than a terminal", function()
    for _, verb in ipairs { "", "run", "build", "plan", "synth", "sizes", "inspect", "boards", "embed" } do
      local status, text = sys.spawn { program, verb ~= "" and verb or "--help", "--help", stdin = "/dev/null",
        stdout = "capture", stderr = "capture" }
      equal(status, 0)
      for line in text:gmatch "[^\n]+" do equal(#line <= 80, true, line) end
    end
  end)
end)
