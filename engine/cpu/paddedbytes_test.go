package cpu

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/engine/conformance"
	"github.com/residual-ml/residual/graph"
	"github.com/residual-ml/residual/tensor"
)

// Whatever parts of a result a thread computes, and in whatever order, its copy has the lines
// that they read, of the image of this run, between zeros.
func TestPaddedBytesCopyWhatIsRead(t *testing.T) {
	r := rand.New(rand.NewPCG(71, 72))
	for range 300 {
		f := &paddedBytes{padded: &padded{h: 1 + r.IntN(12), w: 1 + r.IntN(5), c: 1 + r.IntN(4), padW: r.IntN(3)}, areas: &areas{}, have: make([]linesOf, 2)}
		f.win.KH, f.win.StrideH, f.win.DilationH = 1+r.IntN(3), 1+r.IntN(2), 1+r.IntN(2)
		f.win.PadH = r.IntN(f.win.KH)
		n := f.w * f.c
		f.image.bytes = make([]uint8, f.h*n)
		f.areas.need(ceil(f.elements(), 4))
		f.areas.divide(alloc(f.areas.room(2)))
		for range 3 {
			for i := range f.image.bytes {
				f.image.bytes[i] = uint8(1 + r.IntN(255))
			}
			for i := range f.areas.all { // what other steps have left there
				f.areas.all[i] = 1
			}
			f.begin()
			for range 5 {
				thread, from := r.IntN(2), r.IntN(f.h)
				end := from + 1 + r.IntN(3)
				frame := f.copied(thread, from, end)
				for line := from; line < end; line++ {
					for tap := range f.win.KH {
						y := line*f.win.StrideH - f.win.PadH + tap*f.win.DilationH
						if y < 0 || y >= f.h {
							continue
						}
						margin := make([]uint8, f.padW*f.c)
						want := slices.Concat(margin, f.image.bytes[y*n:][:n], margin)
						if got := frame[y*len(want):][:len(want)]; !bytes.Equal(got, want) {
							t.Fatalf("%+v, %+v: line %d of the copy for lines %d to %d is %v, want %v", f.padded, f.win, y, from, end, got, want)
						}
					}
				}
			}
		}
	}
}

// A program gives one image after another the bits that programs of their own give, with any
// number of threads.
func TestImagesOfBytesFollowEachOther(t *testing.T) {
	r := rand.New(rand.NewPCG(73, 74))
	c := byteCase{n: 1, cin: 16, cout: 70, h: 9, w: 7, kernel: 3, stride: 1, pad: 1, bias: true, relu: true, output: "bytes"}
	for _, c.stride = range []int{1, 2} {
		g, feeds, outputs, _ := c.build(r)
		var x *graph.Node
		for n := range feeds {
			x = n
		}
		images := []*tensor.Tensor{feeds[x], conformance.Random(r, x.Shape...), conformance.Random(r, x.Shape...)}
		var want [][]float32
		for _, image := range images {
			got := evaluate(t, g, map[*graph.Node]*tensor.Tensor{x: image}, Options{Threads: 1}, engine.Spec{Outputs: outputs, Precision: engine.INT8})
			want = append(want, got[0])
		}
		for _, threads := range []int{1, 2, 3, 5} {
			d, err := New(Options{Threads: threads, Direct: true})
			if err != nil {
				t.Fatal(err)
			}
			p, err := engine.Compile(g, engine.NewStore(d), engine.Spec{Outputs: outputs, Precision: engine.INT8})
			if err != nil {
				t.Fatal(err)
			}
			got := tensor.New(outputs[0].Shape...)
			for i := range 2 * len(images) {
				image := i % len(images)
				if err := p.Feed(x, images[image]); err != nil {
					t.Fatal(err)
				}
				if err := p.Run(0); err != nil {
					t.Fatal(err)
				}
				p.Read(outputs[0], got)
				if !conformance.SameBits(got.Data(), want[image]) {
					t.Errorf("stride %d, %d threads: image %d has other bits than alone", c.stride, threads, image)
				}
			}
			d.Close()
		}
	}
}
