package folder

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"testing"
)

// The shorter side is the median of the images that can be read, of whatever form.
func TestShorterSide(t *testing.T) {
	for _, c := range []struct {
		sizes [][2]int
		want  int
	}{
		{[][2]int{{28, 28}, {28, 28}}, 28},
		{[][2]int{{33, 41}, {41, 33}, {200, 300}}, 33},
		{[][2]int{{64, 640}, {100, 50}, {300, 200}, {500, 400}, {90, 91}}, 90},
		{[][2]int{{0, 0}, {32, 40}}, 32},
		{[][2]int{{0, 0}, {0, 0}}, 0},
	} {
		root := t.TempDir()
		for i, s := range c.sizes {
			dir := filepath.Join(root, fmt.Sprint("class", i%2))
			if err := os.MkdirAll(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			f, err := os.Create(filepath.Join(dir, fmt.Sprint(i, ".png")))
			if err != nil {
				t.Fatal(err)
			}
			if s[0] > 0 { // else the file is empty
				err = png.Encode(f, image.NewGray(image.Rect(0, 0, s[0], s[1])))
			}
			if err := errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
		}
		x, err := Scan(root)
		if err != nil {
			t.Fatal(err)
		}
		if got := x.ShorterSide(t.Context()); got != c.want {
			t.Errorf("%v: %d, want %d", c.sizes, got, c.want)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if got := x.ShorterSide(ended); got != 0 {
			t.Errorf("%d after the end of the context", got)
		}
	}
}
