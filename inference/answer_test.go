package inference_test

import (
	"context"
	"image"
	"math"
	"slices"
	"testing"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/inference"
)

// EvaluateEach gives the same answer for every image as Predict.
func TestEvaluateEach(t *testing.T) {
	_, path := save(t, leNetInfo(), nil)
	c, err := inference.Load(path, device(t), engine.FP32)
	if err != nil {
		t.Fatal(err)
	}
	const n = 23
	ds := garments(t, n)
	var answers []inference.Answer
	res, err := c.EvaluateEach(context.Background(), ds, data.LoaderConfig{Batch: 10}, func(a inference.Answer) { answers = append(answers, a) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(answers) != n || res.Count != n {
		t.Fatalf("%d answers for %d images", len(answers), res.Count)
	}
	right, amongFive := 0, 0
	for i, a := range answers {
		g := image.NewGray(image.Rect(0, 0, 28, 28))
		label, err := ds.Get(i, g.Pix)
		if err != nil {
			t.Fatal(err)
		}
		ps, err := c.Predict(context.Background(), g, 0)
		if err != nil {
			t.Fatal(err)
		}
		own := slices.IndexFunc(ps, func(p inference.Prediction) bool { return p.Index == label })
		if a.Index != i || a.Label != label || a.Class != ps[0].Index ||
			math.Abs(a.Probability-ps[0].Probability) > 1e-6 || math.Abs(a.Own-ps[own].Probability) > 1e-6 {
			t.Errorf("image %d: %+v, but Predict says %+v of label %d", i, a, ps, label)
		}
		if a.Class == a.Label {
			right++
		}
		if own < 5 {
			amongFive++
		}
	}
	if float64(right)/n != res.Accuracy {
		t.Errorf("%d answers are right, the accuracy is %v", right, res.Accuracy)
	}
	if res.AmongFive != amongFive || res.Top5Accuracy() != float64(amongFive)/n {
		t.Errorf("%d are among the five likeliest, the top-5 accuracy is %v", amongFive, res.Top5Accuracy())
	}
	if few := (inference.Result{Count: 3, AmongFive: 3, Confusion: make([][]int, 5)}); !math.IsNaN(few.Top5Accuracy()) {
		t.Errorf("of five classes the top-5 accuracy is %v", few.Top5Accuracy())
	}
}
