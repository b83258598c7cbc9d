-- SPDX-License-Identifier: Apache-2.0
-- What layers move, read off their steps: each thing once, and only what a cache of the board does not hold.

local spec = require "spec"
local describe, it, equal = spec.describe, spec.it, spec.equal
local costs, segment, steps = require "estimate.costs", require "lower.segment", require "lower.steps"

-- Kernels: what they do to their last argument; the others are read.
local READ, WRITE, UPDATE = { const = true }, { const = false, fresh = true }, { const = false }
local KERNELS = { reads = { READ, READ }, writes = { READ, WRITE }, updates = { READ, UPDATE } }

--- A build of so many bytes of L2 whose buffers are { name = { floats, first step, last step } }.
local function build(l2, buffers, slices)
  local by_name = {}
  for name, b in pairs(buffers) do by_name[name] = { bytes = 4 * b[1], first = b[2], last = b[3] } end
  local position = segment.new()
  position:vector("all", 320)
  return { board = { caches = { l2 = l2 } }, model = { depth = slices or 1, image_size = 10 },
    graph = { memory = { by_name = by_name }, click_tokens = 7 }, tables = { position = position },
    kernels = { signature = function(_, name) return KERNELS[name] end } }
end

--- A layer whose step calls: { { kernel, buffer name, trips }... }, each with the part "all" of its weights.
local function layer(number, calls, fields)
  fields = fields or {}
  local seg = segment.new { own = true }
  seg:vector("all", 160)
  if fields.private then seg:vector("own", fields.private) end
  local step, buffers = steps.new("layer", seg), {}
  if fields.position then step:parameter("const float *position", "position", 16) end
  step:stage("units", function(body)
    for _, call in ipairs(calls) do
      buffers[call[2]] = 4 * (call[4] or 200)
      local view = steps.buffer { name = call[2], type = "f32", bytes = buffers[call[2]], stride = 16 }
      body:each({ variable = "t", to = call[3] or 1, units = { name = "t" } }, function(inner)
        inner:call(call[1], step:part "all", view)
        if fields.private then inner:call("reads", step:part "own", step:part "all") end
        if fields.position then inner:call("reads", steps.argument("position", 16), step:part "all") end
      end)
    end
  end)
  local L = { step = number, segment = seg, lowered = step, buffers = buffers, shared = 4 * (fields.shared or 0),
    own = 4 * (fields.own or 0) }
  L.scratch = L.shared + (fields.cores or 1) * L.own
  if fields.image then step.returns = "msa_status" end
  return L
end

describe("bytes moved", function()
  it("are the weights of one bank, what is read and what is written, of larger buffers than half of L2", function()
    local b = build(1000, { x = { 200, 1, 3 }, small = { 125, 1, 3 } })
    local L = layer(2, { { "updates", "x" }, { "updates", "small", 1, 125 } })
    equal(costs.traffic(L, b), { weights = 640, again = 1280, read = 800, written = 800, spilled = 0 })
    equal(costs.bytes(L, b), 2240)
    equal(costs.traffic(layer(2, { { "updates", "x" } }, { private = 32 }), b).weights, 640 + 128)
    equal(costs.traffic(layer(2, { { "updates", "x" } }, { position = true }), b).weights, 640 + 1280)
  end)

  it("have weights again as often as calls read them", function()
    equal(costs.traffic(layer(2, { { "updates", "x", 5 } }), build(1000, { x = { 200, 1, 3 } })).again, 5 * 640)
  end)

  it("start and end with a buffer's life", function()
    local b = build(1000, { x = { 200, 1, 3 } }, 2)
    equal(costs.traffic(layer(1, { { "writes", "x" } }, { image = true }), b),
      { weights = 640, again = 640, read = 600, written = 800, spilled = 0 })
    equal(costs.traffic(layer(3, { { "updates", "x" } }), b), { weights = 640, again = 640, read = 800, written = 0,
      spilled = 0 })
  end)

  it("leave out writing what is only read, and reading what is only written", function()
    local b = build(100, { keys = { 200, 2, 5 } })
    equal(costs.traffic(layer(3, { { "reads", "keys" } }), b), { weights = 640, again = 640, read = 800, written = 0,
      spilled = 0 })
    equal(costs.traffic(layer(3, { { "writes", "keys" } }), b), { weights = 640, again = 640, read = 0, written = 800,
      spilled = 0 })
  end)

  it("have scratch that L2 does not hold twice", function()
    local b = build(1000, { x = { 10, 1, 1 } })
    local calls = { { "reads", "x", 1, 10 } }
    equal(costs.traffic(layer(1, calls, { shared = 250, own = 250 }), b).spilled, 0)
    equal(costs.traffic(layer(1, calls, { shared = 251, own = 16 }), b).spilled, 2008)
    equal(costs.traffic(layer(1, calls, { shared = 16, own = 251, cores = 3 }), b).spilled, 3 * 2008)
  end)

  it("count what is made ready for the decoder where it is made", function()
    local sys = spec.host "msagen.sys"
    if not sys then return end
    local compiler, tiny = require "compiler.compiler", require "tiny_model"
    local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-costs-")
    sys.cleanup(work)
    local device = tiny.device(work, "broad")
    device.board = "generic-c99"
    local made = compiler.schedule(device, "test")
    made.board = setmetatable({ caches = { l2 = 64 } }, { __index = made.board })
    local all, layers = {}, made.graph.fused
    for _, L in ipairs(layers) do all[L.kind] = all[L.kind] or { L = L, t = costs.traffic(L, made) } end
    local prepare, tokens, image = all.prepare, all.token_to_image, all.image_to_token
    local function parts(L, ...)
      local sum = 0
      for _, role in ipairs { ... } do
        for _, part in ipairs(L.segment.parts) do
          if part.role:match(role) then sum = sum + (part.bytes + 63) // 64 * 64 end
        end
      end
      return sum
    end
    local keys, queries = parts(tokens.L, "_k_proj", "_v_proj"), parts(image.L, "_q_proj")
    local position = made.tables.position:bytes(1)
    assert(keys > 0 and queries > 0)
    equal(prepare.t.weights, parts(all.dense_prompt.L, "no_mask") + position + keys + queries)
    equal(tokens.t.weights, parts(tokens.L, "") - keys, "positions and keys are ready")
    equal(image.t.weights, parts(image.L, "") - queries)
    local ready = made.graph.memory.by_name
    equal(prepare.t.written, ready.ready_keys.bytes + ready.ready_queries.bytes)
    equal(tokens.t.read, ready.ready_keys.bytes + ready.queries.bytes + ready.tokens.bytes, "not the keys")
  end)
end)
