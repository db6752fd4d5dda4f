"""Trains a classifier on a folder of photos in PyTorch, as one who knows PyTorch would in a given
time: ResNet-9 or torchvision's resnet18, one cycle of SGD with Nesterov momentum, random resized
crops and flips, label smoothing 0.1. Needs PyTorch and torchvision.

    python3 torch_photos.py --data photos/ --seconds 180 --size 64 --model resnet9-32

The folder has one folder for each class, of which a fifth is tested on, or train/ and val/ with
these. Images are decoded once, before anything else, to the shorter side that the crops are taken
from, by as many threads as compute. Twelve steps are timed, which change nothing, and as many epochs
follow as fit into the seconds. What is printed last is a line of JSON: the accuracy after the last
epoch, the epochs, the seconds of all and the processor seconds of all.
"""
import argparse
import concurrent.futures
import copy
import json
import os
import random
import resource
import sys
import time

import torch
from PIL import Image, ImageOps
from torch.nn import functional as F

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from torch_models import resnet9  # noqa: E402


def network(name, classes):
    if name.startswith("resnet9-"):
        return resnet9(int(name[len("resnet9-"):]), 3, classes)
    import torchvision
    return getattr(torchvision.models, name)(num_classes=classes)


def files(folder):
    """(path, class) of every image below the folders of the classes."""
    classes = sorted(d for d in os.listdir(folder) if os.path.isdir(os.path.join(folder, d)))
    return [(os.path.join(at, f), i) for i, c in enumerate(classes)
            for at, _, names in sorted(os.walk(os.path.join(folder, c))) for f in sorted(names)
            if f.lower().endswith((".jpg", ".jpeg", ".png"))], classes


def divided(folder, seed):
    for held in "val", "validation", "test":
        if os.path.isdir(os.path.join(folder, "train")) and os.path.isdir(os.path.join(folder, held)):
            train, classes = files(os.path.join(folder, "train"))
            return train, files(os.path.join(folder, held))[0], classes
    both, classes = files(folder)
    train, test, rng = [], [], random.Random(seed)
    for c in range(len(classes)):
        of = [f for f in both if f[1] == c]
        rng.shuffle(of)
        test += of[:len(of) // 5]
        train += of[len(of) // 5:]
    return train, test, classes


def decoded(path, shorter):
    with Image.open(path) as file:
        file.draft("RGB", (shorter, shorter))
        image = ImageOps.exif_transpose(file).convert("RGB")
    scale = shorter / min(image.size)
    size = [max(round(side * scale), shorter) for side in image.size]
    return torch.frombuffer(bytearray(image.resize(size, Image.BILINEAR).tobytes()), dtype=torch.uint8).view(size[1], size[0], 3)


def crops(images, size, least, rng, mean, std):
    """A batch of random resized crops of images, flipped at random."""
    out = torch.empty(len(images), 3, size, size)
    for i, image in enumerate(images):
        h, w = image.shape[:2]
        for _ in range(10):
            area = h * w * rng.uniform(least, 1)
            ratio = 2.0 ** rng.uniform(-0.415, 0.415)  # 3/4 to 4/3
            ch, cw = round((area / ratio) ** 0.5), round((area * ratio) ** 0.5)
            if 0 < ch <= h and 0 < cw <= w:
                break
        else:
            ch = cw = min(h, w)
        y, x = rng.randint(0, h - ch), rng.randint(0, w - cw)
        part = image[y:y + ch, x:x + cw].permute(2, 0, 1)[None].float()
        part = F.interpolate(part, (size, size), mode="bilinear", antialias=ch > size)[0]
        out[i] = part.flip(2) if rng.random() < 0.5 else part
    return ((out / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


def padded(images, size, rng, mean, std):
    """A batch of images of this size, shifted by up to an eighth and flipped at random."""
    edge, out = size // 8, torch.empty(len(images), 3, size, size)
    for i, image in enumerate(images):
        wide = F.pad(image[:size, :size].permute(2, 0, 1).float(), (edge,) * 4)
        y, x = rng.randint(0, 2 * edge), rng.randint(0, 2 * edge)
        part = wide[:, y:y + size, x:x + size]
        out[i] = part.flip(2) if rng.random() < 0.5 else part
    return ((out / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


def middle(image, size):
    h, w = image.shape[:2]
    y, x = (h - size) // 2, (w - size) // 2
    return image[y:y + size, x:x + size].permute(2, 0, 1).float()


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", required=True)
    p.add_argument("--seconds", type=float, default=180)
    p.add_argument("--processor-seconds", action="store_true", help="count processor seconds of both cores instead, halved")
    p.add_argument("--model", default="resnet9-32")
    p.add_argument("--size", type=int, default=64)
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--lr", type=float, default=0.2)
    p.add_argument("--decay", type=float, default=5e-4)
    p.add_argument("--crop", type=float, default=0.35, help="least share of the area; 0 pads and shifts instead")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seed", type=int, default=0)
    a = p.parse_args()

    def clock():
        return sum(os.times()[:2]) / a.threads if a.processor_seconds else time.monotonic()

    began, entered = clock(), time.monotonic()
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    rng = random.Random(a.seed)
    train, test, classes = divided(a.data, a.seed)
    whole = a.size if a.crop == 0 else round(a.size * 8 / 7)
    with concurrent.futures.ThreadPoolExecutor(a.threads) as pool:
        images = list(pool.map(lambda f: decoded(f[0], whole), train))
        others = list(pool.map(lambda f: decoded(f[0], whole), test))
    labels, wanted = torch.tensor([c for _, c in train]), torch.tensor([c for _, c in test])
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    print(f"{len(train)} images to train, {len(test)} to test, {len(classes)} classes, decoded in {clock() - began:.1f} s", flush=True)

    model = network(a.model, len(classes)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), a.lr, momentum=0.9, nesterov=True, weight_decay=a.decay)

    def batch(index):
        of = [images[i] for i in index]
        return padded(of, a.size, rng, mean, std) if a.crop == 0 else crops(of, a.size, a.crop, rng, mean, std)

    def step(index):
        with torch.autocast("cpu", torch.bfloat16):
            loss = F.cross_entropy(model(batch(index)).float(), labels[index], label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    kept = copy.deepcopy(model.state_dict())
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    steps, timed = len(train) // a.batch, []
    for _ in range(12):
        at = clock()
        step(torch.randperm(len(train))[:a.batch])
        timed.append(clock() - at)
    each = sorted(timed[2:])[5]
    left = a.seconds - (clock() - began) - 0.03 * a.seconds - len(test) / a.batch * each * 0.4
    epochs = max(int(left / (each * steps)), 1)
    model.load_state_dict(kept)
    optimizer.state.clear()
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, a.lr, total_steps=epochs * steps, pct_start=0.2)
    print(f"{each * 1000:.1f} ms a step, {epochs} epochs of {steps} steps", flush=True)
    for epoch in range(epochs):
        model.train()
        total, order = 0.0, torch.randperm(len(train))
        for i in range(steps):
            total += step(order[i * a.batch:(i + 1) * a.batch])
            schedule.step()
        print(f"epoch {epoch + 1}/{epochs} loss {total / steps:.3f}, {clock() - began:.1f} s", flush=True)
    model.eval()
    right = 0
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for i in range(0, len(others), 100):
            x = torch.stack([middle(o, a.size) for o in others[i:i + 100]])
            x = ((x / 255 - mean) / std).contiguous(memory_format=torch.channels_last)
            right += (model(x).argmax(1) == wanted[i:i + 100]).sum().item()
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"model": a.model, "size": a.size, "accuracy": round(right / len(others), 4), "epochs": epochs, "seed": a.seed,
                      "seconds": round(time.monotonic() - entered, 1), "processor_seconds": round(used.ru_utime + used.ru_stime, 1), "torch": torch.__version__}))


if __name__ == "__main__":
    main()
