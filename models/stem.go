package models

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/residual-ml/residual/nn"
	"github.com/residual-ml/residual/tensor"
)

// stems is what a stem can divide the height and the width of an image by: 1 is a 3x3 convolution, 2 is
// one with stride 2, and 4 is a 7x7 convolution with stride 2 and max pooling (He et al. 2015, table 1).
var stems = []int{1, 2, 4}

// StemFor returns the stem that suits images of a size, as the number that it divides height and
// width by: 1 up to 40 pixels, 2 up to 128, and 4 above. Networks for small images leave out the strides
// that would make their first maps tiny (He et al. 2015, section 4.2).
func StemFor(size int) int {
	switch {
	case size <= 40:
		return 1
	case size <= 128:
		return 2
	}
	return 4
}

// Stems reports whether the model has a choice of stems, which its name ends with: resnet18-s2
// is resnet18 with a stem of 2.
func (e Entry) Stems() bool { return e.stems }

// WithStem returns the model's variant with a stem that divides height and width by 1, 2 or 4. It is
// an error if the model has no choice of stems.
func (e Entry) WithStem(divides int) (Entry, error) {
	name, own := e.base()
	switch {
	case !e.stems:
		return Entry{}, fmt.Errorf("model %s has no choice of stems; resnet18 and resnet9-32 are two that have", e.Name)
	case !slices.Contains(stems, divides):
		return Entry{}, fmt.Errorf("model %s with a stem of %d: a stem divides height and width by 1, 2 or 4", name, divides)
	case divides == own:
		return Lookup(name)
	}
	base, err := Lookup(name)
	if err != nil {
		return Entry{}, err
	}
	kernel, wanted := stemKernel(own), stemKernel(divides)
	e = base
	e.Name, e.stem = name+"-s"+strconv.Itoa(divides), divides
	e.Height, e.Width = base.Height*divides/own, base.Width*divides/own
	e.Preprocess.ResizeShorter = base.Preprocess.ResizeShorter * divides / own
	e.growth.channel = base.growth.channel / int64(kernel*kernel) * int64(wanted*wanted)
	e.Params += int64(e.Channels) * (e.growth.channel - base.growth.channel)
	e.New = func(c Config) nn.Module {
		c.stem = divides
		return base.New(c)
	}
	return e, nil
}

// Divides returns what the model's stem divides height and width by: 1, 2 or 4. It is 0 for a model that
// has no choice of stems.
func (e Entry) Divides() int {
	switch {
	case !e.stems:
		return 0
	case e.stem > 0:
		return e.stem
	}
	_, own := e.base()
	return own
}

// stemKernel returns the height and width of the kernel of a stem.
func stemKernel(divides int) int {
	if divides == 4 {
		return 7
	}
	return 3
}

// withKernel returns the variant of e whose stem has the kernel of a state dict, given its shapes. That is
// e itself if it has the kernel, and else the first of stems: 1 for a 3x3 kernel, though 2 has the same shapes.
func (e Entry) withKernel(shapes map[string]tensor.Shape) Entry {
	stem := shapes[e.Stem+".weight"]
	if !e.stems || len(stem) != 4 || stem[2] == stemKernel(e.Divides()) {
		return e
	}
	for _, s := range stems {
		if stemKernel(s) == stem[2] {
			if other, err := e.WithStem(s); err == nil {
				return other
			}
		}
	}
	return e
}

// base returns the name without a stem, and the stem of the model of that name.
func (e Entry) base() (name string, own int) {
	name, _, _ = stemmed(e.Name)
	if strings.HasPrefix(name, "resnet9-") {
		return name, 1
	}
	return name, 4
}

// stemmed divides a name such as resnet18-s2 into that of the model and its stem.
func stemmed(name string) (model string, stem int, ok bool) {
	for _, s := range stems {
		if model, ok := strings.CutSuffix(name, "-s"+strconv.Itoa(s)); ok {
			return model, s, true
		}
	}
	return name, 0, false
}
