"""Compares exported ONNX files with ONNX Runtime: each must pass ONNX's checker
and give the logits that Residual gives, within 1e-4 of the largest.

    mkdir /tmp/exported
    RESIDUAL_EXPORT_DIR=/tmp/exported go test ./exchange -run TestExportFiles
    python3 exchange/testdata/check_export.py /tmp/exported

Needs onnx, onnxruntime and numpy (run with 1.23.2, 1.32.0 and 2.4.6).
"""
import json
import pathlib
import sys

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
    return worst <= 1e-4 * most


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
