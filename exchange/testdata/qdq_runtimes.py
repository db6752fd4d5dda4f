"""Compares how far the logits of a quantised network in ONNX's QDQ form are apart when several programs compute it:
ONNX Runtime in integers and as the graph is written, OpenVINO, and Residual, each with the others and with the graph
in float64. The unit is a step, a 255th of the span from the least to the greatest logit.

    residual quantize runs/train-1 -o int8.safetensors
    residual export int8.safetensors --onnx int8.onnx --preprocess
    residual predict int8.safetensors IMAGES --top 10 --format jsonl > model.jsonl
    residual predict int8.onnx IMAGES --precision int8 --top 10 --format jsonl > integers.jsonl
    residual predict int8.onnx IMAGES --precision fp32 --top 10 --format jsonl > floats.jsonl
    python3 exchange/testdata/qdq_runtimes.py int8.onnx model.jsonl integers.jsonl floats.jsonl

IMAGES are PNG files of the size that the model takes, and --top is the number of its classes. Residual prints probabilities, whose logarithms are logits
without their mean, so the means of all logits are subtracted. Needs numpy, onnx, onnxruntime, openvino, Pillow and
PyTorch (run with numpy 2.4.6, onnx 1.23.2, onnxruntime 1.32.0, OpenVINO 2026.4.1 and PyTorch 2.15).
"""
import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
import openvino
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from PIL import Image


def exact(model, images):
    """Computes the graph as it is written, in float64; integers are whole numbers in float64."""
    values = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    bits = {k: v.dtype for k, v in values.items()}
    values = {k: torch.from_numpy(np.array(v, np.int64 if v.dtype.kind in "iu" and v.dtype.itemsize == 8 else np.float64)) for k, v in values.items()}
    values[model.graph.input[0].name] = torch.from_numpy(images.astype(np.float64))

    def along(x, p, axis):
        return p.reshape([-1 if i == axis else 1 for i in range(x.dim())]) if p.dim() else p

    for n in model.graph.node:
        a = {x.name: onnx.helper.get_attribute_value(x) for x in n.attribute}
        i = [values[name] if name else None for name in n.input]
        x = i[0] if i else None
        if n.op_type in ("QuantizeLinear", "DequantizeLinear"):
            axis = a.get("axis", 1)
            scale = along(x, i[1], axis)
            zero = along(x, i[2], axis) if len(i) > 2 and i[2] is not None else 0.0
            if n.op_type == "QuantizeLinear":
                kind = bits.get(n.input[2], np.dtype(np.uint8)) if len(n.input) > 2 else np.dtype(np.uint8)
                limits = np.iinfo(kind)
                y = torch.clamp(torch.round(x / scale) + zero, limits.min, limits.max)
            else:
                y = (x - zero) * scale
        elif n.op_type == "Conv":
            top, left, bottom, right = a.get("pads", [0, 0, 0, 0])
            y = F.conv2d(F.pad(x, (left, right, top, bottom)), i[1], i[2] if len(i) > 2 else None, a.get("strides", [1, 1]),
                         0, a.get("dilations", [1, 1]), a.get("group", 1))
        elif n.op_type == "MaxPool":
            top, left, bottom, right = a.get("pads", [0, 0, 0, 0])
            y = F.max_pool2d(F.pad(x, (left, right, top, bottom), value=-torch.inf), a["kernel_shape"], a.get("strides", [1, 1]))
        elif n.op_type == "AveragePool":
            assert not any(a.get("pads", [0]))
            y = F.avg_pool2d(x, a["kernel_shape"], a.get("strides", [1, 1]))
        elif n.op_type == "Pad":
            pads = i[1].long().tolist()
            y = F.pad(x, [p for d in reversed(range(x.dim())) for p in (pads[d], pads[d + x.dim()])])
        elif n.op_type == "GlobalAveragePool":
            y = x.mean((2, 3), keepdim=True)
        elif n.op_type == "BatchNormalization":
            scale, shift, mean, variance = (along(x, p, 1) for p in i[1:])
            y = (x - mean) / torch.sqrt(variance + a.get("epsilon", 1e-5)) * scale + shift
        elif n.op_type == "Gemm":
            assert not a.get("transA", 0) and a.get("alpha", 1.0) == 1 and a.get("beta", 1.0) == 1
            y = x @ (i[1].T if a.get("transB", 0) else i[1]) + (i[2] if len(i) > 2 else 0)
        elif n.op_type == "Cast":
            y = x
        elif n.op_type == "Flatten":
            y = x.flatten(1)
        elif n.op_type == "Relu":
            y = x.relu()
        elif n.op_type in ("Add", "Sub", "Mul", "Div"):
            y = {"Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Div": torch.div}[n.op_type](x, i[1])
        else:
            sys.exit(f"{n.op_type} is not known here")
        values[n.output[0]] = y
    return values[model.graph.output[0].name].numpy()


def runtimes(path, images):
    """What ONNX Runtime and OpenVINO compute."""
    name = "images"
    for title, level in (("ONNX Runtime", "ORT_ENABLE_ALL"), ("ONNX Runtime, as written", "ORT_DISABLE_ALL")):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        yield title, session.run(None, {name: images})[0]
    for hint in ("f32", "bf16"):
        core = openvino.Core()
        model = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": 1})
        yield f"OpenVINO, {hint}", model({name: images})[0]


def answers(path, classes):
    """The logarithms of the probabilities that residual predict has printed, and the files."""
    files, rows = [], []
    for line in pathlib.Path(path).read_text().splitlines():
        record = json.loads(line)
        by_name = {p["class"]: p["probability"] for p in record["predictions"]}
        files.append(record["image"])
        rows.append([np.log(by_name[c]) for c in classes])
    return files, np.array(rows)


def main():
    path, *lists = sys.argv[1:]
    model = onnx.load(path)
    meta = {p.key: p.value for p in model.metadata_props}
    classes = json.loads(meta["residual"])["classes"]
    all_logits, files = {}, None
    for name in lists:
        files, y = answers(name, classes)
        all_logits[f"Residual, {pathlib.Path(name).stem}"] = y
    mode = "L" if model.graph.input[0].type.tensor_type.shape.dim[1].dim_value == 1 else "RGB"
    images = np.stack([np.atleast_3d(np.asarray(Image.open(f).convert(mode))).transpose(2, 0, 1) for f in files])
    truth = exact(model, images)
    step = np.ptp(truth) / 255
    all_logits = {"float64": truth, **dict(runtimes(path, images)), **all_logits}
    centred = {k: y - y.mean(1, keepdims=True) for k, y in all_logits.items()}
    print(f"{len(files)} images, a step is {step:.4f}. Rows and columns: root mean square and largest difference in steps; other classes")
    names = list(centred)
    for i, a in enumerate(names):
        for b in names[i + 1:]:
            d = np.abs(centred[a] - centred[b]) / step
            other = (centred[a].argmax(1) != centred[b].argmax(1)).sum()
            print(f"| {a} | {b} | {np.sqrt((d * d).mean()):.2f} | {d.max():.2f} | {other} |")


if __name__ == "__main__":
    main()
