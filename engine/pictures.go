package engine

import "github.com/residual-ml/residual/graph"

// Pictures says how batches of pictures are stored, and what makes a program's input of
// them: first they are resized across, then down, with bytes in between, and then every
// byte is replaced by what the table of its channel has for it.
type Pictures struct {
	Channels, Height, Width int            // of a picture, stored channel by channel
	Across, Down            *Side          // nil where the side is that of the input
	Table                   [][256]float32 // by channel
}

// Side is the table of one side of a resize: pixel o of it is the sum over t < Taps of
// Weight[o*Taps+t] times pixel Start[o]+t, in fixed point of 22 bits, rounded, and cut to a
// byte. Sums wrap.
type Side struct {
	Taps   int
	Start  []int32
	Weight []uint32
}

// Receiver is a Device that takes pictures as bytes, beside its other work. Not every
// device is one.
type Receiver interface {
	Device
	// BindPictures prepares to make v, an input of shape [N, C, H, W] that lies at dst.
	BindPictures(dst Buffer, v *Value, p Pictures) Feed
}

// TakesPictures reports whether d is a Receiver: a loader then does well to leave pictures as
// they are stored, for the device makes images of them.
func TakesPictures(d Device) bool {
	_, ok := d.(Receiver)
	return ok
}

// Feed gives a program its pictures. Up to two batches may be on their way.
type Feed interface {
	// Send begins to copy a batch, which it has read when it returns, while the device
	// goes on with what it has to do.
	Send(pixels []uint8)
	// Use makes the first batch on its way the program's input, for the coming runs.
	Use()
	// Drop forgets the batches on their way.
	Drop()
	// Elements is the memory it takes on the device, in words.
	Elements() int
}

// Pictures returns what feeds input n with pictures as they are stored; nil where the
// device takes none.
func (p *Program) Pictures(n *graph.Node, s Pictures) Feed {
	d, ok := p.device.(Receiver)
	if !ok || p.fed[n] == nil {
		return nil
	}
	f := d.BindPictures(p.fed[n], p.values[n], s)
	p.feeds = append(p.feeds, f)
	return &noted{Feed: f, given: func() { p.given(n) }}
}

// noted tells its program that pictures were used.
type noted struct {
	Feed
	given func() // nil once it was called
}

func (f *noted) Use() {
	f.Feed.Use()
	if f.given != nil {
		f.given()
		f.given = nil
	}
}
