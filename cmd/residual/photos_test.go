package main

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/internal/portable"
	"github.com/residual-ml/residual/train"
)

// evaluated is what eval --json says.
func evaluated(t *testing.T, args ...string) (r evalResult) {
	t.Helper()
	status, stdout, stderr := call(append([]string{"eval", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || status != 0 {
		t.Fatalf("eval %v: status %d, %v, %s", args, status, err, stderr)
	}
	return r
}

// TestModelOfPhotosIsUsed trains on photos and asks eval and predict, who have only the
// file and the folder of its run, for what the training saw itself.
func TestModelOfPhotosIsUsed(t *testing.T) {
	portable.Skip(t, "TestTrainedModelIsUsed shows that eval and predict agree with a training, and how photos are prepared does not depend on the kernels")
	dev, err := cpu.New(cpu.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	dir := filepath.Join(t.TempDir(), "photos")
	if err := folder.Make(context.Background(), dir, folder.MakeConfig{PerClass: 12, Turned: 0.3, Broken: 1}); err != nil {
		t.Fatal(err)
	}
	c := train.Config{
		Data: dir, Model: "cifar-resnet8", Resize: 24, Batch: 24, Epochs: 40, LR: 0.05, Out: t.TempDir(),
		Preparation: train.Preparation{Augment: "none", Interpolation: "bicubic"},
	}
	var x *folder.Index
	s, err := train.Run(context.Background(), dev, c, train.Callbacks{OnStart: func(s train.Start) { x = s.Photos.Index }})
	if err != nil {
		t.Fatal(err)
	}

	// Without --data, and with it, the part is that of the run.
	for _, args := range [][]string{{s.Last}, {s.Last, "--data", dir, "--batch", "7", "--threads", "1"}} {
		r := evaluated(t, args...)
		if r.Accuracy != s.TestAccuracy || r.Count != 20 || r.Split != "test" || r.Data != dir {
			t.Errorf("%v: accuracy %v on %d images, the %s part of %s; the training had %v", args[1:], r.Accuracy, r.Count, r.Split, r.Data, s.TestAccuracy)
		}
	}
	if _, err := os.Stat(filepath.Join(s.Dir, "report-last.html")); err != nil {
		t.Error(err)
	}
	seen := evaluated(t, s.Last, "--split", "train")
	if seen.Count != 99 || seen.Accuracy < 0.8 {
		t.Errorf("accuracy %v on %d images trained on", seen.Accuracy, seen.Count)
	}

	// predict prepares a photo as the evaluation did.
	var paths []string
	var labels []int
	for _, it := range x.Items {
		if it.Split == data.Train {
			paths, labels = append(paths, it.Path), append(labels, it.Label)
		}
	}
	status, stdout, stderr := call(append([]string{"predict", s.Last, "--json", "-k", "1"}, paths...)...)
	var answers []prediction
	if err := json.Unmarshal([]byte(stdout), &answers); err != nil || status != 0 {
		t.Fatalf("status %d, %v, %s", status, err, stderr)
	}
	right := 0
	for i, a := range answers {
		if a.Predictions[0].Index == labels[i] {
			right++
		}
	}
	if got := float64(right) / float64(len(paths)); got != seen.Accuracy {
		t.Errorf("predict is right for %v of the images, eval for %v", got, seen.Accuracy)
	}

	t.Run("elsewhere", func(t *testing.T) { evalElsewhere(t, s.Last, dir) })
}

// evalElsewhere measures on images that the training did not have, in a folder that lacks
// classes.
func evalElsewhere(t *testing.T, model, dir string) {
	drawn, other := filepath.Join(t.TempDir(), "drawn"), t.TempDir()
	if err := folder.Make(context.Background(), drawn, folder.MakeConfig{PerClass: 12, Seed: 99}); err != nil {
		t.Fatal(err)
	}
	for _, class := range []string{"trouser", "coat", "sandal"} {
		if err := os.Rename(filepath.Join(drawn, class), filepath.Join(other, class)); err != nil {
			t.Fatal(err)
		}
	}
	r := evaluated(t, model, "--data", other)
	sum := 0
	for label, row := range r.Confusion {
		n := 0
		for _, v := range row {
			n += v
		}
		if has := strings.Contains("trouser coat sandal", r.Classes[label]); has != (n == 12) || !has && n != 0 {
			t.Errorf("%d images of %s", n, r.Classes[label])
		}
		sum += n
	}
	if sum != 36 || r.Count != 36 || r.Split != "whole" || r.Accuracy < 0.2 || math.IsNaN(float64(r.Loss)) {
		t.Errorf("%+v", r)
	}
	// A broken image is named and left out, a class the model does not know is refused.
	if err := os.WriteFile(filepath.Join(other, "coat", "0000.jpg"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := call("eval", model, "--data", other)
	if status != 0 || !strings.Contains(stdout, "on all 35 images of "+other) || !strings.HasPrefix(stderr, "left out: image "+filepath.Join(other, "coat", "0000.jpg")) {
		t.Errorf("status %d, %s, %s", status, stdout, stderr)
	}
	if err := os.Rename(filepath.Join(other, "coat"), filepath.Join(other, "cape")); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr = call("eval", model, "--data", other); status != 1 || !strings.Contains(stderr, `a class "cape", which the model does not know; it knows ankle-boot, `) {
		t.Errorf("status %d, %s", status, stderr)
	}
	// Without its run beside it a model does not know where its images are.
	alone := filepath.Join(t.TempDir(), "alone.safetensors")
	content, err := os.ReadFile(model)
	if err == nil {
		err = os.WriteFile(alone, content, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	if status, _, stderr = call("eval", alone); status != 1 || !strings.Contains(stderr, "was trained on photos/") || !strings.Contains(stderr, "--data") {
		t.Errorf("status %d, %s", status, stderr)
	}
	if r := evaluated(t, alone, "--data", dir); r.Split != "whole" || r.Count != 119 {
		t.Errorf("%+v", r)
	}
}
