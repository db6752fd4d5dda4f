// Package data holds data sets of labelled images and the loader that turns them into
// batches while a training runs.
//
// Open returns a built-in set by name, and package data/folder makes one of a user's own
// photos. A Loader cuts a Dataset into batches:
//
//	ds, err := data.Open(ctx, "fashion-mnist", data.Options{Split: data.Train})
//	...
//	l, err := data.NewLoader(ds, data.LoaderConfig{Batch: 128, Shuffle: true, Seed: 1})
//	...
//	e := l.Epoch(ctx, 0)
//	for {
//		b, err := e.Next() // io.EOF after the last batch
//		...
//		b.Release()
//	}
//
// A Dataset returns an image by its index as [C, H, W] uint8 pixels; pixels stay 8-bit until
// they enter a batch, which is [N, C, H, W] float32 in [0, 1] or normalised. Images,
// ImageParts and ImageLender are data sets whose images have sizes of their own. First,
// Subset, Resize and Cropped return a View of another set, and As finds what the set behind
// a view can do. Batches depend only on the seed and the epoch, for any number of workers.
package data

import (
	"context"
	"fmt"
	"strings"

	"github.com/residual-ml/residual/task"
)

// Info describes every image of a data set.
type Info struct {
	Name                    string
	Classes                 []string // a label is an index into it
	Channels, Height, Width int
	Targets                 task.Targets // of a data set that has others than classes: see Targeted
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

// The two parts every data set here has.
const (
	Train Split = "train"
	Test  Split = "test"
)

// Options says where a data set comes from. The zero value is the training part,
// found in the usual folders or downloaded.
type Options struct {
	Dir     string   // the folder to read (--data-dir); empty means RESIDUAL_DATA, then the user cache folder
	Split   Split    // empty means Train
	Seed    uint64   // of drawn images
	Size    int      // how many images to draw; 0 means 12,000 for Train and 2,000 for Test
	Mirrors []string // base URLs to download from, in this order; nil means the public ones
	Offline bool     // never download

	// Progress, when set, hears of a download (bytes) or of drawing (images);
	// total is 0 when it is not known. Calls do not overlap.
	Progress func(done, total int64, what string)
}

// SourceInfo is a line of the list of data sets.
type SourceInfo struct {
	Name  string `json:"name"`
	About string `json:"about"`
	Needs string `json:"needs"`
}

// registered is what the registry holds of a data set.
type registered interface {
	info() SourceInfo
	open(context.Context, Options) (Dataset, error)
	fetch(context.Context, Options) (string, error)
	check(context.Context, Options) (*Report, error)
}

func sources() []registered {
	return []registered{fashionMNIST(), garmentSource{}, mnist(), cifar10(), cifar100()}
}

// Names lists the data sets that Open knows.
func Names() []SourceInfo {
	var out []SourceInfo
	for _, s := range sources() {
		out = append(out, s.info())
	}
	return out
}

// Open returns a part of a data set by name ("fashion-mnist", "garments", "mnist", "cifar10",
// "cifar100"). Files
// are verified by the digest of their content before an image is given out.
func Open(ctx context.Context, name string, o Options) (Dataset, error) {
	s, err := lookup(name, &o)
	if err != nil {
		return nil, err
	}
	return s.open(ctx, o)
}

// Fetch downloads the files of a data set that are missing or damaged into
// Options.Dir, or else RESIDUAL_DATA, or else the user cache folder, and returns
// the folder they lie in. It returns "" for a data set that needs no files.
func Fetch(ctx context.Context, name string, o Options) (string, error) {
	s, err := lookup(name, &o)
	if err != nil {
		return "", err
	}
	return s.fetch(ctx, o)
}

// Check reads both parts of a data set as they lie here, downloading nothing. What
// is wrong with a file is in the Report; the error is for what stops the check.
func Check(ctx context.Context, name string, o Options) (*Report, error) {
	s, err := lookup(name, &o)
	if err != nil {
		return nil, err
	}
	return s.check(ctx, o)
}

func lookup(name string, o *Options) (registered, error) {
	switch o.Split {
	case "":
		o.Split = Train
	case Train, Test:
	default:
		return nil, fmt.Errorf("data set %s: unknown split %q; use %q or %q", name, o.Split, Train, Test)
	}
	var names []string
	for _, s := range sources() {
		n := s.info().Name
		if n == name {
			return s, nil
		}
		names = append(names, n)
	}
	return nil, fmt.Errorf("unknown data set %q; choose one of: %s", name, strings.Join(names, ", "))
}

// memory is a data set whose bytes are all at hand.
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

// checkGet panics on arguments of Get that no caller may pass.
func checkGet(info Info, length, i int, pix []uint8) {
	if i < 0 || i >= length {
		panic(fmt.Sprintf("data: image %d of %s, which has %d", i, info.Name, length))
	}
	if len(pix) != info.Numel() {
		panic(fmt.Sprintf("data: buffer of %d bytes for an image of %s, [%d, %d, %d]",
			len(pix), info.Name, info.Channels, info.Height, info.Width))
	}
}
