-- SPDX-License-Identifier: Apache-2.0
--- The network as the checkpoint means it: model description -> graph. Nothing is fused, folded or placed here.
-- SAM, Kirillov et al. 2023; Medical SAM Adapter, Wu et al. 2023; docs/compiler.md lists the operations.
local graph = require "graph"
local operations = require "graph_operations"

local network = {}

local ENCODER_EPS, DECODER_EPS = 1e-6, 1e-5

--- Largest number of points a prompt may hold; a box or the padding token comes on top.
network.MAX_POINTS = 16

--- Tokens are worked on so many at a time, as far as a prompt's go: one click takes one turn, sixteen take three.
network.TOKEN_CHUNK = 8

--- Rows of the decoder's token matrix: IoU token, mask tokens, points, two corners, and a text prompt if the build has any; filled up to
-- whole chunks.
function network.token_rows(model)
  local most = 1 + model.decoder.masks + network.MAX_POINTS + 2 + (model.texts and 1 or 0)
  return (most + network.TOKEN_CHUNK - 1) // network.TOKEN_CHUNK * network.TOKEN_CHUNK
end

--- Tokens of one click: what multiply-adds of a decode are counted for.
function network.click_tokens(model) return 1 + model.decoder.masks + 2 end

-- The parameters under a common prefix, by their last names: {weight=, bias=}; absent ones are left out.
local function take(model, prefix, ...)
  local params = {}
  for _, name in ipairs { ... } do params[name] = model.tensor[prefix .. "." .. name] end
  return params
end

local function linear(model, prefix) return take(model, prefix, "weight", "bias") end

-- The tensors of an adapter by role: D_fc1_weight and so on.
local function adapter(model, prefix, ...)
  local params = {}
  for _, part in ipairs { ... } do
    params[part .. "_weight"] = model.tensor[prefix .. "." .. part .. ".weight"]
    params[part .. "_bias"] = model.tensor[prefix .. "." .. part .. ".bias"]
  end
  return params
end

local function encoder(g, m)
  local tokens, C, E = m.depth * m.grid * m.grid, m.dim, m.out
  local root = "image_encoder."
  g:value("image", m.depth * m.image_size, m.image_size * 3)
  g:value("patches", tokens, C)
  g:value("x", tokens, C)
  g:op("patch_embed", "patch_embed", { "image" }, { "patches" },
    { params = linear(m, root .. "patch_embed.proj"), patch = m.patch, resize = m.resize, normalise = m.normalise })
  g:op("add_table", "patch_embed", { "patches" }, { "x" }, { params = { table = m.tensor[root .. "pos_embed"] } })
  local x = "x"
  for i = 0, m.blocks - 1 do
    local at = ("%sblocks.%d."):format(root, i)
    local function v(name, rows, width) return g:value(("block_%02d_%s"):format(i, name), rows or tokens, width or C) end
    local layer = ("block_%02d_attention"):format(i)
    local window = (m.global[i] or m.window == 0) and 0 or m.window
    local n = v "norm1"
    g:op("layernorm", layer, { x }, { n }, { params = take(m, at .. "norm1", "weight", "bias"), eps = ENCODER_EPS })
    local wide = tokens
    if window > 0 then
      local along = (m.grid + window - 1) // window
      wide = m.depth * along * along * window * window
      local parted = v("windows", wide)
      g:op("window", layer, { n }, { parted }, { size = window, pad = m.pad, params = m.pad == "norm1_bias" and { pad = m.tensor[at .. "norm1.bias"] } or {} })
      n = parted
    end
    local attended = v("attended", wide)
    local params = take(m, at .. "attn", "rel_pos_h", "rel_pos_w")
    params.weight, params.bias = m.tensor[at .. "attn.qkv.weight"], m.tensor[at .. "attn.qkv.bias"]
    g:op("grid_attention", layer, { n }, { attended }, { params = params, heads = m.heads, side = window > 0 and window or m.grid, block = i })
    local depth
    if m.depth > 1 and m.tensor[at .. "Depth_Adapter.D_fc1.weight"] then
      -- Along the depth, with the same attention: over runs of the windowed entries, or over the slices of each place.
      depth = v "depth"
      local branch = adapter(m, at .. "Depth_Adapter", "D_fc1", "D_fc2")
      local along = m.volumes == "runs" and window > 0 and (m.grid + window - 1) // window or 1
      g:op("depth_attention", layer, { x }, { depth }, { params = branch, act = m.adapter_activation, windows = along, side = along > 1 and window or m.grid,
        length = m.volumes == "slices" and m.depth or m.chunk or m.depth * along * along })
    end
    local out = v("projected", wide)
    g:op("linear", layer, { attended }, { out }, { params = linear(m, at .. "attn.proj") })
    if m.tensor[at .. "Space_Adapter.D_fc1.weight"] then
      local adapted = v("space", wide)
      g:op("adapter", layer, { out }, { adapted }, { params = adapter(m, at .. "Space_Adapter", "D_fc1", "D_fc2"), act = m.adapter_activation, skip = true })
      out = adapted
    end
    if window > 0 then
      local whole = v "joined"
      g:op("unwindow", layer, { out }, { whole }, { size = window })
      out = whole
    end
    local x1 = v "x1"
    g:op("add", layer, { x, out, depth }, { x1 }, {})

    layer = ("block_%02d_mlp"):format(i)
    local n2, h, act, down = v "norm2", v("hidden", tokens, m.mlp), v("gelu", tokens, m.mlp), v "mlp"
    g:op("layernorm", layer, { x1 }, { n2 }, { params = take(m, at .. "norm2", "weight", "bias"), eps = ENCODER_EPS })
    g:op("linear", layer, { n2 }, { h }, { params = linear(m, at .. "mlp.lin1") })
    g:op("gelu", layer, { h }, { act }, {})
    g:op("linear", layer, { act }, { down }, { params = linear(m, at .. "mlp.lin2") })
    if m.tensor[at .. "MLP_Adapter.D_fc1.weight"] then
      local adapted, both = v "mlp_adapter", v "mlp_adapted"
      g:op("adapter", layer, { n2 }, { adapted }, { params = adapter(m, at .. "MLP_Adapter", "D_fc1", "D_fc2"), act = m.adapter_activation, skip = false })
      g:op("add", layer, { down, adapted }, { both }, { scale = m.adapter_scale })
      down = both
    end
    local x2 = v "x2"
    g:op("add", layer, { x1, down }, { x2 }, {})
    x = x2
  end
  g:value("neck_1", tokens, E)
  g:value("neck_2", tokens, E)
  g:value("neck_3", tokens, E)
  g:value("embedding", tokens, E)
  g:op("linear", "neck", { x }, { "neck_1" }, { params = take(m, root .. "neck.0", "weight") })
  g:op("layernorm", "neck", { "neck_1" }, { "neck_2" }, { params = take(m, root .. "neck.1", "weight", "bias"), eps = ENCODER_EPS })
  g:op("conv3x3", "neck", { "neck_2" }, { "neck_3" }, { params = take(m, root .. "neck.2", "weight") })
  g:op("layernorm", "neck", { "neck_3" }, { "embedding" }, { params = take(m, root .. "neck.3", "weight", "bias"), eps = ENCODER_EPS })
end

-- The projections of a decoder attention by role.
local function projections(m, prefix)
  local params = {}
  for _, part in ipairs { "q", "k", "v", "out" } do
    params[part .. "_weight"] = m.tensor[prefix .. "." .. part .. "_proj.weight"]
    params[part .. "_bias"] = m.tensor[prefix .. "." .. part .. "_proj.bias"]
  end
  return params
end

local function decoder(g, m)
  local image_tokens, E = m.grid * m.grid, m.out
  local rows, heads = network.token_rows(m), m.decoder.heads
  local root = "mask_decoder."
  g:value("mask_prompt", 4 * m.grid, 4 * m.grid)
  g:value("position", image_tokens, E)
  g:value("tokens", rows, E)
  g:value("keys", image_tokens, E)
  local dense = take(m, "prompt_encoder.mask_downscaling", "0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias", "4.weight", "4.bias", "6.weight", "6.bias")
  dense.no_mask = m.tensor["prompt_encoder.no_mask_embed.weight"]
  g:op("add_dense_prompt", "dense_prompt", { "embedding", "mask_prompt" }, { "keys" }, { params = dense, eps = ENCODER_EPS })
  local queries, keys = "tokens", "keys"
  for k = 0, m.decoder.layers - 1 do
    local at = ("%stransformer.layers.%d."):format(root, k)
    local function q(name, width) return g:value(("decoder_%d_%s"):format(k, name), rows, width or E) end
    local function i(name) return g:value(("decoder_%d_%s"):format(k, name), image_tokens, E) end
    local function norm(layer, name, input, output)
      g:op("layernorm", layer, { input }, { output }, { params = take(m, at .. name, "weight", "bias"), eps = DECODER_EPS })
      return output
    end

    local layer = ("decoder_%d_self_attention"):format(k)
    local position = k > 0
    if position and m.position_stays then
      local moved = q "positioned"
      g:op("add", layer, { queries, "tokens" }, { moved }, {})
      queries, position = moved, false
    end
    local attended = q "self"
    g:op("attention", layer, position and { queries, queries, "tokens" } or { queries, queries }, { attended },
      { params = projections(m, at .. "self_attn"), heads = heads, from = "tokens", to = "tokens", query_position = position, key_position = position })
    if k > 0 or m.first_self_attention == "add" then
      local sum = q "self_added"
      g:op("add", layer, { queries, attended }, { sum }, {})
      attended = sum
    end
    queries = norm(layer, "norm1", attended, q "norm1")

    layer = ("decoder_%d_token_to_image"):format(k)
    local a, added = q "token_to_image", q "token_to_image_added"
    g:op("attention", layer, { queries, keys, "tokens", "position" }, { a },
      { params = projections(m, at .. "cross_attn_token_to_image"), heads = heads, from = "tokens", to = "image", query_position = true, key_position = true })
    if m.tensor[at .. "Prompt_Adapter.D_fc1.weight"] then
      local adapted = q "prompt_adapter"
      g:op("prompt_adapter", layer, { a, "tokens" }, { adapted }, { params = adapter(m, at .. "Prompt_Adapter", "D_fc1", "D_fcp", "D_fc2") })
      a = adapted
    end
    g:op("add", layer, { queries, a }, { added }, {})
    queries = norm(layer, "norm2", added, q "norm2")

    layer = ("decoder_%d_mlp"):format(k)
    local hidden, relu, down, sum = q("hidden", m.decoder.mlp), q("relu", m.decoder.mlp), q "mlp", q "mlp_added"
    g:op("linear", layer, { queries }, { hidden }, { params = linear(m, at .. "mlp.lin1") })
    g:op("relu", layer, { hidden }, { relu }, {})
    g:op("linear", layer, { relu }, { down }, { params = linear(m, at .. "mlp.lin2") })
    if m.tensor[at .. "MLP_Adapter.D_fc1.weight"] then
      local adapted, both = q "mlp_adapter", q "mlp_adapted"
      g:op("adapter", layer, { queries }, { adapted }, { params = adapter(m, at .. "MLP_Adapter", "D_fc1", "D_fc2"), act = "relu", skip = false })
      g:op("add", layer, { down, adapted }, { both }, { scale = m.adapter_scale })
      down = both
    end
    g:op("add", layer, { queries, down }, { sum }, {})
    queries = norm(layer, "norm3", sum, q "norm3")

    layer = ("decoder_%d_image_to_token"):format(k)
    local b, moved = i "image_to_token", i "image_to_token_added"
    g:op("attention", layer, { keys, queries, "position", "tokens" }, { b },
      { params = projections(m, at .. "cross_attn_image_to_token"), heads = heads, from = "image", to = "tokens", query_position = true, key_position = true })
    g:op("add", layer, { keys, b }, { moved }, {})
    if m.tensor[at .. "Image_Adapter.D_fc1.weight"] then
      local adapted, both = i "image_adapter", i "image_adapted"
      g:op("adapter", layer, { moved }, { adapted }, { params = adapter(m, at .. "Image_Adapter", "D_fc1", "D_fc2"), act = "relu", skip = false })
      g:op("add", layer, { moved, adapted }, { both }, {})
      moved = both
    end
    keys = norm(layer, "norm4", moved, i "norm4")
  end
  local a, added, last = g:value("final_attention", rows, E), g:value("final_added", rows, E), g:value("final_tokens", rows, E)
  g:op("attention", "decoder_final_token_to_image", { queries, keys, "tokens", "position" }, { a },
    { params = projections(m, root .. "transformer.final_attn_token_to_image"), heads = heads, from = "tokens", to = "image", query_position = true, key_position = true })
  g:op("add", "decoder_final_token_to_image", { queries, a }, { added }, {})
  g:op("layernorm", "decoder_final_token_to_image", { added }, { last },
    { params = take(m, root .. "transformer.norm_final_attn", "weight", "bias"), eps = DECODER_EPS })

  local function mlp(prefix, count)
    local stages = {}
    for n = 0, count - 1 do stages[n + 1] = linear(m, ("%s.layers.%d"):format(prefix, n)) end
    return stages
  end
  g:value("hyper", m.decoder.masks, m.decoder.upscaled2)
  g:value("iou", m.decoder.masks, 1)
  local hyper, params = {}, {}
  for n = 0, m.decoder.masks - 1 do hyper[n + 1] = mlp(("%soutput_hypernetworks_mlps.%d"):format(root, n), m.decoder.hyper_layers) end
  local iou = mlp(root .. "iou_prediction_head", m.decoder.iou_layers)
  for n, stages in ipairs(hyper) do
    for s, stage in ipairs(stages) do params[("%d_%d_weight"):format(n - 1, s - 1)], params[("%d_%d_bias"):format(n - 1, s - 1)] = stage.weight, stage.bias end
  end
  for s, stage in ipairs(iou) do params[("iou_%d_weight"):format(s - 1)], params[("iou_%d_bias"):format(s - 1)] = stage.weight, stage.bias end
  g:op("token_heads", "heads", { last }, { "hyper", "iou" }, { params = params, hyper = hyper, iou = iou })
  g:value("upscaled_1", image_tokens * 4, m.decoder.upscaled1)
  g:value("upscaled_2", image_tokens * 4, m.decoder.upscaled1)
  g:value("upscaled_3", image_tokens * 4, m.decoder.upscaled1)
  g:value("upscaled_4", image_tokens * 16, m.decoder.upscaled2)
  g:value("upscaled", image_tokens * 16, m.decoder.upscaled2)
  g:value("logits", m.decoder.masks, image_tokens * 16)
  local up = root .. "output_upscaling."
  g:op("conv_transpose2x2", "masks", { keys }, { "upscaled_1" }, { params = linear(m, up .. "0") })
  g:op("layernorm", "masks", { "upscaled_1" }, { "upscaled_2" }, { params = take(m, up .. "1", "weight", "bias"), eps = ENCODER_EPS })
  g:op("gelu", "masks", { "upscaled_2" }, { "upscaled_3" }, {})
  g:op("conv_transpose2x2", "masks", { "upscaled_3" }, { "upscaled_4" }, { params = linear(m, up .. "3") })
  g:op("gelu", "masks", { "upscaled_4" }, { "upscaled" }, {})
  g:op("mask_product", "masks", { "upscaled", "hyper" }, { "logits" }, {})
end

--- The graph of a model. Values of the encoder hold all slices; the decoder works on one slice.
function network.build(model)
  local g = graph.new()
  encoder(g, model)
  decoder(g, model)
  for _, op in ipairs(g.ops) do operations.check(op) end
  return g
end

return network
