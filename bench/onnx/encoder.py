# SPDX-License-Identifier: Apache-2.0
"""An image encoder as ONNX, as an export of the original program would be: SAM's, EfficientSAM's, or a TinyViT
(tinyvit.py).

encoder.py CHECKPOINT.safetensors IMAGE.npy OUT [f32|int8] writes OUT.onnx with its weights beside it (OUT.weights, to
be mapped), and OUT.input, the image uint8 [S,S,3] normalised: float32 [1,3,S,S]. The layout is SAM's: tokens [1,g,g,C],
windows of 14 padded at the bottom and right, q, k and v in one product, the whole attention matrix of a head with
relative positions added, exact GELU. Positions depend on weights and shapes alone: their gathered tables are constants,
as an exporter's constant folding leaves them. With int8 the linear layers of the blocks are quantised."""
import sys

from graph import Network, np, read_checkpoint
from tinyvit import TinyViT
import onnx

WINDOW = 14
GLOBAL = {12: (2, 5, 8, 11), 24: (5, 11, 17, 23), 32: (7, 15, 23, 31)}
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def bicubic(length, size):
    """The matrix [size,length] of cubic convolution, a = -0.75, pixel centres."""
    matrix = np.zeros((size, length))
    for i in range(size):
        place = (i + 0.5) * length / size - 0.5
        low = int(np.floor(place))
        for k in range(-1, 3):
            x = abs(place - low - k)
            share = (1.25 * x - 2.25) * x * x + 1 if x <= 1 else ((-0.75 * x + 3.75) * x - 6) * x + 3
            matrix[i, min(max(low + k, 0), length - 1)] += share
    return matrix


class ViT(Network):
    def positions(self, grid):
        """pos_embed [1,g,g,C]; EfficientSAM's begins with a class token's, and is brought to the grid."""
        table = self.w["pos_embed"]
        if table.ndim == 4:
            return table
        side = int(round((table.shape[1] - 1) ** 0.5))
        to_grid = bicubic(side, grid)
        places = table[0, 1:].reshape(side, side, -1).astype(np.float64)
        return np.einsum("yi,xj,ijc->yxc", to_grid, to_grid, places).astype(np.float32)[None]

    def attention(self, x, name, windows, side, width):
        """x [windows,side,side,width]"""
        g, heads = self.g, width // 64
        d, tokens, batch = width // heads, side * side, windows * heads
        qkv = g.reshape(self.linear(x, name + ".qkv"), windows, tokens, 3, heads, d)
        qkv = g.reshape(g.add("Transpose", qkv, perm=[2, 0, 3, 1, 4]), 3, batch, tokens, d)
        q, k, v = [g.add("Squeeze", part, g.integers(0)) for part in g.add("Split", qkv, outputs=3, axis=0)]
        logits = g.add("MatMul", g.add("Mul", q, g.scalar(d ** -0.5)), g.add("Transpose", k, perm=[0, 2, 1]))
        if name + ".rel_pos_h" in self.w:
            logits = self.relative(logits, q, name, batch, side, d)
        weights = g.add("Softmax", logits, axis=-1)
        out = g.reshape(g.add("MatMul", weights, v), windows, heads, side, side, d)
        out = g.reshape(g.add("Transpose", out, perm=[0, 2, 3, 1, 4]), windows, side, side, width)
        return self.linear(out, name + ".proj")

    def relative(self, logits, q, name, batch, side, d):
        """Logits [batch,tokens,tokens] with relative positions added."""
        g, tokens = self.g, side * side
        index = np.arange(side)[:, None] - np.arange(side)[None, :] + side - 1
        # [side, d, side]: a matrix for each row, or column, of queries
        gather = lambda table: table[index].transpose(0, 2, 1)
        grid = g.reshape(q, batch, side, side, d)
        rel_h = g.add("MatMul", grid, self.weight(name + ".rel_pos_h", gather))
        rel_w = g.add("MatMul", g.add("Transpose", grid, perm=[0, 2, 1, 3]), self.weight(name + ".rel_pos_w", gather))
        rel_w = g.add("Transpose", rel_w, perm=[0, 2, 1, 3])
        logits = g.reshape(logits, batch, side, side, side, side)
        logits = g.add("Add", logits, g.reshape(rel_h, batch, side, side, side, 1))
        logits = g.add("Add", logits, g.reshape(rel_w, batch, side, side, 1, side))
        return g.reshape(logits, batch, tokens, tokens)

    def windowed(self, x, name, side, width):
        """Padding, attention in each window, and back; x [1,side,side,width]"""
        g, along = self.g, -(-side // WINDOW)
        padded = along * WINDOW
        if padded > side:
            x = g.add("Pad", x, g.integers(0, 0, 0, 0, 0, padded - side, padded - side, 0))
        x = g.add("Transpose", g.reshape(x, 1, along, WINDOW, along, WINDOW, width), perm=[0, 1, 3, 2, 4, 5])
        x = self.attention(g.reshape(x, along * along, WINDOW, WINDOW, width), name, along * along, WINDOW, width)
        x = g.add("Transpose", g.reshape(x, 1, along, along, WINDOW, WINDOW, width), perm=[0, 1, 3, 2, 4, 5])
        x = g.reshape(x, 1, padded, padded, width)
        if padded > side:
            x = g.add("Slice", x, g.integers(0, 0), g.integers(side, side), g.integers(1, 2))
        return x

    def block(self, x, number, blocks, side, width):
        g, name = self.g, f"blocks.{number}"
        n = self.layer_norm(x, name + ".norm1")
        if name + ".attn.rel_pos_h" not in self.w or number in GLOBAL[blocks]:
            a = self.attention(n, name + ".attn", 1, side, width)
        else:
            a = self.windowed(n, name + ".attn", side, width)
        x = g.add("Add", x, a)
        first, second = ("fc1", "fc2") if name + ".mlp.fc1.weight" in self.w else ("lin1", "lin2")
        hidden = self.gelu(self.linear(self.layer_norm(x, name + ".norm2"), f"{name}.mlp.{first}"))
        return g.add("Add", x, self.linear(hidden, f"{name}.mlp.{second}"))

    def model(self, size):
        g = self.g
        width, _, patch, _ = self.w["patch_embed.proj.weight"].shape
        side = size // patch
        blocks = 1 + max(int(name.split(".")[1]) for name in self.w if name.startswith("blocks."))
        x = g.add("Conv", "image", self.weight("patch_embed.proj.weight"), self.weight("patch_embed.proj.bias"),
                  strides=[patch, patch])
        x = g.add("Add", g.add("Transpose", x, perm=[0, 2, 3, 1]), g.constant("positions", self.positions(side)))
        for number in range(blocks):
            x = self.block(x, number, blocks, side, width)
        return self.finish(self.neck(g.add("Transpose", x, perm=[0, 3, 1, 2])), size, side)


def normalised(image, pointwise):
    """A picture's bytes as LiteMedSAM has them, whose patches are of one pixel, or as SAM."""
    image = image.astype(np.float64)
    if pointwise:
        return (image - image.min()) / max(image.max() - image.min(), 1e-8)
    return (image - MEAN) / STD


def main(checkpoint, image_path, out, precision="f32"):
    weights, image = read_checkpoint(checkpoint), np.load(image_path)
    stem = weights.get("patch_embed.seq.0.c.weight")
    model = (ViT if stem is None else TinyViT)(weights, precision).model(image.shape[1])
    folder, _, name = out.rpartition("/")
    path = (folder + "/" if folder else "") + name + ".weights"
    open(path, "wb").close()  # onnx appends
    onnx.save_model(model, out + ".onnx", save_as_external_data=True, all_tensors_to_one_file=True,
                    location=name + ".weights")
    normal = normalised(image, stem is not None and stem.shape[2] == 1)
    normal.transpose(2, 0, 1)[None].astype("<f4").tofile(out + ".input")


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5) or sys.argv[4:] not in ([], ["f32"], ["int8"]):
        sys.exit("usage: encoder.py CHECKPOINT.safetensors IMAGE.npy OUT [f32|int8]")
    main(*sys.argv[1:])
