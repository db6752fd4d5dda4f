"""The residual networks that torchvision does not have, in PyTorch: pre-activation
nets and the nets for CIFAR. Writes residual_nets.json beside itself, in the form
of torchvision_nets.json; made with PyTorch 1.13.0 on one thread:

    python3 residual_nets.py

The classes follow the papers (https://arxiv.org/abs/1512.03385, section 4.2;
https://arxiv.org/abs/1603.05027, figure 4e and section 3.2).
"""
import json
import os

import torch
from torch import nn
from torch.nn import functional as F

import torchvision_nets


class OptionA(nn.Module):
    """Every second pixel, and zeros for the channels that are new."""

    def __init__(self, new):
        super().__init__()
        self.new = new

    def forward(self, x):
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.new))


def conv(inputs, outputs, kernel, stride=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


class Block(nn.Module):
    """The block of 1512.03385, or with residual=False what is left without its shortcut."""

    def __init__(self, inputs, outputs, stride, residual):
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, outputs, 3, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = conv(outputs, outputs, 3), nn.BatchNorm2d(outputs)
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()
        self.residual = residual
        self.shortcut = OptionA(outputs - inputs) if stride > 1 else nn.Identity()

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(y + self.shortcut(x) if self.residual else y)


class PreAct(nn.Module):
    """The block of 1603.05027. mode: where the first activation stands."""

    def __init__(self, inputs, width, stride, mode, bottleneck, downsample):
        super().__init__()
        self.mode, outputs = mode, width * 4 if bottleneck else width
        if mode != "none":
            self.bn1 = nn.BatchNorm2d(inputs)
        self.relu1, self.relu2, self.relu3 = nn.ReLU(), nn.ReLU(), nn.ReLU()
        self.conv1, self.bn2 = conv(inputs, width, 1 if bottleneck else 3, 1 if bottleneck else stride), nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, 3, stride if bottleneck else 1)
        if bottleneck:
            self.bn3, self.conv3 = nn.BatchNorm2d(width), conv(width, outputs, 1)
        self.bottleneck = bottleneck
        self.downsample = downsample

    def forward(self, x):
        y = x if self.mode == "none" else self.relu1(self.bn1(x))
        short = y if self.mode == "shared" else x
        if self.downsample:
            short = self.downsample(short)
        y = self.conv2(self.relu2(self.bn2(self.conv1(y))))
        if self.bottleneck:
            y = self.conv3(self.relu3(self.bn3(y)))
        return y + short


class CIFAR(nn.Module):
    def __init__(self, depth, kind):
        super().__init__()
        self.preact = kind == "preresnet"
        self.conv1, inputs = conv(3, 16, 3), 16
        if not self.preact:
            self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        for i, width in enumerate((16, 32, 64)):
            blocks = []
            for j in range((depth - 2) // 6):
                stride = 2 if i > 0 and j == 0 else 1
                if self.preact:
                    short = OptionA(width - inputs) if stride > 1 else None
                    blocks.append(PreAct(inputs, width, stride, "shared" if j == 0 else "branch", False, short))
                else:
                    blocks.append(Block(inputs, width, stride, kind == "resnet"))
                inputs = width
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        if self.preact:
            self.bn = nn.BatchNorm2d(64)
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = self.conv1(x)
        if not self.preact:
            x = self.relu(self.bn1(x))
        x = self.layer3(self.layer2(self.layer1(x)))
        if self.preact:
            x = self.relu(self.bn(x))
        return self.fc(x.mean((2, 3)))


class PreResNet(nn.Module):
    def __init__(self, blocks, bottleneck):
        super().__init__()
        grow = 4 if bottleneck else 1
        self.conv1, self.bn1, inputs = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), 64
        self.relu, self.maxpool = nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        for i, width in enumerate((64, 128, 256, 512)):
            stage = []
            for j in range(blocks[i]):
                stride = 2 if i > 0 and j == 0 else 1
                mode = "branch" if j else "shared" if i else "none"
                change = stride > 1 or inputs != width * grow
                short = nn.Sequential(conv(inputs, width * grow, 1, stride)) if change else None
                stage.append(PreAct(inputs, width, stride, mode, bottleneck, short))
                inputs = width * grow
            setattr(self, f"layer{i + 1}", nn.Sequential(*stage))
        self.bn, self.fc = nn.BatchNorm2d(inputs), nn.Linear(inputs, 1000)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.relu(self.bn(x)).mean((2, 3)))


NETS = {
    "cifar-plain20": lambda: CIFAR(20, "plain"), "cifar-resnet20": lambda: CIFAR(20, "resnet"),
    "cifar-preresnet20": lambda: CIFAR(20, "preresnet"),
    "preresnet18": lambda: PreResNet((2, 2, 2, 2), False), "preresnet50": lambda: PreResNet((3, 4, 6, 3), True),
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    torchvision_nets.SIZE, torchvision_nets.SHIFT, torchvision_nets.TRIALS = 32, 1.0, 200
    # of these smaller nets fewer activations are near 0, so a smaller shift will do
    trained = [name for name in NETS if name.startswith("cifar")]
    torchvision_nets.write("residual_nets.json", NETS, trained)
