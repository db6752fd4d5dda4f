"""Describes torchvision's residual networks: what models_test.go compares ours
with. Writes torchvision_nets.json beside itself; made with torchvision 0.14 and
PyTorch 1.13:

    python3 torchvision_nets.py

Of every network it holds how many numbers are trained, how many parameters and
buffers there are, and a SHA-256 of their names and shapes in the order of the
state dict, one "name [sizes]" a line. num_batches_tracked is left out.
"""
import hashlib
import json
import os

import torch
import torchvision

NAMES = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d",
         "resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2"]


def layout(net):
    return [f"{name} {list(p.shape)}" for name, p in net.state_dict().items() if "num_batches_tracked" not in name]


def describe(name):
    net = getattr(torchvision.models, name)()
    lines = layout(net)
    return {"name": name, "params": sum(p.numel() for p in net.parameters()), "entries": len(lines),
            "sha256": hashlib.sha256("\n".join(lines).encode()).hexdigest()}


if __name__ == "__main__":
    data = {"torch": torch.__version__, "torchvision": torchvision.__version__, "models": [describe(n) for n in NAMES]}
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "torchvision_nets.json")
    with open(path, "w") as f:
        json.dump(data, f, indent=1)
        f.write("\n")
