-- SPDX-License-Identifier: Apache-2.0
-- Whole trainings with the fake trainer: they learn, the same bytes come out however often they are killed and whatever
-- the number of processes, and what is wrong stops them with the last good files.

local spec = require "spec"
local tier = require "tier"
local describe, it, equal = spec.describe, spec.it, spec.equal
local sys = spec.host "msagen.sys"
if not sys then return end

local here = debug.getinfo(1, "S").source:match "^@(.*)/[^/]*$"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-training-")
sys.cleanup(work)
require "made_discs"(work .. "/discs", 9)

local host = sys.realpath "/proc/self/exe"
local FILES = { "safetensors", "best.safetensors", "csv", "png", "state" }

local count = 0
local function place()
  count = count + 1
  return ("%s/out-%d"):format(work, count)
end

-- A training into OUT.safetensors. @param before words before the command @return exit status, what it printed
local function train(out, asked, before)
  local command = table.move(before or {}, 1, #(before or {}), 1, {})
  for _, word in ipairs { host, here .. "/fake_training.lua", asked.data or work .. "/discs", out .. ".safetensors" } do
    command[#command + 1] = word
  end
  for key, value in pairs(asked) do
    if key ~= "data" then command[#command + 1] = ("%s=%s"):format(key, value) end
  end
  command.stdin, command.stdout, command.stderr = "/dev/null", "capture", "capture"
  return sys.spawn(command)
end

local function trained(out, asked, before)
  local status, text = train(out, asked, before)
  assert(status == 0, ("exit status %s: %s"):format(status, text))
  return text
end

local function same(a, b, files)
  for _, ending in ipairs(files or FILES) do
    assert(sys.read_file(a .. "." .. ending) == sys.read_file(b .. "." .. ending), ending .. " differs")
  end
end

local whole = place()
local ASKED = { steps = 24, validate = 7, save = 4 }
local function asked(more)
  local list = {}
  for key, value in pairs(ASKED) do list[key] = value end
  for key, value in pairs(more) do list[key] = value end
  return list
end
local said = trained(whole, ASKED)

describe("a training", function()
  it("learns, and says how well", function()
    local out = place()
    local text = trained(out, { steps = 150, validate = 50, batch = 3 })
    local lines = require("evaluate.csv").rows(sys.read_file(out .. ".csv"), "csv")
    equal({ #lines, lines[1][5], lines[51][5] ~= "" }, { 151, "dice_1", true })
    local first, last = tonumber(lines[2][2]), tonumber(lines[151][2])
    assert(last < first / 4, ("loss went from %g to %g"):format(first, last))
    local dice = tonumber(lines[151][5])
    assert(dice > 0.85, ("Dice is %g"):format(dice))
    assert(text:find(("Dice %.4f"):format(dice), 1, true), text)
  end)
  it("leaves weights, the best ones, a curve and a state", function()
    local file = require("msagen.checkpoint").open(whole .. ".safetensors")
    equal({ file.metadata.step, file.metadata.dialect, #file:names() }, { "24", "sam", 1 })
    equal(said:match "digest (%x+)", file.metadata.training_digest)
    local values = file:tensor(file:names()[1]):tobytes()
    equal(require("msagen.sha256").hex(values), file.metadata.training_digest)
    local best = require("msagen.checkpoint").open(whole .. ".best.safetensors")
    equal(math.tointeger(tonumber(best.metadata.step)) % 7 * (best.metadata.step == "24" and 0 or 1), 0)
    equal(#require("msagen.image").read(whole .. ".png").shape, 3)
  end)
  it("is the same again, with another seed another one", function()
    local again, other = place(), place()
    trained(again, asked { cache = 0 })
    same(whole, again)
    trained(other, asked { seed = 2 })
    assert(sys.read_file(other .. ".safetensors") ~= sys.read_file(whole .. ".safetensors"))
  end)
  it("takes volumes, and pictures whose longest side is fitted", function()
    equal(trained(place(), { steps = 3, resize = "longest" }):match "digest" ~= nil, true)
  end)
end)

-- A state with another text in its metadata, and the checksum that belongs to it.
local function forge_state(from, to, field, text)
  local file, list, hash = require("msagen.checkpoint").open(from), {}, require("msagen.sha256").new()
  local metadata = {}
  for i, key in ipairs { "kind", "binding", "step", "best", "validations" } do
    metadata[i] = { key, key == field and text or file.metadata[key] }
    hash:update(("%s\n%s\n"):format(key, metadata[i][2]))
  end
  for i, name in ipairs { "history", "parameters", "first", "second" } do
    list[i] = { name, file:tensor(name) }
    hash:update(("%s %d\n"):format(name, list[i][2]:numel()))
    hash:update(list[i][2]:tobytes())
  end
  metadata[#metadata + 1] = { "sha256", hash:hex() }
  require("msagen.safetensors").write(to, list, metadata)
end

describe("resumed", function()
  it("after kills at any moment it ends in the same bytes", function()
    local out, kills = place(), 0
    for i = 1, tier.quick and 6 or 25 do
      local pause = ("%.3f"):format(0.02 + 0.011 * (i * 7 % 17))
      local status = train(out, asked { resume = sys.exists(out .. ".state") and 1 or nil },
        { "timeout", "-s", "KILL", pause })
      if status == 0 then
        for _, ending in ipairs(FILES) do os.remove(out .. "." .. ending) end
      else kills = kills + 1 end
    end
    assert(kills > 2, "it was killed")
    trained(out, asked { resume = sys.exists(out .. ".state") and 1 or nil })
    same(whole, out)
  end)
  it("after Ctrl-C it goes on from the step that was done", function()
    local out = place()
    local status, text = train(out, asked { slow = 30, save = 1000 }, { "timeout", "-s", "INT", "0.9" })
    assert(status ~= 0, "it was stopped")
    local step = text:match "stopped after step (%d+) of 24: %-%-resume goes on"
    assert(step, text)
    equal(require("msagen.checkpoint").open(out .. ".state").metadata.step, step)
    trained(out, asked { resume = 1 })
    same(whole, out)
  end)
  it("after a stop within a validation it is done again", function()
    local out = place()
    local status, text = train(out, asked { stop = 14 })
    assert(status ~= 0 and text:find("stopped after step 14 of 24", 1, true), text)
    trained(out, asked { resume = 1 })
    same(whole, out)
  end)
  it("after its end nothing changes; with more steps it goes on", function()
    local out = place()
    trained(out, asked { steps = 12 })
    trained(out, asked { resume = 1 })
    -- A run of 12 steps validates at its end, so its curve and what it thinks best may differ.
    same(whole, out, { "safetensors" })
    trained(whole, asked { resume = 1 })
    same(whole, out, { "safetensors" })
  end)
  it("is refused where the state is of another training, damaged, or none", function()
    local function refused(out, words, more)
      local status, text = train(out, asked(more))
      equal(status, 1)
      assert(text:match "^msagen: [^\n]*\n$" and text:find(words, 1, true), text)
    end
    refused(whole, "another seed: expected 3, found 1", { resume = 1, seed = 3 })
    refused(place(), "found no such file", { resume = 1 })
    local out, state = place(), sys.read_file(whole .. ".state")
    for _, at in ipairs { #state - 3, #state // 2, 120 } do
      local byte = string.char(state:byte(at) ~ 1)
      sys.write_file(out .. ".state", state:sub(1, at - 1) .. byte .. state:sub(at + 1))
      local status = train(out, asked { resume = 1 })
      equal(status, 1)
    end
    sys.write_file(out .. ".state", state:sub(1, -2))
    refused(out, ".state", { resume = 1 })
    sys.write_file(out .. ".state", sys.read_file(whole .. ".safetensors"))
    refused(out, "expected the state of a training", { resume = 1 })
    for field, text in pairs { step = "x", binding = "7", best = '{"step":1}', validations = '[{"step":1}]' } do
      forge_state(whole .. ".state", out .. ".state", field, text)
      refused(out, ".state: " .. field, { resume = 1 })
    end
  end)
end)

describe("what is wrong stops it", function()
  it("a gradient that is none, with the case's name and the files of the step before", function()
    local out = place()
    local status, text = train(out, asked { spoil = "c5", save = 1000 })
    equal(status, 1)
    assert(text:find("msagen: c5: expected a finite gradient", 1, true), text)
    local file = require("msagen.checkpoint").open(out .. ".safetensors")
    equal(file.metadata.step, "2")
    assert((file:tensor(file:names()[1]):finite()), "the last good weights")
  end)
  it("weights that are none, and no file has them", function()
    local out = place()
    local status, text = train(out, asked { burst = 7, save = 1 })
    equal(status, 1)
    assert(text:find("step 7: expected finite weights", 1, true), text)
    assert(not sys.exists(out .. ".best.safetensors"), "they are not the best")
    local file = require("msagen.checkpoint").open(out .. ".safetensors")
    equal({ file.metadata.step, (file:tensor(file:names()[1]):finite()) }, { "6", true })
  end)
  it("a file that goes while it trains, likewise", function()
    local data, out = work .. "/goes", place()
    require "made_discs"(data, 5)
    local command = { "sh", "-c", ("(sleep 0.6; rm %s/images/c4.png) & exec \"$@\""):format(data), "sh" }
    local status, text = train(out, { data = data, steps = 1000, cache = 0, slow = 10, batch = 2, save = 1000,
      validate = 0 }, command)
    equal(status, 1)
    assert(text:match "msagen: c4: [^\n]*c4.png", text)
    assert(sys.exists(out .. ".safetensors") and sys.exists(out .. ".state"))
  end)
end)

if (require "msagen.mpi").start and not tier.quick then
  describe("ranks", function()
    local function mpirun(n)
      return { "timeout", "60", "mpirun", "--allow-run-as-root", "--oversubscribe", "-n", tostring(n) }
    end
    it("give the same bytes, whatever their number", function()
      for n = 1, 4 do
        local out = place()
        trained(out, ASKED, mpirun(n))
        same(whole, out)
      end
    end)
    it("end when one is killed, and are resumed by others", function()
      for rank = 0, 2 do
        local out = place()
        local status = train(out, asked { die = rank }, mpirun(3))
        assert(status ~= 0, "it ended")
        trained(out, asked { resume = 1 }, mpirun(2 - rank % 2))
        same(whole, out)
      end
    end)
  end)
end
