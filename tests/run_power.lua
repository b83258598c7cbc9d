-- SPDX-License-Identifier: Apache-2.0
-- The power fails before each call that changes a file: msagen and all that it has started are killed there, and what
-- was not synchronised is lost (a file is empty, or ends in the middle of it) or is on the disk all the same. What must
-- come of each: outputs are the old or the new ones, whole, or msagen refuses them by name; the command run again gives
-- the right bytes.
-- luahost run_power.lua [SCENE...]
package.path = arg[0]:match "^(.*)/[^/]*$" .. "/lua/?.lua;" .. package.path
local preloaded = require "preloaded"
local scenes = require "scenes"
local sys = require "msagen.sys"
local tally = require "tally"
local tier = require "tier"

local work = tally.folder "power"
local temporary = preloaded.open(work)

local STATES = { "written", "lost", "half" }

-- { ["DEVICE:INODE"] = { bytes, time, path } } of the files below a folder.
local function files(folder)
  local all = {}
  for device, inode, bytes, time, path in tally.must { "find", folder, "-type", "f", "-printf", "%D:%i %s %T@ %p\n" }
    :gmatch "(%d+):(%d+) (%d+) (%d+%.%d+) ([^\n]*)\n" do
    all[device .. ":" .. inode] = { bytes = tonumber(bytes), time = time:sub(1, -2), path = path }
  end
  return all
end

-- { { path, bytes, kept = those that are on the disk for certain } } of the files that were written since and not
-- synchronised.
local function unsynced(folder, before, log)
  local synced, list = {}, {}
  for key, bytes, time in log:gmatch "(%S+) (%d+) (%d+%.%d+)\n" do
    synced[key] = { bytes = tonumber(bytes), time = time }
  end
  for key, file in pairs(files(folder)) do
    local old, sure = before[key], synced[key]
    local same = old and old.bytes == file.bytes and old.time == file.time
    if not same and not (sure and sure.bytes == file.bytes and sure.time == file.time) then
      list[#list + 1] = { path = file.path, bytes = file.bytes, kept = sure and math.min(sure.bytes, file.bytes) or 0 }
    end
  end
  return list
end

-- What a folder has lost. `state`: of STATES.
local function lose(list, state)
  for _, file in ipairs(list) do
    local bytes = state == "lost" and file.kept or file.kept + (file.bytes - file.kept) // 2
    tally.must { "truncate", "-s", tostring(bytes), file.path }
  end
end

-- Whether msagen says by name what is wrong with a folder that it built.
local function refused(scene, where)
  local done = preloaded.run({ tally.program, "run", scene.place .. "/fw", "--image", scenes.image(work), "--point",
    "3,4", "--digest" }, "off 0")
  assert(done.status == 1 and done.err:find("msagen: " .. scene.place .. "/fw", 1, true)
    and done.err:match "^[^\n]+\n$", ("%s is not whole, and run says: %s%s"):format(where, done.out, done.err))
end

local function one_state(scene, state, of)
  local where = scene:strange()
  if where and scene.compiles then of.again = of.again + 1 -- what was compiled: the next run's to notice
  elseif where then
    refused(scene, where)
    of.refused = of.refused + 1
  else of.whole = of.whole + 1 end
  scene:again()
  local left = sys.list(temporary)
  assert(#left == 0, ("%s stays after the next one"):format(left[1]))
end

local function one_cut(scene, number, of)
  scene:reset()
  local before = files(scene.place)
  local done = preloaded.run(scene.command, "cut " .. number)
  assert(done.struck == (done.status ~= 0), ("exit %d: %s"):format(done.status, done.err))
  if done.status == 0 and scene.lasts then
    local folder = tally.must { "stat", "-c", "%d:%i ", scene.place }:match "^[^\n]*"
    assert(("\n" .. done.synced):find("\n" .. folder, 1, true), "ended well and did not synchronise its folder")
  end
  local list = unsynced(scene.place, before, done.synced)
  local matters = false -- what is lost of something temporary does not
  for _, file in ipairs(list) do matters = matters or not preloaded.leftover { [file.path] = "" } end
  tally.must { "rm", "-rf", scene.place .. "-cut" }
  tally.must { "cp", "-a", scene.place, scene.place .. "-cut" }
  for i, state in ipairs(matters and STATES or { STATES[1] }) do
    if i > 1 then
      sys.remove_tree(scene.place)
      tally.must { "cp", "-a", scene.place .. "-cut", scene.place }
      lose(list, state)
    end
    of.states = of.states + 1
    local ok, message = pcall(one_state, scene, state, of)
    if not ok then error(("%s: %s"):format(state, preloaded.words(message)), 0) end
  end
end

-- The numbers of the calls before which the power fails, and one that never comes: it fails after the end.
local function chosen(scene, rate, deep_rate)
  local list, at = {}, 0
  for _, call in ipairs(scene.calls) do
    if preloaded.changes[call.name] and not call.allocation and not call.module then
      at = at + 1
      if at % (tier.full and deep_rate or rate) == 0 then list[#list + 1] = call end
    end
  end
  list[#list + 1] = { of_all = 1 << 40, name = "end", detail = "" }
  return list
end

local SCENES = { { "build", rate = 150 }, { "build-over", scenes.build, true, rate = 150 },
  { "run", scenes.run, true, deep = true }, { "train", deep = true },
  { "train-resumed", scenes.train, true, rate = 20 }, { "run-compiles", scenes.run, false, deep = true,
    deep_rate = 500, compiles = true } }
local asked = {}
for _, name in ipairs(arg) do asked[name] = true end

for _, one in ipairs(SCENES) do
  local name = one[1]
  if asked[name] or not next(asked) and (tier.full or not one.deep) then
    tally.test(name .. ": the power fails", function()
      local scene = (one[2] or scenes[name])(work, one[3])
      scene.compiles, scene.lasts = one.compiles, not one.compiles
      local of, wrong, cuts = { states = 0, whole = 0, refused = 0, again = 0 }, {}, chosen(scene, one.rate or 100,
        one.deep_rate or 1)
      for _, call in ipairs(cuts) do
        local ok, message = pcall(one_cut, scene, call.of_all, of)
        if not ok then wrong[#wrong + 1] = ("before call %d (%s %s): %s"):format(call.of_all, call.name, call.detail,
          preloaded.words(message)) end
      end
      assert(#wrong == 0, preloaded.said(wrong, #cuts))
      return ("%d cuts, %d states of the disk: %d whole, %d refused by name, %d compiled again"):format(#cuts,
        of.states, of.whole, of.refused, of.again)
    end)
  end
end

return tally.finish()
