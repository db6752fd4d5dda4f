package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/measure"
	"github.com/residual-ml/residual/models"
)

// Without names only the models that the file lacks are measured, and none if it lacks none.
func TestMeasureGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "speed.json")
	run := func(names ...string) (string, *measure.Speeds) {
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
	_, s := run("d2l-bnlenet")
	for _, name := range models.Names() {
		if _, ok := s.Of(name); !ok && name != "cifar-resnet20" {
			s.Put(measure.ModelSpeed{Model: name, Batch: 1, Train: 2, Infer: 3, Date: "2001-02-03"})
		}
	}
	if err := s.Save(path); err != nil {
		t.Fatal(err)
	}
	said, after := run()
	if !strings.Contains(said, "\n1 of 1: cifar-resnet20, ") {
		t.Errorf("it said\n%s", said)
	}
	var names []string
	for _, m := range after.Models {
		names = append(names, m.Model)
		if was, ok := s.Of(m.Model); ok && was != m {
			t.Errorf("%s was %v and is %v", m.Model, was, m)
		}
		if m.Train <= 0 || m.Infer <= 0 {
			t.Errorf("%s has the speeds %v", m.Model, m)
		}
	}
	if !slices.Equal(names, models.Names()) {
		t.Errorf("the record has %v", names)
	}
	if said, _ := run(); said != path+" has every model; name those that are to be measured again\n" {
		t.Errorf("it said\n%s", said)
	}
}
