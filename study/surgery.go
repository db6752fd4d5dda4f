package study

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/quant"
	"github.com/residual-ml/residual/tensor"
)

// place identifies a block of a net by its stage and its index there.
type place struct{ stage, index int }

// blockName returns the prefix of the names of a block's parameters, such as layer2.3.
func blockName(s models.Stage, index int) string { return s.Name + "." + strconv.Itoa(index) }

// residualNet returns m as a net of residual blocks, or an error that says why it is none.
func residualNet(path, architecture string, m nn.Module) (models.Net, error) {
	if _, scheme := quant.Unwrap(m); scheme != nil {
		return nil, fmt.Errorf("%s is quantised, and blocks are added to and left out of nets in floating point; give the model that it was made from", path)
	}
	if net, ok := m.(models.Net); ok {
		return net, nil
	}
	e, err := models.Lookup(architecture)
	if err == nil && e.Kind == models.Plain && len(e.Blocks) > 0 {
		return nil, fmt.Errorf("%s is %s, a plain net: without shortcuts no block can be added or left out; give a residual net", path, architecture)
	}
	return nil, fmt.Errorf("%s is %s, which has no residual blocks; give a residual net", path, architecture)
}

// blocksOf counts the blocks of each stage.
func blocksOf(net models.Net) (counts []int) {
	for _, s := range net.Stages() {
		counts = append(counts, len(s.Blocks))
	}
	return counts
}

// rebuilt returns a net with another number of blocks and the values of old: block j of
// stage i takes the values of block from[i][j]. A negative index stands for a new block
// that computes the identity.
func rebuilt(about checkpoint.Model, old models.Net, from [][]int, seed uint64) (models.Net, error) {
	c := models.Config{Channels: about.Channels, Classes: len(about.Names())}
	for _, f := range from {
		c.Blocks = append(c.Blocks, len(f))
	}
	m, err := models.New(about.Architecture, c)
	if err != nil {
		return nil, err
	}
	net := m.(models.Net)
	nn.Init(net, seed, nn.KaimingNormal)
	values := map[string]*tensor.Tensor{}
	for _, v := range nn.StateDict(old) {
		values[v.Name] = v.Tensor
	}
	moved := map[string]string{} // the old prefix of a block's names by its new one
	for i, s := range net.Stages() {
		for j, b := range s.Blocks {
			if k := from[i][j]; k >= 0 {
				moved[blockName(s, j)] = blockName(s, k)
				continue
			}
			if !b.Identity() {
				return nil, fmt.Errorf("block %s cannot be new: it changes the shape", blockName(s, j))
			}
			b.Last().Zero()
			moved[blockName(s, j)] = ""
		}
	}
	for _, v := range nn.StateDict(net) {
		name := v.Name
		if parts := strings.SplitN(name, ".", 3); len(parts) == 3 {
			if was, ok := moved[parts[0]+"."+parts[1]]; ok && was == "" {
				continue
			} else if ok {
				name = was + "." + parts[2]
			}
		}
		value := values[name]
		if value == nil || !value.Shape().Equal(v.Tensor.Shape()) {
			return nil, fmt.Errorf("%s has no values for %s of the changed net", about.Architecture, v.Name)
		}
		copy(v.Tensor.Data(), value.Data())
		copy(v.Tensor.Ints(), value.Ints())
	}
	return net, nil
}

// grown returns, for every block of a deeper net, the index of its original block. New
// blocks come last in their stages.
func grown(have, want []int) (from [][]int, err error) {
	if len(have) != len(want) {
		return nil, fmt.Errorf("%s has %d stages, and the net has %d: %s", commas(want), len(want), len(have), commas(have))
	}
	more := false
	for i, n := range want {
		if n < have[i] {
			return nil, fmt.Errorf("%d blocks in stage %d, where the net has %d already; it can only grow from %s", n, i+1, have[i], commas(have))
		}
		if n > models.MaxBlocks {
			return nil, fmt.Errorf("%d blocks in stage %d; a stage has at most %d", n, i+1, models.MaxBlocks)
		}
		more = more || n > have[i]
		f := make([]int, n)
		for j := range f {
			if f[j] = j; j >= have[i] {
				f[j] = -1
			}
		}
		from = append(from, f)
	}
	if !more {
		return nil, fmt.Errorf("the net has %s blocks already; give more in some stage", commas(have))
	}
	return from, nil
}

// without returns, for every block of a net without the blocks of lost, its original index.
func without(have []int, lost []place) (from [][]int) {
	for i, n := range have {
		f := []int{}
		for j := range n {
			if !slices.Contains(lost, place{i, j}) {
				f = append(f, j)
			}
		}
		from = append(from, f)
	}
	return from
}

// commas formats values as 3,4,6,3.
func commas(values []int) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(values), "[]"), " ", ",")
}

// Ablation is a net without some of its identity blocks: the input of such a block is
// passed on unchanged.
type Ablation struct {
	Net models.Net            `nn:"-"`
	Out map[models.Block]bool `nn:"-"`
}

// Forward implements nn.Module.
func (l *Ablation) Forward(x *graph.Node) *graph.Node {
	return l.Net.Through(x, func(b models.Block, x *graph.Node) *graph.Node {
		if l.Out[b] {
			return x
		}
		return b.Forward(x)
	})
}

// changed returns the description of a changed net for its model file.
func changed(about checkpoint.Model, net models.Net) checkpoint.Model {
	about.Blocks, about.Metrics, about.Temperature, about.Residual, about.Go = blocksOf(net), nil, nil, "", ""
	return about
}
