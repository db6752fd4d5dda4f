#!/usr/bin/env python3
"""Writes jpegs.json: small JPEG files of every kind, in base64, and CRC-32s of the planes
that Pillow, and so libjpeg-turbo, decodes of them. Most files are written by cjpeg, which
has settings that Pillow has not.

Run it in this folder with Pillow and cjpeg installed (Debian: python3-pil,
libjpeg-turbo-progs):
    python3 pillow_jpegs.py
Made with Pillow 9.4.0 over libjpeg-turbo 2.1.5.
"""
import base64
import io
import json
import subprocess
import zlib

import numpy as np
from PIL import Image

rng = np.random.default_rng(1)


def scene(w, h):
    """Edges, a gradient and noise, so that all coefficients come up and some clip."""
    y, x = np.mgrid[0:h, 0:w]
    base = np.stack([x * 7 + y * 3, 255 - x * 5, y * 9 + 40], 2) % 300
    base[(x - w / 2) ** 2 + (y - h / 2) ** 2 < (min(w, h) / 3) ** 2] = [255, 20, 60]
    noise = rng.normal(0, 12, (h, w, 3))
    return Image.fromarray(np.clip(base + noise, 0, 255).astype(np.uint8))


files = []


def keep(name, content, decodes=True):
    entry = {"name": name, "content": base64.b64encode(content).decode()}
    if decodes:
        image = Image.open(io.BytesIO(content))
        entry["mode"] = image.mode
        entry["width"], entry["height"] = image.size
        pixels = np.asarray(image)
        planes = pixels.transpose(2, 0, 1) if pixels.ndim == 3 else pixels
        entry["crc"] = "%08x" % zlib.crc32(np.ascontiguousarray(planes).tobytes())
    files.append(entry)


def cjpeg(name, image, *args, decodes=True):
    ppm = io.BytesIO()
    image.save(ppm, "PPM")
    done = subprocess.run(["cjpeg", *args], input=ppm.getvalue(), capture_output=True, check=True)
    keep(name, done.stdout, decodes)


for sample in ["1x1", "2x1", "2x2", "1x2", "4x1", "1x4", "4x2", "2x4"]:
    for w, h in [(37, 29), (16, 16), (1, 1), (3, 50)]:
        cjpeg(f"{sample} {w}x{h}", scene(w, h), "-quality", "85", "-sample", sample)
# Wider than a vector of samples, and chroma just wide enough to be smoothed.
for w in [2, 4, 5, 6, 7, 33, 66, 131]:
    cjpeg(f"2x2 {w}x9", scene(w, 9), "-quality", "70", "-sample", "2x2")
    cjpeg(f"2x1 {w}x9", scene(w, 9), "-quality", "70", "-sample", "2x1")
for quality in ["1", "10", "50", "100"]:
    cjpeg(f"quality {quality}", scene(40, 24), "-quality", quality)
for sample in ["1x1", "2x1", "2x2", "1x2"]:
    cjpeg(f"progressive {sample}", scene(45, 35), "-progressive", "-sample", sample)
cjpeg("progressive restarts", scene(45, 35), "-progressive", "-restart", "3B")
cjpeg("progressive grey", scene(45, 35), "-progressive", "-grayscale")
for n in ["1B", "7B", "1"]:
    cjpeg(f"restart {n}", scene(70, 40), "-restart", n, "-sample", "2x2")
cjpeg("optimized", scene(40, 40), "-optimize", "-quality", "95")
cjpeg("grey", scene(37, 21), "-grayscale")
cjpeg("rgb", scene(33, 17), "-rgb")
cjpeg("16-bit tables", scene(33, 17), "-quality", "1")
with open("scans.txt", "w") as f:
    f.write("0;\n1;\n2;\n")
cjpeg("a scan for each colour", scene(37, 29), "-scans", "scans.txt", "-sample", "2x2")
with open("scans.txt", "w") as f:
    f.write("0 2;\n1;\n")
cjpeg("two scans", scene(37, 29), "-scans", "scans.txt", "-sample", "2x2")
cjpeg("arithmetic", scene(20, 20), "-arithmetic", decodes=False)
cmyk = io.BytesIO()
scene(20, 20).convert("CMYK").save(cmyk, "JPEG")
keep("CMYK", cmyk.getvalue(), decodes=False)

with open("jpegs.json", "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(e) for e in files) + "\n]\n")
