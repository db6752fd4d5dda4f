"""Writes foreign_graphs.json beside this script: small graphs of the kinds that other programs write, and what
ONNX Runtime gives for them. Needs onnx, onnxruntime and numpy (made with onnx 1.23.2, onnxruntime 1.32.0).

    python3 foreign_graphs.py

The file is an object {NAME: {"model": base64, "shape", "images", "output"}}, arrays row-major. The graphs are

    tensorflow       a residual network as tf2onnx writes it: images [N, H, W, C] behind a Transpose, SAME padding
                     of convolutions and of the max pooling, an average pooling, two Reshapes, MatMul, Add, Softmax
    keras            mean and scale taken off [N, H, W, C] before the Transpose, Transposes inside, a mean over
                     height and width of [N, H, W, C], Softmax and Identity
    auto_pad         the same padding as SAME_UPPER and SAME_LOWER, for any size of images
    caffe            LRN, grouped convolution, Dropout, weights from ConstantOfShape, batch norm as Unsqueeze, Mul and
                     Add, Sum, and logits [N, K, 1, 1]: what the light_*.onnx of the onnx package are made of
    shuffle          channels shuffled by Reshape and Transpose, and joined with Concat, for a fixed batch of 1
    squeeze_excite   a product with [N, C, 1, 1], HardSigmoid, HardSwish, Clip, depthwise convolution
    shapes           Reshape to a shape that is worked out by Shape, Gather, Cast, Mul, Floor, Unsqueeze, Concat
    one_by_one       a batch of 1 that is squeezed away and comes back
    transformer      patches, LayerNormalization, attention by MatMul, Gelu
"""

import base64
import json
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(7)
onnxruntime.set_default_logger_severity(4)


class Graph:
    def __init__(self, shape, opset=13):
        self.nodes, self.weights, self.opset, self.shape, self.last = [], [], opset, shape, "x"

    def constant(self, array, name=None):
        name = name or f"c{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def weight(self, *shape):
        fan = np.prod(shape[1:]) if len(shape) > 1 else 4
        return self.constant((rng.integers(-64, 65, shape) / 32 / np.sqrt(fan)).astype(np.float32))

    def ints(self, *values):
        return self.constant(np.array(values, np.int64))

    def add(self, op, *more, to=None, outputs=1, **attributes):
        """A node on the last value, or on the value to, and more inputs; returns its output."""
        out = [f"{op.lower()}_{len(self.nodes)}_{i}" for i in range(outputs)]
        inputs = [to or self.last, *more] if to != "" else list(more)
        self.nodes.append(helper.make_node(op, inputs, out, name=f"{op}_{len(self.nodes)}", **attributes))
        self.last = out[0]
        return out[0] if outputs == 1 else out

    def cast(self, kind):
        self.nodes.append(helper.make_node("Cast", [self.last], [f"cast_{len(self.nodes)}"], to=kind))
        self.last = self.nodes[-1].output[0]

    def conv(self, cin, cout, kernel, bias=True, group=1, to=None, **attributes):
        more = [self.weight(cout, cin // group, kernel, kernel)] + ([self.weight(cout)] if bias else [])
        return self.add("Conv", *more, to=to, group=group, kernel_shape=[kernel, kernel], **attributes)

    def finish(self, images):
        out = helper.make_tensor_value_info(self.last, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)], [out], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        (y,) = session.run(None, {"x": images})
        assert y.reshape(y.shape[0], -1).std(axis=1).min() > 1e-3, "gives the same for all classes"
        flat = lambda a: [float(str(v)) for v in a.astype(np.float32).reshape(-1)]
        return {"model": base64.b64encode(model.SerializeToString()).decode(), "shape": list(images.shape), "images": flat(images), "output": flat(y)}


def images(*shape):
    return (rng.integers(-64, 65, shape) / 64).astype(np.float32)


def residual(g, c, wide, stride, pads):
    """A bottleneck with a projection."""
    x = g.last
    g.conv(c, 4, 1)
    g.add("Relu")
    g.conv(4, 4, 3, strides=[stride, stride], pads=pads)
    g.add("Relu")
    y = g.conv(4, wide, 1)
    short = g.conv(c, wide, 1, to=x, strides=[stride, stride])
    g.add("Add", short, to=y)
    g.add("Relu")


def tensorflow():
    g = Graph(["N", 24, 24, 3], opset=9)
    g.add("Transpose", perm=[0, 3, 1, 2])
    g.conv(3, 6, 7, strides=[2, 2], pads=[2, 2, 3, 3])
    g.add("Relu")
    g.add("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1])
    residual(g, 6, 8, 1, [1, 1, 1, 1])
    residual(g, 8, 12, 2, [0, 0, 1, 1])
    g.add("AveragePool", kernel_shape=[3, 3])
    g.add("Reshape", g.ints(-1, 1, 1, 12))
    g.add("Reshape", g.ints(-1, 12))
    g.add("MatMul", g.weight(12, 4))
    g.add("Add", g.weight(4))
    g.add("Softmax", axis=1)
    return g.finish(images(3, 24, 24, 3))


def keras():
    g = Graph(["N", 12, 14, 3])
    g.add("Sub", g.constant(np.array([0.1, -0.2, 0.3], np.float32)))
    g.add("Mul", g.constant(np.array(1.5, np.float32)))
    g.add("Transpose", perm=[0, 3, 1, 2])
    g.conv(3, 4, 3, pads=[0, 1, 1, 1])
    g.add("Transpose", perm=[0, 2, 3, 1])
    g.add("Add", g.weight(4))
    g.add("LeakyRelu", alpha=0.3)
    g.add("Transpose", perm=[0, 3, 1, 2])
    g.add("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1])
    g.add("Transpose", perm=[0, 2, 3, 1])
    g.add("ReduceMean", axes=[1, 2], keepdims=0)
    g.add("Gemm", g.weight(4, 5), g.weight(1, 5), alpha=0.5, beta=2.0)
    g.add("Softmax", axis=-1)
    g.add("Identity")
    return g.finish(images(2, 12, 14, 3))


def auto_pad():
    g = Graph(["N", 3, "H", "W"])
    g.conv(3, 4, 5, strides=[2, 2], auto_pad="SAME_UPPER")
    g.add("MaxPool", kernel_shape=[2, 3], strides=[2, 2], auto_pad="SAME_LOWER")
    g.conv(4, 4, 2, auto_pad="SAME_LOWER")
    g.add("AveragePool", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")
    g.add("AveragePool", kernel_shape=[2, 2], auto_pad="SAME_UPPER", count_include_pad=1)
    g.add("GlobalMaxPool")
    g.add("Flatten")
    g.add("Elu")
    return g.finish(images(2, 3, 17, 22))


def caffe():
    g = Graph([1, 3, 16, 16], opset=9)
    g.conv(3, 8, 3)
    g.add("Relu")
    g.add("LRN", size=5, alpha=0.5, beta=0.75, bias=1.0)
    g.add("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 0, 0])
    x = g.conv(8, 8, 3, bias=False, group=2, pads=[1, 1, 1, 1])
    scale = g.add("Unsqueeze", to=g.weight(8), axes=[1, 2])
    g.add("Mul", scale, to=x)
    shift = g.add("Unsqueeze", to=g.weight(8), axes=[1, 2])
    y = g.add("Add", shift, to=g.nodes[-2].output[0])
    flat = g.add("ConstantOfShape", to=g.ints(8, 8, 1, 1), value=numpy_helper.from_array(np.array([0.125], np.float32)))
    z = g.add("Conv", flat, to=x, kernel_shape=[1, 1])
    g.add("Sum", z, x, to=y)
    g.add("Dropout", outputs=2, ratio=0.5)
    g.conv(8, 5, 1)
    g.add("GlobalAveragePool")
    return g.finish(images(1, 3, 16, 16))


def shuffle():
    g = Graph([1, 3, 9, 9], opset=9)
    a = g.conv(3, 6, 3, strides=[2, 2], pads=[1, 1, 1, 1])
    g.add("Reshape", g.ints(1, 2, 3, 5, 5))
    g.add("Transpose", perm=[0, 2, 1, 3, 4])
    b = g.add("Reshape", g.ints(1, 6, 5, 5))
    g.conv(6, 6, 3, group=3, pads=[1, 1, 1, 1], to=b)
    g.add("Concat", a, axis=1)
    first, second = g.add("Split", outputs=2, axis=1)
    g.add("Max", second, to=first)
    g.add("Slice", starts=[1, -4], ends=[9223372036854775807, -1], axes=[1, 3])
    g.add("GlobalAveragePool")
    g.add("Reshape", g.ints(1, -1))
    return g.finish(images(1, 3, 9, 9))


def squeeze_excite():
    g = Graph(["N", 3, 8, 8], opset=14)
    g.conv(3, 8, 3, strides=[2, 2], pads=[1, 1, 1, 1])
    g.add("HardSwish")
    x = g.conv(8, 8, 3, group=8, pads=[1, 1, 1, 1])
    g.add("ReduceMean", axes=[2, 3])
    g.conv(8, 2, 1)
    g.add("Clip", g.constant(np.float32(0)), g.constant(np.float32(6)))
    g.conv(2, 8, 1)
    gate = g.add("HardSigmoid", alpha=1 / 6)
    g.add("Mul", gate, to=x)
    g.add("PRelu", g.weight(8, 1, 1))
    g.add("Pad", g.ints(0, 0, 1, 0, 0, 0, 0, 2), g.constant(np.float32(0.5)))
    g.add("Pad", g.ints(0, 0, 1, 1, 0, 0, 2, 1), mode="reflect")
    g.add("ReduceMax", axes=[-1, -2], keepdims=0)
    g.add("LogSoftmax", axis=-1)
    return g.finish(images(2, 3, 8, 8))


def shapes():
    g = Graph(["N", 3, "H", "W"])
    x = g.conv(3, 4, 3)
    shape = g.add("Shape")
    half = g.constant(np.float32(0.5))
    sides = []
    for axis in (2, 3):
        g.add("Gather", g.constant(np.int64(axis)), to=shape, axis=0)
        g.cast(TensorProto.FLOAT)
        g.add("Mul", half)
        g.add("Floor")
        g.cast(TensorProto.INT64)
        sides.append(g.add("Unsqueeze", g.ints(0)))
    batch = g.add("Slice", g.ints(0), g.ints(2), to=shape)
    sizes = g.add("Concat", *sides, to=batch, axis=0)
    g.add("Resize", "", "", sizes, to=x, mode="linear", coordinate_transformation_mode="half_pixel")
    means = g.add("ReduceMean", axes=[2, 3])
    batch = g.add("Gather", g.constant(np.int64(0)), to=shape, axis=0)
    batch = g.add("Unsqueeze", g.ints(0), to=batch)
    to = g.add("Concat", g.ints(-1), to=batch, axis=0)
    g.add("Reshape", to, to=means)
    return g.finish(images(2, 3, 11, 14))


def one_by_one():
    g = Graph([1, 3, 6, 6])
    g.conv(3, 4, 3)
    g.add("Squeeze", g.ints(0))
    g.add("ReduceMax", axes=[1, 2], keepdims=0)
    g.add("Unsqueeze", g.ints(0))
    return g.finish(images(1, 3, 6, 6))


def transformer():
    g = Graph(["N", 3, 8, 8], opset=20)
    g.conv(3, 8, 4, strides=[4, 4])
    g.add("Reshape", g.ints(0, 8, -1))
    x = g.add("Transpose", perm=[0, 2, 1])
    g.add("LayerNormalization", g.constant(np.full(8, 1.25, np.float32)), g.weight(8), axis=-1, epsilon=1e-6)
    normed = g.last
    parts = []
    for _ in range(3):
        g.add("MatMul", g.weight(8, 8), to=normed)
        g.add("Reshape", g.ints(0, 4, 2, 4))
        parts.append(g.add("Transpose", perm=[0, 2, 1, 3]))
    turned = g.add("Transpose", to=parts[1], perm=[0, 1, 3, 2])
    g.add("MatMul", turned, to=parts[0])
    g.add("Div", g.constant(np.float32(2)))
    g.add("Softmax", axis=-1)
    g.add("MatMul", parts[2])
    g.add("Transpose", perm=[0, 2, 1, 3])
    g.add("Reshape", g.ints(0, 4, 8))
    g.add("Add", x)
    g.add("Gelu")
    g.add("ReduceMean", g.ints(1), keepdims=0)
    g.add("MatMul", g.weight(8, 5))
    return g.finish(images(2, 3, 8, 8))


if __name__ == "__main__":
    kinds = [tensorflow, keras, auto_pad, caffe, shuffle, squeeze_excite, shapes, one_by_one, transformer]
    made = {kind.__name__: kind() for kind in kinds}
    text = ",\n".join(f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in made.items())
    pathlib.Path(__file__).with_name("foreign_graphs.json").write_text("{\n" + text + "\n}\n")
