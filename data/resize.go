package data

import (
	"sync"

	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/tensor"
)

// ResizeBilinear resizes one 8-bit plane of sh rows of sw pixels to dh rows of dw
// pixels, with the same bits as Pillow's Image.resize((dw, dh), BILINEAR): horizontally,
// then vertically, rounding to 8 bits in between, antialiased when a side shrinks. It panics
// when a side is below 1 or a slice does not have exactly the size of its plane. It computes
// the filter coefficients on every call; Resize computes them once.
func ResizeBilinear(dst []uint8, dw, dh int, src []uint8, sw, sh int) {
	if dw < 1 || dh < 1 || sw < 1 || sh < 1 || len(dst) != dw*dh || len(src) != sw*sh {
		panic(tensor.Misusef("data.ResizeBilinear: %d bytes of [%d, %d] to %d bytes of [%d, %d]",
			len(src), sh, sw, len(dst), dh, dw))
	}
	r := transforms.NewResampler(dw, dh, sw, sh, transforms.Bilinear)
	r.Plane(dst, src, r.Scratch())
}

// Resize returns a view of ds whose images are size by size pixels, resized as by Pillow's
// bilinear filter. It returns ds when size is 0 or the size that ds already has. A transform
// of a loader gets the images of ds before they are resized.
func Resize(ds Dataset, size int) Dataset {
	info := ds.Info()
	if size == 0 || size == info.Height && size == info.Width {
		return ds
	}
	if size < 0 {
		panic(tensor.Misusef("data.Resize: size %d for %s", size, info.Name))
	}
	v := &resized{ds: ds, info: info, r: transforms.NewResampler(size, size, info.Width, info.Height, transforms.Bilinear)}
	v.info.Height, v.info.Width = size, size
	v.pool.New = func() any { return &planeScratch{make([]uint8, info.Numel()), v.r.Scratch()} }
	if _, _, ok := As[Images](ds); ok {
		return v
	}
	return resizedImages{v}
}

// resizedImages is a resized view of a data set without Images. The images in their own size
// are those that Get of that data set returns.
type resizedImages struct{ *resized }

// Image implements Images.
func (v resizedImages) Image(i int) (transforms.Image, int, error) {
	own := v.ds.Info()
	m := transforms.NewImage(own.Channels, own.Height, own.Width)
	label, err := v.ds.Get(i, m.Pix)
	return m, label, err
}

// Cropped returns a view of ds whose images are resized by the shorter side and cropped in
// the middle, as p does before it normalises. It computes the filter coefficients for every
// image.
func Cropped(ds Dataset, p transforms.ImageClassification) Dataset {
	v := &cropped{ds: ds, info: ds.Info(), preset: p}
	sample := p.Pixels(transforms.NewImage(1, v.info.Height, v.info.Width))
	v.info.Height, v.info.Width = sample.Height, sample.Width
	return v
}

type cropped struct {
	ds     Dataset
	info   Info
	preset transforms.ImageClassification
}

func (v *cropped) Info() Info      { return v.info }
func (v *cropped) Len() int        { return v.ds.Len() }
func (v *cropped) Unwrap() Dataset { return v.ds }
func (v *cropped) Index(i int) int { return i }

// Image implements Images, so that a transform gets the cropped image.
func (v *cropped) Image(i int) (transforms.Image, int, error) {
	m := transforms.NewImage(v.info.Channels, v.info.Height, v.info.Width)
	label, err := v.Get(i, m.Pix)
	return m, label, err
}

func (v *cropped) Get(i int, pix []uint8) (int, error) {
	checkGet(v.info, v.ds.Len(), i, pix)
	own := v.ds.Info()
	m := transforms.NewImage(own.Channels, own.Height, own.Width)
	label, err := v.ds.Get(i, m.Pix)
	if err != nil {
		return 0, err
	}
	copy(pix, v.preset.Pixels(m).Pix)
	return label, nil
}

// planeScratch holds the buffers that resizing one image needs.
type planeScratch struct {
	src      []uint8
	resample *transforms.Scratch
}

type resized struct {
	ds   Dataset
	info Info
	r    *transforms.Resampler
	pool sync.Pool // of *planeScratch
}

func (v *resized) Info() Info      { return v.info }
func (v *resized) Len() int        { return v.ds.Len() }
func (v *resized) Unwrap() Dataset { return v.ds }
func (v *resized) Index(i int) int { return i }

func (v *resized) Get(i int, pix []uint8) (int, error) {
	checkGet(v.info, v.ds.Len(), i, pix)
	s := v.pool.Get().(*planeScratch)
	defer v.pool.Put(s)
	label, err := v.ds.Get(i, s.src)
	if err != nil {
		return 0, err
	}
	in, out := len(s.src)/v.info.Channels, len(pix)/v.info.Channels
	for c := range v.info.Channels {
		v.r.Plane(pix[c*out:(c+1)*out], s.src[c*in:(c+1)*in], s.resample)
	}
	return label, nil
}
