-- SPDX-License-Identifier: Apache-2.0
--- Front ends: what stands before a network, or alone, from a device's own samples to a picture. A kind of front end is
-- a module lua/signal/KIND.lua:
--   fields  of its description (lua/support/schema.lua)
--   check   function(description, where) -> a copy with defaults, or a refusal
--   lower   function(it, kernels, where) -> { steps = list of { name, what, per = "batch" of lines or "frame", step },
--           segment, buffers = list of { name, type, bytes, stride, place }, places = bytes by name, views by name,
--           lines, line_bytes, line_is, align, W = lines at a time, facts = a phrase, depth = points of a line of the
--           frame or nil, ld of the frame, shown = the view of the frame that is shown, picture_of = { width, height,
--           channels, whole = { width, height } of what is cut, or nil } or nil, picture_view, envelope = { buffer,
--           apart, from } or nil, extras = files of the runtime }

local closed = require "support.closed"
local fail = require "support.fail"
local print = require "emit.print"
local split = require "schedule.split"
local types = require "graph.types"

local front = {}

local KINDS = { "fundus", "ultrasound" }

--- Check a description. @return it with defaults, a copy
function front.check(description, where)
  if type(description) ~= "table" then fail("%s: expected a table, found %s", where, type(description)) end
  local kind = closed.member(description.kind, KINDS, where .. ": kind")
  return require("signal." .. kind).check(description, where)
end

-- Rows of a grey picture as red, green, blue, for a network that so many cores share (MSA_IMAGE_WORK_BYTES).
local function add_row(self, cores)
  local bytes = types.lines(6 * self.picture_of.width * cores)
  self.buffers[#self.buffers + 1] = { name = "row", type = "u8", bytes = bytes, place = "row" }
  self.places.row = bytes
end

--- Lower a checked description and give its memory places behind `at` bytes of the arena.
-- @param cores that share the network behind it, or nil where there is none
-- @return what a kind's lower gives, and `bytes` of the arena, `at` = buffer -> bytes from its start
function front.lower(description, K, where, at, cores)
  local self = require("signal." .. description.kind).lower(description, K, where)
  if cores and not self.picture_of then
    fail("%s: image: expected a picture for the network, found none", where)
  end
  if cores and self.picture_of.channels == 1 then add_row(self, cores) end
  local begin, places = {}, closed.sorted(self.places)
  self.first = at or 0
  local next_at = self.first
  for _, name in ipairs(places) do
    begin[name], next_at = next_at, next_at + self.places[name]
  end
  self.at = {}
  for _, buffer in ipairs(self.buffers) do self.at[buffer.name] = begin[buffer.place] end
  self.own_at, self.own = next_at, 0
  for _, one in ipairs(self.steps) do self.own = math.max(self.own, types.lines(one.step:own())) end
  self.bytes = next_at + self.own - self.first
  return self
end

--- Steps and buffers as a manifest has them.
function front.facts(self)
  local list, buffers = {}, {}
  for i, one in ipairs(self.steps) do
    list[i] = { number = i - 1, name = one.name, phase = "front", per = one.per, what = one.what }
  end
  for i, one in ipairs(self.buffers) do
    buffers[i] = { name = one.name, offset = self.at[one.name], bytes = one.bytes }
  end
  return list, buffers
end

--- What templates see of a lowered front end whose tables lie `weights_at` bytes from the weights' start.
function front.environment(self, K, weights_at)
  local printer, prototypes = print.new(K, split.loops(1)), {}
  local places = { at = self.at, shared = 0, own = print.place("arena", self.own_at) }
  for i, one in ipairs(self.steps) do
    local prototype
    one.text, prototype, one.arguments = printer:step(one.step, places)
    one.number = i - 1
    prototypes[i] = prototype .. ";"
  end
  local shown = self.shown and self.shown.storage.name
  local env = { steps = self.steps, facts = self.facts, lines = self.lines, line_bytes = self.line_bytes,
    line_is = self.line_is, align = self.align, lanes = self.W, depth = self.depth or false,
    frame_at = self.at.frame or false, frame_stride = self.ld, shown_at = shown and self.at[shown],
    grey = self.depth ~= nil, picture = self.picture_of or false,
    picture_at = self.picture_view and self.at[self.picture_view.storage.name], row_at = self.at.row or false,
    weights_at = weights_at, prototypes = prototypes, envelope = false, per_frame = false,
    persists = self.at.kept ~= nil, extras = self.extras or {}, boxes = false, returns = false }
  for i, one in ipairs(self.steps) do
    env.per_frame = env.per_frame or one.per == "frame"
    env.returns = env.returns or one.step.returns ~= nil
    env.boxes = env.boxes or one.name == "field" or one.name == "cut"
    local name = one.name
    if self.envelope and (self.envelope.buffer == "analytic" and name == "analytic"
      or self.envelope.buffer == "x" and name == "samples") then
      env.envelope = { step = i - 1, from = self.envelope.from, apart = self.envelope.apart,
        at = self.at[self.envelope.buffer] }
    end
  end
  return env
end

return front
