"""Writes node_operations.json beside this script: outputs and gradients in float64 of the operations that
methods of *graph.Node and modules of package nn add, from PyTorch. Needs torch and numpy (made with
torch 2.15, numpy 2.4):

    python3 torch_node_operations.py

The format is that of torch_ops.py. Here op is the name of the operation in torch_node_operations_test.go, and
attributes are the arguments that it takes besides its inputs. Inputs lie on a grid, so that kinks, ties
and boundaries are hit.
"""

import json
import os

import numpy as np
import torch
import torch.nn.functional as F

torch.set_num_threads(1)
rng = np.random.RandomState(20)


def grid(*shape, low=-64, high=64, step=16.0):
    values = rng.randint(low, high + 1, size=shape) / step
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def positive(*shape):
    return grid(*shape, low=4, high=64)


def index(*shape, below):
    return torch.tensor(rng.randint(0, below, size=shape), dtype=torch.int64)


def number(v):
    return int(v) if v == int(v) else float(v)


def dump(name, t):
    values = [number(v) for v in t.detach().to(torch.float64).reshape(-1).tolist()]
    return {"name": name, "shape": list(t.shape), "values": values}


def case(op, name, inputs, compute, **attributes):
    y = compute(*inputs).to(torch.float64)
    dy = grid(*y.shape).detach()
    if y.requires_grad:
        y.backward(dy)
    return {
        "name": name, "op": op, "attributes": attributes,
        "inputs": [dump("in%d" % i, x) for i, x in enumerate(inputs)],
        "outputs": [dump("y", y)],
        "dy": dump("dy", dy),
        "gradients": [None if x.grad is None else dump("d%d" % i, x.grad) for i, x in enumerate(inputs)],
    }


def broadcasts():
    cases = []
    for op, f in [("Add", torch.add), ("Sub", torch.sub), ("Mul", torch.mul), ("Div", torch.div)]:
        for name, a, b in [("one shape", (2, 3), (2, 3)), ("a row", (2, 3, 4), (4,)), ("channels", (2, 3, 2, 2), (3, 1, 1)),
                           ("both", (2, 1, 4), (1, 3, 1)), ("a number", (3, 2), ())]:
            cases.append(case(op, name, [grid(*a), positive(*b)], f))
    cases.append(case("Maximum", "ties", [grid(4, 5, low=-2, high=2, step=1), grid(5, low=-2, high=2, step=1)], torch.maximum))
    cases.append(case("Minimum", "ties", [grid(4, 5, low=-2, high=2, step=1), grid(4, 1, low=-2, high=2, step=1)], torch.minimum))
    for op, f in [("Less", torch.less), ("LessOrEqual", torch.less_equal), ("Greater", torch.greater),
                  ("GreaterOrEqual", torch.greater_equal), ("Equal", torch.eq), ("NotEqual", torch.not_equal)]:
        cases.append(case(op, "ties", [grid(3, 5, low=-2, high=2, step=1), grid(5, low=-2, high=2, step=1)], f))
    cases.append(case("WhereLess", "a row", [grid(3, 4), grid(4)], lambda a, b: torch.where(a < b, a * 2, b)))
    return cases


def functions():
    cases = []
    for op, f, x in [
        ("Exp", torch.exp, grid(3, 5)), ("Log", torch.log, positive(3, 5)), ("Sqrt", torch.sqrt, positive(3, 5)),
        ("Abs", torch.abs, grid(3, 5, low=-2, high=2, step=1)), ("Neg", torch.neg, grid(3, 5)),
        ("Sigmoid", torch.sigmoid, grid(3, 5)), ("Tanh", torch.tanh, grid(3, 5)), ("Softplus", F.softplus, grid(3, 5)),
        ("GELU", F.gelu, grid(4, 6)), ("GELUTanh", lambda x: F.gelu(x, approximate="tanh"), grid(4, 6)), ("SiLU", F.silu, grid(4, 6)),
        ("Hardswish", F.hardswish, grid(6, 8, low=-4, high=4, step=1)), ("Hardsigmoid", F.hardsigmoid, grid(6, 8, low=-4, high=4, step=1)),
        ("ReLU6", F.relu6, grid(6, 8, low=-2, high=8, step=1)), ("ReLU", F.relu, grid(3, 4, low=-2, high=2, step=1)),
    ]:
        cases.append(case(op, "grid", [x], f))
    cases.append(case("Pow", "3", [grid(3, 5)], lambda x: x.pow(3), Exponent=3))
    cases.append(case("Pow", "2.5", [positive(3, 5)], lambda x: x.pow(2.5), Exponent=2.5))
    cases.append(case("Pow", "-1", [positive(3, 5)], lambda x: x.pow(-1), Exponent=-1))
    cases.append(case("Clamp", "at its bounds", [grid(5, 6, low=-3, high=3, step=1)], lambda x: x.clamp(-1, 2), Low=-1, High=2))
    cases.append(case("LeakyReLU", "at 0", [grid(4, 5, low=-2, high=2, step=1)], lambda x: F.leaky_relu(x, 0.1), Slope=0.1))
    return cases


def reductions():
    cases = []
    ties = lambda *shape: grid(*shape, low=-2, high=2, step=1)
    for axes in [(0,), (1, 2), (-1,), (0, 2, 3)]:
        for op, f, x in [("Sum", torch.sum, grid), ("Mean", torch.mean, grid), ("Max", torch.amax, ties), ("Min", torch.amin, ties)]:
            cases.append(case(op, str(axes), [x(2, 3, 4, 2)], lambda x: f(x, dim=axes, keepdim=True), Axes=axes))
    for axis in 0, 1, -1:
        cases.append(case("LogSoftmax", "axis %d" % axis, [grid(2, 3, 4)], lambda x: F.log_softmax(x, axis), Axis=axis))
        cases.append(case("Softmax", "axis %d" % axis, [grid(2, 3, 4)], lambda x: F.softmax(x, axis), Axis=axis))
    return cases


def moves():
    return [
        case("Gather", "rows", [grid(3, 4)], lambda x: x.index_select(0, torch.tensor([2, 0, 2])), Axis=0, Indices=[2, 0, 2]),
        case("GatherElements", "labels", [grid(4, 5), index(4, 1, below=5)], lambda x, i: torch.gather(x, 1, i), Axis=1),
        case("GatherElements", "several of one", [grid(2, 3, 4), index(2, 5, 4, below=3)], lambda x, i: torch.gather(x, 1, i), Axis=-2),
        case("Slice", "columns", [grid(3, 5)], lambda x: x[:, 1:4], Axis=1, From=1, To=4),
        case("Pad", "with 2", [grid(2, 3)], lambda x: F.pad(x, (1, 2), value=2.0), Axis=1, Before=1, After=2, Value=2),
        case("Join", "three", [grid(2, 3), grid(2, 1), grid(2, 2)], lambda *x: torch.cat(x, 1), Axis=1),
        case("Broadcast", "new and old dimensions", [grid(3, 1)], lambda x: x.expand(2, 3, 4), Shape=[2, 3, 4]),
        case("Reshape", "to a matrix", [grid(2, 3, 4)], lambda x: x.reshape(6, 4), Shape=[6, 4]),
        case("Transpose", "of four", [grid(2, 3, 4, 5)], lambda x: x.permute(2, 0, 3, 1), Axes=[2, 0, 3, 1]),
    ]


def matrices():
    cases = []
    for a, b in [((3, 4), (4, 5)), ((2, 3, 4), (2, 4, 5)), ((2, 3, 4), (4, 5)), ((3, 4), (2, 4, 5)), ((2, 1, 3, 4), (3, 4, 2)),
                 ((4,), (4, 3)), ((2, 3, 4), (4,)), ((4,), (4,)), ((4,), (2, 4, 3))]:
        cases.append(case("MatMul", "%s by %s" % (a, b), [grid(*a), grid(*b)], torch.matmul))
    return cases


def norms():
    cases = []
    for shape, dims in [((4, 6), 1), ((2, 3, 5), 1), ((2, 3, 4, 2), 3)]:
        w = shape[len(shape) - dims:]
        cases.append(case("LayerNorm", str(shape), [grid(*shape), grid(*w), grid(*w)],
                          lambda x, w, b: F.layer_norm(x, w.shape, w, b, 1e-3), Eps=1e-3))
    for shape, groups in [((2, 6, 3, 2), 3), ((2, 4, 5), 2), ((3, 4, 2, 2), 1), ((2, 3, 3, 2), 3), ((3, 8), 2)]:
        cases.append(case("GroupNorm", "%s in %d groups" % (shape, groups), [grid(*shape), grid(shape[1]), grid(shape[1])],
                          lambda x, w, b: F.group_norm(x, groups, w, b, 1e-3), Groups=groups, Eps=1e-3))
    return cases


def upsamplings():
    cases = []
    for shape, size in [((2, 2, 3, 4), (6, 8)), ((1, 2, 5, 3), (7, 7)), ((1, 1, 6, 7), (4, 3)), ((1, 2, 1, 2), (3, 1)), ((1, 1, 4, 10), (6, 14))]:
        name = "%s to %s" % (shape[2:], size)
        cases.append(case("Upsample", "nearest, " + name, [grid(*shape)], lambda x: F.interpolate(x, size, mode="nearest"), H=size[0], W=size[1]))
        for corners in False, True:
            cases.append(case("Upsample", "bilinear, %s, align_corners=%s" % (name, corners), [grid(*shape)],
                              lambda x: F.interpolate(x, size, mode="bilinear", align_corners=corners),
                              H=size[0], W=size[1], Bilinear=True, AlignCorners=corners))
    for factor in 2.0, 1.5, 2.7, 0.6:
        h, w = int(5 * factor), int(7 * factor)
        for bilinear in False, True:
            mode = "bilinear" if bilinear else "nearest"
            cases.append(case("Upsample", "%s, factor %g" % (mode, factor), [grid(1, 2, 5, 7)],
                              lambda x: F.interpolate(x, scale_factor=factor, mode=mode), H=h, W=w, Bilinear=bilinear, ScaleH=factor, ScaleW=factor))
    return cases


def main():
    cases = broadcasts() + functions() + reductions() + moves() + matrices() + norms() + upsamplings()
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "node_operations.json"), "w") as f:
        rows = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
        f.write('{"torch":%s,"cases":[\n%s\n]}\n' % (json.dumps(torch.__version__), rows))


if __name__ == "__main__":
    main()
