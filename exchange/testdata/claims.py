"""Writes claims.json: settings of timm's and transformers' residual networks as their
config.json has them, and whether the network of these settings, which has the names and
shapes of torchvision's, computes the same.

    python claims.py

Written with timm 1.0.31, transformers 5.24.0, torch 2.15.0 and torchvision 0.29.2.
"""

import json
import re

import timm
import timm.layers
import torch
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet
from transformers import ResNetConfig, ResNetForImageClassification

TIMM = [
    {},
    {"global_pool": "avg"},
    {"global_pool": "fast"},
    {"global_pool": "max"},
    {"global_pool": "avgmax"},
    {"output_stride": 32},
    {"output_stride": 16},
    {"output_stride": 8},
    {"act_layer": "relu"},
    {"act_layer": "silu"},
    {"act_layer": "gelu"},
    {"act_layer": "leaky_relu"},
    {"norm_layer": "batchnorm2d"},
    {"aa_layer": "avg"},
    {"aa_layer": "blur"},
    {"block_args": {}},
    {"block_args": {"attn_layer": None}},
    {"stem_type": ""},
    {"stem_width": 32},
    {"drop_rate": 0.3, "drop_path_rate": 0.1},
    {"drop_block_rate": 0.1},
    {"zero_init_last": False},
    {"cardinality": 1, "base_width": 64},
]
AA = {"avg": torch.nn.AvgPool2d, "blur": timm.layers.BlurPool2d}
HF = [
    {},
    {"hidden_act": "relu"},
    {"hidden_act": "gelu"},
    {"hidden_act": "silu"},
    {"downsample_in_first_stage": False},
    {"downsample_in_first_stage": True},
    {"downsample_in_bottleneck": True},
    {"embedding_size": 64},
]


def torchvision_name(k):
    k = re.sub(r"^resnet\.", "", k)
    k = k.replace("embedder.embedder.convolution", "conv1").replace("embedder.embedder.normalization", "bn1").replace("classifier.1", "fc")
    stage = lambda m: f"layer{int(m[1]) + 1}.{m[2]}."
    k = re.sub(r"encoder\.stages\.(\d+)\.layers\.(\d+)\.", stage, k)
    k = re.sub(r"\.layer\.(\d+)\.(conv|norm)\w+", lambda m: f".{'conv' if m[2] == 'conv' else 'bn'}{int(m[1]) + 1}", k)
    return k.replace("shortcut.convolution", "downsample.0").replace("shortcut.normalization", "downsample.1")


@torch.no_grad()
def same(net, rename=lambda k: k, block=Bottleneck):
    """Whether torchvision's network computes the same; None where it has other tensors."""
    torch.manual_seed(2)
    for m in net.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.running_mean.uniform_(-0.2, 0.2)
            m.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(m.weight, 0.5, 1.5)
            torch.nn.init.uniform_(m.bias, -0.3, 0.3)
    plain = ResNet(block, [1, 1, 1, 1], num_classes=2)
    state = {rename(k): v for k, v in net.state_dict().items()}
    if {k: v.shape for k, v in state.items()} != {k: v.shape for k, v in plain.state_dict().items()}:
        return None
    plain.load_state_dict(state)
    x = torch.randn(2, 3, 96, 96)
    a, b = net.eval()(x), plain.eval()(x)
    a = getattr(a, "logits", a)
    return bool((a - b).abs().max() <= 1e-4 * b.abs().max())


cases = []
for name, block in (("resnet18", BasicBlock), ("resnet50", Bottleneck)):
    for kwargs in TIMM:
        torch.manual_seed(1)
        kwargs = {k: AA.get(v, v) if k == "aa_layer" else v for k, v in kwargs.items()}
        known = {k: v for k, v in kwargs.items() if k != "cardinality" or block is Bottleneck}
        net = timm.create_model(name, num_classes=2, layers=[1, 1, 1, 1], **known)
        verdict = same(net, block=block)
        assert verdict is not None, (name, kwargs)
        cases.append({"net": name, "config": {"architecture": name, "num_classes": 2, "global_pool": kwargs.get("global_pool", "avg"), "model_args": {k: getattr(v, "__name__", v) for k, v in known.items()}}, "same": verdict})
    for kwargs in HF:
        torch.manual_seed(1)
        kind = "basic" if block is BasicBlock else "bottleneck"
        sizes = [64, 128, 256, 512] if block is BasicBlock else [256, 512, 1024, 2048]
        config = ResNetConfig(layer_type=kind, depths=[1, 1, 1, 1], hidden_sizes=sizes, num_labels=2, **kwargs)
        verdict = same(ResNetForImageClassification(config), torchvision_name, block)
        if verdict is None:  # which its tensors tell
            continue
        written = json.loads(config.to_json_string(use_diff=False))
        keep = {"model_type", "layer_type", "depths", "hidden_sizes", "hidden_act", "embedding_size", "num_channels", "downsample_in_first_stage", "downsample_in_bottleneck"}
        cases.append({"net": name, "config": {"architectures": ["ResNetForImageClassification"], **{k: v for k, v in written.items() if k in keep}}, "same": verdict})
with open("claims.json", "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
for c in cases:
    print(c["same"], c["net"], c["config"])
