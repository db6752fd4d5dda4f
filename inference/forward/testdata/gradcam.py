"""Grad-CAM in PyTorch, by equations 1 and 2 of Selvaraju et al. 2017, for what
inference/forward/gradcam_test.go compares ours with. Writes gradcam.json beside itself;
made with PyTorch 1.13.0 and torchvision 0.14.1 on one thread:

    python3 gradcam.py

Weights and images come from the formula of models/testdata/trace.py, and so does
the networks that torchvision does not have. The maps are those of the last stage, in
float64, of two images, for two classes each; every value is kept.
"""
import json
import os
import sys

import torch
import torchvision

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "..", "models", "testdata"))
import residual_nets  # noqa: E402
from trace import bnlenet, uniform, value  # noqa: E402


def fill(net):
    with torch.no_grad():
        for name, p in net.state_dict().items():
            if "num_batches_tracked" not in name:
                p.copy_(value(name, tuple(p.shape)))
    return net.double().eval()


def cam(net, stage, x, classes):
    kept = []
    handle = stage.register_forward_hook(lambda m, i, o: kept.append(o))
    logits = net(x)
    handle.remove()
    maps = kept[-1]
    y = sum(logits[i, c] for i, c in enumerate(classes))
    (gradient,) = torch.autograd.grad(y, maps)
    alpha = gradient.mean(dim=(2, 3), keepdim=True)
    out = torch.relu((alpha * maps).sum(dim=1))
    return out.detach(), [logits[i, c].item() for i, c in enumerate(classes)]


def main():
    torch.set_num_threads(1)
    nets = {
        "resnet18": (torchvision.models.resnet18(), lambda n: n.layer4, 3, 96),
        "cifar-resnet20": (residual_nets.NETS["cifar-resnet20"](), lambda n: n.layer3, 3, 32),
        "preresnet18": (residual_nets.NETS["preresnet18"](), lambda n: n.relu, 3, 64),
        "d2l-bnlenet": (bnlenet(), lambda n: n[6], 1, 28),
    }
    found = []
    for name, (net, stage, channels, size) in nets.items():
        net = fill(net)
        x = torch.from_numpy(uniform("images", 2 * channels * size * size).astype("float32").reshape(2, channels, size, size))
        for classes in ([0, 7], [9, 3], [5, 1]):
            maps, logits = cam(net, stage(net), x.double(), classes)
            found.append({"net": name, "channels": channels, "size": size, "classes": classes, "logits": logits,
                          "height": maps.shape[1], "width": maps.shape[2],
                          "maps": [[float(f"{v:.9g}") for v in m.flatten().tolist()] for m in maps]})
    with open(os.path.join(here, "gradcam.json"), "w") as f:
        text = json.dumps({"torch": torch.__version__, "torchvision": torchvision.__version__, "seed": 1, "cams": found})
        f.write(text.replace('{"net"', '\n{"net"'))
        f.write("\n")


main()
