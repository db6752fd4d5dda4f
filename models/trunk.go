package models

import (
	"cmp"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/nn"
)

// Trunk is the common structure of networks in torchvision's form, with its names of fields: a
// stem, stages of blocks, and a classifier. [N,channels,H,W] -> logits [N,classes], for images
// of any size.
type Trunk struct {
	Conv1                          *nn.Conv2d
	BN1                            *nn.BatchNorm2d      // nil if the first block begins with the activation
	ReLU                           nn.ReLU              `nn:"relu"`
	MaxPool                        nn.MaxPool2d         `nn:"maxpool"` // no pooling if Kernel is 0
	Layer1, Layer2, Layer3, Layer4 nn.Sequential        // Layer4 is nil in networks of three stages
	BN                             *nn.BatchNorm2d      // after the last sum of a pre-activation network; else nil
	AvgPool                        nn.AdaptiveAvgPool2d `nn:"avgpool"`
	Flatten                        nn.Flatten
	FC                             nn.Module // the head: a *nn.Linear until it is replaced
}

// newTrunk returns a trunk with the stem of He et al. 2015, table 1, which reduces images to a
// quarter of their size, unless c has another.
func newTrunk(c Config, expansion int, block func(place) nn.Module) Trunk {
	conv, pool := stemLayers(c, cmp.Or(c.stem, 4), 64)
	t := Trunk{
		Conv1:   conv,
		BN1:     nn.NewBatchNorm2d(64),
		MaxPool: pool,
		FC:      nn.NewLinear(512*expansion, c.Classes, nn.Dense{Blank: c.Blank}),
	}
	s := stages(c, 64, imagenetWidths, expansion, block)
	t.Layer1, t.Layer2, t.Layer3, t.Layer4 = s[0], s[1], s[2], s[3]
	return t
}

// newStem returns the layers of a stem of the given width: a convolution, batch norm and ReLU, and for 4
// max pooling.
func newStem(c Config, width int) nn.Sequential {
	conv, pool := stemLayers(c, max(c.stem, 1), width)
	s := nn.Sequential{conv, nn.NewBatchNorm2d(width), nn.ReLU{}}
	if pool.Kernel > 0 {
		s = append(s, pool)
	}
	return s
}

// stemLayers returns the convolution of a stem, and its max pooling, with Kernel 0 if there is none.
func stemLayers(c Config, stem, width int) (*nn.Conv2d, nn.MaxPool2d) {
	if stem == 4 {
		return nn.NewConv2d(c.Channels, width, 7, nn.Conv{Stride: 2, Padding: 3, NoBias: true, Blank: c.Blank}),
			nn.MaxPool2d{Kernel: 3, Stride: 2, Padding: 1}
	}
	return nn.NewConv2d(c.Channels, width, 3, nn.Conv{Stride: stem, Padding: 1, NoBias: true, Blank: c.Blank}), nn.MaxPool2d{}
}

// through computes m, the network that contains t, with visit in place of the blocks' Forward.
func (t *Trunk) through(m nn.Module, x *graph.Node, visit func(b nn.Module, x *graph.Node) *graph.Node) *graph.Node {
	g, first := x.Graph, len(x.Graph.Nodes)
	x = t.Conv1.Forward(x)
	if t.BN1 != nil {
		x = t.ReLU.Forward(t.BN1.Forward(x))
	}
	if t.MaxPool.Kernel > 0 {
		x = t.MaxPool.Forward(x)
	}
	for _, layer := range []nn.Sequential{t.Layer1, t.Layer2, t.Layer3, t.Layer4} {
		if layer == nil {
			continue
		}
		from := len(g.Nodes)
		for _, b := range layer {
			x = visit(b, x)
		}
		g.Record(layer, from, x)
	}
	if t.BN != nil {
		x = t.ReLU.Forward(t.BN.Forward(x))
	}
	x = t.FC.Forward(t.Flatten.Forward(t.AvgPool.Forward(x)))
	return g.Record(m, first, x)
}

// Head returns the path of the head. It implements nn.Header.
func (t *Trunk) Head() string { return "fc" }

// ResNet is a trunk of residual blocks.
type ResNet struct{ Trunk }

// Forward implements nn.Module.
func (m *ResNet) Forward(x *graph.Node) *graph.Node { return m.through(m, x, nn.Module.Forward) }

// Stages implements Net.
func (m *ResNet) Stages() []Stage {
	all := []Stage{stage("layer1", m.Layer1), stage("layer2", m.Layer2), stage("layer3", m.Layer3)}
	if m.Layer4 != nil {
		all = append(all, stage("layer4", m.Layer4))
	}
	return all
}

// Through implements Net.
func (m *ResNet) Through(x *graph.Node, visit func(b Block, x *graph.Node) *graph.Node) *graph.Node {
	return m.through(m, x, visiting(visit))
}

// PlainNet is a trunk of plain blocks: the residual network without its additions.
type PlainNet struct{ Trunk }

// Forward implements nn.Module.
func (m *PlainNet) Forward(x *graph.Node) *graph.Node {
	return m.through(m, x, nn.Module.Forward)
}

var (
	trunkStages    = []string{"layer1", "layer2", "layer3", "layer4"}
	imagenetWidths = []int{64, 128, 256, 512}
)
