package models

import (
	"fmt"
	"slices"
	"strings"

	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// Match is a model whose parameters have the names and shapes of a state dict.
type Match struct {
	Entry  Entry
	Config Config // channels, classes and, if they differ from the entry's, blocks

	// Headless means that the state dict is that of a backbone, without the last layer.
	// Config.Classes is 0.
	Headless bool
}

// Title returns the entry's Title for the match's blocks. It also says if the last layer is
// missing.
func (m Match) Title() string {
	if m.Headless {
		return m.Entry.Title(m.Config.Blocks) + " without its last layer"
	}
	return m.Entry.Title(m.Config.Blocks)
}

// Count returns the entry's Count, without the last layer if that is missing.
func (m Match) Count() int64 {
	n := m.Entry.Count(m.Config)
	if m.Headless {
		n -= int64(m.Entry.Classes) * m.Entry.growth.class
	}
	return n
}

// Identify returns the models that a state dict can belong to, with or without their last
// layer, given the shapes of its entries. Networks with the same parameters but different
// operations, such as a CIFAR network with and without its additions, are all returned. Of
// entries that differ only in their numbers of blocks, which describe the same network, Identify
// returns the one with the numbers found or, if there is none, the first that is listed. Of
// variants with the same shapes (see Entry.WithStem) it returns the model's own, or else that of 1.
func Identify(shapes map[string]tensor.Shape) []Match {
	var found []Match
	for _, name := range Names() {
		e, _ := Lookup(name)
		m, err := e.withKernel(shapes).Configured(shapes)
		if err != nil || !m.Fits(shapes) {
			continue
		}
		twin := slices.IndexFunc(found, func(f Match) bool { return f.Entry.Family == e.Family })
		switch {
		case twin < 0:
			found = append(found, m)
		case m.Config.Blocks == nil:
			found[twin] = m
		}
	}
	return found
}

// Configured determines the channels, classes and blocks of a state dict of the model from its
// shapes. The error names what is missing, which may be a part of the last layer.
func (e Entry) Configured(shapes map[string]tensor.Shape) (Match, error) {
	stem, head, bias := shapes[e.Stem+".weight"], shapes[e.Head+".weight"], shapes[e.Head+".bias"]
	if len(stem) != 4 {
		return Match{}, fmt.Errorf("holds no %s.weight, the first convolution of %s", e.Stem, e.Name)
	}
	m := Match{Entry: e, Config: Config{Channels: stem[1]}, Headless: head == nil && bias == nil}
	c := &m.Config
	switch {
	case len(head) == 2:
		c.Classes = head[0]
	case !m.Headless:
		return Match{}, fmt.Errorf("holds no %s.weight, the last layer of %s", e.Head, e.Name)
	}
	for _, stage := range e.Stages {
		c.Blocks = append(c.Blocks, blocksIn(stage, shapes))
	}
	if slices.Equal(c.Blocks, e.Blocks) {
		c.Blocks = nil
	}
	if err := e.Check(*c); err != nil {
		return Match{}, err
	}
	return m, nil
}

// Nearest is Configured for shapes that may differ from those of the model. What they do not
// determine keeps the model's own value.
func (e Entry) Nearest(shapes map[string]tensor.Shape) Match {
	e = e.withKernel(shapes)
	m := Match{Entry: e}
	// A few bytes of a file must not be able to demand a huge network.
	if stem := shapes[e.Stem+".weight"]; len(stem) == 4 && int64(stem.Numel()) == int64(stem[1])*e.growth.channel {
		m.Config.Channels = stem[1]
	}
	if head := shapes[e.Head+".weight"]; len(head) == 2 && int64(head[1]) == e.growth.class-1 {
		m.Config.Classes = head[0]
	}
	var numbers int64
	for _, s := range shapes {
		numbers += int64(s.Numel())
	}
	for i, stage := range e.Stages {
		n := e.Blocks[i]
		if has := blocksIn(stage, shapes); has > 0 && has <= MaxBlocks {
			n = has
		}
		m.Config.Blocks = append(m.Config.Blocks, n)
	}
	if slices.Equal(m.Config.Blocks, e.Blocks) || e.Count(m.Config) > max(2*numbers, 2*e.Params) {
		m.Config.Blocks = nil
	}
	return m
}

// Same reports whether two matches are the same network, apart from the numbers of channels
// and classes and the presence of the last layer.
func (m Match) Same(other Match) bool {
	blocks, others := m.Config.Blocks, other.Config.Blocks
	if len(blocks) == 0 {
		blocks = m.Entry.Blocks
	}
	if len(others) == 0 {
		others = other.Entry.Blocks
	}
	return m.Entry.Family == other.Entry.Family && m.Entry.Divides() == other.Entry.Divides() && slices.Equal(blocks, others) &&
		m.Entry.Count(Config{Blocks: blocks}) == other.Entry.Count(Config{Blocks: others})
}

// Bottleneck reports whether the network's blocks are bottlenecks, which have three
// convolutions each.
func (e Entry) Bottleneck() bool { return strings.HasPrefix(e.form, bottleneckForm) }

// blocksIn counts the blocks of a stage, whose numbers follow the stage's name.
func blocksIn(stage string, shapes map[string]tensor.Shape) int {
	seen := map[string]bool{}
	for name := range shapes {
		if suffix, ok := strings.CutPrefix(name, stage+"."); ok {
			index, _, _ := strings.Cut(suffix, ".")
			seen[index] = true
		}
	}
	return len(seen)
}

// Fits reports whether the shapes are those of the model. It compares the number of parameters
// first, so that it does not make a network unnecessarily.
func (m Match) Fits(shapes map[string]tensor.Shape) bool {
	e, c := m.Entry, m.Config
	var numbers int64
	for _, s := range shapes {
		numbers += int64(s.Numel())
	}
	// A state dict also has the statistics of the batch norms, which are few.
	if n := m.Count(); numbers < n || numbers > n+n/4 {
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
		if m.Headless && strings.HasPrefix(p.Name, e.Head+".") {
			continue
		}
		if !shapes[p.Name].Equal(p.Value.Shape()) {
			return false
		}
		left--
	}
	return left == 0
}
