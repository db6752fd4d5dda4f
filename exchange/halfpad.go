package exchange

import (
	"fmt"
	"slices"
	"strings"

	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// The shortcuts of CIFAR residual nets have no parameters: where a stage has more channels
// than the one before it, the additional channels are zeros (He et al. 2015, section 3.3,
// option A). In the code of the paper's authors, and in package models, the zeros come last.
// Other programs put one half of them before the channels and one half after, for example
// https://github.com/akamaster/pytorch_resnet_cifar10. Names and shapes do not tell the two
// apart. A net of the second kind computes the same as one of package models whose channels
// are in another order, so this file reorders its weights.

// The values of ModelConfig.Zeros: where shortcuts without parameters add their zeros.
const (
	ZerosLast = "last"
	ZerosBoth = "both"
)

const zerosNote = "where shortcuts add channels of zeros, these are taken to come last, as in the code of He et al.; " +
	"nothing in the file tells whether half of them come before the others, as ModelConfig.Zeros both says"

// widens reports whether a model has shortcuts that add channels of zeros.
func widens(e models.Entry) bool {
	return strings.HasPrefix(e.Family, "CIFAR") && e.Kind != models.Plain
}

// reorderChannels changes the weights of a net whose shortcuts pad on both sides so that the zeros
// come last. Only the channels that flow from block to block are reordered, not those within
// a block.
func reorderChannels(m nn.Module, kind models.Kind) {
	order := channelOrders(m)
	for _, p := range nn.Named(m) {
		for axis, channels := range axisOrders(p.Name, order, kind) {
			if channels != nil {
				p.Value = permuted(p.Value, axis, channels)
			}
		}
	}
}

// channelOrders returns, for each stage, the order of the channels that flow from block to block:
// at each place, the number of the channel in the file. The channels of the stage before
// come first; the file has them after a quarter of the stage's channels. The others follow.
func channelOrders(m nn.Module) (order [][]int) {
	before := []int{}
	for _, s := range m.(models.Net).Stages() {
		var width int
		for _, p := range nn.Named(s.Blocks[0]) {
			if p.Name == "conv2.weight" {
				width = p.Value.Shape()[0]
			}
		}
		channels := make([]int, 0, width)
		added := 0
		if len(order) > 0 {
			added = (width - len(before)) / 2
		}
		for _, c := range before {
			channels = append(channels, c+added)
		}
		for c := range width {
			if !slices.Contains(channels, c) {
				channels = append(channels, c)
			}
		}
		order, before = append(order, channels), channels
	}
	return order
}

// axisOrders returns the order of the channels along the first two axes of a parameter, nil for
// an axis that is not reordered.
func axisOrders(name string, order [][]int, kind models.Kind) [2][]int {
	words := strings.Split(name, ".")
	switch words[0] {
	case "fc":
		if words[1] == "weight" {
			return [2][]int{nil, order[len(order)-1]}
		}
	case "bn": // after the last block of a pre-activation net
		return [2][]int{order[len(order)-1], nil}
	}
	rest, ok := strings.CutPrefix(words[0], "layer")
	if !ok {
		return [2][]int{}
	}
	stage := int(rest[0] - '1')
	in := order[stage]
	if words[1] == "0" && stage > 0 {
		in = order[stage-1]
	}
	switch words[2] {
	case "conv1":
		return [2][]int{nil, in}
	case "conv2":
		return [2][]int{order[stage], nil}
	case "bn1":
		if kind == models.PreActivation {
			return [2][]int{in, nil}
		}
	case "bn2":
		if kind == models.PostActivation {
			return [2][]int{order[stage], nil}
		}
	}
	return [2][]int{}
}

// permuted returns t with the given indices of an axis, in their order.
func permuted(t *tensor.Tensor, axis int, places []int) *tensor.Tensor {
	s := t.Shape()
	outer, inner := tensor.Shape(s[:axis]).Numel(), tensor.Shape(s[axis+1:]).Numel()
	out := tensor.New(s...)
	for o := range outer {
		for i, from := range places {
			copy(out.Data()[(o*s[axis]+i)*inner:][:inner], t.Data()[(o*s[axis]+from)*inner:][:inner])
		}
	}
	return out
}

// zeros applies ModelConfig.Zeros, or adds a note about the default if it is empty.
func (h *loadedModel) zeros(said string, own bool) error {
	e := h.match.Entry
	switch {
	case said != "" && said != ZerosLast && said != ZerosBoth:
		return fmt.Errorf("the shortcuts' zeros are said to be %q; they can be %s or %s", said, ZerosLast, ZerosBoth)
	case said != "" && !widens(e):
		return fmt.Errorf("%s has no shortcuts that add channels of zeros; leave Zeros out", e.Name)
	case said == ZerosBoth:
		reorderChannels(h.module, e.Kind)
		h.notes = append(h.notes, "the channels are in another order than in the file, as the shortcuts here add their zeros last; the logits are the same")
	case said == "" && widens(e) && !own:
		h.notes = append(h.notes, zerosNote)
	}
	return nil
}
