-- SPDX-License-Identifier: Apache-2.0
-- Descriptions of front ends: what is taken, what is refused in one line; tables that they become.

local spec = require "spec"
local describe, it, equal, refuses = spec.describe, spec.it, spec.equal, spec.refuses
if not spec.host "msagen.sys" then return end
local misspelling = require "misspelling"
local design = require "signal.design"
local front = require "signal.front"
local fundus = require "signal.fundus"
local geometry = require "signal.geometry"
local ultrasound = require "signal.ultrasound"

local function probe(changes)
  local p = { kind = "ultrasound", format = "rf", lines = 8, samples = 64, fs = 1e7, c = 1540, ref = 100,
    dynamic_range_db = 60, geometry = { kind = "linear", pitch = 0.3 },
    image = { width = 16, height = 12, x0 = -1, z0 = 0, dx = 0.125, dz = 0.125 } }
  for key, value in pairs(changes or {}) do
    if value == "none" then p[key] = nil else p[key] = value end
  end
  return p
end

describe("an ultrasound front end", function()
  local function wrong(changes, ...)
    refuses(function() front.check(probe(changes), "s.lua: frontend") end, "s.lua: frontend", ...)
  end

  it("refuses every slip", function()
    local full = probe { type = "int16", f0 = 3e6, delay_samples = 2, attenuation_db_mm = 0.3, offset = 1,
      remove_dc = true, tgc = { { 0, 0 }, { 3, 2 } }, fir = { taps = 5, f1 = 1e6, f2 = 3e6 },
      band = { 1e6, 2e6, 3e6, 4e6 }, decimate = 2, gamma = 0.9, persistence = 0.5 }
    local function check(t) ultrasound.check(t, "f") end
    check(full)
    assert(misspelling(full, ultrasound.fields, check, "f") > 60)
  end)

  it("refuses what does not go together", function()
    wrong({ kind = "ultrasund" }, "did you mean ultrasound?")
    wrong({ format = "iq", band = { 1, 2, 3, 4 } }, "band: expected with another format, found with iq")
    wrong({ ref = "none" }, "ref: expected one with format rf, found none")
    wrong({ image = "none" }, "image: expected beside geometry")
    wrong({ type = "uint8" }, "type of format rf")
    wrong({ samples = 1574 }, "787", "the next such is 1575")
    wrong({ fir = { taps = 4, f1 = 1, f2 = 2 } }, "an odd number, found 4")
    wrong({ band = { 3, 2, 4, 5 } }, "four rising frequencies")
    wrong({ band = { 1e6, 2e6, 3e6, 6e6 } }, "from 0 to fs / 2")
    wrong({ tgc = { { 3, 0 }, { 2, 0 } } }, "rising depths")
    wrong({ offset = 3 }, "offset: expected with remove_dc")
    wrong({ persistence = 1 }, "from 0 to below 1")
    wrong({ geometry = { kind = "curved", radius = 3 } }, "line_step_deg")
    wrong({ geometry = { kind = "linear", pitch = 1, steer_deg = 90 } }, "below 90")
    wrong({ lines = 1 }, "two lines and two samples")
    wrong({ fs = 0 / 0 }, "fs")
  end)

  it("has gains that are linear in dB, and constant outside their table", function()
    local p = probe { tgc = { { 1, 0 }, { 2, 20 } } }
    local gains = design.gains(p)
    equal(gains[1], 1)
    local depth = design.depth(19, p)
    assert(math.abs(gains[20] - 10 ^ (depth - 1)) < 1e-12, gains[20])
    equal(gains[64], 10)
  end)

  it("has places of pixels for every geometry", function()
    local line, sample = geometry.place(probe(), 8, 0.3, 0.77)
    assert(math.abs(line - 4.5) < 1e-12 and math.abs(sample - 10) < 1e-9)
    local curved = probe { geometry = { kind = "curved", radius = 10, line_step_deg = 1 } }
    line, sample = geometry.place(curved, 9, 11 * math.sin(math.rad(2)), 11 * math.cos(math.rad(2)) - 10)
    assert(math.abs(line - 6) < 1e-9 and math.abs(sample - 1e-3 * 2 * 1e7 / 1540) < 1e-9)
    local made = geometry.tables(curved, 8, 64)
    local inside, pixels = 0, 16 * 12
    for at = 1, #made.runs, 8 do
      local first, count = string.unpack("<I4I4", made.runs, at)
      assert(first + count <= pixels)
      inside = inside + count
    end
    equal(#made.lines, 4 * inside)
    equal(#made.samples, 4 * inside)
  end)
end)

describe("a fundus front end", function()
  local function wrong(changes, ...)
    local p = { kind = "fundus", format = "bayer", width = 64, height = 48, pattern = "RGGB" }
    for key, value in pairs(changes) do p[key] = value end
    refuses(function() front.check(p, "s.lua: frontend") end, "s.lua: frontend", ...)
  end

  it("refuses every slip", function()
    local full = { kind = "fundus", format = "bayer", type = "uint16", width = 64, height = 48, pattern = "RGGB",
      demosaic = "malvar", black = 0, white = 4095, wb = { 1, 1, 1 }, ccm = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } },
      curve = "srgb", field_of_view = { threshold = 15 }, square = true, local_average = { sigma = 2 },
      clahe = { clip = 2, tiles = 8, channel = "each" } }
    local function check(t) fundus.check(t, "f") end
    check(full)
    assert(misspelling(full, fundus.fields, check, "f") > 50)
  end)

  it("refuses what does not go together", function()
    wrong({ format = "rgb" }, "pattern: expected with format bayer, found with rgb")
    wrong({ black = 5000, white = 4095 }, "white: expected a number above black")
    wrong({ local_average = { sigma = 20 } }, "a fourth of the shorter side, 12, found 20")
    wrong({ clahe = { clip = 2, tiles = 49 } }, "tiles: expected at most 48, found 49")
    wrong({ wb = { 1, 2 } }, "three numbers")
  end)
end)
