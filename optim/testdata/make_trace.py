"""Writes trace.json beside this script: parameters, gradients and PyTorch's
parameters and momentum after each step of torch.optim.SGD, and the rates of its
schedulers. Run: python3 make_trace.py (made with PyTorch 1.13).
"""
import json
import os

import torch

torch.manual_seed(1)
configs = [
    {},
    {"weight_decay": 0.1},
    {"momentum": 0.9},
    {"momentum": 0.9, "dampening": 0.25, "weight_decay": 0.01},
    {"momentum": 0.9, "nesterov": True},
    {"momentum": 0.5, "nesterov": True, "weight_decay": 0.1},
]
traces = []
for config in configs:
    p = torch.nn.Parameter(torch.randn(5))
    start = p.tolist()
    rates = [0.05, 0.1, 0.1, 0.025]
    sgd = torch.optim.SGD([p], lr=rates[0], **config)
    steps = []
    for rate in rates:
        sgd.param_groups[0]["lr"] = rate
        p.grad = torch.randn(5)
        sgd.step()
        buf = sgd.state[p].get("momentum_buffer")
        steps.append({"lr": rate, "grad": p.grad.tolist(), "param": p.tolist(), "buf": None if buf is None else buf.tolist()})
    traces.append({"config": config, "start": start, "steps": steps})


def rates_of(make, total):
    sgd = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.05)
    schedule, rates = make(sgd), []
    for _ in range(total):
        rates.append(sgd.param_groups[0]["lr"])
        sgd.step()
        schedule.step()
    return rates


by = torch.optim.lr_scheduler
rates = {
    "cosine": rates_of(lambda o: by.CosineAnnealingLR(o, 12), 12),
    "cosine,min=0.01": rates_of(lambda o: by.CosineAnnealingLR(o, 12, eta_min=0.01), 12),
    "step": rates_of(lambda o: by.MultiStepLR(o, [6, 9]), 12),
    "step,gamma=0.5,at=0.25": rates_of(lambda o: by.MultiStepLR(o, [3], gamma=0.5), 12),
    "constant": rates_of(lambda o: by.ConstantLR(o, factor=1.0), 12),
}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "trace.json"), "w") as f:
    json.dump({"sgd": traces, "rates": rates}, f, indent=1)
    f.write("\n")
