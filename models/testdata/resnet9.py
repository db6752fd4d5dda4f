"""David Page's ResNet-9 with 32 channels in its first layer and an ordinary linear
layer, in PyTorch. Writes resnet9.json beside itself, in the form of
torchvision_nets.json; made with PyTorch 2.15.0 on one thread:

    python3 resnet9.py

The layers follow https://github.com/davidcpage/cifar10-fast (dawn.py).
"""
import torch
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


class ResNet9(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.prep = layer(3, width)
        self.layer1 = layer(width, 2 * width, nn.MaxPool2d(2))
        self.layer2 = layer(2 * width, 4 * width, nn.MaxPool2d(2))
        self.layer3 = layer(4 * width, 8 * width, nn.MaxPool2d(2))
        self.res1, self.res3 = nn.Sequential(Block(2 * width)), nn.Sequential(Block(8 * width))
        self.pool, self.fc = nn.AdaptiveMaxPool2d(1), nn.Linear(8 * width, 10)

    def forward(self, x):
        x = self.res3(self.layer3(self.layer2(self.res1(self.layer1(self.prep(x))))))
        return self.fc(self.pool(x).flatten(1))


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

if __name__ == "__main__":
    torch.set_num_threads(1)
    torchvision_nets.SIZE, torchvision_nets.SHIFT, torchvision_nets.TRIALS = 16, 1.0, 400
    nets = {"resnet9-32": lambda: ResNet9(32)}
    torchvision_nets.write("resnet9.json", nets, list(nets))
