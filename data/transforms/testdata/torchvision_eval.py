#!/usr/bin/env python3
"""Writes torchvision.json, which the tests of this package read.

Run it in this folder with torchvision and Pillow installed (Debian:
python3-torchvision, python3-pil):
    python3 torchvision_eval.py
Made with torchvision 0.14.1 and Pillow 9.4.0. The images come from a formula that
the tests repeat. The file has a CRC-32 of each result.
"""
import json
import zlib

import numpy as np
import PIL
import torch
import torchvision
from PIL import Image
from torchvision import transforms as T
from torchvision.transforms._presets import ImageClassification

BILINEAR, BICUBIC = T.InterpolationMode.BILINEAR, T.InterpolationMode.BICUBIC
SIZES = [(256, 224), (232, 224), (96, 96), (40, 33), (64, 91), (33, 300)]  # of Resize and CenterCrop


def mixed(x):
    x = (x ^ x >> np.uint32(15)) * np.uint32(2246822519)
    x = (x ^ x >> np.uint32(13)) * np.uint32(3266489917)
    return x ^ x >> np.uint32(16)


def number(seed, i):
    return int(mixed(np.array([seed * 64 + i], dtype=np.uint32))[0])


def test_image(seed):
    """Noise, gradients, edges and noisy gradients with sides of 12 to 411 pixels."""
    w, h = 12 + number(seed, 1) % 400, 12 + number(seed, 2) % 400
    channels = 1 if seed // 4 % 3 == 0 else 3
    c, y, x = np.meshgrid(*(np.arange(n, dtype=np.uint32) for n in (channels, h, w)), indexing="ij")
    at = (c * np.uint32(h) + y) * np.uint32(w) + x
    noise = mixed(at + np.uint32(seed * 7919 + 1)) >> np.uint32(24)
    gradient = (x * np.uint32(seed % 7 + 1) + y * np.uint32(seed % 5 + 1) + c * np.uint32(85) + np.uint32(seed)) & np.uint32(255)
    pix = [noise, gradient, (noise >> np.uint32(7)) * np.uint32(255), (gradient * np.uint32(3) + noise) >> np.uint32(2)][seed % 4]
    pix = pix.astype(np.uint8)
    return Image.fromarray(pix[0]) if channels == 1 else Image.fromarray(np.ascontiguousarray(pix.transpose(1, 2, 0)))


def planes(image):
    a = np.array(image)
    return (a if a.ndim == 2 else a.transpose(2, 0, 1)).tobytes()


def digest(*parts):
    sum = 0
    for p in parts:
        sum = zlib.crc32(p, sum)
    return "%08x" % sum


images, tensors, presets = [], [], []
for seed in range(200):
    image = test_image(seed)
    row = [digest(planes(image))]
    for interpolation in (BILINEAR, BICUBIC):
        for size, crop in SIZES:
            resized = T.Resize(size, interpolation)(image)
            row.append(digest(planes(resized), planes(T.CenterCrop(crop)(resized))))
    images.append(" ".join(row))
for seed in range(24):
    image = test_image(seed)
    grey = image.mode == "L"
    mean, std = ((0.5,), (0.25,)) if grey else ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    to_tensor = T.ToTensor()(image)
    normal = T.Normalize(mean, std)(to_tensor)
    tensors.append(" ".join(digest(t.contiguous().numpy().tobytes()) for t in (to_tensor, normal)))
    row = []
    for crop, size, interpolation in ((224, 256, BILINEAR), (224, 232, BICUBIC), (96, 96, BILINEAR), (80, 60, BICUBIC)):
        p = ImageClassification(crop_size=crop, resize_size=size, mean=mean, std=std, interpolation=interpolation)
        row.append(digest(p(image).contiguous().numpy().tobytes()))
    presets.append(" ".join(row))

# Sizes and offsets that depend on rounding.
sides = []
for h, w in [(10, 3), (3, 10), (7, 7), (333, 500), (500, 333), (1, 400), (479, 640), (99, 100), (11, 13)]:
    for size in (1, 2, 7, 224, 256):
        out = T.Resize(size)(Image.new("L", (w, h)))
        sides.append([h, w, size, out.height, out.width])
crops = []
for h in range(1, 10):
    for size in range(1, 10):
        strip = np.arange(1, h + 1, dtype=np.uint8).reshape(h, 1)
        crops.append([h, size] + np.array(T.CenterCrop((size, 1))(Image.fromarray(strip)))[:, 0].tolist())

with open("torchvision.json", "w") as f:
    f.write('{"torchvision": "%s", "pillow": "%s", "torch": "%s",\n' % (torchvision.__version__, PIL.__version__, torch.__version__))
    for name, rows in (("images", images), ("tensors", tensors), ("presets", presets), ("sides", sides), ("crops", crops)):
        f.write('"%s": [\n%s\n]%s\n' % (name, ",\n".join(map(json.dumps, rows)), "}" if name == "crops" else ","))
