# SPDX-License-Identifier: Apache-2.0
"""SAM's image encoder as ONNX, as an export of the original program would be.

encoder.py CHECKPOINT.safetensors IMAGE.npy OUT writes OUT.onnx with its weights beside it (OUT.weights, to be mapped),
and OUT.input, the image uint8 [S,S,3] normalised: float32 [1,3,S,S]. Needs python3-onnx and python3-numpy. The layout
is SAM's: tokens [1,g,g,C], windows of 14 padded at the bottom and right, q, k and v in one product, the whole attention
matrix of a head with relative positions added, exact GELU. Positions depend on weights and shapes alone: their gathered
tables are constants, as an exporter's constant folding leaves them."""
import json
import math
import sys

try:
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError as missing:
    sys.exit(f"encoder.py: {missing.name}: not found; install Debian's python3-onnx and python3-numpy, "
             "and use Debian's python3")

WINDOW = 14
GLOBAL = {12: (2, 5, 8, 11), 24: (5, 11, 17, 23), 32: (7, 15, 23, 31)}
HEADS = {768: 12, 1024: 16, 1280: 16}
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def read_checkpoint(path):
    """Tensors of the encoder by SAM's names, mapped."""
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    data = np.memmap(path, dtype=np.uint8, mode="r", offset=8 + size)
    prefix, tensors = "image_encoder.", {}
    for name, entry in header.items():
        if name.startswith(prefix):
            first, last = entry["data_offsets"]
            tensors[name[len(prefix):]] = data[first:last].view("<f4").reshape(entry["shape"])
    return tensors


class Graph:
    """Nodes in order and constants; add() returns the name of the new value."""

    def __init__(self):
        self.nodes, self.constants, self.count = [], {}, 0

    def add(self, kind, *inputs, outputs=1, **attributes):
        self.count += 1
        names = [f"{kind}_{self.count}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=f"{kind}_{self.count}", **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, name, value):
        self.constants[name] = np.ascontiguousarray(value)
        return name

    def scalar(self, value):
        return self.constant(f"scalar_{value!r}", np.array(value, np.float32))

    def integers(self, *values):
        return self.constant("shape_" + "_".join(map(str, values)), np.array(values, np.int64))

    def reshape(self, x, *shape):
        return self.add("Reshape", x, self.integers(*shape))


class Encoder:
    def __init__(self, weights):
        self.w, self.g = weights, Graph()

    def weight(self, name, transform=lambda t: t):
        return self.g.constant(name, transform(self.w[name]))

    def linear(self, x, name):
        product = self.g.add("MatMul", x, self.weight(name + ".weight", np.transpose))
        return self.g.add("Add", product, self.weight(name + ".bias"))

    def layer_norm(self, x, name):
        return self.g.add("LayerNormalization", x, self.weight(name + ".weight"), self.weight(name + ".bias"),
                          axis=-1, epsilon=1e-6)

    def layer_norm_2d(self, x, name):
        """Over the channels of [1,E,g,g], spelt out as in SAM."""
        g = self.g
        centred = g.add("Sub", x, g.add("ReduceMean", x, axes=[1]))
        variance = g.add("ReduceMean", g.add("Pow", centred, g.scalar(2.0)), axes=[1])
        normal = g.add("Div", centred, g.add("Sqrt", g.add("Add", variance, g.scalar(1e-6))))
        column = lambda t: t[:, None, None]
        return g.add("Add", g.add("Mul", normal, self.weight(name + ".weight", column)),
                     self.weight(name + ".bias", column))

    def gelu(self, x):
        g = self.g
        error = g.add("Erf", g.add("Div", x, g.scalar(math.sqrt(2.0))))
        return g.add("Mul", g.add("Mul", x, g.add("Add", error, g.scalar(1.0))), g.scalar(0.5))

    def attention(self, x, name, windows, side, width):
        """x [windows,side,side,width]"""
        g, heads = self.g, HEADS[width]
        d, tokens, batch = width // heads, side * side, windows * heads
        qkv = g.reshape(self.linear(x, name + ".qkv"), windows, tokens, 3, heads, d)
        qkv = g.reshape(g.add("Transpose", qkv, perm=[2, 0, 3, 1, 4]), 3, batch, tokens, d)
        q, k, v = [g.add("Squeeze", part, g.integers(0)) for part in g.add("Split", qkv, outputs=3, axis=0)]
        logits = g.add("MatMul", g.add("Mul", q, g.scalar(d ** -0.5)), g.add("Transpose", k, perm=[0, 2, 1]))
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
        weights = g.add("Softmax", g.reshape(logits, batch, tokens, tokens), axis=-1)
        out = g.reshape(g.add("MatMul", weights, v), windows, heads, side, side, d)
        out = g.reshape(g.add("Transpose", out, perm=[0, 2, 3, 1, 4]), windows, side, side, width)
        return self.linear(out, name + ".proj")

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
        if number in GLOBAL[blocks]:
            a = self.attention(n, name + ".attn", 1, side, width)
        else:
            a = self.windowed(n, name + ".attn", side, width)
        x = g.add("Add", x, a)
        hidden = self.gelu(self.linear(self.layer_norm(x, name + ".norm2"), name + ".mlp.lin1"))
        return g.add("Add", x, self.linear(hidden, name + ".mlp.lin2"))

    def model(self):
        g = self.g
        _, side, _, width = self.w["pos_embed"].shape
        patch, out = self.w["patch_embed.proj.weight"].shape[2], self.w["neck.0.weight"].shape[0]
        blocks = 1 + max(int(name.split(".")[1]) for name in self.w if name.startswith("blocks."))
        x = g.add("Conv", "image", self.weight("patch_embed.proj.weight"), self.weight("patch_embed.proj.bias"),
                  strides=[patch, patch])
        x = g.add("Add", g.add("Transpose", x, perm=[0, 2, 3, 1]), self.weight("pos_embed"))
        for number in range(blocks):
            x = self.block(x, number, blocks, side, width)
        x = g.add("Transpose", x, perm=[0, 3, 1, 2])
        x = self.layer_norm_2d(g.add("Conv", x, self.weight("neck.0.weight")), "neck.1")
        x = self.layer_norm_2d(g.add("Conv", x, self.weight("neck.2.weight"), pads=[1, 1, 1, 1]), "neck.3")
        g.nodes.append(helper.make_node("Identity", [x], ["embedding"], name="embedding"))
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                for name, shape in (("image", [1, 3, side * patch, side * patch]), ("embedding", [1, out, side, side]))]
        constants = [numpy_helper.from_array(value, name) for name, value in g.constants.items()]
        graph = helper.make_graph(g.nodes, "image_encoder", ends[:1], ends[1:], constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="msagen bench",
                                 ir_version=8)


def main(checkpoint, image_path, out):
    model = Encoder(read_checkpoint(checkpoint)).model()
    folder, _, stem = out.rpartition("/")
    weights = (folder + "/" if folder else "") + stem + ".weights"
    open(weights, "wb").close()  # onnx appends
    onnx.save_model(model, out + ".onnx", save_as_external_data=True, all_tensors_to_one_file=True,
                    location=stem + ".weights")
    image = np.load(image_path)
    normal = (image.astype(np.float64) - MEAN) / STD
    normal.transpose(2, 0, 1)[None].astype("<f4").tofile(out + ".input")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: encoder.py CHECKPOINT.safetensors IMAGE.npy OUT")
    main(*sys.argv[1:])
