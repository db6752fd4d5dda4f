"""Activations and gradients with respect to the images in PyTorch, for what
inference/forward/probes_test.go compares ours with. Writes probes.json beside itself; made with
PyTorch 2.15.0 and torchvision 0.29.2 on one thread:

    python3 probes.py

The activations are those of torchvision's create_feature_extractor, at every node that is a
module, under the names that it gives them. Weights and images come from the formula of
models/testdata/trace.py, and so do the networks that torchvision does not have, of which the
activations are those of forward hooks. All is computed in float64; of a tensor the norm and a
few elements are kept.
"""
import json
import os
import sys

import torch
import torchvision
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "..", "..", "models", "testdata"))
import residual_nets  # noqa: E402
from trace import bnlenet, uniform, value  # noqa: E402


def fill(net):
    with torch.no_grad():
        for name, p in net.state_dict().items():
            if "num_batches_tracked" not in name:
                p.copy_(value(name, tuple(p.shape)))
    for m in net.modules():
        if isinstance(m, torch.nn.ReLU):
            m.inplace = False  # else the feature extractor returns batch norms after their ReLU
    return net.double().eval()


def facts(t):
    flat = t.detach().flatten()
    places = sorted({(i * 7919) % flat.numel() for i in range(3)})
    return {"shape": list(t.shape), "l2": float(f"{flat.norm().item():.9g}"), "places": places,
            "at": [float(f"{flat[i].item():.9g}") for i in places]}


def activations(net, x, traced):
    found = {}
    if traced:
        modules = dict(net.named_modules())
        names = []
        for name in get_graph_node_names(net)[1]:
            stem, _, last = name.rpartition("_")
            if name in modules or last.isdigit() and stem in modules:
                names.append(name)
        with torch.no_grad():
            for name, t in create_feature_extractor(net, names)(x).items():
                found[name] = facts(t)
    handles = []
    for name, m in net.named_modules():
        if name and name not in found:
            def hook(m, i, o, name=name):
                found.setdefault(name, facts(o))
            handles.append(m.register_forward_hook(hook))
    with torch.no_grad():
        net(x)
    for h in handles:
        h.remove()
    return found


def main():
    torch.set_num_threads(1)
    nets = {
        "resnet18": (torchvision.models.resnet18(), 3, 64, True),
        "resnet50": (torchvision.models.resnet50(), 3, 32, True),
        "cifar-resnet20": (residual_nets.NETS["cifar-resnet20"](), 3, 32, False),
        "d2l-bnlenet": (bnlenet(), 1, 28, False),
    }
    out = []
    for name, (net, channels, size, traced) in nets.items():
        net = fill(net)
        x = torch.from_numpy(uniform("images", 2 * channels * size * size).astype("float32").reshape(2, channels, size, size)).double()
        classes = [0, 7]
        case = {"net": name, "channels": channels, "size": size, "classes": classes, "activations": activations(net, x, traced)}
        x.requires_grad_()
        logits = net(x)
        sum(logits[i, c] for i, c in enumerate(classes)).backward()
        case["gradient"] = facts(x.grad)
        case["saliency"] = facts(x.grad.abs().amax(dim=1))
        out.append(case)
    with open(os.path.join(here, "probes.json"), "w") as f:
        text = json.dumps({"torch": torch.__version__, "torchvision": torchvision.__version__, "seed": 1, "probes": out})
        f.write(text.replace('{"net"', '\n{"net"').replace('}, "', '},\n"'))
        f.write("\n")


main()
