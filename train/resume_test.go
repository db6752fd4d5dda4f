package train_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/tensor"
	"github.com/residual-ml/residual/train"
	"github.com/residual-ml/residual/weights/safetensors"
)

// brief is a training of a few seconds whose result depends on everything that is saved:
// momentum, a falling learning rate, and the statistics of batch norms.
func brief(out string, precision string) train.Config {
	return train.Config{
		Data: "garments", Batch: 50, Epochs: 4, LR: 0.3, Momentum: 0.9, Schedule: "cosine,min=0.1", TrainSize: 320, TestSize: 90,
		Out: out, Seed: 3, Precision: precision,
	}
}

// stopAt runs c until a step, which is counted over all epochs.
func stopAt(t *testing.T, c train.Config, threads, step int) train.Summary {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n := 0
	s, err := train.Run(ctx, device(t, threads), c, train.Callbacks{OnBatch: func(train.BatchEvent) {
		if n++; n == step {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("stopped with %v", err)
	}
	return s
}

func resume(t *testing.T, dir string, threads int, cb train.Callbacks) train.Summary {
	t.Helper()
	r, err := train.OpenRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.Resume(context.Background(), device(t, threads), r.Config, cb)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// same compares the files of two runs: the bits of the models and of the values in the state,
// and the metrics except those that depend on the time.
func same(t *testing.T, got, want string) {
	t.Helper()
	for _, name := range []string{"last.safetensors", "best.safetensors"} {
		if read(t, filepath.Join(got, name)) != read(t, filepath.Join(want, name)) {
			t.Errorf("%s differs from that of the run that was never stopped", name)
		}
	}
	a, b := values(t, filepath.Join(got, "state.safetensors")), values(t, filepath.Join(want, "state.safetensors"))
	if len(a) != len(b) {
		t.Errorf("%d values in the state, want %d", len(a), len(b))
	}
	for name, w := range b {
		if v := a[name]; v == nil || !slices.Equal(v.Data(), w.Data()) {
			t.Errorf("%s differs in the state", name)
		}
	}
	if g, w := untimed(t, got), untimed(t, want); g != w {
		t.Errorf("metrics\n%s\nwant\n%s", g, w)
	}
}

func values(t *testing.T, path string) map[string]*tensor.Tensor {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := f.Tensors()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// untimed returns metrics.csv without its last two columns, rate and seconds, and the number
// of rows of metrics.jsonl.
func untimed(t *testing.T, dir string) string {
	t.Helper()
	var text strings.Builder
	for line := range strings.Lines(read(t, filepath.Join(dir, "metrics.csv"))) {
		cells := strings.Split(strings.TrimSpace(line), ",")
		text.WriteString(strings.Join(cells[:len(cells)-2], ",") + "\n")
	}
	rows := strings.Count(read(t, filepath.Join(dir, "metrics.jsonl")), "\n")
	return text.String() + strings.Repeat("|", rows)
}

// A run that was stopped twice in the middle of an epoch, and resumed with another number of
// threads, ends with the same bits as one that was not stopped.
func TestResumeEndsWithTheSameBits(t *testing.T) {
	for _, precision := range []string{"fp32", "bf16"} {
		t.Run(precision, func(t *testing.T) {
			root := t.TempDir()
			want, err := train.Run(context.Background(), device(t, 2), brief(root, precision), train.Callbacks{})
			if err != nil {
				t.Fatal(err)
			}
			s := stopAt(t, brief(root, precision), 1, 10) // 7 steps are an epoch
			if s.State != filepath.Join(s.Dir, "state.safetensors") || s.Epochs != 1 {
				t.Fatalf("stopped with %+v", s)
			}
			r, err := train.OpenRun(s.Last)
			if err != nil || r.Dir != s.Dir || r.Epochs != 1 {
				t.Fatalf("%+v, %v", r, err)
			}
			var start train.Start
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			_, err = r.Resume(ctx, device(t, 3), r.Config, train.Callbacks{
				OnStart: func(s train.Start) { start = s },
				OnEpoch: func(e train.Epoch) {
					if e.Epoch == 3 {
						cancel()
					}
				},
			})
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("stopped again with %v", err)
			}
			if p := start.Past; p == nil || p.Epochs != 1 || p.Steps != 7 || len(p.Points) != 7 || len(p.Tests) != 1 || p.Points[6].X != 1 {
				t.Errorf("the past is %+v", start.Past)
			}
			got := resume(t, s.Dir, 2, train.Callbacks{})
			if got.Epochs != 4 || got.Steps != 28 || got.Loss != want.Loss || got.TestAccuracy != want.TestAccuracy ||
				got.BestEpoch != want.BestEpoch || got.BestAccuracy != want.BestAccuracy || got.Best == "" {
				t.Errorf("got %+v, want %+v", got.Totals, want.Totals)
			}
			same(t, got.Dir, want.Dir)
		})
	}
}

// So does a run that uses every part of a step, and one that ends early.
func TestResumeWithEverything(t *testing.T) {
	for name, change := range map[string]func(*train.Config){
		"averages": func(c *train.Config) {
			c.EMA, c.Accumulate, c.ClipNorm, c.LabelSmoothing, c.ClassWeights, c.Metric = 0.8, 3, 0.5, 0.1, train.Balanced, "balanced-accuracy"
		},
		"adamw": func(c *train.Config) {
			c.Optimizer, c.Momentum, c.LR, c.Schedule, c.Metric, c.LayerDecay = "adamw", 0, 0.01, "cosine", "loss", 0.7
		},
		"progressive": func(c *train.Config) {
			c.Model, c.LR, c.Resize, c.Progressive, c.EvalSize, c.Augment, c.EMA = "cifar-resnet8", 0.1, 20, 9, 24, "standard", 0.8
		},
		"frozen": func(c *train.Config) { c.Freeze, c.EMA = "stem,4", 0.9 },
		"early":  func(c *train.Config) { c.LR, c.Schedule, c.Patience, c.Epochs = 1e-30, "constant", 2, 9 },
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			c := brief(root, "fp32")
			change(&c)
			want, err := train.Run(context.Background(), device(t, 2), c, train.Callbacks{})
			if err != nil {
				t.Fatal(err)
			}
			s := stopAt(t, c, 1, 17) // in the third epoch
			got := resume(t, s.Dir, 2, train.Callbacks{})
			got.ImagesPerSecond, want.ImagesPerSecond = 0, 0
			if got.Totals != want.Totals {
				t.Errorf("got %+v, want %+v", got.Totals, want.Totals)
			}
			if early := name == "early"; want.Early != early || early && want.Epochs >= c.Epochs {
				t.Errorf("ended early: %v, after %d epochs", want.Early, want.Epochs)
			}
			same(t, got.Dir, want.Dir)
		})
	}
}

// If the program is killed before or after it writes a state, the resumed run leaves nothing of
// the wrong epoch.
func TestResumeMendsTheFolder(t *testing.T) {
	root := t.TempDir()
	c := brief(root, "fp32")
	c.Epochs, c.Schedule = 2, "constant"
	want, err := train.Run(context.Background(), device(t, 0), c, train.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	s := stopAt(t, c, 0, 13)
	best := read(t, s.Best)
	for _, name := range []string{"last.safetensors", "best.safetensors", ".residual-0123456789abcdef.tmp"} { // of the only epoch so far
		if err := os.WriteFile(filepath.Join(s.Dir, name), []byte("older"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	mended := func(start train.Start) {
		for _, name := range []string{"last.safetensors", "best.safetensors"} {
			if read(t, filepath.Join(start.Dir, name)) != best {
				t.Errorf("%s is not of the epoch of the state", name)
			}
		}
		if _, err := os.Stat(filepath.Join(start.Dir, ".residual-0123456789abcdef.tmp")); err == nil {
			t.Error("a file that was not completed still exists")
		}
	}
	if got := resume(t, s.Dir, 0, train.Callbacks{OnStart: mended}); got.BestEpoch != want.BestEpoch {
		t.Errorf("the best is epoch %d, want %d", got.BestEpoch, want.BestEpoch)
	}
	same(t, s.Dir, want.Dir)

	// Killed after the last state: the run has ended, and its files are completed all the same.
	if err := os.WriteFile(filepath.Join(s.Dir, "last.safetensors"), []byte("older"), 0o666); err != nil {
		t.Fatal(err)
	}
	r, err := train.OpenRun(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Resume(context.Background(), device(t, 0), r.Config, train.Callbacks{}); err == nil || !strings.Contains(err.Error(), "all of its 2 epochs; give more with Epochs") {
		t.Errorf("a run that has ended: %v", err)
	}
	same(t, s.Dir, want.Dir)

	more := r.Config
	more.Epochs = 3
	longer, err := r.Resume(context.Background(), device(t, 0), more, train.Callbacks{})
	if err != nil || longer.Epochs != 3 || longer.Steps != 21 {
		t.Fatalf("one epoch more: %+v, %v", longer.Totals, err)
	}
	c.Epochs = 3
	if want, err = train.Run(context.Background(), device(t, 0), c, train.Callbacks{}); err != nil {
		t.Fatal(err)
	}
	same(t, s.Dir, want.Dir)
	if r, err = train.OpenRun(s.Dir); err != nil || r.Config.Epochs != 3 || r.Epochs != 3 {
		t.Errorf("the folder says %+v, %v", r, err)
	}
}

func TestResumeRefusesOtherSettings(t *testing.T) {
	s := stopAt(t, brief(t.TempDir(), "fp32"), 0, 8)
	r, err := train.OpenRun(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	before := read(t, filepath.Join(s.Dir, "metrics.csv"))
	for want, change := range map[string]func(*train.Config){
		"LR 0.1":          func(c *train.Config) { c.LR = 0.1 },
		"Momentum 0":      func(c *train.Config) { c.Momentum = 0 },
		"Precision bf16":  func(c *train.Config) { c.Precision = "bf16" },
		"Model d2l-resne": func(c *train.Config) { c.Model = "d2l-resnet18" },
		"TrainSize 321":   func(c *train.Config) { c.TrainSize = 321 },
		"Seed 4":          func(c *train.Config) { c.Seed = 4 },
		"EMA 0.9":         func(c *train.Config) { c.EMA = 0.9 },
		"Accumulate 2":    func(c *train.Config) { c.Accumulate = 2 },
		"Freeze stem":     func(c *train.Config) { c.Freeze = "stem" },
		"Metric loss":     func(c *train.Config) { c.Metric = "loss" },
		"ClassWeights b":  func(c *train.Config) { c.ClassWeights = "balanced" },
		"Recompute true":  func(c *train.Config) { c.Recompute = true },
		"Epochs 3":        func(c *train.Config) { c.Epochs = 3 },
		"Workers -1":      func(c *train.Config) { c.Workers = -1 },
	} {
		c := r.Config
		change(&c)
		if _, err := r.Resume(context.Background(), device(t, 1), c, train.Callbacks{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if read(t, filepath.Join(s.Dir, "metrics.csv")) != before {
		t.Error("a refusal has changed the metrics")
	}
}

// An error about the folder names the file, and nothing in the folder is changed.
func TestResumeRefusesDamage(t *testing.T) {
	s := stopAt(t, brief(t.TempDir(), "fp32"), 0, 8)
	other := brief(t.TempDir(), "bf16")
	other.Momentum = 0
	plain := stopAt(t, other, 0, 8)
	path := func(name string) string { return filepath.Join(s.Dir, name) }
	state, yaml, rows := read(t, path("state.safetensors")), read(t, path("settings.yaml")), read(t, path("metrics.jsonl"))
	half := len(state) / 2
	for _, c := range []struct{ name, file, content, want string }{
		{"cut", "state.safetensors", state[:half], "state.safetensors: "},
		{"empty", "state.safetensors", "", "state.safetensors: "},
		{"one bit", "state.safetensors", state[:half] + string([]byte{state[half] ^ 1}) + state[half+1:], "checksum"},
		{"a model file", "state.safetensors", read(t, path("last.safetensors")), "not the state of a training"},
		{"of other images", "state.safetensors", altered(t, s.State, func(s *checkpoint.State) { s.Steps = 8 }), "made 8 steps in 1 epochs, and with the 320 images of garments there are 7 in one"},
		{"of another network", "state.safetensors", altered(t, s.State, nil), "state.safetensors: the state dict does not fit"},
		{"of another run", "state.safetensors", read(t, filepath.Join(plain.Dir, "state.safetensors")), "settings.yaml: momentum is 0.9, and the training so far was with 0"},
		{"settings cut", "settings.yaml", yaml[:2], "settings.yaml is damaged"},
		{"other settings", "settings.yaml", strings.Replace(yaml, "lr: 0.3", "lr: 0.4", 1), "settings.yaml: lr is 0.4"},
		{"other precision", "settings.yaml", strings.Replace(yaml, "precision: fp32", "precision: bf16", 1), "settings.yaml: precision is bf16"},
		{"damaged metrics", "metrics.jsonl", "{}}\n" + rows, "metrics.jsonl, line 1"},
		{"lost metrics", "metrics.csv", "", "metrics.csv has 0 rows where metrics.jsonl has 7"},
	} {
		before := read(t, path(c.file))
		if err := os.WriteFile(path(c.file), []byte(c.content), 0o666); err != nil {
			t.Fatal(err)
		}
		last := read(t, path("last.safetensors"))
		r, err := train.OpenRun(s.Dir)
		if err == nil {
			_, err = r.Resume(context.Background(), device(t, 1), r.Config, train.Callbacks{})
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: want %q, got %v", c.name, c.want, err)
		}
		if read(t, path("last.safetensors")) != last || read(t, path(c.file)) != c.content {
			t.Errorf("%s: the folder was changed", c.name)
		}
		if err := os.WriteFile(path(c.file), []byte(before), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	resume(t, s.Dir, 0, train.Callbacks{}) // the files are as they were
}

// altered returns a state file after a change of the state; nil renames its values.
func altered(t *testing.T, path string, change func(*checkpoint.State)) string {
	t.Helper()
	s, v, err := checkpoint.LoadState(path)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&s)
	} else {
		for i := range v.Model {
			v.Model[i].Name = "other." + v.Model[i].Name
		}
	}
	path = filepath.Join(t.TempDir(), "altered")
	if err := checkpoint.SaveState(path, s, v); err != nil {
		t.Fatal(err)
	}
	return read(t, path)
}

// The summary of a resumed run that is stopped in its first step covers the epochs before.
func TestResumeStoppedAtOnce(t *testing.T) {
	s := stopAt(t, brief(t.TempDir(), "fp32"), 0, 8)
	r, err := train.OpenRun(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	again, err := r.Resume(ctx, device(t, 0), r.Config, train.Callbacks{OnBatch: func(train.BatchEvent) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	again.ImagesPerSecond, s.ImagesPerSecond = 0, 0
	if again.Stopped == nil || *again.Stopped != *s.Stopped {
		t.Errorf("stopped at %v, want %v", again.Stopped, s.Stopped)
	}
	again.Stopped, s.Stopped = nil, nil
	if again.Totals != s.Totals || again.State != s.State || again.Best != s.Best || again.Last != s.Last {
		t.Errorf("got %+v, want %+v", again, s)
	}
}

func TestOpenRunOfAMissingRun(t *testing.T) {
	s := stopAt(t, brief(t.TempDir(), "fp32"), 0, 3)
	empty := t.TempDir()
	for path, want := range map[string]string{
		s.Dir:                                    "stopped before the end of its first epoch",
		empty:                                    "not a run folder",
		filepath.Join(empty, "none"):             "none",
		filepath.Join(s.Dir, "settings.yaml"):    "give the folder",
		filepath.Join(s.Dir, "metrics.jsonl"):    "give the folder",
		filepath.Join(s.Dir, "best.safetensors"): "give its folder",
	} {
		if _, err := train.OpenRun(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want %q, got %v", path, want, err)
		}
	}
	if s.State != "" {
		t.Errorf("a state %s before the end of an epoch", s.State)
	}
}
