-- SPDX-License-Identifier: Apache-2.0
-- Golden cases as drivers need them: what case.json says, the command that builds it, its prompts as `msagen run` takes
-- them.
local sys = require "msagen.sys"
local json = require "msagen.json"
local tally = require "tally"

local M = { folder = tally.tests .. "/golden" }

function M.read(name)
  return json.decode(sys.read_file(("%s/%s/case.json"):format(M.folder, name)), name .. "/case.json")
end

--- The file of a case's weights; nil where there is no such case.
function M.checkpoint(name)
  for _, file in ipairs { "checkpoint.pth", "model.safetensors" } do
    local path = ("%s/%s/%s"):format(M.folder, name, file)
    if sys.exists(path) then return path end
  end
end

local digests = json.decode(sys.read_file(M.folder .. "/digests.json"), "digests.json")

--- The digest that a case has on all boards of a class of arithmetic, which run_golden.lua holds against the
-- interpreter.
function M.known_to(class, name) return assert(digests[class][name], name .. " has no digest") end

--- The same by the name of a board.
function M.known(name, board) return M.known_to(tally.class[board], name) end

-- A verb on a case's checkpoint for `board`, with the case's options and more.
local function command(verb, name, case, board, ...)
  local words = { tally.program, verb, M.checkpoint(name), "--dialect", case.dialect,
    "--resolution", tostring(case.run_size or case.image_size), "--board", board, ... }
  if case.multimask and case.multimask > 1 then
    words[#words + 1], words[#words + 2] = "--classes", tostring(case.multimask)
  end
  if (case.slices or 1) > 1 then
    words[#words + 1], words[#words + 2] = "--depth", tostring(case.slices)
  end
  if case.thd and case.chunk ~= nil then
    words[#words + 1], words[#words + 2] = "--chunk", case.chunk == json.null and "none" or tostring(case.chunk)
  end
  return words
end

--- The command that builds a case for `board` in folder `fw`, with more options.
function M.build(name, case, board, fw, ...) return command("build", name, case, board, "-o", fw, ...) end

--- The command that computes a case by the naive kernels, in the arithmetic of `board`.
function M.interpret(name, case, board, prompts)
  return command("interpret", name, case, board, "--image", ("%s/%s/image.npy"):format(M.folder, name), "--prompts",
    prompts, "--digest")
end

--- The digest of any checkpoint's build for `board`, by the naive kernels; words of the command line.
function M.interpreted(board, ...)
  return M.digest(tally.must { tally.program, "interpret", "--board", board, "--digest", ... })
end

--- The banks of the demos' checkpoints, built into `fw` with more options (a precision is the interpreter's, too), and
-- run: each must have the digest of its
-- own checkpoint by the interpreter, pass the self-test, and differ from the other.
function M.banks(fw, make, ...)
  local carotid, base = tally.source .. "/demo/carotid", tally.head
  local delta = carotid .. "/delta.safetensors"
  local expected = json.decode(sys.read_file(carotid .. "/expected.json"), "expected.json")
  local picture = { "--image", carotid .. "/image.png", "--point", ("%d,%d"):format(table.unpack(expected.point)) }
  local precision = select(1, ...) == "--precision" and { ... } or {}
  tally.must { tally.program, "build", "-o", fw, "--dialect", expected.dialect, "--board", tally.best, "--bank",
    "head=" .. base, "--bank", "carotid=" .. delta, "--base", base, ... }
  make(fw)
  local function of(bank, ...)
    local found = M.digest(tally.must { tally.program, "run", fw, "--digest", "--bank", bank,
      table.unpack(picture) })
    local words = table.move(picture, 1, #picture, 1 + select("#", ...), { ... })
    table.move(precision, 1, #precision, #words + 1, words)
    assert(found == M.interpreted(tally.best, "--dialect", expected.dialect, table.unpack(words)),
      bank .. ": another digest than the interpreter's of its checkpoint")
    return found
  end
  assert(of("head", base) ~= of("carotid", delta, "--base", base), "the banks are alike")
  M.self_test(fw)
end

--- The self-test of a folder that was compiled.
function M.self_test(fw)
  local request, response = fw .. ".request", fw .. ".response"
  sys.write_file(request, "MSARUN6\n" .. string.pack("<I4I4", 12, 0))
  tally.must { fw .. "/runner/msa_run", request, response, fw .. "/msa_weights.bin" }
  assert(sys.read_file(response) == "", "the self-test fails")
end

function M.prompts(name, case)
  local prompts = json.array {}
  for k, p in ipairs(case.prompts) do
    prompts[k] = {
      points = p.points, labels = p.labels, box = p.box, multimask = p.multimask,
      mask = p.mask and ("%s/%s/prompt_%d.mask_input.npy"):format(M.folder, name, k - 1) or nil,
    }
  end
  return json.encode(prompts)
end

local FAULTS = { "flips", "status", "harmless", "bits", "mask", "stopped", "later" }

--- Single bits flipped in the arena, the weights and the session of a built folder's model (api/faults.c, which says
-- what each count is).
-- @return list of { place =, moment =, flips =, status =, harmless =, bits =, mask =, stopped =, later = }
function M.faults(fw, flips, seed)
  tally.must { "sh", "-c",
    ("exec gcc -std=c11 -O1 -Wall -Wextra -Werror -I'%s' -o '%s/faults' '%s/api/faults.c' "
      .. "'%s/libmsa_model.a' -lm"):format(
    fw, fw, tally.tests, fw) }
  local rows = {}
  for line in tally.must({ fw .. "/faults", fw .. "/msa_weights.bin", tostring(flips),
    tostring(seed) }):gmatch "[^\n]+" do
    local place, moment, numbers = line:match "^(%l+) (%l+) ([%d ]+)$"
    local row, at = { place = place, moment = moment }, 0
    for number in numbers:gmatch "%d+" do
      at = at + 1
      row[FAULTS[at]] = math.tointeger(number)
    end
    assert(at == #FAULTS and row.flips == flips
      and row.status + row.harmless + row.bits + row.mask + row.stopped == flips, line)
    rows[#rows + 1] = row
  end
  assert(#rows == 9, #rows .. " lines")
  return rows
end

--- What must be noticed of such flips, however few there are.
function M.check_faults(rows)
  for _, row in ipairs(rows) do
    local where = ("%s, %s: "):format(row.place, row.moment)
    if row.place == "weights" then assert(row.later == row.bits + row.mask,
      where .. "a self-test does not find a changed weight that changed a result") end
    if row.place == "session" and row.moment == "between" then
      assert(row.bits == 0 and row.mask == 0 and row.stopped == 0,
        where .. "a changed session answered, or ended the program")
      assert(row.status > 0, where .. "no call found a changed session")
    end
    assert(row.harmless + row.status > 0, where .. "every flip did harm")
  end
end

--- Single bits flipped in what an encode leaves in the arena, and in the lines that guard it (api/guards.c).
-- @return those flipped and those found of "kept", and of "line", by moments
function M.guards(fw, flips)
  tally.must { "sh", "-c", ("exec gcc -std=c11 -O1 -Wall -Wextra -Werror -I'%s' -o '%s/guards' '%s/api/guards.c' "
    .. "'%s/libmsa_model.a' -lm"):format(fw, fw, tally.tests, fw) }
  local sums = { kept = {}, line = {} }
  for name, moment, all, found in tally.must({ fw .. "/guards", fw .. "/msa_weights.bin",
    tostring(flips) }):gmatch "(%l+) (%l+) (%d+) (%d+)\n" do
    local sum = sums[name][moment] or { flipped = 0, found = 0 }
    sums[name][moment] = { flipped = sum.flipped + all, found = sum.found + found }
  end
  return sums
end

-- A program of tests/api/ for a built folder's model, run on its weights with more words. @return what it says
local function api(name, fw, ...)
  tally.must { "sh", "-c", ("exec gcc -std=c11 -O1 -Wall -Wextra -Werror -I'%s' -o '%s/%s' '%s/api/%s.c' "
    .. "'%s/libmsa_model.a' -lm"):format(fw, fw, name, tally.tests, name, fw) }
  return tally.must { fw .. "/" .. name, fw .. "/msa_weights.bin", ... }
end

--- Every every-th bit of a built folder's weights flipped by itself (api/bits.c): each must be refused.
-- @return how many by msa_open, and how many by the check of a segment
function M.bits(fw, every)
  local said, opened = api("bits", fw, tostring(every), tostring(2000)), 0
  for status, count in said:gmatch "open (%d+) (%d+)\n" do
    assert(status ~= "0", said)
    opened = opened + math.tointeger(count)
  end
  local segments, silent, tests, passed = said:match "segments (%d+)\nsilent (%d+)\ntests (%d+)\npassed (%d+)"
  assert(silent == "0" and passed == "0" and tonumber(tests) > 0 and tonumber(segments) > 0 and opened > 0, said)
  return opened, math.tointeger(segments)
end

--- A built folder's model with all its memory between pages without access (api/pages.c).
function M.pages(fw) assert(api("pages", fw) == "no fault\n") end

--- Sequences of right and wrong calls of a built folder's API, held against what its header says of the session
-- (api/calls.h).
-- @param every of all pairs every n-th  @param triples how many  @param cflags beside the defaults
-- @param flips of bits of the weights, that slices of them find; nil: 60
function M.calls(fw, every, triples, cflags, flips)
  local threads = sys.exists(fw .. "/msa_threads.o") and ("'%s/msa_threads.o'"):format(fw) or ""
  tally.must { "sh", "-c",
    ("exec gcc -std=c11 -Wall -Wextra -Werror -pthread %s -I'%s' -o '%s/calls' '%s/api/calls.c' %s "
      .. "'%s/libmsa_model.a' -lm"):format(
    cflags or "", fw, fw, tally.tests, threads, fw) }
  local said = tally.must { fw .. "/calls", fw .. "/msa_weights.bin", tostring(every), tostring(triples),
    tostring(flips or 60) }
  local count = tonumber(said:match "(%d+) sequences, 0 wrong")
  assert(count and count > triples, said)
  return count
end

--- Have `run` take the emulator for a folder even where this CPU runs the board's programs: the manifest asks for what
-- no CPU has.
function M.emulate(fw)
  local manifest, count = sys.read_file(fw .. "/manifest.json"):gsub('("requires":%s*%[)(%s*"?)', function(head,
    next) return head .. '"what no CPU has"' .. (next:find '"' and "," or "") .. next end)
  assert(count == 1, "manifest.json does not say what the board requires")
  sys.write_file(fw .. "/manifest.json", manifest)
end

--- The digest in what `msagen run --digest` printed.
function M.digest(output)
  local digest = output:match "digest (%x+)"
  assert(digest and #digest == 64, "run printed no digest")
  return digest
end

return M
