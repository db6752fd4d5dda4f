package models

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
)

// The networks for CIFAR-10 of He et al. 2015, section 4.2: a 3x3 convolution, three stages of
// n blocks with 16, 32 and 64 channels at 32, 16 and 8 pixels, and a linear layer, which makes
// 6n+2 layers with weights. Shortcuts have no parameters (option A: every second pixel, and
// zeros for the new channels, which come last). Therefore cifar-plainN has the parameters of
// cifar-resnetN and is the same network without the additions. Package exchange also reads
// weights of networks that put half of the new channels first. cifar-preresnetN is the
// pre-activation form of He et al. 2016.
//
// pytorchcv's resnetN_cifar10 and preresnetN_cifar10 are different networks: their shortcuts
// that change the shape are 1x1 convolutions (option B), so they have more parameters, and the
// first block of preresnetN_cifar10 has its shortcut before the activation.
var (
	cifarWidths = []int{16, 32, 64}
	cifarDepths = []int{20, 32, 44, 56, 110} // the depths that Names lists
)

const (
	largestCIFAR = 2000  // layers
	cifar8Params = 75290 // of the net of 8 layers, of any kind
)

type cifarKind struct {
	prefix, family string
	kind           Kind
	description    string
	build          func(Config) nn.Module
}

var cifarKinds = []cifarKind{
	{"cifar-plain", "CIFAR plain net", Plain, "the residual net minus its additions",
		func(c Config) nn.Module { return &PlainNet{newCIFARTrunk(c, newCIFARPlainBlock)} }},
	{"cifar-resnet", "CIFAR ResNet", PostActivation, "basic blocks, shortcuts without parameters",
		func(c Config) nn.Module { return &ResNet{newCIFARTrunk(c, newCIFARBlock)} }},
	{"cifar-preresnet", "CIFAR pre-activation ResNet", PreActivation, "basic blocks, activated before the convolutions",
		func(c Config) nn.Module {
			m := &ResNet{newCIFARTrunk(c, newCIFARPreActBlock)}
			m.BN1, m.BN = nil, nn.NewBatchNorm2d(cifarWidths[2])
			return m
		}},
}

func newCIFARTrunk(c Config, block func(place) nn.Module) Trunk {
	s := stages(c, cifarWidths[0], cifarWidths, 1, block)
	return Trunk{
		Conv1:  nn.NewConv2d(c.Channels, cifarWidths[0], 3, nn.Conv{Padding: 1, NoBias: true, Blank: c.Blank}),
		BN1:    nn.NewBatchNorm2d(cifarWidths[0]),
		Layer1: s[0], Layer2: s[1], Layer3: s[2],
		FC: nn.NewLinear(cifarWidths[2], c.Classes, nn.Dense{Blank: c.Blank}),
	}
}

// optionA returns the shortcut without parameters, or nil if the shape does not change.
func optionA(p place) nn.Sequential {
	if p.stride == 1 && p.in == p.out {
		return nil
	}
	return nn.Sequential{nn.AvgPool2d{Kernel: 1, Stride: p.stride}, nn.PadChannels{To: p.out}}
}

func newCIFARPlainBlock(p place) nn.Module {
	b := newPlainBlock(p)
	return &b
}

func newCIFARBlock(p place) nn.Module {
	return &BasicBlock{newPlainBlock(p), optionA(p), nn.StochasticDepth{P: p.drop}}
}

func newCIFARPreActBlock(p place) nn.Module { return newPreActBlock(p, optionA(p)) }

// cifarNets returns the entries of the usual depths of every kind.
func cifarNets() (all []Entry) {
	for _, k := range cifarKinds {
		for _, depth := range cifarDepths {
			all = append(all, k.entry(depth))
		}
	}
	return all
}

func (k cifarKind) entry(depth int) Entry {
	n := (depth - 2) / 6
	g := growth{9 * 16, 65, basicGrowth(cifarWidths)}
	return Entry{
		Name: k.prefix + strconv.Itoa(depth), Family: k.family, Kind: k.kind, Description: k.description,
		Classes: 10,
		Params:  cifar8Params + int64(n-1)*(g.blocks[0]+g.blocks[1]+g.blocks[2]), Blocks: []int{n, n, n}, growth: g, form: k.family,
		Stem: "conv1", Head: "fc", Stages: trunkStages[:3],
		Input: prepare.Input{
			Channels: 3, Height: 32, Width: 32,
			Preprocess: prepare.Steps{Mean: []float64{0.4914, 0.4822, 0.4465}, Std: []float64{0.2470, 0.2435, 0.2616}},
		},
		Source: cifarSource[k.kind],
		New:    k.build,
	}
}

var cifarSource = map[Kind]string{
	Plain:          "He et al. 2015, https://arxiv.org/abs/1512.03385, section 4.2",
	PostActivation: "He et al. 2015, https://arxiv.org/abs/1512.03385, section 4.2",
	PreActivation:  "He et al. 2016, https://arxiv.org/abs/1603.05027, section 3",
}

// cifarNet returns the entry of a network with 6n+2 layers, for any n, by its name. ok reports
// whether the name has that form.
func cifarNet(name string) (e Entry, ok bool, err error) {
	for _, k := range cifarKinds {
		digits, found := strings.CutPrefix(name, k.prefix)
		if !found || digits == "" || strings.Trim(digits, "0123456789") != "" || digits[0] == '0' {
			continue
		}
		depth, err := strconv.Atoi(digits)
		switch below := (depth-2)/6*6 + 2; {
		case err != nil || depth > largestCIFAR:
			return e, true, fmt.Errorf("model %q: a depth can be at most %d; the deepest is %s%d", name, largestCIFAR, k.prefix, (largestCIFAR-2)/6*6+2)
		case depth < 8:
			return e, true, fmt.Errorf("model %q: a depth is 6n+2 for n blocks in each of three stages; the nearest is %s8", name, k.prefix)
		case below != depth:
			return e, true, fmt.Errorf("model %q: a depth is 6n+2 for n blocks in each of three stages; the nearest are %s%d and %s%d",
				name, k.prefix, below, k.prefix, below+6)
		}
		return k.entry(depth), true, nil
	}
	return e, false, nil
}
