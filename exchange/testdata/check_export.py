"""Compares exported ONNX files with ONNX Runtime: each must pass ONNX's checker
and give the logits that Residual gives, within 1e-4 of the largest. Quantised
networks are compared with OpenVINO, too: the logits of both must be within one
step, and both must compute every quantised layer with integers.

    mkdir /tmp/exported
    RESIDUAL_EXPORT_DIR=/tmp/exported go test ./exchange -run TestExportFiles
    python3 exchange/testdata/check_export.py /tmp/exported

Needs onnx, onnxruntime, numpy and openvino (run with 1.23.2, 1.32.0, 2.4.6 and 2026.4.1).
"""
import json
import pathlib
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime


def check(path):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    record = json.loads(path.with_suffix(".json").read_text())
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (images,), (logits,) = session.get_inputs(), session.get_outputs()
    assert images.name == "images" and logits.name == "logits" and images.shape[0] == "N", (images, logits)
    kind = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}[images.type]
    x = np.array(record["images"]).reshape(record["shape"]).astype(kind)
    (got,) = session.run(None, {"images": x})
    want = np.array(record["logits"], np.float32).reshape(got.shape)
    worst, most = np.abs(got - want).max(), np.abs(want).max()
    print(f"{path.name}: opset {model.opset_import[0].version}, {len(model.graph.node)} nodes, "
          f"differs by {worst:.2e} of {most:.3g}, {worst / most:.1e} of the largest")
    if "step" in record:
        return quantised(path, x, want, record)
    return worst <= 1e-4 * most


def quantised(path, x, want, record):
    """Compares the logits of both runtimes, and counts the layers that they compute with integers."""
    import openvino

    good = True
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.optimized_model_filepath = f"{folder}/optimised.onnx"
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        (got,) = session.run(None, {"images": x})
        ops = [n.op_type for n in onnx.load(options.optimized_model_filepath).graph.node]
        integers = sum(op in ("QLinearConv", "QGemm", "QLinearMatMul", "MatMulIntegerToFloat") for op in ops)
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    nodes = [n.get_rt_info() for n in compiled.get_runtime_model().get_ordered_ops()]
    text = lambda info, key: str(info[key].astype(str)) if key in info else ""
    eights = sum(text(n, "layerType") in ("Convolution", "FullyConnected") and text(n, "runtimePrecision") in ("u8", "i8") for n in nodes)
    other = compiled({"images": x})[0]
    for name, y, count in (("ONNX Runtime", got, integers), ("OpenVINO", other, eights)):
        off = np.abs(y - want).max() / record["step"]
        print(f"    {name}: {off:.2f} steps, {count} of {record['quantised']} layers with integers")
        good = good and off <= 1 and count >= record["quantised"]
    return good


def main():
    files = sorted(pathlib.Path(sys.argv[1]).glob("*.onnx"))
    if not files:
        sys.exit(f"no .onnx file in {sys.argv[1]}")
    bad = [p.name for p in files if not check(p)]
    if bad:
        sys.exit(f"too far off: {', '.join(bad)}")
    print(f"{len(files)} files agree")


if __name__ == "__main__":
    main()
