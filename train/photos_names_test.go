package train_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/checkpoint"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/train"
)

// Folders with decomposed Unicode names and with paths that are not UTF-8 can be trained on and
// the run resumed: the record of the run finds the same files again.
func TestNamesOfPhotos(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("names of files are any bytes on Linux alone")
	}
	made := photos(t, folder.MakeConfig{PerClass: 3})
	dir := filepath.Join(filepath.Dir(made), "ph\xf6tos")
	for _, move := range [][2]string{
		{made, dir}, {dir + "/bag", dir + "/cafe\u0301"}, {dir + "/coat", dir + "/caf\u00e9"}, {dir + "/dress/0001.jpg", dir + "/dress/\xe9.jpg"}, {dir + "/shirt", dir + "/shirt\u00a0"},
	} {
		if err := os.Rename(move[0], move[1]); err != nil {
			t.Fatal(err)
		}
	}
	var start train.Start
	c := quick(t, dir)
	s, err := train.Run(context.Background(), device(t, 2), c, train.Callbacks{OnStart: func(s train.Start) { start = s }})
	if err != nil {
		t.Fatal(err)
	}
	classes := []string{"ankle-boot", "caf\u00e9", "dress", "pullover", "sandal", "shirt", "sneaker", "t-shirt-top", "trouser"}
	m, f, err := checkpoint.LoadModel(s.Last)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if !slices.Equal(m.Classes, classes) || start.Images+start.Tests != 30 || len(start.Photos.Index.Notes) != 1 {
		t.Errorf("classes %q, %d and %d images, notes %q", m.Classes, start.Images, start.Tests, start.Photos.Index.Notes)
	}
	saved, err := train.OpenRun(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	saved.Config.Epochs = 3
	if s, err = saved.Resume(context.Background(), device(t, 2), saved.Config, train.Callbacks{}); err != nil || s.Epochs != 3 {
		t.Errorf("after %d epochs: %v", s.Epochs, err)
	}
	// The other settings in the state are still compared.
	settings := filepath.Join(s.Dir, "settings.yaml")
	if err := os.WriteFile(settings, []byte(strings.Replace(read(t, settings), "resize: 24", "resize: 25", 1)), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := train.OpenRun(s.Dir); err == nil || !strings.Contains(err.Error(), "resize is 25, and the training so far was with 24") {
		t.Error(err)
	}
}

// A training reports the classes that have no test images and those that have no training
// images.
func TestReportsClassesWithoutImages(t *testing.T) {
	made := photos(t, folder.MakeConfig{PerClass: 4})
	start := func(c train.Config) (s train.Start) {
		t.Helper()
		if err := train.Rehearse(context.Background(), device(t, 2), c, train.Callbacks{OnStart: func(got train.Start) { s = got }}); err != nil {
			t.Fatal(err)
		}
		return s
	}
	c := quick(t, made)
	if p := start(c).Photos; p.Untested != nil || p.Untrained != nil {
		t.Errorf("lacking %q, %q", p.Untested, p.Untrained)
	}
	c.TestSize = 9
	if p := start(c).Photos; len(p.Untested) != 1 {
		t.Errorf("nine test images of ten classes lack %q", p.Untested)
	}
	list := filepath.Join(made, "list.csv")
	text := "path,label,split\n"
	for class, splits := range map[string]string{"bag": "train train val", "coat": "train val val", "dress": "train train train", "shirt": "val val val"} {
		for i, split := range strings.Fields(splits) {
			text += fmt.Sprintf("%s/%04d.jpg,%s,%s\n", class, i, class, split)
		}
	}
	if err := os.WriteFile(list, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	if p := start(quick(t, list)).Photos; !slices.Equal(p.Untested, []string{"dress"}) || !slices.Equal(p.Untrained, []string{"shirt"}) {
		t.Errorf("lacking %q, %q", p.Untested, p.Untrained)
	}
	// All images of a class are near-duplicates.
	for _, name := range []string{"0001.jpg", "0002.jpg", "0003.jpg"} {
		if err := os.WriteFile(filepath.Join(made, "sandal", name), []byte(read(t, filepath.Join(made, "sandal", "0000.jpg"))), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if p := start(quick(t, made)).Photos; !slices.Equal(p.Untested, []string{"sandal"}) || p.Untrained != nil {
		t.Errorf("lacking %q, %q", p.Untested, p.Untrained)
	}
}
