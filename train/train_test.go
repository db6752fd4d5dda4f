package train_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/internal/host"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/train"
)

func device(t *testing.T, threads int) *cpu.Device {
	t.Helper()
	d, err := cpu.New(cpu.Options{Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func garments(t *testing.T, split data.Split, size int) data.Dataset {
	t.Helper()
	ds, err := data.Open(context.Background(), "garments", data.Options{Split: split, Size: size})
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

// small is a residual network with every kind of layer of d2l-resnet18, and a dropout.
type small struct {
	Stem, Stages nn.Sequential
	Drop         nn.Dropout
	Head         *nn.Linear
}

func newSmall() *small {
	return &small{
		Stem:   nn.Sequential{nn.NewConv2d(1, 8, 5, nn.Conv{Stride: 2, Padding: 2}), nn.NewBatchNorm2d(8), nn.ReLU{}, nn.MaxPool2d{Kernel: 3, Stride: 2, Padding: 1}},
		Stages: append(nn.ResnetBlock(8, 8, 1, true), nn.ResnetBlock(8, 20, 2, false)...),
		Drop:   nn.Dropout{P: 0.2},
		Head:   nn.NewLinear(20, 10),
	}
}

func (m *small) Forward(x *graph.Node) *graph.Node {
	x = m.Stages.Forward(m.Stem.Forward(x))
	return m.Head.Forward(m.Drop.Forward(nn.Flatten{}.Forward(nn.AdaptiveAvgPool2d{}.Forward(x))))
}

func leNet() nn.Module { return models.NewD2LBNLeNet(1, 10) }

// hash returns a digest of all parameters and buffers.
func hash(m nn.Module) string {
	h := sha256.New()
	for _, e := range nn.StateDict(m) {
		fmt.Fprintln(h, e.Name)
		if err := binary.Write(h, binary.LittleEndian, e.Tensor.Data()); err != nil {
			panic(err)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

func TestRunLeavesAFolder(t *testing.T) {
	out := filepath.Join(t.TempDir(), "deep", "runs")
	dev := device(t, 0)
	c := train.Config{Data: "garments", Model: "d2l-bnlenet", Batch: 50, Epochs: 2, LR: 0.5, TrainSize: 320, TestSize: 90, Out: out, Seed: 3}
	var start train.Start
	s, err := train.Run(context.Background(), dev, c, train.Callbacks{OnStart: func(st train.Start) { start = st }})
	if err != nil {
		t.Fatal(err)
	}
	if start.Parameters != 44878 || start.Images != 320 || start.Tests != 90 || start.Batches != 7 || start.PlannedBytes != s.PlannedBytes || start.Dir != s.Dir {
		t.Errorf("start %+v", start)
	}
	if s.Dir != filepath.Join(out, "train-1") || s.Epochs != 2 || s.Config.Resize != 28 || s.Device != "cpu" || s.PlannedBytes <= 0 {
		t.Errorf("summary %+v", s)
	}
	var names []string
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"best.safetensors", "last.safetensors", "metrics.csv", "metrics.jsonl", train.RecipeFile, "settings.yaml", "state.safetensors"}; !slices.Equal(names, want) {
		t.Errorf("the folder holds %v, want %v", names, want)
	}
	chosen, given, ok := strings.Cut(read(t, filepath.Join(s.Dir, train.RecipeFile)), "Given by you:")
	if !ok || !strings.Contains(chosen, "2 epochs of 7 batches are 14 steps") || !strings.Contains(chosen, "  optimizer: sgd\n") || !strings.Contains(given, "  lr: 0.5\n") {
		t.Errorf("chosen: %s\ngiven: %s", chosen, given)
	}
	about, file, err := checkpoint.LoadModel(s.Best)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	if n := len(about.Temperature); n != 1 || about.Augment != "none" {
		t.Errorf("%d temperatures, augmented by %q", n, about.Augment)
	}
	settings := read(t, filepath.Join(s.Dir, "settings.yaml"))
	for _, want := range []string{"model: d2l-bnlenet", "resize: 28", "lr: 0.5", "optimizer: sgd", "init: xavier-uniform", "go_version: go"} {
		if !strings.Contains(settings, want) {
			t.Errorf("settings.yaml does not contain %q:\n%s", want, settings)
		}
	}
	rows := strings.Split(strings.TrimSpace(read(t, filepath.Join(s.Dir, "metrics.jsonl"))), "\n")
	if len(rows) != 14 { // 7 batches give a point each
		t.Errorf("%d rows of metrics", len(rows))
	}
	var lastRow struct {
		Epoch    float64
		Step     int
		TestAcc  *float64 `json:"test_acc"`
		TrainAcc float64  `json:"train_acc"`
	}
	if err := json.Unmarshal([]byte(rows[len(rows)-1]), &lastRow); err != nil {
		t.Fatal(err)
	}
	if lastRow.Epoch != 2 || lastRow.Step != 14 || lastRow.TestAcc == nil || *lastRow.TestAcc != s.TestAccuracy || lastRow.TrainAcc != s.Accuracy {
		t.Errorf("the last row is %s, the summary %+v", rows[len(rows)-1], s)
	}
	usable(t, dev, s)
	if again, err := train.Run(context.Background(), dev, c, train.Callbacks{}); err != nil || again.Dir != filepath.Join(out, "train-2") ||
		again.Loss != s.Loss || again.TestAccuracy != s.TestAccuracy {
		t.Errorf("once more: %+v (%v)", again, err)
	}
}

// usable loads the last model file and measures the accuracy that the run reported.
func usable(t *testing.T, dev *cpu.Device, s train.Summary) {
	t.Helper()
	c, err := inference.Load(s.Last, dev, engine.FP32)
	if err != nil {
		t.Fatal(err)
	}
	m := c.Info()
	if m.Architecture != "d2l-bnlenet" || len(m.Classes) != 10 || m.Dataset != "garments" || m.Epoch != 2 || m.Preprocess.NativeWidth != 28 || !m.Preprocess.Grey {
		t.Errorf("the file says %+v", m)
	}
	res, err := c.Evaluate(context.Background(), garments(t, data.Test, 90), data.LoaderConfig{Batch: 50}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.Accuracy != s.TestAccuracy || m.Metrics["test_accuracy"] != s.TestAccuracy {
		t.Errorf("the file has accuracy %v and says %v, the run %v", res.Accuracy, m.Metrics["test_accuracy"], s.TestAccuracy)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestStopLeavesAUsableFile(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	dev := device(t, 0)
	c := train.Config{Data: "garments", Batch: 50, Epochs: 3, TrainSize: 300, TestSize: 50, Out: t.TempDir()}
	steps := 0
	s, err := train.Run(ctx, dev, c, train.Callbacks{OnBatch: func(train.BatchEvent) {
		if steps++; steps == 9 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "epoch 2 after batch 3 of 6") || !strings.Contains(err.Error(), s.Last) {
		t.Errorf("stopped with %v", err)
	}
	if steps != 9 || s.Steps != 9 || s.Epochs != 1 || s.Stopped == nil || *s.Stopped != (train.Place{Epoch: 2, Batch: 3}) {
		t.Errorf("%d steps, summary %+v", steps, s)
	}
	m, err := inference.Load(s.Last, dev, engine.FP32)
	if err != nil {
		t.Fatal(err)
	}
	if m.Info().Epoch != 1 || m.Info().Metrics["steps"] != 9 {
		t.Errorf("the file says %+v", m.Info())
	}
	if _, err := inference.Load(s.Best, dev, engine.FP32); err != nil {
		t.Error(err)
	}
}

// interrupting is a data set whose images, from a certain one on, cannot be read because the
// context ends while that one is read.
type interrupting struct {
	data.Dataset
	from   int
	ctx    context.Context
	cancel func()
}

func (d interrupting) Get(i int, pix []uint8) (int, error) {
	if i < d.from {
		return d.Dataset.Get(i, pix)
	}
	d.cancel()
	return 0, fmt.Errorf("image %d: %w", i, d.ctx.Err())
}

// A training also stops as it should if the end of the context is noticed by the reader of an
// image first.
func TestStopInsideAnImage(t *testing.T) {
	dev := device(t, 0)
	for name, from := range map[string]int{"at once": 0, "in the test": 1} {
		ctx, cancel := context.WithCancel(t.Context())
		c := train.Config{Model: "d2l-bnlenet", Batch: 50, Epochs: 2, Out: t.TempDir()}
		c.TrainSet, c.TestSet = garments(t, data.Train, 100), garments(t, data.Test, 50)
		want := train.Place{Epoch: 1, Batch: 2}
		if from == 0 {
			c.TrainSet, want.Batch = interrupting{c.TrainSet, 0, ctx, cancel}, 0
		} else {
			c.TestSet = interrupting{c.TestSet, 49, ctx, cancel}
		}
		s, err := train.Run(ctx, dev, c, train.Callbacks{})
		if !errors.Is(err, context.Canceled) || s.Stopped == nil || *s.Stopped != want {
			t.Errorf("%s: stopped at %v with %v", name, s.Stopped, err)
		}
		if _, err := inference.Load(s.Last, dev, engine.FP32); err != nil {
			t.Error(err)
		}
		cancel()
	}
}

// A loss that is not finite ends the run before the weights are updated.
func TestDivergenceEndsTheRun(t *testing.T) {
	dev := device(t, 0)
	c := train.Config{Data: "garments", Batch: 50, Epochs: 1, LR: 1000, Schedule: "step,gamma=1e35,at=0.001", TrainSize: 300, TestSize: 50, Out: t.TempDir()}
	s, err := train.Run(context.Background(), dev, c, train.Callbacks{})
	if err == nil || !strings.Contains(err.Error(), "epoch 1, batch ") || !strings.Contains(err.Error(), "(LR)") {
		t.Fatalf("diverged with %v", err)
	}
	if s.Last != "" {
		t.Errorf("there is a file %s of no completed epoch", s.Last)
	}
	c.LR, c.Epochs, c.Schedule = 1, 2, "step,gamma=3e38,at=0.5"
	s, err = train.Run(context.Background(), dev, c, train.Callbacks{})
	if err == nil || !strings.Contains(err.Error(), "epoch 2, batch ") || !strings.Contains(err.Error(), "weights of epoch 1 are in "+s.Last) {
		t.Fatalf("diverged later with %v", err)
	}
	if m, err := inference.Load(s.Last, dev, engine.FP32); err != nil || m.Info().Epoch != 1 {
		t.Errorf("the file of the last good epoch: %v", err)
	}
}

// Settings that are not given take the values that suit the data set.
func TestRecipes(t *testing.T) {
	c := train.Config{Data: "cifar100"}.Resolved()
	if c.Model != "cifar-resnet20" || c.Resize != 32 || c.Batch != 128 || c.LR != 0.1 || c.Epochs != 164 || c.Momentum != 0.9 || c.WeightDecay != 1e-4 ||
		c.Init != "kaiming-normal" || c.Schedule != "step,gamma=0.1,at=0.5,at=0.75" {
		t.Errorf("cifar100: %+v", c)
	}
	if c := (train.Config{Data: "cifar10", Optimizer: "adam", Model: "resnet18", LR: 0.01}).Resolved(); c.Momentum != 0 || c.WeightDecay != 0 || c.LR != 0.01 {
		t.Errorf("cifar10 by adam: %+v", c)
	}
	for set, want := range map[string]string{"cifar10": "crop", "cifar100": "crop", "mnist": "none", "fashion-mnist": "none"} {
		if got := (train.Config{Data: set}).Resolved().Augment; got != want {
			t.Errorf("%s is augmented by %s, not %s", set, got, want)
		}
		if got := (train.Config{Data: set, Preparation: train.Preparation{Augment: "flip"}}).Resolved().Augment; got != "flip" {
			t.Errorf("%s: flip was given, and it is %s", set, got)
		}
	}
	if c := (train.Config{Data: "mnist"}).Resolved(); c.Model != "d2l-bnlenet" || c.Resize != 28 || c.LR != 1 || c.Init != "xavier-uniform" {
		t.Errorf("mnist: %+v", c)
	}
	for _, c := range []train.Config{{Data: "mnist"}, {Data: "mnist", Model: "d2l-resnet18"}, {Data: "cifar10"}, {Data: "cifar100", Model: "preresnet18"}} {
		if err := c.Check(); err != nil {
			t.Error(err)
		}
	}
}

func TestConfigErrorsComeBeforeAnyWork(t *testing.T) {
	dev := device(t, 1)
	taken := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(taken, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]train.Config{
		"d2l-resnet18, d2l-bnlenet":       {Model: "alexnet"},
		"fashion-mnist, garments":         {Data: "imagenet"},
		"Batch -1":                        {Batch: -1},
		"Epochs -2":                       {Epochs: -2},
		"Resize 9999":                     {Resize: 9999},
		"only 28x28":                      {Model: "d2l-bnlenet", Resize: 96},
		"LR -1: must be a number above 0": {LR: -1},
		"Optimizer adam9 is not known":    {Optimizer: "adam9"},
		"schedule":                        {Schedule: "cosine,warmup=2"},
		"Init zeros is not known":         {Init: "zeros"},
		"Momentum -0.5: must be":          {Momentum: -0.5},
		"auto, bf16, tf32, fp32":          {Precision: "int8"},
		"choose another with Out":         {Data: "garments", Out: taken},
		"none-such":                       {Data: "fashion-mnist", DataDir: "none-such"},
		"larger batch":                    {Data: "garments", Model: "d2l-bnlenet", Batch: 20, LastBatch: train.ShortLast, TrainSize: 41, TestSize: 5},
	} {
		root := t.TempDir()
		if c.Out == "" {
			c.Out = filepath.Join(root, "runs")
		}
		_, err := train.Run(context.Background(), dev, c, train.Callbacks{})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: got %v, want %q", c, err, want)
		}
		if left, _ := os.ReadDir(root); len(left) > 0 {
			t.Errorf("%q leaves %v behind", want, left)
		}
	}
}

func TestZeroConfigIsTheRecipeOfTheNotes(t *testing.T) {
	c := train.Config{}.Resolved()
	want := train.Config{
		Model: "d2l-resnet18", Data: "fashion-mnist", Resize: 96, Batch: 256, LastBatch: train.EvenLast, LR: 0.05, Epochs: 10, Optimizer: "sgd",
		Preparation: train.Preparation{Augment: "none"},
		Schedule:    "constant", Init: "xavier-uniform", Precision: "auto", Out: "runs",
	}
	is, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := json.Marshal(want); err != nil || !bytes.Equal(is, text) {
		t.Errorf("got %s, want %s (%v)", is, text, err)
	}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
}

func TestPeakMemory(t *testing.T) {
	ballast := make([]byte, 64<<20)
	for i := 0; i < len(ballast); i += 4096 {
		ballast[i] = 1
	}
	if got := host.PeakMemory(); got != 0 && got < int64(len(ballast)) {
		t.Errorf("a peak of %d bytes, although %d are in use", got, len(ballast))
	}
}
