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

// Parts is Pictures that can be read in part, for less than the whole.
type Parts interface {
	Pictures
	// Part returns the part of picture i that choose, told its height and width, wants:
	// with the pixels that Picture has there. choose may be called more than once, for
	// this picture or for another that takes its place.
	Part(i int, choose func(height, width int) transforms.Crop) (transforms.Image, int, error)
}

// Lender is Pictures that lends a picture for as long as it is used in its own size, so that
// there is a bound to the memory of those that are used at once.
type Lender interface {
	Pictures
	// Lend calls use with what Picture returns, unless there is an error, and returns the
	// label. use must not keep the pixels.
	Lend(i int, use func(m transforms.Image)) (label int, err error)
}

// cutter is a transform that begins with a cut that hangs on the size alone.
type cutter struct {
	cut  transforms.RandomResizedCrop
	rest transforms.Compose
}

func cutterOf(t transforms.Transform) *cutter {
	steps, ok := t.(transforms.Compose)
	if !ok {
		steps = transforms.Compose{t}
	}
	if len(steps) == 0 {
		return nil
	}
	if cut, ok := steps[0].(transforms.RandomResizedCrop); ok {
		return &cutter{cut, steps[1:]}
	}
	return nil
}

// cutOut is the picture of which no more is decoded than its cut.
func (b *Batch) cutOut(p Parts, epoch, i int) (m transforms.Image, label int, err error) {
	c := b.loader.cutter
	var drawn transforms.ResizedCrop
	var failed error
	m, label, err = p.Part(i, func(height, width int) (part transforms.Crop) {
		defer func() { // the transform's panic is no fault of the picture's
			if r := recover(); r != nil {
				part, failed = transforms.Crop{Height: height, Width: width}, fmt.Errorf("its transform failed: %v", r)
			}
		}()
		b.lots.Picture(b.loader.c.Seed, epoch, i)
		drawn = c.cut.DrawFor(height, width, &b.lots)
		return drawn.Crop
	})
	if err == nil {
		err = failed
	}
	if err == nil {
		m, err = apply(append(transforms.Compose{drawn.Resize()}, c.rest...), m, &b.lots)
	}
	return m, label, err
}

// picture returns the bytes of picture i, transformed if the loader says so. They are
// valid until the next call.
func (b *Batch) picture(epoch, i int) (pix []uint8, label int, err error) {
	l := b.loader
	if l.c.Transform == nil {
		label, err = l.source.Get(i, b.pix)
		return b.pix, label, err
	}
	m, label, err := b.transformed(epoch, i)
	if err == nil && (m.Channels != l.info.Channels || m.Height != l.info.Height || m.Width != l.info.Width) {
		err = fmt.Errorf("the transforms made [%d, %d, %d] of it, where [%d, %d, %d] is wanted; end them with RandomResizedCrop, Resize or CenterCrop",
			m.Channels, m.Height, m.Width, l.info.Channels, l.info.Height, l.info.Width)
	}
	return m.Pix, label, err
}

func (b *Batch) transformed(epoch, i int) (m transforms.Image, label int, err error) {
	l := b.loader
	if p, ok := l.ds.(Parts); ok && l.cutter != nil {
		return b.cutOut(p, epoch, i)
	}
	change := func(in transforms.Image) error {
		b.lots.Picture(l.c.Seed, epoch, i)
		m, err = apply(l.c.Transform, in, &b.lots)
		return err
	}
	if p, ok := l.ds.(Lender); ok {
		var failed error
		if label, err = p.Lend(i, func(lent transforms.Image) { failed = change(lent) }); err == nil {
			err = failed
		}
		return m, label, err
	}
	var whole transforms.Image
	if p, ok := l.ds.(Pictures); ok {
		whole, label, err = p.Picture(i)
	} else {
		label, err = l.ds.Get(i, b.pix)
		whole = transforms.Image{Channels: l.info.Channels, Height: l.info.Height, Width: l.info.Width, Pix: b.pix}
	}
	if err == nil {
		err = change(whole)
	}
	return m, label, err
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
