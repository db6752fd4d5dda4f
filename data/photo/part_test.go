package photo

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/residual-ml/residual/data/transforms"
)

// A part has the same pixels as the full image, for every format and orientation.
func TestDecodePart(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	jpegs := 0
	for _, f := range pillow(t) {
		content, err := os.ReadFile(filepath.Join("testdata", f.Name))
		if err != nil {
			t.Fatal(err)
		}
		for orientation := range 9 {
			content := content
			if f.Format == "jpeg" && orientation > 0 { // before the file's own one, so that it is found first
				app1 := "\xff\xe1\x00\x22Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00" + string(rune(orientation)) + "\x00\x00\x00\x00\x00\x00"
				content = append([]byte(string(content[:2])+app1), content[2:]...)
				jpegs++
			}
			for _, o := range []Options{{}, {Channels: 1}, {AsStored: true}} {
				m, info, err := Decode(content, o)
				if err != nil || f.Format == "jpeg" && orientation > 0 && info.Orientation != orientation {
					t.Fatalf("%s: orientation %d, %v", f.Name, info.Orientation, err)
				}
				for range 8 {
					y, x := r.IntN(m.Height), r.IntN(m.Width)
					c := transforms.Crop{Top: y, Left: x, Height: 1 + r.IntN(m.Height-y), Width: 1 + r.IntN(m.Width-x)}
					part, _, err := DecodePart(content, o, func(h, w int) transforms.Crop {
						if h != m.Height || w != m.Width {
							t.Errorf("%s: chooses from %d by %d", f.Name, h, w)
						}
						return c
					})
					want := c.Apply(m, nil)
					if err != nil || part.Height != c.Height || part.Width != c.Width || !bytes.Equal(part.Pix, want.Pix) {
						t.Fatalf("%s, orientation %d: part %+v with %+v differs: %v", f.Name, info.Orientation, c, o, err)
					}
				}
			}
		}
	}
	if jpegs == 0 {
		t.Error("no JPEG file was tried")
	}
	part, _, err := ReadPart("testdata/turned6.jpg", Options{}, func(h, w int) transforms.Crop { return transforms.Crop{Height: 2, Width: 3} })
	if err != nil || part.Height != 2 || part.Width != 3 {
		t.Errorf("[%d, %d], %v", part.Height, part.Width, err)
	}
}
