"""Writes quantised_graphs.json beside this script: small networks that ONNX Runtime has quantised, and what it computes
for them. Needs onnx, onnxruntime, numpy, PyTorch (made with onnx 1.23.2, onnxruntime 1.32.0, numpy 2.4.6, PyTorch
2.15) and, for "own", a network that a test exports:

    mkdir /tmp/exported
    RESIDUAL_EXPORT_DIR=/tmp/exported go test ./exchange -run TestExportFiles
    python3 quantised_graphs.py /tmp/exported/d2l-bnlenet-folded-true.onnx

The file is an object {NAME: {"model": base64, "shape", "images", "output", "integers", "step"}}, arrays row-major: what
ONNX Runtime gives when it computes the graph as it is written, in floats, and when it computes it in integers, and the
difference of two neighbouring logits. The graphs are

    basic          torchvision's basic blocks: uint8 activations, int8 weights with a scale for each channel
    symmetric      bottlenecks with grouped convolutions: int8 activations and weights, one scale for a tensor
    unsigned       basic blocks with uint8 weights that have zero points
    sixteen        basic blocks with uint16 activations
    own            a network that Residual exported
    weights_float  basic blocks whose weights are floats that the graph quantises, as PyTorch writes fake quantisation
    mobile         depthwise convolution, HardSwish, squeeze and excite, Concat, average pooling, Clip
    operators      basic blocks as QLinearConv, QLinearAdd and so on (QOperator form)
    dynamic        basic blocks with DynamicQuantizeLinear, which is refused: it has no output
"""

import base64
import json
import pathlib
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

from foreign_graphs import Graph
from torch_export import BasicBlock, Bottleneck, network

onnxruntime.set_default_logger_severity(4)
rng = np.random.default_rng(11)


def images(model):
    """Sixteen images of the shape that a model takes, with few digits."""
    shape = [16] + [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim[1:]]
    return ((np.random.default_rng(5).standard_normal(shape) * 8).round() / 8).astype(np.float32)


class Images(CalibrationDataReader):
    """The images, for calibration."""

    def __init__(self, path):
        model = onnx.load(path)
        self.left = [{model.graph.input[0].name: images(model)}]

    def get_next(self):
        return self.left.pop() if self.left else None


def exported(path, *args, **kwargs):
    net = network(*args, **kwargs)
    torch.onnx.export(net, torch.zeros(2, 3, 32, 32), path, dynamo=False, opset_version=17, input_names=["images"],
                      output_names=["logits"], dynamic_axes={"images": {0: "N"}, "logits": {0: "N"}})


def static(path, **options):
    out = path + ".quantised"
    given = {"quant_format": QuantFormat.QDQ, "per_channel": True, "activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
    quantize_static(path, out, Images(path), **{**given, **options})
    return onnx.load(out)


def run(model, level, images):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images})[0]


def entry(model):
    x = images(model)[:2]
    exact = run(model, onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL, x)
    integers = run(model, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL, x)
    assert exact.std(axis=1).min() > 1e-3, "gives the same for all classes"
    flat = lambda a: [float(str(v)) for v in a.astype(np.float32).reshape(-1)]
    del model.metadata_props[:]
    for part in [*model.graph.node, model.graph]:
        part.doc_string = ""
    return {"model": base64.b64encode(model.SerializeToString()).decode(), "shape": list(x.shape), "images": flat(x),
            "output": flat(exact), "integers": flat(integers), "step": float(str(np.float32(np.ptp(exact) / 255)))}


def weights_float(model):
    """Replaces the integers of weights by floats between two of their numbers that the graph quantises."""
    integers = {t.name: t for t in model.graph.initializer}
    nodes = []
    for n in model.graph.node:
        t = integers.get(n.input[0])
        if n.op_type == "DequantizeLinear" and t is not None and t.data_type == TensorProto.INT8:
            scale = numpy_helper.to_array(integers[n.input[1]])
            q = numpy_helper.to_array(t).astype(np.float32)
            shaped = scale.reshape(-1, *[1] * (q.ndim - 1))
            w = (q * shaped + rng.uniform(-0.4, 0.4, q.shape) * shaped).astype(np.float32)
            model.graph.initializer.remove(t)
            model.graph.initializer.append(numpy_helper.from_array(w, t.name + "_float"))
            nodes.append(helper.make_node("QuantizeLinear", [t.name + "_float", *n.input[1:]], [t.name], name=t.name + "_Q", axis=0))
        nodes.append(n)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def mobile(path):
    g = Graph(["N", 3, 16, 16], opset=17)
    g.conv(3, 8, 3, strides=[2, 2], pads=[1, 1, 1, 1])
    g.add("HardSwish")
    x = g.conv(8, 8, 3, group=8, pads=[1, 1, 1, 1])
    g.add("Clip", g.constant(np.float32(0)), g.constant(np.float32(6)))
    y = g.last
    g.add("GlobalAveragePool")
    g.conv(8, 4, 1)
    g.add("Relu")
    g.conv(4, 8, 1)
    gate = g.add("HardSigmoid", alpha=1 / 6)
    g.add("Mul", gate, to=y)
    a = g.conv(8, 6, 1)
    g.add("Concat", x, to=a, axis=1)
    g.add("AveragePool", kernel_shape=[3, 3], strides=[2, 2])
    g.conv(14, 10, 3)
    g.add("Relu")
    g.add("ReduceMean", axes=[2, 3], keepdims=0)
    g.add("MatMul", g.weight(10, 5))
    g.add("Add", g.weight(5))
    out = helper.make_tensor_value_info(g.last, TensorProto.FLOAT, None)
    graph = helper.make_graph(g.nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, g.shape)], [out], g.weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", g.opset)], ir_version=8), path)


def main(own):
    made = {}
    with tempfile.TemporaryDirectory() as folder:
        basic, bottleneck, mobiles = (f"{folder}/{name}.onnx" for name in ("basic", "bottleneck", "mobile"))
        exported(basic, 1, BasicBlock, [1, 1])
        exported(bottleneck, 2, Bottleneck, [1, 2], groups=2)
        mobile(mobiles)
        symmetric = {"ActivationSymmetric": True, "WeightSymmetric": True}
        made["basic"] = entry(static(basic))
        made["symmetric"] = entry(static(bottleneck, per_channel=False, activation_type=QuantType.QInt8, extra_options=symmetric))
        made["unsigned"] = entry(static(basic, per_channel=False, weight_type=QuantType.QUInt8))
        made["sixteen"] = entry(static(basic, activation_type=QuantType.QUInt16))
        made["own"] = entry(static(own))
        made["weights_float"] = entry(weights_float(static(basic)))
        made["mobile"] = entry(static(mobiles))
        made["operators"] = entry(static(basic, quant_format=QuantFormat.QOperator))
        dynamic = f"{folder}/dynamic.onnx"
        quantize_dynamic(basic, dynamic, op_types_to_quantize=["Conv", "Gemm", "MatMul"])
        made["dynamic"] = {"model": base64.b64encode(onnx.load(dynamic).SerializeToString()).decode()}
    text = ",\n".join(f"{json.dumps(name)}: {json.dumps(e, separators=(',', ':'))}" for name, e in made.items())
    pathlib.Path(__file__).with_name("quantised_graphs.json").write_text("{\n" + text + "\n}\n")
    for name, e in made.items():
        if "output" in e:
            off = np.abs(np.array(e["output"]) - np.array(e["integers"])).max()
            print(f"{name}: {len(e['model'])} characters, integers differ by {off / e['step']:.2f} steps")


if __name__ == "__main__":
    main(*sys.argv[1:])
