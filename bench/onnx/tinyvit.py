# SPDX-License-Identifier: Apache-2.0
"""MobileSAM's image encoder, a TinyViT, as ONNX: convolutions on [1,C,h,w] with batch norms of their own behind them,
which a runtime folds; attention on windows [n,tokens,C], padded at the bottom and right before their norm; a table of
distances gathered for each pair of places, a constant."""
from graph import Network, np

WINDOWED = (1, 2, 3)  # stages with attention


class TinyViT(Network):
    def convolution(self, x, name, stride=1):
        """A convolution and its batch norm."""
        g, side = self.g, self.w[name + ".c.weight"].shape[2]
        groups = self.w[name + ".c.weight"].shape[0] if self.w[name + ".c.weight"].shape[1] == 1 else 1
        x = g.add("Conv", x, self.weight(name + ".c.weight"), strides=[stride, stride], pads=[side // 2] * 4,
                  group=groups)
        norm = [self.weight(f"{name}.bn.{part}") for part in ("weight", "bias", "running_mean", "running_var")]
        return g.add("BatchNormalization", x, *norm, epsilon=1e-5)

    def inverted_residual(self, x, name):
        y = self.gelu(self.convolution(x, name + ".conv1"))
        y = self.gelu(self.convolution(y, name + ".conv2"))
        return self.gelu(self.g.add("Add", x, self.convolution(y, name + ".conv3")))

    def merging(self, x, name, stride):
        y = self.gelu(self.convolution(x, name + ".conv1"))
        y = self.gelu(self.convolution(y, name + ".conv2", stride))
        return self.convolution(y, name + ".conv3")

    def biases(self, name, side):
        """[1,heads,tokens,tokens]"""
        places = np.arange(side * side)
        down = np.abs(places[:, None] // side - places[None, :] // side)
        across = np.abs(places[:, None] % side - places[None, :] % side)
        return self.weight(name, lambda table: table[:, down * side + across][None])

    def attention(self, x, name, windows, side):
        """x [windows,tokens,C]"""
        g = self.g
        heads, width = self.w[name + ".attention_biases"].shape[0], self.w[name + ".norm.weight"].shape[0]
        d, tokens = width // heads, side * side
        x = self.layer_norm(x, name + ".norm", 1e-5)
        qkv = g.reshape(self.linear(x, name + ".qkv"), windows, tokens, heads, 3 * d)
        parts = g.add("Split", qkv, outputs=3, axis=3)
        q, k, v = [g.add("Transpose", part, perm=[0, 2, 1, 3]) for part in parts]
        logits = g.add("Mul", g.add("MatMul", q, g.add("Transpose", k, perm=[0, 1, 3, 2])), g.scalar(d ** -0.5))
        weights = g.add("Softmax", g.add("Add", logits, self.biases(name + ".attention_biases", side)), axis=-1)
        out = g.add("Transpose", g.add("MatMul", weights, v), perm=[0, 2, 1, 3])
        return self.linear(g.reshape(out, windows, tokens, width), name + ".proj")

    def windowed(self, x, name, grid, side, width):
        """Attention on tokens [1,grid*grid,width], in windows."""
        g, along = self.g, -(-grid // side)
        padded = along * side
        if grid == side:
            return self.attention(x, name, 1, side)
        x = g.reshape(x, 1, grid, grid, width)
        if padded > grid:
            x = g.add("Pad", x, g.integers(0, 0, 0, 0, 0, padded - grid, padded - grid, 0))
        x = g.add("Transpose", g.reshape(x, 1, along, side, along, side, width), perm=[0, 1, 3, 2, 4, 5])
        x = self.attention(g.reshape(x, along * along, side * side, width), name, along * along, side)
        x = g.add("Transpose", g.reshape(x, 1, along, along, side, side, width), perm=[0, 1, 3, 2, 4, 5])
        x = g.reshape(x, 1, padded, padded, width)
        if padded > grid:
            x = g.add("Slice", x, g.integers(0, 0), g.integers(grid, grid), g.integers(1, 2))
        return g.reshape(x, 1, grid * grid, width)

    def block(self, x, name, grid):
        g = self.g
        width, places = self.w[name + ".attn.norm.weight"].shape[0], self.w[name + ".attn.attention_biases"].shape[1]
        x = g.add("Add", x, self.windowed(x, name + ".attn", grid, int(round(places ** 0.5)), width))
        x = g.reshape(g.add("Transpose", x, perm=[0, 2, 1]), 1, width, grid, grid)
        x = self.tokens(self.convolution(x, name + ".local_conv"), grid, width)
        hidden = self.gelu(self.linear(self.layer_norm(x, name + ".mlp.norm", 1e-5), name + ".mlp.fc1"))
        return g.add("Add", x, self.linear(hidden, name + ".mlp.fc2"))

    def tokens(self, x, grid, width):
        return self.g.add("Transpose", self.g.reshape(x, 1, width, grid * grid), perm=[0, 2, 1])

    def blocks(self, stage):
        prefix = f"layers.{stage}.blocks."
        return 1 + max(int(name[len(prefix):].split(".")[0]) for name in self.w if name.startswith(prefix))

    def model(self, size):
        g, stride = self.g, 2 if self.w["patch_embed.seq.0.c.weight"].shape[2] == 3 else 1
        x = self.convolution("image", "patch_embed.seq.0", stride)
        x, grid = self.convolution(self.gelu(x), "patch_embed.seq.2", stride), size // stride // stride
        for i in range(self.blocks(0)):
            x = self.inverted_residual(x, f"layers.0.blocks.{i}")
        for stage, step in zip(WINDOWED, (2, 2, 1)):
            x, grid = self.merging(x, f"layers.{stage - 1}.downsample", step), -(-grid // step)
            width = self.w[f"layers.{stage}.blocks.0.attn.norm.weight"].shape[0]
            x = self.tokens(x, grid, width)
            for i in range(self.blocks(stage)):
                x = self.block(x, f"layers.{stage}.blocks.{i}", grid)
            x = g.reshape(g.add("Transpose", x, perm=[0, 2, 1]), 1, width, grid, grid)
        return self.finish(self.neck(x), size, grid)
