#!/usr/bin/env python3
"""Writes savez.json, the digests of the arrays in a file of numpy.savez, and
types.npz, arrays of every type beside what NumPy converts them to (NAME.want). With
a file's name it checks that numpy.load reads the arrays of the test from that file.

Run it in this folder with NumPy installed (Debian: python3-numpy):
    python3 numpy_savez.py [FILE.npz]
Made with NumPy 1.24.2. The tests make the same arrays by the same formulas.
"""
import hashlib
import io
import json
import sys
import zipfile

import numpy as np

arrays = {
    "layer1.0.weight": np.array([[1, -2.5, np.inf], [0, 1e-40, -0.0]], dtype="<f4"),
    "counter": np.array(-2**63, dtype="<i8"),
    "labels": np.array([1, 2, 3], dtype="<i8"),
    "long": (np.arange(60003, dtype="<f4") / 8).reshape(3, 20001),
    "empty": np.zeros((4, 0, 2), dtype="<f4"),
    "größe": np.full((1, 1, 1, 1), 7, dtype="<f4"),
}
if len(sys.argv) > 1:
    with np.load(sys.argv[1], allow_pickle=False) as read:
        assert list(read) == list(arrays), list(read)
        for name, a in arrays.items():
            assert read[name].dtype == a.dtype and read[name].shape == a.shape and read[name].tobytes() == a.tobytes(), name
    print("numpy", np.__version__, "reads", len(arrays), "arrays, all equal")
    sys.exit()

buffer = io.BytesIO()
np.savez(buffer, **arrays)
out = []
for info in zipfile.ZipFile(buffer).infolist():
    content = zipfile.ZipFile(buffer).read(info)
    out.append({"name": info.filename, "head": content[:128].decode("latin1"), "sha256": hashlib.sha256(content).hexdigest()})
with open("savez.json", "w") as f:
    json.dump({"numpy": np.__version__, "arrays": out}, f, indent=1)
    f.write("\n")

types = {
    "f2": np.array([[0, -0.0, 6e-8, 1e-5], [65504, np.inf, np.nan, 1 / 3]], dtype="<f2"),
    "f8": np.array([0, -0.0, 1 / 3, 1 + 2**-24, 1 + 3 * 2**-24, 1e-46, 1e300, -1e300], dtype="<f8"),
    "b1": np.array([True, False, True]),
    "u8": np.array([0, 1, 2**63 - 1], dtype="<u8"),
    "scalar": np.array(0.1, dtype="<f4"),
    "empty": np.zeros((0, 3), dtype="<i2"),
    "columns": np.asfortranarray(np.arange(60, dtype="<f4").reshape(3, 4, 5)),
    "big-endian": np.array([[1, -2.5, np.inf], [1e-40, 3.4e38, -0.0]], dtype=">f4"),
    "big-endian columns": np.asfortranarray(np.arange(-6, 6, dtype=">i2").reshape(3, 4)),
}
for kind in ["i1", "u1", "<i2", "<u2", "<i4", ">u4", "<i8"]:
    bounds = np.iinfo(kind)
    types[kind[-2:]] = np.array([[bounds.min, bounds.max, 0], [1, 2, bounds.max // 3]], dtype=kind)
both = {}
for name, a in types.items():
    both[name] = a
    with np.errstate(over="ignore"):
        both[name + ".want"] = np.ascontiguousarray(a, dtype="<f4" if a.dtype.kind == "f" else "<i8").reshape(a.shape)
np.savez("types.npz", **both)
