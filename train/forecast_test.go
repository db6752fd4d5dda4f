package train_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/internal/host"
	"github.com/residual-ml/residual/train"
	"github.com/residual-ml/residual/train/foresight"
)

// A run that was measured before its start leaves the same files as one that was not.
func TestForecastChangesNoFile(t *testing.T) {
	dir := photos(t, folder.MakeConfig{PerClass: 8})
	for name, c := range map[string]train.Config{
		"garments": func() train.Config {
			c := brief("", "fp32")
			c.EMA, c.Accumulate, c.Model, c.StochasticDepth, c.Epochs = 0.8, 2, "cifar-resnet8", 0.3, 2
			return c
		}(),
		"photos": func() train.Config {
			c := quick(t, dir)
			c.Mixup, c.ClipNorm = 0.2, 1
			return c
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			run := func(f *train.Forecast) train.Summary {
				c.Out, c.Forecast = filepath.Join(t.TempDir(), "runs"), f
				s, err := train.Run(context.Background(), device(t, 2), c, train.Callbacks{})
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			// A budget measures, too, and has nothing to choose here.
			want, got := run(nil), run(&train.Forecast{Budget: time.Hour})
			same(t, got.Dir, want.Dir)
			names, err := filepath.Glob(filepath.Join(got.Dir, ".*"))
			if err != nil || len(names) > 0 {
				t.Errorf("left behind: %v, %v", names, err)
			}
		})
	}
}

// A resumed run is measured at the state that it has reached, and ends with the same bits.
func TestForecastOfAResumedRun(t *testing.T) {
	root := t.TempDir()
	c := brief(root, "fp32")
	want, err := train.Run(context.Background(), device(t, 2), c, train.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	s := stopAt(t, c, 2, 17)
	r, err := train.OpenRun(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	before := listing(t, s.Dir)
	var start train.Start
	if err := r.Rehearse(context.Background(), device(t, 2), r.Config, train.Callbacks{OnStart: func(s train.Start) { start = s }}); err != nil {
		t.Fatal(err)
	}
	if e := start.Estimate; e == nil || e.Epochs != 2 || e.Total <= 0 || start.Past.Epochs != 2 || start.Past.Steps != 14 {
		t.Errorf("%+v, %+v", e, start.Past)
	}
	if after := listing(t, s.Dir); !slices.Equal(after, before) {
		t.Errorf("a rehearsal changed %v to %v", before, after)
	}
	c = r.Config
	c.Forecast = &train.Forecast{}
	got, err := r.Resume(context.Background(), device(t, 2), c, train.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, got.Dir, want.Dir)
}

// listing returns the names of the files in a folder with their content.
func listing(t *testing.T, dir string) (all []string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name()+"\n"+read(t, filepath.Join(dir, e.Name())))
	}
	return all
}

func TestRehearse(t *testing.T) {
	c := quick(t, photos(t, folder.MakeConfig{PerClass: 6, Broken: 2}))
	c.Out = filepath.Join(t.TempDir(), "none")
	c.Forecast = &train.Forecast{
		Epoch: func() time.Duration { return time.Hour },
		After: func(e foresight.Estimate) time.Duration {
			if e.Saving < time.Hour || e.Memory.Total == 0 {
				t.Errorf("the work after the training was measured for %+v", e)
			}
			return 7 * time.Hour
		},
	}
	var start train.Start
	if err := train.Rehearse(context.Background(), device(t, 2), c, train.Callbacks{OnStart: func(s train.Start) { start = s }}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(c.Out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder was left: %v", err)
	}
	e := start.Estimate
	if start.Dir != "" || start.Images != 48 || start.Tests != 10 || len(start.Photos.Report.Broken) != 2 || e == nil {
		t.Fatalf("%+v", start)
	}
	if e.Epochs != 2 || e.Steps < 1 || e.Total != e.Training(2)+2*e.Saving+e.After || e.After != 7*time.Hour {
		t.Errorf("%+v", e)
	}
	m := e.Memory
	if m.Network <= 0 || m.Weights <= 0 || m.Images <= 0 || m.Program < 0 || m.Total != m.Network+m.Weights+m.Images+m.Program {
		t.Errorf("%+v", m)
	}
	if peak := host.PeakMemory(); peak > 0 && m.Total > 2*peak {
		t.Errorf("%d bytes of memory, where the process had %d", m.Total, peak)
	}
}

// The epochs that a budget chose become a setting of the run: its schedule covers them, and a
// resumed run keeps them.
func TestBudgetEpochsAreRecorded(t *testing.T) {
	c := train.Config{
		Data: "garments", TrainSize: 128, TestSize: 20, Batch: 64, Schedule: "cosine", Out: t.TempDir(), Forecast: &train.Forecast{Budget: 10 * time.Hour},
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var start train.Start
	s, err := train.Run(ctx, device(t, 2), c, train.Callbacks{
		OnStart: func(s train.Start) { start = s },
		OnEpoch: func(e train.Epoch) {
			if e.Epoch == 28 {
				cancel()
			}
		},
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	// Three times the number of the recipe.
	if start.Config.Epochs != 30 || start.Estimate.Epochs != 30 || len(start.Chosen) != 2 || !strings.Contains(start.Chosen[1], "more than 30 epochs") {
		t.Errorf("%d epochs, %q", start.Config.Epochs, start.Chosen)
	}
	if text := read(t, filepath.Join(s.Dir, "settings.yaml")); !strings.Contains(text, "\nepochs: 30\n") || strings.Contains(strings.ToLower(text), "forecast") {
		t.Errorf("settings\n%s", text)
	}
	last := float32(1)
	got := resume(t, s.Dir, 2, train.Callbacks{OnPoint: func(p train.Point) { last = p.LR }})
	if got.Epochs != 30 || last > 0.01 {
		t.Errorf("ended after %d epochs at the rate %v", got.Epochs, last)
	}
}

func TestBudgetTooSmall(t *testing.T) {
	c := train.Config{Data: "garments", TrainSize: 64, TestSize: 20, Out: filepath.Join(t.TempDir(), "none"), Forecast: &train.Forecast{Budget: time.Nanosecond}}
	_, err := train.Run(context.Background(), device(t, 1), c, train.Callbacks{})
	if err == nil || !strings.Contains(err.Error(), "Budget 1ns: d2l-bnlenet at 28x28 takes") || !strings.Contains(err.Error(), "give Budget 10s") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(c.Out); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder was left: %v", err)
	}
}
