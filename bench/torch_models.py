"""The networks that torch_resnet.py and torch_recipe.py measure, in plain PyTorch,
so that they need no torchvision: ResNet-18 of "Dive into Deep Learning",
torchvision's resnet50, the CIFAR ResNet-56 of He et al. 2015 and a narrow one of
David Page's ResNet-9.
"""
import functools

from torch import nn
from torch.nn import functional as F


class Residual(nn.Module):
    """The block of section 8.6 of the book."""

    def __init__(self, inputs, outputs, use_1x1conv=False, strides=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, stride=strides)
        self.conv2 = nn.Conv2d(outputs, outputs, kernel_size=3, padding=1)
        self.conv3 = nn.Conv2d(inputs, outputs, kernel_size=1, stride=strides) if use_1x1conv else None
        self.bn1 = nn.BatchNorm2d(outputs)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        if self.conv3 is not None:
            x = self.conv3(x)
        y += x
        return F.relu(y, inplace=True)


def stage(inputs, outputs, first=False):
    head = Residual(outputs, outputs) if first else Residual(inputs, outputs, use_1x1conv=True, strides=2)
    return [head, Residual(outputs, outputs)]


def resnet18(channels=1, classes=10):
    return nn.Sequential(
        nn.Conv2d(channels, 64, kernel_size=7, stride=2, padding=3), nn.BatchNorm2d(64), nn.ReLU(inplace=True),
        nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        *stage(64, 64, first=True), *stage(64, 128), *stage(128, 256), *stage(256, 512),
        nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(512, classes))


def xavier(module):
    """The book's start: Xavier-uniform weights, biases as PyTorch makes them."""
    if isinstance(module, (nn.Linear, nn.Conv2d)):
        nn.init.xavier_uniform_(module.weight)


class Bottleneck(nn.Module):
    """torchvision's, with the stride in the 3x3 convolution."""

    def __init__(self, inputs, width, stride):
        super().__init__()
        outputs = 4 * width
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


def resnet50(channels=3, classes=1000):
    layers = [nn.Conv2d(channels, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for width, blocks, stride in (64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2):
        for i in range(blocks):
            layers.append(Bottleneck(inputs, width, stride if i == 0 else 1))
            inputs = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


class CIFARBlock(nn.Module):
    """Two 3x3 convolutions; a shortcut that must change its shape takes every
    other pixel and adds channels of zeros (option A of the paper)."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.stride, self.more = stride, outputs - inputs

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        if self.more:
            x = F.pad(x[:, :, ::self.stride, ::self.stride], (0, 0, 0, 0, self.more // 2, self.more - self.more // 2))
        return F.relu(y + x, inplace=True)


def cifar_resnet56(channels=3, classes=10):
    layers = [nn.Conv2d(channels, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)]
    inputs = 16
    for width in 16, 32, 64:
        for _ in range(9):
            layers.append(CIFARBlock(inputs, width, 1 if inputs == width else 2))
            inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


def convolved(inputs, outputs, pool=False):
    layers = [nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, *[nn.MaxPool2d(2)] * pool)


class InnerBlock(nn.Module):
    """Two layers and their input, which is added after the last activation."""

    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(convolved(width, width), convolved(width, width))

    def forward(self, x):
        return self.layers(x) + x


class Scaled(nn.Module):
    """An eighth of its input, as in Page's network."""

    def forward(self, x):
        return 0.125 * x


def resnet9(width, channels=3, classes=10):
    return nn.Sequential(
        convolved(channels, width), convolved(width, 2 * width, True), InnerBlock(2 * width),
        convolved(2 * width, 4 * width, True), convolved(4 * width, 8 * width, True), InnerBlock(8 * width),
        nn.AdaptiveMaxPool2d(1), nn.Flatten(), Scaled(), nn.Linear(8 * width, classes))


# By the names of residual models: the network, its channels and its classes.
MODELS = {
    "d2l-resnet18": (resnet18, 1, 10),
    "resnet50": (resnet50, 3, 1000),
    "cifar-resnet56": (cifar_resnet56, 3, 10),
    "resnet9-32": (functools.partial(resnet9, 32), 3, 10),
}
