"""How long PyTorch takes to make a resnet50 of a file of weights: torchvision's net is
built, torch.load reads the file, and the net takes the state dict. Prints a line of
JSON as "residual bench --mode weights" does.

    python3 torch_load.py resnet50.pth --write resnet50.safetensors
    python3 torch_load.py resnet50.pth
    python3 torch_load.py resnet50.pth --image dog.jpg

The first draws the weights from a seed and leaves them in both files. The last reads
them once, prints the most probable classes of an image and ends: what a program that
predicts takes from its start.
"""
import argparse
import json
import statistics
import time

import torch
import torchvision


def write(pth, path):
    torch.manual_seed(0)
    state = torchvision.models.resnet50().state_dict()
    torch.save(state, pth)
    state = {name: t for name, t in state.items() if t.dtype == torch.float32}
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


def load(path):
    net = torchvision.models.resnet50()
    net.load_state_dict(torch.load(path))
    return net


def predict(path, image):
    from PIL import Image
    from torchvision import transforms
    prepare = transforms.Compose([
        transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(),
        transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])
    net = load(path).eval()
    with torch.inference_mode():
        p = net(prepare(Image.open(image).convert("RGB"))[None]).softmax(1)[0]
    best = p.topk(5)
    print(json.dumps([{"class": int(i), "probability": float(v)} for v, i in zip(best.values, best.indices)]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("weights", help="file of torch.save")
    parser.add_argument("--write", metavar="SAFETENSORS", help="draw the weights and leave them in both files")
    parser.add_argument("--image", "--picture", help="an image to classify")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=10)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.write:
        return write(args.weights, args.write)
    if args.image:
        return predict(args.weights, args.image)
    for _ in range(args.warmup):
        load(args.weights)
    took = []
    for _ in range(args.repeat):
        began = time.perf_counter()
        load(args.weights)
        took.append(1e3 * (time.perf_counter() - began))
    print(json.dumps({
        "load_milliseconds": statistics.median(took), "load_milliseconds_min": min(took), "load_milliseconds_max": max(took),
        "threads": torch.get_num_threads(), "repeat": args.repeat, "torch": torch.__version__, "torchvision": torchvision.__version__,
    }))


if __name__ == "__main__":
    main()
