-- SPDX-License-Identifier: Apache-2.0
-- Commands of msagen with each of their calls to the C library going wrong once, with each of their allocations, and
-- killed before each call that changes a file. What must come of it: the right bytes, or exit status 1 with a line that
-- says what failed; never half of an output, nor anything temporary, and the next command ends well.
-- luahost run_calls.lua [SCENE...] [MODE...]: of preload.c's modes; all of both unless given
package.path = arg[0]:match "^(.*)/[^/]*$" .. "/lua/?.lua;" .. package.path
local preloaded = require "preloaded"
local scenes = require "scenes"
local sys = require "msagen.sys"
local tally = require "tally"
local tier = require "tier"

local work = tally.folder "calls"
local temporary = preloaded.open(work)

-- What each may be told that is no failure: the call is made again.
local AGAIN = { read = true, pread = true, write = true, pwrite = true, poll = true, wait4 = true, waitpid = true,
  nanosleep = true, flock = true }
local PARTLY = { read = true, pread = true, write = true, pwrite = true }
local WAYS = {
  { "fails", "fail", function(call) return not call.allocation end },
  { "is interrupted", "interrupt", function(call) return AGAIN[call.name] end, well = true },
  { "moves one byte", "short", function(call) return PARTLY[call.name] end, well = true },
  { "gets no memory", "null", function(call) return call.allocation end },
  { "and all later ones get no memory", "exhausted", function(call) return call.allocation end },
  -- Of one that starts others, which go on: run_power.lua has the rest.
  { "comes after SIGKILL", "kill", function(call) return preloaded.changes[call.name] end, kills = true },
}

local function in_temporary()
  local names = sys.list(temporary)
  for _, name in ipairs(names) do sys.remove_tree(temporary .. "/" .. name) end
  return names[1]
end

-- Warnings, then one line that names something: a path, an option, or what there was not enough of.
local function one_line(err, reference)
  local rest = err
  for warning in reference:gmatch "[^\n]+\n" do
    if rest:sub(1, #warning) == warning then rest = rest:sub(#warning + 1) end
  end
  return rest:match "^msagen: [^\n]+\n$" and (rest:find("/", 1, true) or rest:find("%-%-?%a") or rest:find "memory"
    or rest:find "standard output")
end

-- "well", "refused" or "killed", or "missed" where a command does not make the same calls each time; an error says what
-- is wrong.
local function outcome(scene, way, done)
  local now = preloaded.snapshot(scene.place)
  if not done.struck and scene.varies and done.status == 0 then return "missed" end
  assert(done.struck, "there was no such call")
  if way.kills then
    assert(done.status == 137, "exit " .. done.status)
    assert(not scene:strange(now), "half written: " .. tostring(scene:strange(now)))
    scene:again()
    assert(not in_temporary(), "something temporary stays after the next one")
    return "killed"
  end
  local left = in_temporary() or preloaded.leftover(now)
  assert(not left, ("left behind: %s"):format(left))
  if done.status == 0 then
    local difference = preloaded.difference(now, scene.after)
    if difference and not way.well and scene.lesser and scene:lesser() then return "lesser" end
    assert(not difference, "ended well with another " .. tostring(difference))
    assert(done.out == scene.reference.out, "ended well and said: " .. done.out:sub(-300))
    return "well"
  end
  assert(done.status == 1 and not way.well, ("exit %d: %s"):format(done.status, done.err))
  assert(one_line(done.err, scene.reference.err), "not one line that names something: " .. done.err)
  assert(not scene:strange(now), "half written: " .. tostring(scene:strange(now)))
  return "refused"
end

local function tried(scene, way, call)
  scene:reset()
  local done = preloaded.run(scene.command, ("%s %d"):format(way[2], call.number))
  local ok, result = pcall(outcome, scene, way, done)
  if ok then return result end
  error(("%s %d (%s %s) %s: %s"):format(call.allocation and "allocation" or "call", call.number, call.name, call.detail,
    way[1], preloaded.words(result)), 0)
end

-- Below the full tier some of the functions of the C library, or of the places that ask for memory, a call each; in the
-- full one all calls, or, of a scene that compiles each time, a call of each. Lua's own loading of a file is the same
-- code each time: one in ten of its calls, of one scene.
local function chosen(scene, way)
  local list, by_name, names, loading = {}, {}, {}, 0
  for _, call in ipairs(scene.calls) do
    loading = loading + (call.module and 1 or 0)
    if way[3](call) and not call.other and (not call.module or scene.name == "build" and loading % 10 == 0) then
      local key = call.allocation and call.detail or call.name
      if not by_name[key] then
        by_name[key] = {}
        names[#names + 1] = key
      end
      table.insert(by_name[key], call)
    end
  end
  for _, key in ipairs(names) do
    if tier.full and not scene.sampled then table.move(by_name[key], 1, #by_name[key], #list + 1, list)
    elseif tier.full or tier.sampled(scene.name .. way[2] .. key, scene.rate) then
      list[#list + 1] = tier.chosen(by_name[key], scene.name .. way[2] .. key)
    end
  end
  if #list == 0 then
    local key = tier.chosen(names, scene.name .. way[2])
    list[1] = tier.chosen(by_name[key], scene.name .. way[2] .. key)
  end
  return list
end

local SCENES = { { "build", rate = 6 }, { "build-over", scenes.build, true, rate = 12 },
  { "run", scenes.run, true, rate = 12, deep = true, kills = true }, { "train", rate = 40, deep = true },
  { "train-resumed", scenes.train, true, rate = 40, deep = true }, { "inspect", rate = 16 },
  { "interpret", rate = 16 }, { "evidence", deep = true, sampled = true, rate = 8 } }
local asked, modes = {}, {}
for _, name in ipairs(arg) do
  local list = asked
  for _, way in ipairs(WAYS) do list = way[2] == name and modes or list end
  list[name] = true
end

-- One way for the chosen calls of a scene. @return what they come to
local function each(scene, way)
  local of, wrong, count = { well = 0, lesser = 0, refused = 0, killed = 0, missed = 0 }, {}, 0
  for _, call in ipairs(chosen(scene, way)) do
    local ok, result = pcall(tried, scene, way, call)
    count = count + 1
    if ok then of[result] = of[result] + 1 else wrong[#wrong + 1] = preloaded.words(result) end
  end
  assert(#wrong == 0, preloaded.said(wrong, count))
  assert(of.missed < count / 2, "most calls were not made again")
  return way.kills and ("%d killed"):format(count) or ("%d: %d end well%s, %d in an error%s"):format(count, of.well,
    scene.lesser and (", %d with a check less"):format(of.lesser) or "", of.refused,
    of.missed > 0 and (", %d not made again"):format(of.missed) or "")
end

for _, one in ipairs(SCENES) do
  local name = one[1]
  if asked[name] or not next(asked) and (tier.full or not one.deep) then
    local scene = (one[2] or scenes[name])(work, one[3])
    scene.rate, scene.sampled = one.rate, one.sampled
    for _, way in ipairs(WAYS) do
      if (not way.kills or one.kills) and (modes[way[2]] or not next(modes)) then
        tally.test(("%s: each call %s"):format(name, way[1]), each, scene, way)
      end
    end
  end
end

return tally.finish()
