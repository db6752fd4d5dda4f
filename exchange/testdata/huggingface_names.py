"""Lists what Hugging Face's transformers and torchvision call the same parameters of
a ResNet, for TestHuggingFaceNames. Writes huggingface_names.json beside itself; made
with transformers 4.30.2, torchvision 0.14.1 and PyTorch 1.13.0:

    python3 huggingface_names.py

Each net has one block a stage and seven classes. Its names are translated here by the
order in which both programs build their layers, not by patterns, and both nets are
held to the same logits.
"""
import json
import os

import torch
import torchvision
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from transformers import ResNetConfig, ResNetForImageClassification


def layers(net):
    """The names of the layers with parameters, in the order of their calls."""
    calls = []
    handles = [m.register_forward_hook(lambda m, x, y, name=name: calls.append((name, m)))
               for name, m in net.named_modules() if isinstance(m, (nn.Conv2d, nn.BatchNorm2d, nn.Linear))]
    with torch.no_grad():
        net(torch.zeros(1, 3, 64, 64))
    for h in handles:
        h.remove()
    return calls


def within(calls, word):
    """The calls with those of every shortcut behind its block's others."""
    key = lambda name: name.split(word)[0] if word in name else None
    ordered, held = [], []
    for name, m in calls:
        if held and key(name) is None and not name.startswith(key(held[0][0])):
            ordered, held = ordered + held, []
        (held if key(name) is not None else ordered).append((name, m))
    return ordered + held


def pairs(theirs, ours):
    a, b = within(layers(theirs), "shortcut"), within(layers(ours), "downsample")
    assert len(a) == len(b), (len(a), len(b))
    names = {}
    for (x, m), (y, n) in zip(a, b):
        assert type(m) is type(n)
        for p in m.state_dict():
            if p != "num_batches_tracked":
                names[f"{x}.{p}"] = f"{y}.{p}"
    return names


def main():
    torch.manual_seed(0)
    models = {}
    for name, kind, block in ("resnet18", "basic", BasicBlock), ("resnet50", "bottleneck", Bottleneck):
        widths = [w * block.expansion for w in (64, 128, 256, 512)]
        config = ResNetConfig(embedding_size=64, hidden_sizes=widths, depths=[1, 1, 1, 1], layer_type=kind, num_labels=7)
        theirs, ours = ResNetForImageClassification(config).eval(), ResNet(block, [1, 1, 1, 1], num_classes=7).eval()
        for p in [*theirs.parameters(), *theirs.buffers()]:
            if p.dtype == torch.float32:
                p.data += 0.1 * torch.rand_like(p)
        names = pairs(theirs, ours)
        state = {names[n]: t for n, t in theirs.state_dict().items() if "num_batches_tracked" not in n}
        missing, unexpected = ours.load_state_dict(state, strict=False)
        assert not unexpected and all("num_batches_tracked" in n for n in missing), (missing, unexpected)
        x = torch.rand(2, 3, 64, 64)
        with torch.no_grad():
            a, b = theirs(x).logits, ours(x)
        assert (a - b).abs().max() <= 1e-4 * b.abs().max(), (a, b)
        models[name] = names
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "huggingface_names.json"), "w") as f:
        json.dump({"torch": torch.__version__, "models": models}, f, indent=0)
        f.write("\n")


if __name__ == "__main__":
    main()
