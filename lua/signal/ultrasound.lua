-- SPDX-License-Identifier: Apache-2.0
--- The ultrasound front end (docs/ultrasound.md): its description checked, and lowered to steps. Lines are in lanes, as
-- many at a time as a vector has; each such batch goes through all steps of a line before the next one comes, and
-- leaves its column of the frame. Formulas: golden-front's, DESIGN 11.

local chain = require "signal.chain"
local closed = require "support.closed"
local design = require "signal.design"
local fail = require "support.fail"
local fft = require "signal.fft"
local geometry = require "signal.geometry"
local kernels = require "kernels.kernels"
local samples = require "signal.samples"
local schema = require "support.schema"

local number, whole, list_of = schema.number, schema.whole, schema.list_of

local ultrasound = {}

local function above(least, what)
  return schema.kind(function(value)
    if number(value) or value <= least then return what or ("a number above %g"):format(least) end
  end)
end
local positive = above(0)

local function numbers_of(count, what)
  return schema.kind(function(value)
    local problem, found = list_of(number, 0, what)(value)
    if problem or #value ~= count then return ("%d %s"):format(count, what), problem and found or nil end
  end)
end

local reference = schema.kind(function(value)
  if value ~= "max" and positive(value) then return "max, or a number above 0" end
end)

local LINEAR = { kind = { schema.one_of("linear"), true }, pitch = { positive, true }, steer_deg = { number } }
local CURVED = { kind = { schema.one_of("curved"), true }, radius = { positive, true },
  line_step_deg = { positive, true } }
local PHASED = { kind = { schema.one_of("phased"), true }, radius = { number }, line_step_deg = { positive, true } }
local GEOMETRIES = { linear = LINEAR, curved = CURVED, phased = PHASED }

local IMAGE = { width = { whole(1, 4096), true }, height = { whole(1, 4096), true }, x0 = { number, true },
  z0 = { number, true }, dx = { positive, true }, dz = { positive, true } }

local FIR = { taps = { whole(3, 1023), true }, f1 = { schema.number, true }, f2 = { positive, true } }

--- What a description may have. Frequencies are in Hz, speeds in m/s, lengths in mm, angles in degrees.
ultrasound.fields = { kind = { schema.one_of("ultrasound"), true },
  format = { schema.one_of("rf", "iq", "envelope", "prescan"), true },
  type = { schema.one_of(table.unpack(samples.names)) },
  lines = { whole(1, 2048), true }, samples = { whole(2, 65536), true },
  fs = { positive, true }, c = { positive, true }, f0 = { positive }, delay_samples = { number },
  attenuation_db_mm = { number }, offset = { number },
  remove_dc = { schema.flag }, tgc = { list_of(numbers_of(2, "numbers, mm and dB"), 1, "pairs of mm and dB") },
  fir = { schema.record(FIR) }, band = { numbers_of(4, "frequencies") }, decimate = { whole(1, 64) },
  ref = { reference }, dynamic_range_db = { above(0) }, gamma = { above(0) }, persistence = { schema.number },
  geometry = { schema.table }, image = { schema.record(IMAGE) } }

-- Fields that formats have not.
local LACKS = { rf = {}, iq = { "remove_dc", "fir", "band" }, envelope = { "remove_dc", "fir", "band" },
  prescan = { "remove_dc", "tgc", "fir", "band", "ref", "dynamic_range_db", "gamma", "decimate" } }
local TYPES = { rf = { "int16", "int12", "int8", "float32" }, iq = { "int16", "float32" },
  envelope = { "uint16", "uint8", "int16", "float32" }, prescan = { "uint8", "float32" } }

local function check_numbers(p, where)
  local function refuse(field, expected, ...) fail("%s: %s: expected " .. expected, where, field, ...) end
  if p.persistence and (p.persistence < 0 or p.persistence >= 1) then
    refuse("persistence", "a share of the frame before, from 0 to below 1, found %.14g", p.persistence)
  end
  if p.fir and p.fir.taps % 2 == 0 then refuse("fir: taps", "an odd number, found %d", p.fir.taps) end
  if p.fir and not (p.fir.f1 >= 0 and p.fir.f1 < p.fir.f2 and p.fir.f2 <= p.fs / 2) then
    refuse("fir", "0 <= f1 < f2 <= fs / 2, found %.14g and %.14g", p.fir.f1, p.fir.f2)
  end
  for i = 2, p.band and 4 or 0 do
    if p.band[i] < p.band[i - 1] then
      refuse("band", "four rising frequencies, found %.14g behind %.14g", p.band[i], p.band[i - 1])
    end
  end
  if p.band and not (p.band[1] >= 0 and p.band[4] <= p.fs / 2) then
    refuse("band", "frequencies from 0 to fs / 2, found %.14g", p.band[1] < 0 and p.band[1] or p.band[4])
  end
  if p.offset and p.offset ~= 0 and not p.remove_dc then
    refuse("offset", "with remove_dc, which takes it away, found without")
  end
  for i, one in ipairs(p.tgc or {}) do
    if i > 1 and one[1] <= p.tgc[i - 1][1] then refuse("tgc", "rising depths, found %.14g behind %.14g", one[1],
      p.tgc[i - 1][1]) end
    if math.abs(one[2]) > 160 then refuse("tgc", "at most 160 dB, found %.14g", one[2]) end
  end
end

-- Points of a line of the frame.
local function depth_of(p) return (p.samples + p.decimate - 1) // p.decimate end

--- Check a description; a refusal that begins with `where`. @return it with defaults: a copy
function ultrasound.check(given, where)
  schema.check(given, ultrasound.fields, where)
  local p = {}
  for key, value in pairs(given) do p[key] = value end
  p.type = p.type or TYPES[p.format][1]
  closed.member(p.type, TYPES[p.format], ("%s: type of format %s"):format(where, p.format))
  for _, field in ipairs(LACKS[p.format]) do
    if p[field] ~= nil and p[field] ~= false and not (field == "decimate" and p[field] == 1) then
      fail("%s: %s: expected with another format, found with %s", where, field, p.format)
    end
  end
  p.decimate = p.decimate or 1
  check_numbers(p, where)
  if p.format ~= "prescan" then
    for _, field in ipairs { "ref", "dynamic_range_db" } do
      if not p[field] then fail("%s: %s: expected one with format %s, found none", where, field, p.format) end
    end
  end
  if (p.image == nil) ~= (p.geometry == nil) then
    fail("%s: %s: expected beside %s, found none", where, p.image and "geometry" or "image",
      p.image and "image" or "geometry")
  end
  if p.geometry then
    local kind = closed.member(p.geometry.kind, closed.sorted(GEOMETRIES), where .. ": geometry: kind")
    schema.check(p.geometry, GEOMETRIES[kind], where .. ": geometry")
    if math.abs(p.geometry.steer_deg or 0) >= 90 then
      fail("%s: geometry: steer_deg: expected an angle below 90, found %.14g", where, p.geometry.steer_deg)
    end
  end
  local depth = depth_of(p)
  if p.image and (p.lines < 2 or depth < 2) then
    fail("%s: image: expected two lines and two samples at least, found %d lines of %d", where, p.lines, depth)
  end
  if p.format == "rf" then
    fft.plan.of(p.samples, true, where .. ": samples")
    fft.plan.of(p.samples % p.decimate == 0 and depth or p.samples, false, where .. ": samples / decimate")
  end
  return p
end

-- ---- lowering ----

local Chain = setmetatable({}, { __index = chain })
Chain.__index = Chain

-- Samples to numbers in lanes. @return their view; the gain is left to do where that waits for the mean
function Chain:samples_in()
  local p, K, W = self.p, self.K, self.W
  local count = p.format == "iq" and 2 * p.samples or p.samples
  local half = p.fir and p.fir.taps // 2 or 0
  local x = self:buffer("x", (count + 2 * half) * W, p.fir and "raw" or "one")
  local inner = x + half * W
  -- Without a gain or filter behind it the mean is the spectrum's first place.
  self.centred = p.remove_dc and (p.tgc ~= nil or p.fir ~= nil) or false
  local gains = p.tgc and design.gains(p)
  if gains and p.format == "iq" then
    local both = {}
    for i, gain in ipairs(gains) do both[2 * i - 1], both[2 * i] = gain, gain end
    gains = both
  end
  self:step("samples", "Samples of lines to lanes" .. (self.centred and ", less their mean" or "")
    .. (gains and ", times the gain of their depth." or "."), "batch", function(step, body)
    local from = step:parameter("const unsigned char *samples", "samples")
    local lines, apart = step:number "lines", step:number "stride"
    local w = gains and self:part(step, "gains", gains)
    local early = gains and not self.centred
    local kernel = K:samples_in { type = p.type, C = count, gain = early or nil }
    if early then body:call(kernel, from, inner, w, lines, apart)
    else body:call(kernel, from, inner, lines, apart) end
    if self.centred then
      local mean = step:pool():take("mean", W)
      body:call(K:lanes_mean { points = count }, inner, mean)
      local kernel_gain = K:lanes_gain { points = count, centre = true, gain = gains and true or nil }
      if gains then body:call(kernel_gain, inner, mean, w) else body:call(kernel_gain, inner, mean) end
    end
    if half > 0 then
      body:zero(x, half * W)
      body:zero(inner + count * W, half * W)
    end
  end)
  return p.fir and x or inner
end

function Chain:filter(x)
  local p, W = self.p, self.W
  local y = self:buffer("filtered", p.samples * W, "one")
  self:step("filter", ("A band-pass of %d taps."):format(p.fir.taps), "batch", function(step, body)
    body:call(self.K:lanes_fir { points = p.samples, taps = p.fir.taps }, x, y, self:part(step, "taps", design.taps(p)))
  end)
  return y
end

function Chain:spectrum(x)
  local p = self.p
  local y = self:buffer("spectrum", fft.spectrum_elements(self.K, p.samples), "two")
  self:step("spectrum", ("Fourier transforms of %d real points."):format(p.samples), "batch", function(step, body)
    fft.real(step, self.K, body, p.samples, x, y, step:pool())
  end)
  return y
end

-- The weights of a spectrum's places with the inverse's scale, and runs of places that are not 0, { first, count }.
local function weights_of(p)
  local list, runs, run = design.weights(p), {}, nil
  if p.remove_dc and not p.tgc and not p.fir then list[1] = 0 end
  for k, w in ipairs(list) do
    list[k] = w / p.samples
    if w ~= 0 then
      run = run or { first = k - 1, count = 0 }
      run.count = k - run.first
    elseif run then
      runs[#runs + 1], run = run, nil
    end
  end
  runs[#runs + 1] = run
  return list, runs
end

-- Places of the spectrum to those of M points, of which so many are read, a place k to k modulo M: so every D-th point
-- of all is what M have.
function Chain:fold(step, body, x, z, M, read)
  local K, point = self.K, 2 * self.W
  local list, runs = weights_of(self.p)
  local w, written = self:part(step, "band", list), {}
  for _, run in ipairs(runs) do
    local k, last = run.first, run.first + run.count
    while k < last do
      local to = k % M
      -- What is written before is added to; a piece is all of either kind.
      local add, count = written[to] or false, 1
      while k + count < last and to + count < M and (written[to + count] or false) == add do count = count + 1 end
      body:call(K:lanes_weigh { points = count, add = add or nil }, x + k * point, z + to * point, w + k)
      for i = to, to + count - 1 do written[i] = true end
      k = k + count
    end
  end
  local from
  for i = 0, read do
    if i < read and not written[i] then from = from or i
    elseif from then
      body:zero(z + from * point, (i - from) * point)
      from = nil
    end
  end
end

-- The analytic signal's points that are kept. @return its view, floats from one to the next
function Chain:analytic(x)
  local p, K, W = self.p, self.K, self.W
  local M = p.samples % p.decimate == 0 and p.depth or p.samples
  local half = M == p.samples -- nothing is folded: places above the half are 0
  local read = half and fft.half_points(M) or M
  local one_sided = self:buffer("one_sided", 2 * read * W, "one")
  local z = self:buffer("analytic", 2 * M * W, "two")
  self:step("analytic", ("The analytic signal%s: inverse transforms of %d points."):format(
    p.band and " of the band" or "", M), "batch", function(step, body)
    self:fold(step, body, x, one_sided, M, read)
    fft.complex(step, K, body, M, one_sided, z, true, half)
  end)
  return z, M == p.depth and 2 * W or 2 * W * p.decimate
end

-- What lanes_level is told of a reference: levels an octave of power, the level of power 2^e, e, gamma ln 2.
local function level_numbers(p)
  local full = p.gamma and 1 or 255
  local octave = full * 10 * math.log(2, 10) / p.dynamic_range_db
  local e, at = 0, 0
  if p.ref ~= "max" then
    local power = 2 * math.log(p.ref, 2)
    e = math.floor(power + 0.5)
    at = full - octave * (power - e)
  end
  return { octave, at, e, (p.gamma or 1) * math.log(2) }
end

-- The batch's column of the frame: levels, or powers where the frame's largest is their reference.
function Chain:column(z, apart, from)
  local p, K, ld = self.p, self.K, self.ld
  local to = from ~= "level" and (p.ref == "max" and "power" or "grey")
  local what = from == "level" and "Lines to the frame." or to == "grey" and "Grey levels, to the frame."
    or "Powers, to the frame."
  self:step("column", what, "batch", function(step, body)
    local column = step:parameter("float *column", "column")
    if from == "level" then
      body:call(K:lanes_copy { points = p.depth, ldz = ld }, z, column)
      return
    end
    local kernel = K:lanes_level { from = from, to = to, points = p.depth, ldx = apart, ldz = ld,
      gamma = p.gamma and to == "grey" or nil }
    if to == "power" then body:call(kernel, z, column)
    else body:call(kernel, z, column, self:part(step, "levels", level_numbers(p))) end
  end)
end

function Chain:levels(frame)
  local p, K = self.p, self.K
  if p.format == "prescan" or p.ref ~= "max" then return end
  self:step("levels", "Grey levels, the frame's largest power being white.", "frame", function(step, body)
    local found = step:pool():take("found", 4)
    body:call(K:frame_reference { rows = p.depth, C = p.lines, ldx = self.ld, full = p.gamma and 1 or 255 }, frame,
      self:part(step, "levels", level_numbers(p)), found)
    local kernel = K:lanes_level { from = "power", to = "grey", points = self.columns // self.W, ldx = self.W,
      ldz = self.W, gamma = p.gamma and true or nil }
    body:each({ variable = "s", to = p.depth }, function(inner, s)
      inner:call(kernel, frame + s * self.ld, frame + s * self.ld, found)
    end)
  end)
end

function Chain:persist(frame)
  local p = self.p
  if not p.persistence or p.persistence == 0 then return frame end
  local kept = self:buffer("kept", p.depth * self.ld, nil, nil, self.ld)
  self:step("persistence", ("%g of what the frames before left."):format(p.persistence), "frame", function(step, body)
    body:call(self.K:frame_persist { rows = p.depth, C = self.columns, ld = self.ld, keep = p.persistence }, frame,
      kept, step:number "first")
  end)
  return kept
end

function Chain:picture(frame, where)
  local p, K = self.p, self.K
  local o, seg = p.image, self.segment
  if not o then return end
  local made = geometry.tables(p, p.lines, p.depth)
  if made.inside == 0 then
    fail("%s: image: expected a picture that shows a part of the frame, found none of it", where)
  end
  self.inside = made.inside
  local picture = self:buffer("picture", o.width * o.height, nil, "u8")
  for _, role in ipairs { "runs", "lines", "samples" } do
    if made[role] then seg:words("at_" .. role, #made[role] // 4, function() return made[role] end) end
  end
  local request = { pixels = o.width * o.height, lines = p.lines, samples = p.depth, ld = self.ld,
    line_bits = made.line_bits, sample_bits = made.sample_bits }
  self:step("picture", "Scan conversion.", "frame", function(step, body)
    if made.runs then
      request.runs = #made.runs // 8
      body:call(K:scan_runs(request), frame, picture, step:part "at_runs", step:part "at_lines", step:part "at_samples")
      return
    end
    request.width, request.first_row, request.rows = o.width, made.first_row, made.rows
    request.first_column, request.columns = made.first_column, made.columns
    body:call(K:scan_grid(request), frame, picture, step:part "at_lines", step:part "at_samples",
      step:pool():take("row", self.ld))
  end)
end

local function facts_of(p)
  local words = { ("ultrasound, %d lines of %d samples (%s %s)"):format(p.lines, p.samples, p.format, p.type) }
  if p.decimate > 1 then words[#words + 1] = ("every %d. point"):format(p.decimate) end
  if p.geometry then
    words[#words + 1] = ("%s, %d x %d pixels"):format(p.geometry.kind, p.image.width, p.image.height)
  end
  return table.concat(words, ", ")
end

--- Lower a description that ultrasound.check gave.
-- @param K the board's kernels @param where what messages begin with
-- @return what lua/signal/front.lua says
function ultrasound.lower(p, K, where)
  local W = fft.lanes(K)
  p = setmetatable({ depth = depth_of(p) }, { __index = p })
  local self = setmetatable(chain.new(p, K, W), Chain)
  self.columns = (p.lines + W - 1) // W * W
  self.ld = kernels.stride(p.lines + W - 1)
  local frame = self:buffer("frame", p.depth * self.ld, nil, nil, self.ld)
  local x = self:samples_in()
  if p.format == "rf" then
    if p.fir then x = self:filter(x) end
    local z, apart = self:analytic(self:spectrum(x))
    self.envelope = { buffer = "analytic", apart = apart, from = "complex" }
    self:column(z, apart, "complex")
  elseif p.format == "prescan" then self:column(x, W, "level")
  else
    local from = p.format == "iq" and "complex" or "amplitude"
    local apart = (from == "complex" and 2 or 1) * W * p.decimate
    self.envelope = { buffer = "x", apart = apart, from = from }
    self:column(x, apart, from)
  end
  self:levels(frame)
  self.shown = self:persist(frame)
  self:picture(self.shown, where)
  self.picture_view = self.views.picture
  self.picture_of = p.image and { width = p.image.width, height = p.image.height, channels = 1 }
  self.line_bytes = samples.bytes(p.type, p.format == "iq" and 2 * p.samples or p.samples)
  self.line_is = samples.of[p.type].what .. (p.format == "iq" and ", I and Q" or "")
  self.align, self.facts, self.lines, self.depth = samples.of[p.type].align, facts_of(p), p.lines, p.depth
  return self
end

return ultrasound
