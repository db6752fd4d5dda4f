"""Times how PyTorch makes a resnet50 of weights on disk: torchvision's net is built,
the file is read, and the net takes the state dict. The weights are drawn from a seed
and left as DIR/resnet50.pth, and as DIR/resnet50.safetensors, which
exchange.BenchmarkLoadResNet50 reads:

    python3 torch_load.py DIR
    RESIDUAL_RESNET50=DIR/resnet50.safetensors go test -run - -bench LoadResNet50 ./exchange

Without torchvision the net's building is left out, and only the reading is timed.
"""
import json
import os
import statistics
import sys
import time

import torch

try:
    import torchvision
except ImportError:
    torchvision = None

ROUNDS = 9


def write_safetensors(path, state):
    header, offset = {}, 0
    for name, t in state.items():
        size = t.numel() * 4
        header[name] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for t in state.values():
            f.write(t.contiguous().numpy().tobytes())


def build(path):
    net = torchvision.models.resnet50()
    net.load_state_dict(torch.load(path))
    return net


def timed(what, work):
    work()
    seconds = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
    print(f"{what}: {1000 * statistics.median(seconds):.1f} ms, from {1000 * min(seconds):.1f} to {1000 * max(seconds):.1f}")


def main(folder):
    pth = os.path.join(folder, "resnet50.pth")
    if torchvision:
        torch.manual_seed(0)
        state = torchvision.models.resnet50().state_dict()
        torch.save(state, pth)
        floats = {name: t for name, t in state.items() if t.dtype == torch.float32}
        write_safetensors(os.path.join(folder, "resnet50.safetensors"), floats)
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, the middle of {ROUNDS}")
    if torchvision:
        timed("build resnet50, torch.load, load_state_dict", lambda: build(pth))
        timed("build resnet50", torchvision.models.resnet50)
    timed("torch.load", lambda: torch.load(pth))


if __name__ == "__main__":
    main(*sys.argv[1:])
