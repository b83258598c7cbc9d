-- SPDX-License-Identifier: Apache-2.0
-- Commands of msagen on tiny models, each with the folder that it writes into, and what may be there: for drivers that
-- have something go wrong in the middle (preloaded.lua).
local json = require "msagen.json"
local preloaded = require "preloaded"
local sys = require "msagen.sys"
local tally = require "tally"
local tiny = require "tiny_model"

local scenes = {}

-- A file written just now is looked at for longer: by more calls than afterwards.
local SETTLE = { "sleep", "0.1" }

local Scene = {}
Scene.__index = Scene

--- The folder as it is before the command.
function Scene:reset()
  sys.remove_tree(self.place)
  tally.must { "cp", "-a", self.kept, self.place }
end

-- Where, but in what is temporary, something is that is in none of the versions; and in no one of them as a whole.
local function strange(all, versions, whole)
  for path, what in pairs(all) do
    local known = false
    for _, version in ipairs(versions) do known = known or version[path] == what end
    if not known and not preloaded.leftover { [path] = what } then return path end
  end
  for _, version in ipairs(whole and versions or {}) do
    local difference = preloaded.difference(all, version)
    if not difference or preloaded.leftover { [difference] = "" } then return nil end
  end
  return whole and "a mixture of two versions" or nil
end

--- The first path that is not as in one of the versions, nor whole by a scene's own test of it; nil where all are.
function Scene:strange(all)
  local seen = all or preloaded.snapshot(self.place)
  local found = strange(seen, self.versions, self.whole)
  while found and self.tests and self.tests[found] and self.tests[found](self) do
    seen[found] = nil
    found = strange(seen, self.versions, self.whole)
  end
  return found
end

--- Run the command once more: it must end well, with the right bytes, and leave nothing temporary.
function Scene:again()
  local done = preloaded.run(self.repeated and self.repeated() or self.command, "off 0")
  assert(done.status == 0, "the next one ends with an error: " .. done.err)
  local now = preloaded.snapshot(self.place)
  assert(not self.digest or done.out == self.reference.out, "the next one says " .. done.out)
  local difference = preloaded.difference(now, self.after)
  assert(not difference, "the next one leaves " .. tostring(difference))
end

-- A scene whose folder is what `prepare` makes of an empty one. @param more fields
local function scene(work, name, command, prepare, more)
  local self = setmetatable(more or {}, Scene)
  self.name, self.command, self.place = name, command, ("%s/%s"):format(work, name)
  self.kept = self.place .. "-kept"
  sys.mkdir_p(self.place)
  if prepare then prepare() end
  tally.must { "cp", "-a", self.place, self.kept }
  self.before = preloaded.snapshot(self.place)
  tally.must(SETTLE)
  self.calls, self.reference = preloaded.calls(command)
  self.after = preloaded.snapshot(self.place)
  self.versions = self.versions or {}
  self.versions[#self.versions + 1], self.versions[#self.versions + 2] = self.before, self.after
  self:reset()
  return self
end

local function words(list, ...)
  local all = table.move(list, 1, #list, 1, {})
  for _, word in ipairs { ... } do all[#all + 1] = word end
  return all
end

local function building(work, out, ...)
  local device = tiny.device(work, "plain")
  return words({ tally.program, "build", device.checkpoint, "--dialect", device.dialect, "--decoder-heads",
    tostring(device.decoder_heads), "--global-blocks", table.concat(device.global_blocks, ","), "--board",
    "generic-c99", "-o", out }, ...)
end

--- A folder is built where there was none; where `over`, in place of another build.
function scenes.build(work, over)
  local name = over and "build-over" or "build"
  local out = ("%s/%s/fw"):format(work, name)
  return scene(work, name, building(work, out), over and function()
    tally.must(building(work, out, "--click-order", "rc"))
  end, { whole = true })
end

--- A picture that all can look at. @return its path
function scenes.image(work)
  local path, pixels = work .. "/image.npy", {}
  for i = 1, 48 * 48 * 3 do pixels[i] = string.char(i * 7 % 256) end
  require("msagen.npy").write(path, require("msagen.tensor").frombytes(table.concat(pixels), "u8", { 48, 48, 3 }))
  return path
end

--- A folder is run; `compiled`: it was compiled before.
function scenes.run(work, compiled)
  local name = compiled and "run" or "run-compiles"
  local place = ("%s/%s"):format(work, name)
  local command = { tally.program, "run", place .. "/fw", "--image", scenes.image(work), "--point", "3,4", "--digest" }
  local results = words(command, "--mask-out", place .. "/mask.png", "--out", place .. "/results", "--overlay-out",
    place .. "/overlay.png")
  return scene(work, name, compiled and results or command, function()
    tally.must(building(work, place .. "/fw"))
    if compiled then tally.must(words(command)) end
  end, { digest = true })
end

-- Whether a curve has rows of another from the first on, cells of the last perhaps empty.
local function begins(csv, whole)
  local rows, at = {}, 0
  for row in whole:gmatch "[^\n]*\n" do rows[#rows + 1] = row end
  for row in csv:gmatch "[^\n]*\n" do
    at = at + 1
    if row ~= rows[at] and (not rows[at] or rows[at]:sub(1, #row:match "^(.-),*\n$") ~= row:match "^(.-),*\n$") then
      return false
    end
  end
  return at > 0 and csv:sub(-1) == "\n"
end

--- A decoder is trained for two steps, each of them saved; `resumed`: the first was.
function scenes.train(work, resumed)
  local name, discs = resumed and "train-resumed" or "train", work .. "/discs"
  if not sys.exists(discs) then
    require "made_discs"(discs, 3)
    local rows = { "image,label,patient,split\n" }
    for i, split in ipairs { "val", "train", "train" } do
      rows[i + 1] = ("images/c%d.png,masks/c%d.png,p%d,%s\n"):format(i, i, i, split)
    end
    sys.write_file(discs .. "/discs.csv", table.concat(rows))
    tally.must(SETTLE)
  end
  local out = ("%s/%s/out"):format(work, name)
  local fresh = { tally.program, "train", "--interpret", "f32-muladd-1", "--data", discs .. "/discs.csv", "--split",
    "train", "--validation", "val", "--validate-every", "1", "--base",
    tally.tests .. "/golden-train/msa-2023-2d/checkpoint.pth", "--dialect", "msa-2023", "--batch", "1", "--steps", "2",
    "--save-every", "1", "-o", out .. ".safetensors" }
  local command, place = resumed and words(fresh, "--resume") or fresh, ("%s/%s"):format(work, name)
  local function clear() tally.must { "sh", "-c", 'rm -rf "$1".* "$2"/.msagen-* "$3"/*', "sh", out, place,
    preloaded.temporary } end
  sys.mkdir_p(place)
  local saved, curve
  for _, call in ipairs((preloaded.calls(fresh))) do
    if call.name == "rename" and call.detail:find "%.state$" then saved = saved or call.number end
  end
  curve = sys.read_file(out .. ".csv")
  clear()
  local step = {}
  -- Killed right after the first step's state is in its place.
  local function first_step()
    assert(preloaded.run(fresh, "kill " .. saved + 1).status == 137)
    tally.must { "sh", "-c", 'rm -rf "$1"/.msagen-* "$2"/*', "sh", place, preloaded.temporary }
    step[1] = preloaded.snapshot(place)
  end
  first_step()
  clear()
  local self = scene(work, name, command, resumed and first_step, { versions = step, tests = {
    -- A training that ends in an error keeps what it has: its curve lacks rows, the last one perhaps its validation.
    ["./out.csv"] = function() return begins(sys.read_file(out .. ".csv"), curve) end,
    ["./out.png"] = function() return require("msagen.image").read(out .. ".png") ~= nil end,
    ["./out.state"] = function(self)
      self:again() -- which goes on from it
      return true
    end } })
  function self.repeated() return sys.exists(out .. ".state") and words(fresh, "--resume") or fresh end
  return self
end

-- How many checks of a bundle pass, fail, and are not measured, each of these with a reason.
local function checks_of(bundle)
  local count = { pass = 0, fail = 0, ["not measured"] = 0 }
  for _, one in ipairs(json.decode(sys.read_file(bundle .. "/evidence.json"), "evidence.json").checks) do
    count[one.status] = count[one.status] + 1
    assert(one.found ~= "", one.id)
  end
  return count
end

--- A build's evidence is gathered. What a compiler prints is read in pieces, never the same. A check whose tools fail
-- is not measured: the bundle is a whole one, and says so.
function scenes.evidence(work)
  local place, most = work .. "/evidence", nil
  local function lesser()
    local sums = { "sh", "-c", 'cd "$1" && sha256sum --quiet -c SHA256SUMS', "sh", place .. "/bundle" }
    if not pcall(tally.must, sums) then return false end
    local found = checks_of(place .. "/bundle")
    return found.pass < most.pass and found.fail == 0
      and found.pass + found["not measured"] == most.pass + most["not measured"]
  end
  local self = scene(work, "evidence", { tally.program, "evidence", place .. "/fw", "-o", place .. "/bundle" },
    function() tally.must(building(work, place .. "/fw")) end, { varies = true, lesser = lesser })
  tally.must(self.command)
  most = checks_of(place .. "/bundle")
  self:reset()
  return self
end

--- A checkpoint is looked at.
function scenes.inspect(work)
  return scene(work, "inspect", { tally.program, "inspect",
    tally.tests .. "/golden/msa-paper-2d/checkpoint.pth" }, nil, { digest = true })
end

--- A checkpoint answers by the naive kernels.
function scenes.interpret(work)
  local command = building(work, "")
  command[2] = "interpret"
  for _ = 1, 2 do table.remove(command) end
  return scene(work, "interpret", words(command, "--image", scenes.image(work), "--point", "3,4", "--digest"), nil,
    { digest = true })
end

return scenes
