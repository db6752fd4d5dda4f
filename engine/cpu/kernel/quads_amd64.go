//go:build !noasm

package kernel

// quadBlock has the arguments of a call of a product kernel of 8-bit integers.
type quadBlock struct {
	block[uint8]
	weights *int8
	next    *uint8
	pace    int

	sums         *int32 // the result, or
	bytes        *uint8 // the result, and how it is made of the sums
	scale, shift *float32
	res          *uint8
	resScale     float32
	least        uint32
}
