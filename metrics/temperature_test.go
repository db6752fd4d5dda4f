package metrics_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/residual-ml/residual/metrics"
)

// Labels that are drawn from the softmax of z, and logits that are z times a number: the
// temperature is that number.
func TestClassTemperature(t *testing.T) {
	const n, classes = 20_000, 4
	for _, scale := range []float64{0.3, 1, 2.5} {
		r := rand.New(rand.NewPCG(1, 2))
		logits, labels := make([]float32, n*classes), make([]int64, n)
		for i := range n {
			row, sum := make([]float64, classes), 0.0
			for j := range row {
				z := 2 * r.NormFloat64()
				logits[i*classes+j] = float32(z * scale)
				row[j] = math.Exp(z)
				sum += row[j]
			}
			at := r.Float64() * sum
			for at -= row[0]; at > 0 && labels[i] < classes-1; at -= row[labels[i]] {
				labels[i]++
			}
		}
		if got := metrics.ClassTemperature(logits, classes, labels); math.Abs(got/scale-1) > 0.03 {
			t.Errorf("logits times %v: the temperature is %v", scale, got)
		}
	}
}

// Where no image is wrong, the temperature falls with the number of images and stays above its
// bound; where there is no image, or none with finite logits, it is 1.
func TestTemperatureOfFew(t *testing.T) {
	right := func(n int) float64 {
		logits, labels := make([]float32, 2*n), make([]int64, n)
		for i := range n {
			logits[2*i] = 1
		}
		return metrics.ClassTemperature(logits, 2, labels)
	}
	few, many := right(3), right(300)
	if !(few < 1 && many < few && many > 0.05) {
		t.Errorf("no mistakes in 3 images: %v, in 300: %v", few, many)
	}
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for name, got := range map[string]float64{
		"no image":       metrics.ClassTemperature(nil, 3, nil),
		"not finite":     metrics.ClassTemperature([]float32{nan, 0, inf, 1}, 2, []int64{0, 1}),
		"labels, no one": metrics.LabelTemperatures(nil, nil, 1)[0],
		"labels, NaN":    metrics.LabelTemperatures([]float32{nan, inf}, []float32{1, 0}, 1)[0],
	} {
		if math.Abs(got-1) > 1e-6 {
			t.Errorf("%s: the temperature is %v", name, got)
		}
	}
}

// Every label gets the temperature of its own logits.
func TestLabelTemperatures(t *testing.T) {
	const n = 20_000
	scales := []float64{0.5, 3}
	r := rand.New(rand.NewPCG(3, 4))
	logits, targets := make([]float32, n*2), make([]float32, n*2)
	for i := range logits {
		z := 2 * r.NormFloat64()
		logits[i] = float32(z * scales[i%2])
		if r.Float64() < 1/(1+math.Exp(-z)) {
			targets[i] = 1
		}
	}
	for j, got := range metrics.LabelTemperatures(logits, targets, 2) {
		if math.Abs(got/scales[j]-1) > 0.05 {
			t.Errorf("label %d: the temperature is %v, want %v", j, got, scales[j])
		}
	}
}
