-- SPDX-License-Identifier: Apache-2.0
-- The tree of sources as a whole: modules require each other in no circle, and nothing lies loose.

local spec = require "spec"
local describe, it, equal = spec.describe, spec.it, spec.equal
local sys = spec.host "msagen.sys"

-- The modules of lua/: name -> text.
local function modules()
  local found = {}
  local function walk(folder, prefix)
    for _, name in ipairs(sys.list(folder)) do
      local stem = name:match "^(.+)%.lua$"
      if stem then found[prefix .. stem] = sys.read_file(folder .. "/" .. name)
      elseif not name:find(".", 1, true) then walk(folder .. "/" .. name, prefix .. name .. ".") end
    end
  end
  walk(msagen.datadir .. "/lua", "")
  return found
end

-- A path from a module to itself, or nil. @param requires name -> list of names
local function circle(requires)
  local state, path = {}, {}
  local function visit(name)
    if state[name] == "done" then return nil end
    path[#path + 1] = name
    if state[name] == "open" then return table.concat(path, " -> ") end
    state[name] = "open"
    for _, other in ipairs(requires[name] or {}) do
      local found = visit(other)
      if found then return found end
    end
    state[name], path[#path] = "done", nil
  end
  for name in pairs(requires) do
    local found = visit(name)
    if found then return found end
  end
end

describe("the modules", function()
  it("require each other in no circle, nor in functions", function()
    local texts, requires = modules(), {}
    for name, text in pairs(texts) do
      requires[name] = {}
      for other in text:gmatch "require%s*%(?%s*[\"']([%w_.-]+)[\"']" do
        if texts[other] then table.insert(requires[name], other) end
      end
    end
    assert(#requires["compiler.compiler"] > 5, "requires are found")
    equal(circle(requires), nil)
    equal(circle { a = { "b" }, b = { "c" }, c = { "b" } } ~= nil, true)
  end)

  it("lie in the folder of their stage, but for the entry", function()
    local loose = {}
    for name in pairs(modules()) do
      if not name:find(".", 1, true) then loose[#loose + 1] = name end
    end
    equal(loose, { "cli" })
  end)
end)

-- ---- lines and functions ----

local MOST_COLUMNS, MOST_LINES = 120, 60

-- What is a source by its name; beside these, templates/Makefile.
local ENDINGS = { lua = true, c = true, cc = true, h = true, S = true, b = true, ld = true, py = true, js = true,
  cjs = true, am = true }

-- Folders of data and of products.
local NOT_SOURCES = { ["tests/golden"] = true, ["tests/fuzz/corpus"] = true, ["bench/onnx/node_modules"] = true }

local function lines_of(text)
  local lines = {}
  for line in (text:sub(-1) == "\n" and text or text .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = line end
  return lines
end

-- The sources: path -> lines.
local function sources()
  local found = {}
  local function walk(path)
    for _, name in ipairs(sys.list(msagen.datadir .. "/" .. path)) do
      local inner = path .. "/" .. name
      local full = msagen.datadir .. "/" .. inner
      if sys.isdir(full) then
        if not NOT_SOURCES[inner] and not name:find "^%." and name ~= "out" then walk(inner) end
      elseif (ENDINGS[name:match "%.(%w+)$"] or inner == "templates/Makefile") then
        found[inner] = lines_of(sys.read_file(full))
      end
    end
  end
  for _, folder in ipairs { "lua", "gen", "runtime", "templates", "boards", "tests", "bench", "demo" } do
    walk(folder)
  end
  return found
end

-- "PATH:LINE: N columns" of each line that is too long, after those in `list`.
local function long_lines(path, lines, list)
  for i, line in ipairs(lines) do
    local columns = utf8.len(line) or #line
    if columns > MOST_COLUMNS then list[#list + 1] = ("%s:%d: %d columns"):format(path, i, columns) end
  end
end

-- Functions of Lua that have a name, as { first line, last line }: what a line begins, the first `end` at its
-- indentation ends.
local FUNCTIONS = { "^(%s*)local function ", "^(%s*)function ", "^(%s*)local [%w_, ]+ = function%f[%W]",
  "^(%s*)[%w_.%[%]\"]+ = function%f[%W]", "^(%s*)return function%f[%W]" }
local function lua_functions(lines)
  local list = {}
  for i, line in ipairs(lines) do
    local indentation
    for _, pattern in ipairs(FUNCTIONS) do indentation = indentation or line:match(pattern) end
    if indentation and not line:find "%f[%w]end[%s,)}]*$" then
      for k = i + 1, #lines do
        if lines[k]:find("^" .. indentation .. "end%f[%W]") then
          list[#list + 1] = { i, k }
          break
        end
      end
    end
  end
  return list
end

-- Functions of C, in templates as well: a brace alone in column 1 opens the body, one in column 1 ends it; the
-- definition begins with the last line before that begins with a word.
local function c_functions(lines)
  local list, first, inside = {}, nil, false
  for i, line in ipairs(lines) do
    if not inside and line:find "^[%a_]" then first = i end
    if line == "{" then inside = true
    elseif inside and line:find "^}" then
      list[#list + 1] = { first, i }
      inside = false
    end
  end
  return list
end

local function long_functions(path, lines, list)
  local functions = path:find "%.lua$" and lua_functions(lines) or path:find "%.[ch]c?$" and c_functions(lines) or {}
  for _, one in ipairs(functions) do
    local count = one[2] - one[1] + 1
    if count > MOST_LINES then
      list[#list + 1] = ("%s:%d: %d lines: %s"):format(path, one[1], count, lines[one[1]])
    end
  end
  return #functions
end

describe("the sources", function()
  it("have no line over 120 columns", function()
    local count, long = 0, {}
    for path, lines in pairs(sources()) do
      count = count + 1
      long_lines(path, lines, long)
    end
    assert(count > 300, "sources are found")
    table.sort(long)
    equal(long, {})
  end)

  it("have no function over 60 lines", function()
    local count, long = 0, {}
    for path, lines in pairs(sources()) do count = count + long_functions(path, lines, long) end
    assert(count > 2000, "functions are found")
    table.sort(long)
    equal(long, {})
  end)

  it("are measured right", function()
    local found = {}
    long_lines("a", { ("x"):rep(120), ("x"):rep(121), ("ä"):rep(120) }, found)
    equal(found, { "a:2: 121 columns" })
    equal(lua_functions { "local function f()", "  local g = function(x)", "    return x", "  end", "end",
      "local function h() return 1 end", "describe('x', function()", "end)", "t.k = function()", "end" },
      { { 1, 5 }, { 2, 4 }, { 9, 10 } })
    equal(c_functions { "static int f(int a,", "    int b)", "{", "    if (a) {", "    }", "}", "struct s {", "};",
      "void $(name)(float *x", "@ if y then", "    , int z", "@ end", "    )", "{", "}" }, { { 1, 6 }, { 9, 15 } })
    found = {}
    local lines = { "void f(void)", "{" }
    for i = 3, 60 do lines[i] = "" end
    lines[60] = "}"
    long_functions("f.c", lines, found)
    table.insert(lines, 3, "")
    long_functions("f.c", lines, found)
    equal(found, { "f.c:1: 61 lines: void f(void)" })
  end)
end)

describe("the text of a build", function()
  local tiny = require "tiny_model"
  local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-tree-")
  local function text_of(board, options)
    it(("for %s, %s, has no line over 120 columns"):format(board, options.cores and "3 cores, streamed" or "plain"),
      function()
        local device = tiny.device(work, "adapted")
        device.board, device.cores, device.weights = board, options.cores, options.weights
        tiny.build(device, work .. "/fw")
        local count, long = 0, {}
        local function look(path)
          for _, name in ipairs(sys.list(path)) do
            local full = path .. "/" .. name
            if sys.isdir(full) then look(full)
            elseif not name:find "%.bin$" and name ~= "manifest.json" then
              count = count + 1
              long_lines(full:sub(#work + 2), lines_of(sys.read_file(full)), long)
            end
          end
        end
        look(work .. "/fw")
        sys.remove_tree(work .. "/fw")
        assert(count > 20, "texts are found")
        equal(long, {})
      end)
  end
  local shared = { cores = 3, weights = "stream" }
  -- cortex-a7 has vectors that take subnormals for zeros.
  for _, board in ipairs { "generic-c99", "cortex-a7" } do
    text_of(board, {})
    text_of(board, shared)
  end
  text_of("cortex-m55", {})
  sys.remove_tree(work)
end)
