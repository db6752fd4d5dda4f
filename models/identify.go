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

	// Headless says that the last layer is not there: a backbone, which tells no classes
	// apart. Config.Classes is 0.
	Headless bool
}

// Title is that of the entry with the match's blocks, and that the last layer is
// missing where it is.
func (m Match) Title() string {
	if m.Headless {
		return m.Entry.Title(m.Config.Blocks) + " without its last layer"
	}
	return m.Entry.Title(m.Config.Blocks)
}

// Count is the Count of the entry, less the last layer where it is missing.
func (m Match) Count() int64 {
	n := m.Entry.Count(m.Config)
	if m.Headless {
		n -= int64(m.Entry.Classes) * m.Entry.growth.class
	}
	return n
}

// Identify finds the models of a state dict, with its last layer or without, by the
// shapes of its entries. Nets that differ in nothing but their operations, such as a
// CIFAR net with and without its additions, are all returned; of those that differ in
// their blocks alone, which are the same net, the one whose blocks are its own, or else
// the first that is listed.
func Identify(shapes map[string]tensor.Shape) []Match {
	var found []Match
	for _, name := range Names() {
		e, _ := Lookup(name)
		m, err := e.Configured(shapes)
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

// Configured reads the channels, classes and blocks of a state dict of the model off
// its shapes. The error says what is not there, be it of the last layer a part.
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

// Nearest is Configured for shapes that need not be those of the model: what they do not
// tell is as the model has it.
func (e Entry) Nearest(shapes map[string]tensor.Shape) Match {
	m := Match{Entry: e}
	// A few bytes of a file are not to ask for a large net.
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
		if has := blocksIn(stage, shapes); has > 0 && has <= MostBlocks {
			n = has
		}
		m.Config.Blocks = append(m.Config.Blocks, n)
	}
	if slices.Equal(m.Config.Blocks, e.Blocks) || e.Count(m.Config) > max(2*numbers, 2*e.Params) {
		m.Config.Blocks = nil
	}
	return m
}

// Same reports whether two matches are one net, but for the numbers of channels and
// classes and for the last layer.
func (m Match) Same(other Match) bool {
	blocks, others := m.Config.Blocks, other.Config.Blocks
	if len(blocks) == 0 {
		blocks = m.Entry.Blocks
	}
	if len(others) == 0 {
		others = other.Entry.Blocks
	}
	return m.Entry.Family == other.Entry.Family && slices.Equal(blocks, others) &&
		m.Entry.Count(Config{Blocks: blocks}) == other.Entry.Count(Config{Blocks: others})
}

// Bottleneck reports whether the net's blocks are bottlenecks, of three convolutions
// each.
func (e Entry) Bottleneck() bool { return strings.HasPrefix(e.form, bottleneckForm) }

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

// Fits reports whether the shapes are those of the model. The count comes first, so
// that no net is made in vain.
func (m Match) Fits(shapes map[string]tensor.Shape) bool {
	e, c := m.Entry, m.Config
	var numbers int64
	for _, s := range shapes {
		numbers += int64(s.Numel())
	}
	// Beside what is trained stand the statistics of the batch norms, which are few.
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
