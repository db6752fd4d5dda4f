"""The network of Jordan 2024 (https://arxiv.org/abs/2404.00498, section 3) with 32 channels in its
first layer, shortcuts around the second convolution of every stage, and an ordinary linear layer, in
PyTorch. Writes whitened.json beside itself, in the form of torchvision_nets.json; made with PyTorch
2.15.0 on one thread:

    python3 whitened.py
"""
import torch
from torch import nn
from torch.nn import functional as F

import torchvision_nets


def conv(inputs, outputs):
    return nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False)


def norm(channels):
    return nn.BatchNorm2d(channels, momentum=0.4)


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1, self.bn1, self.gelu = conv(width, width), norm(width), nn.GELU()

    def forward(self, x):
        return x + self.gelu(self.bn1(self.conv1(x)))


class WhitenedResNet(nn.Module):
    def __init__(self, widths):
        super().__init__()
        layer = lambda inputs, outputs: nn.Sequential(conv(inputs, outputs), nn.MaxPool2d(2), norm(outputs), nn.GELU())
        self.whiten, self.gelu = nn.Conv2d(3, 32, 2), nn.GELU()
        self.layer1, self.layer2, self.layer3 = layer(32, widths[0]), layer(widths[0], widths[1]), layer(widths[1], widths[2])
        self.res1, self.res2, self.res3 = (nn.Sequential(Block(w)) for w in widths)
        self.pool, self.fc = nn.AdaptiveMaxPool2d(1), nn.Linear(widths[2], 10)

    def forward(self, x):
        x = self.gelu(self.whiten(x))
        x = self.res3(self.layer3(self.res2(self.layer2(self.res1(self.layer1(x))))))
        return self.fc(self.pool(x).flatten(1) / 9)


def margin(net, x):
    """How near the two largest values of a window of max pooling come to each other, as a share of all."""
    least = [1.0]

    def before(module, inputs):
        v = inputs[0].detach()
        size = v.shape[2] if isinstance(module, nn.AdaptiveMaxPool2d) else 2
        two = F.unfold(v.flatten(0, 1)[:, None], size, stride=size)
        if two.shape[1] > 1:
            two = two.topk(2, 1).values
            least[0] = min(least[0], ((two[:, 0] - two[:, 1]).min() / v.norm() * v.numel() ** 0.5).item())

    handles = [m.register_forward_pre_hook(before) for m in net.modules() if isinstance(m, (nn.MaxPool2d, nn.AdaptiveMaxPool2d))]
    with torch.no_grad():
        net(x)
    for h in handles:
        h.remove()
    return least[0]


torchvision_nets.margin = margin

if __name__ == "__main__":
    torch.set_num_threads(1)
    torchvision_nets.SIZE, torchvision_nets.SHIFT, torchvision_nets.TRIALS = 24, 1.0, 100
    nets = {"whitened-resnet8": lambda: WhitenedResNet((64, 256, 256))}
    torchvision_nets.write("whitened.json", nets, list(nets))
