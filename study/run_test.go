package study

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/residual-ml/residual/train"
)

// model trains a small net for a moment and returns its file.
func model(t *testing.T, net string) string {
	t.Helper()
	c := train.Config{
		Model: net, Data: "garments", Resize: 14, TrainSize: 320, TestSize: 100, Epochs: 2, Batch: 32, LR: 0.05, Momentum: 0.9, Out: t.TempDir(), Precision: "fp32",
	}
	s, err := train.Run(context.Background(), device(t), c, train.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	return s.Last
}

func text(t *testing.T, parts ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// An interrupted ablation study continues with what has not been measured, and ends with
// the same numbers.
func TestBlocksResume(t *testing.T) {
	dev, file := device(t), model(t, "cifar-preresnet20")
	c := BlocksConfig{Source: Source{Model: file, TestSize: 60, Batch: 25}, Groups: 2, Out: t.TempDir()}
	uninterrupted, err := NewBlocks(context.Background(), dev, c, BlocksCallbacks{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := uninterrupted.Run(context.Background(), dev, BlocksCallbacks{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 9 || r.Rows[0].CanBeLeftOut || !r.Rows[1].CanBeLeftOut || !(r.Rows[1].Share > 0) || len(r.Groups) != 2*2+1 {
		t.Errorf("%+v", r)
	}
	stopped, err := NewBlocks(context.Background(), dev, c, BlocksCallbacks{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n := 0
	count := BlocksCallbacks{OnMeasure: func(done, total int, m Measure) {
		if n++; n == 3 {
			cancel()
		}
	}}
	if _, err := stopped.Run(ctx, dev, count); !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped with %v", err)
	}
	again, err := OpenBlocks(context.Background(), dev, stopped.Dir, func(*Source) {}, BlocksCallbacks{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Run(context.Background(), dev, count); err != nil {
		t.Fatal(err)
	}
	if total := 1 + 6 + 5; n != total {
		t.Errorf("%d measurements in both, want %d", n, total)
	}
	for _, name := range []string{"table.csv", "groups.csv", "blocks.svg"} {
		if text(t, uninterrupted.Dir, name) != text(t, stopped.Dir, name) {
			t.Errorf("%s is another", name)
		}
	}
}

// The ablation of the study has the loss of the net that prune writes.
func TestPrune(t *testing.T) {
	dev, file := device(t), model(t, "cifar-resnet14")
	c := PruneConfig{Source: Source{Model: file, TestSize: 60}, Drop: 2, SelectSize: 50, Out: t.TempDir(), Train: train.Config{Epochs: 2, Batch: 32, TrainSize: 128}}
	p, err := NewPrune(context.Background(), dev, c, PruneCallbacks{})
	if err != nil {
		t.Fatal(err)
	}
	want, err := p.Run(context.Background(), dev, PruneCallbacks{})
	if err != nil {
		t.Fatal(err)
	}
	if len(want.Removed) != 2 || len(want.Rows) != 3 || want.Rows[1].Parameters >= want.Rows[0].Parameters || want.Rows[1].MultiplyAdds >= want.Rows[0].MultiplyAdds || len(want.Epochs) != 2 {
		t.Errorf("%+v", want)
	}

	b, err := NewBlocks(context.Background(), dev, BlocksConfig{Source: c.Source, Out: t.TempDir()}, BlocksCallbacks{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := newAblations(b.source, b.source.test, b.folder, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.log.Close()
	var lost []place
	can, _ := b.source.candidates()
	for _, q := range can {
		for _, name := range want.Removed {
			if b.source.name(q) == name {
				lost = append(lost, q)
			}
		}
	}
	m, err := l.without(context.Background(), lost)
	if err != nil || m.Loss != want.Rows[1].Loss || m.Accuracy != want.Rows[1].Accuracy {
		t.Errorf("the ablation has loss %v and accuracy %v (%v), the smaller net %v and %v", m.Loss, m.Accuracy, err, want.Rows[1].Loss, want.Rows[1].Accuracy)
	}

	// Stopped in the fine-tuning, it ends with the same net.
	stopped, err := NewPrune(context.Background(), dev, c, PruneCallbacks{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, err = stopped.Run(ctx, dev, PruneCallbacks{Callbacks: train.Callbacks{OnEpoch: func(train.Epoch) { cancel() }}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped with %v", err)
	}
	again, err := OpenPrune(context.Background(), dev, stopped.Dir, func(*Source) {}, PruneCallbacks{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := again.Run(context.Background(), dev, PruneCallbacks{})
	if err != nil || text(t, got.Model) != text(t, want.Model) {
		t.Errorf("taken up again it ends with another net (%v)", err)
	}
}

// An impossible request is refused before a folder is created.
func TestPruneRefuses(t *testing.T) {
	dev, file := device(t), model(t, "cifar-resnet14")
	plain := model(t, "cifar-plain8")
	root := filepath.Join(t.TempDir(), "runs")
	for _, c := range []struct {
		config PruneConfig
		says   string
	}{
		{PruneConfig{Source: Source{Model: file}}, "give either Drop"},
		{PruneConfig{Source: Source{Model: file}, Drop: 1, Budget: 0.5}, "give either Drop"},
		{PruneConfig{Source: Source{Model: file}, Budget: 1.5}, "Budget 1.5"},
		{PruneConfig{Source: Source{Model: file}, Budget: 0.1}, "even without all 3 blocks"},
		{PruneConfig{Source: Source{Model: file}, Drop: 4}, "3 blocks of .* can be taken out; every stage keeps one, and these change the shape: layer2.0 layer3.0"},
		{PruneConfig{Source: Source{Model: plain}, Drop: 1}, "a plain net: without shortcuts"},
		{PruneConfig{Source: Source{Model: "none.safetensors"}, Drop: 1}, "none.safetensors"},
	} {
		c.config.Out = root
		_, err := NewPrune(context.Background(), dev, c.config, PruneCallbacks{})
		if err == nil || !matches(c.says, err.Error()) {
			t.Errorf("%q, want %q", err, c.says)
		}
	}
	if _, err := os.Stat(root); err == nil {
		t.Error("a folder was made")
	}
}

func matches(pattern, s string) bool {
	parts := strings.Split(pattern, ".*")
	for _, p := range parts {
		i := strings.Index(s, p)
		if i < 0 {
			return false
		}
		s = s[i+len(p):]
	}
	return true
}

// A grown net that computes another function is refused, and not written.
func TestGrowRefusesAnotherFunction(t *testing.T) {
	dev, file := device(t), model(t, "cifar-resnet8")
	c := GrowConfig{Source: Source{Model: file, TestSize: 40}, Blocks: []int{2, 1, 1}, Out: t.TempDir()}
	g, err := NewGrow(context.Background(), dev, c, train.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := g.Run(context.Background(), dev, train.Callbacks{})
	if err != nil || r.Checked != 40 || r.Rows[0].Loss != r.Rows[1].Loss || r.Rows[1].Parameters <= r.Rows[0].Parameters {
		t.Fatalf("%+v, %v", r, err)
	}
	g.from = [][]int{{0, 0}, {0}, {0}} // the same block twice computes another function
	if err := os.Remove(r.Model); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Run(context.Background(), dev, train.Callbacks{}); err == nil || !strings.Contains(err.Error(), "is not the same function in fp32: image 0") {
		t.Errorf("another function: %v", err)
	}
	if _, err := os.Stat(r.Model); err == nil {
		t.Error("it was written")
	}
}

// An interrupted growth ends with the same numbers, and each step starts where the
// previous one ended.
func TestGrowth(t *testing.T) {
	dev := device(t)
	steps, err := ParseSteps("cifar-resnet8", []string{"8", "2-1-2"})
	if err != nil {
		t.Fatal(err)
	}
	c := GrowthConfig{Steps: steps, Compare: true, CheckSize: 30, Train: train.Config{
		Model: "cifar-resnet8", Data: "garments", Resize: 14, TrainSize: 128, TestSize: 50, Epochs: 3, Batch: 32, LR: 0.05, Momentum: 0.9, Out: t.TempDir(),
	}}
	uninterrupted, err := NewGrowth(dev, c)
	if err != nil {
		t.Fatal(err)
	}
	want, err := uninterrupted.Run(context.Background(), dev, nil, train.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	spent := want.Rows[0].Compute + want.Rows[1].Compute
	if len(want.Rows) != 3 || len(want.Rows[0].Epochs) != 1 || len(want.Rows[1].Epochs) != 2 || want.Rows[1].Checked != 30 ||
		2*max(spent-want.Rows[2].Compute, want.Rows[2].Compute-spent) > want.Rows[1].MultiplyAdds*128 {
		t.Errorf("%+v", want)
	}
	stopped, err := NewGrowth(dev, c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n := 0
	_, err = stopped.Run(ctx, dev, nil, train.Callbacks{OnEpoch: func(train.Epoch) {
		if n++; n == 2 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped with %v", err)
	}
	again, err := OpenGrowth(stopped.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Run(context.Background(), dev, nil, train.Callbacks{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"table.csv", "epochs.csv", "grow.svg"} {
		if text(t, uninterrupted.Dir, name) != text(t, stopped.Dir, name) {
			t.Errorf("%s is another", name)
		}
	}
}

func TestParseSteps(t *testing.T) {
	for _, c := range []struct{ model, word, want string }{
		{"resnet18", "26", "[[3 3 3 3]]"}, {"resnet50", "101", "[[3 4 23 3]]"}, {"d2l-resnet18", "34", "[[3 4 6 3]]"},
		{"cifar-preresnet20", "56", "[[9 9 9]]"}, {"resnet18", "2-3-2-1", "[[2 3 2 1]]"},
		{"resnet18", "19", "of 19 layers is not known; give one of 10,18,26,34"}, {"cifar-resnet8", "9", "6n+2"},
		{"d2l-bnlenet", "18", "no residual blocks"}, {"resnet18", "2--2", "is no depth"}, {"none", "18", "not known"},
	} {
		steps, err := ParseSteps(c.model, []string{c.word})
		if err != nil {
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, %s: %v", c.model, c.word, err)
			}
		} else if got := fmt.Sprint(steps); got != c.want {
			t.Errorf("%s, %s: %s, want %s", c.model, c.word, got, c.want)
		}
	}
}
