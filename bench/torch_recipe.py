"""Trains ResNet-18 of "Dive into Deep Learning" on Fashion-MNIST in PyTorch by
the book's recipe: what "residual train" does when it is given no flags. Runs on
PyTorch 1.13 and later; needs numpy and Pillow.

    python3 torch_recipe.py --data ~/.cache/residual --epochs 2 --precision bf16
    python3 torch_recipe.py --data ~/.cache/residual --device cuda --precision bf16

Images are resized to 96x96 by Pillow's bilinear rule and scaled to [0, 1];
weights start Xavier-uniform; mean cross-entropy, SGD without momentum. Prints a
line of JSON an epoch: loss and training accuracy as running means over the
epoch, as the book does, accuracy on the test images after it, images a second of
the training steps alone and with loading, the seconds of the epoch with its
evaluation, and the peak resident memory. What torch.compile takes to compile
is not in them.

On a GPU all images are there as bytes and are resized there, by the same bilinear
rule without rounding to bytes; nothing is read back before the end of an epoch.
"""
import argparse
import gzip
import json
import math
import os
import sys
import time

import numpy as np
import torch
from torch.nn import functional as F

from timing import peak_rss_bytes
from torch_models import resnet18, xavier
from torch_resnet import about, autocast, compiled, prepare, sgd


def read_idx(folder, name):
    """The array of one IDX file of unsigned bytes, compressed or not."""
    for path, opener in ((os.path.join(folder, name), open), (os.path.join(folder, name + ".gz"), gzip.open)):
        if os.path.exists(path):
            with opener(path, "rb") as f:
                raw = f.read()
            sides = raw[3]
            shape = np.frombuffer(raw, ">u4", sides, 4)
            return np.frombuffer(raw, np.uint8, -1, 4 + 4 * sides).reshape(shape)
    sys.exit(f"torch_recipe.py: {folder} has no {name} and no {name}.gz: fetch the files with "
             "\"residual data fetch fashion-mnist\" and give their folder as --data")


def load(folder, part, limit):
    for inside in (os.path.join(folder, "fashion-mnist"), folder):
        if os.path.isdir(inside):
            break
    images = read_idx(inside, part + "-images-idx3-ubyte")
    labels = read_idx(inside, part + "-labels-idx1-ubyte")
    return images[:limit], torch.from_numpy(labels[:limit].astype(np.int64))


def batch(images, index, size, layout):
    """Images of the index, resized and scaled to [0, 1]: (len(index), 1, size, size)."""
    if isinstance(images, torch.Tensor):  # on a GPU
        x = images[index].unsqueeze(1).float().div_(255)
        return F.interpolate(x, (size, size), mode="bilinear", align_corners=False).contiguous(memory_format=layout)
    from PIL import Image
    out = np.empty((len(index), 1, size, size), np.uint8)
    for row, i in enumerate(index.tolist()):
        out[row, 0] = np.asarray(Image.fromarray(images[i]).resize((size, size), Image.BILINEAR))
    return torch.from_numpy(out).float().div_(255).contiguous(memory_format=layout)


def train_epoch(net, optimizer, images, labels, args, layout):
    net.train()
    order = torch.randperm(len(labels)).to(labels.device)
    gpu = args.device == "cuda"
    loss_sum, hits, stepping = torch.zeros((), device=args.device), torch.zeros((), device=args.device, dtype=torch.int64), 0.0
    for index in order.split(args.batch):
        began = time.perf_counter()
        x, y = batch(images, index, args.resize, layout), labels[index]
        if not gpu:
            began = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        with autocast(args.precision, args.device):
            logits = net(x)
            loss = F.cross_entropy(logits, y)
        loss.backward()
        optimizer.step()
        loss_sum += loss.detach() * len(y)
        hits += (logits.detach().argmax(1) == y).sum()
        stepping += time.perf_counter() - began
    began = time.perf_counter()
    loss, hits = loss_sum.item(), hits.item()  # waits for a GPU
    return loss / len(labels), hits / len(labels), stepping + time.perf_counter() - began


def accuracy(net, images, labels, args, layout):
    net.eval()
    hits = torch.zeros((), device=args.device, dtype=torch.int64)
    with torch.inference_mode(), autocast(args.precision, args.device):
        for index in torch.arange(len(labels), device=labels.device).split(args.batch):
            x = batch(images, index, args.resize, layout)
            hits += (net(x).argmax(1) == labels[index]).sum()
    return hits.item() / len(labels)


def warm(net, args, sizes, layout):
    """Compiles for every size of batch there will be, in training and not, and
    leaves the network as it was."""
    before = {name: value.clone() for name, value in net.state_dict().items()}
    for (count, training) in sizes:
        net.train(training)
        x = torch.rand(count, 1, args.resize, args.resize).to(args.device).contiguous(memory_format=layout)
        with torch.inference_mode(not training), autocast(args.precision, args.device):
            logits = net(x)
            loss = F.cross_entropy(logits, torch.zeros(count, dtype=torch.int64, device=args.device))
        if training:
            loss.backward()
    net.load_state_dict(before)
    net.zero_grad(set_to_none=True)


def parse():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--data", default=os.environ.get("RESIDUAL_DATA"), required="RESIDUAL_DATA" not in os.environ,
                      help="folder of the four IDX files, or the one above it; else RESIDUAL_DATA")
    args.add_argument("--epochs", type=int, default=10)
    args.add_argument("--batch", type=int, default=256)
    args.add_argument("--lr", type=float, default=0.05)
    args.add_argument("--resize", type=int, default=96)
    args.add_argument("--seed", type=int, default=0)
    args.add_argument("--threads", type=int, default=os.cpu_count())
    args.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    args.add_argument("--precision", choices=["fp32", "tf32", "bf16"], default="fp32", help="bf16 is autocast's: weights stay fp32; tf32 is for GPUs")
    args.add_argument("--layout", choices=["channels_last", "contiguous"], default="channels_last",
                      help="memory format of weights and images")
    args.add_argument("--compile", action="store_true", help="through torch.compile, which PyTorch 2 has")
    args.add_argument("--compile-mode", default="default", choices=["default", "reduce-overhead", "max-autotune"], help="of torch.compile")
    args.add_argument("--train-size", type=int, help="train on the first images only")
    args.add_argument("--test-size", type=int, help="test on the first images only")
    return args.parse_args()


def main():
    args = parse()
    torch.set_num_threads(args.threads)
    prepare(args.device, args.precision)
    torch.manual_seed(args.seed)
    layout = torch.contiguous_format if args.layout == "contiguous" else torch.channels_last
    images, labels = load(args.data, "train", args.train_size)
    test_images, test_labels = load(args.data, "t10k", args.test_size)
    if args.device == "cuda":
        images, labels, test_images, test_labels = (torch.as_tensor(v.copy() if isinstance(v, np.ndarray) else v).to("cuda")
                                                    for v in (images, labels, test_images, test_labels))
    net = resnet18()
    net.apply(xavier)
    net = net.to(args.device, memory_format=layout)
    optimizer = sgd(net, args.lr, args.device)
    if args.compile:
        net = compiled(net, args.compile_mode)
        cut = lambda n, training: {(min(n, args.batch), training), (n % args.batch or args.batch, training)}
        warm(net, args, sorted(cut(len(labels), True) | cut(len(test_labels), False)), layout)

    for epoch in range(1, args.epochs + 1):
        began = time.perf_counter()
        loss, train_acc, stepping = train_epoch(net, optimizer, images, labels, args, layout)
        training = time.perf_counter() - began
        test_acc = accuracy(net, test_images, test_labels, args, layout)
        print(json.dumps({
            "epoch": epoch, "loss": round(loss, 4) if math.isfinite(loss) else None, "train_acc": round(train_acc, 4), "test_acc": round(test_acc, 4),
            "images_per_second": round(len(labels) / stepping, 1),
            "images_per_second_with_loading": round(len(labels) / training, 1),
            "seconds": round(time.perf_counter() - began, 3),
            "peak_rss_bytes": peak_rss_bytes(), "threads": torch.get_num_threads(), "torch": torch.__version__,
            "precision": args.precision, "layout": args.layout, "compile": args.compile, "compile_mode": args.compile_mode, "seed": args.seed,
            "batch": args.batch, "lr": args.lr, "train_size": len(labels), "test_size": len(test_labels), **about(args.device),
        }), flush=True)


if __name__ == "__main__":
    main()
