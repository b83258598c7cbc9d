-- SPDX-License-Identifier: Apache-2.0
-- Sandboxes: what users' Lua may do, that nothing it does reaches msagen, and that no function of a library exceeds
-- time or memory.

local spec = require "spec"
local describe, it, equal, refuses, holds = spec.describe, spec.it, spec.equal, spec.refuses, spec.holds
local sys = spec.host "msagen.sys"
if not sys then return end
local boards, tiny, sandbox, options = require "target.boards", require "tiny_model", require "support.sandbox",
  require "cli.device_options"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-sandbox-")
sys.cleanup(work)
tiny.device(work, "plain")
local device = { checkpoint = work .. "/plain.safetensors", dialect = "sam", decoder_heads = 4, global_blocks = { 1 } }

local real, exit = sandbox.limits, os.exit
-- The same bounds, smaller, so that many attacks take seconds.
local SHORT = { milliseconds = 150, text = 1 << 20, memory = 16 << 20, result = 1 << 20 }
local SMALL = { milliseconds = 20 * real.milliseconds, -- a sanitizer and a busy machine are slow
  text = 1 << 20, memory = 64 << 20, result = 1 << 20 }
local function with(limits, body)
  sandbox.limits = limits
  local ok, message = pcall(body)
  sandbox.limits = real
  if not ok then error(message, 0) end
end

--- Each kind of file with a text in it that runs. @return function(text) that has msagen run it
local kinds = {
  board = function(text)
    sys.write_file(work .. "/evil.lua", text .. "\nreturn { name = 'evil', like = 'generic-c99' }")
    return boards.named(work .. "/evil.lua")
  end,
  isa = function(text)
    sys.write_file(work .. "/evil-isa.lua", text .. "\n" .. sys.read_file(msagen.datadir .. "/lua/target/isa/c99.lua"))
    sys.write_file(work .. "/board.lua", "return { name = 'board', like = 'generic-c99', isa = 'evil-isa.lua' }")
    return boards.named(work .. "/board.lua")
  end,
  script = function(text)
    sys.write_file(work .. "/script.lua", text .. "\nreturn msagen.device { checkpoint = 'plain.safetensors' }")
    return options.devices { input = work .. "/script.lua" }
  end,
  linker = function(text)
    sys.write_file(work .. "/evil.ld", "@ " .. text:gsub("\n", "\n@ ") .. "\nENTRY(msa_reset)\n")
    return sandbox.run(work .. "/evil.ld",
      { template = true, names = { "error", "ipairs", "pairs", "select", "tostring", "type", "string", "table",
      "math" }, data = { board = {} } })
  end,
}
local files = { board = "evil.lua", isa = "evil-isa.lua", script = "script.lua", linker = "evil.ld" }

--- Run a text in a kind of file: refused in one line that names the file, and has the pieces, within its time.
local function stopped(kind, text, ...)
  local start = sys.monotonic_ns()
  refuses(function() kinds[kind](text) end, work .. "/" .. files[kind], ...)
  local most = 4e9 + 1e6 * sandbox.limits.milliseconds
  assert(sys.monotonic_ns() - start < most, "too slow: " .. text)
end

describe("no text takes more than its time or memory", function()
  local endless = { -- within one function of a library
    "local s = (('a'):rep(60000)):find(('.-'):rep(30) .. 'b')",
    "local s = ('a'):rep(1 << 17):gsub('.-b', '')",
    "local s = ('x'):rep(1 << 15):match(('x*'):rep(28) .. 'y')",
    "while true do end",
    "local function f() return f() end f()",
    "for i = 1, 1e12 do ('x'):rep(100) end",
  }
  local greedy = {
    "local s = ('x'):rep(1 << 33)",
    "local s = 'x' while true do s = s .. s end",
    "local s = ('x'):rep(1 << 20):gsub('x', ('y'):rep(1 << 12))",
    "local t = {} for i = 1, 1 << 40 do t[i] = {} end",
    "local s = ('%99s'):rep(1 << 20) s = s:format(s)",
  }
  local of_libraries = {
    "table.concat({ ('x'):rep(1 << 22), 'y' }, ('z'):rep(1 << 22)):rep(100)",
      "string.pack('!16' .. ('s'):rep(20), ('x'):rep(1 << 30))", "table.move({}, 1, 1 << 40, 2)",
    "table.unpack({}, 1, 1 << 30)", "string.rep('ab', 1 << 30, ('c'):rep(1000))",
      "table.sort((function() local t = {} for i = 1, 100000 do t[i] = i % 7 end return t end)(), function() return "
      .. "true end)",
    "select('#', table.unpack({}, 1, 1e7))", "local t = {} for i = 1, 250 do t[i] = ('x'):rep(1 << 20) end",
  }
  for kind in pairs(kinds) do
    it("not in a " .. kind, function()
      with(SHORT, function()
        for _, text in ipairs(endless) do stopped(kind, text) end
        for _, text in ipairs(greedy) do stopped(kind, text) end
        -- a linker script has no other
        for _, text in ipairs(kind == "script" and of_libraries or {}) do stopped(kind, text) end
      end)
    end)
  end

  it("nor by its nesting, its size or its results", function()
    with(SMALL, function()
      for kind in pairs(kinds) do stopped(kind, "local function f() return 1 + f() end f()") end
      stopped("script", "local x = " .. ("{"):rep(300) .. ("}"):rep(300))
      stopped("script", "local t = {} t = " .. ("("):rep(100000) .. "1" .. (")"):rep(100000))
      stopped("board", "--" .. ("x"):rep(2 << 20), "expected at most 1 MiB")
      local function returned(text, ...)
        sys.write_file(work .. "/evil.lua", text)
        refuses(function() boards.named(work .. "/evil.lua") end, work .. "/evil.lua: ", ...)
      end
      returned("return { summary = ('x'):rep(4 << 20) }", "summary: expected a result of at most 1 MiB, found more")
      returned("local t = {} t.emulator = t return t", "emulator.emulator", "tables at most 32 deep")
      returned("local t = {} for i = 1, 300000 do t[i] = 1 end return t", "more")
      returned("return { memories = { {}, { address = 0/0 } } }",
        "memories[2].address: expected a finite number, found NaN")
      returned("return { flags = { '-O2', function() end } }", "flags[2]: expected a text, a number,",
        "found a function")
      returned("return { [{}] = 1 }", "expected texts and numbers for keys")
    end)
  end)

  it("and is told where it was, with the bounds that docs promise", function()
    local start = sys.monotonic_ns()
    stopped("board", "local x = 1\nlocal s = ('a'):rep(60000):find(('.-'):rep(30) .. 'b')",
      "evil.lua:2: expected it to end within 1 s of processor time")
    stopped("script", "\nlocal s = ('x'):rep(1 << 28)", "expected it to take at most 256 MiB")
    return ("%.1f s"):format((sys.monotonic_ns() - start) / 1e9)
  end)
end)

describe("no text reaches", function()
  it("files, processes, other code, or the compiler's tables", function()
    for _, name in ipairs { "os", "io", "require", "load", "loadfile", "dofile", "debug", "package", "collectgarbage",
      "coroutine" } do
      stopped("script", ("local x = %s"):format(name),
        ("script.lua:1: %s: not available in build scripts; --trust runs the script with all of Lua"):format(name))
      stopped("board", ("local x = %s"):format(name),
        ("evil.lua:1: expected a table of texts, numbers and tables alone, found %s,"):format(name))
      stopped("linker", ("local x = %s"):format(name),
        ("evil.ld:1: the template uses %s, which is not given"):format(name))
    end
    for _, name in ipairs { "kernels", "build", "blob", "model", "encode", "_G", "require" } do
      stopped("linker", "local x = " .. name, "not given")
    end
    stopped("script", "local x = chekpoint",
      "script.lua:1: expected a name that the script sets, or one of Lua's or msagen's, found chekpoint")
    stopped("script", "local x = tpye(1)", "found tpye (did you mean type?)")
    stopped("script", "string.dump(function() end)", "script.lua:1: ", "dump")
  end)

  it("the string library of the compiler", function()
    local before = {}
    for name, f in pairs(string) do before[name] = f end
    local evil = "string.format = function() return 'owned' end string.gsub = string.format string.rep = nil"
    kinds.script(evil)
    kinds.linker(evil)
    kinds.script "getmetatable('').__index = { rep = function() return 'owned' end }"
    for name, f in pairs(string) do equal(rawequal(before[name], f), true, name) end
    equal(("%d"):format(3), "3")
    equal(getmetatable("").__index, string)
  end)

  it("anything by binary chunks", function()
    local code = string.dump(function() return {} end)
    for name, body in pairs { ["evil.lua"] = function() boards.named(work .. "/evil.lua") end,
      ["script.lua"] = function() options.devices { input = work .. "/script.lua" } end } do
      sys.write_file(work .. "/" .. name, code)
      refuses(body, work .. "/" .. name .. ": ", "binary")
    end
    refuses(function()
      options.devices { input = work .. "/script.lua", trust = true }
    end, work .. "/script.lua: ", "binary")
  end)

  it("the data that it was given: it has copies", function()
    local data = { board = { name = "x", flags = { "-O2" } } }
    sys.write_file(work .. "/evil.ld", "@ board.name, board.flags[1] = 'y', 'z'\n$(board.name)$(board.flags[1])\n")
    equal(sandbox.run(work .. "/evil.ld", { template = true, data = data }), "yz\n")
    equal(data, { board = { name = "x", flags = { "-O2" } } })
  end)
end)

describe("build scripts", function()
  it("have what they need", function()
    local list = kinds.script [[
local names = {}
for _, name in ipairs(msagen.boards) do names[name] = true end
assert(names["generic-c99"] and msagen.version and math.max(1, 2) == 2 and utf8.char(228))
assert(table.concat({ "a", "b" }) == "ab")
local t = setmetatable({}, { __index = function(_, k) return k .. "!" end })
assert(t.x == "x!" and pcall(error) == false and select("#", 1, 2) == 2)
made = ("%d"):format(7)
assert(made == "7" and rawget(t, "x") == nil and tostring(nil) == "nil")]]
    equal(list[1].device.checkpoint, work .. "/plain.safetensors")
    local function random()
      local list = kinds.script "msagen.x = math.random(1 << 30)\ndo return { checkpoint = tostring(msagen.x) } end"
      return list[1].device.checkpoint
    end
    equal(random(), random())
  end)

  it("say what they print on standard error, without control characters", function()
    local lines, err = {}, io.stderr
    io.stderr = { write = function(_, ...) lines[#lines + 1] = table.concat { ... } end }
    local ok = pcall(kinds.script, "print('a\27[1mb', 7)")
    io.stderr = err
    equal({ ok, table.concat(lines) }, { true, "a [1mb\t7\n" })
  end)

  it("have all of Lua if they are trusted, but cannot end the program", function()
    sys.write_file(work .. "/script.lua",
      "local f = io.open(msagen.datadir .. '/lua/cli.lua') f:close() assert(require 'support.closed')\nreturn { "
      .. "checkpoint = 'x.pth' }")
    equal(options.devices { input = work .. "/script.lua", trust = true } [1].device.checkpoint, work .. "/x.pth")
    sys.write_file(work .. "/script.lua", "\nos.exit(0)")
    refuses(function()
      options.devices { input = work .. "/script.lua", trust = true }
    end, work .. "/script.lua:2: os.exit: expected the script to return its devices")
    sys.write_file(work .. "/script.lua", "return { checkpoint = 'x.pth', board = print }")
    refuses(function()
      options.devices { input = work .. "/script.lua", trust = true }
    end, work .. "/script.lua: board: expected a text", "found a function")
  end)
end)
os.exit = exit -- luacheck: ignore
