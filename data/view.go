package data

import (
	"slices"

	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/tensor"
)

// View is a data set that shows the images of another one: all of them or a selection, in
// any order. As looks through it for what the other data set can do, so a selection from a
// folder is still decoded in part and still has the names of its files. A view that changes
// pixels, such as one that crops, must implement Images itself, and one that changes labels
// must implement Described.
type View interface {
	Dataset
	// Unwrap returns the data set behind the view.
	Unwrap() Dataset
	// Index returns the index in Unwrap() of image i of the view.
	Index(i int) int
}

// As returns the first T among ds and the data sets behind it, as errors.As does for errors;
// it follows View.Unwrap. The function index maps the index of an image of ds to its index
// in that set. T is an interface such as Images, Described or Cacher.
func As[T any](ds Dataset) (set T, index func(i int) int, ok bool) {
	_, index = unwrap(ds, func(ds Dataset) bool {
		set, ok = ds.(T)
		return ok
	})
	return set, index, ok
}

// innermost returns the data set behind all views.
func innermost(ds Dataset) (set Dataset, index func(i int) int) {
	return unwrap(ds, func(ds Dataset) bool {
		_, isView := ds.(View)
		return !isView
	})
}

// unwrap returns the first of ds and the data sets behind it that satisfies match, or nil,
// and a function that maps indices of ds to indices of that set.
func unwrap(ds Dataset, match func(Dataset) bool) (set Dataset, index func(i int) int) {
	var views []View
	for !match(ds) {
		v, ok := ds.(View)
		if !ok {
			return nil, nil
		}
		views = append(views, v)
		ds = v.Unwrap()
	}
	return ds, func(i int) int {
		for _, v := range views {
			i = v.Index(i)
		}
		return i
	}
}

// originals reads the images of a data set in their own sizes.
type originals struct {
	ds     Dataset
	index  func(i int) int // maps an index of ds to one of images
	images Images          // nil when all images of ds have one size
	lender ImageLender     // images, when it implements ImageLender
	parts  ImageParts      // images, when it implements ImageParts

	relabels Described       // a view before images that describes its own labels; usually nil
	label    func(i int) int // maps an index of ds to one of relabels
}

func originalsOf(ds Dataset) originals {
	s := originals{ds: ds}
	var ok bool
	if s.images, s.index, ok = As[Images](ds); ok {
		s.lender, _ = s.images.(ImageLender)
		s.parts, _ = s.images.(ImageParts)
		s.relabels, s.label = relabelling(ds)
	}
	return s
}

// relabelling returns the first Described of ds if it is a view of the Images behind it, whose
// labels are then not those of the view.
func relabelling(ds Dataset) (Described, func(i int) int) {
	d, index, ok := As[Described](ds)
	if !ok {
		return nil, nil
	}
	_, itself := d.(Images)
	if _, _, behind := As[Images](d); itself || !behind {
		return nil, nil
	}
	return d, index
}

// labelled returns the label of image i, for which images gives a label.
func (s originals) labelled(i, label int) int {
	if s.relabels != nil {
		label, _ = s.relabels.Describe(s.label(i))
	}
	return label
}

// lend calls use with image i and returns the label of the image.
func (s originals) lend(i int, use func(m transforms.Image)) (label int, err error) {
	if s.lender != nil {
		label, err = s.lender.Lend(s.index(i), use)
		return s.labelled(i, label), err
	}
	var m transforms.Image
	if s.images != nil {
		m, label, err = s.images.Image(s.index(i))
	} else {
		info := s.ds.Info()
		m = transforms.NewImage(info.Channels, info.Height, info.Width)
		label, err = s.ds.Get(i, m.Pix)
	}
	if err == nil {
		use(m)
	}
	return s.labelled(i, label), err
}

// Lend calls use with image i of ds in its own size and returns the label; after an error
// it does not call use. It reads the image by the best interface that ds, or a data set
// behind it, implements: ImageLender, Images or Dataset. use must not keep or change the
// pixels.
func Lend(ds Dataset, i int, use func(m transforms.Image)) (label int, err error) {
	return originalsOf(ds).lend(i, use)
}

// First returns a view of the first n images of ds. It returns ds itself when n is 0 or ds
// has no more than n images.
func First(ds Dataset, n int) Dataset {
	if n <= 0 || n >= ds.Len() {
		return ds
	}
	return first{ds, n}
}

type first struct {
	Dataset
	n int
}

func (f first) Len() int        { return f.n }
func (f first) Unwrap() Dataset { return f.Dataset }
func (f first) Index(i int) int { return i }

// Subset returns a view of the images of ds at the given indices, in that order; an index
// may repeat, as in torch.utils.data.Subset. It panics when an index is outside ds.
func Subset(ds Dataset, indices []int) Dataset {
	for _, i := range indices {
		if i < 0 || i >= ds.Len() {
			panic(tensor.Misusef("data.Subset: image %d of %s, which has %d", i, ds.Info().Name, ds.Len()))
		}
	}
	return subset{ds, slices.Clone(indices)}
}

type subset struct {
	Dataset
	indices []int
}

func (s subset) Len() int        { return len(s.indices) }
func (s subset) Unwrap() Dataset { return s.Dataset }
func (s subset) Index(i int) int { return s.indices[i] }

func (s subset) Get(i int, pix []uint8) (int, error) { return s.Dataset.Get(s.indices[i], pix) }

// Cacher is a data set that caches decoded images.
type Cacher interface {
	// Cached returns how many images are cached, their size in bytes, and the limit.
	Cached() (images int, bytes, maxBytes int64)
}

// ResidentBytes returns how many bytes of images ds, or the data set behind it, holds in
// memory now.
func ResidentBytes(ds Dataset) int64 {
	if m, _, ok := As[*memory](ds); ok {
		return int64(len(m.pixels) + len(m.labels))
	}
	if c, _, ok := As[Cacher](ds); ok {
		_, bytes, _ := c.Cached()
		return bytes
	}
	return 0
}
