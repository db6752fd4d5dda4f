// Package data provides data sets of labelled images and a loader that turns them into
// batches, as torch.utils.data does.
//
// Open returns a built-in data set by its name, and package data/folder makes a data set of
// a user's own photos. A Loader cuts a Dataset into batches, which its workers prepare
// while a training runs:
//
//	ds, err := data.Open(ctx, "fashion-mnist", data.Options{Split: data.Train})
//	...
//	l, err := data.NewLoader(ds, data.LoaderConfig{Batch: 128, Shuffle: true, Seed: 1})
//	...
//	for b, err := range l.Epoch(ctx, 1).All() {
//		...
//	}
//
// A Dataset returns image i as [C, H, W] uint8 pixels. Pixels stay 8-bit until they enter a
// batch, which is [N, C, H, W] float32 in [0, 1] or normalised. Batches depend only on the
// seed and the epoch: any number of workers gives the same ones. A Sampler chooses the images of
// every epoch: WeightedSampler, BalancedSampler, SubsetSampler or one of your own.
//
// A Dataset may implement more interfaces. Images gives each image in a size of its own,
// ImageParts decodes only a part of one, and ImageLender lends one for a short time, which
// bounds memory. Floats has numbers in place of pixels. Described gives labels and names without reading pixels. First, Subset,
// Resize and Cropped return a View of another data set, and As finds such an interface
// through any number of views.
package data

import (
	"github.com/residual-ml/residual/task"
	"github.com/residual-ml/residual/tensor"
)

// Info describes every image of a data set.
type Info struct {
	Name                    string
	Classes                 []string // a label is an index into it
	Channels, Height, Width int
	Targets                 task.Targets // describes the targets of a data set without classes; see Targeted
}

// Numel returns the bytes of one image, Channels*Height*Width.
func (i Info) Numel() int { return i.Channels * i.Height * i.Width }

// Dataset is a finite, indexed set of labelled images.
type Dataset interface {
	Info() Info
	Len() int
	// Get writes image i, 0 <= i < Len(), channel by channel into pix, which
	// holds exactly Info().Numel() bytes, and returns its label. It is safe for
	// concurrent use and gives the same bytes every time.
	Get(i int, pix []uint8) (label int, err error)
}

// Split names a part of a data set.
type Split string

// Every built-in data set has these two splits.
const (
	Train Split = "train"
	Test  Split = "test"
)

// Options says which data set to open and where its files are. The zero value is the
// training split, found in the usual folders or downloaded.
type Options struct {
	Dir     string   // the folder to read; empty means RESIDUAL_DATA, then the user cache folder
	Split   Split    // empty means Train
	Seed    uint64   // seed of generated images (the data set garments)
	Size    int      // how many images to generate; 0 means 12,000 for Train and 2,000 for Test
	Mirrors []string // base URLs to download from, in this order; nil means the public ones
	Offline bool     // never download

	// Progress, when set, is called during a download (done and total count bytes) or while
	// images are generated (they count images); total is 0 when it is unknown. Calls do not
	// overlap.
	Progress func(done, total int64, what string)
}

// SourceInfo describes one built-in data set, as Names lists them.
type SourceInfo struct {
	Name  string `json:"name"`
	About string `json:"about"`
	Needs string `json:"needs"` // the files that it needs and where they may come from
}

// memory is a data set whose images are all in memory.
type memory struct {
	info   Info
	pixels []uint8 // image after image
	labels []uint8
}

func (m *memory) Info() Info { return m.info }
func (m *memory) Len() int   { return len(m.labels) }

func (m *memory) Get(i int, pix []uint8) (int, error) {
	n := m.info.Numel()
	checkGet(m.info, len(m.labels), i, pix)
	copy(pix, m.pixels[i*n:(i+1)*n])
	return int(m.labels[i]), nil
}

// checkGet panics when the index or the length of the buffer passed to Get is wrong.
func checkGet(info Info, length, i int, pix []uint8) {
	if i < 0 || i >= length {
		panic(tensor.Misusef("data: image %d of %s, which has %d", i, info.Name, length))
	}
	if len(pix) != info.Numel() {
		panic(tensor.Misusef("data: buffer of %d bytes for an image of %s, [%d, %d, %d]",
			len(pix), info.Name, info.Channels, info.Height, info.Width))
	}
}
