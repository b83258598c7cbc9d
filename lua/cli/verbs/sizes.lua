-- SPDX-License-Identifier: Apache-2.0
-- msagen sizes DIR [options]: bytes by section, arena, weights, and the deepest stack of what was built.
local verb = {}

function verb.setup(command)
  command:argument("dir", "A folder that `msagen build` wrote."):argname "DIR"
  command:option("--cc", "Instead of the Makefile's compiler."):argname "COMPILER"
  command:option("--cflags", "Instead of the Makefile's CFLAGS."):argname "FLAGS"
  command:flag("--json", "For machines: one JSON object, with every function's frame and deepest stack.")
end

local function say(...) io.stdout:write(string.format(...), "\n") end

local function show(report)
  say("%s, %s %s, %s", report.board, report.compiler, report.version, report.cflags)
  for _, line in ipairs { { ".text", "text" }, { ".rodata", "rodata" }, { ".data", "data" }, { ".bss", "bss" },
    { "unwind", "unwind", "tables for debuggers and exceptions, which a product may drop" },
      { "weights", "weights" }, { "arena", "arena" }, { "session", "session", "sizeof(msa_session)" } } do
    say("  %-22s %11d%s", line[1], report[line[2]], line[3] and "   " .. line[3] or "")
  end
  say "stack, at most"
  for _, entry in ipairs(report.stack) do
    local chain = {}
    for i, node in ipairs(entry.chain) do chain[i] = ("%s %d"):format(node.name, node.frame) end
    say("  %-22s %11d   %s", entry.entry, entry.bytes, table.concat(chain, " > "))
  end
  say "stack in use, at most, when functions are called that are not counted here"
  for _, other in ipairs(report.outside) do say("  %-22s %11d", other.name, other.in_use) end
end

function verb.run(args)
  local sys = require "msagen.sys"
  local folder = require("run.folder").open(args.dir)
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
