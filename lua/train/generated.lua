-- SPDX-License-Identifier: Apache-2.0
--- A trainer by generated code: the test bench of a training build (runtime/runner/msa_train_run.c), which is talked
-- with through pipes. What a trainer is, lua/train/interpreted.lua says.

local boards = require "target.boards"
local built = require "train.built"
local closed = require "support.closed"
local compile = require "run.compile"
local fail = require "support.fail"
local folder = require "run.folder"
local process = require "msagen.process"
local sys = require "msagen.sys"
local tensor = require "msagen.tensor"

local Trainer = {}
Trainer.__index = Trainer

local generated = {}

local LOSSES = { bce = 0, dicece = 1, sam = 2 }
local OPTIMISERS = { adam = 0, adamw = 1 }
local VALUES = { parameters = 0, gradient = 1, first = 2, second = 3 }

-- Statuses that are the data's, not the program's (runtime/msa.h).
local STATUS = { [13] = "nan" }

local function words(...) return string.pack("<" .. ("I4"):rep(select("#", ...)), ...) end
local function doubles(...) return string.pack("<" .. ("d"):rep(select("#", ...)), ...) end

-- What the program, or its emulator, said last.
local function last_words(self)
  local ok, text = pcall(sys.read_file, self.errors)
  return ok and text:match "([^\n]+)\n*$" or "it ended"
end

local function ask(self, ...)
  for _, part in ipairs { ... } do
    if not self.process:write(part) then fail("%s: expected answers, found %s", self.dir, last_words(self)) end
  end
end

local function answer(self, count)
  local bytes = self.process:read(count)
  if not bytes then fail("%s: expected answers, found %s", self.dir, last_words(self)) end
  return bytes
end

local function status(self, what)
  local code = string.unpack("<I4", answer(self, 4))
  if code == 0 then return end
  fail("%s: expected MSA_OK, found %s", what, self.texts[code] or STATUS[code] or "status " .. code)
end

local function floats(self, shape)
  local count = 1
  for _, n in ipairs(shape) do count = count * n end
  return tensor.frombytes(answer(self, 4 * count), "f32", shape)
end

--- The texts of statuses, as the runtime has them.
local function texts_of()
  local list, header = {}, sys.read_file(msagen.datadir .. "/runtime/msa.h")
  for name, code in header:gmatch "(MSA_E_[%u_]+) = (%d+)" do list[math.tointeger(tonumber(code))] = name end
  return list
end

-- ---- forward ----

function Trainer:encode(picture)
  local s = picture.shape
  local first = #s == 4 and 1 or 0
  ask(self, "E\0\0\0", words(s[first + 2], s[first + 1], first == 1 and s[1] or 1), picture:tobytes())
  status(self, "encode")
end

--- Of builds whose encoder does not train: the embedding [depth,out,g,g] of what was encoded, and an embedding in place
-- of a picture of that size.
function Trainer:embedding()
  ask(self, "O\0\0\0")
  status(self, "embedding")
  local m = self.model
  return floats(self, { m.depth, m.out, m.grid, m.grid })
end

function Trainer:set_embedding(embedding, width, height)
  ask(self, "V\0\0\0", words(width, height), embedding:tobytes())
  status(self, "embedding")
end

function Trainer:decode(prompt)
  local width = self.model.projection and self.model.projection.shape[2]
  if prompt.text and prompt.text:numel() ~= width then
    fail("decode: text: expected %s, found %d", width and ("an embedding of %d numbers"):format(width)
      or "a network with a projection of texts", prompt.text:numel())
  end
  local points, labels = prompt.points or {}, {}
  local list = {}
  for i, p in ipairs(points) do
    list[i] = string.pack("<ff", p[1], p[2])
    labels[i] = string.pack("<i4", p[3])
  end
  ask(self, "D\0\0\0", words(prompt.slice or 0, #points, prompt.box and 1 or 0, prompt.mask and 1 or 0,
    prompt.multimask and 1 or 0, prompt.text and 1 or 0), table.concat(list), table.concat(labels),
    prompt.box and string.pack("<ffff", table.unpack(prompt.box)) or "", prompt.mask and prompt.mask:tobytes() or "",
    prompt.text and prompt.text:tobytes() or "")
  status(self, "decode")
  local masks, side = string.unpack("<I4", answer(self, 4)), 4 * self.model.grid
  return floats(self, { masks, side, side }), floats(self, { masks })
end

--- @return { loss, chosen: mask from 0, masks = list of { cross, dice, iou, overlap, total } }
function Trainer:backward(of)
  local rule, target = of.loss, of.target
  closed.member(rule.kind, closed.sorted(LOSSES), "loss")
  local s, real = target.shape, target.dtype ~= "u8"
  ask(self, "B\0\0\0", words(LOSSES[rule.kind], rule.cross_entropy == "binary" and 1 or 0),
    doubles(rule.pos_weight or 1, rule.focal or 0, rule.dice or 0, rule.iou or 0, of.weight or 1),
    words(real and 1 or 0, s[1], s[2]), target:tobytes())
  status(self, "loss")
  local value, chosen, count = string.unpack("<dI4I4", answer(self, 16))
  local masks = {}
  for i = 1, count do
    local cross, dice, iou, overlap, total = string.unpack("<ddddd", answer(self, 40))
    masks[i] = { cross = cross, dice = dice, iou = iou, overlap = overlap, total = total }
  end
  return { loss = value, chosen = chosen, masks = masks }
end

function Trainer:image_end()
  ask(self, "I\0\0\0")
  status(self, "gradient")
end

-- ---- steps and values ----

local function optimiser_of(rule)
  return doubles(rule.lr, rule.betas[1], rule.betas[2], rule.eps, rule.decay or 0, rule.clip or 0)
end

function Trainer:update(rule)
  self.rule = rule
  ask(self, "U\0\0\0", words(OPTIMISERS[rule.kind], rule.decay_on == "matrices" and 1 or 0, rule.images or 0),
    optimiser_of(rule))
  local code = string.unpack("<I4", answer(self, 4))
  local norm = string.unpack("<f", answer(self, 4))
  if code ~= 0 then fail("update: expected MSA_OK, found %s", self.texts[code] or "status " .. code) end
  self.step = self.step + 1
  return { norm = norm }
end

function Trainer:values(kind)
  closed.member(kind, closed.sorted(VALUES), "values")
  ask(self, "G\0\0\0", words(VALUES[kind]))
  status(self, "values")
  return floats(self, { self.elements })
end

function Trainer:set(kind, value)
  if kind == "step" then
    self.step = value
    local rule = self.rule or { kind = "adam", lr = 0, betas = { 0.9, 0.999 }, eps = 1e-8 }
    ask(self, "T\0\0\0", words(value, OPTIMISERS[rule.kind]), optimiser_of(rule))
    return status(self, "steps")
  end
  ask(self, "S\0\0\0", words(VALUES[kind], value and 1 or 0), value and value:tobytes() or "")
  status(self, "values")
end

--- Floats of the arena, for tests.
function Trainer:peek(first, count)
  ask(self, "P\0\0\0", words(first, count))
  return floats(self, { count })
end

--- End the program.
function Trainer:close()
  self.process:write "Q\0\0\0"
  return self.process:close()
end

-- Refuse what nothing here can run.
local function runnable(board)
  if not board.hosted then fail("--board: expected a board with an operating system, found %s", board.name) end
  if boards.native(board) or board.emulator then return end
  fail("--board: expected a board with an emulator, or one of this CPU, found %s", board.name)
end

-- A folder that is removed at the end.
local function temporary()
  local path = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "msagen-train-")
  sys.cleanup(path)
  return path
end

--- Compile a training network into a folder, and start it.
-- @param options built.lower's; dir: the folder, nil: a temporary one; jobs of make; cc: another compiler, cflags;
-- compiled: it is there, made by another process of the same options; errors: a file for what it says
function generated.of(model, names, options)
  runnable(options.board and boards.named(options.board, "--board") or boards.best())
  return generated.start(built.lower(model, names, options), options, Trainer)
end

--- Compile a build, and start it. @param options of's @param class the class of the trainer, whose metatable it gets
function generated.start(build, options, class)
  local dir = options.dir or temporary() .. "/build"
  if not options.compiled then
    built.write(build, dir, { progress = options.progress })
    compile(dir, options)
  end
  local made = build.made
  local elements, parameters = 0, {}
  for i, one in ipairs(made.trained.list) do
    parameters[i] = { name = one.name, shape = one.shape, offset = elements, count = one.rows * one.width }
    elements = elements + one.rows * one.width
  end
  local board = build.board
  local errors, at = options.errors or dir .. "/.msagen-errors", dir .. "/"
  local start = folder.command({ emulator = not boards.native(board) and board.emulator or nil },
    { at .. built.PROGRAM, at .. built.WEIGHTS })
  start.stderr = errors
  return setmetatable({ model = build.model, parameters = parameters, elements = elements, without = build.net.without,
    step = 0, dir = dir, errors = errors, texts = texts_of(), build = build, process = process.start(start) },
    class)
end

--- What other trainers by generated code are made of (lua/train/generated_passes.lua).
generated.parts = { Trainer = Trainer, ask = ask, answer = answer, status = status, floats = floats, words = words,
  doubles = doubles, runnable = runnable }

return generated
