#!/usr/bin/env python3
"""Writes augment.json: images that torchvision transformed with fixed parameters.

Run it in this folder with torchvision and Pillow installed (Debian:
python3-torchvision, python3-pil):
    python3 torchvision_augment.py
Made with torchvision 0.14.1 and Pillow 9.4.0. The images are those of
torchvision_eval.py with 60 by 75 pixels or, for one in six, 48 by 48. The file has the
height, the width and a CRC-32 of each result.
"""
import json
import zlib

import numpy as np
import PIL
import torch
import torchvision
from PIL import Image
from torchvision.transforms import InterpolationMode, RandAugment, TrivialAugmentWide
from torchvision.transforms import functional as F
from torchvision.transforms.autoaugment import _apply_op

NEAREST, BILINEAR, BICUBIC = InterpolationMode.NEAREST, InterpolationMode.BILINEAR, InterpolationMode.BICUBIC


def mixed(x):
    x = (x ^ x >> np.uint32(15)) * np.uint32(2246822519)
    x = (x ^ x >> np.uint32(13)) * np.uint32(3266489917)
    return x ^ x >> np.uint32(16)


def test_image(seed):
    """The formula of torchvision_eval.py for images of 60 by 75, or of 48 by 48."""
    h, w = (48, 48) if seed % 6 == 5 else (60, 75)
    channels = 1 if seed // 4 % 3 == 0 else 3
    c, y, x = np.meshgrid(*(np.arange(n, dtype=np.uint32) for n in (channels, h, w)), indexing="ij")
    at = (c * np.uint32(h) + y) * np.uint32(w) + x
    noise = mixed(at + np.uint32(seed * 7919 + 1)) >> np.uint32(24)
    gradient = (x * np.uint32(seed % 7 + 1) + y * np.uint32(seed % 5 + 1) + c * np.uint32(85) + np.uint32(seed)) & np.uint32(255)
    pix = [noise, gradient, (noise >> np.uint32(7)) * np.uint32(255), (gradient * np.uint32(3) + noise) >> np.uint32(2)][seed % 4]
    pix = pix.astype(np.uint8)
    return Image.fromarray(pix[0]) if channels == 1 else Image.fromarray(np.ascontiguousarray(pix.transpose(1, 2, 0)))


def digest(image):
    a = np.array(image)
    planes = (a if a.ndim == 2 else a.transpose(2, 0, 1)).tobytes()
    return "%dx%d:%08x" % (image.height, image.width, zlib.crc32(planes))


cases = {}


def case(name, f):
    cases[name] = " ".join(digest(f(test_image(seed))) for seed in range(12))


for v in (0, 0.25, 0.8, 1, 1.3, 1.9, 5):
    case("brightness %g" % v, lambda m: F.adjust_brightness(m, v))
    case("contrast %g" % v, lambda m: F.adjust_contrast(m, v))
    case("saturation %g" % v, lambda m: F.adjust_saturation(m, v))
    case("sharpness %g" % v, lambda m: F.adjust_sharpness(m, v))
for v in (-0.5, -0.1, 0, 0.003, 0.25, 0.5):
    case("hue %g" % v, lambda m: F.adjust_hue(m, v))
for v in range(0, 9):
    case("posterize %d" % v, lambda m: F.posterize(m, v))
for v in (0, 17.5, 128, 256):
    case("solarize %g" % v, lambda m: F.solarize(m, v))
case("invert", F.invert)
case("equalize", F.equalize)
case("autocontrast", F.autocontrast)
case("autocontrast of posterized", lambda m: F.autocontrast(F.adjust_contrast(m, 0.3)))
case("equalize of posterized", lambda m: F.equalize(F.posterize(m, 3)))
case("flip", F.hflip)
case("crop", lambda m: F.crop(m, 7, 11, 30, 20))
case("crop beyond", lambda m: F.crop(m, -5, 40, 80, 60))
case("resized crop", lambda m: F.resized_crop(m, 7, 11, 30, 20, [32, 24], BILINEAR))
case("resized crop bicubic", lambda m: F.resized_crop(m, 3, 1, 41, 40, [17, 64], BICUBIC))
for mode in ("constant", "edge", "reflect", "symmetric"):
    case("pad " + mode, lambda m: F.pad(m, [3, 5, 100, 7], 0 if mode != "constant" else 9, mode))
for name, sampling in (("nearest", NEAREST), ("bilinear", BILINEAR), ("bicubic", BICUBIC)):
    for angle in (0, 0.5, -30, 45, 90, 135, 180, -90, 271.3):
        case("rotate %g %s" % (angle, name), lambda m: F.rotate(m, angle, sampling, fill=7))
        case("rotate %g %s expand" % (angle, name), lambda m: F.rotate(m, angle, sampling, expand=True))
    case("rotate 33 %s center" % name, lambda m: F.rotate(m, 33, sampling, center=(3, 50)))
    case("affine %s" % name, lambda m: F.affine(m, 17.5, (5, -3), 1.2, (10, -4), sampling, fill=200))
    case("affine scale %s" % name, lambda m: F.affine(m, 0, (0, 0), 0.7, (0, 0), sampling))

# The policies apply every operation at every bin and with both signs.
spaces = {}
for name, policy in (("rand", RandAugment()), ("trivial", TrivialAugmentWide())):
    args = (31, (60, 75)) if name == "rand" else (31,)
    spaces[name] = []
    for op, (magnitudes, signed) in policy._augmentation_space(*args).items():
        values = magnitudes.tolist() if magnitudes.ndim else [0.0]
        spaces[name].append({"op": op, "signed": signed, "magnitudes": values})
        for sampling_name, sampling in (("nearest", NEAREST), ("bilinear", BILINEAR)):
            for sign in (1, -1) if signed else (1,):
                sums = 0
                for v in values:
                    for seed in (6, 5, 9):
                        sums = zlib.crc32(digest(_apply_op(test_image(seed), op, sign * v, sampling, None)).encode(), sums)
                cases["%s %s %s %+d" % (name, op, sampling_name, sign)] = "%08x" % sums

with open("augment.json", "w") as f:
    json.dump({"torchvision": torchvision.__version__, "pillow": PIL.__version__, "torch": torch.__version__,
               "cases": cases, "spaces": spaces}, f, indent=0)
    f.write("\n")
