package models

import (
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
)

var (
	imagenetMean = []float64{0.485, 0.456, 0.406}
	imagenetStd  = []float64{0.229, 0.224, 0.225}
)

// imagenet fills in the values that all models for ImageNet have in common. The preparation of
// images is that of torchvision's weights IMAGENET1K_V1.
func imagenet(e Entry) Entry {
	e.stems = true
	e.Classes = 1000
	e.Input = prepare.Input{
		Channels: 3, Height: 224, Width: 224,
		Preprocess: prepare.Steps{ResizeShorter: 256, Interpolation: "bilinear", Mean: imagenetMean, Std: imagenetStd},
	}
	e.Stem, e.Head, e.Stages = "conv1", "fc", trunkStages
	e.stems = true
	return e
}

const (
	basicForm      = "basic-block "
	bottleneckForm = "bottleneck "
)

// resNets are torchvision's networks, with its names and numbers of parameters.
var resNets = []Entry{
	basicNet("resnet18", 11689512, 2, 2, 2, 2),
	basicNet("resnet34", 21797672, 3, 4, 6, 3),
	bottleneckNet("ResNet", "resnet50", 25557032, 1, 64, 3, 4, 6, 3),
	bottleneckNet("ResNet", "resnet101", 44549160, 1, 64, 3, 4, 23, 3),
	bottleneckNet("ResNet", "resnet152", 60192808, 1, 64, 3, 8, 36, 3),
	bottleneckNet("ResNeXt", "resnext50_32x4d", 25028904, 32, 4, 3, 4, 6, 3),
	bottleneckNet("ResNeXt", "resnext101_32x8d", 88791336, 32, 8, 3, 4, 23, 3),
	resized(bottleneckNet("ResNeXt", "resnext101_64x4d", 83455272, 64, 4, 3, 4, 23, 3), 232),
	bottleneckNet("Wide ResNet", "wide_resnet50_2", 68883240, 1, 128, 3, 4, 6, 3),
	bottleneckNet("Wide ResNet", "wide_resnet101_2", 126886696, 1, 128, 3, 4, 23, 3),
}

var papers = map[string]string{
	"ResNet":      "He et al. 2015, https://arxiv.org/abs/1512.03385",
	"ResNeXt":     "Xie et al. 2017, https://arxiv.org/abs/1611.05431",
	"Wide ResNet": "Zagoruyko and Komodakis 2016, https://arxiv.org/abs/1605.07146",
}

func basicNet(name string, params int64, blocks ...int) Entry {
	return imagenet(Entry{
		Name: name, Family: "ResNet", Kind: PostActivation,
		Description: "basic blocks",
		Params:      params, Blocks: blocks, growth: growth{64 * 49, 513, basicGrowth(imagenetWidths)}, form: basicForm + "ResNet",
		Source: torchvision(name) + "; " + papers["ResNet"],
		New:    func(c Config) nn.Module { return &ResNet{newTrunk(c, 1, newBasicBlock)} },
	})
}

func bottleneckNet(family, name string, params int64, groups, base int, blocks ...int) Entry {
	about := "bottlenecks"
	switch family {
	case "ResNeXt":
		about = "bottlenecks with grouped 3x3 convolutions"
	case "Wide ResNet":
		about = "bottlenecks twice as wide inside"
	}
	return imagenet(Entry{
		Name: name, Family: family, Kind: PostActivation, Description: about,
		Params: params, Blocks: blocks, growth: growth{64 * 49, 2049, bottleneckGrowth(imagenetWidths, groups, base)}, form: bottleneckForm + family,
		Source: torchvision(name) + "; " + papers[family],
		New:    func(c Config) nn.Module { return &ResNet{newTrunk(c, expansion, bottleneck(groups, base))} },
	})
}

func torchvision(name string) string {
	return "https://pytorch.org/vision/stable/models/generated/torchvision.models." + name + ".html"
}

func resized(e Entry, shorterSide int) Entry {
	e.Preprocess.ResizeShorter = shorterSide
	return e
}
