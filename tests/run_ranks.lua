-- SPDX-License-Identifier: Apache-2.0
-- msagen evaluate as ranks of mpirun (a msagen --with-mpi): the same bytes whatever their number, and where one is
-- killed; what a msagen without MPI says.
local sys = require "msagen.sys"
local tally = require "tally"

local work = tally.folder "ranks"
local data = tally.source .. "/demo/data/fetal-head"
local fw = work .. "/fw"
local FILES = { "table.md", "table.csv", "cases.csv", "run.json", "index.html" }

local function mpirun(ranks, ...)
  return { "timeout", "120", "mpirun", "--allow-run-as-root", "--oversubscribe", "-n", tostring(ranks), ... }
end

local function evaluate(out, ...)
  return tally.program, "evaluate", fw, "--data", data, "--clicks", "1", "--worst", "1", "-o", out, ...
end

local function same(a, b)
  for _, name in ipairs(FILES) do
    assert(sys.read_file(a .. "/" .. name) == sys.read_file(b .. "/" .. name), name .. " is another")
  end
end

-- The process that is rank `rank` of a run into `out`, or nil.
local function pid_of(rank, out)
  for _, pid in ipairs(sys.list "/proc") do
    local ok, command = pcall(sys.read_file, ("/proc/%s/cmdline"):format(pid))
    local known, variables = pcall(sys.read_file, ("/proc/%s/environ"):format(pid))
    if pid:match "^%d+$" and ok and known and command:find("\0evaluate\0", 1, true) and command:find(out, 1, true)
      and ("\0" .. variables):find(("\0OMPI_COMM_WORLD_RANK=%d\0"):format(rank), 1, true) then
      return pid
    end
  end
end

local function kill_when_it_works(rank, ranks, out)
  local part = ("%s/journal/part-%d-of-%d.jsonl"):format(out, rank + 1, ranks)
  for _ = 1, 3000 do
    local pid = sys.exists(part) and pid_of(rank, out)
    if pid then
      sys.spawn { "kill", "-9", pid }
      return
    end
    sys.spawn { "sleep", "0.01" }
  end
  error(part .. " never came")
end

-- Start a command, do something meanwhile, and wait. @return exit status, what it printed
local function beside(command, meanwhile)
  local words = {}
  for i, word in ipairs(command) do words[i] = "'" .. word:gsub("'", "'\\''") .. "'" end
  local log = work .. "/log"
  local pipe = io.popen(("%s > %s 2>&1 < /dev/null; echo $?"):format(table.concat(words, " "), log))
  meanwhile()
  local status = tonumber(pipe:read "a")
  pipe:close()
  return status, sys.read_file(log)
end

tally.must { tally.program, "build", tally.head, "--dialect", "msa-paper", "-o", fw }
local alone = work .. "/alone"
tally.must { evaluate(alone) }

for _, ranks in ipairs { 2, 5 } do
  tally.test(("%d ranks write the bytes of one process"):format(ranks), function()
    local out = ("%s/ranks-%d"):format(work, ranks)
    local text = tally.must(mpirun(ranks, evaluate(out)))
    local _, tables = text:gsub("written to", "")
    assert(tables == 1, "expected one table, found " .. text)
    same(alone, out)
  end)
end

tally.test("a killed rank's cases are done by the others", function()
  local noticed
  for try = 1, 5 do -- the rank may have done its last case when it is killed
    local out = ("%s/killed-%d"):format(work, try)
    local command = mpirun(3, evaluate(out))
    table.insert(command, 4, "--enable-recovery")
    local status, text = beside(command, function() kill_when_it_works(1, 3, out) end)
    assert(text:find("written to", 1, true), ("exit status %d: %s"):format(status, text))
    same(alone, out)
    noticed = text:find("rank 1 has ended: others do its cases", 1, true)
    if noticed then break end
  end
  assert(noticed, "expected a rank that ended before its cases, found five that were done")
end)

tally.test("without recovery mpirun ends all, and the same command goes on where it was", function()
  local out = work .. "/ended"
  local status = beside(mpirun(3, evaluate(out)), function() kill_when_it_works(2, 3, out) end)
  assert(status ~= 0 and not sys.exists(out .. "/table.md"), "expected mpirun to end all ranks")
  tally.must(mpirun(2, evaluate(out)))
  same(alone, out)
end)

tally.test("--shard env, then --merge, write them too", function()
  local out = work .. "/shards"
  tally.must(mpirun(3, evaluate(out, "--shard", "env")))
  tally.must { evaluate(out, "--merge") }
  same(alone, out)
end)

tally.test("trainings as ranks end in the same bytes, also where one is killed", function()
  local folder = tally.program:match "^(.*)/gen/[^/]*$"
  local text = tally.must { folder .. "/tests/luahost", tally.source .. "/tests/lua/suite.lua",
    tally.source .. "/tests/lua/test_train_loop.lua", env = { CHECK_TIER = "whole",
    CHECK_GROUP = not tally.full and "ranks" or nil } }
  assert(text:find("2 passed, 0 failed", 1, true) or tally.full and text:find(" 0 failed", 1, true), text)
end)

tally.test("msagen train as ranks writes the same files, whatever their number", function()
  local base = tally.tests .. "/golden-train/msa-2023-2d/checkpoint.pth"
  local class = require("target.arithmetic").class(require("target.boards").best(), "f32")
  -- Below the full tier by generated code, which each rank compiles, with two ranks, by the naive kernels otherwise.
  local function trained(ranks)
    local out, how = ("%s/train-%d"):format(work, ranks), { "--interpret", class }
    if tally.full or ranks == 2 then how = {} end
    tally.must(mpirun(ranks, tally.program, "train", "--data", data, "--base", base, "--dialect", "msa-2023", "--batch",
      "5", "--steps", "2", "--validation", "3", "-o", out .. ".safetensors", table.unpack(how)))
    return out
  end
  local one = trained(1)
  for _, ranks in ipairs { 2, 4 } do
    local other = trained(ranks)
    for _, ending in ipairs { "safetensors", "best.safetensors", "csv", "png", "state" } do
      assert(sys.read_file(one .. "." .. ending) == sys.read_file(other .. "." .. ending),
        ("%s of %d ranks is another"):format(ending, ranks))
    end
  end
end)

return tally.finish()
