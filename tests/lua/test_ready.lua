-- SPDX-License-Identifier: Apache-2.0
-- What is made ready for the decoder while encoding: the naive kernels' bits, for prompts with and without a mask in
-- any order, only where the arena does not grow, and less work in each click.

local spec = require "spec"
local describe, it, equal = spec.describe, spec.it, spec.equal
local sys, json = spec.host "msagen.sys", spec.host "msagen.json"
if not (sys and json) then return end
local tier = require "tier"
local tiny = require "tiny_model"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-ready-")
sys.cleanup(work)

local SIDE, MASK = 50, 40

local function write_inputs()
  local pixels, logits = {}, {}
  for i = 1, SIDE * SIDE * 3 do pixels[i] = string.char((i * 7919 + i // 97 * 31) % 256) end
  require "msagen.npy".write(work .. "/image.npy", { dtype = "u8", shape = { 1, SIDE, SIDE, 3 },
    bytes = table.concat(pixels) })
  for i = 1, MASK * MASK do logits[i] = string.pack("<f", (i * 31 % 101 - 50) / 10) end
  require "msagen.npy".write(work .. "/mask.npy",
    { dtype = "f32", shape = { MASK, MASK }, bytes = table.concat(logits) })
  local click, mask = { points = json.array { json.array { 12.5, 30.0 } }, labels = json.array { 1 } },
    work .. "/mask.npy"
  local many = { points = json.array {}, labels = json.array {} }
  for i = 1, 16 do many.points[i], many.labels[i] = json.array { i * 3.0, 50.0 - i * 2 }, i % 2 end
  sys.write_file(work .. "/prompts.json", json.encode(json.array {
    click, { mask = mask }, click, { points = click.points, labels = click.labels, mask = mask, multimask = true },
      { box = json.array { 5.0, 6.0, 40.0, 44.0 } }, many, click }))
end

local function without(body)
  local prepare = require "schedule.ready"
  local layer = prepare.layer
  prepare.layer = function() return nil end
  local ok, message = pcall(body)
  prepare.layer = layer
  if not ok then error(message, 0) end
end

local function built(board, changes, name)
  local dir = ("%s/%s_%s_%d"):format(work, board.name, name, changes.cores or 1)
  local device = tiny.device(work, "broad")
  device.board = board.name
  for k, v in pairs(changes) do device[k] = v end
  if name == "with" then tiny.build(device, dir) else without(function() tiny.build(device, dir) end) end
  return json.decode(sys.read_file(dir .. "/manifest.json"), "manifest.json"), dir, device
end

local function check(board, changes)
  write_inputs()
  local with, dir, device = built(board, changes, "with")
  local plain = built(board, changes, "without")
  assert(with.macs_ready > 0, "nothing is made ready: the shape tests nothing")
  equal(plain.macs_ready, 0)
  equal(with.macs_decode, plain.macs_decode)
  assert(with.arena_bound_bytes <= plain.arena_bound_bytes, "the bound has grown")
  if not spec.compiles() then return end
  local inputs = { "--image", work .. "/image.npy", "--prompts", work .. "/prompts.json" }
  tiny.must { "make", "-j2", "-C", dir, "CFLAGS=-O0" }
  local found = tiny.must { tiny.program(), "run", dir, "--digest", table.unpack(inputs) }:match "digest (%x+)"
  equal(found, tiny.interpreted(device, board.name, table.unpack(inputs)))
end

describe("what is made ready of the image", function()
  local boards = tiny.boards()
  local best = boards[#boards]
  if tier.full then it("changes no bit of any prompt, on one core", function() check(best, {}) end) end
  it("changes no bit of any prompt on three cores", function() check(best, { cores = 3 }) end)

  it("is left where it would enlarge the arena", function()
    local device = tiny.device(work, "adapted")
    device.board = "generic-c99"
    tiny.build(device, work .. "/adapted")
    equal(json.decode(sys.read_file(work .. "/adapted/manifest.json"), "manifest.json").macs_ready, 0)
  end)
end)
