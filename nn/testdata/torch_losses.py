"""Writes losses.json beside this script: the losses of PyTorch and torchvision in float64, and
their gradients by the outputs. Needs torch and torchvision (made with torch 2.15.0,
torchvision 0.29.2):

    python3 torch_losses.py

The file is {"torch": VERSION, "cases": [CASE, ...]}. A CASE has the name of a loss of package nn,
its settings, the shapes and values of outputs and targets (multiples of 1/16, so that float32
holds them exactly), the loss and its gradient by the outputs.
"""

import json
import os

import torch
import torch.nn.functional as F
import torchvision

torch.manual_seed(0)


def grid(*shape, low=-48, high=48):
    return torch.randint(low, high + 1, shape).to(torch.float64) / 16


cases = []


def case(name, outputs, targets, compute, **settings):
    outputs.requires_grad_()
    loss = compute(outputs, targets)
    (gradient,) = torch.autograd.grad(loss, outputs)
    cases.append({
        "loss": name, "settings": settings, "shape": list(outputs.shape), "target_shape": list(targets.shape),
        "outputs": outputs.reshape(-1).tolist(), "targets": targets.reshape(-1).tolist(),
        "value": loss.item(), "gradient": gradient.reshape(-1).tolist(),
    })


def bits(*shape):
    return torch.randint(0, 2, shape).to(torch.float64)


case("BCEWithLogitsLoss", grid(4, 5), bits(4, 5), F.binary_cross_entropy_with_logits)
case("BCEWithLogitsLoss", grid(3, 2, 2, 3), grid(3, 2, 2, 3, low=0, high=16), F.binary_cross_entropy_with_logits)
case("BCEWithLogitsLoss", torch.tensor([[90.0, -90.0, 40.0]], dtype=torch.float64), torch.tensor([[0.0, 1.0, 1.0]], dtype=torch.float64),
     F.binary_cross_entropy_with_logits)
weight = [2.0, 0.5, 1.0, 3.0, 1.25]
case("BCEWithLogitsLoss", grid(4, 5), bits(4, 5),
     lambda z, y: F.binary_cross_entropy_with_logits(z, y, pos_weight=torch.tensor(weight, dtype=torch.float64)), PosWeight=weight)
case("BCEWithLogitsLoss", grid(2, 3, 4, 2), bits(2, 3, 4, 2),
     lambda z, y: F.binary_cross_entropy_with_logits(z, y, pos_weight=torch.tensor([1.5, 4, 1], dtype=torch.float64).reshape(3, 1, 1)), PosWeight=[1.5, 4.0, 1.0])
for shape in ((5, 1), (3, 4), (2, 1, 3, 3)):
    case("MSELoss", grid(*shape), grid(*shape), F.mse_loss)
    case("L1Loss", grid(*shape), grid(*shape), F.l1_loss)
    case("HuberLoss", grid(*shape), grid(*shape), F.huber_loss)
    case("HuberLoss", grid(*shape), grid(*shape), lambda z, y: F.huber_loss(z, y, delta=0.375), Delta=0.375)
    case("SmoothL1Loss", grid(*shape), grid(*shape), F.smooth_l1_loss)
    case("SmoothL1Loss", grid(*shape), grid(*shape), lambda z, y: F.smooth_l1_loss(z, y, beta=2.5), Beta=2.5)
same = grid(3, 2)
case("L1Loss", same.clone(), same.clone(), F.l1_loss)
case("HuberLoss", torch.tensor([[1.0, -1.0]], dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64), F.huber_loss)


def focal(gamma):
    def compute(z, y):  # Lin et al. 2017, equation 4, of classes
        log = F.log_softmax(z, 1)
        return -(y * (1 - log.exp()) ** gamma * log).sum(1).mean()
    return compute


def one_hot(n, k):
    return F.one_hot(torch.randint(0, k, (n,)), k).to(torch.float64)


case("FocalLoss", grid(6, 4), one_hot(6, 4), focal(2))
case("FocalLoss", grid(6, 4), one_hot(6, 4), focal(0.5), Gamma=0.5)
case("FocalLoss", grid(3, 3), torch.tensor([[0.25, 0.75, 0], [0.5, 0.25, 0.25], [0, 0, 1]], dtype=torch.float64), focal(1.5), Gamma=1.5)
sigmoid = torchvision.ops.sigmoid_focal_loss
case("SigmoidFocalLoss", grid(4, 3), bits(4, 3), lambda z, y: sigmoid(z, y, alpha=-1, gamma=2, reduction="mean"))
case("SigmoidFocalLoss", grid(4, 3), bits(4, 3), lambda z, y: sigmoid(z, y, alpha=0.25, gamma=1.5, reduction="mean"), Alpha=0.25, Gamma=1.5)


def distillation(t):
    return lambda z, y: t * t * F.kl_div(F.log_softmax(z / t, 1), F.softmax(y / t, 1), reduction="batchmean")


case("DistillationLoss", grid(5, 4), grid(5, 4), distillation(4))
case("DistillationLoss", grid(3, 6), grid(3, 6), distillation(1.5), Temperature=1.5)
case("CrossEntropyLoss", grid(2, 3, 4, 3), torch.randint(0, 3, (2, 4, 3)).to(torch.float64), lambda z, y: F.cross_entropy(z, y.long()))

path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "losses.json")
with open(path, "w") as f:
    json.dump({"torch": torch.__version__, "torchvision": torchvision.__version__, "cases": cases}, f)
