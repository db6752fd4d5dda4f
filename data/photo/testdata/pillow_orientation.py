#!/usr/bin/env python3
"""Writes orientation.json: small images, in base64, whose orientation is stored in every usual
way, and for each the size and a CRC-32 of the planes that Pillow reads, oriented by
ImageOps.exif_transpose.

Run it in this folder with Pillow and numpy installed:
    python3 pillow_orientation.py
Made with Pillow 13.0.0.
"""
import base64
import io
import json
import struct
import warnings
import zlib

import numpy as np
import PIL
from PIL import Image, ImageOps, PngImagePlugin

warnings.simplefilter("ignore")  # warnings about damaged EXIF data
y, x = np.mgrid[0:6, 0:9]
image = Image.fromarray(np.stack([x * 28, y * 45, 255 - x * 9 - y * 6], 2).astype(np.uint8))
b = io.BytesIO()
image.save(b, "JPEG", quality=70, optimize=True)
jpeg = b.getvalue()
ORIENTATION = 0x0112
XMP = b"http://ns.adobe.com/xap/1.0/\0"
files = []


def keep(name, content):
    image = Image.open(io.BytesIO(content))
    upright = ImageOps.exif_transpose(image)
    planes = np.asarray(upright.convert("RGB")).transpose(2, 0, 1)
    files.append({"name": name, "content": base64.b64encode(content).decode(), "height": upright.height, "width": upright.width,
                  "crc": "%08x" % zlib.crc32(np.ascontiguousarray(planes).tobytes())})


def app1(body):
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


def segments(*parts):
    """The JPEG file with additional segments before the others."""
    return jpeg[:2] + b"".join(parts) + jpeg[2:]


def exif(tiff):
    return app1(b"Exif\0\0" + tiff)


def directory(e, *entries, magic=None, data=b"", end=b"\0\0\0\0"):
    """TIFF data in the byte order e. An entry is a tag, a type, a count and 4 bytes of value. The
    directory begins at offset 8, and data follow it."""
    head = (b"MM" if e == ">" else b"II") + (magic or struct.pack(e + "H", 42)) + struct.pack(e + "I", 8)
    body = struct.pack(e + "H", len(entries))
    for tag, kind, count, value in entries:
        body += struct.pack(e + "HHI", tag, kind, count) + value
    return head + body + end + data


for e, order in ((">", "big"), ("<", "little")):
    def one(kind, value, count=1, **how):
        return exif(directory(e, (ORIENTATION, kind, count, value.ljust(4, b"\0")), **how))

    here = struct.pack(e + "I", 8 + 2 + 12 + 4)  # the offset of data after a directory with one entry
    pack = lambda form, *v: struct.pack(e + form, *v)
    for o in range(1, 9):
        keep(f"{order} SHORT {o}", segments(one(3, pack("H", o))))
    for o in (0, 9, 255, 1536):
        keep(f"{order} SHORT {o}", segments(one(3, pack("H", o))))
    keep(f"{order} BYTE", segments(one(1, b"\6")))
    keep(f"{order} two BYTEs", segments(one(1, b"\6\0", 2)))
    keep(f"{order} ASCII", segments(one(2, b"6")))
    keep(f"{order} LONG 6", segments(one(4, pack("I", 6))))
    keep(f"{order} LONG 3", segments(one(4, pack("I", 3))))
    keep(f"{order} LONG in its upper half", segments(one(4, pack("I", 6 << 16))))
    keep(f"{order} SBYTE", segments(one(6, b"\6")))
    keep(f"{order} UNDEFINED", segments(one(7, b"\6")))
    keep(f"{order} SSHORT", segments(one(8, pack("h", 6))))
    keep(f"{order} SSHORT below 0", segments(one(8, pack("h", -6))))
    keep(f"{order} SLONG", segments(one(9, pack("i", 8))))
    keep(f"{order} FLOAT", segments(one(11, pack("f", 6))))
    keep(f"{order} FLOAT 6.5", segments(one(11, pack("f", 6.5))))
    keep(f"{order} IFD", segments(one(13, pack("I", 6))))
    keep(f"{order} RATIONAL", segments(one(5, here, data=pack("II", 12, 2))))
    keep(f"{order} RATIONAL 13/2", segments(one(5, here, data=pack("II", 13, 2))))
    keep(f"{order} RATIONAL 6/0", segments(one(5, here, data=pack("II", 6, 0))))
    keep(f"{order} SRATIONAL", segments(one(10, here, data=pack("ii", -6, -1))))
    keep(f"{order} DOUBLE", segments(one(12, here, data=pack("d", 6))))
    keep(f"{order} LONG8", segments(one(16, here, data=pack("Q", 6))))
    keep(f"{order} an unknown type", segments(one(14, pack("I", 6))))
    keep(f"{order} type 0", segments(one(0, pack("I", 6))))
    keep(f"{order} two SHORTs", segments(one(3, pack("HH", 6, 1), 2)))
    keep(f"{order} three SHORTs", segments(one(3, here, 3, data=pack("HHH", 6, 1, 1))))
    keep(f"{order} three SHORTs that are not there", segments(one(3, pack("I", 4000), 3)))
    keep(f"{order} no SHORT", segments(one(3, pack("H", 6), 0)))
    keep(f"{order} no next directory", segments(one(3, pack("H", 6), end=b"")))
    six, three = (ORIENTATION, 3, 1, pack("HH", 6, 0)), (ORIENTATION, 3, 1, pack("HH", 3, 0))
    keep(f"{order} twice", segments(exif(directory(e, six, three))))
    keep(f"{order} twice, the first unread", segments(exif(directory(e, (ORIENTATION, 14, 1, pack("I", 3)), six))))
    keep(f"{order} among others, not sorted", segments(exif(directory(e, (0x0128, 3, 1, pack("HH", 2, 0)), (0x010F, 2, 4, b"abc\0"), six, (0x0100, 4, 1, pack("I", 9))))))
    whole = directory(e, six)
    keep(f"{order} fewer entries than it says", segments(exif(whole[:8] + pack("H", 9) + whole[10:-4])))
    keep(f"{order} cut in its entry", segments(exif(whole[:-5])))
    keep(f"{order} directory outside", segments(exif(whole[:4] + pack("I", 999) + whole[8:])))
    keep(f"{order} directory further on", segments(exif(whole[:4] + pack("I", 14) + b"before" + whole[8:])))
    for magic in (b"\x2a\0", b"\0\x2a", b"\0\x2b", b"\x2b\0", b"\0\0"):
        keep(f"{order} magic {magic.hex()}", segments(exif(directory(e, six, magic=magic))))

six, one = directory(">", (ORIENTATION, 3, 1, b"\0\6\0\0")), directory("<", (ORIENTATION, 3, 1, b"\1\0\0\0"))
none = directory(">", (0x0100, 3, 1, b"\0\1\0\0"))
keep("header twice", segments(app1(b"Exif\0\0Exif\0\0" + six)))
keep("another header", segments(app1(b"Exif\0\xff" + six)))
keep("in two segments", segments(exif(six[:12]), exif(six[12:])))
keep("two EXIF data", segments(exif(six), exif(one)))
keep("empty EXIF data first", segments(exif(b""), exif(six)))
keep("damaged EXIF data first", segments(exif(b"XXXXXXXX"), exif(six)))
keep("junk and filling before", segments(b"\xff\xfe\0\2junk\xff\0\xff\xff", exif(six)))
keep("a comment before", segments(b"\xff\xfe\0\x04\xff\xe1", exif(six)))
scan = jpeg.index(b"\xff\xda")
keep("behind the frame", jpeg[:scan] + exif(six) + jpeg[scan:])
keep("behind the scan", jpeg[:-2] + exif(six) + jpeg[-2:])
for name, xmp in {"attribute": b'<x tiff:Orientation="6"/>', "element": b"<tiff:Orientation>6</tiff:Orientation>", "single quotes": b"<x tiff:Orientation='6'/>",
                  "0": b'<x tiff:Orientation="0"/>', "none": b"<x/>"}.items():
    keep(f"XMP {name}", segments(app1(XMP + xmp)))
xmp = app1(XMP + b'<x tiff:Orientation="6"/>')
keep("XMP and EXIF 1", segments(xmp, exif(one)))
keep("XMP and EXIF without", segments(exif(none), xmp))
keep("XMP and damaged EXIF", segments(exif(b"XXXXXXXX"), xmp))
keep("XMP and EXIF of a BYTE", segments(xmp, exif(directory(">", (ORIENTATION, 1, 1, b"\3\0\0\0")))))
keep("XMP twice", segments(xmp, app1(XMP + b'<x tiff:Orientation="3"/>')))


def saved(kind, **how):
    b = io.BytesIO()
    image.save(b, kind, **how)
    return b.getvalue()


text = PngImagePlugin.PngInfo()
text.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="8"/>')
keep("PNG with XMP", saved("PNG", pnginfo=text))
keep("PNG with XMP and EXIF", saved("PNG", pnginfo=text, exif=b"Exif\0\0" + six))
keep("PNG with EXIF of a LONG", saved("PNG", exif=directory("<", (ORIENTATION, 4, 1, b"\6\0\0\0"))))
keep("WebP with XMP", saved("WEBP", lossless=True, xmp=b'<x tiff:Orientation="8"/>'))
keep("WebP with XMP and EXIF", saved("WEBP", lossless=True, xmp=b'<x tiff:Orientation="8"/>', exif=six))
keep("WebP with EXIF of a LONG", saved("WEBP", lossless=True, exif=directory("<", (ORIENTATION, 4, 1, b"\6\0\0\0"))))

with open("orientation.json", "w") as f:
    f.write('{"pillow": "%s", "files": [\n%s\n]}\n' % (PIL.__version__, ",\n".join(map(json.dumps, files))))
