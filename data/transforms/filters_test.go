package transforms

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// Every filter gives the same bytes as in Pillow, and computing only a window of the resized
// image gives the same pixels.
func TestFiltersMatchPillow(t *testing.T) {
	text, err := os.ReadFile("testdata/filters.json")
	if err != nil {
		t.Fatal(err)
	}
	var want struct{ Filters map[string][]string }
	if err := json.Unmarshal(text, &want); err != nil || len(want.Filters) != 6 {
		t.Fatal(err, len(want.Filters))
	}
	for name, rows := range want.Filters {
		f, ok := ParseInterpolation(name)
		if !ok || f.String() != name {
			t.Fatalf("%s is %v", name, f)
		}
		for seed, row := range rows {
			m := testImage(seed)
			var got []string
			for _, s := range [][2]int{{96, 96}, {224, 160}, {33, 300}, {500, 7}} {
				got = append(got, digest(Resize{Height: s[0], Width: s[1], Interpolation: f}.Apply(m, nil).Pix))
			}
			if all := strings.Join(got, " "); all != row {
				t.Errorf("%s of image %d, [%d, %d]: %s, Pillow has %s", name, seed, m.Height, m.Width, all, row)
			}
			full := CenterCrop{Size: 50}.Apply(Resize{Size: 61, Interpolation: f}.Apply(m, nil), nil)
			if part := (ImageClassification{ResizeSize: 61, CropSize: 50, Interpolation: f}).Pixels(m); digest(part.Pix) != digest(full.Pix) {
				t.Errorf("%s of image %d: the middle, computed alone, differs", name, seed)
			}
		}
	}
	if _, ok := ParseInterpolation("area"); ok {
		t.Error("area is a filter")
	}
}
