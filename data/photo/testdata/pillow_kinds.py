#!/usr/bin/env python3
"""Writes kinds.zip, a small file of every kind of PNG, GIF, WebP, BMP and TIFF, and kinds.json:
the format and the size of each file, and CRC-32s of the planes that Pillow reads, converted to
colour and to grey. Where Pillow's result is not useful, "rule" is true and the CRCs are those of
the samples that this script wrote, by the rule in the package comment of photo.

Run it in this folder with numpy and Pillow installed:
    python3 pillow_kinds.py
Made with Pillow 13.0.0 (libwebp 1.6.0, libtiff 4.7.2) and numpy 2.4.6.
"""
import io
import json
import struct
import warnings
import zipfile
import zlib

import numpy as np
import PIL
from PIL import Image, ImageOps

warnings.simplefilter("ignore")
random = np.random.default_rng(18)
W, H = 13, 7
rows, archive = [], zipfile.ZipFile("kinds.zip", "w", zipfile.ZIP_DEFLATED)


def crc(planes):
    return "%08x" % zlib.crc32(np.ascontiguousarray(planes).tobytes())


def noise(n):
    return random.integers(0, 256, n, dtype=np.uint8).tobytes()


def add(name, content, rule=None):
    """Adds a file; rule holds its pixels, [H, W] or [H, W, 3], if they are not Pillow's."""
    archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    if rule is None:
        image = Image.open(io.BytesIO(content))
        upright = ImageOps.exif_transpose(image)
        colour, grey = np.array(upright.convert("RGB")), np.array(upright.convert("L"))
        kind = image.format.lower()
    else:
        image = Image.fromarray(np.asarray(rule, np.uint8)).convert("RGB")
        colour, grey = np.array(image), np.array(image.convert("L"))
        kind = {"tif": "tiff"}.get(name[-3:], name[-3:])
    rows.append({"name": name, "format": kind, "width": colour.shape[1], "height": colour.shape[0],
                 "rgb": crc(colour.transpose(2, 0, 1)), "grey": crc(grey)})
    if rule is not None:
        rows[-1]["rule"] = True


def saved(name, image, **how):
    b = io.BytesIO()
    image.save(b, {"tif": "tiff", "web": "webp"}.get(name[-3:].replace("ebp", "web"), name[-3:]), **how)
    add(name, b.getvalue())


# PNG: colour types and depths, interlaced or not, with every filter.

SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_start(depth, kind, w=W, h=H, interlaced=0):
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, kind, 0, 0, interlaced))


def png(depth, kind, lines, extra=b"", end=chunk(b"IEND", b""), **how):
    return png_start(depth, kind, **how) + extra + chunk(b"IDAT", zlib.compress(lines)) + end


def png_lines(depth, kind, interlaced, filters):
    out = b""
    for x, y, dx, dy in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        w, h = max(0, (W - x + dx - 1) // dx), max(0, (H - y + dy - 1) // dy)
        for _ in range(h if w else 0):
            out += bytes([random.integers(0, filters)]) + noise((w * depth * SAMPLES[kind] + 7) // 8)
    return out


for kind, depths in {0: (1, 2, 4, 8), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}.items():
    for depth in depths:
        for interlaced in (0, 1):
            n = 1 << depth if kind == 3 else 0
            extra = chunk(b"PLTE", noise(3 * n)) + chunk(b"tRNS", b"\0\x80\xff"[:n]) if n else b""
            add("type%d-%d-%d.png" % (kind, depth, interlaced),
                png(depth, kind, png_lines(depth, kind, interlaced, 5), extra, interlaced=interlaced))
deep = random.integers(0, 65536, (H, W), dtype=np.uint16)
lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)
add("type0-16.png", png(16, 0, lines), deep >> 8)
add("type0-16-key.png", png(16, 0, lines, chunk(b"tRNS", struct.pack(">H", deep[0, 0]))), deep >> 8)
for name, depth, kind, key in [("grey", 8, 0, b"\0\2"), ("bit", 1, 0, b"\0\1"), ("bits", 2, 0, b"\0\1"), ("colour", 8, 2, b"\0\1\0\2\0\3"),
                               ("deep", 16, 2, b"\1\2\3\4\5\6")]:
    add("key-%s.png" % name, png(depth, kind, bytes([0, 1, 2, 3, 4, 5, 6]), chunk(b"tRNS", key), w=1, h=1))
lines = png_lines(8, 2, 0, 5)
clear = b"".join(b"\0" + struct.pack(">4H", 200 * 257, 120 * 257, 40 * 257, 0) * W for _ in range(H))
add("clear-16.png", png(16, 6, clear))
add("gamma.png", png(8, 2, lines, chunk(b"gAMA", struct.pack(">I", 100000)) + chunk(b"cHRM", struct.pack(">8I", *range(8)))))
add("profile.png", png(8, 2, lines, chunk(b"iCCP", b"p\0\0" + zlib.compress(b"no profile"))))
add("background.png", png(8, 6, png_lines(8, 6, 0, 5), chunk(b"bKGD", bytes(6))))
add("palette-for-grey.png", png(8, 0, png_lines(8, 0, 0, 5), chunk(b"PLTE", bytes(9))))
add("palette-short.png", png(8, 3, b"\0\0\1\2\3\4\5", chunk(b"PLTE", bytes([9, 8, 7, 200, 100, 50])), w=6, h=1))
add("palette-long.png", png(1, 3, b"\0\x50", chunk(b"PLTE", bytes(range(9))), w=4, h=1))
add("palette-none.png", png(8, 3, b"\0\0\1\2\3\4\5", w=6, h=1))
add("rows-too-many.png", png(8, 2, lines * 3))
add("bytes-too-many.png", png(8, 2, lines + b"\0\1"))
add("no-end.png", png(8, 2, lines, end=b""))
add("junk-behind.png", png(8, 2, lines, end=b"\0junk \0 that is no chunk"))
add("cut-in-checksum.png", png(8, 2, lines, end=b"")[:-2])
z = zlib.compress(lines)
add("cut-in-stream-checksum.png", png_start(8, 2) + struct.pack(">I", len(z)) + b"IDAT" + z[:-2])
add("wrong-chunk-checksum.png", png_start(8, 2) + chunk(b"IDAT", z)[:-1] + b"?" + chunk(b"IEND", b""))
add("wrong-checksum-behind.png", png(8, 2, lines, end=chunk(b"tEXt", b"a\0b")[:-1] + b"?" + chunk(b"IEND", b"")))
add("many-chunks.png", png_start(8, 2) + b"".join(chunk(b"IDAT", z[i:i + 7]) + chunk(b"IDAT", b"") for i in range(0, len(z), 7)) + chunk(b"IEND", b""))
colours = Image.fromarray(random.integers(0, 256, (H, W, 3), dtype=np.uint8))
saved("animation.png", colours, save_all=True, append_images=[colours.rotate(180)])
saved("animation-default.png", colours, save_all=True, default_image=True, append_images=[colours.rotate(180)])

# GIF: the screen with its first frame.


def lzw(values, bits):
    """Codes that are never longer than the first ones, since the table is cleared in time."""
    codes, out = [], 0
    for i, v in enumerate(values):
        codes += [1 << bits] * (i % max(1, (1 << bits) - 2) == 0) + [v]
    for i, c in enumerate(codes + [(1 << bits) + 1]):
        out |= c << i * (bits + 1)
    return out.to_bytes((len(codes) + 1) * (bits + 1) // 8 + 1, "little")


def gif(frame, values, screen=None, bits=2, shared=None, own=None, clear=None, interlaced=0, background=0, end=b";", before=b""):
    size = lambda table: 0x80 | (len(table) // 3).bit_length() - 2 if table else 0
    data = lzw(values, bits)
    out = b"GIF89a" + struct.pack("<HHBBB", *(screen or frame[2:]), size(shared), background, 0) + (shared or b"") + before
    if clear is not None:
        out += b"!\xf9\4\1\0\0" + bytes([clear]) + b"\0"
    out += b"," + struct.pack("<HHHHB", *frame, size(own) | 0x40 * interlaced) + (own or b"") + bytes([bits])
    return out + b"".join(bytes([len(data[i:i + 255])]) + data[i:i + 255] for i in range(0, len(data), 255)) + b"\0" + end


table, ramp, four = bytes(range(10, 130, 10)), bytes([0, 0, 0, 1, 1, 1]), [0, 1, 2, 3]
for name, how in {
    "shared": dict(shared=table), "own": dict(shared=table, own=table[::-1]), "own-alone": dict(own=table), "no-colours": {},
    "ramp": dict(shared=ramp), "colours-short": dict(shared=table[:6]), "clear": dict(shared=table, clear=0),
    "smaller": dict(shared=table, screen=(5, 4)), "smaller-clear": dict(shared=table, screen=(5, 4), clear=2),
    "smaller-clear-beyond": dict(shared=table, screen=(5, 4), clear=200), "smaller-background": dict(shared=table, screen=(5, 4), background=3),
    "smaller-own": dict(shared=table, own=table[::-1], screen=(5, 4), clear=1), "beyond": dict(shared=table, screen=(1, 1)),
    "no-screen": dict(shared=table, screen=(0, 0)), "no-trailer": dict(shared=table, end=b""), "junk-behind": dict(shared=table, end=b"junk"),
    "cut-behind": dict(shared=table, end=b",\0\0\0\0\2\0\2"), "junk-before": dict(shared=table, before=b"\0\1\2"),
    "extensions": dict(shared=table, before=b"!\xff\x0bNETSCAPE2.0\3\1\0\0\0!\xfe\2hi\0!\1\1a\0!\x99\1b\0"),
    "codes-1": dict(shared=table, bits=1, values=[0, 1, 1, 0]), "codes-8": dict(shared=table, bits=8), "codes-9": dict(shared=table, bits=9),
    "too-many": dict(shared=table, values=four * 3), "interlaced": dict(shared=table, interlaced=1, frame=(0, 0, 2, 11), values=[0, 1, 2, 3, 3, 2, 1, 0, 0, 2, 3] * 2),
}.items():
    add(name + ".gif", gif(**{"frame": (1, 1, 2, 2) if "screen" in how else (0, 0, 2, 2), "values": four, **how}))
add("no-block-end.gif", gif((0, 0, 2, 2), four, shared=table, end=b"")[:-1])
add("own-ramp.gif", gif((0, 0, 2, 2), four, shared=table, own=ramp), [[0, 1], [2, 3]])
saved("full-table.gif", Image.fromarray(random.integers(0, 256, (90, 60), dtype=np.uint8)))
saved("frames.gif", colours.quantize(60), save_all=True, append_images=[colours.rotate(180).quantize(9)])
saved("clear-first.gif", Image.fromarray(np.dstack([np.array(colours), (np.mgrid[0:H, 0:W][1] * 19).astype(np.uint8)])))

# WebP: lossy, lossless, with alpha, animated. Odd sizes and one pixel test the edges of chroma.

smooth = Image.fromarray(random.integers(0, 256, (6, 8, 4), dtype=np.uint8)).resize((45, 34), Image.Resampling.BICUBIC)
for w, h in [(1, 1), (1, 2), (2, 1), (2, 2), (3, 5), (16, 16), (33, 17), (45, 34)]:
    saved("lossy%dx%d.webp" % (w, h), smooth.convert("RGB").crop((0, 0, w, h)), quality=90)
for name, c in {"white": 255, "black": 0, "grey": 128}.items():
    saved(name + ".webp", Image.new("RGB", (5, 3), (c, c, c)))
for q in (0, 30, 100):
    saved("lossy-%d.webp" % q, smooth.convert("RGB"), quality=q)
saved("alpha.webp", smooth, exact=True)
saved("alpha-raw.webp", smooth, exact=True, alpha_quality=0)
saved("clear.webp", Image.new("RGBA", (9, 5), (200, 120, 40, 0)), exact=True)
saved("lossless-clear.webp", Image.new("RGBA", (9, 5), (200, 120, 40, 0)), exact=True, lossless=True)
saved("lossless-alpha.webp", smooth, lossless=True)
saved("lossless-palette.webp", smooth.convert("RGB").quantize(5).convert("RGB"), lossless=True)
small = smooth.crop((0, 0, 21, 14))
inside = Image.new("RGBA", (21, 14))
inside.paste(smooth.crop((0, 0, 10, 5)), (6, 8))
moving = dict(save_all=True, append_images=[small, small.rotate(90)], duration=90, background=(200, 10, 20, 255))
saved("animation.webp", small.convert("RGB"), **moving)
saved("animation-lossless.webp", small, lossless=True, **moving)
saved("animation-inside.webp", inside, lossless=True, **moving)
saved("animation-inside-lossy.webp", inside, **moving)
saved("profile.webp", smooth.convert("RGB"), icc_profile=b"no profile")
turned = Image.Exif()
turned[0x0112] = 6
saved("turned.webp", smooth.convert("RGB"), exif=turned)

# BMP: headers, depths, masks, palettes, runs.


def bmp(bits, data, header=40, compression=0, masks=(), palette=b"", colours=0, gap=0, w=W, h=H, offset=None):
    if header == 12:
        start = struct.pack("<IHHHH", 12, w, h, 1, bits)
    else:
        start = struct.pack("<IiiHHIIiiII", header, w, h, 1, bits, compression, len(data), 0, 0, colours, 0)
        start += struct.pack("<%dI" % len(masks), *masks) if header == 40 else struct.pack("<4I", *(masks + (0,) * 4)[:4])
        start = start.ljust(header, b"\0")[:max(header, 40 + 4 * len(masks) * (header == 40))]
    at = 14 + len(start) + len(palette) + gap
    return b"BM" + struct.pack("<IHHI", at + len(data), 0, 0, at if offset is None else offset) + start + palette + bytes(gap) + data


def pixels(bits):
    return noise((W * bits + 31) // 32 * 4 * H)


def palette(n, entry=4):
    return b"".join(noise(3) + bytes(entry - 3) for _ in range(n))


for header in (12, 40, 52, 56, 64, 108, 124):
    for bits in (1, 4, 8, 16, 24, 32):
        add("header%d-%d.bmp" % (header, bits),
            bmp(bits, pixels(bits), header, palette=palette(1 << bits, 3 if header == 12 else 4) if bits <= 8 else b""))
MASKS = [(16, (0xF800, 0x7E0, 0x1F)), (16, (0x7C00, 0x3E0, 0x1F)), (24, (0xFF0000, 0xFF00, 0xFF)), (32, (0xFF0000, 0xFF00, 0xFF)),
         (32, (0xFF000000, 0xFF0000, 0xFF00)), (32, (0xFF000000, 0xFF00, 0xFF)), (32, (0, 0, 0))]
ALPHA = [(32, (0xFF000000, 0xFF0000, 0xFF00, 0xFF)), (32, (0xFF, 0xFF00, 0xFF0000, 0xFF000000)), (32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
         (32, (0xFF000000, 0xFF00, 0xFF, 0xFF0000))]
for header in (40, 52, 56, 108, 124):
    for i, (bits, masks) in enumerate(MASKS + (ALPHA if header >= 56 else [])):
        add("masks%d-%d.bmp" % (header, i), bmp(bits, pixels(bits), header, 3, masks))
rare = random.integers(0, 1 << 30, (H, W), dtype=np.uint32)
shades = np.dstack([rare >> 22, rare >> 12 & 255, rare >> 2 & 255])
add("masks-10-bits.bmp", bmp(32, rare[::-1].astype("<u4").tobytes(), 40, 3, (0x3FF00000, 0xFFC00, 0x3FF)), shades)
rare = random.integers(0, 1 << 16, (H, W), dtype=np.uint16)
nibbles = np.dstack([(rare >> s & 15) * 17 for s in (8, 4, 0)])
add("masks-4-bits.bmp", bmp(16, np.pad(rare[::-1], ((0, 0), (0, 1))).astype("<u2").tobytes(), 40, 6, (0xF00, 0xF0, 0xF, 0xF000)), nibbles)
for bits in (1, 8, 24, 32):
    add("top-down-%d.bmp" % bits, bmp(bits, pixels(bits), h=-H, palette=palette(1 << bits) if bits <= 8 else b""))
add("gap.bmp", bmp(24, pixels(24), gap=10))
add("gap-palette.bmp", bmp(8, pixels(8), palette=palette(256), gap=10))
add("no-offset.bmp", bmp(24, pixels(24), offset=0))
add("no-offset-palette.bmp", bmp(8, pixels(8), palette=palette(256), offset=0))
add("offset-of-palette.bmp", bmp(8, pixels(8), palette=palette(256), offset=54))
add("no-padding-at-end.bmp", bmp(24, pixels(24)[:-1]))
for n in (2, 3, 100):
    add("short%d.bmp" % n, bmp(8, pixels(8), palette=palette(n), colours=n))
add("short-4.bmp", bmp(4, pixels(4), palette=palette(5), colours=5))
add("black-white.bmp", bmp(1, pixels(1), palette=b"\0\0\0\0\xff\xff\xff\0"))
add("white-black.bmp", bmp(1, pixels(1), palette=b"\xff\xff\xff\0\0\0\0\0"))
add("greys.bmp", bmp(4, pixels(4), palette=b"".join(bytes([17 * i] * 3 + [0]) for i in range(16))))
add("ramp.bmp", bmp(8, pixels(8), palette=b"".join(bytes([i] * 3 + [0]) for i in range(256))))
add("ramp-short.bmp", bmp(8, pixels(8), palette=b"".join(bytes([i] * 3 + [0]) for i in range(100)), colours=100))
two = random.integers(0, 2, (H, 16), dtype=np.uint8)
add("two-greys.bmp", bmp(8, two[::-1].tobytes(), palette=b"\0\0\0\0\xff\xff\xff\0", colours=2), two[:, :W] * 255)
quads = random.integers(0, 4, (H, 16), dtype=np.uint8)
packed = (quads[:, 0::4] << 6 | quads[:, 1::4] << 4 | quads[:, 2::4] << 2 | quads[:, 3::4])[::-1].tobytes()
shades = np.arange(12, dtype=np.uint8).reshape(4, 3) * 20
add("two-bits.bmp", bmp(2, packed, palette=b"".join(bytes(c[::-1]) + b"\0" for c in shades)), shades[quads[:, :W]])
line = bytes([W, 3, 0, 0])
RUNS = {"runs": b"\5\1\0\5abcde\0\3\7\0\0" + line * 6 + b"\0\1", "runs-no-end": line * 7, "runs-too-long": b"\xff\1\0\0" * 7 + b"\0\1",
        "runs-skip": b"\5\1\0\2\3\2\4\2\0\0" + line * 4 + b"\0\1", "runs-short-lines": b"\5\1\0\0" * 7 + b"\0\1"}
for name, data in RUNS.items():
    add(name + "-8.bmp", bmp(8, data, compression=1, palette=palette(256)))
    add(name + "-8-top-down.bmp", bmp(8, data, compression=1, palette=palette(256), h=-H))
add("runs-4.bmp", bmp(4, b"\x0d\x12\0\0" * 3 + b"\0\5\x12\x34\x50\0\x08\x67\0\0\0\2\1\1\x0c\x78\0\0" + b"\0\x0d\x12\x34\x56\x78\x9a\xbc\xd0\0\0\0" * 2 + b"\0\1",
                      compression=2, palette=palette(16)))
early = np.zeros((H, W, 3), np.uint8)
early[-1, :5] = (3, 2, 1)
add("runs-early-end.bmp", bmp(8, b"\5\1\0\1", compression=1, palette=bytes(4) + b"\1\2\3\0"), early)

# TIFF: colours, depths, byte orders, strips, tiles, planes, compressions.


def tiff(tags, data, big):
    order = ">" if big else "<"
    data += bytes(len(data) % 2)
    at = 8 + len(data)
    after, behind, entries = at + 2 + 12 * len(tags) + 4, b"", b""
    for tag in sorted(tags):
        kind, values = tags[tag]
        value = struct.pack("%s%d%s" % (order, len(values), {3: "H", 4: "I"}[kind]), *values)
        if len(value) > 4:
            value, behind = struct.pack(order + "I", after + len(behind)), behind + value
        entries += struct.pack(order + "HHI", tag, kind, len(values)) + value.ljust(4, b"\0")
    return (b"MM\0*" if big else b"II*\0") + struct.pack(order + "I", at) + data + struct.pack(order + "H", len(tags)) + entries + bytes(4) + behind


def tags(bits, photometric, parts, compression=1, **others):
    """Tags of an image whose parts lie one after the other behind the header."""
    ats = np.cumsum([8] + [len(p) for p in parts]).tolist()
    t = {256: (3, [W]), 257: (3, [H]), 258: (3, bits), 259: (3, [compression]), 262: (3, [photometric]), 277: (3, [len(bits)]), 278: (3, [H]),
         273: (4, ats[:-1]), 279: (4, [len(p) for p in parts])}
    t.update({int(k[1:]): v for k, v in others.items() if v})
    return {k: v for k, v in t.items() if v}, b"".join(parts)


for big in (False, True):
    end = "-big.tif" if big else ".tif"
    for bits in (1, 2, 4, 8):
        for photometric in (0, 1):
            add("grey%d-%d" % (bits, photometric) + end, tiff(*tags([bits], photometric, [noise((W * bits + 7) // 8 * H)]), big))
        table = (3, random.integers(0, 65536, 3 << bits).tolist())
        add("palette%d" % bits + end, tiff(*tags([bits], 3, [noise((W * bits + 7) // 8 * H)], t320=table), big))
    deep = random.integers(0, 65536, (H, W), dtype=np.uint16)
    data = deep.astype(">u2" if big else "<u2").tobytes()
    add("grey16-0" + end, tiff(*tags([16], 0, [data]), big), 255 - (deep >> 8))
    add("grey16-1" + end, tiff(*tags([16], 1, [data]), big), deep >> 8)
    for bits, samples, extra in [(8, 3, None), (16, 3, None), (8, 4, 0), (8, 4, 1), (8, 4, 2), (16, 4, 0), (16, 4, 1), (16, 4, 2)]:
        add("rgb%d-%d-%s" % (bits, samples, extra) + end,
            tiff(*tags([bits] * samples, 2, [noise(W * H * samples * bits // 8)], t338=extra is not None and (3, [extra])), big))
    add("planes8" + end, tiff(*tags([8] * 3, 2, [noise(W * H) for _ in range(3)], t284=(3, [2])), big))
    deep = random.integers(0, 65536, (3, H, W), dtype=np.uint16)
    parts = [p.astype(">u2" if big else "<u2").tobytes() for p in deep]
    add("planes16" + end, tiff(*tags([16] * 3, 2, parts, t284=(3, [2])), big), (deep >> 8).transpose(1, 2, 0))
    add("predictor16" + end, tiff(*tags([16] * 3, 2, [zlib.compress(noise(W * H * 6))], 8, t317=(3, [2])), big))
    strips = [noise(3 * W * min(3, H - y)) for y in range(0, H, 3)]
    add("strips" + end, tiff(*tags([8] * 3, 2, strips, t278=(3, [3])), big))
    t, data = tags([8] * 3, 2, strips, t278=(3, [3]))
    del t[279]
    add("no-lengths" + end, tiff(t, data, big))
    for w, h in ((40, 20), (5, 3)):
        tiles = [noise(16 * 16 * 3) for _ in range(-(-w // 16) * -(-h // 16))]
        for name, parts, compression in (("tiles", tiles, 1), ("tiles-deflate", [zlib.compress(p) for p in tiles], 8)):
            t, data = tags([8] * 3, 2, parts, compression, t256=(3, [w]), t257=(3, [h]), t322=(3, [16]), t323=(3, [16]))
            t[324], t[325] = t.pop(273), t.pop(279)
            del t[278]
            add("%s%d" % (name, w) + end, tiff(t, data, big))
    add("reversed-bits" + end, tiff(*tags([1], 1, [noise((W + 7) // 8 * H)], t266=(3, [2])), big))
tones = Image.fromarray(random.integers(0, 256, (H, W, 4), dtype=np.uint8))
for mode, image in {"1": tones.convert("1"), "L": tones.convert("L"), "LA": tones.convert("LA"), "P": tones.convert("RGB").quantize(40),
                    "RGB": tones.convert("RGB"), "RGBA": tones, "CMYK": Image.fromarray(np.array(tones), "CMYK")}.items():
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits") + (("group3", "group4") if mode == "1" else ()):
        saved("%s-%s.tif" % (mode.lower(), compression), image, compression=compression)
saved("predictor.tif", tones, compression="tiff_lzw", tiffinfo={317: 2})
for turn in (3, 6, 8):
    saved("turned%d.tif" % turn, tones.convert("RGB"), compression="tiff_lzw", tiffinfo={274: turn})
for mode in ("L", "RGB", "YCbCr"):
    saved("jpeg-%s.tif" % mode.lower(), smooth.convert(mode), compression="jpeg", tiffinfo={278: 16})
saved("pages.tif", tones.convert("RGB"), save_all=True, append_images=[tones.convert("L")])

archive.close()
with open("kinds.json", "w") as f:
    f.write('{"pillow": "%s", "files": [\n%s\n]}\n' % (PIL.__version__, ",\n".join(map(json.dumps, rows))))
