package data

import (
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/tensor"
)

// Stored describes a uint8 batch: the layout of the images in Batch.Pixels, and how a device
// computes the float32 batch from them. It resizes them, then looks up every byte in the
// table of its channel.
type Stored struct {
	Channels, Height, Width int                   // of a stored image, which is [C, H, W]
	Resize                  *transforms.Resampler // to the size of Loader.Info; nil when that is the stored size
	Table                   [][256]float32        // for each channel, the float32 value of each byte
}

// Numel returns the bytes of one image.
func (s *Stored) Numel() int { return s.Channels * s.Height * s.Width }

// Stored describes the uint8 batches that LoaderConfig.Uint8 asks for. It is nil when batches
// are float32.
func (l *Loader) Stored() *Stored { return l.stored }

// store returns how uint8 batches of ds are stored and the data set to read them from. For a
// view made by Resize, without a Transform, that is the data set before it is resized, unless
// its images need more bytes than the float32 batch.
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

// Decoded returns the float32 images [n, C, H, W]: Images, or what a device computes from
// Pixels.
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
