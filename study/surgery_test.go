package study

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/inference/forward"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
	"github.com/residual-ml/residual/report"
	"github.com/residual-ml/residual/tensor"
)

func device(t *testing.T) engine.Device {
	t.Helper()
	d, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// families returns one model name for every family of residual nets.
func families(t *testing.T) (names []string) {
	seen := map[string]bool{}
	for _, name := range models.Names() {
		e, err := models.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		// The smallest comes first. Models with bottlenecks have other blocks.
		key := fmt.Sprint(e.Family, strings.HasSuffix(name, "50"))
		if e.Kind != models.Plain && len(e.Blocks) > 0 && !seen[key] {
			seen[key] = true
			names = append(names, name)
		}
	}
	return names
}

// tooLarge skips families whose weights take seconds to generate.
func tooLarge(t *testing.T, m nn.Module) {
	const most = 9_000_000
	if nn.Count(m) > most && os.Getenv("RESIDUAL_LONG") == "" {
		t.Skipf("%s parameters; RESIDUAL_LONG=1 tests it", report.Count(nn.Count(m)))
	}
}

// trained returns a net with random weights and statistics, as if it had been trained.
func trained(t *testing.T, name string, blocks int) (checkpoint.Model, models.Net) {
	t.Helper()
	e, err := models.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	about := checkpoint.Model{Architecture: name, Input: prepare.Input{Channels: 1}, Classes: []string{"a", "b", "c"}}
	m := e.New(models.Config{Channels: 1, Classes: 3, Blocks: slices.Repeat([]int{blocks}, len(e.Blocks))})
	nn.Init(m, 5, nn.KaimingNormal)
	r := rand.New(rand.NewPCG(1, 2))
	for _, p := range nn.Named(m) {
		if v := p.Value.Data(); len(p.Value.Shape()) == 1 {
			for i := range v {
				switch {
				case strings.HasSuffix(p.Name, "running_var") || strings.HasSuffix(p.Name, "weight"):
					v[i] = 0.5 + r.Float32()
				default:
					v[i] = r.Float32() - 0.5
				}
			}
		}
	}
	return about, m.(models.Net)
}

// logits returns the outputs for three random images.
func logits(t *testing.T, m nn.Module, p engine.Precision) []float32 {
	t.Helper()
	return logitsOn(t, engine.NewStore(device(t)), m, p)
}

func logitsOn(t *testing.T, store *engine.Store, m nn.Module, p engine.Precision) []float32 {
	t.Helper()
	x := tensor.New(3, 1, 32, 32)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range x.Data() {
		x.Data()[i] = r.Float32()
	}
	y, err := forward.NewRunner(m, store, p).Logits(x)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(y.Data())
}

func sameFloats(t *testing.T, what string, got, want []float32) {
	t.Helper()
	moved := false
	for i, v := range want {
		if math.Float32bits(v) != math.Float32bits(got[i]) {
			t.Errorf("%s: output %d is %v, want %v", what, i, got[i], v)
			return
		}
		moved = moved || i > 0 && v != want[0]
	}
	if !moved {
		t.Errorf("%s: all outputs are %v, which tells nothing", what, want[0])
	}
}

var precisions = []engine.Precision{engine.FP32, engine.BF16}

// A net that has grown gives the same bits, in every family and both precisions.
func TestGrownNetsGiveTheSameBits(t *testing.T) {
	names := families(t)
	if len(names) < 8 {
		t.Fatalf("only the families of %v", names)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) { growKeepsBits(t, name) })
	}
}

func growKeepsBits(t *testing.T, name string) {
	about, old := trained(t, name, 1)
	tooLarge(t, old)
	have := blocksOf(old)
	want := slices.Clone(have)
	want[0], want[len(want)-1] = 2, 3
	from, err := grown(have, want)
	if err != nil {
		t.Fatal(err)
	}
	net, err := rebuilt(about, old, from, 9)
	if err != nil {
		t.Fatal(err)
	}
	if got := blocksOf(net); !slices.Equal(got, want) {
		t.Fatalf("%s: %v blocks, want %v", name, got, want)
	}
	was, is := engine.NewStore(device(t)), engine.NewStore(device(t))
	for _, p := range precisions {
		sameFloats(t, p.String(), logitsOn(t, is, net, p), logitsOn(t, was, old, p))
	}
}

// An ablation and a prune equal, bit by bit, the net that is built without the block.
func TestAblationsEqualNetsWithoutTheBlock(t *testing.T) {
	for _, name := range families(t) {
		t.Run(name, func(t *testing.T) { ablationIsSmallerNet(t, name) })
	}
}

func ablationIsSmallerNet(t *testing.T, name string) {
	about, old := trained(t, name, 2)
	tooLarge(t, old)
	lost := []place{{0, 1}, {1, 1}}
	l := &Ablation{Net: old, Out: map[models.Block]bool{}}
	for _, q := range lost {
		l.Out[old.Stages()[q.stage].Blocks[q.index]] = true
	}
	small, err := rebuilt(about, old, without(blocksOf(old), lost), 0)
	if err != nil {
		t.Fatal(err)
	}
	if nn.Count(small) >= nn.Count(old) {
		t.Errorf("%d parameters without blocks, %d with", nn.Count(small), nn.Count(old))
	}
	was, is := engine.NewStore(device(t)), engine.NewStore(device(t))
	for _, p := range precisions {
		got := logitsOn(t, was, l, p)
		sameFloats(t, p.String(), got, logitsOn(t, is, small, p))
		if slices.Equal(got, logitsOn(t, was, old, p)) {
			t.Errorf("in %v leaving blocks out changes nothing", p)
		}
	}
}

// Blocks behind a removed one are renumbered. The first block of a stage may be removed
// where it has the same form as the others.
func TestPruneTakesTheFirstBlock(t *testing.T) {
	about, old := trained(t, "cifar-resnet20", 3)
	small, err := rebuilt(about, old, without([]int{3, 3, 3}, []place{{0, 0}, {1, 1}}), 0)
	if err != nil {
		t.Fatal(err)
	}
	l := &Ablation{old, map[models.Block]bool{old.Stages()[0].Blocks[0]: true, old.Stages()[1].Blocks[1]: true}}
	sameFloats(t, "without layer1.0 and layer2.1", logits(t, small, engine.FP32), logits(t, l, engine.FP32))
}

func TestGrowthRefuses(t *testing.T) {
	for _, c := range []struct {
		have, want []int
		says       string
	}{
		{[]int{2, 2}, []int{2, 2}, "has 2,2 blocks already"},
		{[]int{2, 2}, []int{3, 1}, "1 blocks in stage 2, where the net has 2"},
		{[]int{2, 2}, []int{3, 3, 3}, "3,3,3 has 3 stages, and the net has 2: 2,2"},
		{[]int{2, 2}, []int{2, 100000}, "at most 1000"},
	} {
		if _, err := grown(c.have, c.want); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v from %v: %v", c.want, c.have, err)
		}
	}
}

// A plain net is the residual one without the addition: it has the same parameters by
// name, the same initial weights, the same multiply-adds, and computes the residual net's
// branches alone.
func TestPlainNetsAreResidualNetsMinusTheAddition(t *testing.T) {
	c := DepthConfig{}
	plain, err := models.New(c.model("plain", 14), models.Config{Channels: 1, Classes: 3})
	if err != nil {
		t.Fatal(err)
	}
	residual, err := models.New(c.model("residual", 14), models.Config{Channels: 1, Classes: 3})
	if err != nil {
		t.Fatal(err)
	}
	nn.Init(plain, 1, nn.KaimingNormal)
	nn.Init(residual, 1, nn.KaimingNormal)
	a, b := nn.StateDict(plain), nn.StateDict(residual)
	for i := range b {
		if len(a) != len(b) || a[i].Name != b[i].Name || !slices.Equal(a[i].Tensor.Data(), b[i].Tensor.Data()) {
			t.Fatalf("parameter %d: %s, want %s, and equal", i, a[i].Name, b[i].Name)
		}
	}
	without := &branches{residual.(models.Net)}
	for _, p := range precisions {
		sameFloats(t, p.String(), logits(t, plain, p), logits(t, without, p))
	}
	x := tensor.Shape{1, 1, 28, 28}
	s, err := nn.Summary(plain, x)
	if err != nil {
		t.Fatal(err)
	}
	r, err := nn.Summary(residual, x)
	if err != nil || s.MACs != r.MACs || s.MACs == 0 {
		t.Errorf("%d multiply-adds, the residual net %d (%v)", s.MACs, r.MACs, err)
	}
}

// branches is a post-activation net without its shortcuts.
type branches struct {
	Net models.Net `nn:"-"`
}

func (m *branches) Forward(x *graph.Node) *graph.Node {
	return m.Net.Through(x, func(b models.Block, x *graph.Node) *graph.Node {
		branch, _ := b.Parts(x)
		return nn.ReLU{}.Forward(branch)
	})
}
