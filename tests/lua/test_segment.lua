-- SPDX-License-Identifier: Apache-2.0
-- The layout of a layer's weights, and that the blob has it.

local spec = require "spec"
local describe, it, equal = spec.describe, spec.it, spec.equal
local segment = require "lower.segment"

local sys, tensor = spec.host "msagen.sys", spec.host "msagen.tensor"
if not (sys and tensor) then return end
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-segment-")
sys.cleanup(work)

local function counting(rows, width, first)
  local t = {}
  for i = 1, rows * width do t[i] = first + i end
  return tensor.from(t, { rows, width })
end

local function floats(path, from, count)
  return { ("<" .. ("f"):rep(count)):unpack(sys.read_file(path), from + 1) }
end

describe("segment", function()
  it("lays parts out in panels, rows and vectors, each on a cache line", function()
    local seg = segment.new()
    local weight = counting(18, 3, 0) -- [N,K]
    equal({ seg:linear("lin", weight, counting(1, 18, 100):reshape { 18 }) }, { 18, 3 })
    seg:norm("norm", { weight = counting(1, 5, 200):reshape { 5 }, bias = counting(1, 5, 300):reshape { 5 } })
    seg:rows("table", 2, 3, 4, function() return counting(2, 3, 400) end, segment.of())
    equal({ seg.at.lin, seg.at.lin_bias, seg.at.norm, seg.at.table, seg:bytes() }, { 0, 384, 512, 640, 704 })
    local path = work .. "/w.bin"
    local blob = require("msagen.blob").create(path, { arith = "test", version = 1 })
    blob:segment "first"
    local at = seg:write(blob)
    blob:close()
    equal(at % 64, 0)
    local data = floats(path, at, 176)
    -- Panels: [panel][k][16 columns], zeros past the last column.
    for n = 0, 31 do
      for k = 0, 2 do
        equal(data[n // 16 * 48 + k * 16 + n % 16 + 1], n < 18 and 1.0 + n * 3 + k or 0.0,
          ("column %d of row %d"):format(n, k))
      end
    end
    equal({ data[97], data[114], data[115], data[128] }, { 101.0, 118.0, 0.0, 0.0 })
    -- gamma, then beta 16 further
    equal({ data[129], data[133], data[134], data[145], data[149], data[150] },
      { 201.0, 205.0, 0.0, 301.0, 305.0, 0.0 })
    equal({ table.unpack(data, 161, 169) }, { 401.0, 402.0, 403.0, 0.0, 404.0, 405.0, 406.0, 0.0, 0.0 })
  end)

  it("refuses a role twice, and a part that is not where it was planned", function()
    local seg = segment.new()
    seg:vector("a", 3, function() return counting(1, 3, 0):reshape { 3 } end, segment.of())
    assert(not pcall(seg.vector, seg, "a", 3))
    seg:rows("b", 2, 3, 16, function() return counting(5, 3, 0) end, segment.of()) -- more rows than were planned
    seg:vector("c", 3, function() return counting(1, 3, 0):reshape { 3 } end, segment.of())
    local blob = require("msagen.blob").create(work .. "/x.bin", { arith = "test", version = 1 })
    blob:segment "first"
    local ok, problem = pcall(seg.write, seg, blob)
    blob:abort()
    assert(not ok)
    spec.holds(problem, "part c", "planned")
  end)
end)
