"""Exports small networks that are none of the models known by name, as other programs do, and
writes the probabilities that ONNX Runtime gives for a photo prepared by Pillow.

    python3 foreign_graphs.py

Made with PyTorch 2.15.0, onnx 1.23.2, ONNX Runtime 1.32.0, Pillow 13.0.0 and numpy 2.4.6.
"""
import json
import warnings

import numpy as np
import onnx
import onnxruntime
import PIL
import torch
from PIL import Image
from torch import nn

warnings.filterwarnings("ignore")


class Net(nn.Module):
    """Two convolutions with a gate, 7 classes; nothing like a residual network."""

    def __init__(self, channels, softmax=False, features=False, bytes_last=False):
        super().__init__()
        self.stem = nn.Conv2d(channels, 6, 3, 2, 1)
        self.depth = nn.Conv2d(6, 6, 3, 1, 1, groups=6)
        self.norm = nn.BatchNorm2d(6)
        self.gate = nn.Conv2d(6, 6, 1)
        self.head = nn.Linear(6, 7)
        self.softmax, self.features, self.bytes_last = softmax, features, bytes_last

    def forward(self, x):
        if self.bytes_last:
            x = (x.permute(0, 3, 1, 2).float() - 120.0) / 60.0
        x = torch.relu(self.stem(x))
        x = torch.relu(self.norm(self.depth(x)))
        x = x * torch.sigmoid(self.gate(x))
        y = self.head(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))
        if self.softmax:
            y = y.softmax(1)
        return (x, y) if self.features else y


def network(seed, *args, **kwargs):
    torch.manual_seed(seed)
    net = Net(*args, **kwargs).eval()
    nn.init.uniform_(net.norm.running_mean, -0.2, 0.2)
    nn.init.uniform_(net.norm.running_var, 0.5, 1.5)
    with torch.no_grad():  # so that the probabilities differ
        net.head.weight *= 30
        net.head.bias *= 3
    return net


def photo():
    rng = np.random.default_rng(5)
    small = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    small.resize((37, 29), Image.BICUBIC).save("photo.png")
    return Image.open("photo.png").convert("RGB")


def middle(image, short, size, filter):
    w, h = image.size
    w, h = (short, int(short * h / w)) if w <= h else (int(short * w / h), short)
    left, top = int(round((w - size) / 2.0)), int(round((h - size) / 2.0))
    return image.resize((w, h), filter).crop((left, top, left + size, top + size))


def planes(image, scale, mean, std):
    x = np.asarray(image, np.float32)
    x = x[..., None] if x.ndim == 2 else x
    return ((x * np.float32(scale) - np.float32(mean)) / np.float32(std)).transpose(2, 0, 1)[None].astype(np.float32)


def main():
    image = photo()
    cases = []

    def case(name, net, example, prepared, config, axes=None, outputs=("answer",)):
        torch.onnx.export(net, example, name + ".onnx", dynamo=False, opset_version=13, input_names=["picture"], output_names=list(outputs), dynamic_axes=axes)
        onnx.checker.check_model(name + ".onnx")
        session = onnxruntime.InferenceSession(name + ".onnx", providers=["CPUExecutionProvider"])
        batch = prepared.repeat(example.shape[0], axis=0) if not axes else prepared
        y = session.run([outputs[-1]], {"picture": batch})[0][0].astype(np.float64)
        if not net.softmax:
            y = np.exp(y - y.max())
        cases.append({"name": name, "config": config, "probabilities": [float(f"{v:.9g}") for v in y / y.sum()]})

    mean, std = [0.5, 0.4, 0.3], [0.25, 0.2, 0.3]
    case("foreign-logits", network(1, 3), torch.zeros(1, 3, 24, 24), planes(middle(image, 27, 24, Image.BILINEAR), 1 / 255, mean, std),
         {"Mean": mean, "Std": std})
    case("foreign-softmax", network(2, 3, softmax=True), torch.zeros(2, 3, 20, 20), planes(image.resize((26, 26), Image.BICUBIC), 1 / 127.5, [1, 1, 1], [1, 1, 1]),
         {"Size": 26, "Squash": True, "Interpolation": "bicubic", "Scale": 1 / 127.5, "Mean": [1, 1, 1], "Std": [1, 1, 1]},
         axes={"picture": {0: "n", 2: "h", 3: "w"}, "answer": {0: "n"}})
    bgr = [103.9, 116.8, 123.7]
    case("foreign-features", network(3, 3, features=True), torch.zeros(2, 3, 24, 24),
         planes(Image.merge("RGB", middle(image, 25, 24, Image.BICUBIC).split()[::-1]), 1, bgr, [57, 58, 59]),
         {"Crop": 0.95, "Interpolation": "bicubic", "Scale": 1, "Mean": bgr, "Std": [57, 58, 59], "BGR": True}, outputs=("maps", "answer"))
    grey = image.convert("L")
    case("foreign-bytes", network(4, 1, bytes_last=True), torch.zeros(3, 24, 32, 1, dtype=torch.uint8),
         np.asarray(grey.resize((32, 24), Image.BILINEAR), np.uint8)[None, ..., None], {"Classes": list("abcdefg")},
         axes={"picture": {0: "n"}, "answer": {0: "n"}})
    with open("foreign_graphs.json", "w") as f:
        json.dump({"torch": torch.__version__, "onnxruntime": onnxruntime.__version__, "pillow": PIL.__version__, "cases": cases}, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()
