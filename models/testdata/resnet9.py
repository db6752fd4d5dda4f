"""David Page's ResNet-9 in several widths, with biases in its last layer, in PyTorch,
and variants with other stems of it and of torchvision's resnet18. Writes resnet9.json and stems.json beside itself, in the form of
torchvision_nets.json; made with PyTorch 2.15.0 on one thread:

    python3 resnet9.py

The layers follow https://github.com/davidcpage/cifar10-fast (dawn.py).
"""
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

import torchvision_nets


def layer(inputs, outputs, *more):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(), *more)


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1, self.bn1, self.relu1 = layer(width, width)
        self.conv2, self.bn2, self.relu2 = layer(width, width)

    def forward(self, x):
        return x + self.relu2(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))))


def stem(width, divides):
    """3x3 convolutions of stride 1 or 2, or a 7x7 one of stride 2 with max pooling."""
    if divides == 4:
        return nn.Sequential(nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
    return nn.Sequential(nn.Conv2d(3, width, 3, divides, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())


class ResNet9(nn.Module):
    def __init__(self, width, divides=1):
        super().__init__()
        self.prep = stem(width, divides)
        self.layer1 = layer(width, 2 * width, nn.MaxPool2d(2))
        self.layer2 = layer(2 * width, 4 * width, nn.MaxPool2d(2))
        self.layer3 = layer(4 * width, 8 * width, nn.MaxPool2d(2))
        self.res1, self.res3 = nn.Sequential(Block(2 * width)), nn.Sequential(Block(8 * width))
        self.pool, self.fc = nn.AdaptiveMaxPool2d(1), nn.Linear(8 * width, 10)

    def forward(self, x):
        x = self.res3(self.layer3(self.layer2(self.res1(self.layer1(self.prep(x))))))
        return self.fc(0.125 * self.pool(x).flatten(1))


def margin(net, x):
    """As torchvision_nets.margin, and how near the two largest values of a window come to each other."""
    least = [relu_margin(net, x)]

    def before(module, inputs):
        v = inputs[0].detach()
        size = v.shape[2] if isinstance(module, nn.AdaptiveMaxPool2d) else 2
        two = F.unfold(v.flatten(0, 1)[:, None], size, stride=size).topk(2, 1).values
        two = two.movedim(1, 0).flatten(1)
        two = two[:, two[0] > 0]  # windows of nothing but zeros have no gradient before a ReLU
        least[0] = min(least[0], ((two[0] - two[1]).min() / v.norm() * v.numel() ** 0.5).item())

    handles = [m.register_forward_pre_hook(before) for m in net.modules() if isinstance(m, (nn.MaxPool2d, nn.AdaptiveMaxPool2d))]
    with torch.no_grad():
        net(x)
    for h in handles:
        h.remove()
    return least[0]


relu_margin, torchvision_nets.margin = torchvision_nets.margin, margin

class ResNet18(torchvision.models.ResNet):
    """torchvision's resnet18 with a 3x3 stem, and without its max pooling."""

    def __init__(self, divides):
        super().__init__(torchvision.models.resnet.BasicBlock, [2, 2, 2, 2])
        self.conv1 = nn.Conv2d(3, 64, 3, divides, 1, bias=False)
        del self.maxpool

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


if __name__ == "__main__":
    torch.set_num_threads(1)
    torchvision_nets.SIZE, torchvision_nets.SHIFT, torchvision_nets.TRIALS = 16, 1.0, 400
    nets = {f"resnet9-{w}": lambda w=w: ResNet9(w) for w in (16, 32, 64)}
    torchvision_nets.write("resnet9.json", nets, list(nets))
    torchvision_nets.SIZE, torchvision_nets.BATCH = 64, 8
    nets = {f"resnet9-16-s{s}": lambda s=s: ResNet9(16, s) for s in (2, 4)}
    nets.update({f"resnet18-s{s}": lambda s=s: ResNet18(s) for s in (1, 2)})
    torchvision_nets.write("stems.json", nets, [])
