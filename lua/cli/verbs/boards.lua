-- SPDX-License-Identifier: Apache-2.0
-- msagen boards [FILE.lua...] [--json]: what can be built for; of files of the user's own, whether they are boards and
-- what they are.

local terminal = require "support.terminal"

local verb = {}

local DEFAULT = "(the default here)"

function verb.setup(command)
  command:argument("file",
    "Board files of your own: they are checked, and listed instead of msagen's boards."):argname("FILE.lua"):args "*"
  command:flag("--json", "For machines: one JSON array.")
end

--- What running the board's code takes here.
local function runs(boards, board)
  if boards.native(board) then return "here" end
  if board.emulator then return "under " .. board.emulator[1] end
  return board.hosted and "not on this CPU" or "on the board only"
end

function verb.run(args)
  local boards = require "target.boards"
  local best, all = boards.best(), boards.all()
  if #args.file > 0 then
    all = {}
    for i, path in ipairs(args.file) do all[i] = boards.from_file(path) end
  end
  for _, board in ipairs(all) do
    if board.emulator_lost then
      terminal.say("warning", board.name .. ": " .. board.emulator_lost)
    end
  end
  if args.json then
    local json = require "msagen.json"
    local list = json.array {}
    for i, board in ipairs(all) do
      list[i] = {
        name = board.name, summary = board.summary, isa = board.isa.name, arithmetic = board.arithmetic,
          compiler = board.compiler, flags = json.array(board.flags),
        hosted = board.hosted, native = boards.native(board), emulator = board.emulator and json.array(board.emulator)
          or json.null,
        default = best ~= nil and board.name == best.name,
      }
    end
    io.stdout:write(json.encode(list, { indent = 1 }), "\n")
    return 0
  end
  local paint = terminal.painter(1)
  local rows = { { "board", "isa", "arithmetic", "runs", "what" } }
  for i, board in ipairs(all) do
    local default = best and board.name == best.name and " " .. DEFAULT or ""
    rows[i + 1] = { board.name, board.isa.name, board.arithmetic, runs(boards, board), board.summary .. default }
  end
  for _, line in ipairs(require("support.layout").table(rows, { width = terminal.columns(), paint = paint })) do
    if line:sub(-#DEFAULT) == DEFAULT then line = line:sub(1, -#DEFAULT - 1) .. paint("best", DEFAULT) end
    io.stdout:write(line, "\n")
  end
  return 0
end

return verb
