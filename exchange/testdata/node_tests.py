"""Turns the onnx package's own node tests into graphs of one image, the kind that Residual
reads, and writes them with what they must give. Needs onnx and numpy (made with onnx 1.23.2).

    python3 node_tests.py FOLDER [--keep FILE]

A test is taken where its first input is a float32 tensor of four dimensions and its first output is
floating point. Its other inputs become initialisers, its other outputs are left out. An output that is not
[N, K] is flattened: from axis 1 on where it has the batch of the image, from axis 0 on where the batch is 1.
The tests that are the bodies of functions ("_expanded") are left out: they are other tests once more.

FOLDER gets NAME.onnx and NAME.json for each: {"shape", "images", "output", "rtol", "atol"}, row-major,
with the tolerances of the test. With --keep, FILE is
written instead: all of the tests whose names it lists already, one JSON object {"name": {"model": base64, ...}}.

    RESIDUAL_NODE_TESTS=FOLDER go test ./exchange -run TestNodeTests -v

runs them and counts.
"""

import argparse
import base64
import json
import pathlib
import warnings

import numpy as np
import onnx
from onnx import helper, numpy_helper

warnings.filterwarnings("ignore")


def adapted(case):
    """(model, image, output) or None."""
    graph = case.model.graph
    inputs, outputs = case.data_sets[0]
    if not inputs or not outputs or not isinstance(inputs[0], np.ndarray) or not isinstance(outputs[0], np.ndarray):
        return None
    x, y = inputs[0], outputs[0]
    if x.dtype != np.float32 or x.ndim != 4 or not np.issubdtype(y.dtype, np.floating) or "_expanded" in case.name:
        return None
    if not all(isinstance(v, np.ndarray) for v in inputs):
        return None
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    graph = model.graph
    named = [v for v in graph.input]
    for value, array in zip(named[1:], inputs[1:]):
        if array.dtype.kind not in "fiub" or not value.name:
            return None
        graph.initializer.append(numpy_helper.from_array(array, value.name))
    del graph.input[1:]
    del graph.output[1:]
    out = graph.output[0].name
    if y.ndim != 2 or y.shape[0] != x.shape[0]:
        axis = 1 if y.ndim >= 1 and y.shape[0] == x.shape[0] else 0
        graph.node.append(helper.make_node("Flatten", [out], ["flattened"], name="flatten", axis=axis))
        y = y.reshape(x.shape[0] if axis == 1 else 1, -1)
        del graph.output[:]
        graph.output.append(helper.make_tensor_value_info("flattened", onnx.TensorProto.FLOAT, list(y.shape)))
    return model, x, y.astype(np.float32)


def numbers(array):
    return [float(str(v)) if np.isfinite(v) else str(v) for v in array.astype(np.float32).reshape(-1)]


def main():
    from onnx.backend.test.case.node import collect_testcases

    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--keep")
    arguments = parser.parse_args()
    keep = json.loads(pathlib.Path(arguments.keep).read_text()) if arguments.keep else None
    count, kept = 0, {}
    for case in collect_testcases(None):
        if case.model is None or not case.data_sets:
            continue
        test = adapted(case)
        if test is None:
            continue
        model, x, y = test
        count += 1
        content = {"shape": list(x.shape), "images": numbers(x), "output": numbers(y), "rtol": case.rtol, "atol": case.atol}
        if keep is not None:
            if case.name in keep:
                kept[case.name] = {"model": base64.b64encode(model.SerializeToString()).decode(), **content}
            continue
        folder = pathlib.Path(arguments.folder)
        folder.mkdir(parents=True, exist_ok=True)
        onnx.save(model, folder / (case.name + ".onnx"))
        (folder / (case.name + ".json")).write_text(json.dumps(content))
    if keep is not None:
        lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in kept.items())
        pathlib.Path(arguments.keep).write_text("{\n" + lines + "\n}\n")
    print(count, "tests of", onnx.__version__)


if __name__ == "__main__":
    main()
