-- SPDX-License-Identifier: Apache-2.0
--- Steps: what a layer does, as data. A step is a list of stages, a stage a body of loops around calls of kernels on
-- views; lua/emit/print.lua writes the C, lua/schedule/cores.lua parts loops among cores.
--
-- A storage is memory of one type of elements (lua/graph/types.lua) that has a name in C:
--   buffer    of the arena, between layers            own     a core's scratch, for one stage or proc
--   shared    scratch of all cores, for the step      part    weights of the step's segment
--   argument  a pointer that the function is given    local   a pointer that its body makes
-- A view is a storage at a place (lua/lower/index.lua), in its elements. Rows are storage.stride elements apart.
-- Nodes of a body:
--   call    { name, arguments }       a kernel or a proc; arguments are views and places
--   each    { variable, from, to, by, body, counted?, units? }  counted: while below `count`, too; units: cores part
--           them: { cost = of one, or function(i), inner = parts of each, first, last = variables of a run of them,
--           apart = each reads weights of its own }
--   when    { condition, body, other? }   let { variable, place }   choose { view, condition, a, b }
--   c       { views, work, text }: calls of the runtime
--   copy    { to, from, count }       zero { view, count }           assign { to, from }: one element; count: of them
-- A proc is a body of its own with parameters: equal ones are one C function.

local closed = require "support.closed"
local index = require "lower.index"
local types = require "graph.types"

local STORAGE = { "argument", "buffer", "local", "own", "part", "shared" }
local WHO = { "all", "units", "zero" }

local steps = {}

-- ---- storages and views ----

local View = {}
View.__index = View
View.__add = function(view, by)
  return setmetatable({ storage = view.storage, at = view.at + by, rows = view.rows, stride = view.stride }, View)
end

--- A view of a storage at a place.
local function view_of(storage, at) return setmetatable({ storage = storage, at = at or 0 }, View) end

--- Elements from a row to the next.
function View:ld() return self.stride or self.storage.stride end

--- The same memory with rows so many elements apart.
function View:with_rows(stride)
  return setmetatable({ storage = self.storage, at = self.at, rows = self.rows, stride = stride }, View)
end

--- Row `i`. What cores part by its rows needs no barrier between them.
function View:row(i)
  return setmetatable({ storage = self.storage, at = self.at + i * self:ld(), rows = i, stride = self.stride }, View)
end

--- A place that is row i's alone, whatever else is between rows.
function View:of_row(i)
  return setmetatable({ storage = self.storage, at = self.at, rows = i, stride = self.stride }, View)
end

local function storage(kind, name, fields)
  local made = { kind = closed.member(kind, STORAGE, "steps: storage") and kind, name = name, type = types.BASE }
  for key, value in pairs(fields or {}) do made[key] = value end
  return made
end

--- A place in memory that the function is given. @param stride of its rows, in elements
function steps.argument(name, stride) return view_of(storage("argument", name, { stride = stride })) end

--- A buffer of the arena. @param made { name, type, bytes, stride }: lua/schedule/buffers.lua's
function steps.buffer(made)
  return view_of(storage("buffer", made.name, { type = made.type, bytes = made.bytes, stride = made.stride }))
end

-- ---- scratch ----

local Pool = {}
Pool.__index = Pool

--- Scratch of so many elements. @param type_ of them, the base type unless said @return its view
function Pool:take(name, count, stride, type_)
  if self.names[name] then error("steps: scratch of one name twice: " .. name) end
  self.names[name] = true
  local made = storage(self.kind, name, { type = type_ or types.BASE, stride = stride, offset = self.bytes })
  self.bytes = self.bytes + types.lines(types.bytes(made.type, count))
  return view_of(made)
end

--- The same memory with elements of another type. @param name of it @param stride of its rows, in such elements
function Pool:alias(view, name, stride, type_)
  if self.names[name] then error("steps: scratch of one name twice: " .. name) end
  self.names[name] = true
  return view_of(storage(view.storage.kind, name, { type = type_, stride = stride, offset = view.storage.offset,
    over = view.storage }))
end

--- Scratch that each call may write over: as much as any of those that ask for it has.
function Pool:room(bytes)
  if not self.room_view then
    local name, count = "room", 1
    while self.names[name] do
      count = count + 1
      name = "room_" .. count
    end
    self.names[name] = true
    self.room_view = view_of(storage(self.kind, name, { type = "i8", room = 0 }))
  end
  local made = self.room_view.storage
  made.room = math.max(made.room, bytes)
  return self.room_view
end

--- Nothing more is taken: what is for any call lies behind the rest.
function Pool:close()
  local made = self.room_view and self.room_view.storage
  if not made or made.offset then return end
  made.offset, self.bytes = self.bytes, self.bytes + types.lines(made.room)
end

-- @param names set of those that the function has already
local function new_pool(kind, names) return setmetatable({ kind = kind, bytes = 0, names = names }, Pool) end

-- ---- bodies ----

local Body = {}
Body.__index = Body

-- @param outer the body that it is in, or nil. `ranges`: the lowest and the highest value of variables
local function new_body(outer)
  return setmetatable({ ranges = setmetatable({}, { __index = outer and outer.ranges }) }, Body)
end

local function put(body, node)
  body[#body + 1] = node
  return node
end

--- Call a kernel by its name in C.
function Body:call(name, ...) put(self, { node = "call", name = name, arguments = { ... } }) end

--- A loop. @param fields variable and to, then from (0), by (1), counted, units; @param build function(body, variable)
function Body:each(fields, build)
  local node = put(self, { node = "each", variable = fields.variable, from = fields.from or 0, to = fields.to,
    by = fields.by or 1, counted = fields.counted or false, units = fields.units or false, body = new_body(self) })
  local low, last = index.range(node.from, self.ranges), select(2, index.range(node.to, self.ranges))
  node.body.ranges[node.variable] = low and last and { low, low + (last - 1 - low) // node.by * node.by } or false
  local inner = node.units and node.units.inner
  build(node.body, index.variable(node.variable), inner and index.variable(node.units.first),
    inner and index.variable(node.units.last))
  return node
end

--- C of the runtime's, which no kernel is. @param views that it uses @param work { pixels = that it makes } @param text
-- function(printer's text) -> lines
function Body:c(views, work, text) put(self, { node = "c", views = views, work = work, text = text }) end

-- Whether { place, operator, place } holds always, never (false), or sometimes (nil).
local function always(one, ranges)
  local a, b = index.range(one[1], ranges)
  local c, d = index.range(one[3], ranges)
  if not a or not c then return nil end
  if one[2] == ">=" then a, b, c, d = c, d, a, b end -- a <= c
  local edge = one[2] == "<" and 1 or 0
  if b + edge <= c then return true end
  if a + edge > d then return false end
end

--- What is done where a condition holds, C or a list of { place, <, <= or >=, place }, and what is done else. What
-- holds always or never is not asked.
-- @param share how often the first holds, where that is known (1)
function Body:when(condition, build, other, share)
  if type(condition) == "table" then
    local open = {}
    for _, one in ipairs(condition) do
      local holds = always(one, self.ranges)
      if holds == false then
        if other then other(self) end
        return
      end
      if holds == nil then open[#open + 1] = one end
    end
    if #open == 0 then return build(self) end
    condition = open
  end
  local node = put(self, { node = "when", condition = condition, body = new_body(self), share = share or 1 })
  build(node.body)
  if other then
    node.other = new_body(self)
    other(node.other)
  end
end

--- A name for a place. @return the variable
function Body:let(variable, place)
  if math.type(place) == "integer" then return place end
  put(self, { node = "let", variable = variable, place = place })
  local low, high = index.range(place, self.ranges)
  self.ranges[variable] = low and { low, high } or false
  return index.variable(variable)
end

--- A pointer that is one of two. @return its view
function Body:choose(name, condition, a, b)
  local made = view_of(storage("local", name, { type = a.storage.type, stride = a.storage.stride,
    of = { a.storage, b.storage } }))
  put(self, { node = "choose", view = made, condition = condition, a = a, b = b })
  return made
end

function Body:copy(to, from, count) put(self, { node = "copy", to = to, from = from, count = count }) end
function Body:zero(view, count) put(self, { node = "zero", view = view, count = count }) end
function Body:assign(to, from) put(self, { node = "assign", to = to, from = from }) end

--- Call a proc. @param proc what step:proc gave @param ... views and places for its parameters, in their order
function Body:run(proc, ...) put(self, { node = "call", proc = proc, arguments = { ... } }) end

-- ---- procs ----

local Proc = {}
Proc.__index = Proc

--- A parameter: a pointer. @param like a view, whose type and rows' stride it has @return the view that the body uses
function Proc:pointer(name, like)
  local made = storage("argument", name, { type = like.storage.type, stride = like.storage.stride })
  self.parameters[#self.parameters + 1] = { name = name, storage = made }
  return view_of(made)
end

--- A parameter: a number.
function Proc:number(name)
  self.parameters[#self.parameters + 1] = { name = name }
  return index.variable(name)
end

-- ---- steps ----

local Step = {}
Step.__index = Step

--- @param name of the layer @param segment of its weights (lua/lower/segment.lua)
function steps.new(name, segment)
  local names = {}
  return setmetatable({ name = name, segment = segment, stages = {}, procs = {}, parameters = {}, names = names,
    pools = {}, part_views = {}, numbers = {}, shared = new_pool("shared", names), loop = false }, Step)
end

--- Scratch of a core for a stage, or for a proc: the step has as much as its largest.
function Step:pool(of_proc)
  local pool = new_pool("own", of_proc and {} or self.names)
  self.pools[#self.pools + 1] = pool
  return pool
end

--- Nothing more of scratch is taken.
function Step:close()
  self.shared:close()
  for _, pool in ipairs(self.pools) do pool:close() end
end

--- Bytes of a core's scratch.
function Step:own()
  local most = 0
  for _, pool in ipairs(self.pools) do most = math.max(most, pool.bytes) end
  return most
end

--- A part of the weights by its role. Where they come in pieces, a part is at a place in its own: `held` for the piece
-- that stays, `w` for the one that is there now; pieces of a loop are alike, so the first one's roles stand for all.
function Step:part(role)
  local made = self.part_views[role]
  if not made then
    local at = self.segment.at[role] or error(("steps: %s: no part %s"):format(self.name, role))
    local piece = self.segment:piece_of(role)
    made = view_of(storage("part", role, { type = self.segment:type_of(role), segment = self.segment,
      base = piece and piece.held and "held" or "w",
      private = type(at) ~= "number", inside = piece and at - piece.first }))
    self.part_views[role] = made
  end
  return made
end

--- The same of weights that all steps share. @param stride of its rows, in elements, where it has rows
function steps.part_of(segment, role, stride)
  segment.views = segment.views or {}
  local made = segment.views[role]
  if not made then
    made = view_of(storage("part", role, { type = segment:type_of(role), segment = segment, base = "w", private = false,
      stride = stride }))
    segment.views[role] = made
  end
  return made
end

--- The next piece of the weights is waited for, which all cores do together. @param again false where it is the first
-- one: it is there from the beginning, and a loop around waits from its second trip on
function Step:fetch()
  local list = self.loop and self.loop.stages or self.stages
  list[#list + 1] = { fetch = true, first = not self.fetched }
  self.fetched = true
end

--- The function's own parameter, beside arena, weights and core. @param declaration C, as "const float *mask"; its last
-- word is its name @param argument C of what the phase's function gives, or function(places of buffers) that gives it
function Step:parameter(declaration, argument, stride)
  self.parameters[#self.parameters + 1] = { declaration = declaration, argument = argument }
  return steps.argument(declaration:match "([%w_]+)$", stride)
end

--- A number that the phase's function has under that name. @return the variable
function Step:number(name)
  if not self.numbers[name] then
    self.numbers[#self.numbers + 1], self.numbers[name] = name, true
  end
  return index.variable(name)
end

--- A stage. @param who "units": loops with units are parted among cores; "zero": core 0 does it; "all": each core does
-- it for itself
function Step:stage(who, build)
  closed.member(who, WHO, "steps: stage")
  local stage = { who = who, body = new_body() }
  local list = self.loop and self.loop.stages or self.stages
  list[#list + 1] = stage
  build(stage.body)
  return stage
end

--- A loop around stages. @param build function(variable)
function Step:around(variable, to, build)
  if to == 1 then return build(0) end
  self.loop = { variable = variable, to = to, stages = {} }
  self.stages[#self.stages + 1] = self.loop
  build(index.variable(variable))
  self.loop = false
end

--- A proc. @param base its name in C, which tells its shape @param what a sentence @param build function(proc, body)
function Step:proc(base, what, build)
  local proc = setmetatable({ base = base, what = what, parameters = {}, body = new_body(), step = self }, Proc)
  build(proc, proc.body)
  self.procs[#self.procs + 1] = proc
  return proc
end

--- The stages in order, those of loops among them. @return an iterator of stage and the loop that it is in, or nil
function Step:each_stage()
  local list = {}
  for _, stage in ipairs(self.stages) do
    for _, one in ipairs(stage.stages or { stage }) do
      if not one.fetch then list[#list + 1] = { one, stage.stages and stage } end
    end
  end
  local i = 0
  return function()
    i = i + 1
    if list[i] then return table.unpack(list[i]) end
  end
end

--- Whether one core does all of it. Where weights come in pieces all cores wait for them.
function Step:alone()
  if self.segment.pieces then return false end
  for stage in self:each_stage() do
    if stage.who ~= "zero" then return false end
  end
  return true
end

steps.View, steps.view = View, view_of

return steps
