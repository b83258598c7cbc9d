# SPDX-License-Identifier: Apache-2.0
"""One training step of Medical SAM Adapter (dialect msa-2025) by PyTorch, for bench/train.lua.

step.py CHECKPOINT.safetensors SIDE THREADS TARGET_SIDE [BLOCKS]

The image encoder's adapters and the mask decoder train, all else is frozen; one click, binary cross-entropy of positive
weight 2 on logits enlarged to TARGET_SIDE, Adam. With BLOCKS only the first so many blocks of the encoder are there.
Commands come by standard input, a line each, and are answered with a line of numbers:
  image PATH        raw bytes, SIDE * SIDE * 3
  target PATH       raw bytes, TARGET_SIDE * TARGET_SIDE, each 0 or 1
  step              answers: loss, ms by the clock and of the processor, peak memory in KiB
  gradient PATH     writes the last step's gradients, in the order of `names`, as raw floats; answers how many
  names             answers the trained tensors: each its name and how many numbers it has
"""
import json
import math
import struct
import sys
import time

import numpy
import torch
import torch.nn.functional as F

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
WINDOW, PATCH = 14, 16
LEARNING_RATE = 1e-4


def load(path):
    tensors = {}
    with open(path, "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        header = json.loads(f.read(size))
        header.pop("__metadata__", None)
        for name, entry in header.items():
            first, last = entry["data_offsets"]
            f.seek(8 + size + first)
            data = numpy.frombuffer(f.read(last - first), dtype="<f4").reshape(entry["shape"])
            tensors[name] = torch.from_numpy(data.copy())
    return tensors


class Tensors:
    """The tensors below a name."""

    def __init__(self, all_tensors, prefix):
        self.all, self.prefix = all_tensors, prefix

    def at(self, name):
        return Tensors(self.all, self.prefix + name + ".")

    def __getitem__(self, name):
        return self.all[self.prefix + name]

    def linear(self, name, x):
        return F.linear(x, self[name + ".weight"], self[name + ".bias"])

    def norm(self, name, x, eps):
        weight = self[name + ".weight"]
        return F.layer_norm(x, weight.shape, weight, self[name + ".bias"], eps)


def adapter(p, x):
    return p.linear("D_fc2", F.gelu(p.linear("D_fc1", x)))


def relative(table, side):
    """Rows of a table of relative positions for each pair of places: [side, side, d]."""
    if table.shape[0] != 2 * side - 1:
        table = F.interpolate(table.t()[None], size=2 * side - 1, mode="linear")[0].t()
    at = torch.arange(side)
    return table[at[:, None] - at[None, :] + side - 1]


def encoder_attention(p, x, heads):
    """x [sets, side, side, C] -> the same."""
    sets, side, _, width = x.shape
    d = width // heads
    qkv = p.linear("qkv", x).reshape(sets, side * side, 3, heads, d).permute(2, 0, 3, 1, 4)
    q, k, v = qkv.reshape(3, sets * heads, side * side, d).unbind(0)
    logits = (q * (1 / math.sqrt(d))) @ k.transpose(1, 2)
    places = q.reshape(sets * heads, side, side, d)
    down = torch.einsum("nyxc,ykc->nyxk", places, relative(p["rel_h"], side))
    across = torch.einsum("nyxc,xkc->nyxk", places, relative(p["rel_w"], side))
    logits = logits.view(-1, side, side, side, side) + down[..., :, None] + across[..., None, :]
    o = logits.view(-1, side * side, side * side).softmax(dim=-1) @ v
    o = o.view(sets, heads, side, side, d).permute(0, 2, 3, 1, 4).reshape(sets, side, side, width)
    return p.linear("proj", o)


def block(p, x, heads, windowed):
    grid = x.shape[1]
    inner = x
    if windowed:
        count = -(-grid // WINDOW)
        pad = count * WINDOW - grid
        inner = F.pad(x, (0, 0, 0, pad, 0, pad)).view(count, WINDOW, count, WINDOW, -1)
        inner = inner.permute(0, 2, 1, 3, 4).reshape(count * count, WINDOW, WINDOW, -1)
    y = encoder_attention(p.at("attn"), p.norm("norm1", inner, 1e-6), heads)
    y = y + adapter(p.at("Space_Adapter"), y)
    if windowed:
        y = y.view(count, count, WINDOW, WINDOW, -1).permute(0, 2, 1, 3, 4)
        y = y.reshape(1, count * WINDOW, count * WINDOW, -1)[:, :grid, :grid]
    x = x + y
    n = p.norm("norm2", x, 1e-6)
    y = p.at("mlp").linear("lin2", F.gelu(p.at("mlp").linear("lin1", n)))
    return x + y + 0.5 * adapter(p.at("MLP_Adapter"), n)


def channel_norm(p, name, x):
    return p.norm(name, x.permute(0, 2, 3, 1), 1e-6).permute(0, 3, 1, 2)


def encode(p, picture, blocks):
    x = (picture - torch.tensor(MEAN)) / torch.tensor(STD)
    x = F.conv2d(x.permute(2, 0, 1)[None], p["patch_embed.proj.weight"], p["patch_embed.proj.bias"], stride=PATCH)
    grid = x.shape[2]
    position = p["pos_embed"].permute(0, 3, 1, 2)
    if position.shape[2] != grid:
        position = F.interpolate(position, size=(grid, grid), mode="bicubic", align_corners=False)
    x = (x + position).permute(0, 2, 3, 1)
    depth = 1 + max(int(name.split(".")[2]) for name in p.all if name.startswith("image_encoder.blocks."))
    windows = 2 * WINDOW - 1
    for i in range(min(depth, blocks)):
        at = p.at("blocks.%d" % i)
        d = at["attn.rel_h"].shape[1]
        x = block(at, x, x.shape[-1] // d, at["attn.rel_h"].shape[0] == windows)
    x = channel_norm(p, "neck.1", F.conv2d(x.permute(0, 3, 1, 2), p["neck.0.weight"]))
    return channel_norm(p, "neck.3", F.conv2d(x, p["neck.2.weight"], padding=1))


def features(p, places):
    """Fourier features of places [..., 2] in 0..1."""
    angles = 2 * math.pi * ((2 * places - 1) @ p["pe_layer.positional_encoding_gaussian_matrix"])
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def attend(p, q, k, v, heads=8):
    def parted(x):
        return x.view(x.shape[0], heads, -1).transpose(0, 1)

    q, k, v = (parted(p.linear(name, x)) for name, x in (("q_proj", q), ("k_proj", k), ("v_proj", v)))
    o = (q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])).softmax(dim=-1) @ v
    return p.linear("out_proj", o.transpose(0, 1).reshape(o.shape[1], -1))


def perceive(p, x):
    for i in range(3):
        x = p.linear("layers.%d" % i, x)
        if i < 2:
            x = F.relu(x)
    return x


def two_way(p, tokens, keys, position):
    queries = tokens
    for i in range(2):
        at = p.at("layers.%d" % i)
        if i > 0:
            queries = queries + tokens
        queries = at.norm("norm1", queries + attend(at.at("self_attn"), queries, queries, queries), 1e-5)
        y = attend(at.at("cross_attn_token_to_image"), queries + tokens, keys + position, keys)
        queries = at.norm("norm2", queries + y, 1e-5)
        y = at.linear("mlp.fc", F.relu(at.linear("mlp.layers.0.0", queries)))
        queries = at.norm("norm3", queries + y, 1e-5)
        y = attend(at.at("cross_attn_image_to_token"), keys + position, queries + tokens, queries)
        keys = at.norm("norm4", keys + y, 1e-5)
    y = attend(p.at("final_attn_token_to_image"), queries + tokens, keys + position, keys)
    return p.norm("norm_final_attn", queries + y, 1e-5), keys


def decode(prompts, p, embedding, click, side):
    with torch.no_grad():
        grid = embedding.shape[2]
        place = features(prompts, (torch.tensor([click]) + 0.5) / side) + prompts["point_embeddings.1.weight"]
        at = (torch.arange(grid) + 0.5) / grid
        y, x = torch.meshgrid(at, at, indexing="ij")
        position = features(prompts, torch.stack([x, y], dim=-1)).view(grid * grid, -1)
    tokens = torch.cat([p["iou_token.weight"], p["mask_tokens.weight"], place, prompts["not_a_point_embed.weight"]])
    keys = embedding[0].flatten(1).t() + prompts["no_mask_embed.weight"]
    queries, keys = two_way(p.at("transformer"), tokens, keys, position)
    up = p.at("output_upscaling")
    x = F.conv_transpose2d(keys.t().reshape(1, -1, grid, grid), up["0.weight"], up["0.bias"], stride=2)
    x = F.gelu(channel_norm(up, "1", x))
    x = F.gelu(F.conv_transpose2d(x, up["3.weight"], up["3.bias"], stride=2))
    masks = p["mask_tokens.weight"].shape[0]
    hyper = torch.stack([perceive(p.at("output_hypernetworks_mlps.%d" % m), queries[1 + m]) for m in range(masks)])
    logits = (hyper @ x[0].flatten(1)).view(masks, 4 * grid, 4 * grid)
    return logits, perceive(p.at("iou_prediction_head"), queries[0])


def peak_kib():
    with open("/proc/self/status") as f:
        return int(next(line for line in f if line.startswith("VmHWM")).split()[1])


def main():
    path, side, threads, target_side = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    blocks = int(sys.argv[5]) if len(sys.argv) > 5 else 1 << 30
    torch.set_num_threads(threads)
    tensors = load(path)
    trained = {}
    for name, value in tensors.items():
        in_encoder = name.startswith("image_encoder.")
        if name.startswith("mask_decoder.") or in_encoder and "Adapter" in name:
            trained[name] = value.requires_grad_()
    optimiser = torch.optim.Adam(trained.values(), lr=LEARNING_RATE)
    encoder, prompts, masks = (Tensors(tensors, name + ".") for name in
                               ("image_encoder", "prompt_encoder", "mask_decoder"))
    picture = target = None

    def step():
        start, busy = time.monotonic(), time.process_time()
        optimiser.zero_grad(set_to_none=True)
        embedding = encode(encoder, picture.float(), blocks)
        logits, _ = decode(prompts, masks, embedding, (side / 2, side / 2), side)
        enlarged = logits[None, :1]
        if enlarged.shape[-1] != target_side:
            enlarged = F.interpolate(enlarged, size=(target_side, target_side), mode="bilinear", align_corners=False)
        loss = F.binary_cross_entropy_with_logits(enlarged[0], target.float(), pos_weight=torch.tensor(2.0))
        loss.backward()
        optimiser.step()
        took, used = time.monotonic() - start, time.process_time() - busy
        return "%.9g %.3f %.3f %d" % (loss.item(), took * 1e3, used * 1e3, peak_kib())

    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        if word == "image":
            picture = torch.from_numpy(numpy.fromfile(rest, dtype="u1").reshape(side, side, 3).copy())
            print("image")
        elif word == "target":
            target = torch.from_numpy(numpy.fromfile(rest, dtype="u1").reshape(1, target_side, target_side).copy())
            print("target")
        elif word == "step":
            print(step())
        elif word == "gradient":
            with open(rest, "wb") as f:
                for value in trained.values():
                    gradient = value.grad if value.grad is not None else torch.zeros_like(value)
                    f.write(gradient.contiguous().numpy().astype("<f4").tobytes())
            print(sum(value.numel() for value in trained.values()))
        elif word == "names":
            print(" ".join("%s %d" % (name, value.numel()) for name, value in trained.items()))
        sys.stdout.flush()


main()
