"""Traces both networks of "Dive into Deep Learning" in PyTorch: the numbers that
training in Residual is compared with. Writes d2l-bnlenet.json and
d2l-resnet18.json beside itself; made with PyTorch 1.13.0 on one thread:

    python3 trace.py

Weights, images and labels come from a formula that package models/modelstest
repeats, so that the files hold results only: the output and loss of the first
batch, the gradients at step 1, and ten steps of SGD on that batch, in float64,
in float32, and in the mixed precision of torch.autocast with bfloat16. Of a tensor they hold its length, sum, largest magnitude and a
few elements.
"""
import json
import os

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

SEED, STEPS, SAMPLES = 1, 10, 16
WORD = (1 << 64) - 1


class Residual(nn.Module):
    def __init__(self, inputs, outputs, use_1x1conv=False, strides=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, stride=strides)
        self.conv2 = nn.Conv2d(outputs, outputs, kernel_size=3, padding=1)
        self.conv3 = nn.Conv2d(inputs, outputs, kernel_size=1, stride=strides) if use_1x1conv else None
        self.bn1 = nn.BatchNorm2d(outputs)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + (self.conv3(x) if self.conv3 else x))


def stage(inputs, outputs, first=False):
    head = Residual(outputs, outputs) if first else Residual(inputs, outputs, use_1x1conv=True, strides=2)
    return nn.Sequential(head, Residual(outputs, outputs))


class ResNet18(nn.Module):
    def __init__(self):
        super().__init__()
        self.b1 = nn.Sequential(nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3), nn.BatchNorm2d(64),
                                nn.ReLU(), nn.MaxPool2d(kernel_size=3, stride=2, padding=1))
        self.b2 = stage(64, 64, first=True)
        self.b3 = stage(64, 128)
        self.b4 = stage(128, 256)
        self.b5 = stage(256, 512)
        self.fc = nn.Linear(512, 10)

    def forward(self, x):
        x = self.b5(self.b4(self.b3(self.b2(self.b1(x)))))
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1))


def bnlenet():
    return nn.Sequential(
        nn.Conv2d(1, 6, kernel_size=5), nn.BatchNorm2d(6), nn.Sigmoid(), nn.MaxPool2d(kernel_size=2, stride=2),
        nn.Conv2d(6, 16, kernel_size=5), nn.BatchNorm2d(16), nn.Sigmoid(), nn.MaxPool2d(kernel_size=2, stride=2),
        nn.Flatten(), nn.Linear(256, 120), nn.BatchNorm1d(120), nn.Sigmoid(),
        nn.Linear(120, 84), nn.BatchNorm1d(84), nn.Sigmoid(), nn.Linear(84, 10))


def mix(z):
    """SplitMix64's output function, on numpy's uint64."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
    return z ^ (z >> np.uint64(31))


def words(name, n):
    """The first n words of nn.NewSource(SEED, name)."""
    h = 0xcbf29ce484222325
    for c in name.encode():
        h = ((h ^ c) * 0x100000001b3) & WORD
    golden = np.uint64(0x9e3779b97f4a7c15)
    with np.errstate(over="ignore"):
        start = mix(np.array([SEED], np.uint64) + golden)[0] ^ np.uint64(h)
        return mix(start + golden * np.arange(1, n + 1, dtype=np.uint64))


def uniform(name, n):
    """n numbers of [0, 1)."""
    return (words(name, n) >> np.uint64(11)).astype(np.float64) / (1 << 53)


def value(name, shape):
    """The starting value of a parameter or buffer, in float32."""
    if len(shape) > 1:
        base, scale = 0.0, 1 / np.sqrt(np.float64(np.prod(shape[1:])))
    else:
        base, scale = {"weight": (1.0, 0.2), "bias": (0.0, 0.1),
                       "running_mean": (0.0, 0.1), "running_var": (1.0, 0.5)}[name.split(".")[-1]]
    u = uniform(name, int(np.prod(shape)))
    return torch.from_numpy((base + scale * (2 * u - 1)).astype(np.float32).reshape(shape))


def digits(x, dtype):
    return float("%.12g" % x) if dtype == torch.float64 else float("%.9g" % x)


def facts(tensor, places, dtype):
    x = tensor.detach().double().flatten()
    return {"l2": digits(x.norm().item(), dtype), "sum": digits(x.sum().item(), dtype),
            "max": digits(x.abs().max().item(), dtype),
            "at": [digits(x[i].item(), dtype) for i in places]}


def run(net, images, labels, lr, places, dtype, mixed=False):
    """Ten steps of SGD from the formula's weights, in one precision."""
    autocast = lambda: torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed)
    with torch.no_grad():
        for name, p in net.state_dict().items():
            if "num_batches_tracked" not in name:
                p.copy_(value(name, tuple(p.shape)))
    net.to(dtype)
    x = images.to(dtype)
    rows = lambda y: [[digits(v, dtype) for v in row] for row in y.tolist()]
    with torch.no_grad(), autocast():
        result = {"eval_logits": rows(net.eval()(x))}
    net.train()
    optimizer = torch.optim.SGD(net.parameters(), lr=lr)
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        with autocast():
            logits = net(x)
            loss = F.cross_entropy(logits, labels)
        loss.backward()
        if step == 0:
            result["train_logits"] = rows(logits)
            result["gradients"] = {n: facts(p.grad, places[n], dtype) for n, p in net.named_parameters()}
        optimizer.step()
        losses.append(digits(loss.item(), dtype))
    result["losses"] = losses
    result["final"] = {n: facts(p, places[n], dtype) for n, p in net.state_dict().items()
                       if "num_batches_tracked" not in n}
    return result


def trace(name, build, batch, size, lr):
    n = batch * size * size
    images = torch.from_numpy(uniform("images", n).astype(np.float32).reshape(batch, 1, size, size))
    labels = torch.from_numpy((words("labels", batch) % np.uint64(10)).astype(np.int64))
    shapes = {n: list(p.shape) for n, p in build().state_dict().items() if "num_batches_tracked" not in n}
    places = {n: sorted(set((words("places:" + n, SAMPLES) % np.uint64(np.prod(s))).tolist()))
              for n, s in shapes.items()}
    data = {"model": name, "torch": torch.__version__, "seed": SEED, "lr": lr,
            "input": [batch, 1, size, size], "labels": labels.tolist(),
            "parameters": [{"name": n, "shape": s, "places": places[n]} for n, s in shapes.items()]}
    for key, dtype in (("float64", torch.float64), ("float32", torch.float32)):
        data[key] = run(build(), images, labels, lr, places, dtype)
    data["bfloat16"] = run(build(), images, labels, lr, places, torch.float32, mixed=True)
    for a, b in zip(data["float64"]["losses"], data["float32"]["losses"]):
        print(f"{name}: loss {a:.9f} in float64, {b:.9f} in float32, apart by {abs(a - b) / a:.1e}")
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name + ".json")
    with open(path, "w") as f:
        f.write(json.dumps(data, separators=(",", ":")).replace('{"l2"', '\n{"l2"').replace('{"name"', '\n{"name"'))
        f.write("\n")
    print(path, os.path.getsize(path))


if __name__ == "__main__":
    torch.set_num_threads(1)
    trace("d2l-bnlenet", bnlenet, batch=8, size=28, lr=0.05)
    trace("d2l-resnet18", ResNet18, batch=8, size=40, lr=0.05)
