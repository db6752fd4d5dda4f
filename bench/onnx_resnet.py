"""Measures ResNet-18 of "Dive into Deep Learning" in ONNX Runtime: images a
second of inference in fp32 on the CPU. Needs onnxruntime and numpy alone, for it
writes the model file itself; go run ./bench calls it beside Residual's own
measurement.

    python3 onnx_resnet.py --batch 1

Prints one line of JSON. The weights are random, and batch norms are nodes of
their own, which ONNX Runtime folds into the convolutions when it opens the file.
"""
import argparse
import json
import os
import struct

import numpy as np
import onnxruntime

from timing import measure

# ONNX files are protocol buffers (onnx.proto of the ONNX project). A field is its
# number and kind in one varint, then a varint or a length and as many bytes.


def varint(n):
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
    dims = message(*((1, message((1, side))) for side in shape))
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

    def weight(self, values, trained=True):
        values = np.ascontiguousarray(values, np.float32)
        name = f"w{len(self.weights)}"
        self.weights.append(message(*((1, side) for side in values.shape), (2, 1), (8, name), (9, values.tobytes())))
        self.parameters += values.size if trained else 0
        return name

    def uniform(self, *shape):
        fan_in = int(np.prod(shape[1:]))
        return self.random.uniform(-1, 1, shape) * (6 / (fan_in + shape[0] * fan_in // shape[1])) ** 0.5

    def conv(self, x, inputs, outputs, side, stride=1):
        w, b = self.weight(self.uniform(outputs, inputs, side, side)), self.weight(np.zeros(outputs))
        return self.node("Conv", [x, w, b], kernel_shape=[side] * 2, strides=[stride] * 2, pads=[side // 2] * 4)

    def norm(self, x, channels):
        one, zero = np.ones(channels), np.zeros(channels)
        return self.node("BatchNormalization", [x, self.weight(one), self.weight(zero), self.weight(zero, trained=False),
                                                self.weight(one, trained=False)], epsilon=1e-5)

    def block(self, x, inputs, outputs, stride):
        y = self.node("Relu", [self.norm(self.conv(x, inputs, outputs, 3, stride), outputs)])
        y = self.norm(self.conv(y, outputs, outputs, 3), outputs)
        if stride > 1:
            x = self.conv(x, inputs, outputs, 1, stride)
        return self.node("Relu", [self.node("Add", [y, x])])

    def model(self, inputs, shape, output, out_shape):
        graph = message(*((1, n) for n in self.nodes), (2, "resnet18"), *((5, w) for w in self.weights),
                        (11, value_info(inputs, shape)), (12, value_info(output, out_shape)))
        return message((1, 8), (2, "residual"), (7, graph), (8, message((1, ""), (2, 13))))


def resnet18(batch, size, classes=10):
    """The model file for batches of (batch, 1, size, size), and how many parameters it holds."""
    g = Graph()
    x = g.node("Relu", [g.norm(g.conv("images", 1, 64, 7, 2), 64)])
    x = g.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    inputs = 64
    for outputs in (64, 128, 256, 512):
        x = g.block(x, inputs, outputs, 1 if outputs == inputs else 2)
        x = g.block(x, outputs, outputs, 1)
        inputs = outputs
    x = g.node("Flatten", [g.node("GlobalAveragePool", [x])], axis=1)
    x = g.node("Gemm", [x, g.weight(g.uniform(classes, inputs)), g.weight(np.zeros(classes))], transB=1)
    return g.model("images", (batch, 1, size, size), x, (batch, classes)), g.parameters


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--batch", type=int, default=64)
    args.add_argument("--size", type=int, default=96, help="height and width of the images")
    args.add_argument("--threads", type=int, default=os.cpu_count(), help="of one operation (intra_op_num_threads)")
    args.add_argument("--warmup", type=int, default=3, help="steps before the clock starts")
    args.add_argument("--repeat", type=int, default=10, help="measurements")
    args.add_argument("--save", help="also write the model file here")
    args = args.parse_args()

    model, parameters = resnet18(args.batch, args.size)
    if args.save:
        with open(args.save, "wb") as f:
            f.write(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    images = np.random.default_rng(1).random((args.batch, 1, args.size, args.size), np.float32)

    print(json.dumps({
        **measure(lambda: session.run(None, {"images": images}), args.batch, args.warmup, args.repeat),
        "mode": "infer", "precision": "fp32", "size": args.size, "threads": args.threads, "parameters": parameters,
        "onnxruntime": onnxruntime.__version__,
    }))


if __name__ == "__main__":
    main()
