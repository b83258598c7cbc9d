-- SPDX-License-Identifier: Apache-2.0
-- msagen embed: CLIP's text encoder against PyTorch's float64 (tests/golden-clip), the files that it is read from, and
-- what becomes of its prompts.

local spec = require "spec"
local describe, it, equal, refuses, holds = spec.describe, spec.it, spec.equal, spec.refuses, spec.holds
local sys = spec.host "msagen.sys"
if not sys then return end
local checkpoint, json, npy = require "msagen.checkpoint", require "msagen.json", require "msagen.npy"
local clip, embedding, reference = require "import.clip", require "text.embedding", require "msagen.reference"
local tensor, text, tiny = require "msagen.tensor", require "import.text", require "tiny_model"
local golden = msagen.datadir .. "/tests/golden-clip/"
local work = sys.mkdtemp(os.getenv "TMPDIR" or "/tmp", "test-embed-")
sys.cleanup(work)

local CASES = { ["openai-quickgelu"] = { file = "checkpoint.pt", heads = 4 }, ["hf-gelu"] = { file =
  "model.safetensors" } }
local OPENAI, HF = golden .. "openai-quickgelu/checkpoint.pt", golden .. "hf-gelu/model.safetensors"

-- What msagen embed writes to both streams; fails unless its status is `status`.
local function embed(status, ...)
  local got, output = sys.spawn { tiny.program(), "embed", stdin = "/dev/null", stdout = "capture",
    stderr = "capture", env = { COLUMNS = "500" }, ... }
  equal(got, status, output)
  return output
end

-- Rows of tokens as phrases.
local function phrases_of(name)
  local tokens, list = npy.read(golden .. name .. "/tokens.npy"), {}
  local flat, width = tokens:totable(), tokens.shape[2]
  for i = 0, tokens.shape[1] - 1 do
    local row = {}
    for k = 1, width do row[k] = ("%d"):format(flat[i * width + k] // 1 | 0) end
    list[i + 1] = table.concat(row, " ")
  end
  return list
end

-- The largest difference of a tensor from a golden file's, and the largest number of that.
local function difference(found, path)
  local a, b, most, scale = found:totable(), npy.read(golden .. path):totable(), 0, 0
  equal(#a, #b)
  for i = 1, #a do
    local e = math.abs(a[i] - b[i])
    most, scale = e <= most and most or e, math.max(scale, math.abs(b[i]))
  end
  return most, scale
end

local function within(found, path, allowed)
  local most, scale = difference(found, path)
  assert(most <= allowed * scale, ("%s: differs by %g of %g"):format(path, most, scale))
end

describe("golden texts", function()
  for name, case in pairs(CASES) do
    local folder, out = golden .. name .. "/", ("%s/%s.safetensors"):format(work, name)
    it(name .. " are PyTorch's in double precision", function()
      local list, m = {}, clip.load(folder .. case.file, { heads = case.heads })
      for i, phrase in ipairs(phrases_of(name)) do
        list[i] = {}
        for token in phrase:gmatch "%d+" do table.insert(list[i], math.tointeger(token)) end
      end
      local found = embedding.of(m, list, function() end)
      equal(found.dtype, "f64")
      within(found, name .. "/embedding.f64.npy", 1e-14)
      local projection = clip.projection(folder .. "projection.safetensors", m)
      within(embedding.prompts(found, projection), name .. "/prompt.f64.npy", 1e-14)
    end)
    it(name .. " are written as prompts of a build", function()
      local phrases = phrases_of(name)
      local words = { "--clip", folder .. case.file, "--projection", folder .. "projection.safetensors", "--tokens",
        "-o", out, table.unpack(phrases) }
      if case.heads then table.move({ "--heads", tostring(case.heads) }, 1, 2, #words + 1, words) end
      equal(embed(0, table.unpack(words)), table.concat(phrases, "\n") .. "\n")
      local loaded = text.load(out, { out = 32 })
      equal(loaded.names, phrases)
      within(loaded.matrix, name .. "/prompt.f64.npy", 1e-7)
      within(checkpoint.open(out):tensor "embeddings", name .. "/embedding.f64.npy", 1e-7)
      local before = sys.read_file(out)
      embed(0, table.unpack(words))
      assert(sys.read_file(out) == before, "the same bytes each time")
    end)
  end
  it("without a projection are the embeddings, of length 1", function()
    local out = work .. "/units.safetensors"
    embed(0, "--clip", HF, "--tokens", "-o", out, table.unpack(phrases_of "hf-gelu"))
    local found = text.load(out, { out = 48 }).matrix
    for i = 0, found.shape[1] - 1 do
      local sum = 0
      for _, value in ipairs(found:slice(1, i, 1):totable()) do sum = sum + value * value end
      assert(math.abs(sum - 1) < 1e-6)
    end
  end)
end)

-- ---- other files of the same tensors ----

-- A safetensors file of an open checkpoint's tensors. @param rename function(name) -> name, or nil to leave it out
local function rewritten(ckpt, path, rename, more)
  local header, parts, at = {}, {}, 0
  local function add(name, dtype, shape, bytes)
    header[#header + 1] = ('%s:{"dtype":%q,"shape":[%s],"data_offsets":[%d,%d]}'):format(json.encode(name),
      dtype:upper(), table.concat(shape, ","), at, at + #bytes)
    parts[#parts + 1], at = bytes, at + #bytes
  end
  for _, name in ipairs(ckpt:names()) do
    local one, to = ckpt:tensor(name), rename(name)
    if to then add(to, one.dtype, one.shape, one:tobytes()) end
  end
  for _, one in ipairs(more or {}) do add(table.unpack(one)) end
  local all = "{" .. table.concat(header, ",") .. "}"
  sys.mkdir_p(path:match "^(.*)/")
  sys.write_file(path, string.pack("<I8", #all) .. all .. table.concat(parts))
  return path
end

local openai, hf = checkpoint.open_program(OPENAI), checkpoint.open(HF)
local function same(name) return name end
local count = 0
local function openai_file(rename, more)
  count = count + 1
  return rewritten(openai, ("%s/o%d/model.safetensors"):format(work, count), rename or same, more)
end
local function hf_file(rename, more, config)
  count = count + 1
  local path = rewritten(hf, ("%s/h%d/model.safetensors"):format(work, count), rename or same, more)
  if config then sys.write_file((path:gsub("[^/]*$", "config.json")), config) end
  return path
end

local QUICK = { heads = 4, activation = "quick_gelu" }
local tokens = { { 510, 9, 8, 7, 511 }, { 510, 511 } }
local function embedded(path, options)
  return embedding.of(clip.load(path, options), tokens, function() end):totable()
end
local truth, hf_truth = embedded(OPENAI, { heads = 4 }), embedded(HF, {})

describe("the same tensors", function()
  it("of a state dict are the same encoder, whatever stands before their names", function()
    for _, before in ipairs { "", "module.", "text.", "module.text.", "clip." } do
      equal(embedded(openai_file(function(name)
        return not (before:find "text" and name:find "^visual") and before .. name or name
      end), QUICK), truth, before)
    end
  end)
  it("of CLIPModel, too", function()
    equal(embedded(hf_file(nil, { { "vision_model.post_layernorm.weight", "F32", { 1 }, "\0\0\0\0" },
      { "logit_scale", "F32", {}, "\0\0\0\0" } }, sys.read_file(golden .. "hf-gelu/config.json")), {}), hf_truth)
  end)
  it("of a training file of open_clip", function()
    -- A .pth whose tensors are views of one storage, as floats.
    local forge, list, bytes, at = require "forge", {}, {}, 0
    for _, name in ipairs(openai:names()) do
      local one = openai:tensor(name)
      if one.dtype ~= "i64" then
        list[#list + 1] = { name = "module." .. name, shape = one.shape, offset = at }
        bytes[#bytes + 1], at = one:scale(1):tobytes(), at + one:numel()
      end
    end
    local dict = forge.state_dict(list, at):sub(3, -2)
    local function key(name) return "X" .. string.pack("<I4", #name) .. name end
    local path = work .. "/epoch_3.pt"
    sys.write_file(path, forge.zip { { "archive/data.pkl", "\x80\x02}(" .. key "epoch" .. "K\3" .. key "name"
      .. key "run" .. key "state_dict" .. dict .. "u." }, { "archive/data/0", table.concat(bytes) } })
    equal(embedded(path, QUICK), truth)
  end)
  it("in several files", function()
    local folder, map = work .. "/shards", {}
    local function part(file, wanted)
      rewritten(hf, folder .. "/" .. file, function(name)
        if (name:find "layers" ~= nil) ~= wanted then return nil end
        map[name] = file
        return name
      end)
    end
    part("a.safetensors", true)
    part("b.safetensors", false)
    sys.write_file(folder .. "/model.safetensors.index.json", json.encode { weight_map = map })
    sys.write_file(folder .. "/config.json", sys.read_file(golden .. "hf-gelu/config.json"))
    equal(embedded(folder .. "/model.safetensors.index.json", {}), hf_truth)
  end)
end)

describe("what no tensor tells", function()
  local function refused(path, options, ...)
    local pieces = { ... }
    refuses(function() clip.load(path, options) end, table.unpack(pieces))
  end
  it("is asked for", function()
    refused(OPENAI, {}, OPENAI, "expected --heads N, found none", "width 64")
    refused(OPENAI, { heads = 5 }, "--heads 5", "divides the width, 64")
    refused(openai_file(), { heads = 4 }, "expected --activation quick-gelu or gelu, found none")
    refused(hf_file(), { heads = 4 }, "expected --activation")
  end)
  it("is 64 to a head in encoders as wide as published ones", function()
    local list, wide = {}, work .. "/wide.safetensors"
    local function add(name, ...) list[#list + 1] = { name = name, shape = { ... } } end
    for _, name in ipairs(openai:names()) do
      local shape = openai:tensor(name).shape
      for i, n in ipairs(shape) do shape[i] = n % 64 == 0 and n ~= 512 and n * 8 or n end
      if not name:find "visual" and #shape > 0 and not name:find "resblocks%.[12]" then
        add(name, table.unpack(shape))
      end
    end
    require "msagen.synth".write(wide, list, 1)
    local m = clip.load(wide, { activation = "gelu" })
    equal({ m.width, m.heads, m.layers }, { 512, 8, 1 })
    equal(clip.load(wide, { activation = "gelu", heads = 16 }).heads, 16)
  end)
  it("is in config.json, whose text_config_dict counts before text_config", function()
    local dict = '{"num_attention_heads":4,"hidden_act":"gelu","layer_norm_eps":1e-5}'
    for _, config in ipairs { '{"text_config":' .. dict .. "}", '{"text_config_dict":' .. dict
      .. ',"text_config":{"num_attention_heads":2}}', '{"text_config_dict":null,"text_config":' .. dict .. "}" } do
      equal(embedded(hf_file(nil, nil, config), {}), hf_truth)
    end
    local m = clip.load(hf_file(nil, nil, '{"text_config":{"eos_token_id":2}}'), {})
    equal({ m.heads, m.activation, m.last, m.parameters.norm.eps }, { 8, "quick_gelu", nil, 1e-5 })
    m = clip.load(hf_file(nil, nil, '{"layer_norm_eps":1e-6,"eos_token_id":9}'), {})
    equal({ m.last, m.parameters.norm.eps, m.parameters.layers[3].norm2.eps }, { 9, 1e-6, 1e-6 })
    equal(embedding.end_of(m, { 510, 9, 511, 9 }), 2)
    equal(embedding.end_of(m, { 510, 511 }), nil)
  end)
  it("is no other activation or number", function()
    refused(hf_file(nil, nil, '{"hidden_act":"gelu_new"}'), {}, "config.json: hidden_act", "found gelu_new")
    refused(hf_file(nil, nil, '{"num_attention_heads":"4"}'), {}, "config.json: num_attention_heads",
      "found the text 4")
    refused(hf_file(nil, nil, '{"num_attention_heads":5}'), {}, "config.json: heads 5", "divides the width, 64")
    refused(hf_file(nil, nil, "[1]"), {}, "config.json: expected a JSON object, found a list")
  end)
  it("is in open_clip_config.json", function()
    local path = openai_file()
    local function config(all)
      sys.write_file((path:gsub("[^/]*$", "open_clip_config.json")), all)
      return path
    end
    equal(embedded(config '{"model_cfg":{"quick_gelu":true,"text_cfg":{"heads":4,"layers":3}}}', {}), truth)
    equal(clip.load(config '{"model_cfg":{"text_cfg":{"heads":4}}}', {}).activation, "gelu")
    for _, other in ipairs { '"hf_model_name":"x"', '"no_causal_mask":true', '"pool_type":"last"',
      '"proj_bias":true', '"act_kwargs":{"approximate":"tanh"}' } do
      refused(config(('{"model_cfg":{"text_cfg":{"heads":4,%s}}}'):format(other)), {}, "open_clip_config.json: "
        .. other:match '"([%w_]+)"', "another one")
    end
  end)
  it("is not contradicted", function()
    refused(OPENAI, { heads = 4, activation = "gelu" }, "--activation gelu: expected quick-gelu, as", "checkpoint.pt")
    refused(HF, { activation = "quick_gelu" }, "--activation quick-gelu: expected gelu, as", "config.json")
    refused(HF, { heads = 2 }, "--heads 2: expected 4, as", "config.json says")
    equal(clip.load(HF, { heads = 4, activation = "gelu" }).heads, 4)
  end)
end)

-- ---- refusals ----

describe("a file of another network is refused:", function()
  local function refused(what, path, ...)
    local pieces = { path, ... }
    it(what, function() refuses(function() clip.load(path, QUICK) end, table.unpack(pieces)) end)
  end
  local function without(pattern) return function(name) return not name:find(pattern) and name or nil end end
  local one = { "F32", { 64 }, ("\0"):rep(256) }
  local function with(name) return { { name, table.unpack(one) } } end
  local projection = openai:tensor "text_projection"
  refused("a projection with a bias", openai_file(without "^text_projection$", { { "text_projection.weight", "F16",
    projection.shape, projection:tobytes() } }), "text_projection.weight", "projection is a layer with a bias")
  refused("CoCa's", openai_file(nil, with "cls_emb"), "cls_emb", "CoCa")
  refused("layers that are scaled", openai_file(nil, with "transformer.resblocks.0.ls_1.gamma"), "ls_1.gamma",
    "scaled")
  refused("BERT", openai_file(function(name)
    return name:find "^visual" and name or nil
  end, with "text.transformer.embeddings.word_embeddings.weight"), "word_embeddings.weight", "BERT's", "tokeniser")
  refused("images alone", openai_file(function(name) return name:find "^visual" and name or nil end), "visual.",
    "an image encoder alone")
  refused("SigLIP", hf_file(nil, with "text_model.head.bias"), "text_model.head.bias", "SigLIP")
  refused("the text model alone", hf_file(without "text_projection"), "text_projection.weight",
    "expected the projection of texts, found none", "CLIPTextModelWithProjection")
  refused("two text encoders", openai_file(nil, with "other.token_embedding.weight"), "expected one text encoder",
    "found 2", "other.token_embedding.weight")
  refused("no CLIP at all", msagen.datadir .. "/tests/golden/sam-2d/checkpoint.pth", "expected CLIP's text encoder",
    "found none: its first tensor is")
  refused("a part that is not CLIP's", openai_file(nil, with "transformer.resblocks.0.attn.q_norm.weight"),
    "q_norm.weight: unknown tensor")
  refused("a part that is missing", openai_file(without "resblocks%.1%.ln_2%.bias"), "resblocks.1.ln_2.bias",
    "found no such tensor")
  refused("a part of another shape", openai_file(without "^ln_final%.bias$", { { "ln_final.bias", "F32", { 32 },
    ("\0"):rep(128) } }), "ln_final.bias is [32]; expected [64] (width = 64, from positional_embedding)")
  refused("integers", openai_file(without "^ln_final%.bias$", { { "ln_final.bias", "I32", { 64 }, ("\0"):rep(256) } }),
    "ln_final.bias: expected f32", "found i32")
  refused("NaN", openai_file(without "^ln_final%.bias$", { { "ln_final.bias", "F32", { 64 }, ("\xff"):rep(256) } }),
    "ln_final.bias: expected finite values")
  refused("a damaged archive", (function()
    local path, whole = work .. "/bad.pt", sys.read_file(OPENAI)
    sys.write_file(path, whole:sub(1, #whole // 2))
    return path
  end)())
end)

describe("a projection", function()
  local m = clip.load(HF, {})
  it("is the only matrix of its file, or the one of that name", function()
    local path = golden .. "hf-gelu/projection.safetensors"
    local alone = clip.projection(path, m)
    local more = rewritten(checkpoint.open(path), work .. "/p/p.safetensors", function() return "text_proj" end,
      { { "other", "F32", { 1 }, "\0\0\0\0" } })
    equal(clip.projection(more, m):totable(), alone:totable())
  end)
  it("of another width is refused", function()
    refuses(function() clip.projection(golden .. "openai-quickgelu/projection.safetensors", m) end, "is f32 [32,64]",
      "expected a matrix [t,48]")
    refuses(function() clip.projection(HF, m) end, "model.safetensors")
  end)
end)

-- ---- phrases ----

-- An encoder for CLIP's own tokeniser, of one narrow layer.
local own = work .. "/own.safetensors"
do
  local list = {}
  local function add(name, ...) list[#list + 1] = { name = name, shape = { ... } } end
  add("positional_embedding", 77, 12)
  add("text_projection", 12, 10)
  local layer = "transformer.resblocks.0."
  add(layer .. "attn.in_proj_weight", 36, 12)
  add(layer .. "attn.in_proj_bias", 36)
  for _, map in ipairs { { "attn.out_proj", 12, 12 }, { "mlp.c_fc", 48, 12 }, { "mlp.c_proj", 12, 48 } } do
    add(layer .. map[1] .. ".weight", map[2], map[3])
    add(layer .. map[1] .. ".bias", map[2])
  end
  for _, norm in ipairs { layer .. "ln_1", layer .. "ln_2", "ln_final" } do
    add(norm .. ".weight", 12)
    add(norm .. ".bias", 12)
  end
  add("token_embedding.weight", 49408, 12)
  require "msagen.synth".write(own, list, 3)
end
local OWN = { "--clip", own, "--heads", "3", "--activation", "gelu" }
local function own_prompts(status, ...)
  local words = table.move(OWN, 1, #OWN, 1, {})
  return embed(status, table.unpack(table.move({ ... }, 1, select("#", ...), #words + 1, words)))
end

describe("phrases", function()
  local out = work .. "/names.safetensors"
  it("are tokenised, and named as they are written", function()
    holds(own_prompts(0, "Optic disc", "R&amp;D", "-o", out), "names.safetensors: 2 prompts of width 10",
      "1 layers, width 12, heads 3, gelu")
    local found = text.load(out, { out = 10 })
    equal(found.names, { "Optic disc", "R&amp;D" })
    equal(embed(0, "--tokens", "Optic disc", "R&amp;D"), "49406 24755 10712 49407\n49406 337 261 323 49407\n")
    own_prompts(0, "--tokens", "49406 24755 10712 49407", "49406,337,261,323,49407,0", "-o", out)
    equal(text.load(out, { out = 10 }).matrix:totable(), found.matrix:totable())
  end)
  it("that are numbers are phrases without --tokens, and where no end is among them", function()
    equal(embed(0, "--tokens", "1 2", "49407"), "49406 272 273 49407\n49406 275 280 275 271 278 49407\n")
  end)
  it("that are too long are cut, with a word", function()
    local long = ("optic "):rep(90)
    holds(own_prompts(0, long, "-o", out), "warning: optic", "92 tokens; the first 76 and the end's are taken")
    local cut = text.load(out, { out = 10 }).matrix:totable()
    own_prompts(0, ("optic "):rep(75), "-o", out)
    equal(text.load(out, { out = 10 }).matrix:totable(), cut)
  end)
  it("that cannot be names are refused, and nothing is written", function()
    sys.remove_tree(out)
    holds(own_prompts(1, "", "-o", out), "PHRASE: expected printable names, found an empty one at place 1")
    holds(own_prompts(1, "a\tb", "-o", out), "a\\x09b at place 1")
    holds(own_prompts(1, "liver", "liver", "-o", out), "expected each once, found liver at places 1 and 2")
    holds(own_prompts(1, "a <|endoftext|>", "-o", out), "expected a text without <|endoftext|>")
    holds(own_prompts(1, "SjÃ¶gren", "-o", out), "another encoding")
    equal(sys.exists(out), false)
  end)
  it("need the tokeniser's vocabulary, and tokens the encoder's", function()
    local function refused(phrase, ...)
      holds(embed(1, "--clip", HF, "--tokens", phrase, "-o", out), ...)
    end
    refused("optic disc", "token_embedding.weight: expected 49408 rows", "found 512", "--tokens")
    refused("510 600 511", "expected tokens from 0 to 511", "found 600")
    refused(("3 "):rep(16) .. "511", "expected an end within 16 tokens")
    equal(sys.exists(out), false)
  end)
  it("end as the encoder's texts do", function()
    local list, path = {}, work .. "/other_end/model.safetensors"
    for _, name in ipairs(hf:names()) do
      local shape = hf:tensor(name).shape
      if name:find "token_embedding" then shape[1] = 49408 end
      if hf:tensor(name).dtype ~= "i64" then list[#list + 1] = { name = name, shape = shape } end
    end
    sys.mkdir_p(work .. "/other_end")
    require "msagen.synth".write(path, list, 1)
    for last, status in pairs { [9] = 1, [2] = 0, [49407] = 0 } do
      sys.write_file(work .. "/other_end/config.json", ('{"num_attention_heads":4,"eos_token_id":%d}'):format(last))
      holds(embed(status, "--clip", path, "liver", "-o", out), status == 0 and "1 prompts"
        or "eos_token_id: expected 49407, the end's token of CLIP's tokeniser, found 9")
    end
  end)
  it("become prompts of a model", function()
    local device = tiny.device(work, "plain")
    local projection, values = work .. "/to_24.safetensors", {}
    for i = 1, 240 do values[i] = math.sin(i) end
    local bytes = tensor.from(values, { 24, 10 }):tobytes()
    local header = '{"p":{"dtype":"F32","shape":[24,10],"data_offsets":[0,960]}}'
    sys.write_file(projection, string.pack("<I8", #header) .. header .. bytes)
    own_prompts(0, "optic disc", "optic cup", "--projection", projection, "-o", out)
    local image, seen = work .. "/image.npy", {}
    npy.write(image, require "msagen.synth".image(48, 1))
    for _, phrase in ipairs { "optic disc", "optic cup" } do
      local digest = tiny.interpreted(device, "generic-c99", "--text-prompts", out, "--text", phrase, "--image", image)
      assert(not seen[digest], "each phrase is a prompt of its own")
      seen[digest] = true
    end
  end)
end)

-- ---- the operations ----

describe("causal attention", function()
  local R = reference.of "float64"
  local ssa, interpreter = require "graph.ssa", require "graph.interpreter"
  local function graph_of(lengths, rows)
    local g = ssa.new()
    g:layer "one"
    local q, k, v = g:input("q", { rows, 4 }), g:input("k", { rows, 4 }), g:input("v", { rows, 4 })
    g:output("o", g:attention(q, k, v, nil, nil, nil, nil, { heads = 2, causal = lengths }))
    return g
  end
  it("is that of each row with those before it in its sequence", function()
    local given = { q = R.pattern(0, 5, 4), k = R.pattern(20, 5, 4), v = R.pattern(40, 5, 4) }
    local found = interpreter.run(R, graph_of({ 3, 2 }, 5), given, { "o" }).o
    for row, first in pairs { [0] = 0, 0, 0, 3, 3 } do
      local n = row - first + 1
      equal(found:slice(1, row, 1):totable(), R.attention(given.q:slice(1, row, 1), given.k:slice(1, first, n),
        given.v:slice(1, first, n), { heads = 2, tile = n, count = n }):totable())
    end
  end)
  it("counts the pairs that it has", function() equal(select(2, graph_of({ 3, 2 }, 5):macs()), 2 * 4 * (6 + 3)) end)
  it("has no loops in a build", function()
    local lower, group = require "lower.lower", require "lower.group"
    refuses(function() lower.nest_of(select(2, group.list(graph_of({ 5 }, 5))).one) end, "layer one",
      "attention, which none has")
  end)
end)

sys.remove_tree(work)
