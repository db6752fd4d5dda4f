"""Writes cleanlab_issues.json: label issues that cleanlab finds by low self-confidence.

Made with cleanlab 2.9.0, scikit-learn 1.9.1 and numpy 2.4.6, in this folder: python cleanlab_issues.py
"""
import json

import numpy as np
from cleanlab.filter import find_label_issues

cases = []
for seed, classes, n, flipped, noise in ((0, 3, 120, 0.1, 1.0), (1, 4, 160, 0.05, 2.0), (2, 5, 150, 0.2, 2.0)):
    r = np.random.default_rng(seed)
    truth = np.arange(n) % classes
    labels = np.where(r.random(n) < flipped, (truth + r.integers(1, classes, n)) % classes, truth)
    logits = noise * r.normal(size=(n, classes)) + 3 * np.eye(classes)[truth]
    p = np.exp(logits)
    p = np.round(p / p.sum(1, keepdims=True), 5)
    p = np.maximum(p, 1e-5)
    issues = find_label_issues(labels, p / p.sum(1, keepdims=True), filter_by="low_self_confidence",
                               return_indices_ranked_by="self_confidence", n_jobs=1)
    cases.append({"labels": labels.tolist(), "probabilities": p.tolist(), "issues": sorted(issues.tolist())})
with open("cleanlab_issues.json", "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")
