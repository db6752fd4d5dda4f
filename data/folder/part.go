package folder

import (
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
)

var _ data.ImageParts = (*Set)(nil)

// Part implements data.ImageParts: it returns a part of the image that Image returns. It
// decodes all of an image that is to be shrunk, or while the memory cache has room for it, and
// only the part otherwise.
func (s *Set) Part(i int, choose func(height, width int) transforms.Crop) (transforms.Image, int, error) {
	s.checkIndex(i)
	var m transforms.Image
	err := s.withReplacement(i, func(j int) (err error) {
		m, err = s.part(j, choose)
		return err
	})
	return m, s.items[i].Label, err
}

func (s *Set) part(i int, choose func(height, width int) transforms.Crop) (transforms.Image, error) {
	crop := func(m transforms.Image, err error) (transforms.Image, error) {
		if err != nil {
			return m, err
		}
		return choose(m.Height, m.Width).Apply(m, nil), nil
	}
	if m, ok := s.full.get(i); ok {
		return crop(m, nil)
	}
	if err := s.isBroken(i); err != nil {
		return transforms.Image{}, err
	}
	full := false
	partOrFull := func(h, w int) transforms.Crop {
		if full = full || s.full.budget.has(s.o.Channels*h*w); full {
			return transforms.Crop{Height: h, Width: w}
		}
		return choose(h, w)
	}
	if s.o.Shrink > 0 {
		if m, ok := s.o.Cache.read(&s.items[i], formShrunk, partOrFull); ok {
			if !full {
				return m, nil
			}
			s.full.put(i, m)
			return crop(m, nil)
		}
	}
	m, release, err := s.decode(i, func(h, w int) transforms.Crop {
		full = s.o.format().shrinks(h, w)
		return partOrFull(h, w)
	})
	if err != nil {
		return m, err
	}
	defer release()
	if !full {
		return m, nil
	}
	m = s.o.format().shrunk(m)
	s.full.put(i, m)
	return crop(m, nil)
}
