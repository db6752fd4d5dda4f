"""How many JPEG photos a second torchvision prepares for a training, on one core: PIL's
Image.open and convert, RandomResizedCrop, RandomHorizontalFlip, ToTensor and Normalize.
Prints a line of JSON as "residual bench --mode load" does.

    python3 torch_decode.py --photos DIR
"""
import argparse
import json
import os
import random
import statistics
import time

import PIL
import torch
import torchvision
from PIL import Image, features
from torchvision import transforms

AT_LEAST = 0.2  # seconds of a measurement


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", required=True, help="folder of JPEG files, in folders or not")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=10)
    args = parser.parse_args()
    torch.set_num_threads(1)
    random.seed(0)
    torch.manual_seed(0)
    files = sorted(os.path.join(root, name) for root, _, names in os.walk(args.photos)
                   for name in names if name.lower().endswith((".jpg", ".jpeg")))
    random.shuffle(files)
    prepare = transforms.Compose([
        transforms.RandomResizedCrop(args.size),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ])

    def walk():
        while True:
            for path in files:
                with open(path, "rb") as f:
                    yield prepare(Image.open(f).convert("RGB"))

    photos, rates = walk(), []
    for _ in range(args.warmup * 16):
        next(photos)
    for _ in range(args.repeat):
        began, n = time.perf_counter(), 0
        while n < 64 or time.perf_counter() - began < AT_LEAST:
            next(photos)
            n += 1
        rates.append(n / (time.perf_counter() - began))
    print(json.dumps({
        "images_per_second": statistics.median(rates), "images_per_second_min": min(rates), "images_per_second_max": max(rates),
        "threads": torch.get_num_threads(), "repeat": args.repeat, "torch": torch.__version__, "torchvision": torchvision.__version__,
        "pillow": PIL.__version__, "jpeg": "libjpeg-turbo" if features.check_feature("libjpeg_turbo") else "libjpeg",
    }))


if __name__ == "__main__":
    main()
