"""Writes fastai_suggest.json beside this script: curves of a range test, made by formulas,
and the rates that the rules valley, steep and minimum of fastai find on them. The rules
are taken out of fastai/callback/schedule.py by themselves, as the module wants much else.
Run: python3 fastai_suggest.py (made with fastai 2.7.18 and PyTorch 1.13).
"""
import ast
import importlib.util
import json
import math
import os

import torch

path = os.path.join(importlib.util.find_spec("fastai").submodule_search_locations[0], "callback", "schedule.py")
names = {"valley", "steep", "minimum"}
rules = [n for n in ast.parse(open(path).read()).body if isinstance(n, ast.FunctionDef) and n.name in names]
space = {}
exec(compile(ast.Module(rules, []), path, "exec"), space)


def curve(steps, kept, loss):
    rates = [1e-7 * (10 / 1e-7) ** (i / (steps - 1)) for i in range(kept)]
    return rates, [loss(math.log10(r)) for r in rates]


cases = [
    (100, 100, lambda x: 2.3 - 1.5 / (1 + math.exp(-2 * (x + 3))) + max(0, x) * 4),
    (100, 88, lambda x: 2.3 - 1.5 / (1 + math.exp(-3 * (x + 2))) + 0.05 * math.sin(7 * x) + max(0, x + 1) ** 2),
    (200, 150, lambda x: 1 - 0.1 * x + 0.02 * math.cos(11 * x)),
    (50, 42, lambda x: 3 + 0.3 * math.sin(x * 2) + max(0, x + 0.5) * 8),
    (20, 20, lambda x: 2 - 1 / (1 + math.exp(-x - 3))),
]
out = []
for steps, kept, loss in cases:
    rates, losses = curve(steps, kept, loss)
    lr, ls = torch.tensor(rates[steps // 10:-5]), torch.tensor(losses[steps // 10:-5])
    found = {n: space[n](lr, ls, steps)[0] for n in sorted(names)}
    out.append({"steps": steps, "rates": rates, "losses": losses, "found": found})
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "fastai_suggest.json"), "w") as f:
    json.dump(out, f)
    f.write("\n")
