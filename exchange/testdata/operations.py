"""Writes operations.json beside this script: what ONNX Runtime gives for the networks of operations_test.go, one
for every operation that is exported, with the digest of each file.

    mkdir /tmp/operations
    RESIDUAL_EXPORT_DIR=/tmp/operations go test ./exchange -run TestOperationsGoToONNXAndBack
    python3 exchange/testdata/operations.py /tmp/operations

The test fails as long as operations.json is about other files. Needs onnx, onnxruntime and numpy (made with
1.23.2, 1.32.0 and 2.4.6).
"""
import hashlib
import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime


def record(path):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    feed = json.loads(path.with_suffix(".json").read_text())
    x = np.array(feed["images"], np.float32).reshape(feed["shape"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"images": x})
    assert np.isfinite(y).all(), path
    values = [float("%.8g" % v) for v in y.reshape(-1).tolist()]
    return {"digest": hashlib.sha256(path.read_bytes()).hexdigest(), "shape": list(y.shape), "values": values}


def main():
    files = sorted(pathlib.Path(sys.argv[1]).glob("*.onnx"))
    if not files:
        sys.exit(f"no .onnx file in {sys.argv[1]}")
    rows = ",\n".join(json.dumps(p.stem) + ": " + json.dumps(record(p), separators=(",", ":")) for p in files)
    pathlib.Path(__file__).with_name("operations.json").write_text("{\n%s\n}\n" % rows)
    print(f"{len(files)} files")


if __name__ == "__main__":
    main()
