"""Writes trace.json beside this script: parameters, gradients and PyTorch's
parameters and momentum after each step of torch.optim.SGD, and the rates of its
schedulers; and the parameters that torch.optim.AdamW, timm.optim.Lars and SGD with
clip_grad_norm_ have on the way through 100 steps whose gradients come from a formula.
Run: python3 make_trace.py (made with PyTorch 1.13 and timm 0.6.13).
"""
import json
import os

import torch
from timm.optim.lars import Lars

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


def gradient(sizes, step):
    """Repeated by the tests: sixteenths from -12 to 12, other ones for every parameter."""
    return [torch.tensor([((step * 37 + i * 23 + k * 11 + step * i * 5) % 385 - 192) / 16 for i in range(n)]) for k, n in enumerate(sizes)]


def run_of(name, make, config, clip=0.0):
    sizes, shots = [7, 3], {}
    params = [torch.nn.Parameter(torch.tensor([(i * 5 % 7 - 3) / 4 + k for i in range(n)])) for k, n in enumerate(sizes)]
    optimizer = make(params, lr=0.01, **config)
    for step in range(1, 101):
        optimizer.param_groups[0]["lr"] = 0.01 if step <= 50 else 0.0025
        for p, g in zip(params, gradient(sizes, step)):
            p.grad = g
        if clip:
            torch.nn.utils.clip_grad_norm_(params, clip)
        optimizer.step()
        if step in (1, 2, 10, 51, 100):
            shots[step] = [p.tolist() for p in params]
    return {"optimizer": name, "config": config, "clip": clip, "params": shots}


lars = lambda params, **config: Lars(params, always_adapt=True, **config)
runs = [
    run_of("adamw", torch.optim.AdamW, {"weight_decay": 0.0}),
    run_of("adamw", torch.optim.AdamW, {"weight_decay": 0.01}),
    run_of("adamw", torch.optim.AdamW, {"betas": [0.8, 0.95], "eps": 1e-3, "weight_decay": 0.3}),
    run_of("adamw", torch.optim.AdamW, {"weight_decay": 0.01}, clip=2.0),
    run_of("lars", lars, {"weight_decay": 0.0}),
    run_of("lars", lars, {"momentum": 0.9, "weight_decay": 0.01}),
    run_of("lars", lars, {"momentum": 0.9, "weight_decay": 0.1, "nesterov": True, "trust_coeff": 0.02, "eps": 1e-3}),
    run_of("sgd", torch.optim.SGD, {"momentum": 0.9}, clip=1.0),
    run_of("sgd", torch.optim.SGD, {}, clip=15.0),
    run_of("sgd", torch.optim.SGD, {}),
    run_of("sgd", torch.optim.SGD, {"weight_decay": 0.1}),
    run_of("sgd", torch.optim.SGD, {"momentum": 0.9, "weight_decay": 0.01}),
    run_of("sgd", torch.optim.SGD, {"momentum": 0.9, "weight_decay": 0.01, "nesterov": True}),
    run_of("sgd", torch.optim.SGD, {"momentum": 0.9, "dampening": 0.3}),
]

by = torch.optim.lr_scheduler
rates = {
    "cosine": rates_of(lambda o: by.CosineAnnealingLR(o, 12), 12),
    "cosine,min=0.01": rates_of(lambda o: by.CosineAnnealingLR(o, 12, eta_min=0.01), 12),
    "step": rates_of(lambda o: by.MultiStepLR(o, [6, 9]), 12),
    "step,gamma=0.5,at=0.25": rates_of(lambda o: by.MultiStepLR(o, [3], gamma=0.5), 12),
    "constant": rates_of(lambda o: by.ConstantLR(o, factor=1.0), 12),
    "onecycle": rates_of(lambda o: by.OneCycleLR(o, 0.05, 20), 20),
    "onecycle,linear=1": rates_of(lambda o: by.OneCycleLR(o, 0.05, 20, anneal_strategy="linear"), 20),
    "onecycle,warmup=0.15,div=10,finaldiv=100": rates_of(lambda o: by.OneCycleLR(o, 0.05, 20, pct_start=0.15, div_factor=10, final_div_factor=100), 20),
    "onecycle,warmup=0.37,linear=1": rates_of(lambda o: by.OneCycleLR(o, 0.05, 33, pct_start=0.37, anneal_strategy="linear"), 33),
    "onecycle,warmup=0.01": rates_of(lambda o: by.OneCycleLR(o, 0.05, 15, pct_start=0.01), 15),
}
hundred = {
    "constant": rates_of(lambda o: by.ConstantLR(o, factor=1.0), 100),
    "cosine": rates_of(lambda o: by.CosineAnnealingLR(o, 100), 100),
    "cosine,min=0.001": rates_of(lambda o: by.CosineAnnealingLR(o, 100, eta_min=0.001), 100),
    "step": rates_of(lambda o: by.MultiStepLR(o, [50, 75]), 100),
    "step,gamma=0.3,at=0.2,at=0.6,at=0.9": rates_of(lambda o: by.MultiStepLR(o, [20, 60, 90], gamma=0.3), 100),
    "onecycle": rates_of(lambda o: by.OneCycleLR(o, 0.05, 100), 100),
    "onecycle,warmup=0.1,linear=1": rates_of(lambda o: by.OneCycleLR(o, 0.05, 100, pct_start=0.1, anneal_strategy="linear"), 100),
}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "trace.json"), "w") as f:
    json.dump({"sgd": traces, "rates": rates, "hundred": hundred, "runs": runs}, f, indent=1)
    f.write("\n")
