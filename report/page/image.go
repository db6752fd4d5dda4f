package page

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html/template"
	"image"
	"image/jpeg"
	"image/png"
	"math"
)

// shot is a mistake ready for the template.
type shot struct {
	Mistake
	Source, HeatSource template.URL
	Width, Height      int
	Coarse             bool // has so few pixels that they are shown as squares
	Sure, OwnText      string
}

// largestPNG is the side in pixels up to which images are stored losslessly; for larger
// ones JPEG takes a tenth of the space.
const largestPNG = 64

const jpegQuality = 88

func (v *content) shots() error {
	for _, m := range v.Mistakes {
		b := m.Image.Bounds()
		s := shot{
			Mistake: m, Width: b.Dx(), Height: b.Dy(), Coarse: max(b.Dx(), b.Dy()) <= largestPNG,
			Sure: percentSure(m.Probability), OwnText: percentSure(m.Own),
		}
		var err error
		if s.Source, err = dataURI(m.Image); err != nil {
			return fmt.Errorf("image %s: %w", m.Name, err)
		}
		if m.Heat != nil {
			if s.HeatSource, err = dataURI(m.Heat); err != nil {
				return fmt.Errorf("heat map of %s: %w", m.Name, err)
			}
		}
		v.Shots = append(v.Shots, s)
	}
	return nil
}

// percentSure formats a probability; NaN means that the network gave none.
func percentSure(p float64) string {
	if math.IsNaN(p) {
		return "no number"
	}
	if p > 0 && p < 1e-4 {
		return "< 0.01%"
	}
	return percent(p)
}

// dataURI encodes an image as a data: address.
func dataURI(img image.Image) (template.URL, error) {
	var b bytes.Buffer
	kind := "jpeg"
	var err error
	if s := img.Bounds().Size(); max(s.X, s.Y) <= largestPNG {
		kind, err = "png", png.Encode(&b, img)
	} else {
		err = jpeg.Encode(&b, img, &jpeg.Options{Quality: jpegQuality})
	}
	return template.URL("data:image/" + kind + ";base64," + base64.StdEncoding.EncodeToString(b.Bytes())), err
}
