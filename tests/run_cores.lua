-- SPDX-License-Identifier: Apache-2.0
-- Builds for several cores: the digest of one core's build, which golden/digests.json and the interpreter know,
-- whatever their number; arena near its bound, no data race, nothing undefined.
-- luahost run_cores.lua
local sys = require "msagen.sys"
local json = require "msagen.json"
local cases = require "cases"
local tally = require "tally"

local work = tally.folder "cores"

-- Each kind of network, with numbers that divide its blocks of tokens, heads, windows and rows, and numbers that do
-- not; the second list is the full tier's.
local spread = {
  { "sam-2d", { 3 }, { 8, 2, 4 } },
  { "msa-2025-2d", { 8 }, { 3 } },
  { "msa-paper-2d", { 5 }, {} },
  { "msa-2023-3d-two-chunks", { 7 }, { 4 } },
  { "msa-2025-3d-no-chunk", { 2 }, { 6 } },
}
-- More threads than this machine has cores, again and again.
local repeated, times = { ["sam-2d"] = { [4] = true, [8] = true }, ["msa-2023-3d-two-chunks"] = { [7] = true } }, 20

local function make(fw, ...) tally.must { "make", "-j2", "-C", fw, ... } end

local function prompts_of(name, case)
  local path = ("%s/%s.json"):format(work, name)
  sys.write_file(path, cases.prompts(name, case))
  return path
end

local function digest(fw, name, prompts, env, ...)
  return cases.digest(tally.must { env = env, tally.program, "run", fw, "--image",
    ("%s/%s/image.npy"):format(cases.folder, name), "--prompts", prompts, "--digest", ... })
end

--- Arena over its bound, of what was built in `fw` for `n` cores.
local function arena_ratio(fw, n)
  local m = json.decode(sys.read_file(fw .. "/manifest.json"), "manifest.json")
  assert(m.cores == n, ("manifest.json says %s cores"):format(m.cores))
  local ratio = m.arena_bytes / m.arena_bound_bytes
  assert(ratio >= 1 and ratio <= 1.05, ("arena %.3f of its bound"):format(ratio))
  return ratio
end

--- A case's digest with n cores, which must be that with one.
local function check(name, n, board, cflags)
  local case, fw = cases.read(name), ("%s/%s-%d-%s"):format(work, name, n, board)
  local prompts = prompts_of(name, case)
  tally.must(cases.build(name, case, board, fw, "--cores", tostring(n)))
  make(fw, "CFLAGS=" .. cflags)
  local got = digest(fw, name, prompts)
  assert(got == cases.known(name, board), "another digest than one core's")
  for i = 2, repeated[name] and repeated[name][n] and times or 1 do
    assert(digest(fw, name, prompts) == got, ("another digest in run %d"):format(i))
  end
  local ratio = arena_ratio(fw, n)
  local sequences = cflags ~= "-O0" and board == tally.best and cases.calls(fw, 19, 60)
  sys.remove_tree(fw)
  return ("arena %.3f of its bound%s"):format(ratio, sequences and (", %d sequences of calls"):format(sequences) or "")
end

for _, s in ipairs(spread) do
  local numbers = table.move(s[2], 1, #s[2], 1, {})
  if tally.full then table.move(s[3], 1, #s[3], #numbers + 1, numbers) end
  for _, n in ipairs(numbers) do
    tally.test(("%s with %d cores"):format(s[1], n), check, s[1], n, tally.best, n == 3 and "-O1" or "-O0")
  end
end

-- Threads and layers are the same text on every board: the others are the full tier's.
local others = {}
for _, board in ipairs(tally.boards) do
  if board.name ~= tally.best then others[#others + 1] = board end
end
for _, board in ipairs(tally.full and others or {}) do
  local title = "sam-2d with 3 cores on " .. board.name
  if board.missing then
    tally.skip(title, board.missing)
  else
    tally.test(title, check, "sam-2d", 3, board.name, "-O1")
  end
end

tally.deep("banks with 4 cores", function()
  local fw = work .. "/banks"
  cases.banks(fw, function(folder) make(folder, "CFLAGS=-O0") end, "--cores", "4")
  arena_ratio(fw, 4)
  cases.calls(fw, 37, 30)
  sys.remove_tree(fw)
end)

--- The folder and the runner under a sanitizer, which writes reports to files.
local function sanitized(name, variables, cc, cflags)
  local case, fw = cases.read(name), ("%s/%s-sanitized"):format(work, name)
  local prompts, log = prompts_of(name, case), ("%s/%s-report"):format(work, name)
  local options = "halt_on_error=1:exitcode=66:log_path=" .. log
  local env = {}
  for _, variable in ipairs(variables) do env[variable] = options end
  tally.must(cases.build(name, case, tally.best, fw, "--cores", "4"))
  make(fw, "CC=" .. cc, "CFLAGS=" .. cflags)
  local function report()
    for _, file in ipairs(sys.list(work)) do
      if file:find(name .. "-report.", 1, true) then
        return sys.read_file(work .. "/" .. file):match "[^\n=]+ERROR[^\n]+"
          or sys.read_file(work .. "/" .. file):match "WARNING[^\n]+" or file
      end
    end
  end
  local ok, got = pcall(digest, fw, name, prompts, env)
  assert(not report(), report())
  assert(ok, got)
  assert(got == cases.known(name, tally.best), "another digest than one core's")
  return fw, prompts, env, report
end

for _, name in ipairs { "msa-2023-3d-two-chunks", tally.full and "msa-2025-2d" or nil } do
  tally.test(name .. " with 4 cores has no data race", function()
    local fw, prompts, env, report = sanitized(name, { "TSAN_OPTIONS" }, "gcc", "-O1 -g -fsanitize=thread")
    -- The proof that one would be found: layers that do not end with the barrier.
    local model = sys.read_file(fw .. "/msa_model.c")
    local changed, count = model:gsub("\n    msa_cores_wait%(s%->team, s, core%);\n    return s%->stop",
      "\n    return s->stop")
    assert(count == 1, "no barrier found to take away")
    sys.write_file(fw .. "/msa_model.c", changed)
    make(fw, "CC=gcc", "CFLAGS=-O1 -g -fsanitize=thread")
    pcall(digest, fw, name, prompts, env, "--modified")
    assert(report() and report():find("data race", 1, true), "without barriers it reports nothing")
    sys.remove_tree(fw)
  end)
end

tally.test("sam-2d with 4 cores does nothing undefined, by clang-14", function()
  sys.remove_tree((sanitized("sam-2d", { "ASAN_OPTIONS", "UBSAN_OPTIONS" }, "clang-14",
    "-O0 -g -fsanitize=undefined,address -fno-sanitize-recover=all")))
end)

tally.test("the hooks for bare metal in docs/cores.md serve three cores", function()
  local text = sys.read_file(tally.source
    .. "/docs/cores.md"):match '\n(    #include "msa_model.h"\n.-\n    }\n)\n%S'
  assert(text and text:find("msa_cores_wait", 1, true) and text:find("core_main", 1, true), "no example")
  local name, fw = "sam-2d", work .. "/bare"
  local case = cases.read(name)
  tally.must(cases.build(name, case, tally.best, fw, "--cores", "3"))
  -- Threads play the other cores; the runner's own are not linked.
  sys.write_file(fw .. "/msa_threads.c", text .. [[
#include "msa_threads.h"
void core_main(uint32_t core);
static void *boot(void *core) { core_main(*(uint32_t *)core); return 0; }
int msa_threads_start(msa_threads *team, uint32_t cores)
{
    static uint32_t numbers[MSA_MAX_CORES];
    for (uint32_t i = 1; i < cores; ++i) {
        numbers[i] = i;
        if (pthread_create(&team->thread[i - 1u], 0, boot, &numbers[i]) != 0) return 1;
    }
    return 0;
}
void msa_threads_end(msa_threads *team) { (void)team; }
]])
  make(fw, "CFLAGS=-O0 -Wno-pedantic -Wno-missing-prototypes")
  assert(digest(fw, name, prompts_of(name, case), nil, "--modified")
    == cases.known(name, tally.best), "another digest than one core's")
end)

return tally.finish()
