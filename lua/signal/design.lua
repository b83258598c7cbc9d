-- SPDX-License-Identifier: Apache-2.0
--- Numbers of an ultrasound chain that depend on its description alone (docs/ultrasound.md): gains, filters, weights of
-- a spectrum's places. All are computed in doubles; lists begin at 1.

local design = {}

--- Depth of a sample below the transducer's face, mm. @param n from 0 @param p { c m/s, fs Hz, delay_samples }
function design.depth(n, p) return (n + (p.delay_samples or 0)) * p.c / (2 * p.fs) * 1e3 end

-- A table's value, linear between its points, constant outside.
local function interpolated(list, x)
  if x <= list[1][1] then return list[1][2] end
  for i = 2, #list do
    local a, b = list[i - 1], list[i]
    if x <= b[1] then return a[2] + (b[2] - a[2]) / (b[1] - a[1]) * (x - a[1]) end
  end
  return list[#list][2]
end

--- Gain of each sample from a table of { mm, dB }.
function design.gains(p)
  local list = {}
  for n = 0, p.samples - 1 do list[n + 1] = 10 ^ (interpolated(p.tgc, design.depth(n, p)) / 20) end
  return list
end

local function sinc(x) return x == 0 and 1 or math.sin(math.pi * x) / (math.pi * x) end

--- Taps of a band-pass: a windowed sinc (Hamming) of unit gain in the middle of the band. @param p { fs, fir = { taps,
-- f1, f2 } }
function design.taps(p)
  local T, f1, f2 = p.fir.taps, p.fir.f1 / p.fs, p.fir.f2 / p.fs
  local list, gain = {}, 0
  for i = 0, T - 1 do
    local m = i - (T - 1) / 2
    local h = 2 * f2 * sinc(2 * f2 * m) - 2 * f1 * sinc(2 * f1 * m)
    list[i + 1] = h * (0.54 - 0.46 * math.cos(2 * math.pi * i / (T - 1)))
    gain = gain + list[i + 1] * math.cos(2 * math.pi * (f1 + f2) / 2 * m)
  end
  for i = 1, T do list[i] = list[i] / gain end
  return list
end

--- Weights of places 0 to N // 2 of a real line's spectrum that make its analytic signal: 1 of place 0 and, of an even
-- number of samples, of the last one, else 2; times a raised cosine over the band's four frequencies.
function design.weights(p)
  local N, list = p.samples, {}
  local function band(f)
    if not p.band then return 1 end
    local f0, f1, f2, f3 = table.unpack(p.band)
    if f >= f1 and f <= f2 then return 1 end
    if f <= f0 or f >= f3 then return 0 end
    if f < f1 then return 0.5 - 0.5 * math.cos(math.pi * (f - f0) / (f1 - f0)) end
    return 0.5 + 0.5 * math.cos(math.pi * (f - f2) / (f3 - f2))
  end
  for k = 0, N // 2 do
    list[k + 1] = ((k == 0 or 2 * k == N) and 1 or 2) * band(k * p.fs / N)
  end
  return list
end

return design
