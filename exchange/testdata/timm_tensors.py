"""Writes timm_tensors.json.gz: the names and shapes of the tensors of timm's residual
networks, of the first block of each stage alone, for four classes.

    python timm_tensors.py

Written with timm 1.0.31 and torch 2.15.0.
"""

import gzip
import json
import re

import timm
import torch


nets = {}
for name in timm.list_models("*resne*"):
    with torch.device("meta"):
        net = timm.create_model(name, num_classes=4)
    nets[name] = [
        [k, list(v.shape)]
        for k, v in net.state_dict().items()
        if not k.endswith("num_batches_tracked") and not re.search(r"(?:layer\d|blocks|body)\.[1-9]\d*\.", k)
    ]
    assert nets[name], name
text = json.dumps({"timm": timm.__version__, "nets": nets}, separators=(",", ":"))
with open("timm_tensors.json.gz", "wb") as f, gzip.GzipFile(fileobj=f, mode="wb", mtime=0, filename="") as z:
    z.write(text.encode())
print(len(nets), "nets,", sum(map(len, nets.values())), "tensors,", len(text), "bytes of text")
