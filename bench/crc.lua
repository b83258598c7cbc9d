-- SPDX-License-Identifier: Apache-2.0
-- The device's CRC-32C against a plain read of the same mapped file, for every board whose code this CPU runs: luahost
-- bench/crc.lua FILE [ROUNDS].
-- FILE: a model's msa_weights.bin. One run a board, read and CRC in turns; prints medians and their ratio; see
-- bench/README.md.
local boards = require "target.boards"
local rig = require "rig"
local sys = require "msagen.sys"

local file, rounds = arg[1], arg[2] or "15"
if not file then
  io.stderr:write("usage: crc.lua FILE [ROUNDS]\n")
  os.exit(2)
end
sys.mkdir_p("out/bench")

local result
for _, board in ipairs(boards.all()) do
  if boards.native(board) then
    local program = "out/bench/crc-" .. board.name
    local compile = { board.compiler, "-O3", "-std=gnu99", "-o", program, rig.folder .. "/crc.c" }
    rig.must(table.move(board.flags, 1, #board.flags, #compile + 1, compile))
    local text = rig.must { program, file, rounds }
    local bytes, read, crc, found = text:match "bytes (%d+)\nread_gbs ([%d.]+)\ncrc_gbs ([%d.]+)\nresult (%x+ %x+ %x+)"
    assert(not result or result == found, board.name .. ": another CRC than the boards before")
    result = found
    print(("%-16s %.1f MB: CRC-32C %6.2f GB/s, plain read %6.2f GB/s, ratio %.2f"):format(board.name, bytes / 1e6, crc,
      read, crc / read))
  end
end
