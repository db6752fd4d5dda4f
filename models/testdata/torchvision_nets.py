"""Describes torchvision's residual networks: what models/torchvision_test.go
compares ours with. Writes torchvision_nets.json beside itself; made with
torchvision 0.14.1 and PyTorch 1.13.0 on one thread:

    python3 torchvision_nets.py

Of every network it holds

- how many numbers are trained, how many parameters and buffers there are, and a
  SHA-256 of their names and shapes in the order of the state dict, one "name
  [sizes]" a line; num_batches_tracked is left out;
- the multiply-adds of convolutions and linear layers for one image of 224x224, and
  a SHA-256 of the layers in the order of their calls, one "name class [output]
  parameters multiply-adds" a line (python3 torchvision_nets.py NAME prints both
  texts);
- what the logits of 64 images of 64x64 are in evaluation mode, in float64.

Of two networks it holds the loss and the gradients of a training step, too, in
float64, and how far PyTorch's own float32 is from them. Where an activation is so
near the kink of a ReLU that rounding decides, a gradient can be anything in single
precision. So in that step all biases are higher by 2.5, which leaves few activations
near 0 and below, and of many batches that one is taken which stays farthest from
all kinks.

Weights, images and labels come from the formula of trace.py. Of a tensor there are
its length, sum, largest magnitude and a few elements.
"""
import hashlib
import json
import os
import sys

import numpy as np
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from trace import facts, uniform, value, words

NAMES = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d",
         "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2"]
TRAINED = ["resnet18", "resnet50"]
SIZE, BATCH = 64, 64
TRAIN_BATCH, TRIALS, SHIFT = 4, 40, 2.5


def sha(lines):
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def names(net):
    return [f"{name} {list(p.shape)}" for name, p in net.state_dict().items() if "num_batches_tracked" not in name]


def layers(net):
    """The calls of modules without modules inside, and their multiply-adds."""
    lines, total = [], [0]

    def hook(name):
        def after(module, inputs, output):
            macs = 0
            if isinstance(module, nn.Conv2d):
                macs = output.numel() * module.weight[0].numel()
            elif isinstance(module, nn.Linear):
                macs = output.numel() * module.in_features
            total[0] += macs
            params = sum(p.numel() for p in module.parameters())
            lines.append(f"{name} {type(module).__name__} {list(output.shape)} {params} {macs}")
        return after

    handles = [m.register_forward_hook(hook(n)) for n, m in net.named_modules() if not list(m.children())]
    with torch.no_grad():
        net.eval()(torch.zeros(1, 3, 224, 224))
    for h in handles:
        h.remove()
    return lines, total[0]


def places(name, count, n):
    return sorted(set((words("places:" + name, count) % np.uint64(n)).tolist()))


def images(batch, size, stream="images"):
    n = batch * 3 * size * size
    return torch.from_numpy(uniform(stream, n).astype(np.float32).reshape(batch, 3, size, size))


def held(tensor, name, count, dtype=torch.float64):
    at = places(name, count, tensor.numel())
    return {"places": at, **facts(tensor, at, dtype)}


def margin(net, x):
    """How near to 0 an input of a ReLU comes, relative to the others of its call."""
    least = [1.0]

    def before(module, inputs):
        v = inputs[0].detach()
        least[0] = min(least[0], (v.abs().min() / v.norm() * v.numel() ** 0.5).item())

    handles = [m.register_forward_pre_hook(before) for m in net.modules() if isinstance(m, nn.ReLU)]
    with torch.no_grad():
        net(x)
    for h in handles:
        h.remove()
    return least[0]


def clearest(net):
    """The stream of images that stays farthest from all kinks."""
    net.double().train()
    streams = [f"images {i}" for i in range(TRIALS)]
    return max(streams, key=lambda s: margin(net, images(TRAIN_BATCH, SIZE, s).double()))


def step(net, stream, dtype):
    """The loss and gradients of one batch in training mode."""
    net.to(dtype).train()
    net.zero_grad()
    labels = torch.from_numpy((words("labels", TRAIN_BATCH) % np.uint64(classes(net))).astype(np.int64))
    loss = F.cross_entropy(net(images(TRAIN_BATCH, SIZE, stream).to(dtype)), labels)
    loss.backward()
    return loss.item(), {n: p.grad.double().clone() for n, p in net.named_parameters()}


def classes(net):
    return net.fc.out_features


def fill(net):
    with torch.no_grad():
        for n, p in net.state_dict().items():
            if "num_batches_tracked" not in n:
                p.copy_(value(n, tuple(p.shape)))


def describe(name, build, trained):
    net = build()
    state = names(net)
    calls, macs = layers(net)
    d = {"name": name, "params": sum(p.numel() for p in net.parameters()), "entries": len(state), "names": sha(state),
         "macs": macs, "layers": sha(calls)}
    fill(net)
    with torch.no_grad():
        single = net.eval()(images(BATCH, SIZE)).double()
        logits = net.double()(images(BATCH, SIZE).double())
    net.float()
    d["logits"] = held(logits, "logits", min(512, BATCH * classes(net)))
    d["float32"] = float("%.2g" % ((single - logits).abs().max() / logits.abs().max()).item())
    print(name, "logits in float32 are off by", d["float32"])
    if trained:
        with torch.no_grad():
            for n, p in net.named_parameters():
                if n.endswith(".bias"):
                    p += SHIFT
        stream = clearest(net)
        _, near = step(net.float(), stream, torch.float32)
        loss, exact = step(net, stream, torch.float64)
        largest = max(g.abs().max() for g in exact.values())
        scale = lambda g: largest if g.abs().max() < 1e-9 * largest else g.abs().max()  # as modelstest.Distance does
        off = max(((near[n] - g).abs().max() / scale(g)).item() for n, g in exact.items())
        d["step"] = {"images": stream, "batch": TRAIN_BATCH, "shift": SHIFT, "loss": float("%.12g" % loss),
                     "float32": float("%.2g" % off), "gradients": {n: held(g, n, 8) for n, g in exact.items()}}
        print(name, stream, "comes as near to a kink as", margin(net, images(TRAIN_BATCH, SIZE, stream).double()),
              "; gradients in float32 are off by", off)
    return d


def write(file, nets, trained):
    data = {"torch": torch.__version__, "torchvision": torchvision.__version__, "seed": 1, "size": SIZE, "batch": BATCH,
            "models": [describe(n, build, n in trained) for n, build in nets.items()]}
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), file)
    with open(path, "w") as f:
        f.write(json.dumps(data, separators=(",", ":")).replace('{"places"', '\n{"places"').replace('{"name"', '\n{"name"'))
        f.write("\n")
    print(path, os.path.getsize(path))


if __name__ == "__main__":
    torch.set_num_threads(1)
    if len(sys.argv) > 1:
        chosen = getattr(torchvision.models, sys.argv[1])()
        print("\n".join(names(chosen)), "\n", "\n".join(layers(chosen)[0]), sep="\n")
        sys.exit()
    write("torchvision_nets.json", {n: getattr(torchvision.models, n) for n in NAMES}, TRAINED)
