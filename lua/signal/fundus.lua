-- SPDX-License-Identifier: Apache-2.0
--- The front end of a fundus camera (docs/fundus.md): its description checked, and lowered to steps. Rows of the sensor
-- become rows of the picture as they come; what needs the whole picture follows: local average, equalisation, and last
-- the cut to the field of view, which is looked for before them.

local chain = require "signal.chain"
local fail = require "support.fail"
local kinds = require("kernels.kernels").kinds
local samples = require "signal.samples"
local schema = require "support.schema"

local number, whole = schema.number, schema.whole

local fundus = {}

local MOST = 16384 -- pixels of a side: MSA_MAX_SIDE
local RADIUS = 4 -- of a Gaussian, in its deviations

local positive = schema.kind(function(value)
  if number(value) or value <= 0 then return "a number above 0" end
end)

local three = schema.kind(function(value)
  local problem, found = schema.list_of(number, 3, "numbers")(value)
  if problem or #value ~= 3 then return "three numbers", problem and found or nil end
end)
local matrix = schema.kind(function(value)
  local problem, found = schema.list_of(three, 3, "rows of three numbers")(value)
  if problem or #value ~= 3 then return "three rows of three numbers", problem and found or nil end
end)

--- What a description may have. Sides in pixels.
fundus.fields = { kind = { schema.one_of("fundus"), true }, format = { schema.one_of("bayer", "rgb"), true },
  type = { schema.one_of("uint8", "uint16") }, width = { whole(8, MOST), true }, height = { whole(8, MOST), true },
  pattern = { schema.one_of("RGGB", "BGGR", "GRBG", "GBRG") }, demosaic = { schema.one_of("bilinear", "malvar") },
  black = { number }, white = { number }, wb = { three }, ccm = { matrix }, curve = { schema.one_of("srgb", "linear") },
  field_of_view = { schema.record { threshold = { whole(0, 254), true } } }, square = { schema.flag },
  local_average = { schema.record { sigma = { positive, true } } },
  clahe = { schema.record { clip = { positive, true }, tiles = { whole(1, 64), true },
    channel = { schema.one_of("green", "each") } } } }

local BAYER = { "pattern", "demosaic", "black", "white", "wb", "ccm", "curve" }

local function defaults(p, where)
  if p.format == "rgb" then
    for _, field in ipairs(BAYER) do
      if p[field] ~= nil then fail("%s: %s: expected with format bayer, found with rgb", where, field) end
    end
    p.type = p.type or "uint8"
    if p.type ~= "uint8" then fail("%s: type: expected uint8 with format rgb, found %s", where, p.type) end
    return
  end
  if not p.pattern then fail("%s: pattern: expected one with format bayer, found none", where) end
  p.type, p.demosaic, p.curve = p.type or "uint16", p.demosaic or "malvar", p.curve or "srgb"
  p.black, p.white = p.black or 0, p.white or (1 << samples.of[p.type].bits) - 1
  if p.white <= p.black then
    fail("%s: white: expected a number above black, %.14g, found %.14g", where, p.black, p.white)
  end
  p.wb, p.ccm = p.wb or { 1, 1, 1 }, p.ccm or { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } }
end

--- Check a description; a refusal that begins with `where`. @return it with defaults: a copy
function fundus.check(given, where)
  schema.check(given, fundus.fields, where)
  local p = {}
  for key, value in pairs(given) do p[key] = value end
  defaults(p, where)
  local least = math.min(p.width, p.height)
  local sigma = p.local_average and p.local_average.sigma
  if sigma and math.floor(RADIUS * sigma + 0.5) >= least or sigma and sigma < 0.25 then
    fail("%s: local_average: sigma: expected from 0.25 to below a fourth of the shorter side, %.14g, found %.14g",
      where, least / RADIUS, sigma)
  end
  if p.clahe and p.clahe.tiles > least then
    fail("%s: clahe: tiles: expected at most %d, found %d", where, least, p.clahe.tiles)
  end
  return p
end

-- ---- lowering ----

local Chain = setmetatable({}, { __index = chain })
Chain.__index = Chain

-- The sensor's numbers: black, a number for each colour, the matrix.
local function sensor_numbers(p)
  local list = { p.black }
  for i = 1, 3 do list[1 + i] = p.wb[i] / (p.white - p.black) end
  for _, row in ipairs(p.ccm) do table.move(row, 1, 3, #list + 1, list) end
  return list
end

function Chain:develop(picture)
  local p, K = self.p, self.K
  if p.format == "rgb" then
    return self:step("rows", "A row of the picture.", "batch", function(step, body)
      local from = step:parameter("const unsigned char *samples", "samples")
      local to = picture + step:number "first" * (3 * p.width)
      body:c({ to }, {}, function(text)
        return ("memcpy(%s, %s, %d);"):format(text:pointer(to), text:pointer(from), 3 * p.width)
      end)
    end)
  end
  local bayer = kinds.bayer_rows
  local ring = self:buffer("ring", bayer.room.ring(p.width))
  self:step("develop", ("A row of the sensor to rows of the picture: %s, %s."):format(p.pattern, p.demosaic), "batch",
    function(step, body)
      body:call(K:bayer_rows { width = p.width, height = p.height, pattern = p.pattern, demosaic = p.demosaic,
        type = p.type, curve = p.curve }, step:parameter("const unsigned char *samples", "samples"), picture, ring,
        step:pool():take("rows", bayer.room.rows(p.width)), self:part(step, "sensor", sensor_numbers(p)),
        step:number "first")
    end)
end

function Chain:field(picture)
  local p = self.p
  if not p.field_of_view then return end
  local work = self:buffer("counts", 2 * (p.width + p.height), nil, "u32")
  self:step("field", "The round field of view.", "frame", function(step, body)
    step:parameter("msa_box *box", "&box")
    step.returns = "msa_status"
    body:c({ picture, work }, {}, function(text)
      return ("const msa_status status = msa_field_of_view(%s, %d, %d, %d, %s, box);\nif (status != MSA_OK) {\n"
        .. "    return status;\n}"):format(text:pointer(picture), p.width, p.height, p.field_of_view.threshold,
          text:pointer(work))
    end)
  end)
end

-- A Gaussian from its middle on.
local function gaussian(sigma, radius)
  local list, sum = {}, 0
  for i = 0, radius do
    list[i + 1] = math.exp(-0.5 * (i / sigma) ^ 2)
    sum = sum + (i == 0 and 1 or 2) * list[i + 1]
  end
  for i = 1, #list do list[i] = list[i] / sum end
  return list
end

function Chain:average(picture)
  local p, K = self.p, self.K
  if not p.local_average then return picture end
  local sigma = p.local_average.sigma
  local radius = math.floor(RADIUS * sigma + 0.5)
  local out = self:buffer("averaged", self.room, nil, "u8")
  self:step("local_average", ("What is beside the local average, over %g pixels."):format(sigma), "frame",
    function(step, body)
      local w = self:part(step, "gaussian", gaussian(sigma, radius))
      local line = step:pool():take("line", kinds.local_average.room.line(p.width, 3, radius))
      local kernel = K:local_average { width = p.width, height = p.height, channels = 3, radius = radius }
      body:each({ variable = "row", to = p.height }, function(inner, row)
        inner:call(kernel, picture, out, line, w, row)
      end)
    end)
  return out
end

-- @return the picture, its channels
function Chain:equalise(picture)
  local p = self.p
  if not p.clahe then return picture, 3 end
  local tiles, green = p.clahe.tiles, (p.clahe.channel or "green") == "green"
  local area = ((p.width + tiles - 1) // tiles) * ((p.height + tiles - 1) // tiles)
  local limit = math.max(1, math.floor(p.clahe.clip * area / 256))
  local out = green and self:buffer("equalised", self.room // 3, nil, "u8") or picture
  self:step("clahe", ("Contrast-limited equalisation in %d x %d tiles%s."):format(tiles, tiles,
    green and " of green" or ""), "frame", function(step, body)
    local tables = step:pool():take("tables", tiles * tiles * 256, nil, "u8")
    body:c({ picture, tables, out }, {}, function(text)
      local lines = {}
      for c = green and 1 or 0, green and 1 or 2 do
        local from = text:pointer(picture + c)
        local size = ("%d, %d, 3, %d"):format(p.width, p.height, tiles)
        lines[#lines + 1] = ("msa_clahe_tables(%s, %s, %d, %s);"):format(from, size, limit, text:pointer(tables))
        lines[#lines + 1] = ("msa_clahe_apply(%s, %s, %s, %s, %d);"):format(from, size, text:pointer(tables),
          green and text:pointer(out) or from, green and 1 or 3)
      end
      return table.concat(lines, "\n")
    end)
  end)
  return out, green and 1 or 3
end

function Chain:cut(picture, channels)
  local p = self.p
  if not p.field_of_view and not (p.square and p.width ~= p.height) then return end
  self:step("cut", "The picture cut to its field of view" .. (p.square and ", in a square." or "."), "frame",
    function(step, body)
      step:parameter("const msa_box *box", "&box")
      step:parameter("msa_picture *shown", "&shown")
      body:c({ picture }, {}, function(text)
        return ("msa_cut(%s, %d, %d, box, %s, shown);"):format(text:pointer(picture), p.width, channels,
          p.square and "true" or "false")
      end)
    end)
end

local function facts_of(p)
  local words = { ("fundus, %d x %d %s %s"):format(p.width, p.height, p.format == "bayer" and p.pattern or "rgb",
    p.type) }
  for _, name in ipairs { "field_of_view", "square", "local_average", "clahe" } do
    if p[name] then words[#words + 1] = (name:gsub("_", " ")) end
  end
  return table.concat(words, ", ")
end

--- Lower a description that fundus.check gave.
-- @param K the board's kernels @return what lua/signal/front.lua says
function fundus.lower(p, K)
  local side = math.max(p.width, p.height)
  local self = setmetatable(chain.new(p, K, 1, { room = 3 * (p.square and side * side or p.width * p.height) }), Chain)
  local picture = self:buffer("developed", self.room, nil, "u8")
  self:develop(picture)
  self:field(picture)
  local shown, channels = self:equalise(self:average(picture))
  self:cut(shown, channels)
  self.picture_view = shown
  self.picture_of = { width = p.square and side or p.width, height = p.square and side or p.height,
    channels = channels, whole = { p.width, p.height } }
  self.line_bytes = samples.bytes(p.type, (p.format == "rgb" and 3 or 1) * p.width)
  self.line_is = p.format == "rgb" and "red, green, blue, a byte each" or samples.of[p.type].what
  self.align, self.facts, self.lines = samples.of[p.type].align, facts_of(p), p.height
  self.extras = { "msa_fundus" }
  return self
end

return fundus
