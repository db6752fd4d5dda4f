"""Writes metrics.json beside this script: scikit-learn's measures of answers with labels, values and
masks, with equal scores, labels that no image has, and constant targets. A measure of 0/0 is null.

    python3 sklearn_metrics.py

Made with scikit-learn 1.9.1 and numpy 2.4.6.
"""
import json
import os
import warnings

import numpy as np
import sklearn
from sklearn.metrics import (average_precision_score, f1_score, jaccard_score, mean_absolute_error, precision_recall_fscore_support,
                             r2_score, root_mean_squared_error, accuracy_score)

warnings.simplefilter("ignore")
rng = np.random.RandomState(0)


def known(values):
    return [None if np.isnan(v) else float(v) for v in np.atleast_1d(values)]


def labels(n, k, steps, empty=(), threshold=0.5):
    """Logits are multiples of 1/steps: with few steps many are equal."""
    y = rng.randint(0, 2, (n, k))
    for j in empty:
        y[:, j] = 0
    z = np.round((rng.randn(n, k) + y) * steps) / steps
    p = 1 / (1 + np.exp(-z))
    given = (p >= threshold).astype(int)
    precision, recall, f1, support = precision_recall_fscore_support(y, given, zero_division=np.nan)
    average = [average_precision_score(y[:, j], z[:, j]) if y[:, j].any() else np.nan for j in range(k)]
    return {
        "labels": k, "threshold": threshold, "logits": z.reshape(-1).tolist(), "targets": y.reshape(-1).tolist(),
        "average_precision": known(average), "precision": known(precision), "recall": known(recall), "f1": known(f1),
        "support": support.tolist(), "map": float(np.nanmean(average)), "macro_f1": float(np.nanmean(f1)),
        "micro_f1": float(f1_score(y, given, average="micro")), "exact": float(accuracy_score(y, given)),
    }


def values(y, p):
    y, p = np.asarray(y, float), np.asarray(p, float)
    r2 = r2_score(y, p, multioutput="raw_values") if len(y) > 1 else [np.nan] * y.shape[1]
    return {
        "values": y.shape[1], "predicted": p.reshape(-1).tolist(), "targets": y.reshape(-1).tolist(),
        "mae": known(mean_absolute_error(y, p, multioutput="raw_values")),
        "rmse": known(root_mean_squared_error(y, p, multioutput="raw_values")), "r2": known(r2),
        "mean": known([mean_absolute_error(y, p), root_mean_squared_error(y, p), np.mean(r2)]),
    }


def masks(y, p, k):
    return {
        "classes": k, "targets": y.tolist(), "predicted": p.tolist(), "accuracy": float(accuracy_score(y, p)),
        "iou": known([jaccard_score(y, p, labels=[j], average="macro") if ((y == j) | (p == j)).any() else np.nan for j in range(k)]),
    }


y = rng.randn(17, 3) * [1, 100, 0.01] + [0, 1e4, 5]
cases = {
    "labels": [labels(40, 3, 1000), labels(25, 4, 1), labels(12, 3, 2, empty=(1,)), labels(30, 2, 50, threshold=0.3), labels(1, 2, 4)],
    "values": [values(y, y + rng.randn(17, 3) * [0.3, 20, 0.02]), values(y[:, :1], y[:, :1]), values([[3.0], [3.0]], [[3.0], [2.0]]),
               values([[3.0], [3.0]], [[3.0], [3.0]]), values([[1.0, 2.0]], [[1.5, 2.0]]), values([[1e9], [1e9 + 1], [1e9 + 2]], [[1e9], [1e9 + 1], [1e9 + 3]])],
    "masks": [masks(rng.randint(0, 3, 50), rng.randint(0, 3, 50), 3), masks(rng.randint(0, 2, 30), rng.randint(0, 2, 30), 4)],
}
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "metrics.json")
with open(path, "w") as f:
    json.dump({"sklearn": sklearn.__version__, **cases}, f)
