package data

import (
	"fmt"

	"github.com/residual-ml/residual/data/transforms"
)

// Pictures is a data set whose pictures have sizes of their own, larger than what Get
// makes of them: the transforms of a training work on these.
type Pictures interface {
	Dataset
	// Picture returns picture i in its own size, with Info().Channels channels, and its
	// label. The pixels must not be changed. It is safe for concurrent use and gives the
	// same picture every time.
	Picture(i int) (transforms.Image, int, error)
}

// picture returns the bytes of picture i, transformed if the loader says so. They are
// valid until the next call.
func (b *Batch) picture(epoch, i int) (pix []uint8, label int, err error) {
	l := b.loader
	if l.c.Transform == nil {
		label, err = l.ds.Get(i, b.pix)
		return b.pix, label, err
	}
	var m transforms.Image
	if p, ok := l.ds.(Pictures); ok {
		m, label, err = p.Picture(i)
	} else {
		label, err = l.ds.Get(i, b.pix)
		m = transforms.Image{Channels: l.info.Channels, Height: l.info.Height, Width: l.info.Width, Pix: b.pix}
	}
	if err != nil {
		return nil, 0, err
	}
	b.lots.Picture(l.c.Seed, epoch, i)
	m, err = apply(l.c.Transform, m, &b.lots)
	if err == nil && (m.Channels != l.info.Channels || m.Height != l.info.Height || m.Width != l.info.Width) {
		err = fmt.Errorf("the transforms made [%d, %d, %d] of it, where [%d, %d, %d] is wanted; end them with RandomResizedCrop, Resize or CenterCrop",
			m.Channels, m.Height, m.Width, l.info.Channels, l.info.Height, l.info.Width)
	}
	return m.Pix, label, err
}

// apply turns a transform's panic, as over a picture smaller than its crop, into an
// error: it happens on a worker, to a picture of the user's.
func apply(t transforms.Transform, m transforms.Image, lots *transforms.Lots) (out transforms.Image, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("its transform failed: %v", r)
		}
	}()
	return t.Apply(m, lots), nil
}
