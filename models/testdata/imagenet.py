"""Writes ../imagenet.txt: the names of ImageNet's 1,000 classes (ILSVRC 2012), one a line, in the
usual order, that of their WordNet numbers, as torchvision's weights name them.

    python3 imagenet.py

Made with torchvision 0.29.2. transformers and timm have the same order.
"""
from torchvision.models._meta import _IMAGENET_CATEGORIES

assert len(_IMAGENET_CATEGORIES) == len(set(_IMAGENET_CATEGORIES)) == 1000
with open("../imagenet.txt", "w") as f:
    f.write("".join(name + "\n" for name in _IMAGENET_CATEGORIES))
