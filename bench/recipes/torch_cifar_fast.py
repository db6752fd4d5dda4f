"""The recipe fast of `residual train` on CIFAR-10 in PyTorch, on the CPU: the whitened ResNet of
models/testdata/whitened.py, trained as in https://arxiv.org/abs/2404.00498.

    python3 bench/recipes/torch_cifar_fast.py FOLDER --seed 1 --threads 2 --seconds 1800

FOLDER holds train/CLASS/ and test/CLASS/ with images of 32x32 pixels. The products are computed in
bfloat16 by autocast, and images lie channels last. It prints a line an epoch, and at the end the
accuracy of one view and of the mean over ten (as `residual eval --tta crops`), with the seconds of
the training and of all. After --seconds of training it stops where it is and says so.
"""
import argparse
import math
import os
import time

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def read(folder):
    classes = sorted(os.listdir(folder))
    images, labels = [], []
    for label, name in enumerate(classes):
        for file in sorted(os.listdir(os.path.join(folder, name))):
            with Image.open(os.path.join(folder, name, file)) as image:
                images.append(np.asarray(image.convert("RGB")))
            labels.append(label)
    return torch.from_numpy(np.stack(images)), torch.tensor(labels)


def values(pixels):
    x = pixels.permute(0, 3, 1, 2).float() / 255
    x = (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    return x.contiguous(memory_format=torch.channels_last)


def conv(inputs, outputs):
    layer = nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False)
    nn.init.dirac_(layer.weight.data[:inputs])
    return layer


def norm(channels):
    layer = nn.BatchNorm2d(channels, momentum=0.4)
    layer.weight.requires_grad = False
    return layer


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1, self.bn1 = conv(width, width), norm(width)

    def forward(self, x):
        return x + F.gelu(self.bn1(self.conv1(x)))


class WhitenedResNet(nn.Module):
    def __init__(self, classes, widths=(64, 256, 256)):
        super().__init__()
        self.whiten = nn.Conv2d(3, 32, 2)
        self.whiten.weight.requires_grad = False
        stages, inputs = [], 32
        for width in widths:
            stages += [conv(inputs, width), nn.MaxPool2d(2), norm(width), nn.GELU(), Block(width)]
            inputs = width
        self.stages = nn.Sequential(*stages)
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = self.stages(F.gelu(self.whiten(x)))
        return self.fc(x.amax((2, 3)) / 9)

    def whitened(self, x):
        """Sets the first layer so that patches of x have mean 0 and covariance 1 behind it."""
        patches = F.unfold(x, 2).movedim(1, 0).flatten(1).double()
        mean = patches.mean(1)
        variances, directions = torch.linalg.eigh(torch.cov(patches, correction=0))
        filters = (directions / (variances + 5e-4 * variances.mean()).sqrt()).T.flip(0)
        filters = torch.cat([filters, -filters])
        with torch.no_grad():
            self.whiten.weight[:24] = filters.reshape(24, 3, 2, 2).float()
            self.whiten.bias[:24] = -(filters @ mean).float()


def shifted(x, flip):
    """Random crops with 2 reflected pixels around, and the given flips."""
    n, size = len(x), x.shape[-1]
    padded = F.pad(x, (2,) * 4, "reflect")
    down, right = torch.randint(0, 5, (2, n))
    rows, columns = down[:, None] + torch.arange(size), right[:, None] + torch.arange(size)
    columns = torch.where(flip[:, None], columns.flip(1), columns)
    out = padded[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]]  # [n, size, size, 3]
    return out.permute(0, 3, 1, 2)


def rate(step, steps):
    """The share of the highest rate in a step, counted from 0: from 0.2 to 1 at 23 %, and to 0.07."""
    top, end = 0.23 * steps - 1, steps - 1
    return 0.2 + 0.8 * step / top if step < top else 1 + (0.07 - 1) * (step - top) / (end - top)


def logits(net, x, crops):
    size, views = x.shape[-1], [x]
    if crops:
        padded = F.pad(x, (2,) * 4, "reflect")
        views += [padded[:, :, a:a + size, b:b + size] for a in (0, 4) for b in (0, 4)]
        views += [v.flip(3) for v in views]
    return sum(net(v.contiguous(memory_format=torch.channels_last)).float() for v in views) / len(views)


def accuracy(net, x, labels, crops=False):
    net.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        hits = sum((logits(net, a, crops).argmax(1) == b).sum().item() for a, b in zip(x.split(500), labels.split(500)))
    return hits / len(labels)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--seconds", type=float, default=math.inf)
    parser.add_argument("--images", type=int, default=0, help="train on so many, evenly spread; 0 for all")
    a = parser.parse_args()
    torch.manual_seed(a.seed)
    torch.set_num_threads(a.threads)
    pixels, labels = read(os.path.join(a.folder, "train"))
    if a.images:
        some = torch.arange(a.images) * len(labels) // a.images
        pixels, labels = pixels[some], labels[some]
    tests, answers = read(os.path.join(a.folder, "test"))
    tests = values(tests)
    begun = time.time()

    net = WhitenedResNet(int(labels.max()) + 1)
    net.whitened(values(pixels[torch.arange(2048) * len(labels) // 2048]))
    net = net.to(memory_format=torch.channels_last)
    lr, decay = 1.5 * a.batch / 1024, 0.00133
    biases = [m.bias for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    others = [p for p in net.parameters() if p.requires_grad and not any(p is b for b in biases)]
    groups = [{"params": others, "lr": lr}, {"params": biases, "lr": 64 * lr, "weight_decay": decay / 64}]
    optimizer = torch.optim.SGD(groups, momentum=0.85, weight_decay=decay, nesterov=True)
    batches = math.ceil(len(labels) / a.batch)
    steps = a.epochs * batches
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(min(step, steps - 1), steps))
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.2)
    mirrored, slow, step, stopped = torch.rand(len(labels)) < 0.5, None, 0, False
    state = [v for v in net.state_dict().values() if v.is_floating_point()]
    for epoch in range(1, a.epochs + 1):
        net.train()
        total = 0.0
        for some in torch.randperm(len(labels)).split(a.batch):
            x = shifted(values(pixels[some]), mirrored[some] ^ (epoch % 2 == 0))
            with torch.autocast("cpu", torch.bfloat16):
                y = net(x)
            loss = loss_of(y.float(), labels[some])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            step += 1
            total += loss.item() * len(some)
            if step > 0.3 * steps and step % 5 == 0:
                with torch.no_grad():
                    if slow is None:
                        slow = [v.clone() for v in state]
                    keep = 0.95 ** 5 * (step / steps) ** 3
                    for s, v in zip(slow, state):
                        s.lerp_(v, 1 - keep)
                        v.copy_(s)
            if stopped := time.time() - begun > a.seconds:
                break
        if slow is not None:
            with torch.no_grad():
                for s, v in zip(slow, state):
                    v.copy_(s)
        print(f"epoch {epoch}  loss {total / len(labels):.4f}  test {accuracy(net, tests, answers):.4f}  {time.time() - begun:.0f} s", flush=True)
        if stopped:
            print(f"stopped after {a.seconds:.0f} s, step {step} of {steps}")
            break
    trained = time.time() - begun
    print(f"one view {accuracy(net, tests, answers):.4f}  ten views {accuracy(net, tests, answers, True):.4f}  "
          f"training {trained:.0f} s  all {time.time() - begun:.0f} s  PyTorch {torch.__version__}")


if __name__ == "__main__":
    main()
