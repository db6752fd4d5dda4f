package train_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/train"
)

// interrupted is a run on a user's own images that was stopped after its first epoch, with the
// weights that it would have ended with.
func interrupted(t *testing.T, dir string, dev engine.Device) (s train.Summary, uninterrupted string) {
	t.Helper()
	c := quick(t, dir)
	c.Epochs, c.Cache = 3, train.CacheOff
	w, err := train.Run(context.Background(), dev, c, train.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err = train.Run(ctx, dev, c, train.Callbacks{OnEpoch: func(train.Epoch) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	return s, w.Dir
}

// Images that were moved, renamed and put into subfolders, with new ones among them, are
// recognised by their content: the run is resumed with them and ends with the same bits, in
// equal model files.
func TestResumeWhereThePhotosWereMoved(t *testing.T) {
	dir := photos(t, folder.MakeConfig{PerClass: 5})
	dev := device(t, 2)
	s, uninterrupted := interrupted(t, dir, dev)
	moved := filepath.Join(t.TempDir(), "elsewhere")
	classes, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for n, class := range classes {
		from, to := filepath.Join(dir, class.Name()), filepath.Join(moved, class.Name(), "2026")
		if err := os.MkdirAll(to, 0o777); err != nil {
			t.Fatal(err)
		}
		files, err := os.ReadDir(from)
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range files {
			name := f.Name()
			if n%2 == 0 { // so that the order changes
				name = fmt.Sprintf("img-%d.jpg", 9-i)
			}
			if err := os.Rename(filepath.Join(from, f.Name()), filepath.Join(to, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	others := photos(t, folder.MakeConfig{PerClass: 1, Seed: 9})
	if err := os.Rename(filepath.Join(others, "bag", "0000.jpg"), filepath.Join(moved, "bag", "new.jpg")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}

	saved, err := train.OpenRun(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := saved.Check(saved.Config); err == nil || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "with Data where") {
		t.Errorf("with the former path of the images: %v", err)
	}
	c := saved.Config
	c.Data = "garments"
	if err := saved.Check(c); err == nil || !strings.Contains(err.Error(), "Data garments") {
		t.Errorf("with a data set: %v", err)
	}
	// With another label, other content or a missing file it cannot be resumed.
	c.Data = moved
	bag, coat := filepath.Join(moved, "bag", "2026", "0000.jpg"), filepath.Join(moved, "coat", "2026", "0000.jpg")
	if _, err := os.Stat(bag); err != nil {
		bag = filepath.Join(moved, "bag", "2026", "img-9.jpg")
	}
	if _, err := os.Stat(coat); err != nil {
		coat = filepath.Join(moved, "coat", "2026", "img-9.jpg")
	}
	try := func(want ...string) {
		t.Helper()
		_, err := saved.Resume(context.Background(), dev, c, train.Callbacks{})
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%v, want %q", err, w)
			}
		}
	}
	rename := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	rename(bag, coat+".jpg")
	try("bag/0000.jpg", `with the label "coat", and had "bag"`)
	rename(coat+".jpg", bag)
	rename(bag, bag+".gone")
	try("bag/0000.jpg: no file in " + moved + " has its content")
	rename(bag+".gone", bag)

	if _, err := saved.Resume(context.Background(), dev, c, train.Callbacks{}); err != nil {
		t.Fatal(err)
	}
	same(t, s.Dir, uninterrupted)
	if again, err := train.OpenRun(s.Dir); err != nil || again.Config.Data != moved {
		t.Errorf("the run says it is on %s: %v", again.Config.Data, err)
	}
}

// A run whose images were moved can be opened if only its settings, and not its state, name
// the new path.
func TestKilledRunAfterTheMove(t *testing.T) {
	dir := photos(t, folder.MakeConfig{PerClass: 5})
	dev := device(t, 2)
	s, uninterrupted := interrupted(t, dir, dev)
	moved := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	saved, err := train.OpenRun(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	c := saved.Config
	c.Data = moved
	ctx, cancel := context.WithCancel(context.Background())
	if _, err := saved.Resume(ctx, dev, c, train.Callbacks{OnStart: func(train.Start) { cancel() }}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	resume(t, s.Dir, 2, train.Callbacks{})
	same(t, s.Dir, uninterrupted)
}

// Images that the run was trained on are distinguished from others, wherever they are now.
func TestEvaluationOfMovedPhotos(t *testing.T) {
	dir := photos(t, folder.MakeConfig{PerClass: 5})
	dev := device(t, 2)
	s, err := train.Run(context.Background(), dev, quick(t, dir), train.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := inference.Load(s.Last, dev, engine.FP32)
	if err != nil {
		t.Fatal(err)
	}
	open := func(path string, part data.Split, all bool, n int, want inference.RunCounts) []string {
		t.Helper()
		p, err := c.OpenPhotos(context.Background(), path, part, nil)
		if err != nil {
			t.Fatal(err)
		}
		if p.Run == nil || *p.Run != want || p.Len() != n || p.All != all {
			t.Errorf("%s, the part %s: %d images, all: %v, %+v; want %d, %v, %+v", path, part, p.Len(), p.All, p.Run, n, all, want)
		}
		var digests []string
		for _, it := range p.Items() {
			digests = append(digests, it.Mark.SHA256)
		}
		return digests
	}
	heldOut := open("", data.Test, false, 10, inference.RunCounts{HeldOut: 10})
	open(dir, data.Train, false, 40, inference.RunCounts{TrainedOn: 40})

	others := photos(t, folder.MakeConfig{PerClass: 1, Seed: 9})
	open(others, data.Test, true, 10, inference.RunCounts{New: 10})

	moved := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	equal := func(got []string) {
		t.Helper()
		if strings.Join(got, " ") != strings.Join(heldOut, " ") {
			t.Error("other images than those that the run held out")
		}
	}
	equal(open(moved, data.Test, false, 10, inference.RunCounts{HeldOut: 10, LeftOut: 40}))
	open(moved, data.Train, false, 40, inference.RunCounts{TrainedOn: 40})
	// In subfolders.
	for _, class := range c.Info().Classes {
		below := filepath.Join(moved, class+".below")
		if err := errors.Join(os.Rename(filepath.Join(moved, class), below), os.Mkdir(filepath.Join(moved, class), 0o777), os.Rename(below, filepath.Join(moved, class, "old"))); err != nil {
			t.Fatal(err)
		}
	}
	equal(open(moved, data.Test, false, 10, inference.RunCounts{HeldOut: 10, LeftOut: 40}))
	// With new images among them.
	for _, class := range c.Info().Classes {
		if err := os.Rename(filepath.Join(others, class, "0000.jpg"), filepath.Join(moved, class, "new.jpg")); err != nil {
			t.Fatal(err)
		}
	}
	open(moved, data.Test, false, 20, inference.RunCounts{HeldOut: 10, New: 10, LeftOut: 40})
	open(moved, data.Train, false, 40, inference.RunCounts{TrainedOn: 40})
	// A division by the user counts, without the images that the run was trained on.
	divided := filepath.Join(t.TempDir(), "divided")
	if err := errors.Join(os.Mkdir(divided, 0o777), os.Rename(moved, filepath.Join(divided, "val"))); err != nil {
		t.Fatal(err)
	}
	open(divided, data.Test, false, 20, inference.RunCounts{HeldOut: 10, New: 10, LeftOut: 40})

	// Only images that the run was trained on cannot be tested on.
	record, err := folder.ReadRecord(filepath.Join(s.Dir, folder.RecordFile), divided, c.Info().Classes)
	if err != nil {
		t.Fatal(err)
	}
	parts := record.Parts()
	x, err := folder.ScanAs(divided, c.Info().Classes)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := x.Check(context.Background(), folder.Options{}, nil); err != nil {
		t.Fatal(err)
	}
	for _, it := range x.Items {
		if parts[it.Mark.SHA256] != data.Train {
			if err := os.Remove(it.Path); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := c.OpenPhotos(context.Background(), filepath.Join(divided, "val"), data.Test, nil); err == nil || !strings.Contains(err.Error(), "trained on all 40") {
		t.Error(err)
	}
	// Without the record nothing is known of the run.
	if err := os.Remove(filepath.Join(s.Dir, folder.RecordFile)); err != nil {
		t.Fatal(err)
	}
	if p, err := c.OpenPhotos(context.Background(), filepath.Join(divided, "val"), data.Test, nil); err != nil || p.Run != nil || p.Len() != 40 || !p.All {
		t.Errorf("%+v, %v", p, err)
	}
}
