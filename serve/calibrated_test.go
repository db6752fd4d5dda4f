package serve_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/serve"
)

// A model that is opened calibrated answers with these probabilities, also beside one of equal
// weights that is not, and its card says so.
func TestCalibrated(t *testing.T) {
	m, dev, path := about(), device(t), filepath.Join(t.TempDir(), "animals.safetensors")
	m.Temperature = []float64{3}
	write(t, path, m, 1, nil)
	open := func(path string) (*inference.Classifier, error) {
		c, err := inference.Load(path, dev, engine.Auto)
		if err != nil {
			return nil, err
		}
		return c.Calibrated()
	}
	s, err := serve.New([]serve.Model{serve.File("plain", path, dev), {Name: "sure", Path: path, Open: open}}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	image := jpegOf(t, 1)
	want, err := c.PredictBytes(t.Context(), image, 0)
	if err != nil {
		t.Fatal(err)
	}
	plain, sure := read(t, ask(s, "POST", "/predict?k=0", image), 200).Classes, read(t, ask(s, "POST", "/models/sure/predict?k=0", image), 200).Classes
	if !slices.Equal(sure, want) || slices.Equal(plain, sure) || plain[0].Class != sure[0].Class {
		t.Errorf("plain %v, calibrated %v, want %v", plain, sure, want)
	}
	for name, calibrated := range map[string]bool{"plain": false, "sure": true} {
		var card struct {
			Calibrated  bool
			Temperature []float64
		}
		w := ask(s, "GET", "/models/"+name, nil)
		if err := json.Unmarshal(w.Body.Bytes(), &card); err != nil || card.Calibrated != calibrated || !slices.Equal(card.Temperature, m.Temperature) {
			t.Errorf("the card of %s: %v %s", name, err, w.Body)
		}
	}
}
