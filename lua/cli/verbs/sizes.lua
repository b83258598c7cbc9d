-- SPDX-License-Identifier: Apache-2.0
-- msagen sizes DIR [options]: bytes by section, arena, weights, and the deepest stack of what was built.
local verb = {}

function verb.setup(command)
  command:argument("dir", "A folder that `msagen build` wrote."):argname "DIR"
  command:option("--cc", "Instead of the Makefile's compiler."):argname "COMPILER"
  command:option("--cflags", "Instead of the Makefile's CFLAGS."):argname "FLAGS"
  command:flag("--json", "For machines: one JSON object, with every function's frame and deepest stack.")
end

-- A name, bytes, and what is known beside them, in aligned columns.
local function show(report)
  local layout, terminal = require "support.layout", require "support.terminal"
  local width, paint, lines, names = terminal.columns(), terminal.painter(1), {}, 0
  local function put(name, bytes, note)
    local begin = ("  %-" .. names .. "s %11d"):format(name, bytes)
    for _, line in ipairs(layout.hanging(begin .. "  ", note or "", width)) do
      lines[#lines + 1] = line:gsub("\1", " ")
    end
  end
  local function head(text) lines[#lines + 1] = paint("heading", text) end
  for _, entry in ipairs(report.stack) do names = math.max(names, #entry.entry) end
  for _, other in ipairs(report.outside) do names = math.max(names, #other.name) end
  layout.append(lines, layout.hanging("", ("%s, %s %s, %s; bytes"):format(report.board, report.compiler,
    report.version, report.cflags), width, 2))
  for _, line in ipairs { { ".text", "text" }, { ".rodata", "rodata" }, { ".data", "data" }, { ".bss", "bss" },
    { "unwind", "unwind", "tables for debuggers and exceptions, which a product may drop" },
      { "weights", "weights" }, { "arena", "arena" }, { "session", "session", "sizeof(msa_session)" } } do
    put(line[1], report[line[2]], line[3])
  end
  local room = width - names - 16 -- beside a name and its bytes
  head "stack, at most, bytes"
  for _, entry in ipairs(report.stack) do
    local chain = {}
    -- A line does not end between a function and its frame.
    for i, node in ipairs(entry.chain) do
      local frame = ("\1%d"):format(node.frame)
      chain[i] = layout.shortened(node.name, room - #frame - #" >") .. frame
    end
    put(entry.entry, entry.bytes, table.concat(chain, " > "))
  end
  head "stack in use, at most, when what is not counted here is called, bytes"
  for _, other in ipairs(report.outside) do put(other.name, other.in_use) end
  io.stdout:write(table.concat(lines, "\n"), "\n")
end

function verb.run(args)
  local sys = require "msagen.sys"
  local folder = require("run.folder").open(args.dir, true)
  folder:refuse_changed()
  local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-sizes-")
  local ok, report = pcall(require("report.sizes").measure, folder, work, args.cc, args.cflags)
  sys.remove_tree(work)
  sys.keep(work)
  if not ok then error(report, 0) end
  if args.json then
    local json = require "msagen.json"
    for _, name in ipairs { "stack", "outside", "functions" } do json.array(report[name]) end
    print(json.encode(report, { indent = 1 }))
  else
    show(report)
  end
  return 0
end

return verb
