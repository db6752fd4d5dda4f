package main

import (
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/train"
)

// After a short training eval and predict, which have only the file, agree with what the
// training measured itself.
func TestTrainedModelIsUsed(t *testing.T) {
	dev, err := cpu.New(cpu.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	c := train.Config{Data: "garments", Model: "d2l-bnlenet", Batch: 50, Epochs: 3, LR: 0.5, TrainSize: 2000, Out: t.TempDir(), Seed: 1}
	s, err := train.Run(context.Background(), dev, c, train.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}

	status, stdout, stderr := call("eval", s.Last, "--json", "--batch", "300", "--threads", "1")
	var eval evalResult
	if err := json.Unmarshal([]byte(stdout), &eval); err != nil || status != 0 {
		t.Fatalf("eval: status %d, %v, %s", status, err, stderr)
	}
	if eval.Accuracy != s.TestAccuracy || eval.Count != 2000 || eval.Architecture != "d2l-bnlenet" || eval.Data != "garments" {
		t.Errorf("eval found an accuracy of %v on %d images, the training %v on 2000", eval.Accuracy, eval.Count, s.TestAccuracy)
	}
	if eval.Accuracy < 0.6 {
		t.Errorf("an accuracy of %v is too low to tell predictions from chance", eval.Accuracy)
	}

	paths, labels := images(t, 60)
	status, stdout, stderr = call(append([]string{"predict", s.Last, "--json", "-k", "1"}, paths...)...)
	var answers []prediction
	if err := json.Unmarshal([]byte(stdout), &answers); err != nil || status != 0 || len(answers) != len(paths) {
		t.Fatalf("predict: status %d, %v, %s", status, err, stderr)
	}
	right := 0
	for i, a := range answers {
		if a.Image != paths[i] || len(a.Predictions) != 1 {
			t.Fatalf("answer %d is %+v", i, a)
		}
		if a.Predictions[0].Index == labels[i] {
			right++
		}
	}
	if share := float64(right) / float64(len(paths)); share < eval.Accuracy-0.2 {
		t.Errorf("predict is right for %v of the images as PNG files, eval for %v", share, eval.Accuracy)
	}
}

// images writes the first garments of the test part as PNG files.
func images(t *testing.T, n int) (paths []string, labels []int) {
	ds, err := data.Open(context.Background(), "garments", data.Options{Split: data.Test, Size: n})
	if err != nil {
		t.Fatal(err)
	}
	info, dir := ds.Info(), t.TempDir()
	for i := range n {
		img := image.NewGray(image.Rect(0, 0, info.Width, info.Height))
		label, err := ds.Get(i, img.Pix)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, fmt.Sprintf("%02d.png", i))
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := png.Encode(f, img); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		paths, labels = append(paths, path), append(labels, label)
	}
	return paths, labels
}
