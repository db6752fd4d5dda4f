"""Writes scores.json: what scikit-learn makes of small confusion matrices, with classes that
have no images, that are never predicted, and both. A score of 0/0 is null.

    python3 sklearn_scores.py

Made with scikit-learn 1.9.1 and numpy 2.4.6.
"""
import json

import numpy
import sklearn
from sklearn.metrics import precision_recall_fscore_support

MATRICES = [
    [[8, 0, 2], [0, 10, 0], [4, 0, 6]],
    [[8, 0, 2, 0], [0, 10, 0, 0], [4, 0, 6, 0], [0, 0, 0, 0]],  # a class that is not there
    [[3, 2, 0], [1, 4, 0], [2, 2, 0]],  # one that is never predicted
    [[5, 1, 1], [0, 3, 2], [0, 0, 0]],  # one without images that is predicted
    [[0, 3, 0, 0, 0], [2, 1, 0, 1, 0], [0, 2, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]],
    [[0, 0], [3, 1]],
]


def known(values):
    return [None if numpy.isnan(v) else round(float(v), 12) for v in values]


cases = []
for counts in MATRICES:
    true = [i for i, row in enumerate(counts) for n in row for _ in range(n)]
    said = [j for row in counts for j, n in enumerate(row) for _ in range(n)]
    case = {"counts": counts}
    for average in (None, "macro", "weighted"):
        labels = list(range(len(counts)))
        scores = precision_recall_fscore_support(true, said, labels=labels, average=average, zero_division=numpy.nan)
        case[average or "classes"] = known(scores[:3]) if average else list(zip(*map(known, scores[:3])))
    cases.append(case)
with open("scores.json", "w") as f:
    json.dump({"sklearn": sklearn.__version__, "cases": cases}, f, indent=1)
    f.write("\n")
