package folder

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	fields "github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/internal/rng"
)

// MakeConfig configures Make. The zero value asks for 20 images per class.
type MakeConfig struct {
	PerClass int // images of each class; 0 means 20
	Val      int // more images of each class, in a folder val beside train; 0 means no such folders
	Seed     uint64
	// Turned is the fraction of images that are stored rotated or mirrored, with EXIF data
	// that turns them upright.
	Turned float64
	// Broken is the number of files of the first class that are cut short.
	Broken int
}

// mostDrawn is the largest number of images of a class.
const mostDrawn = 100_000

// check names the first field that cannot be.
func (c MakeConfig) check() error {
	switch {
	case c.PerClass < 1 || c.PerClass > mostDrawn:
		return fields.Errorf("{PerClass} %d: must be from 1 to %d", c.PerClass, mostDrawn)
	case c.Val < 0 || c.Val > mostDrawn:
		return fields.Errorf("{Val} %d: must be from 0 to %d", c.Val, mostDrawn)
	case c.Broken < 0 || c.Broken > c.PerClass:
		return fields.Errorf("{Broken} %d: must be from 0 to the %d of {PerClass}", c.Broken, c.PerClass)
	case !(c.Turned >= 0 && c.Turned <= 1):
		return fields.Errorf("{Turned} %v: must be a share from 0 to 1, such as 0.2", c.Turned)
	}
	return nil
}

// Make writes a folder of images for trying out a training: generated garments in colour, as
// JPEG files of different sizes, in one folder per class. The folder must be new or empty. The
// same settings give the same images, and with the same version of Go the same files.
func Make(ctx context.Context, dir string, c MakeConfig) error {
	if c.PerClass == 0 {
		c.PerClass = 20
	}
	if err := c.check(); err != nil {
		return err
	}
	if err := untouched(dir); err != nil {
		return err
	}
	parts := []struct {
		folder string
		split  data.Split
		each   int
		broken int
	}{{".", data.Train, c.PerClass, c.Broken}}
	if c.Val > 0 {
		parts[0].folder = "train"
		parts = append(parts, parts[0])
		parts[1].folder, parts[1].split, parts[1].each, parts[1].broken = "val", data.Test, c.Val, 0
	}
	for _, p := range parts {
		if err := c.part(ctx, filepath.Join(dir, p.folder), p.split, p.each, p.broken); err != nil {
			return err
		}
	}
	return nil
}

// untouched returns an error if a folder is not empty.
func untouched(dir string) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%s is not empty; name a new folder", dir)
	}
	return nil
}

// part writes the images of one split: each is the number per class.
func (c MakeConfig) part(ctx context.Context, dir string, split data.Split, each, broken int) error {
	// The labels are in no particular order, so draw until every class has enough images.
	size := 0
	for drawn := false; !drawn; {
		size += 20 * each
		ds, err := data.Open(ctx, "garments", data.Options{Split: split, Size: size, Seed: c.Seed})
		if err != nil {
			return err
		}
		if drawn, err = c.write(ctx, ds, dir, split, each, broken); err != nil {
			return err
		}
	}
	return nil
}

// write writes images of ds until each class has enough. enough reports whether ds had as many.
func (c MakeConfig) write(ctx context.Context, ds data.Dataset, dir string, split data.Split, each, broken int) (enough bool, err error) {
	info := ds.Info()
	counts := make([]int, len(info.Classes))
	m := transforms.NewImage(info.Channels, info.Height, info.Width)
	missing := each * len(counts)
	for i := 0; i < ds.Len() && missing > 0; i++ {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		label, err := ds.Get(i, m.Pix)
		if err != nil {
			return false, err
		}
		if counts[label] == each {
			continue
		}
		content, err := c.photo(m, split, i)
		if err != nil {
			return false, err
		}
		if label == 0 && counts[label] < broken {
			content = content[:len(content)*2/3]
		}
		class := filepath.Join(dir, strings.ToLower(strings.NewReplacer(" ", "-", "/", "-").Replace(info.Classes[label])))
		if err := os.MkdirAll(class, 0o777); err != nil {
			return false, err
		}
		if err := os.WriteFile(filepath.Join(class, fmt.Sprintf("%04d.jpg", counts[label])), content, 0o666); err != nil {
			return false, err
		}
		counts[label]++
		missing--
	}
	return missing == 0, nil
}

// photo returns a JPEG file of a grey garment that is coloured, enlarged and possibly rotated
// as by a camera.
func (c MakeConfig) photo(grey transforms.Image, split data.Split, index int) ([]byte, error) {
	var rnd transforms.Rand
	epoch := 0
	if split == data.Test {
		epoch = 1
	}
	rnd.Image(c.Seed, epoch, index)
	r := rng.Of(&rnd)
	m := transforms.NewImage(3, grey.Height, grey.Width)
	area := grey.Height * grey.Width
	for channel := range 3 {
		ground, cloth := 150+r.IntN(106), r.IntN(150)
		for i, v := range grey.Pix {
			m.Pix[channel*area+i] = uint8(ground + (cloth-ground)*int(v)/255)
		}
	}
	side := 64 + r.IntN(96)
	m = transforms.Resize{Height: side + r.IntN(side/2), Width: side + r.IntN(side/2), Interpolation: transforms.Bicubic}.Apply(m, nil)
	orientation := 1
	if r.Float64() < c.Turned {
		orientation = 2 + r.IntN(7)
	}
	// Apply the inverse of the orientation. All but the quarter turns are their own inverse.
	back := orientation
	switch orientation {
	case 6:
		back = 8
	case 8:
		back = 6
	}
	return encode(transforms.Orient{Orientation: back}.Apply(m, nil), orientation)
}

// encode writes an image of three channels as JPEG, with its orientation as EXIF data.
func encode(m transforms.Image, orientation int) ([]byte, error) {
	img := image.NewRGBA(image.Rect(0, 0, m.Width, m.Height))
	area := m.Height * m.Width
	for i := range area {
		img.SetRGBA(i%m.Width, i/m.Width, color.RGBA{m.Pix[i], m.Pix[area+i], m.Pix[2*area+i], 255})
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 90}); err != nil {
		return nil, err
	}
	// The APP1 segment: its length, and TIFF data of one directory with one entry.
	segment := "\xff\xe1\x00\x22Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00" +
		string(rune(orientation)) + "\x00\x00\x00\x00\x00\x00"
	return append([]byte(string(b.Bytes()[:2])+segment), b.Bytes()[2:]...), nil
}
