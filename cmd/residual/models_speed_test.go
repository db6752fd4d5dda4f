package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/models"
)

// Without names, what the record lacks is measured and nothing else, up to nothing.
func TestMeasureGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "speed.json")
	measure := func(names ...string) (string, *speeds) {
		t.Helper()
		status, stdout, stderr := call(append([]string{"models", "--measure", "--speed", path}, names...)...)
		if status != 0 {
			t.Fatal(stderr)
		}
		s, err := readSpeeds(path)
		if err != nil {
			t.Fatal(err)
		}
		return stdout, s
	}
	_, s := measure("d2l-bnlenet")
	for _, name := range models.Names() {
		if _, ok := s.of(name); !ok && name != "cifar-resnet20" {
			s.put(modelSpeed{Model: name, Batch: 1, Train: 2, Infer: 3, Date: "2001-02-03"})
		}
	}
	if err := s.save(path); err != nil {
		t.Fatal(err)
	}
	said, after := measure()
	if !strings.Contains(said, "\n1 of 1: cifar-resnet20, ") {
		t.Errorf("it said\n%s", said)
	}
	var names []string
	for _, m := range after.Models {
		names = append(names, m.Model)
		if was, ok := s.of(m.Model); ok && was != m {
			t.Errorf("%s was %v and is %v", m.Model, was, m)
		}
		if m.Train <= 0 || m.Infer <= 0 {
			t.Errorf("%s has the speeds %v", m.Model, m)
		}
	}
	if !slices.Equal(names, models.Names()) {
		t.Errorf("the record has %v", names)
	}
	if said, _ := measure(); said != path+" has every model; name those that are to be measured again\n" {
		t.Errorf("it said\n%s", said)
	}
}

// All models take minutes on two cores, which do some 60 billion operations a second
// at worst: a model that is added does not make hours of it.
func TestMeasureIsShort(t *testing.T) {
	plans, err := planSpeeds(models.Names())
	if err != nil {
		t.Fatal(err)
	}
	work := 0.0
	for i, p := range plans {
		work += p[0].work + p[1].work
		if p[0].work < 1.7*p[1].work || p[1].repeat < p[0].repeat {
			t.Errorf("%s: %+v", models.Names()[i], p)
		}
	}
	if minutes := work / 60e9 / 60; minutes < 1 || minutes > 12 {
		t.Errorf("all models take %.1f minutes", minutes)
	}
	e, err := models.Lookup("cifar-resnet20")
	if err != nil {
		t.Fatal(err)
	}
	dev, err := cpu.New(cpu.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	f := benchFlags{mode: "train", batch: speedBatch(e), device: deviceFlags{precision: "fp32"}}
	w, err := newWorkload(e, &f, dev)
	if err != nil {
		t.Fatal(err)
	}
	p := plans[slices.Index(models.Names(), e.Name)][0]
	if got := w.flops * float64(p.repeat+2); got < 0.98*p.work || got > p.work {
		t.Errorf("the plan has %.4g operations, the steps %.4g", p.work, got)
	}
}
