package report

import (
	"image"
	"image/color"
	"math"
	"testing"
)

// HeatColor is near matplotlib's inferno between the tabulated colours, too.
func TestHeatColor(t *testing.T) {
	for i, want := range map[int][3]int{0: {0, 0, 4}, 8: {4, 3, 18}, 60: {81, 14, 108}, 111: {162, 43, 98}, 200: {251, 157, 7}, 247: {243, 245, 134}, 255: {252, 255, 164}} {
		got := HeatColor(float64(i) / 255)
		for k, v := range []uint8{got.R, got.G, got.B} {
			if d := int(v) - want[k]; d < -7 || d > 7 {
				t.Errorf("colour %d is %v, in matplotlib %v", i, got, want)
			}
		}
	}
	if HeatColor(-1) != HeatColor(0) || HeatColor(2) != HeatColor(1) || HeatColor(math.NaN()) != HeatColor(0) {
		t.Error("values outside 0 to 1 are not those at the ends")
	}
	last := -1.0
	for i := range 256 {
		c := HeatColor(float64(i) / 255)
		light := 0.2126*math.Pow(float64(c.R)/255, 2.2) + 0.7152*math.Pow(float64(c.G)/255, 2.2) + 0.0722*math.Pow(float64(c.B)/255, 2.2)
		if light < last {
			t.Errorf("colour %d is darker than the one before", i)
		}
		last = light
	}
}

// torch.nn.functional.interpolate(torch.tensor([[[[0., 1], [2, 4]]]]), size=(4, 4),
// mode="bilinear") of PyTorch 1.13.
func TestHeatmapIsBilinear(t *testing.T) {
	want := [][]float64{
		{0, 0.25, 0.75, 1}, {0.5, 0.8125, 1.4375, 1.75}, {1.5, 1.9375, 2.8125, 3.25}, {2, 2.5, 3.5, 4},
	}
	h := Heatmap{2, 2, []float32{0, 1, 2, 4}}
	for i, row := range want {
		for j, v := range row {
			if got := h.at(fieldsAt(i, 4, 2), fieldsAt(j, 4, 2)); math.Abs(got-v) > 1e-12 {
				t.Errorf("value %d, %d is %v, in PyTorch %v", i, j, got, v)
			}
		}
	}
}

func TestHeatmapOver(t *testing.T) {
	img := image.NewNRGBA(image.Rect(10, 20, 18, 24))
	for i := range img.Pix {
		img.Pix[i] = 255
	}
	seen := image.Rect(12, 20, 16, 24)
	got := Heatmap{1, 2, []float32{-3, 5}}.Over(img, seen)
	if got.Bounds() != img.Bounds() {
		t.Fatalf("it has the bounds %v", got.Bounds())
	}
	hot, cold := HeatColor(1), HeatColor(0)
	mixed := func(c color.RGBA) color.RGBA {
		mix := func(v uint8) uint8 { return uint8(0.4*255 + 0.6*float64(v) + 0.5) }
		return color.RGBA{mix(c.R), mix(c.G), mix(c.B), 255}
	}
	for at, want := range map[image.Point]color.RGBA{
		{X: 11, Y: 20}: mixed(color.RGBA{}), {X: 16, Y: 23}: mixed(color.RGBA{}), // not seen
		{X: 12, Y: 21}: mixed(cold), {X: 15, Y: 23}: mixed(hot),
	} {
		if c := got.RGBAAt(at.X, at.Y); c != want {
			t.Errorf("pixel %v is %v, want %v", at, c, want)
		}
	}
	// A map without values above 0 adds no colour, and the maximum of 0 divides nothing.
	none := Heatmap{1, 1, []float32{0}}.Over(img, seen)
	if c := none.RGBAAt(13, 21); c != mixed(color.RGBA{}) {
		t.Errorf("without heat a pixel is %v", c)
	}
}
