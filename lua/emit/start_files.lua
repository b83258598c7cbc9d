-- SPDX-License-Identifier: Apache-2.0
--- What a board without an operating system has in a generated folder: its linker script, start-up code for the product
-- and what the test bench needs.

local boards = require "target.boards"
local fail = require "support.fail"
local sandbox = require "support.sandbox"
local sys = require "msagen.sys"

local start_files = {}

-- Of Lua, what a board's linker script may use.
local SCRIPT_SEES = { "assert", "error", "ipairs", "next", "pairs", "select", "tonumber", "tostring", "type", "math",
  "string", "table" }

-- A board's linker script.
local function script_of(board, places, made_by)
  local script = board.start.script
  return sandbox.run(("%s/%s"):format(boards.folder_of(board, script), script),
    { names = SCRIPT_SEES, data = { board = board, places = places, made_by = made_by }, template = true })
end

--- Add them. @param texts of the folder: file name -> text; those that are there already are refused
-- @param places thing -> memory (lua/estimate/placement.lua) @param made_by what the script's first line says
-- @param runner_folder of the test bench
function start_files.add(texts, board, places, made_by, runner_folder)
  local start = board.start
  if not start then return end
  local function own(place, file)
    local name = file .. ".c"
    for _, taken in ipairs { name, file .. ".S", ("%s/%s"):format(runner_folder, name) } do
      if texts[taken] then
        fail("%s: start: expected files that the model has not, found %s", board.source or board.name, name)
      end
    end
    texts[place .. name] = sys.read_file(boards.folder_of(board, name) .. "/" .. name)
  end
  for _, file in ipairs(start.product) do own("", file) end
  for _, file in ipairs(start.runner) do own(runner_folder .. "/", file) end
  texts[start.script] = script_of(board, places, made_by)
end

return start_files
