-- SPDX-License-Identifier: Apache-2.0
-- Files of other networks: what they are called, and the marks that tell them. Some share SAM's names in part, so they
-- are asked for before anything else: nobody is sent to look for a --base for them. FAMILIES.md and their public
-- sources have the names.
--
-- A mark is a pattern of a tensor's name, behind any wrapper's prefix; `dims` its number of dimensions (`wanted`: the
-- shape in SAM), `kernel` its last one. A family is told by any one of its marks, or by all where `all` is set.
-- `plain`: only where no name is one of SAM's three parts. The first family that fits is it.
-- Those that are near to SAM may become dialects: "not supported yet by this version".

local near, far = "not supported yet by this version", "no network of Segment Anything's kind"

local families = {
  { name = "SAM-Med3D", say = near, marks = { { "image_encoder%.patch_embed%.proj%.weight$", dims = 5,
    wanted = "[C,3,P,P]" }, { "attn%.rel_pos_d$" } } },
  { name = "SAM 2 or MedSAM2 in transformers' names", say = near, marks = { { "vision_encoder%.backbone%." } } },
  { name = "SAM 2 or MedSAM2", say = near, marks = { { "image_encoder%.trunk%." }, { "memory_attention%." }, {
    "memory_encoder%." },
    { "sam_mask_decoder%." }, { "sam_prompt_encoder%." } } },
  { name = "HQ-SAM", say = near, marks = { { "mask_decoder%.hf_token%." }, { "mask_decoder%.hf_mlp%." }, {
    "mask_decoder%.compress_vit_feat%." },
    { "mask_decoder%.embedding_encoder%." }, { "mask_decoder%.embedding_maskfeature%." } } },
  { name = "EfficientViT-SAM", say = near, marks = { { "image_encoder%.backbone%." } } },
  { name = "SAM-Adapter, with a prompt generator beside the encoder", say = near, marks = { {
    "image_encoder%.prompt_generator%." } } },
  { name = "SAMUS", say = near, marks = { { "image_encoder%.cnn_embed%." }, { "image_encoder%.input_Adapter%." }, {
    "image_encoder%.blocks%.%d+%.attn%.cnn" } } },
  { name = "SAMed's LoRA pairs", say = near, marks = { { "w_a_%d+$" }, { "w_b_%d+$" }, {
    "attn%.qkv%.linear_[ab]_[qv]%." } } },
  { name = "LoRA pairs of PEFT", say = near
    .. " (merge_and_unload() and the model's state_dict() give weights without them)",
    marks = { { "%.lora_[AB]%.[%w_]+%.?[%w]*$" }, { "%.lora_embedding_[AB]" }, { "%.lora_magnitude_vector" }, {
      "%.base_layer%.weight$" } } },
  { name = "FastSAM or another YOLO", say = far, plain = true, marks = { { "model%.%d+%.cv%d+%." }, {
    "model%.%d+%.m%.%d+%." }, { "model%.%d+%.conv%.weight$" } } },
  { name = "nnU-Net", say = far, plain = true, marks = { { "conv_blocks_context%." }, { "decoder%.seg_layers%." }, {
    "encoder%.stages%.%d+%.%d+%.convs%." } } },
  { name = "a U-Net of segmentation-models", say = far, plain = true, all = true, marks = { { "segmentation_head%." }, {
    "decoder%.blocks%." } } },
  { name = "a diffusion model's U-Net", say = far, plain = true, marks = { { "diffusion_model%." }, {
    "mid_block%.resnets%." }, { "down_blocks%.%d+%.resnets%." },
    { "time_embedding%.linear_1%." }, { "first_stage_model%." } } },
  { name = "a U-Net", say = far, plain = true, marks = { { "double_conv%." }, { "outc%.conv%." }, {
    "downs?%.?%d+%.maxpool_conv%." }, { "inc%.conv%." }, { "up%d+%.conv%." },
    { "upconv%d+%." }, { "UNet" } } },
  { name = "TransUNet", say = far, plain = true, marks = { { "transformer%.embeddings%.hybrid_model%." }, {
    "transformer%.embeddings%.patch_embeddings%." } } },
  { name = "UNETR or Swin UNETR", say = far, plain = true, marks = { { "swinViT%." }, { "vit%.patch_embedding%." }, {
    "encoder%d+%.layer%.conv%d" } } },
  { name = "CLIP", say = far, plain = true, marks = { { "visual%.transformer%.resblocks%." }, {
    "text_model%.encoder%.layers%." }, { "vision_model%.encoder%.layers%." },
    { "logit_scale$" } } },
  { name = "DINOv2", say = far, plain = true, marks = { { "blocks%.%d+%.ls1%.gamma$" }, { "register_tokens$" }, {
    "encoder%.layer%.%d+%.layer_scale1%." } } },
  { name = "a ViT of torchvision", say = far, plain = true, marks = { { "encoder%.layers%.encoder_layer_%d+%." }, {
    "class_token$" } } },
  { name = "a Swin Transformer", say = far, plain = true, marks = { { "relative_position_bias_table$" } } },
  { name = "a Vision Transformer alone (timm, MAE, DINO)", say = far
    .. "; of SAM it is at most the backbone before training", plain = true,
    marks = { { "blocks%.%d+%.attn%.qkv%.weight$" }, { "cls_token$" }, { "vit%.embeddings%." } } },
  { name = "a detector of torchvision", say = far, plain = true, marks = { { "backbone%.body%." }, { "rpn%.head%." }, {
    "roi_heads%." } } },
  { name = "a ResNet", say = far, plain = true, marks = { { "layer%d%.%d+%.conv%d%.weight$" }, {
    "layer%d%.%d+%.downsample%.%d%." } } },
}

-- Whether a tensor's name, from the beginning of one of its words on, is the mark's.
local function shows(mark, one)
  if not ("." .. one.name):find("%." .. mark[1]:gsub("^%%%.", "")) then return false end
  local shape = one.shape
  return (not mark.dims or #shape == mark.dims) and (not mark.kernel or shape[#shape] == mark.kernel)
end

local function find(mark, list)
  for _, one in ipairs(list) do
    if shows(mark, one) then return one end
  end
end

-- The tensor by which a file is told to be of a family, and the mark that it shows; or nil.
local function told_by(family, list)
  local first, by
  for _, mark in ipairs(family.marks) do
    local one = find(mark, list)
    if one and not family.all then return one, mark end
    if not one and family.all then return nil end
    if not first then first, by = one, mark end
  end
  return first, by
end

local function has_parts(list)
  for _, one in ipairs(list) do
    local name = "." .. one.name
    if name:find "%.image_encoder%." or name:find "%.prompt_encoder%."
      or name:find "%.mask_decoder%." then return true end
  end
  return false
end

return {
  table = families,
  --- The family that a file's tensors ({ name =, shape = } each) are of, the tensor that tells it and the mark that it
  -- shows; nil for what may be SAM's or MSA's.
  of = function(list)
    local parts = has_parts(list)
    for _, family in ipairs(families) do
      if not (family.plain and parts) then
        local one, mark = told_by(family, list)
        if one then return family, one, mark end
      end
    end
  end,
}
