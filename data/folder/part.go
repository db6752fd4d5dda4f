package folder

import (
	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
)

var _ data.ImageParts = (*Set)(nil)

// Part implements data.ImageParts: a part of what Image returns. While the cache has room
// the whole is decoded and kept, and of what is shrunk it always is; else only the part.
func (s *Set) Part(i int, choose func(height, width int) transforms.Crop) (transforms.Image, int, error) {
	s.checkIndex(i)
	var m transforms.Image
	err := s.healthy(i, func(j int) (err error) {
		m, err = s.part(j, choose)
		return err
	})
	return m, s.items[i].Label, err
}

func (s *Set) part(i int, choose func(height, width int) transforms.Crop) (transforms.Image, error) {
	cut := func(m transforms.Image, err error) (transforms.Image, error) {
		if err != nil {
			return m, err
		}
		return choose(m.Height, m.Width).Apply(m, nil), nil
	}
	if m, ok := s.full.get(i); ok {
		return cut(m, nil)
	}
	if err := s.isBroken(i); err != nil {
		return transforms.Image{}, err
	}
	whole := false
	some := func(h, w int) transforms.Crop {
		if whole = whole || s.full.budget.has(s.o.Channels*h*w); whole {
			return transforms.Crop{Height: h, Width: w}
		}
		return choose(h, w)
	}
	if s.o.Shrink > 0 {
		if m, ok := s.o.Cache.read(&s.items[i], formShrunk, some); ok {
			if !whole {
				return m, nil
			}
			s.full.put(i, m)
			return cut(m, nil)
		}
	}
	m, release, err := s.decode(i, func(h, w int) transforms.Crop {
		whole = s.o.format().shrinks(h, w)
		return some(h, w)
	})
	if err != nil {
		return m, err
	}
	defer release()
	if !whole {
		return m, nil
	}
	m = s.o.format().shrunk(m)
	s.full.put(i, m)
	return cut(m, nil)
}
