package loop

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/nn"
)

// Words that Options.Freeze accepts in addition to name prefixes.
const (
	FreezeStem        = "stem"         // the layers before the first block
	FreezeNormWeights = "norm-weights" // the factors of batch norms, which stay 1 in a new network
	FreezeBackbone    = "backbone"     // all layers but the head, as nn.Head says; it is the last linear layer unless it was replaced
)

// group is a set of parameters with one learning rate: the stem, a block or the head.
type group []nn.NamedParameter

// groups divides the parameters and buffers of m as timm's group_matcher divides those of a
// ResNet. The stem, which is everything before the first block, is the first group. Each
// block is a group, together with the layers between it and the next. The head is the last
// group, with all layers below it (see nn.Head). In a module without numbered blocks each layer
// is a group, together with the batch norm after it.
func groups(m nn.Module) []group {
	head := nn.Head(m)
	var all, last []nn.NamedParameter
	for _, p := range nn.Named(m) {
		if p.Name == head || strings.HasPrefix(p.Name, head+".") {
			last = append(last, p)
		} else {
			all = append(all, p)
		}
	}
	list := backboneGroups(all)
	if len(last) > 0 {
		list = append(list, last)
	}
	return list
}

// backboneGroups divides the parameters of all layers but the head.
func backboneGroups(all []nn.NamedParameter) (list []group) {
	blocks := slices.ContainsFunc(all, func(p nn.NamedParameter) bool { return blockOf(p.Name) != "" })
	last := ""
	for i, p := range all {
		at := blockOf(p.Name)
		layer := layerOf(p.Name)
		switch {
		case !blocks && !normalises(all, layer):
			at = layer
		case at == "":
			at = last
		}
		if i == 0 || at != last {
			list = append(list, nil)
		}
		last = at
		list[len(list)-1] = append(list[len(list)-1], p)
	}
	return list
}

// layerOf returns a parameter's name without its last part.
func layerOf(name string) string { return name[:max(strings.LastIndexByte(name, '.'), 0)] }

// blockOf returns the numbered block that a parameter belongs to, such as layer1.0, or "" if
// it belongs to none. A block has layers of its own, unlike a numbered layer of a list.
func blockOf(name string) string {
	parts := strings.Split(name, ".")
	if len(parts) < 4 || strings.Trim(parts[1], "0123456789") != "" {
		return ""
	}
	return parts[0] + "." + parts[1]
}

// normalises reports whether a layer is a batch norm.
func normalises(all []nn.NamedParameter, layer string) bool {
	return slices.ContainsFunc(all, func(p nn.NamedParameter) bool { return p.Name == layer+".running_mean" })
}

// choose sets which parameters are trained and frozen, and the factors of their rates.
func (t *trainee) choose() error {
	parts := groups(t.module)
	if len(parts) == 0 || len(nn.Parameters(t.module)) == 0 {
		return fmt.Errorf("%s has no parameters to train", nn.Class(t.module))
	}
	frozen, err := t.freeze(parts)
	if err != nil {
		return err
	}
	for _, p := range nn.Named(t.module) {
		switch {
		case frozen[p.Variable]:
			t.frozen = append(t.frozen, p.Variable)
		case p.Trainable:
			t.trained = append(t.trained, p)
		}
	}
	if len(t.trained) == 0 {
		return field.Errorf("{Freeze} %s leaves nothing to train", strings.Join(t.options.Freeze, ","))
	}
	t.rates, t.normBias = map[*graph.Variable]float32{}, map[*graph.Variable]bool{}
	all := nn.Named(t.module)
	for _, p := range all {
		t.normBias[p.Variable] = strings.HasSuffix(p.Name, ".bias") && normalises(all, layerOf(p.Name))
	}
	for i, part := range parts {
		rate := rateOf(t.options, i, len(parts))
		for _, p := range part {
			t.rates[p.Variable] = rate
		}
	}
	return nil
}

// rateOf returns the factor of group i's learning rate.
func rateOf(o Options, i, groups int) float32 {
	following := groups - 1 - i
	switch {
	case o.BackboneRate != 0 && following > 0:
		return float32(o.BackboneRate)
	case o.LayerDecay != 0:
		return float32(math.Pow(o.LayerDecay, float64(following)))
	}
	return 1
}

// freeze returns the variables that Options.Freeze names. A word that names none is an error.
func (t *trainee) freeze(parts []group) (map[*graph.Variable]bool, error) {
	frozen, all := map[*graph.Variable]bool{}, nn.Named(t.module)
	for _, word := range t.options.Freeze {
		word = strings.TrimSpace(word)
		found := false
		for i, part := range parts {
			for _, p := range part {
				if word == FreezeStem && i == 0 || word == FreezeBackbone && i < len(parts)-1 ||
					word == FreezeNormWeights && strings.HasSuffix(p.Name, ".weight") && normalises(all, layerOf(p.Name)) || word != "" && (p.Name == word || strings.HasPrefix(p.Name, word+".")) {
					frozen[p.Variable], found = true, true
				}
			}
		}
		if !found {
			return nil, field.Errorf("{Freeze} %q is no part of %s; use stem, backbone, norm-weights or prefixes of names, of which the first are %s",
				word, nn.Class(t.module), strings.Join(tops(t.module), ", "))
		}
	}
	return frozen, nil
}

// tops lists the different first parts of the parameters' names.
func tops(m nn.Module) (names []string) {
	for _, p := range nn.Named(m) {
		first, _, _ := strings.Cut(p.Name, ".")
		if !slices.Contains(names, first) {
			names = append(names, first)
		}
	}
	return names
}
