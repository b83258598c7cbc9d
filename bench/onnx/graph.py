# SPDX-License-Identifier: Apache-2.0
"""What the encoders as ONNX share: a file's tensors, a graph under construction, and what their programs have alike.
Needs python3-onnx and python3-numpy."""
import json
import math
import sys

try:
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper
except ImportError as missing:
    sys.exit(f"encoder.py: {missing.name}: not found; install Debian's python3-onnx and python3-numpy, "
             "and use Debian's python3")


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


class Network:
    """A graph whose constants are a checkpoint's tensors; with precision "int8" linear layers as ONNX Runtime's dynamic
    quantisation writes them: the input to uint8 as a whole, weights to int8 by output."""

    def __init__(self, weights, precision="f32"):
        self.w, self.g, self.precision = weights, Graph(), precision

    def weight(self, name, transform=lambda t: t):
        return self.g.constant(name, transform(self.w[name]))

    def product(self, x, name):
        """x by the weight [in,out]"""
        if self.precision == "f32":
            return self.g.add("MatMul", x, self.weight(name, np.transpose))
        g, weight = self.g, np.asarray(self.w[name]).T
        scale = np.maximum(np.abs(weight).max(axis=0) / 127, 1e-30).astype(np.float32)
        levels = g.constant(name + ".int8", np.rint(weight / scale).astype(np.int8))
        zeros = g.constant(name + ".zero", np.zeros(len(scale), np.int8))
        quantised, of_x, zero = g.add("DynamicQuantizeLinear", x, outputs=3)
        sums = g.add("Cast", g.add("MatMulInteger", quantised, levels, zero, zeros), to=TensorProto.FLOAT)
        return g.add("Mul", sums, g.add("Mul", of_x, g.constant(name + ".scale", scale)))

    def linear(self, x, name):
        return self.g.add("Add", self.product(x, name + ".weight"), self.weight(name + ".bias"))

    def layer_norm(self, x, name, epsilon=1e-6):
        return self.g.add("LayerNormalization", x, self.weight(name + ".weight"), self.weight(name + ".bias"),
                          axis=-1, epsilon=epsilon)

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

    def neck(self, x):
        """x [1,C,g,g]"""
        g = self.g
        x = self.layer_norm_2d(g.add("Conv", x, self.weight("neck.0.weight")), "neck.1")
        return self.layer_norm_2d(g.add("Conv", x, self.weight("neck.2.weight"), pads=[1, 1, 1, 1]), "neck.3")

    def finish(self, x, size, grid):
        """The model that gives x, [1,out,grid,grid], of an image [1,3,size,size]."""
        out = self.w["neck.0.weight"].shape[0]
        self.g.nodes.append(helper.make_node("Identity", [x], ["embedding"], name="embedding"))
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                for name, shape in (("image", [1, 3, size, size]), ("embedding", [1, out, grid, grid]))]
        constants = [numpy_helper.from_array(value, name) for name, value in self.g.constants.items()]
        graph = helper.make_graph(self.g.nodes, "image_encoder", ends[:1], ends[1:], constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="msagen bench",
                                 ir_version=8)
