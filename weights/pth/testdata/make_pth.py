#!/usr/bin/env python3
"""Writes small checkpoints NAME-VERSION.pth beside this script, and in
NAME-VERSION.safetensors what PyTorch makes of each tensor: float32 or int64.

Run it in this folder, once with each version of PyTorch:
    python3 make_pth.py
The committed files are of PyTorch 1.13 (Debian's python3-torch) and 2.15. The
safetensors files are written by hand, so that nothing but PyTorch is needed.
"""
import argparse
import collections
import json
import os
import struct
import zipfile

import torch

VERSION = ".".join(torch.__version__.split(".")[:2])
NEW = not VERSION.startswith("1.")


def write_wanted(path, tensors):
    header, data = {}, b""
    for name, t in tensors.items():
        wide = t.detach().float() if t.is_floating_point() else t.detach().cpu().long() if t.dtype != torch.bool else t.long()
        wide = wide.contiguous()
        flat = wide.view(-1).view(torch.uint8) if wide.numel() else wide.new_zeros(0, dtype=torch.uint8)
        raw = bytes(flat.tolist())
        header[name] = {"dtype": "F32" if t.is_floating_point() else "I64", "shape": list(t.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def save(name, value, wanted, **how):
    path = "%s-%s" % (name, VERSION)
    torch.save(value, path + ".pth", **how)
    write_wanted(path + ".safetensors", wanted)


def swap_bytes(name, out):
    """Rewrites a checkpoint as a big-endian machine would have saved it."""
    source = zipfile.ZipFile("%s-%s.pth" % (name, VERSION))
    state = torch.load("%s-%s.pth" % (name, VERSION))
    widths = [v.element_size() for v in state.values()]
    with zipfile.ZipFile("%s-%s.pth" % (out, VERSION), "w") as z:
        for i in source.infolist():
            b = source.read(i)
            _, _, record = i.filename.partition("/")
            if record == "byteorder":
                b = b"big"
            if record.startswith("data/"):
                w = widths[int(record[5:])]
                b = b"".join(b[k:k + w][::-1] for k in range(0, len(b), w))
            z.writestr(zipfile.ZipInfo(i.filename), b)
    write_wanted("%s-%s.safetensors" % (out, VERSION), state)


torch.manual_seed(1)
special = torch.tensor([0.0, -0.0, float("inf"), float("-inf"), float("nan"), 1e-40, 3.4e38, 1 / 3, -2.5])
types = collections.OrderedDict()
types["f32"] = torch.cat([special, torch.randn(11)]).reshape(4, 5)
types["f16"] = torch.cat([special[:6], torch.tensor([6e-8, 1e-5, 65504.0, 1 / 3])]).half().reshape(2, 5)
types["bf16"] = special.bfloat16()
types["f64"] = torch.tensor([0, -0.0, 1 / 3, 1 + 2**-24, 1 + 3 * 2**-24, 1e-46, 1e300, -1e300], dtype=torch.float64)
for kind in [torch.int8, torch.int16, torch.int32, torch.int64]:
    bounds = torch.iinfo(kind)
    types[str(kind)[6:]] = torch.tensor([[bounds.min, bounds.max, 0], [1, 2, -3]], dtype=kind)
types["uint8"] = torch.tensor([0, 1, 255], dtype=torch.uint8)
types["bool"] = torch.tensor([True, False, True])
if NEW:
    types["uint16"] = torch.tensor([0, 1, 65535], dtype=torch.uint16)
    types["uint32"] = torch.tensor([0, 1, 2**32 - 1], dtype=torch.uint32)
    types["uint64"] = torch.tensor([0, 1, 2**63 - 1], dtype=torch.uint64)
types["scalar"] = torch.tensor(7)
types["float scalar"] = torch.tensor(0.1)
types["empty"] = torch.zeros(0, 3)
types["empty between"] = torch.zeros(2, 0, 3, dtype=torch.int32)
save("types", types, types)

base = torch.arange(60, dtype=torch.float32).reshape(3, 4, 5)
tied = torch.randn(4, 3)
views = collections.OrderedDict()
views["base"] = base
views["slice"] = base[1:, 2]
views["transposed"] = base.transpose(0, 2)
views["step"] = base[:, ::2, 1::3]
views["one column"] = base[:, :, 3]
views["element"] = base[2, 3, 4]
views["channels last"] = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
views["expanded"] = torch.tensor([1.5, 2.5]).reshape(2, 1).expand(2, 3)
views["diagonal"] = torch.arange(16, dtype=torch.int16).reshape(4, 4).diagonal()
views["tied.a"] = tied
views["tied.b"] = tied
views["parameter"] = torch.nn.Parameter(torch.randn(2, 2))
views["frozen"] = torch.nn.Parameter(tied.t(), requires_grad=False)
views["grad"] = torch.randn(3, requires_grad=True)
views["long row"] = torch.arange(600, dtype=torch.int16).reshape(2, 300).t()[:, :1]
marked = torch.nn.Parameter(torch.ones(2))
marked.note = "kept in the state of the object"
views["with an attribute"] = marked
save("views", views, views)
save("plain-dict", {"w": base}, {"w": base}, pickle_protocol=4)
save("protocol-5", {"w": base, "v": tied}, {"w": base, "v": tied}, pickle_protocol=5)
save("legacy", views, views, _use_new_zipfile_serialization=False)
save("legacy-types", {k: v for k, v in types.items() if "uint" not in k or k == "uint8"},
     {k: v for k, v in types.items() if "uint" not in k or k == "uint8"}, _use_new_zipfile_serialization=False)

net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8, 3))
net(torch.randn(4, 1, 4, 4))
state = net.state_dict()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
net(torch.randn(4, 1, 4, 4)).sum().backward()
optimizer.step()
schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 4])
state = collections.OrderedDict((k, v.clone()) for k, v in net.state_dict().items())
state._metadata = net.state_dict()._metadata


def prefixed(prefix):
    return collections.OrderedDict((prefix + k, v) for k, v in state.items())


beside = {"epoch": 3, "best": 0.5, "name": "net", "done": False, "none": None, "big": 2**70, "small": -5,
          "history": [1, 2.5, ("a", {"b": b"bytes"})], "kinds": {1, 2}, "frozen": frozenset([3]),
          "optimizer": optimizer.state_dict(), "lr_scheduler": schedule.state_dict(), "seed": torch.get_rng_state()[:8],
          "args": argparse.Namespace(lr=0.1, device=torch.device("cpu"), size=torch.Size([1, 2]))}
save("state", state, state)
save("wrapped-model", {"model": state, **beside}, state)
save("wrapped-state_dict", {**beside, "state_dict": prefixed("module.")}, state)
save("wrapped-model_state_dict", {"model_state_dict": prefixed("_orig_mod.module."), **beside}, state)
save("wrapped-net", {"net": prefixed("model."), **beside}, state)
other = collections.OrderedDict((k, torch.zeros_like(v)) for k, v in state.items())
average = prefixed("module.")
average["n_averaged"] = torch.tensor(5)
save("wrapped-model_ema", {"model": other, "model_ema": average, **beside}, state)
save("wrapped-state_dict_ema", {"state_dict": other, "state_dict_ema": state, **beside}, state)
torch.save(net, "whole-%s.pth" % VERSION)
torch.save({"w": torch.zeros(2, dtype=torch.complex64), "v": base}, "complex-%s.pth" % VERSION)
if NEW:
    save("order", {k: types[k] for k in ["f32", "f16", "bf16", "f64", "int8", "int16", "int32", "int64", "bool"]},
         {k: types[k] for k in ["f32"]})
    swap_bytes("order", "big-endian")
    os.remove("order-%s.pth" % VERSION)
    os.remove("order-%s.safetensors" % VERSION)
