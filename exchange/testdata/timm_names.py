"""Writes ../timm.txt: for each residual network that timm has a name for, the model
of ours that computes the same, or a dash.

A network is one of ours when torchvision's ResNet of the same parameters (the layers
of which our models compute, as models/testdata/torchvision_nets.py holds them to) takes
its state dict and gives the same logits on images of two sizes, with statistics of batch
norms that are not those of a new network.

    python timm_names.py

Written with timm 1.0.31, torch 2.15.0 and torchvision 0.29.2.
"""

import fnmatch
import re

import timm
import torch
import torchvision
from timm.models import _registry
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

PATTERNS = ["*resne*", "*resnext*", "*wide_res*", "ig_*", "ssl_*", "swsl_*", "tv_*", "gluon_*"]

# By groups and the width of a group: the first of our entries with blocks of that form.
OURS = {
    ("basic", 1, 64): "resnet18",
    ("bottleneck", 1, 64): "resnet50",
    ("bottleneck", 32, 4): "resnext50_32x4d",
    ("bottleneck", 32, 8): "resnext101_32x8d",
    ("bottleneck", 64, 4): "resnext101_64x4d",
    ("bottleneck", 1, 128): "wide_resnet50_2",
}


def counterpart(state):
    """torchvision's network of these names and shapes, and its form."""
    if "conv1.weight" not in state or "fc.weight" not in state or "layer1.0.conv2.weight" not in state:
        return None, None
    deep = "layer1.0.conv3.weight" in state
    blocks = [len({k.split(".")[1] for k in state if k.startswith(f"layer{i}.")}) for i in range(1, 5)]
    if not all(blocks):
        return None, None
    inner, share = state["layer1.0.conv2.weight"].shape[:2]
    groups = inner // share
    width = inner // groups
    make = dict(groups=groups, width_per_group=width) if deep else {}
    try:
        net = ResNet(Bottleneck if deep else BasicBlock, blocks, num_classes=state["fc.weight"].shape[0], **make)
    except (ValueError, RuntimeError):
        return None, None
    theirs = net.state_dict()
    if {k: v.shape for k, v in theirs.items()} != {k: v.shape for k, v in state.items()}:
        return None, None
    return net, ("bottleneck" if deep else "basic", groups, width, blocks)


def shake(net):
    torch.manual_seed(1)
    for m in net.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.running_mean.uniform_(-0.2, 0.2)
            m.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(m.weight, 0.5, 1.5)
            torch.nn.init.uniform_(m.bias, -0.3, 0.3)


@torch.no_grad()
def verdict(name):
    with torch.device("meta"):
        try:
            net = timm.create_model(name, num_classes=7)
            other, form = counterpart(net.state_dict())
        except Exception as why:  # some nets cannot be made without numbers
            print(name, type(why).__name__, why)
            return None
    if other is None:
        return None
    torch.manual_seed(0)
    net = timm.create_model(name, num_classes=7).eval()
    shake(net)
    other, form = counterpart(net.state_dict())
    other.load_state_dict(net.state_dict())
    other.eval()
    for size in (64, 97):
        x = torch.randn(2, 3, size, size)
        a, b = net(x), other(x)
        if (a - b).abs().max() > 1e-4 * b.abs().max():
            print(name, "computes something else: off by", float((a - b).abs().max()), "of", float(b.abs().max()))
            return None
    kind, groups, width, blocks = form
    ours = OURS.get((kind, groups, width))
    return ours and (ours, ",".join(map(str, blocks)))


def main():
    names = {n for p in PATTERNS for n in timm.list_models(p)}
    verdicts = {n: verdict(n) for n in sorted(names)}
    # Names of older versions, which stand for a network and a set of weights.
    for old, new in sorted(_registry._deprecated_models.items()):
        base = (new if isinstance(new, str) else old).split(".")[0]
        if any(fnmatch.fnmatch(old, p) for p in PATTERNS) or base in verdicts:
            if base not in verdicts:
                verdicts[base] = verdict(base)
            # timm 1.0.31 gives the weights of resnext101_32x8d for ig_resnext101_32x16d.
            same = re.findall(r"\d+x\d+d", old) == re.findall(r"\d+x\d+d", base)
            verdicts[old] = verdicts[base] if same else None
    # No set of weights makes another network of a name.
    for tagged in timm.list_pretrained():
        base = tagged.split(".")[0]
        if verdicts.get(base) and timm.get_pretrained_cfg(tagged).architecture != base:
            raise SystemExit(f"{tagged} is not {base}")
    with open("../timm.txt", "w") as out:
        out.write(f"# Written by testdata/timm_names.py with timm {timm.__version__}, torchvision {torchvision.__version__.split('+')[0]}.\n")
        out.write("# A name of timm's, and which of our models computes the same, with these blocks a stage; a dash: none.\n")
        for name in sorted(verdicts, key=lambda n: [int(s) if s.isdigit() else s for s in re.split(r"(\d+)", n)]):
            v = verdicts[name]
            out.write(f"{name} {' '.join(v) if v else '-'}\n")
    print(sum(1 for v in verdicts.values() if v), "of", len(verdicts), "are ours")


main()
