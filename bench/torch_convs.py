"""Times the convolutions of a residual network one by one in PyTorch, in bf16 and
channels last: forward, gradient of the input, gradient of the weight. On an NVIDIA
GPU these are cuDNN's, the fastest of its kernels (cudnn.benchmark); they stand
beside what "residual bench --profile=steps" says of ours.

    python3 torch_convs.py --device cuda --batch 256

Prints a line for each convolution and how many there are of it, in milliseconds, and
the sums over the network. A time is that of a fifth of a second of calls, one after
the other, the least of three; on a GPU they are replayed by the twenty as a CUDA
graph, so that what Python takes to call them does not count.
"""
import argparse
import time

import torch

from torch_models import MODELS
from torch_resnet import prepare


def convolutions(net, images):
    """The distinct convolutions of net with the shape of their input, and how many of each."""
    found = {}

    def note(module, inputs, _):
        key = (tuple(inputs[0].shape), tuple(module.weight.shape), module.stride, module.padding, module.dilation, module.groups)
        found[key] = found.get(key, 0) + 1

    hooks = [m.register_forward_hook(note) for m in net.modules() if isinstance(m, torch.nn.Conv2d)]
    with torch.no_grad():
        net.eval()(images)
    for h in hooks:
        h.remove()
    return found


def clock(call, device):
    """Milliseconds of a call."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    for _ in range(3):
        call()
    wait()
    if device == "cuda":
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for _ in range(20):
                call()
        return clock_calls(graph.replay, wait) / 20
    return clock_calls(call, wait)


def clock_calls(call, wait):
    """Milliseconds of a call, once it is warm."""
    began = time.perf_counter()
    call()
    wait()
    calls = max(1, min(1000, int(0.2 / max(time.perf_counter() - began, 1e-6))))
    least = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        for _ in range(calls):
            call()
        wait()
        least = min(least, (time.perf_counter() - began) / calls)
    return 1e3 * least


def times(key, device):
    """Milliseconds forward, of the input's gradient and of the weight's."""
    shape, weight, stride, padding, dilation, groups = key

    def tensor(size):
        return torch.randn(size, device=device).to(torch.bfloat16).to(memory_format=torch.channels_last)

    x, w = tensor(shape), tensor(weight)
    forward = lambda: torch.nn.functional.conv2d(x, w, None, stride, padding, dilation, groups)
    dy = torch.randn_like(forward())

    def backward(*mask):
        return lambda: torch.ops.aten.convolution_backward(
            dy, x, w, None, stride, padding, dilation, False, (0, 0), groups, (*mask, False))

    with torch.no_grad():
        return clock(forward, device), clock(backward(True, False), device), clock(backward(False, True), device)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    args.add_argument("--model", choices=list(MODELS), default="d2l-resnet18")
    args.add_argument("--batch", type=int, default=64)
    args.add_argument("--size", type=int, default=96, help="height and width of the images")
    args = args.parse_args()
    prepare(args.device, "bf16")
    model, channels, _ = MODELS[args.model]
    found = convolutions(model(), torch.rand(2, channels, args.size, args.size))
    print(f"PyTorch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}, batch {args.batch}, milliseconds")
    print(f"{'input':>22} {'weight':>18} stride times  forward    input   weight")
    total = [0, 0, 0]
    for (shape, *rest), count in found.items():
        key = ((args.batch, *shape[1:]), *rest)
        took = times(key, args.device)
        total = [t + count * s for t, s in zip(total, took)]
        size, weight = "x".join(map(str, key[0])), "x".join(map(str, rest[0]))
        print(f"{size:>22} {weight:>18} {rest[1][0]:>6} {count:>5} " + " ".join(f"{t:8.4f}" for t in took), flush=True)
    print(f"{'all':>22} {'':>18} {'':>6} {sum(found.values()):>5} " + " ".join(f"{t:8.4f}" for t in total))


if __name__ == "__main__":
    main()
