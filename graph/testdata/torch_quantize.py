"""Writes quantize.json beside this script: outputs and gradients of PyTorch's fake quantisation. Needs torch and
numpy (made with torch 2.15, numpy 2.4):

    python3 torch_quantize.py

The format is that of torch_ops.py; attributes are the fields of graph.FakeQuantize. PyTorch multiplies by 1/scale in
float32, so scales are powers of two wherever a value may lie halfway between two integers. All scales have 12 bits, so
that outputs are exact.
"""

import json
import os

import numpy as np
import torch

torch.set_num_threads(1)
rng = np.random.RandomState(21)


def dump(name, t):
    values = [int(v) if v == int(v) else float(v) for v in t.detach().to(torch.float64).reshape(-1).tolist()]
    return {"name": name, "shape": list(t.shape), "values": values}


def short(scale):
    mantissa, exponent = np.frexp(scale)
    return float(np.ldexp(np.round(mantissa * 4096), exponent - 12))


def case(name, x, scale, zero, low, high, axis=0):
    scale = [short(s) for s in scale]
    x = torch.tensor(x, dtype=torch.float32, requires_grad=True)
    if len(scale) == 1:
        y = torch.fake_quantize_per_tensor_affine(x, scale[0], zero, low, high)
    else:
        zeros = torch.full((len(scale),), zero, dtype=torch.int32)
        y = torch.fake_quantize_per_channel_affine(x, torch.tensor(scale, dtype=torch.float32), zeros, axis, low, high)
    dy = torch.tensor(rng.randint(-64, 65, size=y.shape) / 16.0, dtype=torch.float32)
    y.backward(dy)
    return {
        "name": name, "op": "FakeQuantize",
        "attributes": {"Scale": scale, "Axis": axis, "Zero": zero, "Low": low, "High": high},
        "inputs": [dump("x", x)], "outputs": [dump("y", y)], "dy": dump("dy", dy), "gradients": [dump("dx", x.grad)],
    }


def halves(*shape):
    return rng.randint(-12, 13, size=shape) / 8.0


def main():
    cases = [
        case("uint8", rng.randn(3, 4, 5) * 3, [0.0173], 0, 0, 255),
        case("uint8 with zero point", rng.randn(2, 3, 4, 5) * 3, [0.0231], 121, 0, 255),
        case("halves to even", halves(6, 9), [0.25], 3, 0, 255),
        case("limits", halves(6, 9), [0.25], 2, 0, 7),
        case("int8 per tensor", rng.randn(5, 7), [0.0124], 0, -127, 127),
        case("int8 per channel", rng.randn(3, 2, 3, 3), [0.011, 0.0173, 0.004], 0, -127, 127),
        case("channels in dimension 1", rng.randn(2, 3, 4), [0.011, 0.0173, 0.004], 4, -128, 127, 1),
        case("halves per channel", halves(4, 8), [0.25, 0.5, 0.125, 1.0], 0, -3, 3),
    ]
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "quantize.json"), "w") as f:
        rows = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
        f.write('{"torch":%s,"cases":[\n%s\n]}\n' % (json.dumps(torch.__version__), rows))


if __name__ == "__main__":
    main()
