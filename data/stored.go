package data

import (
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/tensor"
)

// Stored says how the images of a batch lie in its Pixels, and how images are made of
// them: resized, and then every byte replaced by what the table of its channel has.
type Stored struct {
	Channels, Height, Width int                   // of  image, channel by channel
	Resize                  *transforms.Resampler // to the loader's size; nil where it is that
	Table                   [][256]float32        // by channel
}

// Numel returns the bytes of one image.
func (s *Stored) Numel() int { return s.Channels * s.Height * s.Width }

// Stored returns how batches are stored, where LoaderConfig.Bytes asks for it; nil where
// they are images.
func (l *Loader) Stored() *Stored { return l.stored }

// store says how batches of ds are stored, and of what they are read: with a view of
// Resize, and no Transform, of what that resizes, unless this is larger than the images.
func (l *Loader) store(ds Dataset) (*Stored, Dataset) {
	s := &Stored{}
	if r, ok := ds.(resizedImages); ok {
		ds = r.resized
	}
	if v, ok := ds.(*resized); ok && l.c.Transform == nil && v.ds.Info().Numel() <= 4*l.info.Numel() {
		ds, s.Resize = v.ds, v.r
	}
	own := ds.Info()
	s.Channels, s.Height, s.Width = own.Channels, own.Height, own.Width
	for _, t := range l.table {
		s.Table = append(s.Table, *t)
	}
	return s, ds
}

// Decoded returns Images, or makes them of Pixels as a device would.
func (b *Batch) Decoded() *tensor.Tensor {
	if b.Images != nil {
		return b.Images
	}
	l := b.loader
	info, s := l.info, l.stored
	images := tensor.New(len(b.Indices), info.Channels, info.Height, info.Width)
	in, out := s.Numel(), info.Numel()
	pix := make([]uint8, out)
	for k := range b.Indices {
		stored := b.Pixels[k*in : (k+1)*in]
		if s.Resize == nil {
			copy(pix, stored)
		} else {
			scratch := s.Resize.Scratch()
			for c := range info.Channels {
				a, z := in/info.Channels, out/info.Channels
				s.Resize.Plane(pix[c*z:(c+1)*z], stored[c*a:(c+1)*a], scratch)
			}
		}
		l.values(images.Data()[k*out:(k+1)*out], pix)
	}
	return images
}
