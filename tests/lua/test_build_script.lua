-- SPDX-License-Identifier: Apache-2.0
-- Build scripts: what they may return, where their paths lead, and what is refused of them before anything is written.

local spec = require "spec"
local describe, it, equal, refuses, holds = spec.describe, spec.it, spec.equal, spec.refuses, spec.holds
local sys, json = spec.host "msagen.sys", spec.host "msagen.json"
if not (sys and json) then return end
local tiny, verb = require "tiny_model", require "cli.verbs.build"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-script-")
sys.cleanup(work)
sys.mkdir_p(work .. "/weights")
tiny.device(work .. "/weights", "plain")

--- Write a script beside weights/ and build it into a fresh folder. @return the folder
local count = 0
local function build(text, options)
  count = count + 1
  local path, out = ("%s/script_%d.lua"):format(work, count), ("%s/out_%d"):format(work, count)
  sys.write_file(path, text)
  local args = { input = path, output = out }
  for k, v in pairs(options or {}) do args[k] = v end
  equal(tiny.quietly(verb.run, args), 0)
  return out
end

local function manifest(dir)
  return json.decode(sys.read_file(dir .. "/manifest.json"), "manifest.json")
end

--- The script is refused in one line with the pieces, and nothing is left in the folder.
local function refused(text, ...)
  local before = sys.list(work)
  local pieces = { ... }
  refuses(function() build(text) end, table.unpack(pieces))
  local new = {}
  for _, name in ipairs(sys.list(work)) do new[name] = true end
  for _, name in ipairs(before) do new[name] = nil end
  new[("script_%d.lua"):format(count)] = nil
  equal(next(new), nil, "left behind")
end

local PLAIN = 'checkpoint = "weights/plain.safetensors", dialect = "sam", decoder_heads = 4, global_blocks = { 1 }, '

describe("a build script", function()
  it("returns a device; its paths are relative to itself", function()
    local m = manifest(build("return msagen.device { " .. PLAIN .. 'board = "generic-c99" }'))
    equal({ m.board, m.input_size, m.depth, m.prefix }, { "generic-c99", 48, 1, "msa" })
  end)

  it("may return a plain table, compute, and see msagen's and Lua's names", function()
    local m = manifest(build("local boards = { 'generic-c99' }\nassert(type(msagen.version) == 'string')\nreturn { "
      .. PLAIN .. "board = boards[#boards], prefix = ('x'):rep(2) }"))
    equal({ m.board, m.prefix }, { "generic-c99", "xx" })
  end)

  it("may return a list: a folder for each, by its name or its board", function()
    local out = build("local list = {}\nfor _, board in ipairs { 'generic-c99', 'x86-64-avx2' } do list[#list + 1] = "
      .. "msagen.device { " .. PLAIN .. "board = board } end\nlist[3] = msagen.device { " .. PLAIN ..
      "name = 'third', board = 'generic-c99', prefix = 'third' }\nreturn list")
    equal(sys.list(out), { "generic-c99", "third", "x86-64-avx2" })
    equal({ manifest(out .. "/generic-c99").board, manifest(out .. "/x86-64-avx2").board,
      manifest(out .. "/third").prefix }, { "generic-c99", "x86-64-avx2", "third" })
  end)

  it("gives way to options of the command line", function()
    local m = manifest(build("return msagen.device { " .. PLAIN .. 'board = "x86-64-avx2", prefix = "script" }',
      { board = "generic-c99" }))
    equal({ m.board, m.prefix }, { "generic-c99", "script" })
  end)

  it("leaves no name of its own behind", function()
    build("made_by_a_script = 1\nreturn msagen.device { " .. PLAIN .. 'board = "generic-c99" }')
    equal(rawget(_G, "made_by_a_script"), nil)
    equal(rawget(msagen, "device"), nil)
  end)
end)

describe("a build script is refused", function()
  it("where it is no program", function()
    refused("return {", "script_")
    refused("error 'out of paper'", "out of paper")
    refused("error 'two\\nlines'", "two lines")
    refused("return nil_value.field", "nil_value")
    refused("", "expected", "found nil")
    refused("return 7", "expected", "found number")
    refused("return msagen.device 'x'", "expected a table", "found string")
    refused("return { msagen.device { " .. PLAIN .. " board = 'generic-c99' }, 7 }", "device 2", "found number")
  end)

  it("where a field is unknown, naming those there are", function()
    refused("return msagen.device { " .. PLAIN .. "bored = 'generic-c99' }", "bored", "board", "resolution")
    refused("return msagen.device { " .. PLAIN .. "[2] = 1 }", "2")
  end)

  it("where a value is of another kind", function()
    for field, value in pairs { resolution = "'512'", depth = "1.5", board = "7", dialect = "{}", classes = "true",
      global_blocks = "3", prefix = "1", precision = "32", banks = "'a'" } do
      local text = ("return msagen.device { checkpoint = 'weights/plain.safetensors', %s = %s }"):format(field, value)
      refused(text, field, "expected", "found")
    end
    refused("return msagen.device { checkpoint = 7 }", "checkpoint", "expected a text in one line", "found 7")
  end)

  it("where a value is out of range", function()
    refused("return msagen.device { board = 'generic-c99' }", "checkpoint", "found none")
    refused("return msagen.device { " .. PLAIN .. "precision = 'fp8' }", "precision", "f32", "fp8")
    refused("return msagen.device { " .. PLAIN .. "prefix = '9a' }", "prefix", "9a")
    refused("return msagen.device { " .. PLAIN .. "prefix = 'a-b' }", "prefix", "a-b")
    refused("return msagen.device { " .. PLAIN .. "board = 'toaster' }", "toaster", "generic-c99")
    refused("return msagen.device { " .. PLAIN .. "resolution = 0 }", "resolution", "0")
    refused("return msagen.device { " .. PLAIN .. "resolution = 50 }", "resolution", "50")
    refused("return msagen.device { " .. PLAIN .. "depth = 0 }", "depth", "0")
    refused("return msagen.device { " .. PLAIN .. "classes = -1 }", "classes", "-1")
    refused("return msagen.device { checkpoint = 'weights/absent.pth' }", "weights/absent.pth")
  end)

  it("where devices of a list share a name, or have none that a folder could have", function()
    local one = "msagen.device { " .. PLAIN .. "board = 'generic-c99', name = %s }"
    refused("return { " .. one:format "'..'" .. " }", "name", "..")
    refused("return { " .. one:format "'a/b'" .. " }", "name", "a/b")
  end)
end)

describe("an output folder", function()
  it("that holds other files is refused and stays as it was", function()
    local out = work .. "/mine"
    sys.mkdir_p(out)
    sys.write_file(out .. "/thesis.txt", "words")
    local device = tiny.device(work .. "/weights", "plain")
    device.board = "generic-c99"
    refuses(function() tiny.build(device, out) end, "mine", "expected an empty folder", "found other files")
    equal(sys.list(out), { "thesis.txt" })
    sys.write_file(out .. "/manifest.json", '{"generator":"another"}')
    refuses(function() tiny.build(device, out) end, "mine", "other files")
    refuses(function() tiny.build(device, out .. "/thesis.txt") end, "thesis.txt", "found a file")
  end)

  it("that msagen wrote is replaced whole", function()
    local out = work .. "/again"
    local device = tiny.device(work .. "/weights", "plain")
    device.board = "generic-c99"
    tiny.build(device, out)
    local first = sys.list(out)
    sys.write_file(out .. "/stale.o", "old")
    tiny.build(device, out)
    equal(sys.list(out), first)
    for _, name in ipairs(sys.list(work)) do assert(not name:match "^%.msagen%-", name) end
  end)

  local function plain(board)
    local device = tiny.device(work .. "/weights", "plain")
    device.board = board or "generic-c99"
    return device
  end
  local function board_of(out) return json.decode(sys.read_file(out .. "/manifest.json"), out).board end
  local function refused_and_removed(out, ...)
    refuses(function() tiny.build(plain(), out) end, ...)
    for _, name in ipairs(sys.list(work)) do assert(not name:match "^%.msagen%-", name) end
  end

  it("keeps files of the user's, and refuses where a generated one has the name of such a file", function()
    local out = work .. "/again"
    local files = { ["notes.txt"] = "words", ["main.c"] = "int main(void)", ["main.o"] = "of main.c",
      ["libmine.a"] = "archive", ["sub/deep.txt"] = "deep" }
    sys.mkdir_p(out .. "/sub")
    for name, text in pairs(files) do sys.write_file(out .. "/" .. name, text) end
    tiny.build(plain "generic-c99-nofma", out)
    equal(board_of(out), "generic-c99-nofma")
    for name, text in pairs(files) do equal(sys.read_file(out .. "/" .. name), text, name) end
    sys.write_file(out .. "/msa_threads.c", "the user's own")
    local several, before = plain(), sys.list(out)
    several.cores = 2
    refuses(function() tiny.build(several, out) end, "again/msa_threads.c", "found a file that msagen did not write")
    equal({ sys.list(out), board_of(out) }, { before, "generic-c99-nofma" })
  end)

  it("keeps what the user has beside the test bench, and refuses where its folder is a file of the user's", function()
    local out = work .. "/bench"
    tiny.build(plain(), out)
    sys.write_file(out .. "/runner/notes.txt", "words")
    tiny.build(plain "generic-c99-nofma", out)
    equal({ board_of(out), sys.read_file(out .. "/runner/notes.txt") }, { "generic-c99-nofma", "words" })
    sys.remove_tree(out .. "/runner")
    sys.write_file(out .. "/runner", "the user's own")
    local before = sys.list(out)
    refuses(function() tiny.build(plain(), out) end, "bench/runner: expected nothing of the name", "did not write")
    equal({ sys.list(out), board_of(out) }, { before, "generic-c99-nofma" })
  end)

  -- The test bench's files were among the product's once.
  local function of_the_old_layout(out)
    local path = out .. "/manifest.json"
    local manifest = json.decode(sys.read_file(path), path)
    for _, name in ipairs(sys.list(out .. "/runner")) do
      sys.rename(("%s/runner/%s"):format(out, name), out .. "/" .. name)
      manifest.files[name], manifest.files["runner/" .. name] = manifest.files["runner/" .. name], nil
    end
    sys.rmdir(out .. "/runner")
    manifest.runner = manifest.runner:gsub("^runner/", "")
    sys.write_file(path, json.encode(manifest))
    for _, name in ipairs { "msa_run.o", "msa_run", "msa_run.sums" } do sys.write_file(out .. "/" .. name, "made") end
  end

  it("of an older msagen, with all in one folder, is refused by run, and replaced by the next build", function()
    local out = work .. "/old_layout"
    for _, mine in ipairs { false, "notes.txt", "runner/notes.txt" } do
      tiny.build(plain(), out)
      local list = require("run.made").list(out)
      if mine and not sys.exists(out .. "/" .. mine) then list[#list + 1] = mine end
      table.sort(list)
      of_the_old_layout(out)
      refuses(function() require("run.folder").open(out) end, "found another's: build it again")
      if mine then
        sys.mkdir_p(out .. "/runner")
        sys.write_file(out .. "/" .. mine, "words")
      end
      tiny.build(plain(), out)
      local new = require("run.made").list(out)
      table.sort(new)
      equal(new, list)
      if mine then equal(sys.read_file(out .. "/" .. mine), "words") end
    end
  end)

  it("may be a link, of which the target is written", function()
    sys.mkdir_p(work .. "/real")
    for link, target in pairs { link = "real", dangling = "to/be/made" } do
      assert(sys.spawn { "ln", "-s", target, work .. "/" .. link } == 0)
      for _ = 1, 2 do tiny.build(plain(), ("%s/%s/"):format(work, link)) end
      equal({ sys.readlink(work .. "/" .. link), board_of(work .. "/" .. target) }, { target, "generic-c99" })
    end
    assert(sys.spawn { "ln", "-s", "round", work .. "/round" } == 0)
    refused_and_removed(work .. "/round", "round: expected a folder, found links that lead nowhere")
  end)

  it("may be the current folder or one above it, or a mount point: the folder stays the same one", function()
    local function inode(path) return (select(2, sys.spawn { "stat", "-c", "%d:%i:%a", path, stdout = "capture" })) end
    for out, cwd in pairs { ["."] = "here", [".."] = "above/within" } do
      local folder, checkpoint = work .. "/" .. cwd:match "^%w+", plain().checkpoint
      sys.mkdir_p(work .. "/" .. cwd)
      sys.chmod(folder, 504) -- 0770
      local before = inode(folder)
      if cwd == "here" then assert(#sys.list(folder) == 0) else sys.write_file(folder .. "/manifest.json",
        '{"generator":"msagen"}') end
      for _, board in ipairs { "generic-c99-nofma", "generic-c99" } do
        tiny.must { tiny.program(), "build", checkpoint, "--dialect", "sam", "--decoder-heads", "4", "--global-blocks",
          "1", "--board", board, "-o", out, cwd = work .. "/" .. cwd }
        equal({ board_of(folder), inode(folder) }, { board, before })
      end
    end
    local mount = work .. "/mount"
    sys.mkdir_p(mount)
    local ok, status = pcall(sys.spawn, { "mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", mount, stdout = "/dev/null",
      stderr = "/dev/null" })
    if not ok or status ~= 0 then spec.skipped = spec.skipped + 1 return end
    local done, message = pcall(function()
      local before = inode(mount)
      for _, board in ipairs { "generic-c99-nofma", "generic-c99" } do tiny.build(plain(board), mount) end
      equal({ board_of(mount), inode(mount) }, { "generic-c99", before })
      tiny.must { "sh", "-c", 'head -c 4m /dev/zero > "$0/full" || true', mount }
      local list = sys.list(mount)
      refused_and_removed(mount, "mount/", "No space left on device")
      equal(sys.list(mount), list)
    end)
    tiny.must { "umount", mount }
    if not done then error(message, 0) end
  end)

  it("whose parents are missing makes them, and removes them where it fails; what the umask says, it is", function()
    refused_and_removed("/proc/x", "/proc/x: cannot be made: /proc: cannot be written")
    local checkpoint = plain().checkpoint
    local function build(out, prefix)
      local words = { "build", checkpoint, "--dialect", "sam", "--decoder-heads", "4", "--global-blocks", "1",
        "--board", "generic-c99", "-o", out }
      return sys.spawn { "sh", "-c", prefix .. '; exec "$@"', "sh", tiny.program(), stdout = "capture",
        stderr = "capture", stdin = "/dev/null", table.unpack(words) }
    end
    local status, said = build(work .. "/none/of/these", "ulimit -f 8")
    equal({ status, sys.exists(work .. "/none") }, { 1, false })
    holds(said, "none/of/these/msa_weights.bin: cannot be written: File too large")
    equal(build(work .. "/private/fw", "umask 027"), 0)
    equal({ sys.folder(work .. "/private/fw").mode, sys.folder(work .. "/private").mode }, { 488, 488 }) -- 0750
  end)

  it("half of which is written is refused by run, and whole after the next build", function()
    local out = work .. "/again"
    os.remove(out .. "/msa_threads.c")
    local manifest = sys.read_file(out .. "/manifest.json")
    sys.write_file(out .. "/manifest.json",
      '{"generator":"msagen","unfinished":["manifest.json","msa_model.c","msa_old.c","runner/msa_old.c"]}')
    sys.write_file(out .. "/runner/msa_old.c", "of the build before")
    sys.write_file(out .. "/msa_old.c", "of the build before")
    for name in pairs(json.decode(manifest, "m").files) do os.remove(out .. "/" .. name) end
    os.remove(out .. "/msa_weights.bin")
    refuses(function()
      require("run.folder").open(out)
    end, "again: msagen was stopped while it wrote this folder: build it again")
    tiny.build(plain(), out)
    equal(sys.exists(out .. "/runner/msa_old.c"), false)
    equal({ board_of(out), sys.exists(out .. "/msa_old.c"), sys.read_file(out .. "/notes.txt") },
      { "generic-c99", false, "words" })
  end)
end)
