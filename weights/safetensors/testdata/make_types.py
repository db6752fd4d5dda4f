"""Writes types.safetensors beside this script: every type the reader converts,
each with what numpy converts it to under the name NAME.want (F32 or I64).

The format is written by hand, so that the reader is held against another
implementation of it. Run: python3 make_types.py (numpy is all it needs).
"""
import json
import os
import struct

import numpy as np

rng = np.random.default_rng(1)
names = {"float16": "F16", "float32": "F32", "float64": "F64", "int8": "I8", "uint8": "U8", "int16": "I16",
         "uint16": "U16", "int32": "I32", "uint32": "U32", "int64": "I64", "uint64": "U64", "bool": "BOOL"}
tensors = []  # (name, dtype, shape, bytes)


def add(name, array, dtype=None):
    array = np.ascontiguousarray(array)
    tensors.append((name, dtype or names[array.dtype.name], list(array.shape), array.tobytes()))


def pair(name, array):
    add(name, array)
    wide = np.float32 if array.dtype.kind == "f" else np.int64
    with np.errstate(over="ignore"):
        add(name + ".want", array.astype(wide))


# Zeros, the smallest and the largest subnormal, the smallest normal, one, the largest, infinities, a NaN, others.
half = np.array([0x0000, 0x8000, 0x0001, 0x8001, 0x03ff, 0x0400, 0x3c00, 0xbc00, 0x7bff, 0xfbff, 0x7c00, 0xfc00,
                 0x7e00, 0x3555, 0x0203, 0xc248], dtype="<u2")
pair("f16", half.view("<f2").reshape(2, 8))
single = np.concatenate([rng.standard_normal(13), [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, 3.4e38]]).astype("<f4")
pair("f32", single.reshape(4, 5))
upper = (single.view("<u4") >> 16).astype("<u2")  # bfloat16 is the upper half of a float32
add("bf16", upper, "BF16")
add("bf16.want", (upper.astype("<u4") << 16).view("<f4"))
pair("f64", np.array([0, -0.0, 1 / 3, np.pi, 1 + 2**-24, 1 + 3 * 2**-24, 1e-46, 1e300, -1e300, np.inf, np.nan], dtype="<f8"))
for kind in ["i1", "u1", "<i2", "<u2", "<i4", "<u4", "<i8"]:
    bounds = np.iinfo(kind)
    pair(np.dtype(kind).name, np.array([[bounds.min, bounds.max, 0], [1, 2, bounds.max // 3]], dtype=kind))
pair("uint64", np.array([0, 1, 2**63 - 1], dtype="<u8"))
pair("bool", np.array([True, False, True]))
pair("scalar", np.array(7, dtype="<i8"))
pair("empty", np.zeros((0, 3), dtype="<f4"))
add("unreadable", np.array([0x38, 0x40], dtype="u1"), "F8_E4M3")

header, data = {"__metadata__": {"made by": "make_types.py"}}, b""
for name, dtype, shape, raw in tensors:
    header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
    data += raw
text = json.dumps(header).encode()
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "types.safetensors"), "wb") as f:
    f.write(struct.pack("<Q", len(text)) + text + data)
