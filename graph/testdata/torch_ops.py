"""Writes conv.json, pool.json, batchnorm.json, dense.json and loss.json beside this script:
outputs and gradients of PyTorch's layers in float64, which the tests of several
packages read. Needs torch and numpy (made with torch 1.13, numpy 1.24):

    python3 torch_ops.py

A file is one JSON object, {"torch": VERSION, "cases": [CASE, ...]}. A CASE has

    name        what is particular about it
    op          the operation, by its name in package graph
    attributes  its fields by their names there; BatchNorm has Eps, Momentum and Train
    inputs      TENSORs in the order that the operation takes them
    outputs     TENSORs; the first is the operation's result
    dy          the TENSOR that the first output's gradient is set to
    gradients   one for every input: a TENSOR, or null where none flows

and a TENSOR is {"name": ..., "shape": [...], "values": [row-major]}.

BatchNorm has inputs x, gamma, beta, running_mean, running_var and, when Train,
outputs y, running_mean, running_var. Its training cases come in pairs, the second
one starting from the running statistics that the first left behind.

Inputs and dy are small multiples of 1/16, exact in float32 and bfloat16, so that
one file serves every precision; only the "large logits" and the second running
statistics are not. Max pooling has ties on purpose.
"""

import json
import os

import numpy as np
import torch
import torch.nn.functional as F

torch.set_num_threads(1)
rng = np.random.RandomState(0)


def grid(*shape, low=-32, high=32, step=16.0):
    """Random multiples of 1/step, as a float64 tensor that takes a gradient."""
    values = rng.randint(low, high + 1, size=shape) / step
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def number(v):
    return int(v) if v == int(v) else float(v)


def dump(name, t):
    values = [number(v) for v in t.detach().to(torch.float64).reshape(-1).tolist()]
    return {"name": name, "shape": list(t.shape), "values": values}


def case(name, op, attributes, inputs, compute, after=lambda: {}):
    """inputs is a dict by name in order; compute takes its values; after gives further outputs."""
    y = compute(*inputs.values())
    dy = grid(*y.shape).detach()
    if y.requires_grad:
        y.backward(dy)
    outputs = [dump("y", y)] + [dump(k, v) for k, v in after().items()]
    gradients = [None if v is None or v.grad is None else dump("d" + k, v.grad) for k, v in inputs.items()]
    return {
        "name": name, "op": op, "attributes": attributes,
        "inputs": [dump(k, v) for k, v in inputs.items()],
        "outputs": outputs, "dy": dump("dy", dy), "gradients": gradients,
    }


def conv(name, x, w, bias=False, stride=(1, 1), pad=(0, 0), dilation=(1, 1), groups=1):
    inputs = {"x": grid(*x), "w": grid(*w)}
    if bias:
        inputs["b"] = grid(w[0])
    attributes = {
        "StrideH": stride[0], "StrideW": stride[1], "PadH": pad[0], "PadW": pad[1],
        "DilationH": dilation[0], "DilationW": dilation[1], "Groups": groups,
    }
    return case(name, "Conv2d", attributes, inputs,
                lambda x, w, b=None: F.conv2d(x, w, b, stride, pad, dilation, groups))


def convs():
    return [
        conv("3x3", (2, 3, 6, 5), (4, 3, 3, 3), pad=(1, 1)),
        conv("3x3 with bias, stride 2, odd size", (2, 3, 7, 7), (4, 3, 3, 3), bias=True, stride=(2, 2), pad=(1, 1)),
        conv("3x3 stride 2, even size", (1, 2, 8, 8), (3, 2, 3, 3), stride=(2, 2), pad=(1, 1)),
        conv("1x1", (2, 5, 4, 3), (6, 5, 1, 1)),
        conv("1x1 stride 2", (2, 4, 7, 6), (3, 4, 1, 1), bias=True, stride=(2, 2)),
        conv("7x7 stride 2 stem", (1, 1, 12, 13), (3, 1, 7, 7), bias=True, stride=(2, 2), pad=(3, 3)),
        conv("kernel 2x4, all attributes uneven", (2, 4, 9, 10), (6, 2, 2, 4), bias=True,
             stride=(3, 2), pad=(2, 1), dilation=(3, 2), groups=2),
        conv("dilation 2", (1, 2, 9, 9), (2, 2, 3, 3), pad=(2, 2), dilation=(2, 2)),
        conv("two groups", (2, 4, 5, 5), (6, 2, 3, 3), pad=(1, 1), groups=2),
        conv("depthwise", (2, 5, 6, 6), (5, 1, 3, 3), bias=True, stride=(2, 2), pad=(1, 1), groups=5),
        conv("depthwise, two outputs a channel", (1, 3, 5, 4), (6, 1, 3, 2), groups=3),
        conv("padding wider than the image", (1, 2, 1, 1), (3, 2, 3, 3), pad=(3, 2)),
        conv("the last rows unused", (1, 2, 8, 6), (2, 2, 3, 3), bias=True, stride=(3, 2)),
        conv("17 channels on a 3x3 map", (3, 17, 3, 3), (5, 17, 3, 3), pad=(1, 1)),
    ]


def maxpool(name, x, k, stride, pad=(0, 0), dilation=(1, 1), ceil=False, ties=False):
    n = int(np.prod(x))
    if ties:
        values = rng.randint(-1, 2, size=x)
    else:
        values = (rng.permutation(n) - n // 2).reshape(x) / 16.0
    inputs = {"x": torch.tensor(values, dtype=torch.float64, requires_grad=True)}
    attributes = {
        "KH": k[0], "KW": k[1], "StrideH": stride[0], "StrideW": stride[1], "PadH": pad[0], "PadW": pad[1],
        "DilationH": dilation[0], "DilationW": dilation[1], "CeilMode": ceil,
    }
    return case(name, "MaxPool2d", attributes, inputs, lambda x: F.max_pool2d(x, k, stride, pad, dilation, ceil))


def avgpool(name, x, k, stride, pad=(0, 0), ceil=False, exclude=False, divisor=0):
    attributes = {
        "KH": k[0], "KW": k[1], "StrideH": stride[0], "StrideW": stride[1], "PadH": pad[0], "PadW": pad[1],
        "CeilMode": ceil, "ExcludePad": exclude, "Divisor": divisor,
    }
    return case(name, "AvgPool2d", attributes, {"x": grid(*x)},
                lambda x: F.avg_pool2d(x, k, stride, pad, ceil, not exclude, divisor or None))


def adaptive(name, x, h, w):
    return case(name, "AdaptiveAvgPool2d", {"H": h, "W": w}, {"x": grid(*x)},
                lambda x: F.adaptive_avg_pool2d(x, (h, w)))


def pools():
    return [
        maxpool("3x3 stride 2 stem", (2, 2, 8, 7), (3, 3), (2, 2), (1, 1)),
        maxpool("2x2, odd size", (2, 3, 5, 7), (2, 2), (2, 2)),
        maxpool("ceil mode", (2, 2, 5, 6), (2, 3), (2, 2), ceil=True),
        maxpool("ceil mode, last window would start in the padding", (1, 2, 4, 2), (2, 2), (2, 3), (1, 1), ceil=True),
        maxpool("dilation", (1, 2, 9, 8), (3, 2), (2, 1), (1, 0), (2, 3)),
        maxpool("dilation, padding and ceil mode", (1, 2, 8, 9), (3, 3), (3, 2), (1, 1), (2, 2), ceil=True),
        maxpool("stride wider than the window", (1, 2, 8, 8), (2, 2), (3, 4)),
        maxpool("ties", (2, 2, 7, 7), (3, 3), (2, 2), (1, 1), ties=True),
        maxpool("ties, overlapping by two", (1, 2, 6, 6), (3, 3), (1, 1), (1, 1), ties=True),
        avgpool("2x2", (2, 3, 6, 4), (2, 2), (2, 2)),
        avgpool("padding counted", (2, 2, 5, 6), (3, 3), (2, 2), (1, 1)),
        avgpool("padding not counted", (2, 2, 5, 6), (3, 3), (2, 2), (1, 1), exclude=True),
        avgpool("ceil mode, padding counted", (1, 2, 6, 5), (3, 2), (2, 2), (1, 1), ceil=True),
        avgpool("ceil mode, padding not counted", (1, 2, 6, 5), (3, 2), (2, 2), (1, 1), ceil=True, exclude=True),
        avgpool("ceil mode without padding", (1, 2, 6, 7), (4, 3), (3, 3), ceil=True),
        avgpool("divisor", (1, 2, 5, 5), (3, 2), (1, 2), (1, 1), ceil=True, exclude=True, divisor=5),
        avgpool("divisor 1", (1, 2, 4, 4), (2, 2), (2, 2), divisor=1),
        adaptive("global", (2, 3, 4, 5), 1, 1),
        adaptive("even", (1, 2, 6, 6), 3, 2),
        adaptive("uneven", (2, 2, 7, 5), 3, 2),
        adaptive("uneven, larger than the image", (1, 2, 5, 3), 7, 4),
        adaptive("the image itself", (1, 2, 3, 4), 3, 4),
    ]


def batchnorm(name, x, gamma, beta, mean, var, eps=1e-5, momentum=0.1, train=True):
    leaf = lambda t: t.detach().clone().requires_grad_()
    inputs = {"x": x, "gamma": leaf(gamma), "beta": leaf(beta), "running_mean": mean, "running_var": var}
    new_mean, new_var = mean.clone(), var.clone()
    compute = lambda x, gamma, beta, mean, var: F.batch_norm(
        x, new_mean, new_var, gamma, beta, train, momentum, eps)
    after = lambda: {"running_mean": new_mean, "running_var": new_var} if train else {}
    attributes = {"Eps": eps, "Momentum": momentum, "Train": train}
    return case(name, "BatchNorm", attributes, inputs, compute, after), new_mean, new_var


def batchnorms():
    cases = []
    for name, shape, eps, momentum in [
        ("images", (2, 3, 4, 5), 1e-5, 0.1),
        ("rows", (6, 4), 1e-5, 0.1),
        ("sequences", (3, 2, 5), 1e-3, 0.25),
        ("two values a channel", (2, 5, 1, 1), 1e-5, 0.1),
    ]:
        gamma, beta = grid(shape[1]), grid(shape[1])
        mean, var = torch.zeros(shape[1], dtype=torch.float64), torch.ones(shape[1], dtype=torch.float64)
        for step in 1, 2:
            c, mean, var = batchnorm(f"{name}, step {step}", grid(*shape), gamma, beta, mean, var, eps, momentum)
            cases.append(c)
        c, _, _ = batchnorm(f"{name}, evaluated", grid(*shape), gamma, beta, mean, var, eps, momentum, train=False)
        cases.append(c)
    return cases


def labels(n, k):
    return torch.tensor(rng.randint(0, k, size=n), dtype=torch.int64)


def cross_entropy(name, n, k, high=32):
    return case(name, "CrossEntropy", {}, {"logits": grid(n, k, low=-high, high=high), "labels": labels(n, k)},
                F.cross_entropy)


def dense():
    linear = lambda x, w, b=None: F.linear(x, w, b)
    return [
        case("no bias", "Linear", {}, {"x": grid(4, 7), "w": grid(5, 7)}, linear),
        case("bias", "Linear", {}, {"x": grid(3, 17), "w": grid(10, 17), "b": grid(10)}, linear),
        case("one row, one output", "Linear", {}, {"x": grid(1, 3), "w": grid(1, 3), "b": grid(1)}, linear),
        cross_entropy("ten classes", 6, 10),
        cross_entropy("one row", 1, 3),
        cross_entropy("one class", 2, 1),
        cross_entropy("large logits", 4, 5, high=16 * 800),
        case("rows", "Softmax", {}, {"x": grid(4, 7)}, lambda x: F.softmax(x, 1)),
        case("zeros among them", "ReLU", {}, {"x": grid(2, 2, 3, 5, low=-2, high=2)}, F.relu),
        case("images", "Sigmoid", {}, {"x": grid(2, 2, 3, 4, high=128, low=-128)}, torch.sigmoid),
        case("images", "Tanh", {}, {"x": grid(2, 2, 3, 4, high=64, low=-64)}, torch.tanh),
        case("images", "Add", {}, {"a": grid(2, 2, 3, 3), "b": grid(2, 2, 3, 3)}, torch.add),
        case("images", "Mul", {}, {"a": grid(2, 2, 3, 3), "b": grid(2, 2, 3, 3)}, torch.mul),
    ]


def losses():
    """Cross entropy with weights of the classes, smoothing and shares in place of labels."""
    def shares(n, k):
        parts = rng.randint(0, 17, size=(n, k))
        return torch.tensor(parts / np.maximum(parts.sum(1, keepdims=True), 1), dtype=torch.float64)

    def weights(k):
        return torch.tensor(rng.randint(1, 64, size=k) / 16, dtype=torch.float64)

    cases = []
    for name, n, k, target, smoothing, weighted in [
        ("smoothing", 6, 10, labels, 0.1, False),
        ("weights", 6, 10, labels, 0.0, True),
        ("weights and smoothing", 5, 4, labels, 0.25, True),
        ("all smoothed", 3, 4, labels, 1.0, True),
        ("one class, smoothing", 2, 1, labels, 0.5, True),
        ("shares", 6, 10, shares, 0.0, False),
        ("shares and smoothing", 4, 3, shares, 0.1, False),
        ("shares, weights and smoothing", 4, 5, shares, 0.1, True),
        ("as many rows as classes", 4, 4, labels, 0.1, True),
    ]:
        inputs = {"logits": grid(n, k), "labels": target(n, k)}
        if weighted:
            inputs["weight"] = weights(k)
        cases.append(case(name, "CrossEntropyLoss", {"LabelSmoothing": smoothing}, inputs,
                          lambda z, y, w=None: F.cross_entropy(z, y, w, label_smoothing=smoothing)))
    return cases


def main():
    folder = os.path.dirname(os.path.abspath(__file__))
    for name, cases in ("conv", convs()), ("pool", pools()), ("batchnorm", batchnorms()), ("dense", dense()), ("loss", losses()):
        with open(os.path.join(folder, name + ".json"), "w") as f:
            rows = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
            f.write('{"torch":%s,"cases":[\n%s\n]}\n' % (json.dumps(torch.__version__), rows))


if __name__ == "__main__":
    main()
