package loop

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// The rules give the same results as fastai's for the same curves.
func TestSuggestionsAgainstFastai(t *testing.T) {
	text, err := os.ReadFile("testdata/fastai_suggest.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Steps         int
		Rates, Losses []float64
		Found         struct{ Valley, Steep, Minimum float64 }
	}
	if err := json.Unmarshal(text, &cases); err != nil || len(cases) != 5 {
		t.Fatal(len(cases), err)
	}
	for i, c := range cases {
		var curve LRCurve
		for j, rate := range c.Rates {
			curve.Points = append(curve.Points, LRPoint{Step: j + 1, LR: float32(rate), Smooth: float64(float32(c.Losses[j]))})
		}
		curve.suggest(c.Steps)
		for rule, pair := range map[string][2]float64{
			"valley": {float64(curve.Valley), c.Found.Valley}, "steep": {float64(curve.Steepest), c.Found.Steep}, "minimum": {float64(curve.Tenth), c.Found.Minimum},
		} {
			if math.Abs(pair[0]-pair[1]) > 1e-5*pair[1] {
				t.Errorf("curve %d: %s finds %v, fastai %v", i, rule, pair[0], pair[1])
			}
		}
	}
	flat := LRCurve{Points: make([]LRPoint, 30)}
	for i := range flat.Points {
		flat.Points[i] = LRPoint{LR: float32(i + 1), Smooth: float64(i)}
	}
	if flat.suggest(30); flat.Valley != 0 || flat.Steepest != 0 || flat.Tenth != 0 {
		t.Errorf("a loss that only rises gives %+v", flat)
	}
}
