package data

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// GarmentTrain is the number of training images of garments, unless Options.Size says another.
const GarmentTrain = 12000

const (
	garmentTest   = 2000     // the default number of test images
	maxDrawnBytes = 64 << 20 // a larger set is drawn again at every Get instead of once
	garmentsChunk = 256      // images that a worker draws between two progress reports
)

// garmentClasses returns Fashion-MNIST's class names in the order of its labels.
func garmentClasses() []string {
	return []string{"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
		"Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"}
}

// garmentSource is the source of generated garments, a substitute for Fashion-MNIST that
// needs no files.
type garmentSource struct{}

func (garmentSource) info() SourceInfo {
	return SourceInfo{"garments",
		"grey images of garments drawn by the program, 28x28, Fashion-MNIST's ten classes",
		"nothing: no file, no network"}
}

func (garmentSource) open(ctx context.Context, o Options) (Dataset, error) {
	g := garments{seed: o.Seed, stream: streamTrain, size: o.Size}
	if o.Split == Test {
		g.stream = streamTest
	}
	switch {
	case o.Size < 0:
		return nil, fmt.Errorf("garments: %d images; give a number of at least 1, or 0 for the default", o.Size)
	case o.Size == 0 && o.Split == Test:
		g.size = garmentTest
	case o.Size == 0:
		g.size = GarmentTrain
	}
	if g.size > maxDrawnBytes/imageSize {
		return g, nil
	}
	return g.drawAll(ctx, o.Progress)
}

func (garmentSource) fetch(context.Context, Options) (string, error) { return "", nil }

func (s garmentSource) check(ctx context.Context, o Options) (*Report, error) {
	r := &Report{Name: "garments", OK: true}
	o.Size = min(o.Size, maxDrawnBytes/imageSize)
	for _, split := range []Split{Train, Test} {
		o.Split = split
		ds, err := s.open(ctx, o)
		if err != nil {
			return nil, err
		}
		fr := FileReport{File: "garments (" + string(split) + ")", Split: split, Kind: "drawn", DigestOK: true, Count: ds.Len()}
		pixels, labels := make([]uint8, ds.Len()*imageSize), make([]uint8, ds.Len())
		for i := range labels {
			label, err := ds.Get(i, pixels[i*imageSize:(i+1)*imageSize])
			if err != nil {
				return nil, err
			}
			labels[i] = uint8(label)
		}
		fr.LabelMin, fr.LabelMax, fr.Histogram, err = labelStats(labels, len(garmentClasses()))
		if err != nil {
			return nil, err
		}
		fr.PixelMean, fr.PixelStd = pixelStats(pixels)
		r.Files = append(r.Files, fr)
	}
	return r, nil
}

// garments draws image i in Get. The image depends only on the seed, the split and i, so a
// larger set begins with the images of a smaller one.
type garments struct {
	seed, stream uint64
	size         int
}

func (g garments) Info() Info {
	return Info{Name: "garments", Classes: garmentClasses(), Channels: 1, Height: imageSide, Width: imageSide}
}

func (g garments) Len() int { return g.size }

func (g garments) Get(i int, pix []uint8) (int, error) {
	checkGet(g.Info(), g.size, i, pix)
	a := artists.Get().(*artist)
	defer artists.Put(a)
	label := i % 10
	a.random.reset(g.seed, g.stream, uint64(i))
	a.draw(label, pix)
	return label, nil
}

// artists are reused, since one has tens of kilobytes of scratch memory.
var artists = sync.Pool{New: func() any { return new(artist) }}

// draw draws a garment of class label into pix, with random numbers from a.random.
func (a *artist) draw(label int, pix []uint8) {
	clear(a.value[:])
	a.light()
	a.tone = a.random.between(70, 235)
	a.accent = a.tone - a.random.between(45, 90)
	if a.accent < 25 || a.tone < 190 && a.random.chance(0.5) {
		a.accent = min(a.tone+a.random.between(45, 90), 255)
	}
	switch label {
	case 0:
		a.tshirt()
	case 1:
		a.trouser()
	case 2:
		a.pullover()
	case 3:
		a.dress()
	case 4:
		a.coat()
	case 5:
		a.sandal()
	case 6:
		a.shirt()
	case 7:
		a.sneaker()
	case 8:
		a.bag()
	default:
		a.boot()
	}
	a.develop(pix)
}

// drawAll draws all images into memory, in parallel.
func (g garments) drawAll(ctx context.Context, progress func(done, total int64, what string)) (Dataset, error) {
	m := &memory{info: g.Info(), pixels: make([]uint8, g.size*imageSize), labels: make([]uint8, g.size)}
	var wg sync.WaitGroup
	var claim atomic.Int64
	var mu sync.Mutex
	done := 0
	for range min(runtime.GOMAXPROCS(0), (g.size+garmentsChunk-1)/garmentsChunk) {
		wg.Go(func() {
			for ctx.Err() == nil {
				end := int(claim.Add(garmentsChunk))
				first := end - garmentsChunk
				if first >= g.size {
					return
				}
				end = min(end, g.size)
				for i := first; i < end; i++ {
					label, _ := g.Get(i, m.pixels[i*imageSize:(i+1)*imageSize]) // never fails
					m.labels[i] = uint8(label)
				}
				mu.Lock()
				done += end - first
				if progress != nil {
					progress(int64(done), int64(g.size), "drawing garments")
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return m, nil
}
