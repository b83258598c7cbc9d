-- SPDX-License-Identifier: Apache-2.0
--- Synthetic lines of a phantom for an ultrasound front end: 18 bright points, speckle, and a cyst without any, behind
-- a Gaussian beam; 12-bit numbers. For trials without a probe. The same on every machine: its random numbers are
-- integers, and what rounds differently elsewhere is far below one step of the converter.

local fail = require "support.fail"
local design = require "signal.design"
local tensor = require "msagen.tensor"

local phantom = {}

local SPECKLE = 6 -- scatterers a line
local LARGEST, NOISE = 1500, 1 -- of 2048

-- Numbers from 0 to below 1, and normal ones.
local function random(seed)
  local state = seed & 0xffffffff
  local function uniform()
    state = (state * 1664525 + 1013904223) & 0xffffffff
    local high = state >> 8
    state = (state * 1664525 + 1013904223) & 0xffffffff
    return (high << 24 | state >> 8) / 2.0 ^ 48
  end
  return uniform, function()
    return math.sqrt(-2 * math.log(1 - uniform())) * math.cos(2 * math.pi * uniform())
  end
end

-- { line, mm, amplitude } of all scatterers.
local function scatterers(lines, deepest, uniform, normal)
  local list, middle = {}, (lines - 1) / 2
  for i = 0, 5 do
    for _, off in ipairs { -0.3, 0, 0.25 } do
      list[#list + 1] = { middle + off * lines, (0.15 + 0.15 * i) * deepest, 1 }
    end
  end
  for _ = 1, SPECKLE * lines do
    local line, depth, amplitude = uniform() * (lines - 1), (0.03 + 0.94 * uniform()) * deepest, 0.05 * normal()
    local x, z = (line - middle - 0.12 * lines) / lines, depth / deepest - 0.5
    if x * x + z * z >= 0.08 ^ 2 then list[#list + 1] = { line, depth, amplitude } end
  end
  return list
end

-- Adds a scatterer's echo to the lines that its beam reaches.
local function add(rf, p, one)
  local line, depth, amplitude = table.unpack(one)
  local arrives, delay, sigma = 2 * depth * 1e-3 / p.c, p.delay_samples or 0, 0.8 / p.f0
  amplitude = amplitude * 10 ^ (-(p.attenuation_db_mm or 0) * depth / 20)
  local first = math.max(0, math.floor((arrives - 5 * sigma) * p.fs - delay))
  local last = math.min(p.samples - 1, math.floor((arrives + 5 * sigma) * p.fs - delay) + 1)
  for n = first, last do
    local t = (n + delay) / p.fs - arrives
    local pulse = amplitude * math.exp(-0.5 * (t / sigma) ^ 2) * math.cos(2 * math.pi * p.f0 * t)
    for l = math.max(0, math.floor(line) - 5), math.min(p.lines - 1, math.floor(line) + 6) do
      rf[l][n] = rf[l][n] + pulse * math.exp(-0.5 * ((l - line) / 1.2) ^ 2)
    end
  end
end

--- Lines for a checked description of format rf and type int16 that says f0. @return i16 [lines,samples]
function phantom.frame(p, seed, where)
  if p.kind ~= "ultrasound" or p.format ~= "rf" or p.type ~= "int16" then
    fail("%s: expected ultrasound of format rf and type int16, found another", where)
  end
  if not p.f0 then fail("%s: f0: expected the pulse's frequency, found none", where) end
  local uniform, normal = random(seed)
  local rf = {}
  for l = 0, p.lines - 1 do
    rf[l] = {}
    for n = 0, p.samples - 1 do rf[l][n] = 0.0 end
  end
  for _, one in ipairs(scatterers(p.lines, design.depth(p.samples - 1, p), uniform, normal)) do add(rf, p, one) end
  local most, out = 0, {}
  for l = 0, p.lines - 1 do
    for n = 0, p.samples - 1 do most = math.max(most, math.abs(rf[l][n])) end
  end
  for l = 0, p.lines - 1 do
    local line = {}
    for n = 0, p.samples - 1 do
      local x = math.floor(rf[l][n] * LARGEST / most + NOISE * normal() + (p.offset or 0) + 0.5)
      line[n + 1] = string.pack("<i2", math.max(-2048, math.min(2047, x)))
    end
    out[l + 1] = table.concat(line)
  end
  return tensor.frombytes(table.concat(out), "i16", { p.lines, p.samples })
end

return phantom
