package audit

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/models"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/prepare"
)

// photos draws a folder of images, of the ten classes of garments, and scans it.
func photos(t *testing.T, perClass int) (path string, x *folder.Index) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "photos")
	if err := folder.Make(context.Background(), path, folder.MakeConfig{PerClass: perClass}); err != nil {
		t.Fatal(err)
	}
	return path, check(t, path)
}

// check scans a folder and takes the digests of its images.
func check(t *testing.T, path string) *folder.Index {
	t.Helper()
	x, err := folder.Scan(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := x.Check(context.Background(), folder.Options{}, nil); err != nil {
		t.Fatal(err)
	}
	return x
}

// classifier is a model of random weights for the classes.
func classifier(t *testing.T, classes []string) *inference.Classifier {
	t.Helper()
	m, err := models.New("cifar-resnet8", models.Config{Classes: len(classes)})
	if err != nil {
		t.Fatal(err)
	}
	nn.Init(m, 7, nn.XavierUniform)
	path := filepath.Join(t.TempDir(), "best.safetensors")
	info := checkpoint.Model{
		Architecture: "cifar-resnet8", Classes: classes, Input: prepare.Input{Channels: 3, Height: 32, Width: 32, Preprocess: prepare.Steps{Resize: 32}},
	}
	if err := checkpoint.SaveModel(path, info, nn.StateDict(m)); err != nil {
		t.Fatal(err)
	}
	dev, err := cpu.New(cpu.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dev.Close)
	c, err := inference.Load(path, dev, engine.FP32)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestLabels compares the suspects with predictions of single images.
func TestLabels(t *testing.T) {
	path, x := photos(t, 2)
	broken := x.Items[3]
	if err := os.WriteFile(broken.Path, []byte("no image"), 0o666); err != nil {
		t.Fatal(err)
	}
	c := classifier(t, x.Classes)
	done := 0
	all, err := Labels(context.Background(), c, path, Options{Skip: []folder.Problem{{Name: broken.Name}}, Progress: func(n, _ int) { done = n }})
	if err != nil {
		t.Fatal(err)
	}
	if done != len(x.Items)-1 {
		t.Errorf("progress reported %d images of %d", done, len(x.Items)-1)
	}
	if !slices.IsSortedFunc(all, func(a, b Suspect) int { return cmp.Compare(a.Probability, b.Probability) }) {
		t.Error("the least likely label is not the first")
	}
	suspects := map[string]Suspect{}
	for _, s := range all {
		suspects[s.Name] = s
	}
	for _, it := range x.Items {
		if it.Name == broken.Name {
			continue
		}
		top, err := c.PredictFile(t.Context(), it.Path, len(x.Classes))
		if err != nil {
			t.Fatal(err)
		}
		own := 0.0
		for _, p := range top {
			if p.Class == x.Classes[it.Label] {
				own = p.Probability
			}
		}
		s, suspect := suspects[it.Name]
		if suspect && top[0].Class == x.Classes[it.Label] {
			t.Errorf("%s is labelled %s and looks like %s, and that it is a suspect is %v", it.Name, x.Classes[it.Label], top[0].Class, suspect)
		}
		if !suspect {
			continue
		}
		if s.Likeliest != top[0].Class || s.Label != x.Classes[it.Label] || s.Path != it.Path || s.Part != "" ||
			math.Abs(s.Probability-own) > 1e-5 || math.Abs(s.Loss+math.Log(s.Probability)) > 1e-12 || math.Abs(s.LikeliestProbability-top[0].Probability) > 1e-5 {
			t.Errorf("%s: %+v, where prediction says %+v and %v", it.Name, s, top[0], own)
		}
	}
	if len(all) == 0 {
		t.Error("a model of random weights has no doubt")
	}
	if _, err := Labels(context.Background(), c, path, Options{}); err == nil {
		t.Error("a file that is no image was read")
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if _, err := Labels(ctx, c, path, Options{Skip: []folder.Problem{{Name: broken.Name}}}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestReadRun checks that the record of a run gives the part of every image and what changed.
func TestReadRun(t *testing.T) {
	path, x := photos(t, 3)
	for i := range x.Items {
		x.Items[i].Split = data.Train
		if i%3 == 0 {
			x.Items[i].Split = data.Test
		}
	}
	run := t.TempDir()
	record, err := os.Create(filepath.Join(run, folder.RecordFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(x.Write(record), record.Close()); err != nil {
		t.Fatal(err)
	}
	same, err := ReadRun(run, path, x.Classes, check(t, path))
	if err != nil || len(same.Changed) > 0 {
		t.Fatal(same, err)
	}
	gone, other, tested, trained := x.Items[0], x.Items[1], x.Items[3], x.Items[4]
	text, err := os.ReadFile(trained.Path)
	if err != nil {
		t.Fatal(err)
	}
	added := filepath.Join(filepath.Dir(trained.Path), "added.jpg")
	if err := errors.Join(os.Remove(gone.Path), os.WriteFile(other.Path, text, 0o666), os.WriteFile(added, text, 0o666)); err != nil {
		t.Fatal(err)
	}
	r, err := ReadRun(run, path, x.Classes, check(t, path))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{gone.Name + ": is no longer there", other.Name + ": has other content"}; !slices.Equal(r.Changed, want) {
		t.Errorf("%q, not %q", r.Changed, want)
	}
	all := []string{other.Name, tested.Name, trained.Name, "trouser/added.jpg"}
	for i, want := range []string{New, "test", "train", New} {
		if part := r.part(all[i]); part != want {
			t.Errorf("%s is in the part %q, not %q", all[i], part, want)
		}
	}
}

// TestReadRunOfRelabelledImages checks that an image that was moved to another class is named
// with both classes.
func TestReadRunOfRelabelledImages(t *testing.T) {
	dir := t.TempDir()
	_, drawn := photos(t, 1)
	text, err := os.ReadFile(drawn.Items[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "list.csv")
	write := func(label string) {
		rows := "path,label\none.jpg," + label + "\ntwo.jpg,coat\nthree.jpg,bag\n"
		if err := os.WriteFile(list, []byte(rows), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"one.jpg", "two.jpg", "three.jpg"} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write("bag")
	was := check(t, list)
	record, err := os.Create(filepath.Join(dir, folder.RecordFile))
	if err != nil {
		t.Fatal(err)
	}
	for i := range was.Items {
		was.Items[i].Split = data.Train
	}
	if err := errors.Join(was.Write(record), record.Close()); err != nil {
		t.Fatal(err)
	}
	write("coat")
	r, err := ReadRun(dir, list, was.Classes, check(t, list))
	if err != nil || !slices.Equal(r.Changed, []string{"one.jpg: is labelled coat, and was bag"}) {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestReadRunErrors checks the errors for runs that have nothing to do with the images, and
// that no error speaks of flags.
func TestReadRunErrors(t *testing.T) {
	path, x := photos(t, 1)
	run := t.TempDir()
	_, err := ReadRun(run, path, x.Classes, x)
	if !errors.Is(err, ErrNoRecord) || errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "--") {
		t.Error(err)
	}
	record := filepath.Join(run, folder.RecordFile)
	rows := "path,label,split,bytes,modified,sha256\nelsewhere.jpg,bag,train,1,2026-01-01T00:00:00Z," + strings.Repeat("0", 64) + "\n"
	if err := os.WriteFile(record, []byte(rows), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err = ReadRun(run, path, x.Classes, x); !errors.Is(err, ErrOtherFolder) || strings.Contains(err.Error(), "--") {
		t.Error(err)
	}
}

func TestWorstAndCSV(t *testing.T) {
	all := []Suspect{
		{Name: "a", Path: "photos/a, b.jpg", Label: "bag", Part: "train", Loss: math.Inf(1), Probability: 0, Likeliest: "coat", LikeliestProbability: 1},
		{Name: "b", Path: "b.jpg", Part: "train"}, {Name: "c", Path: "c.jpg", Part: "test"}, {Name: "d", Path: "d.jpg", Part: "train"},
	}
	var names string
	for _, s := range Worst(all, 2) {
		names += s.Name
	}
	if names != "abc" {
		t.Errorf("the worst are %q", names)
	}
	var b strings.Builder
	if err := WriteCSV(&b, all[:1]); err != nil {
		t.Fatal(err)
	}
	want := "path,label,part,loss,probability,likeliest,likeliest_probability\n\"photos/a, b.jpg\",bag,train,+Inf,0,coat,1\n"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}
