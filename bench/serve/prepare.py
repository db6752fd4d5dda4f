"""What the Python servers of this folder share: from a JPEG to the input of a ResNet at 224 pixels,
as torchvision's preset prepares it, and from its logits to the five likeliest classes."""
import io

import numpy as np
from PIL import Image

MEAN = np.array([0.485, 0.456, 0.406], np.float32).reshape(3, 1, 1)
STD = np.array([0.229, 0.224, 0.225], np.float32).reshape(3, 1, 1)


def image(content):
    img = Image.open(io.BytesIO(content)).convert("RGB")
    w, h = img.size
    short = min(w, h)
    img = img.resize((w * 256 // short, h * 256 // short), Image.BILINEAR)
    left, top = (img.width - 224) // 2, (img.height - 224) // 2
    x = np.asarray(img.crop((left, top, left + 224, top + 224)), np.float32).transpose(2, 0, 1) / 255
    return (x - MEAN) / STD


def classes(logits):
    p = np.exp(logits - logits.max())
    p /= p.sum()
    return [{"index": int(i), "probability": float(p[i])} for i in np.argsort(-p)[:5]]
