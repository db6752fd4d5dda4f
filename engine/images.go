package engine

// StoredImages describes the images of uint8 batches, and how a device turns them into a
// program's float32 input: it resizes them across and then down, rounding to bytes after
// each, and then replaces every byte by its value in the table of its channel.
type StoredImages struct {
	Channels, Height, Width int            // of an image, stored channel by channel
	Across, Down            *Side          // resizing of the width and the height; nil if that stays the same
	Table                   [][256]float32 // value of each byte, by channel
}

// Side holds the weights for resizing one side of an image. Pixel o of the result is the sum
// over t < Taps of Weight[o*Taps+t] times pixel Start[o]+t, in fixed point with 22 fractional
// bits, rounded and limited to a byte. Sums wrap around.
type Side struct {
	Taps   int
	Start  []int32
	Weight []uint32
}

// Receiver is an optional interface of a Device that takes uint8 batches, and copies them
// while it computes.
type Receiver interface {
	Device
	// BindImages returns a Feed that writes v, an input of shape [N, C, H, W] at dst.
	BindImages(dst Buffer, v *Value, p StoredImages) Feed
}

// TakesUint8 reports whether d is a Receiver. A loader should then return uint8 batches, which
// the device converts to float32.
func TakesUint8(d Device) bool {
	_, ok := d.(Receiver)
	return ok
}

// Feed copies uint8 batches to the device as a program's input. Up to two batches may have been
// sent and not used yet.
type Feed interface {
	// Send begins to copy a batch to the device, asynchronously to its computations. The
	// caller may reuse pixels when Send returns.
	Send(pixels []uint8)
	// Use makes the oldest sent batch the program's input for the following runs.
	Use()
	// Drop discards the batches that were sent and not used.
	Drop()
	// Elements is the device memory of the Feed, in words.
	Elements() int
}
