"""Measures a residual network in ONNX Runtime on the CPU: images a second of inference
in fp32, or in int8 with a file of onnx_quantize.py. Needs onnxruntime and numpy; go run
./bench calls it beside Residual's own measurement.

    python3 onnx_resnet.py --batch 1
    python3 onnx_resnet.py --model resnet50 --size 224 --batch 16 --file resnet50-qdq.onnx

Prints one line of JSON. The weights are random. ONNX Runtime folds the batch norms into
the convolutions when it opens the file.
"""
import argparse
import json
import os

import numpy as np
import onnxruntime

from onnx_models import MODELS, onnx_file
from timing import measure


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--model", choices=list(MODELS), default="d2l-resnet18")
    args.add_argument("--file", help="a model file in int8; without it the network is written in fp32")
    args.add_argument("--batch", type=int, default=64)
    args.add_argument("--size", type=int, default=96, help="height and width of the images")
    args.add_argument("--threads", type=int, default=os.cpu_count(), help="of one operation (intra_op_num_threads)")
    args.add_argument("--warmup", type=int, default=3, help="steps before the clock starts")
    args.add_argument("--repeat", type=int, default=10, help="measurements")
    args = args.parse_args()

    model, channels, parameters = onnx_file(args.model, args.size)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = onnxruntime.InferenceSession(args.file or model, options, providers=["CPUExecutionProvider"])
    images = np.random.default_rng(1).random((args.batch, channels, args.size, args.size), np.float32)

    print(json.dumps({
        **measure(lambda: session.run(None, {"images": images}), args.batch, args.warmup, args.repeat),
        "mode": "infer", "model": args.model, "precision": "int8" if args.file else "fp32", "size": args.size, "threads": args.threads,
        "parameters": parameters, "onnxruntime": onnxruntime.__version__,
    }))


if __name__ == "__main__":
    main()
