-- SPDX-License-Identifier: Apache-2.0
-- make and run in trouble: several at once, killed at any moment, a full disk, another make, an emulator that fails,
-- what killed ones leave.
package.path = arg[0]:match "^(.*)/[^/]*$" .. "/lua/?.lua;" .. package.path
local json = require "msagen.json"
local sys = require "msagen.sys"
local tally = require "tally"
local cases = require "cases"
local tiny = require "tiny_model"

local work = tally.folder "trouble"
local image, temporary, fw = work .. "/image.npy", work .. "/tmp", work .. "/fw"
sys.mkdir_p(temporary)
local pixels = {}
for i = 1, 48 * 48 * 3 do pixels[i] = string.char(i * 7 % 256) end
require("msagen.npy").write(image, require("msagen.tensor").frombytes(table.concat(pixels), "u8", { 48, 48, 3 }))

-- A gcc that counts its calls, optimises nothing and, while there is a file `full`, fails after its work as on a full
-- disk.
local bin, real = work .. "/bin", tally.must({ "sh", "-c", "command -v gcc" }):match "[^\n]+"
sys.mkdir_p(bin)
sys.write_file(bin .. "/gcc", ([[#!/bin/sh
echo "$*" >> '%s/calls'
PATH='%s' '%s' "$@" -O0 || exit
[ ! -e '%s/full' ] || { echo 'as: msa_x.o: No space left on device' >&2; exit 1; }
]]):format(work, os.getenv "PATH", real, work)) -- a cache's gcc looks for another one, and must not find this
sys.chmod(bin .. "/gcc", 493)
local environment = { PATH = bin .. ":" .. os.getenv "PATH", TMPDIR = temporary, MAKEFLAGS = false, MAKELEVEL = false }

local device = tiny.device(work, "plain")
device.board = "generic-c99"
local function build() sys.remove_tree(fw) return tiny.build(device, fw) end

local function calls(what)
  local path, count = work .. "/calls", 0
  for line in (sys.exists(path) and sys.read_file(path) or ""):gmatch "[^\n]+" do
    count = count + (line:find(what, 1, true) and 1 or 0)
  end
  return count
end
local function shell(text, ...)
  return { env = environment, stdin = "/dev/null", stdout = "capture", stderr = "capture", "sh", "-c", text, "sh",
    tally.program, fw, image, ... }
end
local function run(...)
  return { env = environment, tally.program, "run", fw, "--image", image, "--point", "3,4", "--digest", ... }
end
local function refused(command, ...)
  command.stdin, command.stdout, command.stderr = "/dev/null", "capture", "capture"
  local status, output = sys.spawn(command)
  assert(status == 1, output)
  for _, words in ipairs { ... } do assert(output:find(words, 1, true), output) end
end
local function no_leftovers()
  for _, folder in ipairs { fw, fw .. "/runner" } do
    for _, name in ipairs(sys.list(folder)) do assert(not name:match "%.%d+%." and not name:match "^%.msagen", name) end
  end
  assert(#sys.list(temporary) == 0, "left: " .. table.concat(sys.list(temporary), " "))
end

local digest
tally.test("four runs at once on a folder not yet compiled: one compiles, all answer", function()
  build()
  local output = tally.must(shell 'for k in 1 2 3 4; do "$1" run "$2" --image "$3" --point 3,4 --digest & done; wait')
  local count = 0
  for line in output:gmatch "[^\n]+" do
    digest = digest or line
    assert(line == digest and cases.digest(line), output)
    count = count + 1
  end
  assert(count == 4 and calls "msa_model.c" == 1, ("%d answers, %d compilations"):format(count, calls "msa_model.c"))
  no_leftovers()
end)

tally.test("runs and makes by hand at once", function()
  build()
  local output = tally.must(shell 'make -s -j2 -C "$2" & "$1" run "$2" --image "$3" --point 3,4 --digest; wait')
  local count = select(2, output:gsub("digest %x+", function(line) assert(line == digest, output) end))
  assert(count == 1, output)
  no_leftovers()
end)

tally.test("killed while it compiles, at any moment: the next run answers", function()
  for k = 1, 3 do
    build()
    sys.spawn(shell('setsid "$1" run "$2" --image "$3" --point 3,4 --digest & p=$!; sleep "$4"; kill -9 -$p; wait $p',
      ("%.2f"):format(0.25 * k)))
    assert(tally.must(run()):match "digest %x+" == digest, "another digest")
    no_leftovers()
  end
end)

tally.test("a step that fails after it made its file: the disk is named, and the next run recovers", function()
  build()
  sys.write_file(work .. "/full", "")
  refused(run(), fw .. ": make: no room on the disk of ",
    "MiB free): make room, and run this again: as: msa_x.o: No space left on device")
  os.remove(work .. "/full")
  assert(tally.must(run()):match "digest %x+" == digest, "another digest")
  no_leftovers()
end)

if pcall(sys.spawn, { "bmake", "-V", "MAKE", stdout = "/dev/null", stdin = "/dev/null" }) then
  tally.test("another make than GNU's compiles the folder, and run takes what it made", function()
    build()
    tally.must { "bmake", "-j2", "-C", fw, env = environment }
    local before = calls "msa_model.c"
    assert(tally.must(run()):match "digest %x+" == digest and calls "msa_model.c" == before, "it was compiled again")
  end)
else tally.skip("another make than GNU's", "there is no bmake")
end

tally.test("objects of another folder, and a source that is not what msagen wrote, are noticed", function()
  local other = work .. "/other"
  device.click_order = "rc" -- the same weights, another program
  tiny.build(device, other)
  device.click_order = nil
  tally.must { "make", "-j2", "-C", other, env = environment }
  tally.must { "cp", other .. "/msa_model.o", fw .. "/msa_model.o" }
  local output = tally.must(run())
  assert(output:find(fw .. "/msa_model.o: it changed since it was compiled: the folder is compiled again", 1, true)
    and output:match "digest %x+" == digest, output)
  -- Without a note of what was compiled, the runner itself tells.
  os.remove(fw .. "/runner/msa_run.sums")
  tally.must { "cp", other .. "/runner/msa_run", fw .. "/runner/msa_run" }
  output = tally.must(run())
  assert(output:find("runner/msa_run: it was compiled from another build", 1, true)
    and output:match "digest %x+" == digest, output)
  local kept = work .. "/msa_model.h"
  tally.must { "cp", "-p", fw .. "/msa_model.h", kept }
  tally.must { "cp", "-p", other .. "/msa_model.h", fw .. "/msa_model.h" }
  refused(run(), fw .. "/msa_model.h: expected what msagen wrote, of SHA-256 ",
    "found other bytes: build the folder again, or run it as it is with --modified")
  tally.must { "cp", "-p", kept, fw .. "/msa_model.h" }
end)

tally.test("an emulator that fails has its say, also on a terminal", function()
  tally.must(run())
  local path = fw .. "/manifest.json"
  local text = sys.read_file(path)
  local manifest = json.decode(text, path)
  manifest.emulator, manifest.requires = json.array { "sh", "-c",
    "echo 'qemu: fatal: no memory at 0x08000000' >&2; echo R00=0 >&2; kill -ABRT $$", "{program}" },
    json.array { "what no CPU has" }
  sys.write_file(path, json.encode(manifest))
  local words = { "runner/msa_run: expected an answer, found exit status 134: it aborted: sh says: qemu: fatal: no "
      .. "memory at 0x08000000" }
  refused(run "--modified", words[1])
  local script = shell 'script -qec "$1 run $2 --image $3 --point 3,4 --modified" /dev/null'
  local _, output = sys.spawn(script)
  assert(output:find(words[1], 1, true), output)
  sys.write_file(path, text)
end)

tally.test("what killed ones left, the image first of all, is removed by the next; what a live one uses is not",
  function()
  -- Killed as soon as there is something to leave behind; a shell's own words alone are quick enough to see it.
  local killed = [[p=$!; while :; do
      for f in "$4"/msagen-*/"$5" "$4"/.msagen-*/"$5"; do [ ! -e "$f" ] || break 2; done
      kill -0 $p || exit 3
    done
    kill -9 $p; wait $p; ls -A "$4"; exit 0]]
  local output = tally.must(shell('"$1" run "$2" --image "$3" --bench 1000000 > /dev/null 2>&1 & ' .. killed, temporary,
    "response"))
  assert(output:find("msagen-run-", 1, true), output)
  local live = sys.mkdtemp(temporary, "msagen-run-")
  sys.mkdir_p(temporary .. "/msagen-models")
  tally.must(run())
  assert(#sys.list(temporary) == 2 and sys.exists(live) and sys.exists(temporary .. "/msagen-models"),
    table.concat(sys.list(temporary), " "))
  for _, path in ipairs { live, temporary .. "/msagen-models" } do sys.remove_tree(path) end
  sys.keep(live)
  local parent = work .. "/parent"
  sys.mkdir_p(parent)
  local builds = '"$1" build "$6" --dialect sam --decoder-heads 4 --global-blocks 1 --board generic-c99 -o "$4/new" '
    .. '> /dev/null 2>&1 & '
  for _ = 1, 20 do
    local status
    status, output = sys.spawn(shell(builds .. killed, parent, "new", device.checkpoint))
    if status == 0 then break end
    sys.remove_tree(parent .. "/new")
  end
  assert(output:find(".msagen-", 1, true), output)
  tally.must { tally.program, "build", device.checkpoint, "--dialect", "sam", "--decoder-heads", "4", "--global-blocks",
    "1", "--board", "generic-c99", "-o", parent .. "/new" }
  assert(table.concat(sys.list(parent), " ") == "new", table.concat(sys.list(parent), " "))
end)

return tally.finish()
