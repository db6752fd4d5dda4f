package train_test

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/residual-ml/residual/train"
)

// Small images stay small: the size follows their own, nothing is cut off them, and tiny ones are
// shifted in place of being cropped. A size that was given is kept.
func TestSmallImagesStaySmall(t *testing.T) {
	for _, c := range []struct {
		width, height int
		given         train.Config
		size, shorter int
		augment       string
		model         string
	}{
		{28, 28, train.Config{}, 32, 32, "crop", "resnet9-32"},
		{33, 41, train.Config{}, 40, 40, "crop", "resnet9-32"},
		{60, 50, train.Config{}, 64, 64, "standard", "resnet18-s2"},
		{300, 200, train.Config{}, 96, 110, "standard", "resnet18"},
		{28, 28, train.Config{Resize: 64}, 64, 64, "standard", "resnet18-s2"},
		{300, 200, train.Config{Resize: 32, Blocks: []int{1, 1, 1, 1}}, 32, 37, "standard", "resnet18"},
		{32, 32, train.Config{Preparation: train.Preparation{ResizeShorter: 36, Augment: "flip"}}, 32, 36, "flip", "resnet9-32"},
	} {
		root := t.TempDir()
		for i := range 4 { // two images of each class: one to train on, one to test on
			greys(t, filepath.Join(root, "photos", fmt.Sprint("class", i%2), fmt.Sprint(i, ".png")), c.width, c.height, i)
		}
		c.given.Data = filepath.Join(root, "photos")
		got := c.given.Resolved()
		if got.Resize != c.size || got.ResizeShorter != c.shorter || got.Augment != c.augment || got.Model != c.model {
			t.Errorf("%dx%d, %d given: %s at %d from %d, %s; want %s at %d from %d, %s", c.width, c.height, c.given.Resize, got.Model, got.Resize, got.ResizeShorter, got.Augment, c.model, c.size, c.shorter, c.augment)
		}
		if again := got.Resolved(); again.Resize != c.size || again.Augment != c.augment {
			t.Errorf("resolved twice: %d, %s", again.Resize, again.Augment)
		}
	}
}

// Scans in grey of an odd size train, with one image of each class for each part.
func TestTinyGreyScans(t *testing.T) {
	root := t.TempDir()
	for i := range 4 {
		greys(t, filepath.Join(root, "scans", fmt.Sprint("class", i%2), fmt.Sprint(i, ".png")), 33, 41, i)
	}
	c := train.Config{
		Data: filepath.Join(root, "scans"), Model: "cifar-resnet8", Epochs: 1, Out: filepath.Join(root, "runs"),
		Precision: "fp32", Preparation: train.Preparation{Channels: 1, Holdout: 0.5},
	}
	var start train.Start
	s, err := train.Run(context.Background(), device(t, 1), c, train.Callbacks{OnStart: func(s train.Start) { start = s }})
	if err != nil {
		t.Fatal(err)
	}
	if s.Config.Resize != 40 || start.Photos.SizedFor != 33 || start.Images != 2 || start.Tests != 2 {
		t.Errorf("size %d for %d, %d and %d images", s.Config.Resize, start.Photos.SizedFor, start.Images, start.Tests)
	}
}

// greys writes an image of a size with a pattern of its own.
func greys(t *testing.T, path string, width, height, pattern int) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	m := image.NewGray(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.SetGray(x, y, color.Gray{uint8((x*x*(pattern+1) + y*(7+pattern)) % 256)})
		}
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
