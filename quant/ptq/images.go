package ptq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"math/rand/v2"
	"os"
	"slices"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/folder"
	"github.com/residual-ml/residual/data/photo"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/exchange"
	"github.com/residual-ml/residual/inference"
	"github.com/residual-ml/residual/internal/field"
	"github.com/residual-ml/residual/internal/rng"
	"github.com/residual-ml/residual/quant"
	"github.com/residual-ml/residual/tensor"
)

// Source says where the images come from.
type Source struct {
	Data      string // name of a data set, or a folder or list of images; empty: what the model was trained on
	Random    bool   // random images in place of Data, for a model without any
	DataDir   string // folder in which data sets are looked for
	Offline   bool   // download nothing
	MaxPixels int64  // of an image of a folder; 0: the limit of the training

	// Progress, if it is not nil, is called while images are checked or downloaded.
	Progress func(done, total int64, what string)
}

// Images are the images on which a net is quantised.
type Images struct {
	Name   string
	Train  data.Dataset // images to observe; nil for Files and random images
	Test   data.Dataset // images to measure the accuracy on; nil if there are none with labels
	Files  []string     // image files without labels
	Random bool
	Notes  []string // what was chosen, for the user
}

// OpenImages finds the images for c's net. Of the data set that the net was trained on, the training
// part is observed and the test part measured. A folder need not be divided into parts, nor have
// folders of classes; accuracy is measured only if it has.
func OpenImages(ctx context.Context, c *inference.Classifier, s Source) (*Images, error) {
	if err := unquantised(c); err != nil {
		return nil, err
	}
	if s.Random {
		return &Images{Name: "random images", Random: true, Notes: []string{
			"calibrating on random images, which are unlike those that the model is for: the ranges are a guess, and no accuracy is measured",
		}}, nil
	}
	name := cmp.Or(s.Data, c.Info().Dataset)
	if name == "" {
		return nil, field.Errorf("the model does not say what it was trained on; name images like those that it is for with {Data}, or take random ones with {Random}")
	}
	if folder.IsPath(name) {
		return s.photos(ctx, c)
	}
	images := &Images{Name: name}
	for _, part := range []struct {
		split data.Split
		to    *data.Dataset
	}{{data.Train, &images.Train}, {data.Test, &images.Test}} {
		ds, err := data.Open(ctx, name, data.Options{Dir: s.DataDir, Split: part.split, Offline: s.Offline, Progress: s.Progress})
		if err == nil {
			err = c.CheckClasses(ds.Info())
		}
		if err != nil {
			return nil, err
		}
		*part.to = ds
	}
	return images, nil
}

// unquantised returns an error for a net that is quantised already.
func unquantised(c *inference.Classifier) error {
	if _, scheme := quant.Unwrap(c.Module()); scheme != nil {
		return fmt.Errorf("the model is quantised already: %d of its layers compute with integers of 8 bits; give the model that it was made from", len(scheme.Layers))
	}
	if net, ok := c.Module().(*exchange.Network); ok && net.Quantised() {
		return errors.New("the graph is quantised already: it has layers that compute with integers of 8 bits; give the model that it was made from")
	}
	return nil
}

// photos opens a folder or a list of the user's own images.
func (s *Source) photos(ctx context.Context, c *inference.Classifier) (*Images, error) {
	tell := func(done, total int) {
		if s.Progress != nil {
			s.Progress(int64(done), int64(total), "checking images")
		}
	}
	images := &Images{}
	o := folder.Options{MaxPixels: s.MaxPixels}
	test, err := c.OpenPhotosBy(ctx, s.Data, data.Test, o, tell)
	if err != nil {
		if files := s.files(); len(files) > 0 && ctx.Err() == nil {
			return &Images{Name: s.Data, Files: files, Notes: []string{
				fmt.Sprintf("%s has no labels for the model's classes (%v); calibrating on its images, without measuring accuracy", s.Data, err),
			}}, nil
		}
		return nil, err
	}
	images.Name, images.Test, images.Train = test.Path, test, test
	if !test.All {
		train, err := c.OpenPhotosBy(ctx, s.Data, data.Train, o, tell)
		if err == nil && train.Len() > 0 {
			images.Train = train
			return images, nil
		}
	}
	images.Notes = append(images.Notes, fmt.Sprintf("%s has no training part; calibrating on the images that accuracy is measured on, without their labels", test.Path))
	return images, nil
}

// files lists the image files in a folder whose images have no labels.
func (s *Source) files() (files []string) {
	if st, err := os.Stat(s.Data); err != nil || !st.IsDir() {
		return nil
	}
	for name, err := range photo.Find(slices.Values([]string{s.Data})) {
		if err == nil {
			files = append(files, name)
		}
	}
	return files
}

// sample holds images as the net's input, or outputs, in batches.
type sample struct {
	batches []*tensor.Tensor
	count   int
}

func (s *sample) add(batch *tensor.Tensor) {
	s.batches = append(s.batches, batch)
	s.count += batch.Shape()[0]
}

const (
	mostBytes  = 256 << 20 // of the images that are held in memory
	batchBytes = 2 << 20   // of a batch; the activations of a batch take many times as much
)

// read reads the images to observe, and as many others to measure errors on. If there are too
// few, one half is observed.
func (s *search) read() error {
	total := 2 * s.config.Images
	next, have, stop, err := s.source()
	if err != nil {
		return err
	}
	defer stop()
	if have < total {
		total = have
	}
	if have == 0 {
		return field.Errorf("%s has no images; name others with {Data}", s.images.Name)
	}
	s.config.Progress("reading images", 0, total)
	done, bytes := 0, 0
	for done < total && bytes < mostBytes {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		batch, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		to := &s.observed
		if s.held.count < s.observed.count {
			to = &s.held
		}
		to.add(batch)
		done, bytes = done+batch.Shape()[0], bytes+4*batch.Numel()
		s.config.Progress("reading images", min(done, total), total)
	}
	if s.observed.count == 0 {
		return field.Errorf("%s has no image that can be read; name others with {Data}", s.images.Name)
	}
	if s.held.count == 0 {
		s.held = s.observed
	}
	s.result.Images, s.result.Data, s.result.Random = s.observed.count, s.images.Name, s.images.Random
	return nil
}

// source returns a function that returns the next batch of prepared images, their number, and a
// function that ends the reading.
func (s *search) source() (next func() (*tensor.Tensor, error), have int, stop func(), err error) {
	stop = func() {}
	r := rng.PCG(s.config.Seed, 1)
	switch {
	case s.images.Random:
		shape := s.c.ImageShape()
		n := batchOf(shape)
		return func() (*tensor.Tensor, error) {
			pixels := make([]transforms.Image, n)
			for i := range pixels {
				pixels[i] = randomImage(r, shape)
			}
			return s.c.PreparePixels(pixels)
		}, 2 * s.config.Images, stop, nil
	case s.images.Train == nil:
		files := slices.Clone(s.images.Files)
		r.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
		return s.fromFiles(files), len(files), stop, nil
	}
	ds := s.images.Train
	if err := s.c.TakesData(ds.Info()); err != nil {
		return nil, 0, nil, err
	}
	n := batchOf(s.c.ImageShape())
	if half := ds.Len() / 2; half < n {
		n = max(1, half)
	}
	l, err := data.NewLoader(s.c.Images(ds), data.LoaderConfig{Batch: n, Shuffle: true, Seed: s.config.Seed})
	if err != nil {
		return nil, 0, nil, err
	}
	e := l.Epoch(s.ctx, 0)
	return func() (*tensor.Tensor, error) {
		b, err := e.Next()
		if err != nil {
			return nil, err
		}
		defer b.Release()
		x := b.Images.Clone()
		s.c.Scale(x)
		return x, nil
	}, ds.Len(), e.Close, nil
}

// fromFiles returns a function that reads one file after the other. Files that cannot be read are
// left out.
func (s *search) fromFiles(files []string) func() (*tensor.Tensor, error) {
	return func() (*tensor.Tensor, error) {
		for len(files) > 0 {
			img, err := s.c.OpenImage(s.ctx, files[0])
			files = files[1:]
			if s.ctx.Err() != nil {
				return nil, s.ctx.Err()
			}
			if err != nil {
				continue
			}
			return s.c.Prepare([]image.Image{img})
		}
		return nil, io.EOF
	}
}

// batchOf returns how many images of a shape make a batch.
func batchOf(shape tensor.Shape) int { return max(1, min(32, batchBytes/(4*shape.Numel()))) }

// randomImage returns an image of random blobs of colour with noise.
func randomImage(r *rand.Rand, shape tensor.Shape) transforms.Image {
	const blobs = 6
	coarse := transforms.NewImage(shape[1], blobs, blobs)
	for i := range coarse.Pix {
		coarse.Pix[i] = uint8(r.IntN(256))
	}
	m := transforms.Resize{Height: shape[2], Width: shape[3]}.Apply(coarse, nil)
	for i, p := range m.Pix {
		m.Pix[i] = uint8(max(0, min(255, int(p)+int(16*r.NormFloat64()))))
	}
	return m
}
