"""Exports small residual networks by torch.onnx and writes, beside each file,
an input and the logits that PyTorch gives for it.

    python3 torch_export.py

With PyTorch 1.13 (made by 1.13.0) it writes the files of the exporter that traces, with
batch norm folded into the convolutions and not; with a PyTorch that has the
exporter of torch.export (made by 2.15 with onnx and onnxscript) it writes
dynamo.onnx, and unoptimised.onnx with its constants as it finds them. The networks are torchvision's ResNet with fewer channels and have
its names.
"""
import json
import sys

import torch
from torch import nn


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, inplanes, planes, stride=1, downsample=None, groups=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, inplanes, planes, stride=1, downsample=None, groups=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, planes * 4, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes * 4)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self, block, layers, width=4, classes=5, groups=1, view=False, probabilities=False):
        super().__init__()
        self.inplanes, self.view, self.probabilities = width, view, probabilities
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = self.stage(block, width, layers[0], 1, groups)
        self.layer2 = self.stage(block, width * 2, layers[1], 2, groups)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(width * 2 * block.expansion, classes)

    def stage(self, block, planes, blocks, stride, groups):
        downsample = None
        if stride != 1 or self.inplanes != planes * block.expansion:
            downsample = nn.Sequential(nn.Conv2d(self.inplanes, planes * block.expansion, 1, stride, bias=False),
                                       nn.BatchNorm2d(planes * block.expansion))
        layers = [block(self.inplanes, planes, stride, downsample, groups)]
        self.inplanes = planes * block.expansion
        layers += [block(self.inplanes, planes, groups=groups) for _ in range(blocks - 1)]
        return nn.Sequential(*layers)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer2(self.layer1(x))
        x = self.avgpool(x)
        x = x.view(x.size(0), -1) if self.view else torch.flatten(x, 1)
        x = self.fc(self.dropout(x))
        return x.softmax(1) if self.probabilities else x


def network(seed, *args, **kwargs):
    """A network whose batch norms are not the identity."""
    torch.manual_seed(seed)
    net = ResNet(*args, **kwargs)
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.uniform_(m.bias, -0.5, 0.5)
            nn.init.uniform_(m.running_mean, -0.5, 0.5)
            nn.init.uniform_(m.running_var, 0.5, 1.5)
    return net.eval()


def save(name, net, export):
    torch.manual_seed(100)
    x = (torch.randn(2, 3, 32, 32) * 64).round() / 64  # few digits, so that the file is short
    export(net, x, name + ".onnx")
    with torch.no_grad():
        y = net(x)
    record = {
        "torch": torch.__version__,
        "shape": list(x.shape),
        "images": [round(v * 64) for v in x.flatten().tolist()],  # in 64ths
        "output": [[float(f"{v:.8g}") for v in row] for row in y.tolist()],
        "state": {k: float(f"{v.double().sum().item():.8g}") for k, v in net.state_dict().items() if "num_batches" not in k},
    }
    with open(name + ".json", "w") as f:
        json.dump(record, f, separators=(",", ":"))
        f.write("\n")


def tracing(folding, batch=True, opset=13):
    def export(net, x, path):
        mode = torch.onnx.TrainingMode.EVAL if folding else torch.onnx.TrainingMode.PRESERVE
        axes = {"images": {0: "N"}, "logits": {0: "N"}} if batch else None
        torch.onnx.export(net, x, path, training=mode, do_constant_folding=folding, opset_version=opset,
                          input_names=["images"], output_names=["logits"], dynamic_axes=axes)
    return export


def main():
    if hasattr(torch, "export") and torch.__version__ >= "2":
        def dynamo(net, x, path, optimize=True):
            import onnx

            program = torch.onnx.export(net, (x,), dynamo=True, optimize=optimize, input_names=["images"], output_names=["logits"],
                                        dynamic_shapes={"x": {0: torch.export.Dim("N")}})
            model = program.model_proto
            for part in [*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer]:
                del part.metadata_props[:]  # the exporter's stack traces
                part.doc_string = ""
            onnx.save(model, path)
        save("dynamo", network(4, BasicBlock, [1, 1]), dynamo)
        save("unoptimised", network(5, BasicBlock, [1, 1]), lambda *args: dynamo(*args, optimize=False))
        return
    save("folded", network(1, BasicBlock, [1, 1]), tracing(True))
    save("unfolded", network(1, BasicBlock, [1, 1]), tracing(False))
    save("bottleneck", network(2, Bottleneck, [1, 2], groups=2), tracing(False, batch=False, opset=11))
    save("view", network(3, BasicBlock, [2, 1], view=True, probabilities=True), tracing(True, opset=16))


if __name__ == "__main__":
    sys.exit(main())
