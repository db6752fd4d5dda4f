package train_test

import (
	"context"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/train"
)

// older changes the folder of a run to what a version left that did not record LastBatch.
func older(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, "settings.yaml")
	text := read(t, path)
	if !strings.Contains(text, "last_batch: short\n") {
		t.Fatalf("the settings are\n%s", text)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(text, "last_batch: short\n", "", 1)), 0o666); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(dir, train.StateFile)
	state, values, err := checkpoint.LoadState(path)
	if err != nil {
		t.Fatal(err)
	}
	var settings map[string]any
	if err := json.Unmarshal(state.Settings, &settings); err != nil {
		t.Fatal(err)
	}
	delete(settings, "last_batch")
	if state.Settings, err = json.Marshal(settings); err != nil {
		t.Fatal(err)
	}
	if err := checkpoint.SaveState(path, state, values); err != nil {
		t.Fatal(err)
	}
}

// The last two batches share their images, also in a resumed run. A run that an older version
// began is resumed with the batches that it had, and the same bits.
func TestLastBatch(t *testing.T) {
	for rule, sizes := range map[string][]int{train.EvenLast: {27, 26}, train.ShortLast: nil} {
		root := t.TempDir()
		c := brief(root, "fp32")
		c.TrainSize, c.Epochs, c.Accumulate, c.LastBatch = 303, 3, 2, rule // six batches of 50, and three images
		var shared []int
		want, err := train.Run(context.Background(), device(t, 2), c, train.Callbacks{OnStart: func(s train.Start) { shared = s.Shared }})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(shared, sizes) || want.Steps != 21 {
			t.Errorf("%s: the last batches share %v, want %v, in %d steps", rule, shared, sizes, want.Steps)
		}
		s := stopAt(t, c, 1, 11)
		if rule == train.ShortLast {
			older(t, s.Dir)
		}
		r, err := train.OpenRun(s.Dir)
		if err != nil {
			t.Fatal(err)
		}
		if r.Config.LastBatch != rule {
			t.Errorf("LastBatch of the run is %q, not %q", r.Config.LastBatch, rule)
		}
		goesOn := c
		goesOn.LastBatch = "" // settings that are written again may leave it out
		if _, err := r.Resume(context.Background(), device(t, 2), goesOn, train.Callbacks{}); err != nil {
			t.Fatal(err)
		}
		if text := read(t, filepath.Join(s.Dir, "settings.yaml")); !strings.Contains(text, "last_batch: "+rule+"\n") {
			t.Errorf("the settings of a resumed run are\n%s", text)
		}
		same(t, s.Dir, want.Dir)
		goesOn.LastBatch = map[string]string{train.EvenLast: train.ShortLast, train.ShortLast: train.EvenLast}[rule]
		if err := r.Check(goesOn); err == nil || !strings.Contains(err.Error(), "LastBatch ") {
			t.Errorf("another rule: %v", err)
		}
	}
	c := brief(t.TempDir(), "fp32")
	c.LastBatch = "odd"
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "LastBatch odd is not known") {
		t.Errorf("an unknown rule: %v", err)
	}
}

// The recipe counts the training images after some were held out of each class, so that few
// images make one batch.
func TestRecipeCountsAsItDivides(t *testing.T) {
	for _, classes := range [][]int{{12, 12}, {3, 3, 3}, {13, 12, 2}, {1, 7}, {19, 19}} {
		dir := t.TempDir()
		for k, n := range classes {
			for i := range n {
				noise(t, filepath.Join(dir, "class"+strconv.Itoa(k), strconv.Itoa(i)+".png"), k*50+i)
			}
		}
		var start train.Start
		c := train.Config{Data: dir, Out: t.TempDir(), Preparation: train.Preparation{Cache: train.CacheOff}}
		if err := train.Rehearse(context.Background(), device(t, 1), c, train.Callbacks{OnStart: func(s train.Start) { start = s }}); err != nil {
			t.Fatal(err)
		}
		if start.Config.Batch != min(start.Images, 32) || start.Batches != 60 || start.Config.Repeat*start.Images/start.Config.Batch != 60 {
			t.Errorf("classes of %v: %d images in %d batches of %d", classes, start.Images, start.Batches, start.Config.Batch)
		}
	}
}

// noise writes an image that resembles no other.
func noise(t *testing.T, path string, seed int) {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 40, 40))
	for i := range 40 * 40 {
		v := uint32(i*2654435761 + seed*40503*977)
		v ^= v >> 13
		v *= 2246822519
		m.SetRGBA(i%40, i/40, color.RGBA{uint8(v), uint8(v >> 8), uint8(v >> 16), 255})
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, m); err != nil {
		t.Fatal(err)
	}
}

// The model files of a run hold the averages, and so do those with which Resume replaces lost
// ones.
func TestResumeMendsTheModelsOfAverages(t *testing.T) {
	c := brief(t.TempDir(), "fp32")
	c.Epochs, c.EMA = 2, 0.95
	s := stopAt(t, c, 0, 13)
	best := read(t, s.Best)
	raw := values(t, filepath.Join(s.Dir, train.StateFile))
	model, differ := values(t, s.Best), 0
	for name, v := range model {
		for key, trained := range raw {
			if key == "model."+name && !slices.Equal(trained.Data(), v.Data()) {
				differ++
			}
		}
	}
	if differ == 0 {
		t.Fatal("the averages are the weights")
	}
	for _, name := range []string{train.LastFile, train.BestFile} {
		if err := os.Remove(filepath.Join(s.Dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	called := false
	resume(t, s.Dir, 0, train.Callbacks{OnStart: func(start train.Start) {
		called = true
		for _, name := range []string{train.LastFile, train.BestFile} {
			if read(t, filepath.Join(start.Dir, name)) != best {
				t.Errorf("%s does not hold the averages", name)
			}
		}
	}})
	if !called {
		t.Error("nothing was compared")
	}
}
