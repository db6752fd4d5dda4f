#!/usr/bin/env python3
"""Writes the small images in this folder, and pillow.json: the format, the stored size and the
EXIF orientation of each, and CRC-32s of the planes that Pillow reads, oriented and converted to
colour and to grey.

Run it in this folder with Pillow installed (Debian: python3-pil):
    python3 pillow_photos.py
Made with Pillow 9.4.0.
"""
import json
import zlib

import numpy as np
import PIL
from PIL import Image, ImageOps

y, x = np.mgrid[0:10, 0:14]
colours = np.stack([x * 18, y * 25, 255 - x * 9 - y * 6], 2).astype(np.uint8)
rgb = Image.fromarray(colours)
grey = Image.fromarray(colours[:, :, 0])
files = {}


def keep(name, image, **how):
    image.save(name, **how)
    files[name] = None


def exif(orientation):
    e = Image.Exif()
    e[0x0112] = orientation
    e[0x010F] = "maker of cameras"
    return e


for o in range(1, 9):
    keep("turned%d.png" % o, rgb, exif=exif(o))
keep("plain.bmp", rgb)
keep("grey.png", grey)
keep("grey.bmp", grey)
keep("palette.png", rgb.quantize(16))
keep("palette.gif", rgb.quantize(8))
keep("frames.gif", rgb.quantize(8), save_all=True, append_images=[ImageOps.invert(rgb).quantize(8)])
keep("alpha.png", Image.fromarray(np.dstack([colours, (x * 18).astype(np.uint8)])))
keep("grey-alpha.png", Image.fromarray(np.dstack([colours[:, :, 0], (y * 25).astype(np.uint8)])))
keep("bits.png", grey.convert("1", dither=0))
keep("lossless.webp", rgb, lossless=True, exif=exif(6))
deep = (x * 4681 + y).astype(np.uint16)  # 16 bits, of which the upper 8 are used
Image.fromarray(deep).save("deep.png")
# JPEG decoders differ by one or two, which the tests tolerate.
keep("turned6.jpg", rgb, quality=95, subsampling=0, exif=exif(6))
keep("turned3.jpg", grey, quality=95, exif=exif(3))

rows = []
for name in sorted(files):
    image = Image.open(name)
    upright = ImageOps.exif_transpose(image)
    row = {"name": name, "format": image.format.lower(), "width": image.width, "height": image.height,
           "orientation": image.getexif().get(0x0112, 0), "upright": [upright.height, upright.width]}
    colour, l = np.array(upright.convert("RGB")), np.array(upright.convert("L"))
    if name.endswith("jpg"):
        row["planes"] = colour.transpose(2, 0, 1).flatten().tolist()
    else:
        row["rgb"] = "%08x" % zlib.crc32(colour.transpose(2, 0, 1).tobytes())
        row["grey"] = "%08x" % zlib.crc32(l.tobytes())
    rows.append(row)
upper = (deep >> 8).astype(np.uint8)
rows.append({"name": "deep.png", "format": "png", "width": 14, "height": 10, "orientation": 0, "upright": [10, 14],
             "rgb": "%08x" % zlib.crc32(np.stack([upper] * 3).tobytes()), "grey": "%08x" % zlib.crc32(upper.tobytes())})
with open("pillow.json", "w") as f:
    f.write('{"pillow": "%s", "files": [\n%s\n]}\n' % (PIL.__version__, ",\n".join(map(json.dumps, rows))))
