#!/usr/bin/env python3
"""Writes filters.json: CRC-32 sums of images that Pillow resized by each of its filters.

Run it in this folder:
    python3 pillow_filters.py
Made with Pillow 9.5.0, since Pillow 13 rounds differently between the two passes. The images
are those of torchvision_eval.py.
"""
import json
import zlib

import numpy as np
import PIL
from PIL import Image

SIZES = [(96, 96), (224, 160), (33, 300), (500, 7)]  # height and width


def mixed(x):
    x = (x ^ x >> np.uint32(15)) * np.uint32(2246822519)
    x = (x ^ x >> np.uint32(13)) * np.uint32(3266489917)
    return x ^ x >> np.uint32(16)


def number(seed, i):
    return int(mixed(np.array([seed * 64 + i], dtype=np.uint32))[0])


def test_image(seed):
    w, h = 12 + number(seed, 1) % 400, 12 + number(seed, 2) % 400
    channels = 1 if seed // 4 % 3 == 0 else 3
    c, y, x = np.meshgrid(*(np.arange(n, dtype=np.uint32) for n in (channels, h, w)), indexing="ij")
    at = (c * np.uint32(h) + y) * np.uint32(w) + x
    noise = mixed(at + np.uint32(seed * 7919 + 1)) >> np.uint32(24)
    gradient = (x * np.uint32(seed % 7 + 1) + y * np.uint32(seed % 5 + 1) + c * np.uint32(85) + np.uint32(seed)) & np.uint32(255)
    pix = [noise, gradient, (noise >> np.uint32(7)) * np.uint32(255), (gradient * np.uint32(3) + noise) >> np.uint32(2)][seed % 4]
    pix = pix.astype(np.uint8)
    return Image.fromarray(pix[0]) if channels == 1 else Image.fromarray(np.ascontiguousarray(pix.transpose(1, 2, 0)))


rows = {}
for name in ("bilinear", "bicubic", "lanczos", "hamming", "box", "nearest"):
    rows[name] = []
    for seed in range(24):
        sums = []
        for h, w in SIZES:
            a = np.array(test_image(seed).resize((w, h), Image.Resampling[name.upper()]))
            sums.append("%08x" % zlib.crc32((a if a.ndim == 2 else a.transpose(2, 0, 1)).tobytes()))
        rows[name].append(" ".join(sums))
with open("filters.json", "w") as f:
    json.dump({"pillow": PIL.__version__, "filters": rows}, f, indent=1)
    f.write("\n")
