"""Measures a residual network in PyTorch: images a second and peak memory of
training or inference on the CPU, in fp32 or with bf16 autocast. Runs on PyTorch
1.13 and later; go run ./bench calls it beside Residual's own measurement.

    python3 torch_resnet.py --mode train --batch 64 --precision bf16
    python3 torch_resnet.py --mode infer --model resnet50 --size 224 --batch 32

Prints one line of JSON. A training step is forward, mean cross-entropy,
backward and the SGD update; an inference is the forward pass of a network in
eval mode. Both work on a fixed random batch; timing.py says how they are timed.
"""
import argparse
import json
import sys

import torch
from torch.nn import functional as F

from timing import measure
from torch_models import MODELS, xavier


def autocast(precision):
    """Where fp32 is asked for, autocast is there and off."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16")


def compiled(net):
    """The network through torch.compile, for one shape of images at a time."""
    if not hasattr(torch, "compile"):
        sys.exit(f"PyTorch {torch.__version__} has no torch.compile")
    return torch.compile(net, dynamic=False)


def train_step(net, images, labels, precision):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    net.train()

    def step():
        optimizer.zero_grad(set_to_none=True)
        with autocast(precision):
            loss = F.cross_entropy(net(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def frozen(net, images, precision):
    """The network traced and frozen, its batch norms folded; the trace holds the casts of autocast."""
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16", cache_enabled=False):
        net = torch.jit.freeze(torch.jit.trace(net, images))
    return torch.jit.optimize_for_inference(net)


def infer_step(net, images, precision, cast):
    net.eval()

    def step():
        with torch.inference_mode(), autocast(precision if cast else "fp32"):
            return net(images)

    return step


def parse():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--mode", choices=["train", "infer"], default="train")
    args.add_argument("--model", choices=list(MODELS), default="d2l-resnet18")
    args.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="bf16 is autocast's: weights stay fp32")
    args.add_argument("--layout", choices=["channels_last", "contiguous", "frozen"], default="channels_last",
                      help="memory format of weights and images; frozen is channels_last with the network traced, "
                           "frozen and its batch norms folded (inference only)")
    args.add_argument("--compile", action="store_true", help="through torch.compile, which PyTorch 2 has")
    args.add_argument("--batch", type=int, default=64)
    args.add_argument("--size", type=int, default=96, help="height and width of the images")
    args.add_argument("--threads", type=int, default=0, help="0 leaves PyTorch's own choice")
    args.add_argument("--warmup", type=int, default=3, help="steps before the clock starts")
    args.add_argument("--repeat", type=int, default=10, help="measurements")
    args = args.parse_args()
    if args.layout == "frozen" and (args.mode == "train" or args.compile):
        sys.exit("torch_resnet.py: --layout frozen is for --mode infer without --compile")
    if min(args.batch, args.size, args.repeat) < 1:
        sys.exit("torch_resnet.py: --batch, --size and --repeat must be at least 1")
    return args


def main():
    args = parse()
    if args.threads > 0:
        torch.set_num_threads(args.threads)

    torch.manual_seed(0)
    model, channels, classes = MODELS[args.model]
    net = model()
    net.apply(xavier)
    images = torch.rand(args.batch, channels, args.size, args.size)
    labels = torch.randint(0, classes, (args.batch,))
    parameters = sum(p.numel() for p in net.parameters())
    if args.layout != "contiguous":
        net = net.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    if args.mode == "infer":
        net.eval()
    if args.layout == "frozen":
        net = frozen(net, images, args.precision)
    elif args.compile:
        net = compiled(net)
    if args.mode == "train":
        step = train_step(net, images, labels, args.precision)
    else:
        step = infer_step(net, images, args.precision, cast=args.layout != "frozen")

    print(json.dumps({
        **measure(step, args.batch, args.warmup, args.repeat),
        "mode": args.mode, "model": args.model, "parameters": parameters, "layout": args.layout, "precision": args.precision, "compile": args.compile, "size": args.size,
        "threads": torch.get_num_threads(), "torch": torch.__version__,
    }))


if __name__ == "__main__":
    main()
