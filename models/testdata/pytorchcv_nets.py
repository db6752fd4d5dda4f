"""What the pre-activation nets of pytorchcv compute, which somebody else wrote: what
models/torchvision_test.go compares ours with. Writes pytorchcv_nets.json beside
itself, in the form of torchvision_nets.json but with parameters and logits alone;
made with pytorchcv 0.0.74 and PyTorch 1.13.0 on one thread:

    python3 pytorchcv_nets.py

Weights and images come from the formula of trace.py, by our names of the layers.
pytorchcv has one batch norm more, before the first block, whose input the stem has
activated already (https://github.com/facebookarchive/fb.resnet.torch/blob/master/models/preresnet.lua
has none there). Here it is made to change nothing: its input is not negative, so the
ReLU behind it keeps it. Of the bottlenecks those with a b in their name have their
stride in the 3x3 convolution, as ours. The last pooling is made to take any size.
"""
import json
import os

import torch
from torch import nn
from pytorchcv.models import preresnet

from torchvision_nets import BATCH, SIZE, held, images
from trace import value

NETS = {"preresnet18": preresnet.preresnet18, "preresnet34": preresnet.preresnet34, "preresnet50": preresnet.preresnet50b,
        "preresnet101": preresnet.preresnet101b, "preresnet152": preresnet.preresnet152b}


def ours(name):
    """What we call an entry of pytorchcv's state dict."""
    words = name.split(".")
    if words[0] == "output":
        return "fc." + words[1]
    place, last = words[1], words[-1]
    if place == "init_block":
        return {"conv": "conv1.", "bn": "bn1."}[words[2]] + last
    if place == "post_activ":
        return "bn." + last
    block = f"layer{place[len('stage'):]}.{int(words[2][len('unit'):]) - 1}."
    if words[3] == "identity_conv":
        return block + "downsample.0." + last
    index = words[4][len("conv"):]  # body.conv1.conv.weight, body.conv1.bn.weight
    return block + words[5] + index + "." + last


def fill(net):
    extra = net.features.stage1.unit1.body.conv1.bn
    with torch.no_grad():
        for name, p in net.state_dict().items():
            if "num_batches_tracked" not in name:
                p.copy_(value(ours(name), tuple(p.shape)))
        for p, v in (extra.weight, 1), (extra.bias, 0), (extra.running_mean, 0), (extra.running_var, 1):
            p.fill_(v)
    extra.eps = 0
    return sum(p.numel() for p in extra.parameters())


def describe(name, build):
    net = build()
    net.features.final_pool = nn.AdaptiveAvgPool2d(1)
    more = fill(net)
    with torch.no_grad():
        single = net.eval()(images(BATCH, SIZE)).double()
        logits = net.double()(images(BATCH, SIZE).double())
    off = ((single - logits).abs().max() / logits.abs().max()).item()
    print(name, "logits in float32 are off by", off)
    return {"name": name, "params": sum(p.numel() for p in net.parameters()) - more,
            "logits": held(logits, "logits", 512), "float32": float("%.2g" % off)}


if __name__ == "__main__":
    torch.set_num_threads(1)
    data = {"torch": torch.__version__, "pytorchcv": "0.0.74", "seed": 1, "size": SIZE, "batch": BATCH,
            "models": [describe(*n) for n in NETS.items()]}
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pytorchcv_nets.json")
    with open(path, "w") as f:
        f.write(json.dumps(data, separators=(",", ":")).replace('{"places"', '\n{"places"').replace('{"name"', '\n{"name"'))
        f.write("\n")
    print(path, os.path.getsize(path))
