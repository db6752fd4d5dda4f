package models

import (
	"fmt"
	"slices"
	"strings"

	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
)

// expansion is the ratio of a bottleneck's output channels to its stage's width.
const expansion = 4

// Config adapts a model to data. Zero values stand for the model's own values.
type Config struct {
	Channels int // of the input images
	Classes  int

	// Blocks is the number of blocks of each stage; nil stands for the model's own. The
	// first block of a stage has the shortcut that changes the shape; changing the number
	// adds or removes blocks after it.
	Blocks []int

	// ZeroInit makes every residual branch start at zero, so that a block at first
	// returns its shortcut. It sets the weight of the batch norm at the end of the branch
	// to 0 (torchvision's zero_init_residual; Goyal et al. 2017, section 5.1), or weight and
	// bias of the convolution there. nn.Init also respects it.
	ZeroInit bool

	// StochasticDepth, from 0 to below 1, is the probability with which the last block's
	// branch is dropped for an image in training. The probabilities of the blocks grow in
	// equal steps up to it (Huang et al. 2016, https://arxiv.org/abs/1603.09382,
	// equation 4).
	StochasticDepth float64

	// Blank leaves weights and biases of convolutions and linear layers at 0, for a state
	// dict that is loaded next. This makes a large network much faster. The small LeNet
	// ignores it.
	Blank bool

	stem int // see Entry.WithStem; 0: the model's own
}

// Kind says where the blocks of a network have their activations.
type Kind string

const (
	Plain          Kind = "plain"           // no shortcuts
	PostActivation Kind = "post-activation" // ReLU after the sum: He et al. 2015
	PreActivation  Kind = "pre-activation"  // batch norm and ReLU before the convolutions: He et al. 2016

	InnerActivation Kind = "inner activation" // ReLU within the branch, before the sum: He et al. 2016, figure 4c
)

// Entry describes a model.
type Entry struct {
	Name        string
	Family      string
	Kind        Kind
	Description string
	Classes     int
	FixedSize   bool  // takes no other height and width
	Blocks      []int // number of blocks of each stage; nil for a model without blocks
	Params      int64 // number of parameters with the model's own configuration

	// Names of the first and the last layer with weights, and of the stages. In a state dict
	// they determine channels, classes and blocks.
	Stem, Head string
	Stages     []string

	// Input is the input that the model was made for, which is also the default, and how
	// images become it. Preprocess is empty if that is not specified.
	prepare.Input

	Source string
	New    func(Config) nn.Module // panics where Check returns an error

	growth growth
	form   string // common name of networks that differ only in their numbers of blocks
	stems  bool   // has a choice of stems
	stem   int    // that of WithStem; 0: the model's own
}

// Title returns a title for the network with these numbers of blocks. For the entry's own
// numbers it is the name, and otherwise a description such as "bottleneck ResNet like resnet50
// with 2, 2, 2, 2 blocks a stage".
func (e Entry) Title(blocks []int) string {
	if len(blocks) == 0 || slices.Equal(blocks, e.Blocks) {
		return e.Name
	}
	return fmt.Sprintf("%s like %s with %s blocks a stage", e.form, e.Name, strings.ReplaceAll(list(blocks), ",", ", "))
}

// growth is the number of additional parameters for one more channel of the input, one more
// class, and one more block in each stage.
type growth struct {
	channel, class int64
	blocks         []int64
}

func basicGrowth(widths []int) (g []int64) {
	for _, w := range widths {
		g = append(g, int64(2*9*w*w+2*2*w))
	}
	return g
}

func bottleneckGrowth(widths []int, groups, base int) (g []int64) {
	for _, w := range widths {
		inner, out := w*base/64*groups, w*expansion
		g = append(g, int64(2*inner*out+9*inner*inner/groups+2*(2*inner+out)))
	}
	return g
}

// MaxBlocks is the largest number of blocks that a stage can have.
const MaxBlocks = 1000

// Check returns an error that names the first setting of c that the model cannot have, or nil.
func (e Entry) Check(c Config) error {
	switch {
	case c.Channels < 0 || c.Classes < 0:
		return fmt.Errorf("model %s: %d channels and %d classes: neither can be negative; 0 means the model's own", e.Name, c.Channels, c.Classes)
	case len(c.Blocks) > 0 && len(e.Blocks) == 0:
		return fmt.Errorf("model %s has no stages of blocks; leave the blocks out", e.Name)
	case len(c.Blocks) > 0 && len(c.Blocks) != len(e.Blocks):
		return fmt.Errorf("model %s has %d stages, but blocks were given for %d: %s; its own are %s",
			e.Name, len(e.Blocks), len(c.Blocks), list(c.Blocks), list(e.Blocks))
	case !(c.StochasticDepth >= 0 && c.StochasticDepth < 1):
		return fmt.Errorf("model %s: a stochastic depth of %v; it is the probability to leave out the last block, from 0 to below 1", e.Name, c.StochasticDepth)
	case e.Kind == Plain && c.ZeroInit:
		return fmt.Errorf("model %s has no residual branches that could start at zero; leave the zero initialisation out", e.Name)
	case e.Kind == Plain && c.StochasticDepth > 0:
		return fmt.Errorf("model %s has no shortcuts, so no block can be left out; leave the stochastic depth out", e.Name)
	}
	for i, n := range c.Blocks {
		if n < 1 || n > MaxBlocks {
			return fmt.Errorf("model %s: %d blocks in stage %d of %s; a stage has 1 to %d", e.Name, n, i+1, list(c.Blocks), MaxBlocks)
		}
	}
	return nil
}

// Count returns the number of parameters of the model with configuration c, without making it.
// c must pass Check.
func (e Entry) Count(c Config) int64 {
	c = e.fill(c)
	n := e.Params + int64(c.Channels-e.Channels)*e.growth.channel + int64(c.Classes-e.Classes)*e.growth.class
	for i, blocks := range c.Blocks {
		n += int64(blocks-e.Blocks[i]) * e.growth.blocks[i]
	}
	return n
}

func (e Entry) fill(c Config) Config {
	if c.Channels == 0 {
		c.Channels = e.Channels
	}
	if c.Classes == 0 {
		c.Classes = e.Classes
	}
	if len(c.Blocks) == 0 {
		c.Blocks = e.Blocks
	}
	return c
}

// list formats numbers like 3,4,6,3.
func list(values []int) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(values), "[]"), " ", ",")
}
