-- SPDX-License-Identifier: Apache-2.0
-- A checkpoint that is only a list of names and shapes: the test double of msagen.checkpoint. Its tensors record what
-- is done to them.

local fake = {}

local Tensor = {}
Tensor.__index = Tensor

local function tensor(name, shape, dtype, history, zero)
  return setmetatable({ name = name, shape = shape, dtype = dtype or "f32", history = history or {}, zero = zero
    or false }, Tensor)
end

local function after(self, operation, shape)
  local history = table.move(self.history, 1, #self.history, 1, {})
  history[#history + 1] = operation
  return tensor(self.name, shape, "f32", history, self.zero)
end

function Tensor:permute(order)
  local shape = {}
  for i, from in ipairs(order) do shape[i] = self.shape[from] end
  return after(self, "permute " .. table.concat(order, ","), shape)
end

function Tensor:resample_bicubic(size)
  local shape = table.move(self.shape, 1, #self.shape, 1, {})
  shape[#shape - 1], shape[#shape] = size[1], size[2]
  return after(self, ("bicubic %dx%d"):format(size[1], size[2]), shape)
end

function Tensor:resample_linear(n)
  return after(self, "linear " .. n, { n, self.shape[2] })
end

function Tensor:rename(name)
  local renamed = after(self, nil, self.shape)
  renamed.name = name
  return renamed
end

function Tensor:is_zero() return self.zero end

--- Contents are equal where the entries' `values` are (nothing by default), whatever the names.
function Tensor:equal(other) return self.values == other.values and self.zero == other.zero end

function Tensor:scale() return self end

function Tensor:forget() self.forgotten = true end

--- list: array of {name, {shape}, dtype (default f32), zero = true for all-zero contents, values = anything: what
-- equal() compares}.
function fake.open(list, path)
  local ckpt = { path = path or "fake.pth", format = "pth", container = "state dict", metadata = {} }
  local order, by_name = {}, {}
  for i, one in ipairs(list) do
    order[i] = one[1]
    by_name[one[1]] = tensor(one[1], one[2], one[3], nil, one.zero)
    by_name[one[1]].values = one.values
  end
  function ckpt.names() return order end
  function ckpt.tensor(_, name) return by_name[name] end
  function ckpt.sha256() return ("0"):rep(64) end
  return ckpt
end

local Model = {}
Model.__index = Model

function Model:add(name, ...)
  self[#self + 1] = { name, { ... } }
end

function Model:linear(name, rows, columns)
  self:add(name .. ".weight", rows, columns)
  self:add(name .. ".bias", rows)
end

function Model:affine(name, width)
  self:add(name .. ".weight", width)
  self:add(name .. ".bias", width)
end

function Model:adapter(name, width, hidden)
  self:linear(name .. ".D_fc1", hidden, width)
  self:linear(name .. ".D_fc2", width, hidden)
end

function Model:attention(name, width, inner)
  for _, part in ipairs { "q_proj", "k_proj", "v_proj" } do self:linear(name .. "." .. part, inner, width) end
  self:linear(name .. ".out_proj", width, inner)
end

local function contains(list, item)
  for _, one in ipairs(list) do
    if one == item then return true end
  end
  return false
end

local function blocks(m, shape, rel)
  local C = shape.dim
  for i = 0, shape.blocks - 1 do
    local b = ("image_encoder.blocks.%d."):format(i)
    local n = contains(shape.global, i) and (shape.table_grid or shape.grid) or shape.window
    m:affine(b .. "norm1", C)
    m:add(b .. "attn." .. rel .. "_h", 2 * n - 1, C // shape.heads)
    m:add(b .. "attn." .. rel .. "_w", 2 * n - 1, C // shape.heads)
    m:linear(b .. "attn.qkv", 3 * C, C)
    m:linear(b .. "attn.proj", C, C)
    if shape.encoder_adapters then
      m:adapter(b .. "MLP_Adapter", C, shape.hidden or C // 4)
      m:adapter(b .. "Space_Adapter", C, shape.hidden or C // 4)
      if shape.depth_adapters then m:adapter(b .. "Depth_Adapter", C, shape.hidden or C // 4) end
    end
    m:affine(b .. "norm2", C)
    m:linear(b .. "mlp.lin1", 4 * C, C)
    m:linear(b .. "mlp.lin2", C, 4 * C)
    if shape.lora then
      m:add(b .. "attn.qkv.lora_A", 2 * shape.lora, C)
      m:add(b .. "attn.qkv.lora_B", 2 * C, shape.lora)
      m:add(b .. "mlp.lin1.lora_A", shape.lora, C)
      m:add(b .. "mlp.lin1.lora_B", 4 * C, shape.lora)
      m:add(b .. "mlp.lin2.lora_A", shape.lora, 4 * C)
      m:add(b .. "mlp.lin2.lora_B", C, shape.lora)
    end
  end
end

local function decoder(m, shape, names)
  local E, cross = shape.out, shape.cross or shape.out // 2
  for k = 0, 1 do
    local l = ("mask_decoder.transformer.layers.%d."):format(k)
    m:attention(l .. "self_attn", E, E)
    m:affine(l .. "norm1", E)
    m:attention(l .. "cross_attn_token_to_image", E, cross)
    m:affine(l .. "norm2", E)
    m:linear(l .. names.lin1, shape.decoder_mlp, E)
    m:linear(l .. names.lin2, E, shape.decoder_mlp)
    m:affine(l .. "norm3", E)
    m:affine(l .. "norm4", E)
    m:attention(l .. "cross_attn_image_to_token", E, cross)
    if shape.decoder_adapters and k == 0 then
      m:adapter(l .. "Prompt_Adapter", E, E // 4)
      m:linear(l .. "Prompt_Adapter.D_fcp", E // 4, E)
      m:adapter(l .. "MLP_Adapter", E, E // 4)
      m:adapter(l .. "Image_Adapter", E, E // 4)
    end
  end
  m:attention("mask_decoder.transformer.final_attn_token_to_image", E, cross)
  m:affine("mask_decoder.transformer.norm_final_attn", E)
  m:add("mask_decoder.iou_token.weight", 1, E)
  m:add("mask_decoder.mask_tokens.weight", shape.masks, E)
  m:add("mask_decoder.output_upscaling.0.weight", E, E // 4, 2, 2)
  m:add("mask_decoder.output_upscaling.0.bias", E // 4)
  m:affine("mask_decoder.output_upscaling.1", E // 4)
  m:add("mask_decoder.output_upscaling.3.weight", E // 4, E // 8, 2, 2)
  m:add("mask_decoder.output_upscaling.3.bias", E // 8)
  for i = 0, shape.masks - 1 do
    local h = ("mask_decoder.output_hypernetworks_mlps.%d.layers."):format(i)
    m:linear(h .. 0, E, E)
    m:linear(h .. 1, E, E)
    m:linear(h .. 2, E // 8, E)
  end
  m:linear("mask_decoder.iou_prediction_head.layers.0", 48, E)
  m:linear("mask_decoder.iou_prediction_head.layers.1", 48, 48)
  m:linear("mask_decoder.iou_prediction_head.layers.2", shape.masks, 48)
end

--- Names and shapes of a whole model of a dialect; `changes` overrides the shape below. "msa-2024" serves for msa-2025
-- too.
function fake.model(dialect, changes)
  local late = dialect == "msa-2024"
  local shape = {
    dim = 24, blocks = 4, heads = 3, patch = 16, grid = 14, window = 5, global = { 1, 3 }, out = 32, decoder_mlp = 40,
      masks = 4,
    position = late and 64 or nil,
    encoder_adapters = dialect ~= "sam", depth_adapters = dialect ~= "sam", decoder_adapters = dialect == "msa-paper",
  }
  for key, value in pairs(changes or {}) do shape[key] = value end
  local m = setmetatable({}, Model)
  local C, E, P = shape.dim, shape.out, shape.patch
  m:add("image_encoder.pos_embed", 1, shape.position or shape.grid, shape.position or shape.grid, C)
  m:add("image_encoder.patch_embed.proj.weight", C, 3, P, P)
  m:add("image_encoder.patch_embed.proj.bias", C)
  blocks(m, shape, late and "rel" or "rel_pos")
  m:add("image_encoder.neck.0.weight", E, C, 1, 1)
  m:affine("image_encoder.neck.1", E)
  m:add("image_encoder.neck.2.weight", E, E, 3, 3)
  m:affine("image_encoder.neck.3", E)
  m:add("prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", 2, E // 2)
  for k = 0, 3 do m:add(("prompt_encoder.point_embeddings.%d.weight"):format(k), 1, E) end
  m:add("prompt_encoder.not_a_point_embed.weight", 1, E)
  m:add("prompt_encoder.no_mask_embed.weight", 1, E)
  m:add("prompt_encoder.mask_downscaling.0.weight", 4, 1, 2, 2)
  m:add("prompt_encoder.mask_downscaling.0.bias", 4)
  m:affine("prompt_encoder.mask_downscaling.1", 4)
  m:add("prompt_encoder.mask_downscaling.3.weight", 16, 4, 2, 2)
  m:add("prompt_encoder.mask_downscaling.3.bias", 16)
  m:affine("prompt_encoder.mask_downscaling.4", 16)
  m:add("prompt_encoder.mask_downscaling.6.weight", E, 16, 1, 1)
  m:add("prompt_encoder.mask_downscaling.6.bias", E)
  decoder(m, shape, late and { lin1 = "mlp.layers.0.0", lin2 = "mlp.fc" } or { lin1 = "mlp.lin1", lin2 = "mlp.lin2" })
  m.said = dialect == "sam" and not shape.lora and "sam" or nil
  return setmetatable(m, nil)
end

--- The entry of a model by name (to change its shape), or nil.
--- Options to import a list with: as given, and of a plain SAM file the dialect, which its tensors do not tell.
function fake.options(list, options)
  if not list.said or options and options.dialect then return options end
  return setmetatable({ dialect = list.said }, { __index = options })
end

function fake.find(model, name)
  for i, one in ipairs(model) do
    if one[1] == name then return one, i end
  end
end

function fake.remove(model, name)
  local _, i = fake.find(model, name)
  table.remove(model, assert(i, name))
  return model
end

function fake.prefixed(model, prefix)
  for _, one in ipairs(model) do one[1] = prefix .. one[1] end
  return model
end

--- The entries that accept(name) is true of.
function fake.only(model, accept)
  local rest = { said = model.said }
  for _, one in ipairs(model) do
    if accept(one[1]) then rest[#rest + 1] = one end
  end
  return rest
end

return fake
