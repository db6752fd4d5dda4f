package data_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"slices"

	"github.com/residual-ml/residual/data"
	"github.com/residual-ml/residual/data/transforms"
	"github.com/residual-ml/residual/engine/cpu"
	"github.com/residual-ml/residual/train"
)

// tarred is a data set of the images in a tar file with a folder for each class. Each is read
// from its place in the file, so goroutines read at the same time and nothing is unpacked.
type tarred struct {
	file    io.ReaderAt
	classes []string
	members []member
}

type member struct {
	class        string
	offset, size int64
}

func openTar(file io.ReaderAt, size int64) (*tarred, error) {
	s, at := &tarred{file: file}, io.NewSectionReader(file, 0, size)
	for r := tar.NewReader(at); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			slices.Sort(s.classes)
			s.classes = slices.Compact(s.classes)
			return s, nil
		}
		if err != nil {
			return nil, err
		}
		offset, _ := at.Seek(0, io.SeekCurrent)
		s.members = append(s.members, member{path.Dir(h.Name), offset, h.Size})
		s.classes = append(s.classes, path.Dir(h.Name))
	}
}

func (s *tarred) Len() int { return len(s.members) }

func (s *tarred) Info() data.Info {
	return data.Info{Name: "tar", Classes: s.classes, Channels: 1, Height: 28, Width: 28}
}

func (s *tarred) Get(i int, pix []uint8) (label int, err error) {
	m := s.members[i]
	decoded, _, err := image.Decode(io.NewSectionReader(s.file, m.offset, m.size))
	if err == nil {
		copy(pix, transforms.Resize{Height: 28, Width: 28}.Apply(transforms.FromImage(decoded, 1), nil).Pix)
	}
	return slices.Index(s.classes, m.class), err
}

// inverted is an augmentation of one's own: it makes the negative of every second image.
type inverted struct{}

func (inverted) Apply(m transforms.Image, r rand.Source) transforms.Image {
	out, flip := transforms.NewImage(m.Channels, m.Height, m.Width), uint8(0)
	if rand.New(r).IntN(2) == 1 {
		flip = 255
	}
	for i, v := range m.Pix {
		out.Pix[i] = v ^ flip
	}
	return out
}

// A tar file is a data set through io.ReaderAt, be it a file, a memory map or an object in a
// store, with an augmentation of one's own.
func Example_tarFile() {
	dev, err := cpu.New(cpu.Options{})
	must(err)
	defer dev.Close()
	runs, err := os.MkdirTemp("", "example")
	must(err)
	defer os.RemoveAll(runs)
	file := tarOf(stripes{0, 640})
	images, err := openTar(file, file.Size())
	must(err)
	run, err := train.Run(context.Background(), dev, train.Config{
		Own:   train.Own{TrainSet: data.First(images, 512), TestSet: data.Subset(images, numbers(512, 640)), Transform: inverted{}},
		Model: "d2l-bnlenet", Batch: 32, LR: 0.1, Epochs: 4, Out: runs,
	}, train.Callbacks{})
	must(err)
	fmt.Println(images.classes, "nearly all are right:", run.TestAccuracy > 0.9)
	// Output: [across upright] nearly all are right: true
}

// numbers returns the numbers from first to below last.
func numbers(first, last int) (list []int) {
	for i := first; i < last; i++ {
		list = append(list, i)
	}
	return list
}

// tarOf writes the images of a data set into a tar file in memory.
func tarOf(ds data.Dataset) *bytes.Reader {
	var file bytes.Buffer
	w, info := tar.NewWriter(&file), ds.Info()
	for i := range ds.Len() {
		m := transforms.NewImage(info.Channels, info.Height, info.Width)
		label, err := ds.Get(i, m.Pix)
		must(err)
		var text bytes.Buffer
		must(png.Encode(&text, transforms.ToImage(m)))
		must(w.WriteHeader(&tar.Header{Name: fmt.Sprintf("%s/%d.png", info.Classes[label], i), Mode: 0o644, Size: int64(text.Len())}))
		_, err = w.Write(text.Bytes())
		must(err)
	}
	must(w.Close())
	return bytes.NewReader(file.Bytes())
}
