#!/usr/bin/env python3
"""Writes pillow.json, which the tests of ResizeBilinear read.

Run it in this folder with Pillow installed (Debian: python3-pil):
    python3 pillow.py FOLDER/t10k-images-idx3-ubyte.gz
Made with Pillow 9.4.0. The inputs come from a formula that the tests repeat. The file has
the digest of the pixels of each output and its first and last 24 bytes, and one digest
for the first 1,000 images of Fashion-MNIST's test split resized to 96 by 96.
"""
import gzip
import hashlib
import json
import sys

import PIL
from PIL import Image


def pixels(n, kind):
    """noise: the high bytes of a linear congruential generator; edges: 0 and 255."""
    out, x = bytearray(), n
    for _ in range(n):
        x = (x * 1103515245 + 12345) & 0x7FFFFFFF
        v = x >> 16 & 255
        out.append(v if kind == "noise" else 255 * (v & 1))
    return bytes(out)


def resize(sw, sh, dw, dh, kind):
    image = Image.frombytes("L", (sw, sh), pixels(sw * sh, kind))
    return image.resize((dw, dh), Image.BILINEAR).tobytes()


def case(sw, sh, dw, dh, kind):
    out = resize(sw, sh, dw, dh, kind)
    return {
        "from": [sw, sh], "to": [dw, dh], "kind": kind,
        "sha256": hashlib.sha256(out).hexdigest(),
        "first": out[:24].hex(), "last": out[-24:].hex(),
    }


sizes = [
    (28, 28, 96, 96), (28, 28, 224, 224), (96, 96, 28, 28), (224, 224, 28, 28),
    (28, 28, 29, 29), (28, 28, 27, 27), (28, 28, 32, 32), (28, 28, 64, 64),
    (1, 1, 7, 7), (1, 1, 7, 3), (7, 7, 1, 1), (2, 2, 1, 1), (2, 2, 3, 3), (33, 33, 20, 20),
    (17, 31, 40, 9), (31, 17, 31, 40), (17, 31, 5, 31), (100, 3, 3, 100),
    (600, 2, 3, 5), (500, 375, 224, 224), (96, 96, 224, 224), (13, 57, 57, 13),
]
cases = [case(*s, kind) for s in sizes for kind in ("noise", "edges")]

sweep = hashlib.sha256()
for s in range(1, 49):
    for d in range(1, 49):
        sweep.update(resize(s, s, d, d, "noise"))

real = hashlib.sha256()
content = gzip.open(sys.argv[1]).read()[16:]
for i in range(1000):
    image = Image.frombytes("L", (28, 28), content[784 * i : 784 * (i + 1)])
    real.update(image.resize((96, 96), Image.BILINEAR).tobytes())

with open("pillow.json", "w") as f:
    f.write('{"pillow": "%s",\n' % PIL.__version__)
    f.write('"sweep": "%s",\n' % sweep.hexdigest())
    f.write('"t10k": "%s",\n' % real.hexdigest())
    f.write('"cases": [\n%s\n]}\n' % ",\n".join(json.dumps(c) for c in cases))
