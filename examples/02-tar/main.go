// Command 02-tar trains on the images in a tar file without unpacking it, with an augmentation of
// its own. It shows that a data set has three methods and an augmentation one: a data set reads
// through an io.ReaderAt, which may as well be a memory map or an object in a store.
package main

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"io"
	"log"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/train"
)

// archive is a data set of the images in a tar file, which has a folder for each class.
type archive struct {
	info   data.Info
	images []*io.SectionReader
	labels []int
}

func open(file io.ReaderAt, size int64, classes ...string) (*archive, error) {
	a := &archive{info: data.Info{Name: "tar", Classes: classes, Channels: 1, Height: 28, Width: 28}}
	content := io.NewSectionReader(file, 0, size)
	r := tar.NewReader(content)
	for {
		h, err := r.Next()
		if err == io.EOF {
			return a, nil
		} else if err != nil {
			return nil, err
		}
		start := must(content.Seek(0, io.SeekCurrent)) // the reader stands before the file's content
		a.images = append(a.images, io.NewSectionReader(file, start, h.Size))
		a.labels = append(a.labels, slices.Index(classes, path.Dir(h.Name)))
	}
}

func (a *archive) Info() data.Info { return a.info }

func (a *archive) Len() int { return len(a.images) }

func (a *archive) Get(i int, pix []uint8) (label int, err error) {
	at := io.NewSectionReader(a.images[i], 0, a.images[i].Size()) // a position of its own: Get is called concurrently
	img, _, err := image.Decode(at)
	if err == nil {
		copy(pix, transforms.FromImage(img, a.info.Channels).Pix)
	}
	return a.labels[i], err
}

// speckles sets pixels to random values, about one of twenty.
type speckles struct{}

func (speckles) Apply(m transforms.Image, source rand.Source) transforms.Image {
	r, out := rand.New(source), m
	out.Pix = slices.Clone(m.Pix)
	for i := range out.Pix {
		if r.IntN(20) == 0 {
			out.Pix[i] = uint8(r.IntN(256))
		}
	}
	return out
}

func main() {
	ctx := context.Background()
	dev := must(cpu.New(cpu.Options{}))
	defer dev.Close()
	dir := must(os.MkdirTemp("", "residual"))
	defer os.RemoveAll(dir)
	garments := must(data.Open(ctx, "garments", data.Options{Size: 2000}))
	file := must(os.Create(filepath.Join(dir, "garments.tar")))
	defer file.Close()
	must(file.Write(pack(garments)))

	images := must(open(file, must(file.Stat()).Size(), garments.Info().Classes...))
	run := must(train.Run(ctx, dev, train.Config{
		Own:   train.Own{TrainSet: images, TestSet: must(data.Open(ctx, "garments", data.Options{Size: 500, Split: data.Test})), Transform: speckles{}},
		Model: "d2l-bnlenet", Batch: 32, LR: 0.3, Epochs: 4, Out: dir,
	}, train.Callbacks{OnEpoch: func(e train.Epoch) { log.Printf("epoch %d: test accuracy %.3f", e.Epoch, e.TestAccuracy) }}))
	fmt.Println(images.Len(), "images in", len(images.info.Classes), "classes")
	fmt.Println("most test images are right:", run.TestAccuracy > 0.7)
}

// pack returns a tar file of the images of a data set.
func pack(ds data.Dataset) []byte {
	var file, content bytes.Buffer
	w := tar.NewWriter(&file)
	for i := range ds.Len() {
		m := transforms.NewImage(1, 28, 28)
		class := ds.Info().Classes[must(ds.Get(i, m.Pix))]
		content.Reset()
		check(png.Encode(&content, transforms.ToImage(m)))
		check(w.WriteHeader(&tar.Header{Name: fmt.Sprintf("%s/%d.png", class, i), Mode: 0o644, Size: int64(content.Len())}))
		must(w.Write(content.Bytes()))
	}
	check(w.Close())
	return file.Bytes()
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
