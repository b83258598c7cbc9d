-- SPDX-License-Identifier: Apache-2.0
-- Plans: the sizes that a build has, times that follow from rates, a place for each thing, and a refusal that knows the
-- largest resolution.

local spec = require "spec"
local describe, it, equal, refuses, holds = spec.describe, spec.it, spec.equal, spec.refuses, spec.holds
local sys, json = spec.host "msagen.sys", spec.host "msagen.json"
if not (sys and json) then return end
local boards, code_size, compiler, placement, plan, predict = require "target.boards", require "estimate.code_size",
  require "compiler.compiler", require "estimate.placement", require "estimate.plan", require "estimate.predict"
local tiny = require "tiny_model"
local tier = require "tier"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-plan-")
sys.cleanup(work)

local KIB = 1024
local SLOW = { fma = 1e9, bandwidth = 1e9, measured = false }

local function device(name, more)
  local d = tiny.device(work, name)
  d.board = "generic-c99"
  for key, value in pairs(more or {}) do d[key] = value end
  return d
end

--- Body with a board of its own: generic-c99 but for what `fields` says.
local function with_board(fields, body)
  local named = boards.named
  local board = {}
  for key, value in pairs(named "generic-c99") do board[key] = value end
  for key, value in pairs(fields) do board[key] = value end
  boards.named = function(name) return name == board.name and board or named(name) end
  local ok, problem = pcall(body, board)
  boards.named = named
  if not ok then error(problem, 0) end
end

local function memory(name, bytes, holds_, more)
  local m = { name = name, kind = "ram", bytes = bytes, holds = holds_, bandwidth = 100e6 }
  for key, value in pairs(more or {}) do m[key] = value end
  return m
end

local function names(places)
  local list = {}
  for thing, m in pairs(places) do list[thing] = m.name end
  return list
end

describe("places", function()
  local bytes = { arena = 3000, weights = 5000, code = 1000 }
  it("are the first memories that may hold a thing and have room", function()
    equal(names(placement.of(bytes, { memory("a", 3500, { "arena", "code" }),
      memory("b", 6000, { "code", "weights" }) })), { arena = "a", weights = "b", code = "b" })
    equal(names(placement.of(bytes, { memory("a", 4000, { "arena", "code" }), memory("b", 6000, { "weights" }) })),
      { arena = "a", weights = "b", code = "a" })
    equal(names(placement.of(bytes, { memory("all", 9000, { "arena", "weights", "code" }) })),
      { arena = "all", weights = "all", code = "all" })
  end)
  it("make way for others", function() -- the arena fits the first one, but then the weights fit none
    equal(names(placement.of(bytes, { memory("a", 5500, { "arena", "weights" }),
      memory("b", 4500, { "arena", "code" }) })), { arena = "b", weights = "a", code = "b" })
  end)
  it("leave what is reserved", function()
    local memories = { memory("all", 9000, { "arena", "weights", "code" }, { reserved = 1 }) }
    local places, lacking = placement.of(bytes, memories)
    equal({ places, lacking }, { nil, "code" })
    memories[1].reserved = nil
    assert(placement.of(bytes, memories))
  end)
  it("leave the stack beside the arena, which what is reserved includes", function()
    local memories = { memory("small", 3999, { "arena" }), memory("large", 4000, { "arena" }, { reserved = 400 }),
      memory("rest", 6000, { "weights", "code" }) }
    equal(placement.of(bytes, memories, 1000).arena.name, "large")
    equal(placement.of(bytes, memories, 999).arena.name, "small")
    equal(select(2, placement.of(bytes, memories, 1001)), "arena")
  end)
  it("say what has none", function()
    equal(select(2, placement.of(bytes, { memory("a", 2999, { "arena" }), memory("b", 9000, { "weights", "code" }) })),
      "arena")
    equal(select(2, placement.of(bytes, { memory("a", 3000, { "arena" }), memory("b", 4999, { "weights", "code" }) })),
      "weights")
    equal(select(2, placement.of(bytes, {})), "arena")
  end)
end)

describe("a plan", function()
  local cases = { plain = {}, adapted = { depth = 3 }, late = {}, wide = {} }
  it("has the sizes of the build", function()
    for name, more in pairs(cases) do
      local d = device(name, more)
      local p = plan.make(d, "test", SLOW)
      tiny.build(d, work .. "/" .. name)
      local m = json.decode(sys.read_file(work .. "/" .. name .. "/manifest.json"), "manifest.json")
      equal({ p.bytes.arena, p.bound, p.bytes.weights }, { m.arena_bytes, m.arena_bound_bytes, m.weights_bytes }, name)
      equal({ p.model.image_size, p.model.depth, p.board.name }, { m.input_size, m.depth, m.board }, name)
    end
  end)

  it("has them with banks, too", function()
    local d = device("adapted", { depth = 3 }) -- with nothing in common
    require "msagen.synth".write(work .. "/other.safetensors",
      require "networks.synth".tensors(tiny.shapes.adapted.shape, "msa-paper"), 8)
    d.banks = { { name = "other", checkpoint = work .. "/other.safetensors" } }
    local p = plan.make(d, "test", SLOW)
    tiny.build(d, work .. "/banks")
    local m = json.decode(sys.read_file(work .. "/banks/manifest.json"), "manifest.json")
    equal({ p.bytes.arena, p.bytes.weights }, { m.arena_bytes, m.weights_bytes })
  end)

  it("has them with streamed weights, which lie in no memory, and says what the storage must give", function()
    for _, limit in ipairs { false, 60000 } do
      local d = device("adapted", { weights = "stream", stream_buffer = limit or nil })
      local p = plan.make(d, "test", SLOW)
      tiny.build(d, work .. "/streamed")
      local m = json.decode(sys.read_file(work .. "/streamed/manifest.json"), "manifest.json")
      equal({ p.bytes.arena, p.bytes.stored, p.bytes.weights, p.places.weights },
        { m.arena_bytes, m.weights_bytes, nil, nil })
      for _, phase in ipairs { "encode", "decode" } do
        local s, built = p.storage[phase], m.stream[phase]
        equal({ s.bytes, s.fetches, s.buffers }, { built.bytes, built.fetches, built.buffer_bytes }, phase)
        assert(s.waited > 0 and s.waited < s.bytes and s.mean > 0 and s.rate >= s.mean, phase)
        assert(not limit or math.max(s.buffers[1], s.buffers[2]) <= limit, phase)
      end
      equal(p.storage.encode.bytes + p.storage.decode.bytes, m.weights_bytes - 4096) -- all but the header, once
    end
  end)

  it("times a fetch by what the core does with the piece before, not by the whole layer", function()
    local shape = { resolution = 160 } -- of a grid whose positions are several pieces
    for key, value in pairs(tiny.shapes.broad.shape) do shape[key] = shape[key] or value end
    require "msagen.synth".write(work .. "/large.safetensors", require "networks.synth".tensors(shape, "sam"), 7)
    local d = device("broad", { checkpoint = work .. "/large.safetensors", weights = "stream", stream_buffer = 92160 })
    local p = plan.make(d, "test", SLOW)
    local ms = {}
    for i, L in ipairs(p.build.graph.fused) do ms[L] = p.layers[i].ms end
    local function first_role(item)
      for _, part in ipairs(item.layer.segment.parts) do
        if part.offset == item.shift then return part.role end
      end
    end
    local waited, positions, groups, slowest = 0, 0, 0, 0
    local items = p.build.graph.stream.encode.items
    for i, item in ipairs(items) do
      local before = items[i - 1]
      -- nothing came before; the tables did; it is held
      local idle = not before or not before.layer or item.layer and type(item.buffer) == "string"
      if before and before.layer and first_role(before):match "^pos_embed_" then
        idle, positions = true, positions + 1
      end
      if idle then waited = waited + item.bytes
      -- every weight meets every token once; what is held is not worked with
      elseif before.layer.kind == "encoder_mlp" then
        local all = 0
        for _, other in ipairs(items) do
          if other.layer == before.layer and type(other.buffer) == "number" then all = all + other.bytes end
        end
        local worked = type(before.buffer) == "number" and before or items[i - 2]
        slowest, groups = math.max(slowest, item.bytes * 1e3 * all / worked.bytes / ms[before.layer]), groups + 1
      end
    end
    assert(positions > 1 and groups > 4, ("%d pieces of positions, %d of MLPs"):format(positions, groups))
    equal(p.storage.encode.waited, waited)
    assert(p.storage.encode.rate >= slowest * 0.999,
      ("%g bytes a second, but %g behind a piece of an MLP"):format(p.storage.encode.rate, slowest))
  end)

  it("has them where nothing but sizes is asked for", function()
    for name, more in pairs(cases) do
      local d = device(name, more)
      local whole, draft = compiler.schedule(d, "test"), compiler.schedule(d, "test", true)
      equal(draft.graph.memory.bytes, whole.graph.memory.bytes, name)
      equal(#draft.kernels.texts, 0)
      assert(#whole.kernels.texts > 0)
      for i, L in ipairs(whole.graph.fused) do
        equal(draft.graph.fused[i].segment:bytes(), L.segment:bytes(), L.name)
      end
    end
  end)

  it("counts the layers' multiply-adds", function()
    local function check(d, what)
      local build = compiler.schedule(d, "test")
      for _, L in ipairs(build.graph.fused) do
        local found = predict.layer(L, build)
        -- Mask prompts are not part of a click; its tokens are filled up to a chunk.
        local clicked = require "networks.tokens".of_click(build.model)
        local most = 1.06 * (L.kind:find "token" and (clicked + 7) // 8 * 8 / clicked or 1)
        -- Where tokens are the keys, and more than a chunk or their own, there are as many as a prompt may have.
        if L.kind == "token_self_attention" or L.kind == "image_to_token" and clicked > 8 then
          most = most * require "networks.tokens".rows(build.model) / clicked
        end
        if L.kind ~= "dense_prompt" then
          assert(found.macs / L.macs > 0.94 and found.macs / L.macs < most,
            ("%s: %s: %d, not %d"):format(what, L.name, found.macs, L.macs))
        end
        assert(found.busy >= found.macs / build.board.core.fma_per_cycle / build.board.isa.width, L.name)
        assert(found.other >= 0 and found.traffic.again >= found.traffic.weights)
      end
    end
    for name, more in pairs(cases) do check(device(name, more), name) end
    local golden = msagen.datadir .. "/tests/golden"
    for _, case in ipairs { { "sam-2d", { dialect = "sam" } }, { "msa-2023-2d", {} }, { "msa-2023-3d", { depth = 6 } },
      { "msa-paper-3d", { depth = 6 } } } do
      local path = ("%s/%s/checkpoint.pth"):format(golden, case[1])
      local told = json.decode(sys.read_file(("%s/%s/case.json"):format(golden, case[1])), "case.json")
      local d = { checkpoint = path, board = "generic-c99", decoder_heads = told.decoder_heads }
      for key, value in pairs(case[2]) do d[key] = value end
      check(d, case[1])
    end
  end)

  it("takes times from rates", function()
    local d = device "wide"
    local fast = { fma = 2e9, bandwidth = 2e9, measured = false }
    local slow, twice = plan.make(d, "test", SLOW), plan.make(d, "test", fast)
    assert(math.abs(slow.encode_ms / twice.encode_ms - 2) < 1e-9
      and math.abs(slow.decode_ms / twice.decode_ms - 2) < 1e-9)
    local encode, decode = 0, 0
    for _, L in ipairs(slow.layers) do
      if L.kind ~= "dense_prompt" then assert(L.ms >= L.macs / SLOW.fma * 1e3 * 0.94, L.name) end
      if L.phase == "encode" then encode = encode + L.ms else decode = decode + L.ms end
    end
    assert(math.abs(encode - slow.encode_ms) < 1e-9 and math.abs(decode - slow.decode_ms) < 1e-9)
    local starved = plan.make(d, "test", { fma = 1e9, bandwidth = 1e3, measured = false })
    for _, L in ipairs(starved.layers) do
      equal(L.bound, "memory", L.name)
      assert(L.ms >= L.bytes / 1e3 * 1e3, L.name)
    end
    equal(plan.make(device("adapted", { depth = 3 }), "test", SLOW).macs_decode,
      3 * plan.make(device "adapted", "test", SLOW).macs_decode)
  end)

  it("divides time by cores as the work is divided", function()
    local one = plan.make(device "wide", "test", SLOW)
    for n = 2, 8, 3 do
      local several = plan.make(device("wide", { cores = n }), "test", SLOW)
      equal(several.cores, n)
      local rows = {}
      for _, L in ipairs(one.layers) do rows[L.name] = L end
      for _, L in ipairs(several.layers) do
        if rows[L.name] then -- else made ready for the decoder with other scratch
          assert(L.ms <= rows[L.name].ms * 1.3, L.name)
          assert(L.ms >= rows[L.name].ms / n * 0.7, L.name)
        end
      end
      assert(several.encode_ms > one.encode_ms / n * 0.9 and several.encode_ms < one.encode_ms / n * 3,
        ("%d cores: %.3f, one %.3f"):format(n, several.encode_ms, one.encode_ms))
    end
  end)

  it("takes rates from the board's file where its code does not run here", function()
    with_board({ name = "elsewhere", requires = { "a feature that no CPU has" }, clock = 2e9,
      memories = { memory("ram", 1 << 30, { "arena", "code" }, { bandwidth = 4e6 }),
      memory("flash", 1 << 30, { "weights" }, { bandwidth = 1e6 }) } }, function(board)
      local rates = plan.rates(board)
      equal(rates, { fma = 2e9 * board.isa.width * board.core.fma_per_cycle, measured = false })
      local p = plan.make(device("plain", { board = "elsewhere" }), "test")
      equal({ p.places.arena.name, p.places.weights.name, p.rates.measured }, { "ram", "flash", false })
      local mlp
      for _, L in ipairs(p.layers) do mlp = mlp or L.kind == "encoder_mlp" and L end
      assert(mlp.ms >= mlp.bytes / 1e6 * 1e3 and mlp.bound == "memory") -- its weights, from the flash
      board.clock = nil
      refuses(function() plan.rates(board) end, "boards/elsewhere.lua", "clock")
    end)
    local best = boards.best()
    local rates = plan.rates(best)
    assert(rates.measured and rates.fma > 1e8 and rates.bandwidth > 1e8)
  end)

  it("knows about how much code there will be", function()
    local operations, loops,
      calls = code_size.count [[
void msa_add_f32_3x4(float *x)
{
    for (size_t i = 0; i < 3; ++i) msa_store(x, msa_vadd(msa_load(x), msa_vexp(msa_load(x))));
    msa_gemm_f32_1x2x3(x);
    msa_memory(x);
}
]]
    equal({ operations, loops, calls }, { 4 + 17 + 1, 1, 2 })
    if not spec.compiles() then return end
    for _, board in ipairs { boards.best(), tier.full and boards.named "generic-c99" or nil } do
      local d = device("plain", { board = board.name })
      local dir = ("%s/code-%s"):format(work, board.name)
      tiny.build(d, dir)
      tiny.must { "make", "-s", "-C", dir, "lib" }
      local text = tiny.must { "size", "-t", dir .. "/libmsa_model.a" }
      local measured = tonumber(text:match "(%d+)[%d%s]+%x+%s+%(TOTALS%)")
      local ratio = plan.make(d, "test", SLOW).bytes.code / measured
      assert(ratio > 0.75 and ratio < 1.25, ("%s: %.2f of %d"):format(board.name, ratio, measured))
    end
  end)
end)

describe("a plan that does not fit", function()
  -- What schedules and fits, found without halving.
  local function largest(d, limit)
    local best
    for size = 8, limit, 8 do
      local other = {}
      for key, value in pairs(d) do other[key] = value end
      other.resolution = size
      local ok, p = pcall(plan.make, other, "test", SLOW)
      if ok then best = size else assert(type(p) == "table" and p.msagen, p) end
    end
    return best
  end

  it("is refused with the largest resolution that does", function()
    local own = plan.make(device "adapted", "test", SLOW)
    for _, room in ipairs(tier.full and { 0.3, 0.5, 0.8, 0.99 } or { 0.99 }) do
      local memories = { memory("sram", own.bytes.arena * room // 1, { "arena" }, { reserved = 64 }),
        memory("flash", 1 << 20, { "weights", "code" }) }
      with_board({ name = "small", memories = memories }, function()
        local d = device("adapted", { board = "small" })
        local ok, problem = pcall(plan.make, d, "here", SLOW)
        assert(not ok and problem.msagen, "not refused")
        local line = problem.msagen
        holds(line, "here: --resolution 56: expected room on small (sram of ",
          " less 64 B for arena; flash of 1.0 MiB for weights, code)", "found none for the arena")
        local found = largest(d, 88)
        if found then holds(line, "; the largest resolution that fits is " .. found) else holds(line,
          "; no resolution fits") end
        assert(not line:find "\n")
        assert(room ~= 0.99 or found, "nothing fits where little is missing")
        if found then plan.make(device("adapted", { board = "small", resolution = found }), "test", SLOW) end
      end)
    end
  end)

  it("names the weights where those are too large", function()
    with_board({ name = "small", memories = { memory("sram", 1 << 20, { "arena" }),
      memory("flash", 60 * KIB, { "weights" }), memory("rom", 1 << 20, { "code" }) } }, function()
      refuses(function()
        plan.make(device("adapted", { board = "small" }), "here", SLOW)
      end, "found none for the weights", "; no resolution fits; with --weights stream it fits")
      local plan_of_it = plan.make(device("adapted", { board = "small", weights = "stream" }), "here", SLOW)
      assert(plan_of_it.bytes.arena > 60 * KIB)
    end)
    with_board({ name = "small", memories = { memory("sram", 60 * KIB, { "arena" }),
      memory("flash", 60 * KIB, { "weights" }), memory("rom", 1 << 20, { "code" }) } }, function()
      local ok, problem = pcall(plan.make, device("adapted", { board = "small" }), "here", SLOW)
      assert(not ok and not problem.msagen:find "stream", problem.msagen) -- nor do two buffers fit
    end)
  end)

  it("says so where the file allows no other resolution", function()
    with_board({ name = "small", memories = { memory("sram", 20 * KIB, { "arena" }),
      memory("flash", 1 << 20, { "weights", "code" }) } }, function()
      refuses(function()
        plan.make(device("plain", { board = "small" }), "here", SLOW)
      end, "found none for the arena", "the file has no other resolution")
    end)
  end)

  it("is refused by a build as well where no address reaches", function()
    with_board({ name = "small", address_bits = 16 }, function()
      refuses(function()
        compiler.schedule(device("wide", { board = "small" }), "here")
      end, "--resolution 272", "small", "65536 bytes")
    end)
  end)
end)

describe("msagen plan", function()
  local verb = require "cli.verbs.plan"
  local function said(args)
    local out, err, lines = io.stdout, io.stderr, {}
    io.stdout = { write = function(self, ...) lines[#lines + 1] = table.concat { ... } return self end }
    io.stderr = { write = function(self) return self end } -- warnings
    local ok, status = pcall(verb.run, args)
    io.stdout, io.stderr = out, err
    if not ok then error(status, 0) end
    equal(status, 0)
    return table.concat(lines)
  end

  it("writes nothing but its answer", function()
    tiny.device(work, "plain")
    local before = sys.list(work)
    sys.write_file(work .. "/device.lua",
      "return { { checkpoint = 'plain.safetensors', dialect = 'sam', decoder_heads = 4, global_blocks = { 1 }, "
      .. "board = 'generic-c99' },\n"
      .. "{ checkpoint = 'plain.safetensors', dialect = 'sam', decoder_heads = 4, global_blocks = { 1 }, "
      .. "name = 'best', board = '" .. boards.best().name .. "' } }\n")
    local list = json.decode(said { input = work .. "/device.lua", json = true }, "plan")
    sys.remove_tree(work .. "/device.lua")
    equal(sys.list(work), before)
    equal({ #list, list[1].name, list[2].name, list[2].board }, { 2, "generic-c99", "best", boards.best().name })
    local p = plan.make(device "plain", "test", SLOW)
    equal({ list[1].arena_bytes, list[1].weights_bytes, list[1].code_bytes, list[1].cores },
      { p.bytes.arena, p.bytes.weights, p.bytes.code, 1 })
    equal(list[1].places, { arena = "memory", weights = "memory", code = "memory" })
    assert(list[1].encode_ms > 0 and list[1].decode_ms > 0 and #list[1].layers == #p.layers)
  end)

  it("says what keeping the forward pass of a training step costs", function()
    local d = device "adapted"
    local asked = { input = d.checkpoint, dialect = d.dialect, decoder_heads = d.decoder_heads,
      global_blocks = d.global_blocks, board = "generic-c99", train = { "adapters" }, json = true }
    local one = json.decode(said(asked), "plan")[1]
    equal({ #one.choices, one.choices[1].kept, one.choices[5].kept, one.choices[5].macs_again, one.macs_again },
      { 5, 0, one.choices[5].of, 0, 0 })
    for i = 2, 5 do
      local less, more = one.choices[i - 1], one.choices[i]
      assert(more.kept > less.kept and more.macs_again <= less.macs_again and more.macs <= less.macs)
      assert(less.macs - less.macs_again == more.macs - more.macs_again, "what is not done again stays")
    end
    asked.arena_limit = one.choices[3].arena_bound_bytes
    local limited = json.decode(said(asked), "plan")[1]
    assert(limited.arena_bytes <= asked.arena_limit and limited.macs_again > 0)
    asked.arena_limit = one.choices[1].arena_bound_bytes // 2
    refuses(function() said(asked) end, "--arena-limit: expected at least", tostring(asked.arena_limit))
  end)

  it("tells people the same", function()
    local d = device "plain"
    local text = said { input = d.checkpoint, dialect = "sam", decoder_heads = 4, global_blocks = { 1 },
      board = "generic-c99" }
    holds(text, "48 x 48, generic-c99, 1 core", "encode", "decode", "one click", "arena", "lower bound", "weights",
      "code", "measured on this machine", "encoder_mlp", "held by")
  end)
end)
