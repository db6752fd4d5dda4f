"""Measures a residual network in PyTorch: images a second and peak memory of
training or inference on the CPU or an NVIDIA GPU, in fp32 or with bf16 autocast.
Runs on PyTorch 1.13 and later; go run ./bench calls it beside Residual's own
measurement.

    python3 torch_resnet.py --mode train --batch 64 --precision bf16
    python3 torch_resnet.py --mode infer --model resnet50 --size 224 --batch 32
    python3 torch_resnet.py --device cuda --batch 256 --precision bf16 --capture

Prints one line of JSON. A training step is forward, mean cross-entropy,
backward and the SGD update; an inference is the forward pass of a network in
eval mode. Both work on a fixed random batch, which is on the device, and read the
loss or the logits of every step, which waits for a GPU; timing.py says how they are
timed. On a GPU cuDNN chooses the fastest of its kernels (cudnn.benchmark), and SGD
is the fused one.
"""
import argparse
import json
import sys

import torch
from torch.nn import functional as F

from timing import measure
from torch_models import MODELS, xavier


def autocast(precision, device="cpu", **more):
    """Where another precision is asked for, autocast is there and off."""
    return torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16", **more)


def prepare(device, precision):
    """Sets what is one for the whole process."""
    if device != "cuda":
        return
    if not torch.cuda.is_available():
        sys.exit(f"PyTorch {torch.__version__} finds no GPU: use --device cpu, or a build for CUDA and a driver")
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision != "fp32"


def compiled(net, mode="default"):
    """The network through torch.compile, for one shape of images at a time."""
    if not hasattr(torch, "compile"):
        sys.exit(f"PyTorch {torch.__version__} has no torch.compile")
    return torch.compile(net, dynamic=False, mode=mode)


def sgd(net, lr, device):
    """Fused on a GPU, which PyTorch's CPU has not in all versions."""
    return torch.optim.SGD(net.parameters(), lr=lr, **({"fused": True} if device == "cuda" else {}))


def captured(body, before):
    """What body does on a GPU, as one CUDA graph; returns a function that replays it and
    gives body's result. before is called once ahead of the capture."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            before()
            body()
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.synchronize()
    before()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = body()

    def replay():
        graph.replay()
        return result

    return replay


def train_step(net, images, labels, args):
    optimizer = sgd(net, 0.05, args.device)
    net.train()

    def clear():
        optimizer.zero_grad(set_to_none=True)

    def body():
        # A cache of cast weights does not survive a capture, and each is used once.
        with autocast(args.precision, args.device, cache_enabled=not args.capture):
            loss = F.cross_entropy(net(images), labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    if args.capture:
        replay = captured(body, clear)
        return lambda: replay().item()

    def step():
        clear()
        return body().item()

    return step


def frozen(net, images, precision, device):
    """The network traced and frozen, its batch norms folded; the trace holds the casts of autocast."""
    with torch.no_grad(), autocast(precision, device, cache_enabled=False):
        net = torch.jit.freeze(torch.jit.trace(net, images))
    return torch.jit.optimize_for_inference(net)


def infer_step(net, images, args):
    net.eval()
    precision = "fp32" if args.layout == "frozen" else args.precision  # a trace has its casts

    def body():
        with torch.inference_mode(), autocast(precision, args.device, cache_enabled=not args.capture):
            return net(images)

    if args.capture:
        body = captured(body, lambda: None)
    return lambda: body().cpu()


def about(device):
    """What is to be known of a GPU."""
    if device != "cuda":
        return {}
    return {"gpu": torch.cuda.get_device_name(), "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(),
            "peak_device_bytes": torch.cuda.max_memory_allocated()}


def parse():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--mode", choices=["train", "infer"], default="train")
    args.add_argument("--model", choices=list(MODELS), default="d2l-resnet18")
    args.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    args.add_argument("--precision", choices=["fp32", "tf32", "bf16", "bf16-weights"], default="fp32",
                      help="bf16 is autocast's: weights stay fp32; bf16-weights has them in bf16 too (inference only); "
                           "tf32 lets a GPU round operands of products")
    args.add_argument("--layout", choices=["channels_last", "contiguous", "frozen"], default="channels_last",
                      help="memory format of weights and images; frozen is channels_last with the network traced, "
                           "frozen and its batch norms folded (inference only)")
    args.add_argument("--compile", action="store_true", help="through torch.compile, which PyTorch 2 has")
    args.add_argument("--compile-mode", default="default", choices=["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"],
                      help="of torch.compile: reduce-overhead and max-autotune use CUDA graphs")
    args.add_argument("--capture", action="store_true", help="the whole step as one CUDA graph (GPUs alone)")
    args.add_argument("--batch", type=int, default=64)
    args.add_argument("--size", type=int, default=96, help="height and width of the images")
    args.add_argument("--threads", type=int, default=0, help="0 leaves PyTorch's own choice")
    args.add_argument("--warmup", type=int, default=3, help="steps before the clock starts")
    args.add_argument("--repeat", type=int, default=10, help="measurements")
    args = args.parse_args()
    if args.layout == "frozen" and (args.mode == "train" or args.compile):
        sys.exit("torch_resnet.py: --layout frozen is for --mode infer without --compile")
    if min(args.batch, args.size, args.repeat) < 1:
        sys.exit("torch_resnet.py: --batch, --size and --repeat must be at least 1")
    if args.device == "cpu" and (args.capture or args.precision == "tf32"):
        sys.exit("torch_resnet.py: --capture and --precision tf32 are for --device cuda")
    if args.mode == "train" and args.precision == "bf16-weights":
        sys.exit("torch_resnet.py: --precision bf16-weights is for --mode infer")
    return args


def main():
    args = parse()
    if args.threads > 0:
        torch.set_num_threads(args.threads)

    prepare(args.device, args.precision)
    torch.manual_seed(0)
    model, channels, classes = MODELS[args.model]
    net = model()
    net.apply(xavier)
    images = torch.rand(args.batch, channels, args.size, args.size).to(args.device)
    labels = torch.randint(0, classes, (args.batch,)).to(args.device)
    parameters = sum(p.numel() for p in net.parameters())
    net = net.to(args.device)
    if args.layout != "contiguous":
        net = net.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    if args.precision == "bf16-weights":
        net, images = net.bfloat16(), images.bfloat16()
    if args.mode == "infer":
        net.eval()
    if args.layout == "frozen":
        net = frozen(net, images, args.precision, args.device)
    elif args.compile:
        net = compiled(net, args.compile_mode)
    if args.mode == "train":
        step = train_step(net, images, labels, args)
    else:
        step = infer_step(net, images, args)

    figures = measure(step, args.batch, args.warmup, args.repeat)
    print(json.dumps({
        **figures, **about(args.device),
        "mode": args.mode, "model": args.model, "parameters": parameters, "layout": args.layout, "precision": args.precision, "compile": args.compile,
        "compile_mode": args.compile_mode, "capture": args.capture, "size": args.size, "threads": torch.get_num_threads(), "torch": torch.__version__,
    }))


if __name__ == "__main__":
    main()
