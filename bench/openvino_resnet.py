"""Measures a residual network in OpenVINO on the CPU: images a second of inference in fp32
or bf16, or in int8 with a file of onnx_quantize.py. Needs openvino and numpy; go run
./bench calls it beside Residual's own measurement.

    python3 openvino_resnet.py --precision bf16 --batch 1
    python3 openvino_resnet.py --model resnet50 --size 224 --batch 16 --file resnet50-qdq.onnx --streams 2

Prints one line of JSON. The weights are random. OpenVINO folds the batch norms into the
convolutions when it compiles the network, for exactly this number of images.

One stream computes a batch with all threads (the hint "latency"). With --streams 2 the
threads are shared out and that many requests run at once (the hint "throughput"): each of
a whole batch or, with --split, of its share of one.
"""
import argparse
import json
import os

import numpy as np
import openvino

from onnx_models import MODELS, onnx_file
from timing import measure


def compiled(args, model):
    """The network, and how many threads compute."""
    core = openvino.Core()
    network = core.read_model(args.file) if args.file else core.read_model(model)
    images = args.batch // args.streams if args.split else args.batch
    network.reshape([images, *(side.get_length() for side in list(network.inputs[0].get_partial_shape())[1:])])
    network = core.compile_model(network, "CPU", {
        "PERFORMANCE_HINT": "LATENCY" if args.streams == 1 else "THROUGHPUT",
        "NUM_STREAMS": args.streams, "INFERENCE_NUM_THREADS": args.threads,
        "INFERENCE_PRECISION_HINT": "f32" if args.precision == "fp32" else "bf16",
    })
    return network, network.get_property("INFERENCE_NUM_THREADS")


def requests(network, count):
    """That many requests with random images of their own."""
    random, made = np.random.default_rng(1), []
    for _ in range(count):
        request = network.create_infer_request()
        request.set_input_tensor(openvino.Tensor(random.random(tuple(network.inputs[0].shape), np.float32)))
        made.append(request)
    return made


def parse():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--model", choices=list(MODELS), default="d2l-resnet18")
    args.add_argument("--file", help="a model file in int8; without it the network is written in fp32")
    args.add_argument("--precision", choices=["fp32", "bf16"], default="bf16", help="of what the file does not compute in int8")
    args.add_argument("--batch", type=int, default=64)
    args.add_argument("--size", type=int, default=96, help="height and width of the images")
    args.add_argument("--streams", type=int, default=1, help="requests that run at once")
    args.add_argument("--split", action="store_true", help="a batch is shared out over the streams")
    args.add_argument("--threads", type=int, default=os.cpu_count(), help="of all streams together")
    args.add_argument("--warmup", type=int, default=3, help="steps before the clock starts")
    args.add_argument("--repeat", type=int, default=10, help="measurements")
    args = args.parse_args()
    if args.split and args.batch % args.streams:
        raise SystemExit("openvino_resnet.py: --batch must be a multiple of --streams for --split")
    return args


def main():
    args = parse()
    model, _, parameters = onnx_file(args.model, args.size)
    network, threads = compiled(args, model)
    running = requests(network, args.streams)

    def step():
        if len(running) == 1:
            return running[0].infer()
        for request in running:
            request.start_async()
        for request in running:
            request.wait()

    images = args.batch if args.split else args.batch * args.streams
    print(json.dumps({
        **measure(step, images, args.warmup, args.repeat),
        "mode": "infer", "model": args.model, "precision": "int8" if args.file else args.precision, "size": args.size, "threads": threads,
        "streams": args.streams, "parameters": parameters, "openvino": openvino.__version__,
    }))


if __name__ == "__main__":
    main()
