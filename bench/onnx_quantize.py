"""Writes a network of onnx_models.py in int8, as ONNX Runtime's static quantisation makes
it: activations of 8 bits without sign, weights of 8 bits with sign and one scale per output
channel, ranges by the least and largest values over random images.

    python3 onnx_quantize.py resnet50-qdq.onnx --model resnet50 --size 224

The form "qdq" stores QuantizeLinear and DequantizeLinear nodes around floating-point
operations, which ONNX Runtime and OpenVINO fuse; "qoperator" stores ONNX Runtime's own
integer operations. Needs onnxruntime and onnx. The batch norms are folded first, by ONNX
Runtime's preprocessing.
"""
import argparse
import os
import tempfile

import numpy as np
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process

from onnx_models import MODELS, onnx_file

FORMS = {"qdq": quantization.QuantFormat.QDQ, "qoperator": quantization.QuantFormat.QOperator}


class RandomImages(quantization.CalibrationDataReader):
    """Hands out random images one at a time."""

    def __init__(self, count, channels, size):
        random = np.random.default_rng(0)
        self.images = iter([{"images": random.random((1, channels, size, size), np.float32)} for _ in range(count)])

    def get_next(self):
        return next(self.images, None)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("file", help="where the quantised model goes")
    args.add_argument("--model", choices=list(MODELS), default="d2l-resnet18")
    args.add_argument("--size", type=int, default=96, help="height and width of the images")
    args.add_argument("--form", choices=list(FORMS), default="qdq")
    args.add_argument("--images", type=int, default=16, help="random images for the ranges")
    args = args.parse_args()

    model, channels, _ = onnx_file(args.model, args.size)
    with tempfile.TemporaryDirectory() as folder:
        plain, folded = os.path.join(folder, "plain.onnx"), os.path.join(folder, "folded.onnx")
        with open(plain, "wb") as f:
            f.write(model)
        quant_pre_process(plain, folded, skip_symbolic_shape=True)
        quantization.quantize_static(
            folded, args.file, RandomImages(args.images, channels, args.size), quant_format=FORMS[args.form], per_channel=True,
            activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8)


if __name__ == "__main__":
    main()
