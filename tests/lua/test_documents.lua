-- SPDX-License-Identifier: Apache-2.0
-- The manual page and bash's completion: they have every verb and option that --help has, and work.

local spec = require "spec"
local describe, it, equal, holds = spec.describe, spec.it, spec.equal, spec.holds
local sys = spec.host "msagen.sys"
if not sys then return end

local program = sys.realpath(require("tiny_model").program())

local function output(...)
  local command = { stdin = "/dev/null", stdout = "capture", stderr = "capture", env = { LC_ALL = "C.UTF-8" }, ... }
  local status, text = sys.spawn(command)
  equal(status, 0, text)
  return text
end

-- Verbs, and the options of each (of the program itself: ""), as --help lists them.
local function helped()
  local verbs, options = {}, {}
  local function read(verb)
    local text, list = output(program, table.unpack(verb == "" and { "--help" } or { verb, "--help" })), {}
    for names in text:gmatch "\n   (%-[^\n]*)" do
      for name in (names:match "^(.-)   *" or names):gmatch "%-%-?[%w-]+" do list[#list + 1] = name end
    end
    options[verb] = list
    return text
  end
  for verb in (read ""):match "\nCommands:(\n.*)$":gmatch "\n   (%l+) " do verbs[#verbs + 1] = verb end
  for _, verb in ipairs(verbs) do read(verb) end
  return verbs, options
end

local verbs, options = helped()
assert(#verbs > 8 and #options.build > 15)

local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-documents-")
sys.cleanup(work)
local manual, completion = work .. "/msagen.1", work .. "/completion"
sys.write_file(manual, output(program, "document", "manual"))
sys.write_file(completion, output(program, "document", "completion"))

describe("the manual page", function()
  it("has every verb with every option", function()
    local text = sys.read_file(manual):gsub("\\%-", "-")
    for _, verb in ipairs(verbs) do
      local section = text:match('\n%.SS "msagen ' .. verb .. '"\n(.-)\n%.S[SH] ')
      assert(section, verb)
      for _, name in ipairs(options[verb]) do holds(section, "\\fB" .. name .. "\\fR") end
    end
    for _, name in ipairs(options[""]) do holds(text:match "%.SH OPTIONS\n(.-)\n%.SH ", "\\fB" .. name .. "\\fR") end
  end)

  it("is set without a warning, where groff is", function()
    local found, status, text = pcall(sys.spawn, { "groff", "-man", "-ww", "-Tutf8", manual, stdin = "/dev/null",
      stdout = work .. "/set", stderr = "capture" })
    if not found then return end
    equal({ status, text }, { 0, "" })
    local set = sys.read_file(work .. "/set"):gsub(".\b", ""):gsub("\27%[[%d;]*m", "")
    holds(set, "msagen build", "--resolution PX", "EXIT STATUS")
    assert(not set:find "\\", "no escape is left")
  end)
end)

-- What bash offers for a line, which ends where the cursor is; its words as bash parts them.
local function offered(...)
  local words = { "bash", "-c", [[
    completion=$1; shift
    . "$completion" || exit 1
    COMP_WORDS=("$@")
    COMP_CWORD=$(($# - 1))
    _msagen || exit 1
    printf '%s\n' "${COMPREPLY[@]}"]], "bash", completion, program, ... }
  words.cwd = work
  words.stdin, words.stdout, words.stderr, words.env = "/dev/null", "capture", "capture", { LC_ALL = "C" }
  local status, text = sys.spawn(words)
  equal(status, 0, text)
  local list = {}
  for line in text:gmatch "[^\n]+" do list[#list + 1] = line end
  table.sort(list)
  return list
end

describe("bash's completion", function()
  for _, name in ipairs { "a.pth", "b c.safetensors", "d.lua", "e.png", "f.npy", "out" } do
    if name == "out" then sys.mkdir_p(work .. "/files/" .. name)
    else sys.mkdir_p(work .. "/files") sys.write_file(work .. "/files/" .. name, "") end
  end

  it("offers verbs, and every option of each", function()
    local all = offered ""
    for _, verb in ipairs(verbs) do holds(table.concat(all, " ") .. " ", verb .. " ") end
    equal(offered "bu", { "build" })
    for _, verb in ipairs(verbs) do
      local list = " " .. table.concat(offered(verb, "-"), " ") .. " "
      for _, name in ipairs(options[verb]) do holds(list, " " .. name .. " ") end
    end
    equal(offered("build", "x.pth", "--resol"), { "--resolution" })
  end)

  it("offers files by ending, and folders", function()
    equal(offered("build", "files/"), { "files/a.pth", "files/b c.safetensors", "files/d.lua", "files/out" })
    equal(offered("inspect", "files/"), { "files/a.pth", "files/b c.safetensors", "files/out" })
    equal(offered("run", "fw", "--overlay-out", "files/"), { "files/e.png", "files/out" })
    equal(offered("run", "fw", "--out", "files/"), { "files/out" })
    equal(offered("run", "fw", "--overlay-out", "=", "files/e"), { "files/e.png" })
    equal(offered("build", "--bank", "head", "=", "files/"), { "files/a.pth", "files/b c.safetensors", "files/out" })
    equal(offered("build", "--bank", "files/"), {})
    equal(offered("build", "x.pth", "--resolution", "fi"), {})
  end)

  it("offers boards, dialects and choices", function()
    local boards = require "target.boards".names()
    for _, verb in ipairs { "build", "plan" } do
      local list = " " .. table.concat(offered(verb, "--board", ""), " ") .. " "
      for _, name in ipairs(boards) do holds(list, " " .. name .. " ") end
    end
    equal(offered("build", "--board", "cortex-m"), { "cortex-m55", "cortex-m7" })
    equal(offered("build", "--dialect", "msa-p"), { "msa-paper" })
    equal(offered("build", "--weights", ""), { "mapped", "stream" })
    equal(offered("build", "--click-order", "="), { "rc", "xy" })
    equal(offered("synth", "--arch", "vit_"), { "vit_b", "vit_h", "vit_l", "vit_s", "vit_t" })
    equal(offered("embed", "--activation", "g"), { "gelu" })
    equal(offered("run", "fw", "--feedback", "n"), { "none" })
  end)
end)

sys.remove_tree(work)
sys.keep(work)
