package data

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// squares is a data set of n images of 2x3 pixels that contain their index.
type squares struct {
	n     int
	fail  int // the image whose Get fails; 0 for none
	label int // added to every label
	slow  bool
}

var errDisk = errors.New("disk on fire")

func (s squares) Info() Info {
	return Info{Name: "squares", Classes: []string{"a", "b", "c"}, Channels: 1, Height: 2, Width: 3}
}
func (s squares) Len() int { return s.n }
func (s squares) Get(i int, pix []uint8) (int, error) {
	if s.fail != 0 && i == s.fail {
		return 0, errDisk
	}
	if s.slow {
		time.Sleep(time.Duration(i%5) * 100 * time.Microsecond) // so that batches finish out of order
	}
	for j := range pix {
		pix[j] = uint8(i + j)
	}
	return i%3 + s.label, nil
}

// digest returns the digest of all batches of one epoch.
func digest(t *testing.T, l *Loader, epoch int) string {
	t.Helper()
	h := sha256.New()
	e := l.Epoch(context.Background(), epoch)
	defer e.Close()
	for {
		b, err := e.Next()
		if err == io.EOF {
			return fmt.Sprintf("%x", h.Sum(nil))
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(h, b.Images.Shape(), b.Labels.Shape(), b.Indices, b.Labels.Ints())
		for _, v := range b.Images.Data() {
			binary.Write(h, binary.LittleEndian, math.Float32bits(v))
		}
		b.Release()
	}
}

func TestLoaderSameForAnyWorkers(t *testing.T) {
	ds := squares{n: 103, slow: true}
	var want []string
	for _, procs := range []int{1, 3} {
		old := runtime.GOMAXPROCS(procs)
		for workers := 1; workers <= 5; workers++ {
			l, err := NewLoader(ds, LoaderConfig{Batch: 8, Shuffle: true, Seed: 7, Workers: workers})
			if err != nil {
				t.Fatal(err)
			}
			got := []string{digest(t, l, 0), digest(t, l, 1)}
			if want == nil {
				want = got
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d workers on %d processors give other batches", workers, procs)
			}
		}
		runtime.GOMAXPROCS(old)
	}
	if want[0] == want[1] {
		t.Error("two epochs have the same order")
	}
	l, _ := NewLoader(ds, LoaderConfig{Batch: 8, Shuffle: true, Seed: 8})
	if digest(t, l, 0) == want[0] {
		t.Error("another seed gives the same order")
	}
	if first, again := digest(t, l, 0), digest(t, l, 0); first != again {
		t.Error("an epoch cannot be repeated")
	}
}

func TestLoaderBatches(t *testing.T) {
	for _, c := range []struct {
		n, batch int
		drop     bool
		sizes    []int
	}{
		{n: 10, batch: 4, sizes: []int{4, 4, 2}},
		{n: 10, batch: 4, drop: true, sizes: []int{4, 4}},
		{n: 8, batch: 4, sizes: []int{4, 4}},
		{n: 3, batch: 1, sizes: []int{1, 1, 1}},
		{n: 3, batch: math.MaxInt >> 8, sizes: []int{3}},
	} {
		for _, shuffle := range []bool{false, true} {
			l, err := NewLoader(squares{n: c.n}, LoaderConfig{Batch: c.batch, Shuffle: shuffle, DropLast: c.drop})
			if err != nil {
				t.Fatal(err)
			}
			e := l.Epoch(context.Background(), 0)
			var seen []int
			for k, n := range c.sizes {
				b, err := e.Next()
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(b.Images.Shape(), []int{n, 1, 2, 3}) || !slices.Equal(b.Labels.Shape(), []int{n}) || len(b.Indices) != n {
					t.Errorf("%+v: batch %d is %v, %v, %d indices", c, k, b.Images.Shape(), b.Labels.Shape(), len(b.Indices))
				}
				for i, index := range b.Indices {
					seen = append(seen, index)
					if b.Labels.Ints()[i] != int64(index%3) || b.Images.At(i, 0, 1, 2) != float32(index+5)/255 {
						t.Errorf("%+v: image %d has label %d and last pixel %v", c, index, b.Labels.Ints()[i], b.Images.At(i, 0, 1, 2))
					}
				}
				b.Release()
			}
			for range 2 {
				if _, err := e.Next(); err != io.EOF {
					t.Errorf("after the last batch: %v", err)
				}
			}
			if len(seen) != l.Samples() || len(c.sizes) != l.Batches() {
				t.Errorf("%+v: saw %d images in %d batches; the loader says %d in %d", c, len(seen), len(c.sizes), l.Samples(), l.Batches())
			}
			slices.Sort(seen)
			if len(slices.Compact(slices.Clone(seen))) != len(seen) {
				t.Errorf("%+v: an image came twice: %v", c, seen)
			}
		}
	}
}

func TestLoaderRefuses(t *testing.T) {
	for _, c := range []struct {
		n    int
		conf LoaderConfig
		want string
	}{
		{5, LoaderConfig{}, "Batch"},
		{5, LoaderConfig{Batch: -3}, "Batch -3"},
		{5, LoaderConfig{Batch: 1, Workers: -1}, "workers"},
		{0, LoaderConfig{Batch: 1}, "no images"},
		{5, LoaderConfig{Batch: 6, DropLast: true}, "fewer than one batch"},
	} {
		if _, err := NewLoader(squares{n: c.n}, c.conf); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want one with %q", c, err, c.want)
		}
	}
}

// settled waits until no more goroutines run than before.
func settled(t *testing.T, before int) {
	t.Helper()
	for range 200 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

func TestLoaderErrors(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, c := range []struct {
		ds    squares
		first int // batch that must fail
		want  []string
	}{
		{squares{n: 50, fail: 33}, 6, []string{"squares", "image 33", "disk on fire"}},
		{squares{n: 50, label: 1}, 0, []string{"image 2", "label 3", "0..2"}},
		{squares{n: 50, label: -1}, 0, []string{"image 0", "label -1"}},
	} {
		l, err := NewLoader(c.ds, LoaderConfig{Batch: 5, Workers: 3})
		if err != nil {
			t.Fatal(err)
		}
		e := l.Epoch(context.Background(), 0)
		for k := range c.first {
			b, err := e.Next()
			if err != nil {
				t.Fatalf("batch %d: %v", k, err)
			}
			b.Release()
		}
		_, err = e.Next()
		for _, w := range c.want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("error %v, want one with %q", err, w)
			}
		}
		if c.ds.fail != 0 && !errors.Is(err, errDisk) {
			t.Errorf("%v does not wrap the data set's error", err)
		}
		if _, again := e.Next(); again != err {
			t.Errorf("later: %v", again)
		}
	}
	settled(t, before)
}

func TestLoaderCancelAndClose(t *testing.T) {
	before := runtime.NumGoroutine()
	l, err := NewLoader(squares{n: 1000}, LoaderConfig{Batch: 3, Shuffle: true, Workers: 4})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	e := l.Epoch(ctx, 0)
	if _, err := e.Next(); err != nil {
		t.Fatal(err)
	}
	cancel()
	for range 1000 { // batches that are ready may still come
		if _, err = e.Next(); err != nil {
			break
		}
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("after cancelling: %v", err)
	}
	settled(t, before)

	e = l.Epoch(context.Background(), 1)
	b, err := e.Next()
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
	e.Close()
	if _, err := e.Next(); err == nil || err == io.EOF {
		t.Errorf("after Close: %v", err)
	}
	if b.Images.At(0, 0, 0, 0) != float32(uint8(b.Indices[0]))/255 {
		t.Error("Close took away a batch that was not released")
	}
	b.Release()
	b.Release()
	settled(t, before)
	l.Epoch(ctx, 2).Close() // started after the end of its context
	settled(t, before)
}

// The test never releases a batch, so no batch may be overwritten.
func TestUnreleasedBatchesKeepTheirContent(t *testing.T) {
	l, err := NewLoader(squares{n: 64}, LoaderConfig{Batch: 4, Shuffle: true, Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	e := l.Epoch(context.Background(), 0)
	defer e.Close()
	var unreleased []*Batch
	for b, err := e.Next(); err == nil; b, err = e.Next() {
		unreleased = append(unreleased, b)
	}
	if len(unreleased) != 16 {
		t.Fatalf("%d batches", len(unreleased))
	}
	for _, b := range unreleased {
		for i, index := range b.Indices {
			if b.Images.At(i, 0, 0, 0) != float32(index)/255 {
				t.Fatalf("the batch with image %d was overwritten", index)
			}
		}
	}
}

func TestLoaderSteadyStateAllocatesNothing(t *testing.T) {
	l, err := NewLoader(squares{n: 4096}, LoaderConfig{Batch: 4, Shuffle: true, Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	e := l.Epoch(context.Background(), 0)
	defer e.Close()
	step := func() {
		b, err := e.Next()
		if err != nil {
			t.Fatal(err)
		}
		b.Release()
	}
	for range 20 {
		step()
	}
	if n := testing.AllocsPerRun(800, step); n > 0.1 {
		t.Errorf("a batch allocates %v times", n)
	}
}

func TestPermutation(t *testing.T) {
	var r random
	var count [5][5]int
	for i := range 20000 {
		r.reset(3, streamOrder, uint64(i))
		for place, v := range r.permutation(5) {
			count[place][v]++
		}
	}
	for place, row := range count {
		for v, n := range row {
			if n < 3700 || n > 4300 { // 4000 ± 5 standard deviations
				t.Errorf("%d is at position %d in %d of 20000 permutations", v, place, n)
			}
		}
	}
	r.reset(1, streamOrder, 0)
	// The order must never change, because a resumed run draws it again.
	if got := r.permutation(10); !slices.Equal(got, []int32{9, 6, 1, 0, 5, 8, 7, 4, 2, 3}) {
		t.Errorf("the first permutation of seed 1 is %v", got)
	}
}

func BenchmarkLoader(b *testing.B) {
	ds, err := Open(context.Background(), "garments", Options{Size: 2560})
	if err != nil {
		b.Fatal(err)
	}
	l, err := NewLoader(Resize(ds, 96), LoaderConfig{Batch: 256, Shuffle: true})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		e := l.Epoch(context.Background(), 0)
		for batch, err := e.Next(); err == nil; batch, err = e.Next() {
			batch.Release()
		}
	}
	b.ReportMetric(float64(l.Samples()*b.N)/b.Elapsed().Seconds(), "images/s")
}
