"""Writes timm_layer_decay.json beside this script: by which factor
timm.optim.optim_factory.param_groups_layer_decay scales the rate of each parameter of
its ResNets. Run: python3 timm_layer_decay.py (made with timm 0.6.13).
"""
import json
import os

import timm
from timm.optim.optim_factory import param_groups_layer_decay

scales = {}
for name in ["resnet18", "resnet50"]:
    model = timm.create_model(name)
    names = {id(p): n for n, p in model.named_parameters()}
    groups = param_groups_layer_decay(model, layer_decay=0.8)
    scales[name] = {names[id(p)]: g["lr_scale"] for g in groups for p in g["params"]}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "timm_layer_decay.json"), "w") as f:
    json.dump({"decay": 0.8, "scales": scales}, f, indent=0)
    f.write("\n")
