"""Writes half_padded.json: the logits of a residual net for CIFAR of 8 layers whose
shortcuts pad half of the new channels on each side, as pytorch_resnet_cifar10 has them
(https://github.com/akamaster/pytorch_resnet_cifar10, option A), and of the same weights
where all new channels come last, as in the code of the paper's authors.

    python half_padded.py

Written with torch 2.15.0. Element i of tensor t, counted from one in the order of names,
is base + scale * sin(0.37 * i + t).
"""

import json

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride, both, pre):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(inputs if pre else outputs), nn.BatchNorm2d(outputs)
        new = outputs - inputs
        self.pads = (new // 2, new - new // 2) if both else (0, new)
        self.stride, self.pre = stride, pre

    def forward(self, x):
        short = lambda x: F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, *self.pads))
        if self.pre:  # the first block of a stage activates before its shortcut parts
            y = F.relu(self.bn1(x))
            return self.conv2(F.relu(self.bn2(self.conv1(y)))) + short(y)
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + short(x))


class Net(nn.Module):
    def __init__(self, both, pre):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        if not pre:
            self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(Block(16, 16, 1, both, pre))
        self.layer2 = nn.Sequential(Block(16, 32, 2, both, pre))
        self.layer3 = nn.Sequential(Block(32, 64, 2, both, pre))
        if pre:
            self.bn = nn.BatchNorm2d(64)
        self.fc = nn.Linear(64, 10)
        self.pre = pre

    def forward(self, x):
        x = self.conv1(x)
        x = x if self.pre else F.relu(self.bn1(x))
        x = self.layer3(self.layer2(self.layer1(x)))
        if self.pre:
            x = F.relu(self.bn(x))
        return self.fc(x.mean((2, 3)))


def wave(shape, t, base, scale):
    n = torch.tensor(shape).prod().item()
    return (base + scale * torch.sin(0.37 * torch.arange(1, n + 1, dtype=torch.float64) + t)).reshape(shape)


def kind(name, shape):
    if len(shape) == 4:
        return 0.0, 1.5 / (shape[1] * 9) ** 0.5
    if name == "fc.weight":
        return 0.0, 0.3
    if name.endswith("running_var"):
        return 1.0, 0.5
    if name.endswith("weight"):
        return 1.0, 0.3
    return 0.0, 0.2


nets = []
for name, pre in (("cifar-resnet8", False), ("cifar-preresnet8", True)):
    entry = {"net": name}
    for key, both in (("both", True), ("last", False)):
        net = Net(both, pre).double().eval()
        state = {k: v for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
        tensors = []
        for t, k in enumerate(sorted(state), 1):
            base, scale = kind(k, list(state[k].shape))
            state[k].copy_(wave(list(state[k].shape), t, base, scale).float().double())
            tensors.append([k, list(state[k].shape), base, scale])
        x = wave([2, 3, 32, 32], 0, 0.0, 1.0).float().double()
        with torch.no_grad():
            entry[key] = net(x).flatten().tolist()
        entry["tensors"] = tensors
    gap = max(abs(a - b) for a, b in zip(entry["both"], entry["last"]))
    print(name, "differs by", gap, "of", max(map(abs, entry["both"])))
    nets.append(entry)
with open("half_padded.json", "w") as f:
    json.dump(nets, f, indent=0)
