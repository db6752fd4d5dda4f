#!/usr/bin/env python3
"""Writes jpegs.json: small JPEG files of every kind, in base64, and CRC-32s of the planes that
Pillow, which uses libjpeg-turbo, decodes. Many files are written by cjpeg and jpegtran, which
have more settings than Pillow; those of kinds that none of them writes, by encode below.

Run it in this folder with numpy, Pillow, cjpeg and jpegtran installed (Debian:
libjpeg-turbo-progs):
    python3 pillow_jpegs.py
Made with Pillow 13.0.0 over libjpeg-turbo 3.2.0, and cjpeg and jpegtran of 2.1.5.
"""
import base64
import io
import json
import os
import struct
import subprocess
import zlib

import numpy as np
from PIL import Image

rng = np.random.default_rng(1)


def scene(w, h):
    """Edges, a gradient and noise, so that all coefficients occur and some values clip."""
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
        if image.mode == "CMYK":
            image = image.convert("RGB")
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


def segment(marker, body):
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


ADOBE = b"Adobe\0\x64\0\0\0\0"
JFIF = b"JFIF\0\1\1\0\0\1\0\1\0\0"
EOI = b"\xff\xd9"


class Bits:
    def __init__(self):
        self.text = []

    def put(self, value, count):
        if count:
            self.text.append(format(value, "0%db" % count))

    def bytes(self):
        text = "".join(self.text)
        text += "1" * (-len(text) % 8)
        out = bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))
        return out.replace(b"\xff", b"\xff\0")


def zigzag():
    order = sorted(((v, u) for v in range(8) for u in range(8)), key=lambda p: (p[0] + p[1], p[0] if (p[0] + p[1]) % 2 else p[1]))
    return [8 * v + u for v, u in order]


STEP = 40  # the quantization step of every coefficient
# Every symbol has a code of the same length, which is its position in these lists.
DC = list(range(12))
AC = [0x00, 0xF0] + [run << 4 | size for run in range(16) for size in range(1, 11)]


def encode(planes, factors, ids=None, before=b"", scans=None, restart=0, frame=0xC0, after=EOI, fill=b""):
    """A sequential file: a plane of samples for each colour, each of any size, which are
    repeated to fill the blocks that factors ask for; before holds segments, and scans the
    colours of each scan."""
    n = len(planes)
    ids = ids or list(range(1, n + 1))
    scans = scans or [list(range(n))]
    height, width = planes[0].shape
    hmax, vmax = max(h for h, _ in factors), max(v for _, v in factors)
    v, u = np.mgrid[0:8, 0:8]
    dct = np.where(v == 0, np.sqrt(1 / 8), 0.5) * np.cos((2 * u + 1) * v * np.pi / 16)
    order = zigzag()
    blocks = []
    for plane, (h, v) in zip(planes, factors):
        full_h, full_w = -(-height // (8 * vmax)) * 8 * v, -(-width // (8 * hmax)) * 8 * h
        y, x = np.arange(full_h) * vmax // v, np.arange(full_w) * hmax // h
        full = plane[np.minimum(y, height - 1)][:, np.minimum(x, width - 1)].astype(float) - 128
        b = full.reshape(full_h // 8, 8, full_w // 8, 8).transpose(0, 2, 1, 3)
        blocks.append(np.rint(dct @ b @ dct.T / STEP).astype(int).reshape(full_h // 8, full_w // 8, 64)[:, :, order])
    out = b"\xff\xd8" + before + segment(0xDB, b"\0" + bytes([STEP]) * 64)
    out += segment(frame, struct.pack(">BHHB", 8, height, width, n) + b"".join(bytes([i, h << 4 | v, 0]) for i, (h, v) in zip(ids, factors)))
    out += segment(0xC4, b"\x00" + bytes([0, 0, 0, len(DC)] + [0] * 12) + bytes(DC))
    out += segment(0xC4, b"\x10" + bytes([0] * 7 + [len(AC)] + [0] * 8) + bytes(AC))
    if restart:
        out += segment(0xDD, struct.pack(">H", restart))
    for scan in scans:
        out += fill + segment(0xDA, bytes([len(scan)]) + b"".join(bytes([ids[c], 0]) for c in scan) + b"\0\x3f\0")
        if len(scan) == 1:
            h, v = factors[scan[0]]
            wide, high = -(-width * h // (8 * hmax)), -(-height * v // (8 * vmax))
            units = [[(scan[0], y, x)] for y in range(high) for x in range(wide)]
        else:
            units = [[(c, y * factors[c][1] + j, x * factors[c][0] + i) for c in scan for j in range(factors[c][1]) for i in range(factors[c][0])]
                     for y in range(-(-height // (8 * vmax))) for x in range(-(-width // (8 * hmax)))]
        bits, dc = Bits(), dict.fromkeys(scan, 0)
        for k, unit in enumerate(units):
            if restart and k and k % restart == 0:
                out += bits.bytes() + fill + bytes([0xFF, 0xD0 + (k // restart - 1) % 8])
                bits, dc = Bits(), dict.fromkeys(scan, 0)
            for c, y, x in unit:
                block(bits, blocks[c][y, x], dc[c])
                dc[c] = blocks[c][y, x][0]
        out += bits.bytes()
    return out + fill + after


def number(bits, value, size):
    bits.put(value if value >= 0 else value + (1 << size) - 1, size)


def block(bits, z, before):
    diff = int(z[0] - before)
    size = abs(diff).bit_length()
    bits.put(DC.index(size), 4)
    number(bits, diff, size)
    run, last = 0, max([k for k in range(1, 64) if z[k]], default=0)
    for k in range(1, last + 1):
        value = int(z[k])
        if value == 0:
            run += 1
            continue
        for _ in range(run // 16):
            bits.put(AC.index(0xF0), 8)
        size = abs(value).bit_length()
        bits.put(AC.index(run % 16 << 4 | size), 8)
        number(bits, value, size)
        run = 0
    if last < 63:
        bits.put(AC.index(0), 8)


def colours(w, h, n, mode="YCbCr"):
    image = scene(w, h).convert(mode)
    planes = list(np.asarray(image).transpose(2, 0, 1)) if mode != "L" else [np.asarray(image)]
    if n == 4 and len(planes) == 3:  # black
        y, x = np.mgrid[0:h, 0:w]
        planes.append(np.clip(60 + 4 * x + 3 * y, 0, 255).astype(np.uint8))
    return planes[:n]


def jpegtran(content, *args):
    done = subprocess.run(["jpegtran", "-copy", "all", *args], input=content, capture_output=True)
    assert done.returncode in (0, 2), done.stderr  # 2 is a warning
    return done.stdout


if __name__ != "__main__":  # only the encoder is needed
    raise SystemExit

for sample in ["1x1", "2x1", "2x2", "1x2", "4x1", "1x4", "4x2", "2x4"]:
    for w, h in [(37, 29), (16, 16), (1, 1), (3, 50)]:
        cjpeg(f"{sample} {w}x{h}", scene(w, h), "-quality", "85", "-sample", sample)
# Images wider than a vector of samples, and chroma just wide enough to be smoothed.
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
keep("CMYK", cmyk.getvalue())

with open("alone.txt", "w") as f:  # too large a unit for one scan
    f.write("".join(f"{c}: 0-0, 0, 1;\n{c}: 1-9, 0, 2;\n{c}: 10-63, 0, 2;\n{c}: 1-63, 2, 1;\n{c}: 0-0, 1, 0;\n{c}: 1-63, 1, 0;\n" for c in range(3)))
# Sampling factors beside those that cameras use: of luma 3 and 4, of the two chroma planes
# differently, of chroma finer than luma, and those whose unit is too large for one scan.
alone = [[0], [1], [2]]
for name, factors, scans in [
    ("Cr 1x2 of 2x2", [(2, 2), (1, 1), (1, 2)], None),
    ("Cb 2x1 of 2x2", [(2, 2), (2, 1), (1, 2)], None),
    ("Cb full of 2x2", [(2, 2), (2, 2), (1, 1)], None),
    ("luma 3x1", [(3, 1), (1, 1), (1, 1)], None),
    ("luma 1x3", [(1, 3), (1, 1), (1, 1)], None),
    ("luma 3x2", [(3, 2), (1, 2), (1, 1)], None),
    ("luma 3x3", [(3, 3), (1, 1), (3, 1)], alone),
    ("luma 1x4", [(1, 4), (1, 2), (1, 1)], None),
    ("luma 4x1", [(4, 1), (2, 1), (1, 1)], None),
    ("luma 4x2", [(4, 2), (1, 1), (1, 1)], None),
    ("luma 4x4", [(4, 4), (2, 2), (1, 2)], alone),
    ("luma of chroma", [(1, 1), (2, 2), (1, 2)], None),
    ("luma half as wide", [(1, 1), (2, 1), (2, 1)], None),
    ("all 2x2", [(2, 2), (2, 2), (2, 2)], alone),
]:
    for w, h in [(41, 35), (3, 5), (33, 3)]:
        content = encode(colours(w, h, 3), factors, scans=scans)
        keep(f"{name} {w}x{h}", content)
    keep(f"progressive {name}", jpegtran(encode(colours(41, 35, 3), factors, scans=scans), "-progressive", *(["-scans", "alone.txt"] if scans else [])))
for factors in [(2, 2), (1, 3), (4, 2)]:
    keep("grey sampled %dx%d" % factors, encode(colours(29, 21, 1, "L"), [factors]))
    keep("progressive grey sampled %dx%d" % factors, jpegtran(encode(colours(29, 21, 1, "L"), [factors]), "-progressive"))

# Kinds and sampling of four colours.
four = [(1, 1)] * 4
for name, adobe in [("no Adobe", None), ("Adobe 0", 0), ("Adobe 1", 1), ("Adobe 2", 2)]:
    before = b"" if adobe is None else segment(0xEE, ADOBE + bytes([adobe]))
    for sampled, factors in [("1x1", four), ("2x1", [(2, 1), (1, 1), (1, 1), (2, 1)]), ("2x2", [(2, 2), (1, 1), (1, 1), (2, 2)]),
                             ("oddly", [(1, 2), (2, 1), (2, 2), (1, 1)]), ("black 1x1", [(2, 2), (1, 1), (1, 1), (1, 1)])]:
        content = encode(colours(37, 27, 4, "RGB"), factors, before=before)
        keep(f"four colours, {name}, {sampled}", content)
        if adobe is not None:
            keep(f"progressive four colours, {name}, {sampled}", jpegtran(content, "-progressive"))
keep("four colours, JFIF", encode(colours(20, 20, 4), four, before=segment(0xE0, JFIF)))
keep("four colours in four scans", encode(colours(20, 20, 4, "RGB"), [(2, 2), (1, 1), (1, 1), (2, 2)], scans=[[0], [1], [2], [3]], restart=2))
keep("YCCK with restarts", encode(colours(50, 20, 4), [(2, 1), (1, 1), (1, 1), (2, 1)], before=segment(0xEE, ADOBE + b"\2"), restart=1))

# Kinds of three colours.
three = [(1, 1)] * 3
for name, ids, before in [
    ("RGB by numbers", [82, 71, 66], b""),
    ("rgb in small letters", [114, 103, 98], b""),
    ("numbers 0 1 2", [0, 1, 2], b""),
    ("one number for all", [7, 7, 7], b""),
    ("RGB by Adobe", None, segment(0xEE, ADOBE + b"\0")),
    ("YCbCr by Adobe", [82, 71, 66], segment(0xEE, ADOBE + b"\1")),
    ("Adobe 2 of three", None, segment(0xEE, ADOBE + b"\2")),
    ("JFIF before Adobe 0", None, segment(0xE0, JFIF) + segment(0xEE, ADOBE + b"\0")),
    ("JFIF over RGB", [82, 71, 66], segment(0xE0, JFIF)),
    ("JFIF cut short", [82, 71, 66], segment(0xE0, JFIF[:10])),
    ("Adobe cut short", [82, 71, 66], segment(0xEE, ADOBE[:9])),
]:
    keep(name, encode(colours(21, 19, 3, "RGB"), three, ids=ids, before=before))
keep("RGB sampled 2x2", encode(colours(37, 29, 3, "RGB"), [(2, 2), (1, 1), (1, 1)], ids=[82, 71, 66]))

# Ends, restarts, and bytes between segments.
usual = [(2, 2), (1, 1), (1, 1)]
planes = colours(45, 37, 3)
keep("no end marker, a trailer", encode(planes, usual, after=b"SEFT" * 600))
keep("no end marker, a trailer of markers", encode(planes, usual, after=b"\xff\xd5\xff\xe0\0\xff\xda\xff\0" * 99))
keep("an end marker, a trailer", encode(planes, usual, after=EOI + b"\xff\xd8\xff\xe1" * 99))
keep("bytes before the end marker", encode(planes, usual, after=b"\0" * 77 + EOI))
for n in [1, 2, 5]:
    keep(f"restarts after {n} and filling", encode(planes, usual, restart=n, fill=b"\xff\xff\xff"))
    keep(f"three scans, restarts after {n} and filling", encode(planes, usual, restart=n, scans=alone, fill=b"\xff"))
keep("an extended file", encode(planes, usual, frame=0xC1))
keep("a comment, junk and filling", encode(planes, usual, before=segment(0xFE, b"a comment") + b"junk\xff\0\xff\xff" + segment(0xEC, b"\xff\xd9")))
keep("two in a scan", encode(planes, usual, scans=[[0, 2], [1]]))

# Kinds that Pillow or this package does not decode.
keep("two colours", encode(planes[:2], [(1, 1)] * 2), decodes=False)
keep("factors 3 and 2", encode(planes, [(3, 1), (2, 1), (1, 1)]), decodes=False)
keep("factors 1x3 and 1x2", encode(planes, [(1, 1), (1, 2), (1, 3)]), decodes=False)
with open("scans.txt", "w") as f:
    f.write("0,1,2: 0-0, 0, 0;\n0: 1-63, 0, 0;\n")
keep("chroma without its scans", jpegtran(encode(planes, usual), "-scans", "scans.txt"), decodes=False)
for name in ["scans.txt", "alone.txt"]:
    os.remove(name)

with open("jpegs.json", "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(e) for e in files) + "\n]\n")
