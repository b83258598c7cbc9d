-- SPDX-License-Identifier: Apache-2.0
--- What a generated folder will take of a device: bytes by section, arena, weights, session, and the deepest stack
-- below each function of the interface.
-- The library is compiled once more, elsewhere, with -fstack-usage added, which changes no code. All objects are linked
-- into one image, in which empty functions stand for what they leave open, so that every call names its target.
local callgraph = require "report.callgraph"
local fail = require "support.fail"
local sys = require "msagen.sys"
local tools = require "report.tools"

local sizes = {}

local joined, lines, must, output = tools.joined, tools.lines, tools.must, tools.output
local variable, words = tools.variable, tools.words

local BINUTILS, COMPILER = "the compiler's binutils", tools.COMPILER

-- The functions of a product's interface (msa_model.h, msa.h), behind their prefix. Hooks that it may define instead of
-- ours are in sources of their own.
local ENTRIES = { "open", "build_info", "self_test", "weights_check", "check_slice", "encode", "encode_samples",
  "frame", "lines_push", "segment", "get_embedding",
  "select_bank", "set_team", "work", "upsample_init", "upsample_row", "mask_bits", "contour", "status_text" }
local HOOKS = { "_hooks.c", "_image_line.c", "_cores.c" }

--- Bytes by kind, from `readelf -SW` of objects: text, rodata, data, bss, and unwind, tables for debuggers and
-- exceptions that a product may drop.
function sizes.sections(text)
  local sum = { text = 0, rodata = 0, data = 0, bss = 0, unwind = 0 }
  for line in lines(text) do
    local name, kind, bytes, flags = line:match "%] (%S+)%s+(%u%S*)%s+%x+ %x+ (%x+) %x+ +(%a*) "
    if name and flags:find("A", 1, true) and kind ~= "NOTE" then
      local what = flags:find("X", 1, true) and "text" or kind == "NOBITS" and "bss" or flags:find("W", 1, true)
        and "data" or (name:find "^%.eh_frame" or name:find "^%.ARM%.ex") and "unwind" or "rodata"
      sum[what] = sum[what] + tonumber(bytes, 16)
    end
  end
  return sum
end

-- A switch may become a jump through a table, which ends in its own function: told to make no tables, the compiler
-- leaves no such jump.
local function only_switches(build, nodes)
  local objects, seen = {}, {}
  for _, node in pairs(nodes) do
    local object = node.indirect and node.file:gsub("%.c$", ".o")
    if object and not seen[object] then
      seen[object] = true
      objects[#objects + 1] = object
      os.remove(build.work .. "/" .. object)
    end
  end
  if #objects == 0 then return end
  must(joined({ "make", "-C", build.work, "CC=" .. build.cc, "CFLAGS=" .. build.cflags .. " -fno-jump-tables" },
    objects), "make", build.where)
  for _, object in ipairs(objects) do
    for _, f in ipairs(callgraph.functions(must({ build.tools .. "objdump", "-d", build.work .. "/" .. object },
      BINUTILS, build.where))) do
      if f.indirect > 0 then fail("%s: %s: expected no jump through a pointer, found one", build.where, f.name) end
    end
  end
end

-- What keeps a linker from code of its own: ARM's sends branches that straddle pages by way of stubs without a name,
-- for the sake of Cortex-A8.
local function plainly(build)
  return build.tools:find "%f[%w]arm%-" and { "--no-fix-cortex-a8" } or {}
end

-- All objects in one image. @return its path, the names of what they leave open, sorted
local function link(build)
  local defined, open, missing = {}, {}, {}
  for line in lines(must({ build.tools .. "nm", build.library }, BINUTILS, build.where)) do
    local kind, name = line:match "(%a) (%S+)$"
    if kind == "U" then open[name] = true elseif kind then defined[name] = true end
  end
  for name in pairs(open) do
    if not defined[name] then missing[#missing + 1] = name end
  end
  table.sort(missing)
  local session = '#include "%s_model.h"\nextern char sizes_session[sizeof(%s_session)];\n'
    .. "char sizes_session[sizeof(%s_session)];\n"
  local stubs = { session = session:gsub("%%s", build.prefix),
    outside = "void sizes_nothing(void);\nvoid sizes_nothing(void) { }\n" }
  for _, name in ipairs(missing) do
    stubs.outside = stubs.outside .. ("void %s(void);\nvoid %s(void) { }\n"):format(name, name)
  end
  local image = build.work .. "/sizes_image"
  local command = { build.tools .. "ld", "-o", image, "-e", "sizes_nothing", "--whole-archive", build.library }
  table.move(plainly(build), 1, 1, #command + 1, command)
  for _, name in ipairs { "session", "outside" } do
    local stem = build.work .. "/sizes_" .. name
    sys.write_file(stem .. ".c", stubs[name])
    must(joined(words(build.cc), words(build.target),
      { "-fno-builtin", "-w", "-I", build.work, "-c", "-o", stem .. ".o", stem .. ".c" }), COMPILER, build.where)
    command[#command + 1] = stem .. ".o"
  end
  must(command, BINUTILS, build.where)
  return image, missing
end

-- The library, in the working folder. @return frames: source file -> function -> bytes
local function compile(build, folder)
  local work = build.work
  for _, name in ipairs(sys.list(folder.path)) do
    if name:match "%.[ch]$" or name == "Makefile" then
      sys.write_file(work .. "/" .. name, sys.read_file(folder:file(name)))
    end
  end
  local flags = build.cflags .. " -fstack-usage" .. (build.lines and " " .. tools.LINES or "")
  must({ "make", "-C", work, "-j", tostring(sys.nproc()), "CC=" .. build.cc, "CFLAGS=" .. flags, "lib" }, "make",
    build.where)
  local frames = {}
  for _, name in ipairs(sys.list(work)) do
    -- beside an object that the Makefile renames
    local stem = name:match "^([%w_]+)%.%d+%.su$" or name:match "^(.*)%.su$"
    if stem then frames[stem .. ".c"] = callgraph.frames(sys.read_file(work .. "/" .. name), name) end
  end
  return frames
end

-- What each function of the interface takes of the stack, and on which way.
local function stacks(nodes, prefix)
  local list = {}
  for _, name in ipairs(ENTRIES) do
    local entry = nodes[prefix .. "_" .. name]
    if entry then
      local chain, node = {}, entry
      while node do
        chain[#chain + 1] = { name = node.name, frame = node.frame }
        node = node.next and nodes[node.next]
      end
      list[#list + 1] = { entry = entry.name, bytes = entry.depth, chain = chain }
    end
  end
  return list
end

-- What is outside, hooks and what is missing, with the stack that is in use when it is called.
local function outside_of(nodes, prefix, missing)
  local list, hooks = {}, {}
  for name, node in pairs(nodes) do
    for _, file in ipairs(HOOKS) do
      if node.file == prefix .. file then hooks[#hooks + 1] = name end
    end
  end
  table.sort(hooks)
  for _, name in ipairs(joined(missing, hooks)) do
    list[#list + 1] = { name = name, in_use = nodes[name].above, missing = nodes[name].outside or false }
  end
  return list
end

--- Measure a folder (lua/run/folder).
-- @param work an empty folder  @param cc, cflags instead of the Makefile's, or nil
-- @param with_lines true: the image that stays in `work` knows its lines; that changes no code
-- @return { board, compiler, version, cflags, target = the Makefile's flags of the board, text, rodata, data, bss,
--   unwind, weights, arena, session,
--   stack = {{ entry, bytes, chain = {{ name, frame }...} }...}, outside = {{ name, in_use, missing = true if it is in
-- no object of the library }...}, image = its path, tools = what names of binutils begin with, functions = {{ name,
-- frame, stack }...} }
function sizes.measure(folder, work, cc, cflags, with_lines)
  local makefile, prefix = folder:file "Makefile", type(folder.prefix) == "string"
    and folder.prefix:match "^[%a_][%w_]*$"
  if not prefix then
    fail("%s: prefix: expected the start of C names, found %s", folder:file "manifest.json", tostring(folder.prefix))
  end
  local build = { lines = with_lines, prefix = prefix, where = folder.path, work = work,
    cc = cc or variable(makefile, "CC"), cflags = cflags or variable(makefile, "CFLAGS"),
    target = variable(makefile, prefix:upper() .. "_CFLAGS"),
    tools = variable(makefile, "AR"):match "^(%S-)ar%s*$" or "", library = ("%s/lib%s_model.a"):format(work, prefix) }
  local report = { board = folder.board, cflags = build.cflags, target = build.target, tools = build.tools,
    weights = folder.weights_bytes,
    arena = folder.arena_bytes, functions = {} }
  report.compiler, report.version = tools.version(build.cc)
  for _, tool in ipairs { "readelf", "nm", "ld", "objdump" } do
    output({ build.tools .. tool, "--version" }, BINUTILS)
  end
  local frames = compile(build, folder)
  for what, bytes in pairs(sizes.sections(must({ build.tools .. "readelf", "-SW", build.library }, BINUTILS,
    build.where))) do
    report[what] = bytes
  end
  local image, missing = link(build)
  report.image = image
  local symbols, objects = callgraph.symbols(must({ build.tools .. "objdump", "-t", image }, BINUTILS, build.where))
  report.session = objects.sizes_session
  local outside = { sizes_nothing = true }
  for _, name in ipairs(missing) do outside[name] = true end
  local nodes = callgraph.build({ disassembly = must({ build.tools .. "objdump", "-d", image }, BINUTILS, build.where),
    symbols = symbols, outside = outside }, frames, build.where)
  only_switches(build, nodes)
  callgraph.depths(nodes, build.where)

  if not nodes[prefix .. "_open"] then
    fail("%s: expected %s_open in the compiled library, found none: sizes are of plain objects (no -flto)", folder.path,
      prefix)
  end
  report.stack, report.outside = stacks(nodes, prefix), outside_of(nodes, prefix, missing)
  for name, node in pairs(nodes) do
    if not node.outside then
      report.functions[#report.functions + 1] = { name = name, frame = node.frame, stack = node.depth }
    end
  end
  table.sort(report.functions, function(a, b) return a.name < b.name end)
  return report
end

return sizes
