package exchange

import (
	"fmt"
	"slices"
	"strings"

	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// Residual nets for CIFAR have shortcuts without parameters: where a stage has more
// channels than the one before, the others are zeros (He et al. 2015, section 3.3, option
// A). In the code of the paper's authors, and in package models, they come last. Others put
// half of them before and half behind, as https://github.com/akamaster/pytorch_resnet_cifar10
// does, and nothing in names or shapes tells. Such a net computes the same as one of
// package models whose channels are in another order, so that its weights are put in that.

// Where the zeros of shortcuts without parameters are: see ModelConfig.Zeros.
const (
	ZerosLast = "last"
	ZerosBoth = "both"
)

const zerosNote = "where shortcuts add channels of zeros, these are taken to come last, as in the code of He et al.; " +
	"nothing in the file tells whether half of them come before the others, as ModelConfig.Zeros both says"

// widens reports whether a net has shortcuts that add channels of zeros.
func widens(e models.Entry) bool {
	return strings.HasPrefix(e.Family, "CIFAR") && e.Kind != models.Plain
}

// reordered puts the channels of a net whose shortcuts pad on both sides in the order in
// which its zeros are last. Channels inside the branches stay as they are.
func reordered(m nn.Module, kind models.Kind) {
	order := streams(m)
	for _, p := range nn.Named(m) {
		for axis, channels := range orders(p.Name, order, kind) {
			if channels != nil {
				p.Value = taken(p.Value, axis, channels)
			}
		}
	}
}

// streams says for each stage which of the file's channels comes at each place of what
// flows from block to block: those that the stage before has, which the file has behind a
// quarter of the channels, in their order, and then the others.
func streams(m nn.Module) (order [][]int) {
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

// orders are the channels in their order for each axis of a parameter, nil for an axis
// that keeps its own.
func orders(name string, order [][]int, kind models.Kind) [2][]int {
	words := strings.Split(name, ".")
	switch words[0] {
	case "fc":
		if words[1] == "weight" {
			return [2][]int{nil, order[len(order)-1]}
		}
	case "bn": // behind the last block of a pre-activation net
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

// taken is t with the given places of an axis, in their order.
func taken(t *tensor.Tensor, axis int, places []int) *tensor.Tensor {
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

// zeros does what ModelConfig.Zeros says, and tells what was taken where it says nothing.
func (h *held) zeros(said string, own bool) error {
	e := h.match.Entry
	switch {
	case said != "" && said != ZerosLast && said != ZerosBoth:
		return fmt.Errorf("zeros %q of shortcuts without parameters; they are %s or %s", said, ZerosLast, ZerosBoth)
	case said != "" && !widens(e):
		return fmt.Errorf("%s has no shortcuts that add channels of zeros; leave out where they are", e.Name)
	case said == ZerosBoth:
		reordered(h.module, e.Kind)
		h.notes = append(h.notes, "the channels are in another order than in the file, as the shortcuts here add their zeros last; the logits are the same")
	case said == "" && widens(e) && !own:
		h.notes = append(h.notes, zerosNote)
	}
	return nil
}
