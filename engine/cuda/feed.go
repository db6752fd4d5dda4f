//go:build cuda

package cuda

import (
	"runtime"
	"unsafe"

	"github.com/residual-ml/residual/engine"
	"github.com/residual-ml/residual/tensor"
)

// feed copies uint8 batches of images to the device while kernels compute (prefetch). It
// has two places for batches: one is filled while kernels read the other. The host writes
// a batch to pinned memory, which is copied in a stream of its own. The kernels that make
// the input wait for that copy, and the next copy to the same place waits for them.
type feed struct {
	d          *Device
	bytes      int
	places     [2]*place
	sent, used int
	elements   int
}

// place is one of the two places for batches of a feed.
type place struct {
	pinned
	device   *buffer
	launches []*launch // kernels that make the program's input from it
}

// BindImages implements engine.Receiver. Where it fails, Err says so.
func (d *Device) BindImages(dst engine.Buffer, v *engine.Value, p engine.StoredImages) engine.Feed {
	n, c, h, w := v.Dims()
	f := &feed{d: d, bytes: n * p.Channels * p.Height * p.Width}
	outW, outH := p.Width, p.Height
	if p.Across != nil {
		outW = len(p.Across.Start)
	}
	if p.Down != nil {
		outH = len(p.Down.Start)
	}
	if p.Channels != c || outH != h || outW != w || len(p.Table) != c || n*c*max(h, p.Height)*max(w, p.Width) >= 1<<31 {
		panic(tensor.Misusef("cuda: images of [%d, %d, %d], resized to [%d, %d], do not fit %v", p.Channels, p.Height, p.Width, outH, outW, v))
	}
	if !d.enter() {
		return f
	}
	defer d.leave()
	var across, down *buffer
	own := func(bytes int) *buffer {
		b := d.alloc((bytes + 3) / 4)
		f.elements += b.words
		return b
	}
	if p.Across != nil {
		across = own(n * c * p.Height * w)
	}
	if p.Down != nil {
		down = own(n * c * h * w)
	}
	table := upload(d, p.Table)
	f.elements += table.words
	for i := range f.places {
		s := &place{device: own(f.bytes)}
		f.places[i] = s
		from := s.device
		resize := func(to *buffer, total, in, inner int, side *engine.Side) {
			start, weight := upload(d, side.Start), upload(d, side.Weight)
			f.elements += start.words + weight.words
			s.launch(d, "resize", line(total), total, from, to, in, len(side.Start), inner, side.Taps, start, weight)
			from = to
		}
		if p.Across != nil {
			resize(across, n*c*p.Height*w, p.Width, 1, p.Across)
		}
		if p.Down != nil {
			resize(down, n*c*h*w, p.Height, w, p.Down)
		}
		total := n * c * h * w
		s.launch(d, "pictures", line(total), total, from, h*w, c, table, dst.(*buffer), isBF16(v), orderOf(v))
		s.pin(d, f.bytes)
	}
	return f
}

func (s *place) launch(d *Device, name string, g grid, args ...any) {
	l, err := d.launch(name, g, args...)
	if err != nil && d.err == nil {
		d.err = err
	}
	s.launches = append(s.launches, l)
}

// pin allocates the pinned memory and the events of a place.
func (s *place) pin(d *Device, bytes int) {
	const writeCombined = 4 // CU_MEMHOSTALLOC_WRITECOMBINED: the host only writes
	_ = d.err == nil && d.check("cuEventCreate", d.api.EventCreate(&s.copied, noTiming)) && d.check("cuEventCreate", d.api.EventCreate(&s.pinned.used, noTiming))
	d.pin(&s.pinned, bytes, writeCombined)
	runtime.AddCleanup(s, d.garbage.addPinned, s.pinned)
}

// noTiming is CU_EVENT_DISABLE_TIMING: the event records no time.
const noTiming = 2

// pin allocates pinned memory for p. The owner of p must add a cleanup that calls
// garbage.addPinned.
func (d *Device) pin(p *pinned, bytes int, flags uint32) {
	_ = d.err == nil && d.check("cuMemHostAlloc", d.api.HostAlloc(&p.at, uint64(bytes), flags))
	d.garbage.mu.Lock()
	defer d.garbage.mu.Unlock()
	if d.garbage.pinned == nil {
		d.garbage.pinned = map[pinned]bool{}
	}
	d.garbage.pinned[*p] = false
}

// Send implements engine.Feed.
func (f *feed) Send(pixels []uint8) {
	if len(pixels) != f.bytes || f.sent-f.used >= len(f.places) {
		panic(tensor.Misusef("cuda: a batch of %d bytes, want %d; %d batches are on their way", len(pixels), f.bytes, f.sent-f.used))
	}
	d := f.d
	if !d.enter() {
		return
	}
	defer d.leave()
	s := f.places[f.sent%len(f.places)]
	if f.sent >= len(f.places) && !d.check("cuEventSynchronize", d.api.EventWait(s.copied)) {
		return
	}
	copy(unsafe.Slice((*uint8)(s.at), f.bytes), pixels)
	if d.check("cuStreamWaitEvent", d.api.StreamAfter(d.copies, s.pinned.used, 0)) && // does not wait if used was never recorded
		d.check("cuMemcpyHtoDAsync", d.api.CopyTo(s.device.at, s.at, uint64(f.bytes), d.copies)) {
		d.check("cuEventRecord", d.api.EventRecord(s.copied, d.copies))
	}
	f.sent++
}

// Use implements engine.Feed.
func (f *feed) Use() {
	if f.used == f.sent && f.d.Err() == nil {
		panic(tensor.Misusef("cuda: no batch of images is on its way"))
	}
	d := f.d
	if !d.enter() {
		return
	}
	defer d.leave()
	s := f.places[f.used%len(f.places)]
	f.used++
	if !d.check("cuStreamWaitEvent", d.api.StreamAfter(d.stream, s.copied, 0)) {
		return
	}
	for _, l := range s.launches {
		d.start(l)
	}
	if d.err == nil {
		d.check("cuEventRecord", d.api.EventRecord(s.pinned.used, d.stream))
	}
}

// Drop implements engine.Feed.
func (f *feed) Drop() { f.used = f.sent }

// Elements implements engine.Feed.
func (f *feed) Elements() int { return f.elements }
