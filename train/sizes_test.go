package train_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/modelfile"
	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/train"
)

// sides is a transform that notes the sizes of the images it gets.
type sides struct {
	mu   *sync.Mutex
	seen map[int]int
}

func (s sides) Apply(m transforms.Image, _ rand.Source) transforms.Image {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[m.Height]++
	return m
}

// A training that begins with small images sees each size as often, and the model file has the
// size that the model is tested on, in which others use it.
func TestSizesOfATraining(t *testing.T) {
	root := t.TempDir()
	for i := range 12 {
		greys(t, filepath.Join(root, "photos", fmt.Sprint("class", i%2), fmt.Sprint(i, ".png")), 60, 50, i)
	}
	for _, augment := range []string{"standard", "flip", "crop"} {
		seen := sides{&sync.Mutex{}, map[int]int{}}
		c := train.Config{
			Data: filepath.Join(root, "photos"), Model: "cifar-resnet8", Epochs: 4, Out: filepath.Join(root, "runs"), Precision: "fp32", Resize: 64, Progressive: 32,
			EvalSize: 80, Preparation: train.Preparation{Augment: augment, Holdout: 0.5}, Own: train.Own{Transform: seen},
		}
		s, err := train.Run(context.Background(), device(t, 1), c, train.Callbacks{})
		if err != nil {
			t.Fatal(err)
		}
		if want := map[int]int{32: 6, 40: 6, 48: 6, 64: 6}; fmt.Sprint(seen.seen) != fmt.Sprint(want) {
			t.Errorf("%s: images of sides %v, want %v", augment, seen.seen, want)
		}
		m, err := modelfile.Describe(s.Best)
		if err != nil || m.Height != 80 || m.Width != 80 || m.Preprocess.ResizeShorter != 80 {
			t.Errorf("%s: the model file says %+v, %v", augment, m.Input, err)
		}
		model, err := inference.Load(s.Last, device(t, 1), engine.FP32)
		if err != nil {
			t.Fatal(err)
		}
		res, err := model.Evaluate(context.Background(), s.Test, data.LoaderConfig{Batch: 4}, nil)
		if err != nil || res.Accuracy != s.TestAccuracy {
			t.Errorf("%s: the last model is right on %v of the test images, and the training said %v; %v", augment, res.Accuracy, s.TestAccuracy, err)
		}
		model.Close()
	}
}

// What does not go together with such sizes is refused by name.
func TestSizesRefused(t *testing.T) {
	for _, c := range []struct {
		config train.Config
		says   string
	}{
		{train.Config{Model: "d2l-bnlenet", Data: "garments", Progressive: 14}, "Progressive 14: model d2l-bnlenet takes only 28x28 images"},
		{train.Config{Model: "d2l-bnlenet", Data: "garments", EvalSize: 32}, "EvalSize 32: model d2l-bnlenet takes only 28x28 images"},
		{train.Config{Model: "cifar-resnet8", Data: "garments", Resize: 32, Progressive: 32}, "Progressive 32: the training begins with images of this size and ends with 32x32"},
		{train.Config{Model: "cifar-resnet8", Data: "garments", Resize: 32, Progressive: -1}, "Progressive -1"},
		{train.Config{Model: "cifar-resnet8", Data: "garments", Resize: 32, Progressive: 16, Freeze: "backbone"}, "Progressive beside Freeze backbone"},
		{train.Config{Model: "cifar-resnet8", Data: "garments", Resize: 32, EvalSize: 40, Own: train.Own{TeacherModule: nn.NewLinear(1, 1)}}, "EvalSize beside Teacher"},
		{train.Config{Model: "cifar-resnet8", Data: "garments", Resize: 32, EvalSize: 40, Forecast: &train.Forecast{Budget: time.Minute}}, "EvalSize beside Budget"},
	} {
		if err := c.config.Check(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("got %v, want %q", err, c.says)
		}
	}
}

// The estimate counts the epochs with small images: it is below that of as many with large ones.
func TestEstimateOfGrowingImages(t *testing.T) {
	var steps []int
	c := train.Config{Data: "garments", Model: "cifar-resnet8", Resize: 32, Progressive: 16, Epochs: 4, Batch: 32, TrainSize: 64, TestSize: 32, Out: t.TempDir(), Precision: "fp32"}
	err := train.Rehearse(context.Background(), device(t, 1), c, train.Callbacks{OnStart: func(s train.Start) {
		if s.Estimate == nil || s.Estimate.Epochs != 4 || s.Estimate.Epoch <= 0 || s.Estimate.Total < s.Estimate.Training(4) {
			t.Errorf("estimate %+v", s.Estimate)
		}
		shown, err := s.FirstBatch(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, shown[0].Image.Height)
	}})
	if err != nil || !slices.Equal(steps, []int{16}) {
		t.Errorf("the first batch has sides %v, %v", steps, err)
	}
}
