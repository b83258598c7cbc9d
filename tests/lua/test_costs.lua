-- SPDX-License-Identifier: Apache-2.0
-- What layers move: each thing once, and only what a cache of the board does not hold.

local spec = require "spec"
local describe, it, equal = spec.describe, spec.it, spec.equal
local costs, segment = require "costs", require "segment"

local function weights(shared, private)
  local seg = segment.new { own = true }
  seg:vector("all", shared)
  if private then seg:vector("own", private) end
  return seg
end

--- A build of so many bytes of L2 whose buffers are { name = { floats, first step, last step } }.
local function build(l2, buffers, slices)
  local by_name = {}
  for name, b in pairs(buffers) do by_name[name] = { floats = b[1], first = b[2], last = b[3] } end
  return { board = { caches = { l2 = l2 } }, model = { depth = slices or 1, image_size = 10 }, graph = { memory = { by_name = by_name } }, tables = { position = weights(320) } }
end

local function layer(kind, step, fields)
  local L = { kind = kind, step = step, segment = weights(160, fields.private), buffers = {}, shared = 0, own = 0 }
  for key, value in pairs(fields) do L[key] = value end
  L.scratch = L.shared + (fields.cores or 1) * L.own
  return L
end

describe("bytes moved", function()
  it("are the weights of one bank, what is read and what is written, of larger buffers than half of L2", function()
    local b = build(1000, { x = { 200, 1, 3 }, small = { 125, 1, 3 } })
    equal(costs.traffic(layer("encoder_mlp", 2, { buffers = { x = 200, small = 125 } }), b), { weights = 640, read = 800, written = 800, spilled = 0 })
    equal(costs.bytes(layer("encoder_mlp", 2, { buffers = { x = 200, small = 125 } }), b), 2240)
    equal(costs.traffic(layer("encoder_mlp", 2, { private = 32 }), b).weights, 640 + 128)
    equal(costs.traffic(layer("encoder_mlp", 2, { position = true }), b).weights, 640 + 1280)
  end)

  it("start and end with a buffer's life", function()
    local b = build(1000, { x = { 200, 1, 3 } }, 2)
    equal(costs.traffic(layer("patch_embed", 1, { buffers = { x = 200 }, image = true }), b), { weights = 640, read = 600, written = 800, spilled = 0 })
    equal(costs.traffic(layer("neck", 3, { buffers = { x = 200 } }), b), { weights = 640, read = 800, written = 0, spilled = 0 })
  end)

  it("leave out writing what is only read, and other slices than the decoder's", function()
    local b = build(100, { keys = { 200, 2, 5 }, embedding = { 400, 1, 5 } }, 2)
    equal(costs.traffic(layer("token_to_image", 3, { buffers = { keys = 200 } }), b), { weights = 640, read = 800, written = 0, spilled = 0 })
    equal(costs.traffic(layer("image_to_token", 3, { buffers = { keys = 200 } }), b), { weights = 640, read = 800, written = 800, spilled = 0 })
    equal(costs.traffic(layer("dense_prompt", 2, { buffers = { keys = 200, embedding = 400 } }), b), { weights = 640, read = 800, written = 800, spilled = 0 })
  end)

  it("have scratch that L2 does not hold twice", function()
    local b = build(1000, {})
    equal(costs.traffic(layer("neck", 1, { shared = 250, own = 250 }), b).spilled, 0)
    equal(costs.traffic(layer("neck", 1, { shared = 251, own = 16 }), b).spilled, 2008)
    equal(costs.traffic(layer("neck", 1, { shared = 16, own = 251, cores = 3 }), b).spilled, 3 * 2008)
  end)

  it("count what is made ready for the decoder where it is made", function()
    local b = build(100, { keys = { 200, 2, 6 }, embedding = { 400, 1, 6 }, ready_keys = { 600, 2, 6 }, ready_queries = { 320, 2, 6 } }, 2)
    local function linear(...)
      local seg = segment.new()
      for _, role in ipairs { "no_mask", "q", "q_bias", "k", "k_bias", "v", "v_bias", ... } do seg:vector(role, 16) end
      return seg
    end
    local dense = layer("dense_prompt", 3, { segment = linear(), buffers = { keys = 200, embedding = 400 } })
    local tokens = layer("token_to_image", 4, { segment = linear(), position = true, shared = 400, buffers = { keys = 200, ready_keys = 600 }, ready = { buffer = "ready_keys", floats = 300 } })
    local image = layer("image_to_token", 5, { segment = linear(), position = true, buffers = { keys = 200, ready_queries = 320 }, ready = { buffer = "ready_queries", floats = 160 } })
    local prepare = layer("prepare", 2, { segment = segment.new(), buffers = { ready_keys = 600, ready_queries = 320 }, uses = { dense, tokens, image } })
    -- Weights: "no mask", positions, keys and values of the one, queries of the other. The image tokens of each slice go out and come back.
    equal(costs.traffic(prepare, b), { weights = 64 + 1280 + 256 + 128, read = 1600, written = 3680, spilled = 2 * 2 * 800 })
    equal(costs.traffic(dense, b), { weights = 448, read = 800, written = 800, spilled = 0 })
    equal(costs.traffic(tokens, b), { weights = 448 - 256, read = 1200, written = 0, spilled = 800 })
    equal(costs.traffic(image, b), { weights = 448 - 128, read = 800 + 640, written = 800, spilled = 0 })
    tokens.ready.buffer, tokens.buffers.ready_keys = nil, nil
    equal(costs.traffic(tokens, b), { weights = 448 + 1280, read = 800, written = 0, spilled = 3200 })
  end)
end)
