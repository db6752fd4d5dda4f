package measure

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/models"
)

// TestAllModelsAreShort: all models take minutes on two cores, which do some 60 billion
// operations a second at worst, so a model that is added does not make hours of it.
func TestAllModelsAreShort(t *testing.T) {
	plans, err := PlanSpeeds(models.Names())
	if err != nil {
		t.Fatal(err)
	}
	work := 0.0
	for i, p := range plans {
		work += p.Work()
		if p.TrainWork < 1.7*p.InferWork || p.InferRepeat < p.TrainRepeat || p.Model.Name != models.Names()[i] {
			t.Errorf("%s: %+v", models.Names()[i], p)
		}
	}
	if minutes := work / 60e9 / 60; minutes < 1 || minutes > 12 {
		t.Errorf("all models take %.1f minutes", minutes)
	}
	p := plans[slices.Index(models.Names(), "cifar-resnet20")]
	w := workload(t, Config{Model: p.Model, Mode: Train, Batch: p.Batch}, device(t))
	if got := w.FLOPs() * float64(p.TrainRepeat+2); got < 0.98*p.TrainWork || got > p.TrainWork {
		t.Errorf("the plan has %.4g operations, the steps %.4g", p.TrainWork, got)
	}
	if _, err := PlanSpeeds([]string{"resnet"}); err == nil {
		t.Error("a model without an entry was planned")
	}
}

// TestSpeedsFile: the record is saved after every model, keeps the order of the registry, and
// belongs to one machine.
func TestSpeedsFile(t *testing.T) {
	path, dev := filepath.Join(t.TempDir(), "speed.json"), device(t)
	open := func() (engine.Device, error) { return cpu.New(cpu.Options{Threads: 2}) }
	s, err := SpeedsOf(dev, path)
	if err != nil {
		t.Fatal(err)
	}
	names := models.Names()
	s.Put(ModelSpeed{Model: names[2], Train: 1})
	s.Put(ModelSpeed{Model: names[0], Train: 2})
	s.Put(ModelSpeed{Model: names[2], Train: 3})
	if len(s.Models) != 2 || s.Models[0].Model != names[0] || s.Models[1].Train != 3 || len(s.Missing()) != len(names)-2 {
		t.Errorf("%+v", s.Models)
	}
	plans, err := PlanSpeeds([]string{"d2l-bnlenet"})
	if err != nil {
		t.Fatal(err)
	}
	var told []SpeedProgress
	if err := s.Measure(context.Background(), path, plans, open, func(p SpeedProgress) { told = append(told, p) }); err != nil {
		t.Fatal(err)
	}
	if len(told) != 2 || told[0].Done != 0 || told[0].Left <= 0 || told[1].Done != 1 || told[1].Of != 1 || told[1].Left != 0 || told[1].Speed.Train <= 0 {
		t.Errorf("%+v", told)
	}
	again, err := SpeedsOf(dev, path)
	if err != nil {
		t.Fatal(err)
	}
	if m, ok := again.Of("d2l-bnlenet"); !ok || m != told[1].Speed || m.Batch != LargeBatch {
		t.Errorf("%+v was measured and %+v read", told[1].Speed, m)
	}
	if _, ok := (*Speeds)(nil).Of("d2l-bnlenet"); ok {
		t.Error("no record knows a model")
	}
	again.Machine = "Z80"
	if err := again.Save(path); err != nil {
		t.Fatal(err)
	}
	if _, err := SpeedsOf(dev, path); err == nil || !strings.Contains(err.Error(), "figures of another machine (Z80;") {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := SpeedsOf(dev, path); err == nil || !strings.Contains(err.Error(), "is no record of speeds") {
		t.Error(err)
	}
}

func TestPhotosAndWeights(t *testing.T) {
	ctx := context.Background()
	p, err := Photos(ctx, PhotosConfig{Size: 32, Repeat: 1})
	if err != nil {
		t.Fatal(err)
	}
	if p.Mode != "load" || p.Photos != 64 || p.Size != 32 || len(p.Measurements) != 1 || !(p.ImagesPerSecond > 0) {
		t.Errorf("%+v", p)
	}
	e := entry(t, "d2l-bnlenet")
	w, err := Weights(ctx, WeightsConfig{Model: e, Repeat: 3, Warmup: 1, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	if w.Mode != "weights" || w.Bytes < 4*e.Params || w.Threads != 1 || len(w.Measurements) != 3 || !(w.Min <= w.Median && w.Median <= w.Max) || !(w.First > 0) {
		t.Errorf("%+v", w)
	}
	if _, err := Weights(ctx, WeightsConfig{Model: e, Path: "nowhere"}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	ctx, stop := context.WithCancel(ctx)
	stop()
	if _, err := Weights(ctx, WeightsConfig{Model: e, Repeat: 3}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
