-- SPDX-License-Identifier: Apache-2.0
-- Checkpoints of a few thousand synthetic weights, in shapes that nobody trains: what tests of the compiler compile.

local spec = require "spec"
local sys = require "msagen.sys"
local tiny = {}

--- Shapes: none of the widths is a multiple of 16 or of another, windows do not divide the grid.
tiny.shapes = {
  plain = { dialect = "sam", heads = 4, shape = { resolution = 48, patch = 16, dim = 20, blocks = 2, heads = 2,
    global = { 1 }, window = 2, out = 24, decoder_mlp = 28, masks = 4 } },
  adapted = { dialect = "msa-paper", heads = 2, shape = { resolution = 56, patch = 8, dim = 36, blocks = 2, heads = 2,
    global = { 1 }, window = 3, out = 40, decoder_mlp = 52, masks = 4 } },
  late = { dialect = "msa-2025", heads = 4, classes = 17,
    shape = { resolution = 40, patch = 8, dim = 24, blocks = 2, heads = 3, global = { 1 }, window = 5, out = 32,
    decoder_mlp = 20, masks = 17 } },
  broad = { dialect = "sam", heads = 2, shape = { resolution = 80, patch = 8, dim = 160, blocks = 2, heads = 4,
    global = { 1 }, window = 7, out = 16, decoder_mlp = 24, masks = 4 } },
  wide = { dialect = "sam", heads = 8, shape = { resolution = 272, patch = 16, dim = 40, blocks = 2, heads = 2,
    global = { 1 }, window = 14, out = 48, decoder_mlp = 800, masks = 3 } },
  -- An embedding of 64 numbers.
  least = { dialect = "sam", heads = 2, shape = { resolution = 16, patch = 8, dim = 16, blocks = 1, heads = 2,
    global = { 0 }, window = 2, out = 16, decoder_mlp = 16, masks = 4 } },
  places = { dialect = "efficient-sam", heads = 4, resolution = 48, shape = { resolution = 48, patch = 16, dim = 64,
    blocks = 1, heads = 1, global = {}, out = 80, decoder_mlp = 28, masks = 4 } },
}

--- Write tiny.shapes[name] into folder. @return a device for compiler.build, but for its board
function tiny.device(folder, name)
  local one = tiny.shapes[name]
  local path = ("%s/%s.safetensors"):format(folder, name)
  if not sys.exists(path) then
    require "msagen.synth".write(path, require "networks.synth".tensors(one.shape, one.dialect), 7)
  end
  return { checkpoint = path, dialect = one.dialect, decoder_heads = one.heads, classes = one.classes,
    global_blocks = one.shape.global,
    resolution = one.resolution or one.dialect:match "202[45]" and one.shape.resolution or nil }
end

--- What `msagen interpret`, the naive kernels, prints for a device of tiny.device with more words: of every build
-- of it.
function tiny.interpreted(device, board, ...)
  local words = { tiny.program(), "interpret", device.checkpoint, "--dialect", device.dialect, "--decoder-heads",
    tostring(device.decoder_heads), "--global-blocks", table.concat(device.global_blocks, ","), "--board", board,
    "--digest", ... }
  return tiny.must(words):match "digest (%x+)"
end

--- Run body with nothing written to the terminal: builds say what they warn of.
function tiny.quietly(body, ...)
  local out, err = io.stdout, io.stderr
  local lines = {}
  local sink = { write = function(self, ...) lines[#lines + 1] = table.concat { ... } return self end,
    flush = function() end }
  io.stdout, io.stderr = sink, sink
  local results = table.pack(pcall(body, ...))
  io.stdout, io.stderr = out, err
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

--- compiler.build of a device into dir. @return the build
function tiny.build(device, dir)
  return tiny.quietly(require "compiler.compiler".build, device, dir, "test", function() end)
end

--- Run a command that must succeed. @return what it wrote
function tiny.must(command)
  command.stdin, command.stdout, command.stderr = "/dev/null", "capture", "capture"
  command.env = command.env or {}
  command.env.MAKEFLAGS, command.env.MFLAGS, command.env.MAKELEVEL = false, false, false
  local status, output = sys.spawn(command)
  if status ~= 0 then error(("%s: exit %d: %s"):format(table.concat(command, " "), status, output:sub(-1000)), 0) end
  return output
end

--- The msagen program under test.
function tiny.program()
  return os.getenv "MSAGEN" or msagen.datadir .. "/gen/msagen"
end

--- Boards of the tree that this CPU runs, the plain one first.
function tiny.boards()
  local list, boards = {}, require "target.boards"
  for _, board in ipairs(boards.all()) do
    if boards.native(board) then list[#list + 1] = board end
  end
  table.sort(list, function(a, b) return a.preference < b.preference end)
  return list
end

--- Boards of the tree that an emulator stands in for here, one of each instruction set that this CPU lacks, where
-- compiler and emulator are installed; else one skipped test.
function tiny.emulated()
  local list, seen, boards = {}, {}, require "target.boards"
  for _, board in ipairs(tiny.boards()) do seen[board.isa.name] = true end
  local function installed(program)
    return (pcall(sys.spawn, { program, "--version", stdin = "/dev/null", stdout = "/dev/null", stderr = "/dev/null" }))
  end
  for _, board in ipairs(boards.all()) do
    if board.emulator and not seen[board.isa.name] and not boards.native(board) then
      seen[board.isa.name] = true
      if boards.compiles(board) and installed(board.emulator[1]) then
        list[#list + 1] = board else spec.skipped = spec.skipped + 1 end
    end
  end
  return list
end

--- Compile and link one C file for a board; where there is no operating system, with its start-up code and the test
-- bench's system calls.
-- @param options words of the compiler
function tiny.compile(board, options, source, program)
  local command = table.move(options, 1, #options, 2, { board.compiler })
  local function add(words) table.move(words, 1, #words, #command + 1, command) end
  add(board.flags)
  add { "-o", program, source }
  local start = board.start
  if start then
    local from, to = msagen.datadir .. "/boards/" .. start.folder, program:match "^(.*)/"
    sys.write_file(to .. "/" .. start.script, require "support.template".file(from, start.script,
      { board = board, places = require "estimate.placement".on(board), made_by = "" }))
    add { "-L", to, "-I", msagen.datadir .. "/runtime" }
    for _, names in ipairs { start.product, start.runner } do
      for _, name in ipairs(names) do add { from .. "/" .. name .. ".c" } end
    end
  end
  add(board.link_flags or {})
  return tiny.must(command)
end

--- The words that run a board's program here, with arguments of plain characters.
function tiny.command(board, program, arguments)
  arguments = arguments or {}
  local command, placed = {}, false
  for i, word in ipairs(require "target.boards".native(board) and {} or board.emulator) do
    command[i] = word:gsub("{(%l+)}", function(what)
      placed = true
      return what == "program" and program or ",arg=" .. table.concat({ "program", table.unpack(arguments) }, ",arg=")
    end)
  end
  if placed then return command end
  command[#command + 1] = program
  return table.move(arguments, 1, #arguments, #command + 1, command)
end

--- The self-test of a folder that was compiled for a board of this CPU.
function tiny.self_test(dir)
  sys.write_file(dir .. ".request", "MSARUN6\n" .. string.pack("<I4I4", 12, 0))
  tiny.must { dir .. "/runner/msa_run", dir .. ".request", dir .. ".response", dir .. "/msa_weights.bin" }
  assert(sys.read_file(dir .. ".response") == "", "the self-test fails")
end

return tiny
