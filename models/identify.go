package models

import (
	"fmt"
	"slices"
	"strings"

	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// Match is a model that has the parameters of a state dict, under its names and in
// its shapes.
type Match struct {
	Entry  Entry
	Config Config // channels, classes and, where they are not the entry's own, blocks
}

// Identify finds the models of a state dict by the shapes of its entries. Nets that
// differ in nothing but their operations, such as a CIFAR net with and without its
// additions, are all returned; of those that differ in their blocks alone, which are
// the same net, the one whose blocks are its own, or else the first that is listed.
func Identify(shapes map[string]tensor.Shape) []Match {
	var found []Match
	for _, name := range Names() {
		e, _ := Lookup(name)
		c, err := e.Configured(shapes)
		if err != nil || !e.has(c, shapes) {
			continue
		}
		twin := slices.IndexFunc(found, func(m Match) bool { return m.Entry.Family == e.Family })
		switch {
		case twin < 0:
			found = append(found, Match{e, c})
		case c.Blocks == nil:
			found[twin] = Match{e, c}
		}
	}
	return found
}

// Configured reads the channels, classes and blocks of a state dict of the model off
// its shapes. The error says what is not there.
func (e Entry) Configured(shapes map[string]tensor.Shape) (Config, error) {
	stem, head := shapes[e.Stem+".weight"], shapes[e.Head+".weight"]
	if len(stem) != 4 {
		return Config{}, fmt.Errorf("holds no %s.weight, the first convolution of %s", e.Stem, e.Name)
	}
	if len(head) != 2 {
		return Config{}, fmt.Errorf("holds no %s.weight, the last layer of %s", e.Head, e.Name)
	}
	c := Config{Channels: stem[1], Classes: head[0]}
	for _, stage := range e.Stages {
		c.Blocks = append(c.Blocks, blocksIn(stage, shapes))
	}
	if slices.Equal(c.Blocks, e.Blocks) {
		c.Blocks = nil
	}
	if err := e.Check(c); err != nil {
		return Config{}, err
	}
	return c, nil
}

// blocksIn counts the numbers that follow the name of a stage.
func blocksIn(stage string, shapes map[string]tensor.Shape) int {
	seen := map[string]bool{}
	for name := range shapes {
		if rest, ok := strings.CutPrefix(name, stage+"."); ok {
			index, _, _ := strings.Cut(rest, ".")
			seen[index] = true
		}
	}
	return len(seen)
}

// has reports whether the shapes are those of the model under c. The count comes
// first, so that no net is made in vain.
func (e Entry) has(c Config, shapes map[string]tensor.Shape) bool {
	var numbers int64
	for _, s := range shapes {
		numbers += int64(s.Numel())
	}
	// Beside what is trained stand the statistics of the batch norms, which are few.
	if n := e.Count(c); numbers < n || numbers > n+n/4 {
		return false
	}
	c.Blank = true
	left := 0
	for name := range shapes {
		if !nn.Counter(name) {
			left++
		}
	}
	for _, p := range nn.Named(e.New(c)) {
		if !shapes[p.Name].Equal(p.Value.Shape()) {
			return false
		}
		left--
	}
	return left == 0
}
