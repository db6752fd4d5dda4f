package inference_test

import (
	"image"
	"slices"
	"strings"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/inference"
)

// Classifier.GradCAM of an image equals GradCAMs of the image that Prepare returns.
func TestClassifierGradCAM(t *testing.T) {
	_, path := save(t, presetInfo(), nil)
	c, err := inference.Load(path, device(t), engine.FP32)
	if err != nil {
		t.Fatal(err)
	}
	img := image.NewNRGBA(image.Rect(5, 5, 65, 45))
	for i := range img.Pix {
		img.Pix[i] = uint8(i*i/7 | 3)
	}
	ps, err := c.Predict(t.Context(), img, 1)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.GradCAM(img, -1)
	if err != nil {
		t.Fatal(err)
	}
	if got.Class != ps[0].Index || got.Height != 6 || got.Width != 6 {
		t.Errorf("class %d and a map of %dx%d, want class %d and 6x6", got.Class, got.Height, got.Width, ps[0].Index)
	}
	x, err := c.Prepare([]image.Image{img})
	if err != nil {
		t.Fatal(err)
	}
	all, err := c.GradCAMs(x, []int{got.Class})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(all[0].Values, got.Values) {
		t.Error("one image and a batch of it have different maps")
	}
	// 27 pixels of the shorter side, 40, of which the middle 24 are seen.
	if seen := c.Seen(img.Bounds()); seen != image.Rect(17, 7, 53, 43) {
		t.Errorf("of %v the model sees %v", img.Bounds(), seen)
	}
	if _, err := c.GradCAM(img, 10); err == nil || !strings.HasPrefix(err.Error(), path) {
		t.Errorf("an unknown class gave %v", err)
	}
}
