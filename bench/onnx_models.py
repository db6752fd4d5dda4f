"""The networks of torch_models.py as ONNX files with random weights, for ONNX Runtime
and OpenVINO. Needs numpy alone, for it writes the files itself.

    python3 onnx_models.py resnet50.onnx --model resnet50 --size 224

Batch norms are nodes of their own, which both programs fold into the convolutions when
they open the file, and the number of images is left open.
"""
import argparse
import struct

import numpy as np

# ONNX files are protocol buffers (onnx.proto of the ONNX project). A field is its
# number and kind in one varint, then a varint or a length and as many bytes.


def varint(n):
    n &= 2**64 - 1  # negative numbers are in two's complement
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(*fields):
    return b"".join(field(number, value) for number, value in fields)


def attribute(name, value):
    if isinstance(value, float):
        return message((1, name), (2, value), (20, 1))
    if isinstance(value, int):
        return message((1, name), (3, value), (20, 2))
    return message((1, name), *((8, v) for v in value), (20, 7))


def value_info(name, shape):
    """A side of the shape that is a word may have any length."""
    dims = message(*((1, message((2 if isinstance(side, str) else 1, side))) for side in shape))
    return message((1, name), (2, message((1, message((1, 1), (2, dims))))))


class Graph:
    """The nodes and weights of a network, in the order they are added."""

    def __init__(self):
        self.nodes, self.weights, self.parameters = [], [], 0
        self.random = np.random.default_rng(0)

    def node(self, op, inputs, **attributes):
        name = f"{op}{len(self.nodes)}"
        self.nodes.append(message(*((1, i) for i in inputs), (2, name), (3, name), (4, op),
                                  *((5, attribute(k, v)) for k, v in attributes.items())))
        return name

    def constant(self, values, kind):
        name = f"w{len(self.weights)}"
        self.weights.append(message(*((1, side) for side in values.shape), (2, kind), (8, name), (9, values.tobytes())))
        return name

    def weight(self, values, trained=True):
        values = np.ascontiguousarray(values, np.float32)
        self.parameters += values.size if trained else 0
        return self.constant(values, 1)

    def integers(self, *values):
        return self.constant(np.array(values, np.int64), 7)

    def uniform(self, *shape):
        fan_in = int(np.prod(shape[1:]))
        return self.random.uniform(-1, 1, shape) * (6 / (fan_in + shape[0] * fan_in // shape[1])) ** 0.5

    def conv(self, x, inputs, outputs, side, stride=1, bias=False):
        terms = [x, self.weight(self.uniform(outputs, inputs, side, side))]
        if bias:
            terms.append(self.weight(np.zeros(outputs)))
        return self.node("Conv", terms, kernel_shape=[side] * 2, strides=[stride] * 2, pads=[side // 2] * 4)

    def norm(self, x, channels):
        one, zero = np.ones(channels), np.zeros(channels)
        return self.node("BatchNormalization", [x, self.weight(one), self.weight(zero), self.weight(zero, trained=False),
                                                self.weight(one, trained=False)], epsilon=1e-5)

    def relu(self, x):
        return self.node("Relu", [x])

    def sum(self, x, y):
        return self.relu(self.node("Add", [x, y]))

    def stem(self, x, inputs, bias=False):
        x = self.relu(self.norm(self.conv(x, inputs, 64, 7, 2, bias), 64))
        return self.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])

    def head(self, x, inputs, classes):
        x = self.node("Flatten", [self.node("GlobalAveragePool", [x])], axis=1)
        return self.node("Gemm", [x, self.weight(self.uniform(classes, inputs)), self.weight(np.zeros(classes))], transB=1)

    def model(self, inputs, shape, output, out_shape):
        graph = message(*((1, n) for n in self.nodes), (2, "resnet"), *((5, w) for w in self.weights),
                        (11, value_info(inputs, shape)), (12, value_info(output, out_shape)))
        return message((1, 8), (2, "residual"), (7, graph), (8, message((1, ""), (2, 13))))


def book_resnet18(g, x, channels, classes):
    """Dive into Deep Learning's: its convolutions have biases, its shortcuts no batch norm."""
    x, inputs = g.stem(x, channels, bias=True), 64
    for outputs in (64, 128, 256, 512):
        for stride in (1 if outputs == inputs else 2), 1:
            y = g.relu(g.norm(g.conv(x, inputs, outputs, 3, stride, True), outputs))
            y = g.norm(g.conv(y, outputs, outputs, 3, 1, True), outputs)
            if stride > 1:
                x = g.conv(x, inputs, outputs, 1, stride, True)
            x, inputs = g.sum(y, x), outputs
    return g.head(x, inputs, classes)


def resnet18(g, x, channels, classes):
    x, inputs = g.stem(x, channels), 64
    for outputs in (64, 128, 256, 512):
        for stride in (1 if outputs == inputs else 2), 1:
            y = g.relu(g.norm(g.conv(x, inputs, outputs, 3, stride), outputs))
            y = g.norm(g.conv(y, outputs, outputs, 3), outputs)
            if stride > 1:
                x = g.norm(g.conv(x, inputs, outputs, 1, stride), outputs)
            x, inputs = g.sum(y, x), outputs
    return g.head(x, inputs, classes)


def resnet50(g, x, channels, classes):
    x, inputs = g.stem(x, channels), 64
    for width, blocks, first in (64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2):
        for i in range(blocks):
            stride, outputs = first if i == 0 else 1, 4 * width
            y = g.relu(g.norm(g.conv(x, inputs, width, 1), width))
            y = g.relu(g.norm(g.conv(y, width, width, 3, stride), width))
            y = g.norm(g.conv(y, width, outputs, 1), outputs)
            if i == 0:
                x = g.norm(g.conv(x, inputs, outputs, 1, stride), outputs)
            x, inputs = g.sum(y, x), outputs
    return g.head(x, inputs, classes)


def cifar_resnet56(g, x, channels, classes):
    """With option A of the paper: a shortcut takes every other pixel and adds channels of zeros."""
    x, inputs = g.relu(g.norm(g.conv(x, channels, 16, 3), 16)), 16
    for width in 16, 32, 64:
        for _ in range(9):
            stride = 1 if inputs == width else 2
            y = g.relu(g.norm(g.conv(x, inputs, width, 3, stride), width))
            y = g.norm(g.conv(y, width, width, 3), width)
            if stride > 1:
                more, end = (width - inputs) // 2, 2**31 - 1
                x = g.node("Slice", [x, g.integers(0, 0), g.integers(end, end), g.integers(2, 3), g.integers(2, 2)])
                x = g.node("Pad", [x, g.integers(0, more, 0, 0, 0, more, 0, 0)])
            x, inputs = g.sum(y, x), width
    return g.head(x, inputs, classes)


# By the names of residual models: the network, its channels and its classes.
MODELS = {
    "d2l-resnet18": (book_resnet18, 1, 10),
    "resnet18": (resnet18, 3, 1000),
    "resnet50": (resnet50, 3, 1000),
    "cifar-resnet56": (cifar_resnet56, 3, 10),
}


def onnx_file(name, size):
    """The bytes of the file for images of (channels, size, size), the channels, and how many
    parameters it holds. Its input is called "images"."""
    network, channels, classes = MODELS[name]
    g = Graph()
    logits = network(g, "images", channels, classes)
    return g.model("images", ("batch", channels, size, size), logits, ("batch", classes)), channels, g.parameters


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("file", help="where the model file goes")
    args.add_argument("--model", choices=list(MODELS), default="d2l-resnet18")
    args.add_argument("--size", type=int, default=96, help="height and width of the images")
    args = args.parse_args()
    with open(args.file, "wb") as f:
        f.write(onnx_file(args.model, args.size)[0])


if __name__ == "__main__":
    main()
